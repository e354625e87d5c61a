"""The queue of older keys that serve as negatives."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class KeyQueue(nn.Module):
    """The last keys of the momentum encoder, first in first out (MoCo, arXiv 1911.05722; SkeletonCLR's "memory bank").

    All of it is in the state dict, so that a resumed run has the same negatives. It starts empty, where MoCo starts
    with random vectors; and a clip's own older keys are no negatives of it (both our choice). The latter matters where
    the queue is longer than the training set; in the published runs it is shorter, and nearly never holds them.

    Args:
        size: how many keys are kept.
        width: their width.
    """

    keys: Tensor
    rows: Tensor
    place: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(size, width))
        self.register_buffer("rows", torch.full((size,), -1))
        self.register_buffer("place", torch.zeros((), dtype=torch.long))

    def never(self, rows: Tensor) -> Tensor:
        """(N, size), true where a place is empty or holds a key of the same clip; ``rows`` (N,) are the clips'."""
        return (self.rows < 0) | (self.rows == rows[:, None])

    @torch.no_grad()
    def push(self, keys: Tensor, rows: Tensor) -> None:
        """Keep keys (N, width) of clips (N,) in the places of the oldest ones."""
        size = len(self.rows)
        keys, rows = keys[-size:], rows[-size:]
        places = (self.place + torch.arange(len(rows), device=rows.device)) % size
        self.keys[places] = keys.to(self.keys.dtype)
        self.rows[places] = rows
        self.place.add_(len(rows)).remainder_(size)
