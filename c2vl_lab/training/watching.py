"""Monitoring of training: do the neighbours of a training clip show the same action? No loss ever sees the answer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from c2vl_lab.data.augment import whole_clip
from c2vl_lab.learners.base import Learner
from c2vl_lab.models.encoders import as_input

BATCH = 256


@torch.no_grad()
def neighbour_accuracy(learner: Learner, clips: Tensor, labels: np.ndarray, groups: np.ndarray | None) -> float:
    """1-NN accuracy inside the training split: each clip's nearest by cosine among the clips of other performers.

    Among the clips of the same performer the nearest would be a repetition. Where there is one performer only, it is
    sought among all others. Features are those of the whole clips by the encoder in evaluation mode, centred on their
    mean, as in the final measure; its mode is left as it was. Clips without finite features do not take part.

    Args:
        learner: its ``encoder`` is asked.
        clips: (N, T, M, V, 3) training clips.
        labels: (N,) classes.
        groups: (N,) performers; None: unknown.

    Returns:
        Share of the clips, 0 to 1; NaN where no clip has a neighbour.
    """
    was = learner.encoder.training
    learner.encoder.eval()
    device = clips.device
    views = learner.views
    parts = []
    for start in range(0, len(clips), BATCH):
        rows = torch.arange(start, min(start + BATCH, len(clips)), device=device)
        shown = as_input(whole_clip(clips[rows], views.frames), views.layout, views.stream)
        parts.append(learner.encode(learner.encoder, shown))
    learner.encoder.train(was)
    features = torch.cat(parts)
    good = torch.isfinite(features).all(dim=1)
    features = features[good]
    kinds, people = _numbered(labels, good), _numbered(np.zeros(len(clips)) if groups is None else groups, good)
    features = torch.nn.functional.normalize(features - features.mean(dim=0), dim=1)
    alone = len(people.unique()) < 2
    right = seen = 0
    for start in range(0, len(features), BATCH):
        part = slice(start, start + BATCH)
        similar = features[part] @ features.T
        if alone:
            similar[:, part].fill_diagonal_(-torch.inf)
        else:
            similar.masked_fill_(people[part, None] == people, -torch.inf)
        best, nearest = similar.max(dim=1)
        found = best > -torch.inf
        right += int(((kinds[nearest] == kinds[part]) & found).sum())
        seen += int(found.sum())
    return right / seen if seen else float("nan")


def _numbered(values: np.ndarray, good: Tensor) -> Tensor:
    """Values of the good clips as numbers from 0, on their device."""
    numbers = np.unique(np.asarray(values), return_inverse=True)[1]
    return torch.from_numpy(numbers.astype(np.int64)).to(good.device)[good]
