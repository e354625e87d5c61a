"""A method without text and without negatives: one view of a clip predicts what a momentum model makes of another."""

from __future__ import annotations

from torch import Tensor

from c2vl_lab.baselines import WIDTH, batch_mlp, bootstrap_loss
from c2vl_lab.data.draws import Draws
from c2vl_lab.learners.base import Learner, Momentum, Tensors, Views, follow, frozen_copy
from c2vl_lab.models.base import Encoder


class BootstrapLearner(Learner):
    """BYOL-style (arXiv 2006.07733; on skeletons arXiv 2202.02232 and, as SkeletonBYOL, arXiv 2307.07791).

    Either view's prediction is compared with the momentum model's projection of the other view. The hidden layers are
    as wide as the encoder's feature, the projection has 128 values as in SkeletonCLR (BYOL: 4,096 and 256, for images).
    """

    def __init__(self, encoder: Encoder, views: Views, momentum: Momentum) -> None:
        super().__init__(encoder, views, momentum)
        self.project = batch_mlp(encoder.dim, encoder.dim, WIDTH)
        self.predict = batch_mlp(WIDTH, encoder.dim, WIDTH)
        self.slow_encoder, self.slow_project = frozen_copy(encoder), frozen_copy(self.project)

    def look(self, clips: Tensor, draws: Draws) -> Tensors:
        """Two views."""
        return {"one": self.views(clips, draws), "two": self.views(clips, draws)}

    def represent(self, views: Tensors) -> Tensors:
        """The features of either view."""
        return {name: self.encode(self.encoder, view) for name, view in views.items()}

    def remember(self, views: Tensors, progress: float) -> Tensors:
        """The momentum encoder's features of either view."""
        return {name: self.encode(self.slow_encoder, view) for name, view in views.items()}

    def terms(self, features: Tensors, memory: Tensors, rows: Tensor, progress: float, draws: Draws) -> Tensors:
        """The sum of both directions, 0 (all agree) to 8."""
        self.progress = progress
        predicted = {name: self.predict(self.project(h)) for name, h in features.items()}
        target = {name: self.slow_project(h) for name, h in memory.items()}
        ahead, back = bootstrap_loss(predicted["one"], target["two"]), bootstrap_loss(predicted["two"], target["one"])
        return {"bootstrap": ahead + back}

    def after_step(self) -> None:
        """Move the momentum model."""
        rate = self.momentum.at(self.progress)
        follow(self.slow_encoder, self.encoder, rate)
        follow(self.slow_project, self.project, rate)
