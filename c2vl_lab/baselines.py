"""Objectives to compare with: two-view contrast, extreme views, bootstrapping, and the supervised upper bound."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 128  # of the projections, as in SkeletonCLR and AimCLR
NEVER = -1e4  # logit of what is no negative: its probability is 0 exactly, and 0 times it is still 0


class ViewProjection(nn.Module):
    """The non-linear projection of SkeletonCLR (CrosSCLR, arXiv 2104.14402): hidden -> hidden -> 128, unit length."""

    def __init__(self, hidden: int, width: int = WIDTH) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, width))

    def forward(self, features: Tensor) -> Tensor:
        """(N, H) -> (N, 128)."""
        return F.normalize(self.net(features), dim=1)


def batch_mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Linear, batch normalisation, ReLU, linear: BYOL's projection and prediction (arXiv 2006.07733, section 3.2)."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def view_logits(query: Tensor, key: Tensor, others: Tensor, never: Tensor, tau: float) -> Tensor:
    """A query's similarities, over tau: its own key's in column 0, then those of the others.

    Args:
        query: (N, D) of unit length.
        key: (N, D), the momentum encoder's view of the same clip.
        others: (K, D), keys of other clips: of the batch, or of the queue.
        never: (N, K), true where an entry is no negative of this clip; it gets the probability 0.
        tau: temperature.

    Returns:
        (N, 1 + K).
    """
    own = (query * key).sum(dim=1, keepdim=True)
    return torch.cat([own / tau, (query @ others.T / tau).masked_fill(never, NEVER)], dim=1)


def two_view_contrast(logits: Tensor) -> Tensor:
    """InfoNCE, -log softmax of column 0, mean over the clips; logits (N, 1 + K) of :func:`view_logits`."""
    return -F.log_softmax(logits, dim=1)[:, 0].mean()


def nearest(logits: Tensor, count: int) -> Tensor:
    """(N, 1 + K) true for the ``count`` most similar others of each row that are negatives at all; never column 0."""
    others = logits[:, 1:]
    order = others.topk(min(count, others.shape[1]), dim=1).indices
    found = torch.zeros_like(others, dtype=torch.bool).scatter_(1, order, True) & (others > NEVER)
    return torch.cat([torch.zeros_like(found[:, :1]), found], dim=1)


def mined_contrast(logits: Tensor, mined: Tensor) -> Tensor:
    """InfoNCE with more positives, -log of the summed probability of column 0 and the mined entries.

    AimCLR's nearest neighbours mining (arXiv 2112.03590, section 3.4), where the mined entries are the nearest
    neighbours of any view of the clip. With nothing mined it is :func:`two_view_contrast`.

    Args:
        logits: (N, 1 + K).
        mined: (N, 1 + K), true for entries that count as positives too.
    """
    positive = mined.clone()
    positive[:, 0] = True
    return (logits.logsumexp(dim=1) - logits.masked_fill(~positive, NEVER).logsumexp(dim=1)).mean()


def distribution_divergence(extreme: Tensor, normal: Tensor) -> Tensor:
    """Cross-entropy of the extreme view's distribution over key and others against the normal view's; both (N, 1 + K).

    One of the two terms of AimCLR's D³M loss (arXiv 2112.03590, section 3.3). The target carries no gradient.
    """
    return -(F.softmax(normal.detach(), dim=1) * F.log_softmax(extreme, dim=1)).sum(dim=1).mean()


def bootstrap_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """2 - 2 cos of prediction and target, mean over the clips; both (N, D) (BYOL, arXiv 2006.07733, equation 2)."""
    return 2 - 2 * F.cosine_similarity(predicted, target.detach(), dim=1).mean()


def supervised_loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy with label smoothing; logits (N, classes), labels (N,)."""
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)
