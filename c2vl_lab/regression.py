"""Distillation by regression: the encoder predicts what the teacher's features say at each place of a clip's prompts.

The contrast tells every clip from every other, also where two clips of one action are described alike. The regression
has no negatives: a skeleton is to say each of its K sentences, whoever else says the same. It is our addition, not the
paper's, and wants prompts whose places mean something (position k speaks of the same aspect in every clip).
"""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from c2vl_lab.errors import DataError
from c2vl_lab.teachers.feature_files import Features

SIZE = 64  # principal components kept of each place


def place_targets(features: Features, size: int = SIZE) -> np.ndarray:
    """Targets of the regression, each place for itself: unit length, mean subtracted, PCA, unit length again.

    Args:
        features: (n, K, D) teacher features of the training clips.
        size: components kept of each place, at most D.

    Returns:
        (n, K, size) float32. A place that says the same of all clips has nothing to learn from and is zero.

    Raises:
        DataError: fewer than two clips, or features that are not finite.
    """
    count, places, width = features.shape
    if count < 2:
        raise DataError(f"Regression of the prompts wants at least 2 training clips, found {count}.")
    out = np.zeros((count, places, min(size, width)), np.float32)
    for place in range(places):
        rows = np.asarray(features[:, place], np.float64)
        if not np.isfinite(rows).all():
            raise DataError(f"The teacher's features at place {place + 1} are not all finite; make them anew.")
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        rows = rows - rows.mean(axis=0)
        _, axes = np.linalg.eigh(rows.T @ rows)
        rows = rows @ axes[:, ::-1][:, :size]
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        out[:, place] = np.where(length > 1e-6, rows / np.maximum(length, 1e-6), 0)
    return out


class PromptRegression(nn.Module):
    """A linear head that predicts the target of every place, and the mean of 1 - cosine over clips and places.

    Args:
        hidden: width H of the skeleton feature.
        targets: (n, K, D) of all training clips, from :func:`place_targets`.
    """

    def __init__(self, hidden: int, targets: Tensor) -> None:
        super().__init__()
        self.targets = targets  # frozen, and no part of a checkpoint: made anew from the prompts
        self.head = nn.Linear(hidden, targets.shape[1] * targets.shape[2])

    def forward(self, hidden: Tensor, rows: Tensor) -> Tensor:
        """Skeleton features (N, H) of the training clips ``rows`` (N,) -> the loss, 0 (perfect) to 2."""
        wanted = self.targets[rows]
        found = F.normalize(self.head(hidden).view(wanted.shape), dim=2)
        return 1 - (found * wanted).sum(dim=2).mean()
