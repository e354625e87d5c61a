"""Few labels: which clips keep theirs, drawn per class with a seed, and linear probes that see no other label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c2vl_lab.errors import ConfigError
from c2vl_lab.evaluate.probes import linear_probe

SHARES = (0.01, 0.05, 0.1, 0.2)
DRAWS = 5


@dataclass(frozen=True)
class Draw:
    """One draw of labelled clips and the probe that was trained on them.

    Attributes:
        share: of the training part's clips that was asked for.
        seed: of the draw.
        labelled: (k,) places in the training part, ascending.
        predicted: (m,) class indices of the test part.
    """

    share: float
    seed: int
    labelled: np.ndarray
    predicted: np.ndarray


def draw_labelled(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Places of the clips that keep their labels: a share of each class, at least one clip, ascending.

    ``round(share x clips of the class)`` as AimCLR draws, per class and by a generator of its own, so that the same
    seed gives the same clips whatever ran before (peers draw over all classes at once, some without a seed). With one
    seed a larger share contains the smaller one.

    Args:
        labels: (n,) of the training part; nothing of the test part is needed.
        share: more than 0, at most 1.
        seed: of the draw.

    Raises:
        ConfigError: the share is out of range.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"The share of labelled clips must be more than 0 and at most 1, found {share}.")
    chosen = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        order = np.random.default_rng([seed, int(label)]).permutation(own)
        chosen.append(order[: max(1, int(np.floor(share * len(own) + 0.5)))])
    return np.sort(np.concatenate(chosen))


def few_label_probes(
    train: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    test: np.ndarray,
    shares: tuple[float, ...] = SHARES,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Draw]:
    """Linear probes on frozen features with a part of the labels, each share drawn several times.

    The features are standardised by the whole training part, which needs no label; everything else, the choice of the
    regularisation too, sees the labelled clips alone.

    Args:
        train: (n, D) features; labels, groups: (n,); test: (m, D) features.
        shares: of the labels.
        draws: for each share, with the seeds ``seed``, ``seed + 1``, ...
        seed: of the first draw.

    Raises:
        ConfigError: a share is out of range.
        DataError: the training part holds fewer than two classes, or features are not finite.
    """
    found = []
    for share in shares:
        for own in range(seed, seed + draws):
            rows = draw_labelled(labels, share, own)
            probe = linear_probe(train[rows], labels[rows], groups[rows], test, seed=own, unlabelled=train)
            found.append(Draw(share, own, rows, probe.predicted))
    return found
