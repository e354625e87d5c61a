"""The paper's loss as pure tensors: three-pair cross-modal contrast with progressively softened targets.

C²VL (arXiv 2405.20606) names three pairs (skeleton-vision, skeleton-language, vision-language) and two
softeners, intra-modal self-similarity and inter-modal cross-consistency. Its equations were never released
with code and are not known to us: every formula, temperature and schedule below is OUR reconstruction, and
every open choice is a field of :class:`ObjectiveConfig`.

Special cases by settings, not by copies: ``alpha_max=0`` is the CLIP-style hard contrast; ``gamma=0`` is
SoftCLIP-style (intra only); ``gamma=1`` inter only; ``schedule="fixed"`` switches the progression off;
one modality only is a matter of which features are passed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from c2vl_lab.errors import ConfigError

SKELETON = "skeleton"
MODALITIES = ("vision", "language")
MAX_KAPPA = 100.0


@dataclass(frozen=True)
class ObjectiveConfig:
    """Settings of the contrast. All values are our choice unless a source is named.

    Attributes:
        alpha_max: largest share of the soft targets, 0 to 1.
        gamma: share of the inter-modal target among the soft targets, 0 to 1.
        schedule: "progressive" (half a cosine after a warm-up) or "fixed" (alpha_max from the first step).
        warmup: share of training before alpha leaves 0 (progressive only).
        kappa: start of the learned inverse temperature (CLIP's 1 / 0.07).
        effective_targets: tau of each intra-modal target is chosen so that a row has about this many
            effective targets, exp(entropy), on the training split.
        skeleton_tau: temperature of the skeleton's own self-similarity (momentum features).
        vision_language_pair: whether the third pair counts.
        two_view_weight: weight of an extra contrast of two augmented skeleton views; 0 switches it off.
        contrast_weight: weight of the pairs' contrast. With a small one beside ``regression_weight`` the heads still
            learn the joint space, while the encoder follows the regression.
        regression_weight: weight of predicting every prompt's own feature at its place, without negatives
            (:mod:`c2vl_lab.regression`); not in the paper; 0 switches it off.
    """

    alpha_max: float = 0.5
    gamma: float = 0.5
    schedule: str = "progressive"
    warmup: float = 0.1
    kappa: float = 1 / 0.07
    effective_targets: float = 3.0
    skeleton_tau: float = 0.1
    vision_language_pair: bool = True
    two_view_weight: float = 0.0
    contrast_weight: float = 1.0
    regression_weight: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.alpha_max <= 1 and 0 <= self.gamma <= 1 and 0 <= self.warmup < 1):
            raise ConfigError(
                "alpha_max and gamma must lie in 0..1 and warmup in 0..1 (1 excluded); "
                f"found {self.alpha_max}, {self.gamma}, {self.warmup}."
            )
        if min(self.contrast_weight, self.regression_weight, self.two_view_weight) < 0:
            raise ConfigError(
                "contrast_weight, regression_weight and two_view_weight must not be negative; "
                f"found {self.contrast_weight}, {self.regression_weight}, {self.two_view_weight}."
            )
        if self.schedule not in ("progressive", "fixed"):
            raise ConfigError(f"schedule must be 'progressive' or 'fixed', found '{self.schedule}'.")


def alpha_at(progress: float, config: ObjectiveConfig) -> float:
    """Share of the soft targets at ``progress`` (0 to 1) of training: rises by half a cosine after the warm-up."""
    if config.schedule == "fixed":
        return config.alpha_max
    rise = max(0.0, progress - config.warmup) / (1 - config.warmup)
    return config.alpha_max * 0.5 * (1 - math.cos(math.pi * min(1.0, rise)))


def match_probabilities(a: Tensor, b: Tensor, kappa: Tensor | float) -> Tensor:
    """Logarithm of p_ij = softmax_j(kappa a_i·b_j); a, b: (N, D) of unit length; returns (N, N)."""
    return F.log_softmax(kappa * a @ b.T, dim=1)


@torch.no_grad()
def intra_target(b: Tensor, tau: float) -> Tensor:
    """q^intra_ij = softmax_j(b_i·b_j / tau), the target side's self-similarity; b: (N, D) unit length; (N, N)."""
    return F.softmax(b @ b.T / tau, dim=1)


@torch.no_grad()
def soft_target(intra: Tensor, inter: Tensor, alpha: float | Tensor, gamma: float) -> Tensor:
    """y = (1 - alpha) I + alpha [(1 - gamma) q^intra + gamma q^inter]; all (N, N), rows sum to 1."""
    hard = torch.eye(len(intra), dtype=intra.dtype, device=intra.device)
    return (1 - alpha) * hard + alpha * ((1 - gamma) * intra + gamma * inter)


def soft_cross_entropy(target: Tensor, log_p: Tensor) -> Tensor:
    """Mean over rows of -sum_j y_ij log p_ij; both (N, N)."""
    return -(target * log_p).sum(dim=1).mean()


class ConceptHeads(nn.Module):
    """Linear heads into the shared space, and the learned inverse temperature.

    For each teacher modality m: P_m maps the skeleton feature h (N, H) and W_m the concept feature (N, D_m)
    into a common width D. W starts as the identity. Where the teacher has one space for both modalities, and pooling
    kept it ("mean"), the joint space is the teacher's at first; elsewhere the identity is just an orthogonal start.

    Args:
        hidden: width H of the skeleton feature.
        widths: concept width per modality, for example ``{"language": 256}``.
        kappa: start value of the inverse temperature.
    """

    def __init__(self, hidden: int, widths: dict[str, int], kappa: float) -> None:
        super().__init__()
        shared = max(widths.values())
        self.skeleton = nn.ModuleDict({m: nn.Linear(hidden, shared) for m in widths})
        concept = {m: nn.Linear(width, shared, bias=False) for m, width in widths.items()}
        for head in concept.values():
            nn.init.eye_(head.weight)  # a rectangular identity where the widths differ
        self.concept = nn.ModuleDict(concept)
        self.log_kappa = nn.Parameter(torch.tensor(math.log(kappa)))

    @property
    def kappa(self) -> Tensor:
        """Inverse temperature."""
        return self.log_kappa.exp()

    @torch.no_grad()
    def cap(self) -> None:
        """Hold the inverse temperature at 100 at most, as CLIP does; called after each step."""
        self.log_kappa.clamp_(max=math.log(MAX_KAPPA))

    def forward(self, hidden: Tensor, concepts: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Unit-length skeleton features per modality and concept features, each (N, D)."""
        skeleton = {m: F.normalize(self.skeleton[m](hidden), dim=1) for m in concepts}
        return skeleton, {m: F.normalize(self.concept[m](c), dim=1) for m, c in concepts.items()}


class ConceptContrast(nn.Module):
    """Sum over the pairs of ½ [CE(y^{a->b}, p^{a->b}) + CE(y^{b->a}, p^{b->a})].

    Args:
        config: shares, schedule and temperatures.
        taus: temperature of the frozen concept features' self-similarity, per modality.
    """

    def __init__(self, config: ObjectiveConfig, taus: dict[str, float]) -> None:
        super().__init__()
        self.config = config
        self.taus = taus

    def forward(
        self,
        student: tuple[dict[str, Tensor], dict[str, Tensor], Tensor],
        momentum: tuple[Tensor, dict[str, Tensor], dict[str, Tensor], Tensor] | None,
        concepts: dict[str, Tensor],
        alpha: float | Tensor,
    ) -> dict[str, Tensor]:
        """Loss terms per pair.

        Args:
            student: (skeleton features per modality, concept features per modality, kappa), from the heads.
            momentum: (encoder feature (N, H), then the same three) of the EMA model; None where alpha is 0.
            concepts: frozen, normalised and centred teacher features per modality, (N, D_m).
            alpha: share of the soft targets now; () float64 where a compiled step must not depend on its value.

        Returns:
            ``{"skeleton-language": term, ...}``; their sum is the loss.
        """
        skeleton, concept, kappa = student
        pairs = {f"{SKELETON}-{m}": (skeleton[m], concept[m]) for m in concept}
        if len(concept) == 2 and self.config.vision_language_pair:
            pairs["vision-language"] = (concept["vision"], concept["language"])
        targets = self.targets(momentum, concepts, alpha) if momentum is not None else None
        terms = {}
        for name, (a, b) in pairs.items():
            forward, backward = match_probabilities(a, b, kappa), match_probabilities(b, a, kappa)
            if targets is None:  # the hard contrast needs only the diagonal
                terms[name] = -0.5 * (forward.diagonal().mean() + backward.diagonal().mean())
            else:
                y_forward, y_backward = targets[name]
                terms[name] = 0.5 * (soft_cross_entropy(y_forward, forward) + soft_cross_entropy(y_backward, backward))
        return terms

    @torch.no_grad()
    def targets(self, momentum, concepts: dict[str, Tensor], alpha: float | Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """(y^{a->b}, y^{b->a}) per pair. Inter-modal cross-consistency is what the same row gets elsewhere:

        - skeleton->language takes the EMA model's skeleton->vision row, and the reverse;
        - vision->language goes through the skeleton: p^{vision->skeleton} p^{skeleton->language};
        - with one modality there is no other: the EMA model's own transposed prediction serves.
        """
        hidden, skeleton, concept, kappa = momentum
        blend = lambda intra, inter: soft_target(intra, inter, alpha, self.config.gamma)  # noqa: E731
        self_skeleton = intra_target(F.normalize(hidden - hidden.mean(dim=0), dim=1), self.config.skeleton_tau)
        self_concept = {m: intra_target(F.normalize(c, dim=1), self.taus[m]) for m, c in concepts.items()}
        to_concept = {m: match_probabilities(skeleton[m], concept[m], kappa).exp() for m in concepts}
        to_skeleton = {m: match_probabilities(concept[m], skeleton[m], kappa).exp() for m in concepts}
        targets = {}
        for m in concepts:
            other = next((o for o in concepts if o != m), None)
            if other is None:
                inter_forward, inter_backward = to_skeleton[m], to_concept[m]
            else:
                inter_forward, inter_backward = to_concept[other], to_skeleton[other]
            targets[f"{SKELETON}-{m}"] = (
                blend(self_concept[m], inter_forward),
                blend(self_skeleton, inter_backward),
            )
        if len(concepts) == 2:
            through = to_skeleton["vision"] @ to_concept["language"]
            back = to_skeleton["language"] @ to_concept["vision"]
            targets["vision-language"] = (blend(self_concept["language"], through), blend(self_concept["vision"], back))
        return targets
