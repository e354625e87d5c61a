"""A run as the protocols see it: features of all clips, the split, and what made the features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from c2vl_lab.evaluate.probes import LinearClassifier
from c2vl_lab.experiment import Experiment
from c2vl_lab.learners.base import Learner

SEEDS = 3  # repetitions of what depends on a seed and costs little


@dataclass(frozen=True)
class Subject:
    """A run as the protocols see it.

    Attributes:
        experiment: data, split and settings.
        learner: the trained arm; None where nothing was trained. ``encoder``: None where there is none.
        features: (N, D) of all clips.
        train, test: indices of the clips that have features.
        classifier: the linear probe of the undamaged training part.
        class_splits: one's own file of seen and unseen classes; empty: the published or drawn ones.
    """

    experiment: Experiment
    learner: Learner | None
    encoder: torch.nn.Module | None
    features: np.ndarray
    train: np.ndarray
    test: np.ndarray
    classifier: LinearClassifier
    class_splits: str = ""

    @property
    def labels(self) -> np.ndarray:
        """(N,) class indices."""
        return self.experiment.store.labels

    @property
    def groups(self) -> np.ndarray:
        """(n,) performers of the training part."""
        return self.experiment.store.clips["subject"].to_numpy()[self.train]

    @property
    def seeds(self) -> range:
        """The run's seed and the next ones."""
        return range(self.experiment.config.seed, self.experiment.config.seed + SEEDS)

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Training features, their labels, test features, their labels."""
        train, test = self.train, self.test
        return self.features[train], self.labels[train], self.features[test], self.labels[test]
