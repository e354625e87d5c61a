"""Supervised training, the upper bound of what an encoder of this size reaches."""

from __future__ import annotations

from torch import Tensor, nn

from c2vl_lab.baselines import supervised_loss
from c2vl_lab.data.draws import Draws
from c2vl_lab.learners.base import Learner, Momentum, Tensors, Views
from c2vl_lab.models.base import Encoder


class SupervisedLearner(Learner):
    """The same encoder with a linear classifier on the labels of the training clips."""

    def __init__(self, encoder: Encoder, views: Views, labels: Tensor, classes: int, smoothing: float) -> None:
        super().__init__(encoder, views, Momentum())
        self.labels, self.smoothing = labels, smoothing
        self.classify = nn.Linear(encoder.dim, classes)

    def terms(self, features: Tensors, memory: Tensors, rows: Tensor, progress: float, draws: Draws) -> Tensors:
        """Cross-entropy on the labels."""
        logits = self.classify(features["view"])
        return {"cross-entropy": supervised_loss(logits, self.labels[rows], self.smoothing)}
