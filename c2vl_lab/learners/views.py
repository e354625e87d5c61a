"""Methods without text: two augmented views of a clip are to look alike."""

from __future__ import annotations

from torch import Tensor

from c2vl_lab.baselines import ViewProjection, two_view_contrast
from c2vl_lab.data.draws import Draws
from c2vl_lab.learners.base import Learner, Tensors, Views, follow, frozen_copy
from c2vl_lab.models.base import Encoder


class ViewLearner(Learner):
    """SkeletonCLR-style: two augmented views of a clip, a momentum key encoder, no text."""

    def __init__(self, encoder: Encoder, views: Views, momentum: float, tau: float) -> None:
        super().__init__(encoder, views, momentum)
        self.tau = tau
        self.project = ViewProjection(encoder.dim)
        self.slow_encoder, self.slow_project = frozen_copy(encoder), frozen_copy(self.project)

    def look(self, clips: Tensor, draws: Draws) -> Tensors:
        """Two views."""
        return {"query": self.views(clips, draws), "key": self.views(clips, draws)}

    def represent(self, views: Tensors) -> Tensors:
        """The first view's features."""
        return {"query": self.encode(self.encoder, views["query"])}

    def remember(self, views: Tensors, progress: float) -> Tensors:
        """The second view's, by the key encoder."""
        return {"key": self.encode(self.slow_encoder, views["key"])}

    def terms(self, features: Tensors, memory: Tensors, rows: Tensor, progress: float, draws: Draws) -> Tensors:
        """The two-view contrast."""
        query, key = self.project(features["query"]), self.slow_project(memory["key"])
        return {"two-view": two_view_contrast(query, key, self.tau)}

    def after_step(self) -> None:
        """Move the key encoder."""
        follow(self.slow_encoder, self.encoder, self.momentum)
        follow(self.slow_project, self.project, self.momentum)
