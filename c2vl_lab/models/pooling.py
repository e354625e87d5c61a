"""K features of a clip become one, anew in each training step: by learned attention, or from a random subset.

Both are our choice; the paper's figure suggests a plain mean. What is learned here is trained by the contrast alone.
The soft targets keep to the mean of all K, the frozen teacher's own word
(:class:`~c2vl_lab.learners.concept.ConceptLearner`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from c2vl_lab.data.draws import Draws

SHORT = 0.2  # what is shorter after centring is mostly noise and grows fivefold at most, as in the concept space


class PlacePooling(nn.Module):
    """Base: centres the K features, pools them by :meth:`weights`, centres and normalises the result.

    Args:
        places: (K, D) the training split's mean at each place, or None where places are not centred.
        mean: (D,) the training split's mean concept; zeros where concepts are not centred.
    """

    places: Tensor | None
    mean: Tensor

    def __init__(self, places: Tensor | None, mean: Tensor) -> None:
        super().__init__()
        # both follow from the training set, so they are no part of a checkpoint
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("mean", mean, persistent=False)

    def forward(self, features: Tensor, draws: Draws | None = None) -> Tensor:
        """(N, K, D) teacher features -> (N, D) concepts of unit length; NaN stays NaN."""
        each = F.normalize(features, dim=2)
        if self.places is not None:
            each = each - self.places
            each = each / each.norm(dim=2, keepdim=True).clamp_min(SHORT)
        pooled = (self.weights(each, draws)[:, :, None] * each).sum(dim=1)
        return F.normalize(F.normalize(pooled, dim=1) - self.mean, dim=1)

    def weights(self, each: Tensor, draws: Draws | None) -> Tensor:
        """(N, K) share of each feature; rows sum to 1."""
        raise NotImplementedError


class AttentionPooling(PlacePooling):
    """A learned query looks at the K centred features; each place has a learned head start, for places mean something.

    Both start at zero, which is the mean.
    """

    def __init__(self, places: Tensor | None, mean: Tensor, prompts: int) -> None:
        super().__init__(places, mean)
        self.query = nn.Parameter(torch.zeros(len(mean)))
        self.start = nn.Parameter(torch.zeros(prompts))

    def weights(self, each: Tensor, draws: Draws | None) -> Tensor:
        """softmax over K of query·feature + start."""
        return torch.softmax(each @ self.query + self.start, dim=1)


class SubsetPooling(PlacePooling):
    """The mean of ``size`` features drawn without return, for each clip anew; without draws, of all K."""

    def __init__(self, places: Tensor | None, mean: Tensor, size: int) -> None:
        super().__init__(places, mean)
        self.size = size

    def weights(self, each: Tensor, draws: Draws | None) -> Tensor:
        """1 / size for the features drawn, 0 for the others."""
        clips, prompts, _ = each.shape
        if draws is None:
            return each.new_full((clips, prompts), 1 / prompts)
        order = draws.uniform(prompts).argsort(dim=1)
        return torch.zeros_like(each[:, :, 0]).scatter_(1, order[:, : self.size], 1 / self.size)
