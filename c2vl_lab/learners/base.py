"""The protocol of the methods: how a batch becomes loss terms, in four parts."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Self, TypeVar

import torch
from torch import Tensor, nn

from c2vl_lab.data.augment import AugmentConfig, augment
from c2vl_lab.data.draws import Draws
from c2vl_lab.data.extreme import extreme_view
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.models.base import Encoder
from c2vl_lab.models.encoders import as_input

Module = TypeVar("Module", bound=nn.Module)
Tensors = dict[str, Tensor]
LOOK, TERMS = 0, 1  # purposes of random numbers


class Views:
    """Makes encoder inputs from a batch of normalised clips."""

    def __init__(self, layout: JointLayout, stream: str, config: AugmentConfig, frames: int) -> None:
        self.layout, self.stream, self.config, self.frames = layout, stream, config, frames

    def __call__(self, clips: Tensor, draws: Draws) -> Tensor:
        """(N, T, M, V, 3) -> one augmented (N, 3, frames, V, M)."""
        view = augment(clips, self.config, self.frames, draws, self.layout)
        return as_input(view, self.layout, self.stream)

    def extreme(self, clips: Tensor, draws: Draws) -> Tensor:
        """The same, changed beyond what a body does (:func:`~c2vl_lab.data.extreme.extreme_view`)."""
        view = extreme_view(augment(clips, self.config, self.frames, draws, self.layout), draws, self.layout)
        return as_input(view, self.layout, self.stream)


@dataclass(frozen=True)
class Momentum:
    """Rate of an exponential moving average.

    Attributes:
        rate: what is kept in a step, 0 to 1.
        rises: from ``rate`` to 1 by half a cosine over training (BYOL, arXiv 2006.07733), instead of constant.
    """

    rate: float = 0.0
    rises: bool = False

    def at(self, progress: float) -> float:
        """The rate at ``progress`` (0 to 1) of training."""
        return 1 - (1 - self.rate) * (1 + math.cos(math.pi * progress)) / 2 if self.rises else self.rate


class Learner(nn.Module):
    """Base of the methods.

    A step has four parts. The first three go clip by clip, so that a batch may pass through the encoder in pieces, or
    on several devices; the last sees all of it, since the other clips of the batch are the negatives:

    1. :meth:`look`: augmented views of clips, without gradient;
    2. :meth:`represent`: the trained encoder's features of the views;
    3. :meth:`remember`: the momentum model's features of them, without gradient;
    4. :meth:`terms`: the loss terms of the whole batch, heads included.

    Args:
        encoder: what is trained.
        views: how clips are shown to it.
        momentum: the exponential moving average, where the method has one.
    """

    def __init__(self, encoder: Encoder, views: Views, momentum: Momentum) -> None:
        super().__init__()
        self.encoder = encoder
        self.views = views
        self.momentum = momentum
        self.progress = 0.0  # of the step that is being made
        self.low_precision = False  # bfloat16; set for training on a GPU
        self.steady = False  # the encoder stays in evaluation mode

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode; a steady encoder knows the latter alone."""
        super().train(mode)
        if self.steady:
            self.encoder.eval()
        return self

    def encode(self, encoder: Encoder, x: Tensor) -> Tensor:
        """Features (n, H) in float32 or better. Only the encoder runs in bfloat16: a contrast's logits need digits."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.low_precision):
            hidden = encoder(x)
        return hidden if hidden.dtype == torch.float64 else hidden.float()

    def look(self, clips: Tensor, draws: Draws) -> Tensors:
        """Views of the clips (n, T, M, V, 3); here one, (n, 3, frames, V, M)."""
        return {"view": self.views(clips, draws)}

    def represent(self, views: Tensors) -> Tensors:
        """Features (n, H) of the views that are trained on."""
        return {"view": self.encode(self.encoder, views["view"])}

    def remember(self, views: Tensors, progress: float) -> Tensors:
        """The momentum model's features (n, H) of the views that it is asked for; called without gradient."""
        return {}

    def terms(self, features: Tensors, memory: Tensors, rows: Tensor, progress: float, draws: Draws) -> Tensors:
        """Loss terms of a batch.

        Args:
            features: what :meth:`represent` gave for all clips of the batch, (N, H) each.
            memory: what :meth:`remember` gave for them.
            rows: (N,) the clips' rows in the training set.
            progress: 0 to 1, how much of training is done.
            draws: random numbers of these clips, other ones than those of :meth:`look`.
        """
        raise NotImplementedError

    def begin_step(self) -> None:
        """Called before each optimiser step's first batch."""

    def after_step(self) -> None:
        """Called after each optimiser step."""

    def report(self, progress: float) -> dict[str, float]:
        """Values worth a column in the metrics log."""
        return {}

    def batch_terms(self, clips: Tensor, rows: Tensor, progress: float, seed: int, epoch: int) -> Tensors:
        """All four parts for clips (N, T, M, V, 3) at training rows (N,), as one process does them in one piece."""
        self.begin_step()
        views = self.look(clips, Draws(seed, epoch, rows, LOOK))
        features = self.represent(views)
        with torch.no_grad():
            memory = self.remember(views, progress)
        return self.terms(features, memory, rows, progress, Draws(seed, epoch, rows, TERMS))


@torch.no_grad()
def follow(momentum: nn.Module, student: nn.Module, rate: float) -> None:
    """Exponential moving average of parameters (rate 0.99 keeps 99 %); buffers are copied.

    All tensors of a kind go through one call, which is a handful of kernels on a GPU and the same numbers anywhere.
    """
    slow: list[Tensor] = list(momentum.parameters())
    fast: list[Tensor] = list(student.parameters())
    if slow:
        torch._foreach_lerp_(slow, fast, 1 - rate)
    pairs = list(zip(momentum.buffers(), student.buffers(), strict=True))
    for kind in {kept.dtype for kept, _ in pairs}:
        kept, new = zip(*[pair for pair in pairs if pair[0].dtype == kind], strict=True)
        torch._foreach_copy_(list(kept), list(new))


def frozen_copy(module: Module) -> Module:
    """A copy that takes no gradient."""
    return copy.deepcopy(module).requires_grad_(False)
