"""What soft targets point at: how much of them falls on clips of the same class, which labels alone can tell.

For looking, after training: nothing here is read by a loss. Our measure; the paper has none of the kind.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from c2vl_lab.data.augment import whole_clip
from c2vl_lab.errors import ConfigError
from c2vl_lab.evaluate.run_points import RunPoints
from c2vl_lab.evaluate.run_targets import momentum_of
from c2vl_lab.models.encoders import as_input
from c2vl_lab.objective import SKELETON, ConceptContrast

KINDS = {"intra-modal": 0.0, "inter-modal": 1.0}  # and their gamma
COLUMNS = ("pair", "target", "itself", "same class", "other classes", "same class, by chance")


@torch.no_grad()
def target_classes(run: RunPoints, draws: int = 8, seed: int = 0) -> pd.DataFrame:
    """Mean share of the intra-modal and of the inter-modal target on the clip itself, its class and other classes.

    Over random batches of training clips, whole clips without augmentation, by the finished momentum model. The targets
    are those of training before they are mixed with the hard one. ``same class, by chance`` is the share of the
    batch's other clips that are of the clip's class: what a target that knows nothing would put there of its mass on
    other clips.

    Args:
        run: an opened run of arm ``full`` or ``hard``.
        draws: number of batches.
        seed: of the draw.

    Returns:
        One row a pair and kind with :data:`COLUMNS`; the shares of a row add up to 1 over the three places.

    Raises:
        ConfigError: the run has no momentum model, having learned from hard targets alone.
    """
    learner, experiment = run.learner.cpu().eval(), run.experiment
    if learner.config.alpha_max == 0:
        raise ConfigError("The run has no soft targets; wanted arm full.")
    train = experiment.split.train
    labels = experiment.store.labels[train]
    batch = min(experiment.config.batch_size, len(train))
    rng = np.random.default_rng(seed)
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for _ in range(draws):
        order = rng.permutation(len(train))[:batch]
        shown = torch.from_numpy(np.array(experiment.clips[train[order]]))
        shown = as_input(whole_clip(shown, learner.views.frames), learner.views.layout, learner.views.stream)
        momentum, concepts = momentum_of(learner, shown, order)
        for kind, gamma in KINDS.items():
            contrast = ConceptContrast(replace(learner.contrast.config, gamma=gamma), learner.contrast.taus)
            for pair, sides in contrast.targets(momentum, concepts, 1.0).items():
                if pair.startswith(SKELETON):
                    places = [shares(side.numpy(), labels[order]) for side in sides]
                    for way, own in zip((pair, "-".join(reversed(pair.split("-")))), places, strict=True):
                        found.setdefault((way, kind), []).append(own)
    return pd.DataFrame([(*key, *np.mean(rows, axis=0)) for key, rows in found.items()], columns=list(COLUMNS))


def shares(target: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(4,) mean mass of the rows of a target on the clip itself, on its class, on others; and the class's by chance.

    Args:
        target: (n, n) rows that sum to 1.
        labels: (n,) class indices.
    """
    same = labels[:, None] == labels[None, :]
    own = np.eye(len(labels), dtype=bool)
    masses = [np.where(where, target, 0.0).sum(axis=1).mean() for where in (own, same & ~own, ~same)]
    return np.array([*masses, (same & ~own).sum(axis=1).mean() / (len(labels) - 1)])
