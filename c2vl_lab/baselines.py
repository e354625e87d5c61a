"""Objectives to compare with: the SkeletonCLR-style two-view contrast and the supervised upper bound."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ViewProjection(nn.Module):
    """The non-linear projection of SkeletonCLR (CrosSCLR, arXiv 2104.14402): hidden -> hidden -> 128, unit length."""

    def __init__(self, hidden: int, width: int = 128) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, width))

    def forward(self, features: Tensor) -> Tensor:
        """(N, H) -> (N, 128)."""
        return F.normalize(self.net(features), dim=1)


def two_view_contrast(query: Tensor, key: Tensor, tau: float) -> Tensor:
    """InfoNCE of a query view against the momentum encoder's key view of the same clip; both (N, D).

    The other clips of the batch are the negatives. SkeletonCLR keeps a queue of 32,768 older keys, many times
    the size of the small sets here, where it would hold every clip tens of times over; so in-batch negatives
    are used (our choice) and the arm is called SkeletonCLR-style.
    """
    logits = query @ key.T / tau
    return F.cross_entropy(logits, torch.arange(len(query), device=query.device))


def supervised_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with label smoothing 0.1; logits (N, classes), labels (N,)."""
    return F.cross_entropy(logits, labels, label_smoothing=0.1)
