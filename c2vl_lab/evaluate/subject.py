"""A run as the protocols see it: features of all clips, the split, and what made the features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from c2vl_lab.evaluate.probes import LinearClassifier
from c2vl_lab.evaluate.tuning import Tuning
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
        run_dir: the run's folder.
        tuning: how the encoder is trained on labels.
        transfer_to: sets with their protocols that the encoder is carried to, as in ``pretrain_on``.
        say: receives a line of progress now and then.
    """

    experiment: Experiment
    learner: Learner | None
    encoder: torch.nn.Module | None
    features: np.ndarray
    train: np.ndarray
    test: np.ndarray
    classifier: LinearClassifier
    class_splits: str = ""
    run_dir: Path = Path()
    tuning: Tuning = field(default_factory=Tuning)
    transfer_to: str = ""
    say: Callable[[str], None] = lambda line: None

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
        return self.first_seeds(SEEDS)

    def first_seeds(self, count: int) -> range:
        """So many seeds, from the run's own on."""
        return range(self.experiment.config.seed, self.experiment.config.seed + count)

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the encoder's weights and statistics, on the processor; empty where there is no encoder."""
        state = {} if self.encoder is None else self.encoder.state_dict()
        return {name: value.detach().cpu().clone() for name, value in state.items()}

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Training features, their labels, test features, their labels."""
        train, test = self.train, self.test
        return self.features[train], self.labels[train], self.features[test], self.labels[test]
