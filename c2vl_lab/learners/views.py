"""Methods without text: two augmented views of a clip are to look alike, and unlike other clips."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from c2vl_lab.baselines import (
    WIDTH,
    ViewProjection,
    distribution_divergence,
    mined_contrast,
    nearest,
    two_view_contrast,
    view_logits,
)
from c2vl_lab.data.draws import Draws
from c2vl_lab.learners.base import Learner, Momentum, Tensors, Views, follow, frozen_copy
from c2vl_lab.learners.queue import KeyQueue
from c2vl_lab.models.base import Encoder

MINING_FROM = 0.5  # of training: epoch 150 of 300 in AimCLR's published settings


@dataclass(frozen=True)
class ContrastConfig:
    """Settings of the contrast of skeleton views.

    Attributes:
        tau: temperature.
        queue: older keys that are the negatives; 0: the other clips of the batch instead (our choice for small sets,
            of which a queue would hold every clip several times).
        neighbours: most similar others of each view that count as positives in the second half of training
            (AimCLR-style only); 0: none.
    """

    tau: float
    queue: int = 0
    neighbours: int = 0


class ViewLearner(Learner):
    """SkeletonCLR-style (CrosSCLR, arXiv 2104.14402): two augmented views of a clip, a momentum key encoder, no text.

    The views are those of every other method here; the published ones are shear and a temporal crop.
    """

    def __init__(self, encoder: Encoder, views: Views, momentum: Momentum, config: ContrastConfig) -> None:
        super().__init__(encoder, views, momentum)
        self.config = config
        self.project = ViewProjection(encoder.dim)
        self.slow_encoder, self.slow_project = frozen_copy(encoder), frozen_copy(self.project)
        if config.queue:
            self.queue = KeyQueue(config.queue, WIDTH)
        self._waiting: list[tuple[Tensor, Tensor]] = []  # keys and clips of the step that is not made yet

    def begin_step(self) -> None:
        """Forget the keys of a step that was not made, as of a NaN loss."""
        self._waiting.clear()

    def look(self, clips: Tensor, draws: Draws) -> Tensors:
        """Two views."""
        return {"query": self.views(clips, draws), "key": self.views(clips, draws)}

    def represent(self, views: Tensors) -> Tensors:
        """The features of all views but the key's."""
        return {name: self.encode(self.encoder, view) for name, view in views.items() if name != "key"}

    def remember(self, views: Tensors, progress: float) -> Tensors:
        """The second view's, by the key encoder."""
        return {"key": self.encode(self.slow_encoder, views["key"])}

    def terms(self, features: Tensors, memory: Tensors, rows: Tensor, progress: float, draws: Draws) -> Tensors:
        """The two-view contrast."""
        return {"two-view": two_view_contrast(self.logits(features, memory, rows, progress)["query"])}

    def logits(self, features: Tensors, memory: Tensors, rows: Tensor, progress: float) -> Tensors:
        """(N, 1 + K) of each trained view; the keys wait for the end of the step to go into the queue."""
        self.progress = progress
        key = self.slow_project(memory["key"]).detach()
        if self.config.queue:
            others, never = self.queue.keys, self.queue.never(rows)
            if self.training:
                self._waiting.append((key, rows))
        else:
            others, never = key, torch.eye(len(key), dtype=torch.bool, device=key.device)
        tau = self.config.tau
        return {name: view_logits(self.project(h), key, others, never, tau) for name, h in features.items()}

    def after_step(self) -> None:
        """Move the key encoder, and the queue by the keys of all the step's batches."""
        rate = self.momentum.at(self.progress)
        follow(self.slow_encoder, self.encoder, rate)
        follow(self.slow_project, self.project, rate)
        for keys, rows in self._waiting:
            self.queue.push(keys, rows)
        self._waiting.clear()


class ExtremeLearner(ViewLearner):
    """AimCLR-style (arXiv 2112.03590): beside the two normal views an extreme one, that is to be like them gently.

    The normal pair gives the two-view contrast. The extreme view is not contrasted: its distribution over the key and
    the others is drawn to the normal view's. As an option the nearest neighbours of either view become positives.

    What differs from the paper: the energy-based attention-guided drop, which works inside the encoder's last feature
    map, is left out, since encoders here are exchangeable; so the D³M loss has one term (the paper's mean of two, with
    and without the drop). The normal views are those of every other method here.
    """

    def look(self, clips: Tensor, draws: Draws) -> Tensors:
        """Two normal views and an extreme one."""
        return super().look(clips, draws) | {"extreme": self.views.extreme(clips, draws)}

    def terms(self, features: Tensors, memory: Tensors, rows: Tensor, progress: float, draws: Draws) -> Tensors:
        """Two-view contrast, with mined positives as soon as they count, and the divergence of the extreme view."""
        logits = self.logits(features, memory, rows, progress)
        normal, extreme = logits["query"], logits["extreme"]
        count = self.config.neighbours if progress >= MINING_FROM else 0
        mined = nearest(normal.detach(), count) | nearest(extreme.detach(), count)
        return {"two-view": mined_contrast(normal, mined), "extreme": distribution_divergence(extreme, normal)}
