"""A run's soft targets over training: which other clips count as a match while alpha grows, and the model learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from c2vl_lab.data.augment import whole_clip
from c2vl_lab.errors import ConfigError
from c2vl_lab.evaluate.run_points import RunPoints
from c2vl_lab.learners.concept import ConceptLearner
from c2vl_lab.models.encoders import as_input
from c2vl_lab.objective import SKELETON, alpha_at
from c2vl_lab.training.states import kept_states, load_state

STAGES = (0.0, 0.25, 0.5, 1.0)


@torch.no_grad()
def target_stages(
    run: RunPoints, stages: Sequence[float] = STAGES, modality: str = "", most: int = 60
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Soft targets of the pair skeleton to ``modality`` for training clips, as training goes on.

    Alpha and the teacher's share are exactly those of training. The model's own share (the inter-modal target) is:

    * of a run that kept states (``keep_every``), that of the weights of the kept epoch nearest to each stage. Training
      takes it from the momentum copy, which states do not hold and which lags behind by some 1 / (1 - momentum) steps;
      at the end the momentum copy is there and is taken.
    * of any other run that of the finished momentum model at every stage, since nothing else was kept.

    Args:
        run: an opened run of arm ``full``.
        stages: shares of training, 0 to 1.
        modality: ``language`` or ``vision``; "": language where it was learned, else vision.
        most: clips, spread evenly over the training clips sorted by class.

    Returns:
        Stage as "epoch 10, alpha 0.25", or without kept states as "alpha 0.25 (50 %)", to (n, n) rows that sum to 1;
        and the (n,) sorted class indices.

    Raises:
        ConfigError: the run has no such modality, or hard targets alone (``alpha_max=0``).
    """
    learner, experiment = run.learner.cpu().eval(), run.experiment
    modality = modality or ("language" if "language" in learner.concepts else "vision")
    if modality not in learner.concepts or learner.config.alpha_max == 0:
        raise ConfigError(f"The run has no soft targets for '{modality}'; wanted arm full with that modality.")
    labels = experiment.store.labels[experiment.split.train]
    order = np.argsort(labels, kind="stable")
    order = order[np.unique(np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int))]
    clips = torch.from_numpy(np.array(experiment.clips[experiment.split.train[order]]))
    shown = as_input(whole_clip(clips, learner.views.frames), learner.views.layout, learner.views.stream)
    kept = kept_states(run.path)
    found = {}
    for title, share, folder in _moments(stages, kept, experiment.config.epochs, learner):
        model = learner if folder is None else _as_it_was(learner, folder)
        found[title] = _targets(model, shown, order, share, f"{SKELETON}-{modality}").numpy()
    return found, labels[order]


def _moments(
    stages: Sequence[float], kept: Mapping[int, Path], epochs: int, learner: ConceptLearner
) -> list[tuple[str, float, Path | None]]:
    """Title, share of training, and the state to look at (None: the finished model) of each stage."""
    if not kept:
        shares = [(share, alpha_at(share, learner.config)) for share in stages]
        return [(f"alpha {alpha:.2f} ({100 * share:.0f} %)", share, None) for share, alpha in shares]
    there = [0, *kept, epochs]  # at 0 alpha is 0, and no model is asked
    nearest = sorted({min(there, key=lambda epoch: abs(epoch - share * epochs)) for share in stages})
    found = []
    for epoch in nearest:
        title = f"epoch {epoch}, alpha {alpha_at(epoch / epochs, learner.config):.2f}"
        found.append((title, epoch / epochs, kept.get(epoch) if epoch < epochs else None))
    return found


def _as_it_was(learner: ConceptLearner, folder: Path) -> ConceptLearner:
    """A copy with a kept state's weights, which stand for the momentum copy of that time."""
    past = deepcopy(learner)
    load_state(folder, past)
    past.slow_encoder, past.slow_heads, past.slow_pools = past.encoder, past.heads, past.pools
    return past.eval()


def _targets(learner: ConceptLearner, shown: Tensor, order: np.ndarray, share: float, pair: str) -> Tensor:
    """(n, n) targets of a pair, as the objective makes them of a batch of these clips."""
    momentum, concepts = momentum_of(learner, shown, order)
    target: Tensor = learner.contrast.targets(momentum, concepts, alpha_at(share, learner.config))[pair][0]
    return target


def momentum_of(learner: ConceptLearner, shown: Tensor, order: np.ndarray) -> tuple[Any, dict[str, Tensor]]:
    """What the momentum model gives the objective for some training clips, and their frozen concepts.

    Args:
        shown: (n, C, T, V, M) the clips as the encoder takes them.
        order: (n,) their places in the training part.
    """
    rows = torch.from_numpy(order)
    concepts = {m: own[rows.to(own.device)].cpu() for m, own in learner.concepts.items()}
    hidden = learner.slow_encoder.eval()(shown)
    pooled = {m: pool(torch.from_numpy(learner.raw[m][order])) for m, pool in learner.slow_pools.items()}
    return (hidden, *learner.slow_heads(hidden, concepts | pooled), learner.slow_heads.kappa), concepts
