"""What is trained: an encoder with the heads, momentum copies and loss terms of one method."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from c2vl_lab.baselines import ViewProjection, supervised_loss, two_view_contrast
from c2vl_lab.concepts import PooledEachStep
from c2vl_lab.data.augment import AugmentConfig, augment
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import DataError
from c2vl_lab.models.base import Encoder
from c2vl_lab.models.encoders import as_input
from c2vl_lab.models.pooling import AttentionPooling, PlacePooling, SubsetPooling
from c2vl_lab.objective import ConceptContrast, ConceptHeads, ObjectiveConfig, alpha_at
from c2vl_lab.regression import PromptRegression

Module = TypeVar("Module", bound=nn.Module)


class Views:
    """Makes encoder inputs from a batch of normalised clips."""

    def __init__(self, layout: JointLayout, stream: str, config: AugmentConfig, frames: int) -> None:
        self.layout, self.stream, self.config, self.frames = layout, stream, config, frames

    def __call__(self, clips: Tensor, generator: torch.Generator) -> Tensor:
        """(N, T, M, V, 3) -> one augmented (N, 3, frames, V, M)."""
        view = augment(clips, self.config, self.frames, generator, self.layout)
        return as_input(view, self.layout, self.stream)


@torch.no_grad()
def follow(momentum: nn.Module, student: nn.Module, rate: float) -> None:
    """Exponential moving average of parameters (rate 0.99 keeps 99 %); buffers are copied."""
    for slow, fast in zip(momentum.parameters(), student.parameters(), strict=True):
        slow.lerp_(fast, 1 - rate)
    for kept, new in zip(momentum.buffers(), student.buffers(), strict=True):
        kept.copy_(new)


def frozen_copy(module: Module) -> Module:
    """A copy that takes no gradient."""
    return copy.deepcopy(module).requires_grad_(False)


class Learner(nn.Module):
    """Base of the methods: ``terms`` gives the loss terms of a batch, ``after_step`` moves the momentum copies."""

    def __init__(self, encoder: Encoder, views: Views, momentum: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.views = views
        self.momentum = momentum
        self.low_precision = False  # bfloat16; set for training on a GPU

    def encode(self, encoder: Encoder, x: Tensor) -> Tensor:
        """Features (N, H) in float32. Only the encoder may run in bfloat16: logits of a contrast need the digits."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.low_precision):
            hidden = encoder(x)
        return hidden.float()

    def terms(self, clips: Tensor, rows: Tensor, progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Loss terms of the clips (N, T, M, V, 3) at training rows (N,); progress runs from 0 to 1."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Called after each optimiser step."""

    def report(self, progress: float) -> dict[str, float]:
        """Values worth a column in the metrics log."""
        return {}


class ConceptLearner(Learner):
    """C²VL: skeletons against frozen language and vision concepts.

    Args:
        encoder, views, momentum: as in :class:`Learner`.
        concepts: pooled, centred teacher features of the training clips per modality, (N, D_m).
        taus: intra-modal temperature per modality.
        config: objective.
        view_tau: temperature of the optional two-view term.
        pooled: modalities whose K features are pooled in each step, instead of taken from ``concepts``. The soft
            targets are from ``concepts`` all the same: they are to be the frozen teacher's own word.
        places: targets of the regression per modality, (N, K, D); wanted where ``regression_weight`` is not 0.

    Raises:
        DataError: a regression without targets.
    """

    def __init__(
        self,
        encoder: Encoder,
        views: Views,
        momentum: float,
        concepts: dict[str, Tensor],
        taus: dict[str, float],
        config: ObjectiveConfig,
        view_tau: float,
        pooled: dict[str, PooledEachStep] | None = None,
        places: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__(encoder, views, momentum)
        self.config = config
        self.raw = {m: given.features for m, given in (pooled or {}).items()}
        self.pools = nn.ModuleDict({m: build_pooling(given) for m, given in (pooled or {}).items()})
        self.concepts = concepts
        widths = {m: c.shape[1] for m, c in concepts.items()}
        self.heads = ConceptHeads(encoder.dim, widths, config.kappa)
        self.contrast = ConceptContrast(config, taus)
        if config.regression_weight > 0 and not places:
            raise DataError(
                "regression_weight wants the targets of every place of the prompts (places); none were given."
            )
        self.regressions = nn.ModuleDict({m: PromptRegression(encoder.dim, p) for m, p in (places or {}).items()})
        if config.alpha_max > 0:  # the hard contrast never asks the momentum model
            self.slow_encoder, self.slow_heads = frozen_copy(encoder), frozen_copy(self.heads)
            self.slow_pools = frozen_copy(self.pools)
        if config.two_view_weight > 0:
            self.pairs = ViewLearner(encoder, views, momentum, view_tau)

    def terms(self, clips: Tensor, rows: Tensor, progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        """One term a pair."""
        x = self.views(clips, generator)
        concepts = {m: c[rows] for m, c in self.concepts.items()}
        raw = {m: self._read(m, rows) for m in self.pools}
        alpha = alpha_at(progress, self.config)
        momentum = None
        if alpha > 0:
            with torch.no_grad():
                self.slow_encoder.eval()
                hidden = self.encode(self.slow_encoder, x)
                slow = concepts | {m: pool(raw[m]) for m, pool in self.slow_pools.items()}
                momentum = (hidden, *self.slow_heads(hidden, slow), self.slow_heads.kappa)
        shown = concepts | {m: pool(raw[m], generator) for m, pool in self.pools.items()}
        found = self.encode(self.encoder, x)
        pairs = self.contrast((*self.heads(found, shown), self.heads.kappa), momentum, concepts, alpha)
        terms = {name: self.config.contrast_weight * term for name, term in pairs.items()}
        for m, regression in self.regressions.items():
            terms[f"regression of {m}"] = self.config.regression_weight * regression(found, rows)
        if self.config.two_view_weight > 0:
            self.pairs.low_precision = self.low_precision
            extra = self.pairs.terms(clips, rows, progress, generator)
            terms |= {name: self.config.two_view_weight * term for name, term in extra.items()}
        return terms

    def _read(self, modality: str, rows: Tensor) -> Tensor:
        """(N, K, D) teacher features of the batch, from the disk to the device."""
        return torch.from_numpy(self.raw[modality][rows.cpu().numpy()]).to(rows.device)

    def after_step(self) -> None:
        """Move the momentum encoder and heads, and cap the inverse temperature."""
        self.heads.cap()
        if self.config.two_view_weight > 0:
            self.pairs.after_step()
        if self.config.alpha_max > 0:
            follow(self.slow_encoder, self.encoder, self.momentum)
            follow(self.slow_heads, self.heads, self.momentum)
            follow(self.slow_pools, self.pools, self.momentum)

    def report(self, progress: float) -> dict[str, float]:
        """The schedule's alpha and the learned inverse temperature."""
        return {"alpha": alpha_at(progress, self.config), "kappa": float(self.heads.kappa.detach())}


def build_pooling(given: PooledEachStep) -> PlacePooling:
    """Attention, or subsets, with the centring of the concept space."""
    places = None if given.places is None else torch.from_numpy(given.places)
    mean = torch.from_numpy(given.mean)
    if given.subset:
        return SubsetPooling(places, mean, given.subset)
    return AttentionPooling(places, mean, given.features.shape[1])


class ViewLearner(Learner):
    """SkeletonCLR-style: two augmented views of a clip, a momentum key encoder, no text."""

    def __init__(self, encoder: Encoder, views: Views, momentum: float, tau: float) -> None:
        super().__init__(encoder, views, momentum)
        self.tau = tau
        self.project = ViewProjection(encoder.dim)
        self.slow_encoder, self.slow_project = frozen_copy(encoder), frozen_copy(self.project)

    def terms(self, clips: Tensor, rows: Tensor, progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        """The two-view contrast."""
        query = self.project(self.encode(self.encoder, self.views(clips, generator)))
        with torch.no_grad():
            key = self.slow_project(self.encode(self.slow_encoder, self.views(clips, generator)))
        return {"two-view": two_view_contrast(query, key, self.tau)}

    def after_step(self) -> None:
        """Move the key encoder."""
        follow(self.slow_encoder, self.encoder, self.momentum)
        follow(self.slow_project, self.project, self.momentum)


class SupervisedLearner(Learner):
    """The upper bound: the same encoder with a linear classifier on the labels of the training clips."""

    def __init__(self, encoder: Encoder, views: Views, labels: Tensor, classes: int) -> None:
        super().__init__(encoder, views, momentum=0.0)
        self.labels = labels
        self.classify = nn.Linear(encoder.dim, classes)

    def terms(self, clips: Tensor, rows: Tensor, progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Cross-entropy on the labels."""
        logits = self.classify(self.encode(self.encoder, self.views(clips, generator)))
        return {"cross-entropy": supervised_loss(logits, self.labels[rows])}
