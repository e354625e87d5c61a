"""Absent bodies, computed once: what is the same for every one of them need not be repeated.

A body slot without anybody is all zero, in the data and after every augmentation. Without dropout all such slots stay
equal to one another through the whole network, so one of them stands for all, with their number as its weight in batch
norm. This is exact, features and gradients alike.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Bodies(NamedTuple):
    """Bodies to compute.

    Attributes:
        each: (B, 3, T, V).
        place: (N, M) which of them fills each slot.
        copies: how many absent bodies the last one stands for beside itself; 0: every slot has its own.
    """

    each: Tensor
    place: Tensor
    copies: int


def fold(x: Tensor) -> Bodies:
    """(N, 3, T, V, M) -> the bodies that differ, the absent ones' representative last."""
    slots = x.permute(0, 4, 1, 2, 3)  # (N, M, 3, T, V)
    present = (slots != 0).flatten(2).any(dim=2)  # NaN is not absent
    absent = present.numel() - int(present.sum())
    if absent < 2:
        return unfolded(x)
    each = torch.cat([slots[present], slots.new_zeros(1, *slots.shape[2:])])
    place = torch.where(present.flatten(), present.flatten().cumsum(0) - 1, len(each) - 1)
    return Bodies(each, place.view(present.shape), absent - 1)


def unfolded(x: Tensor) -> Bodies:
    """All slots, as they are."""
    count, slots = x.shape[0], x.shape[4]
    place = torch.arange(count * slots, device=x.device).view(count, slots)
    return Bodies(x.permute(0, 4, 1, 2, 3).flatten(0, 1), place, 0)
