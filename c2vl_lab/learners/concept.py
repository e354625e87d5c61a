"""C²VL: skeletons against frozen language and vision concepts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl_lab.concepts import PooledEachStep
from c2vl_lab.data.draws import Draws
from c2vl_lab.errors import DataError
from c2vl_lab.learners.base import Learner, Momentum, Tensors, Views, follow, frozen_copy
from c2vl_lab.learners.views import ContrastConfig, ViewLearner
from c2vl_lab.models.base import Encoder
from c2vl_lab.models.pooling import AttentionPooling, PlacePooling, SubsetPooling
from c2vl_lab.objective import ConceptContrast, ConceptHeads, ObjectiveConfig, alpha_at
from c2vl_lab.regression import PromptRegression

PAIRS = "two-view."  # before the names of the extra term's views and features


class ConceptLearner(Learner):
    """C²VL: skeletons against frozen language and vision concepts.

    Args:
        encoder, views, momentum: as in :class:`Learner`.
        concepts: pooled, centred teacher features of the training clips per modality, (N, D_m).
        taus: intra-modal temperature per modality.
        config: objective.
        pairs: the optional two-view term.
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
        momentum: Momentum,
        concepts: dict[str, Tensor],
        taus: dict[str, float],
        config: ObjectiveConfig,
        pairs: ContrastConfig,
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
            self.pairs = ViewLearner(encoder, views, momentum, pairs)

    def look(self, clips: Tensor, draws: Draws) -> Tensors:
        """One view; two more for the extra term."""
        views = super().look(clips, draws)
        if self.config.two_view_weight > 0:
            self.pairs.low_precision = self.low_precision
            views |= _named(self.pairs.look(clips, draws))
        return views

    def represent(self, views: Tensors) -> Tensors:
        """The view's features, and those of the extra term."""
        features = super().represent(views)
        return features | (_named(self.pairs.represent(_own(views))) if self.config.two_view_weight > 0 else {})

    def remember(self, views: Tensors, progress: float) -> Tensors:
        """The momentum encoder's features of the view, as soon as soft targets have a share."""
        memory = {}
        if alpha_at(progress, self.config) > 0:
            self.slow_encoder.eval()
            memory["view"] = self.encode(self.slow_encoder, views["view"])
        return memory | (_named(self.pairs.remember(_own(views), progress)) if self.config.two_view_weight > 0 else {})

    def terms(self, features: Tensors, memory: Tensors, rows: Tensor, progress: float, draws: Draws) -> Tensors:
        """One term a pair of modalities, and the extra term."""
        self.progress = progress
        concepts = {m: c[rows] for m, c in self.concepts.items()}
        raw = {m: self._read(m, rows) for m in self.pools}
        momentum = None
        if "view" in memory:
            with torch.no_grad():
                slow = concepts | {m: pool(raw[m]) for m, pool in self.slow_pools.items()}
                momentum = (memory["view"], *self.slow_heads(memory["view"], slow), self.slow_heads.kappa)
        shown = concepts | {m: pool(raw[m], draws) for m, pool in self.pools.items()}
        student = self.heads(features["view"], shown)
        # filled on the device: a number would be compiled in, and it changes with every step
        alpha = torch.full((), alpha_at(progress, self.config), dtype=torch.float64, device=rows.device)
        pairs = self.contrast((*student, self.heads.kappa), momentum, concepts, alpha)
        terms = {name: self.config.contrast_weight * term for name, term in pairs.items()}
        for m, regression in self.regressions.items():
            terms[f"regression of {m}"] = self.config.regression_weight * regression(features["view"], rows)
        if self.config.two_view_weight > 0:
            extra = self.pairs.terms(_own(features), _own(memory), rows, progress, draws)
            terms |= {name: self.config.two_view_weight * term for name, term in extra.items()}
        return terms

    def _read(self, modality: str, rows: Tensor) -> Tensor:
        """(N, K, D) teacher features of the batch, from the disk to the device."""
        return torch.from_numpy(self.raw[modality][rows.cpu().numpy()]).to(rows.device)

    def begin_step(self) -> None:
        """The extra term's queue forgets what came to nothing."""
        if self.config.two_view_weight > 0:
            self.pairs.begin_step()

    def after_step(self) -> None:
        """Move the momentum encoder and heads, and cap the inverse temperature."""
        self.heads.cap()
        if self.config.two_view_weight > 0:
            self.pairs.after_step()
        if self.config.alpha_max > 0:
            rate = self.momentum.at(self.progress)
            follow(self.slow_encoder, self.encoder, rate)
            follow(self.slow_heads, self.heads, rate)
            follow(self.slow_pools, self.pools, rate)

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


def _named(tensors: Tensors) -> Tensors:
    """The extra term's tensors under names of their own."""
    return {PAIRS + name: tensor for name, tensor in tensors.items()}


def _own(tensors: Tensors) -> Tensors:
    """The extra term's tensors under the names that it gave them."""
    return {name.removeprefix(PAIRS): tensor for name, tensor in tensors.items() if name.startswith(PAIRS)}
