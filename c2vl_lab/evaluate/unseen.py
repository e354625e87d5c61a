"""Zero-shot and generalized zero-shot: a map from frozen features to class texts, learned on seen classes alone.

The map is ridge regression on the features of the texts (our choice: closed form, no seed, nothing to stop early). What
it leaves open, its strength and the handicap of the seen classes, is found by hiding some of the seen classes of the
training part, never on the unseen ones. The encoder was trained without labels, but on clips of all classes: say so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c2vl_lab.errors import DataError
from c2vl_lab.evaluate.probes import standards
from c2vl_lab.evaluate.rows import share, unit

STRENGTHS = (1e-2, 1e-1, 1.0, 10.0)  # ridge, relative to the number of clips
HANDICAPS = tuple(np.round(np.arange(0.0, 1.01, 0.05), 2))  # cosine taken off the seen classes
FOLDS = 4


@dataclass(frozen=True)
class Unseen:
    """What a split of the classes gave on the test part.

    Attributes:
        zero_shot: accuracy on clips of unseen classes, told apart from unseen classes alone.
        seen, unseen: accuracy on clips of seen and of unseen classes, told apart from all classes, the seen ones with
            the handicap; ``harmonic``: their harmonic mean.
        plain_harmonic: the harmonic mean without a handicap.
        strength, handicap: what was found inside the seen classes of the training part.
        clips: test clips of unseen classes.
    """

    zero_shot: float
    seen: float
    unseen: float
    harmonic: float
    plain_harmonic: float
    strength: float
    handicap: float
    clips: int


def unseen_classes(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    truth: np.ndarray,
    texts: np.ndarray,
    unseen: tuple[int, ...],
    seed: int = 0,
) -> Unseen:
    """Learn the map on the seen classes' training clips; tell the test clips' classes by their texts.

    Args:
        train: (n, D) features; labels: (n,); clips of unseen classes are left out before anything else.
        test: (m, D) features; truth: (m,).
        texts: (C, E) unit-length text features of all classes.
        unseen: class indices.
        seed: of the folds.

    Raises:
        DataError: fewer than two seen classes in the training part, or no test clip of an unseen or of a seen class.
    """
    hidden = np.zeros(len(texts), bool)
    hidden[list(unseen)] = True
    train, labels = train[~hidden[labels]], labels[~hidden[labels]]
    is_new = hidden[truth]
    if len(np.unique(labels)) < 2 or not is_new.any() or is_new.all():
        raise DataError(
            f"Seen and unseen classes want two seen classes in the training part and test clips of both, found "
            f"{len(np.unique(labels))} seen classes, {is_new.sum()} test clips of unseen and {(~is_new).sum()} of seen."
        )
    strength, handicap = _choose(train, labels, texts, seed)
    cosine = _cosines(train, labels, test, texts, strength)
    alone = np.where(hidden, cosine, -np.inf).argmax(axis=1)
    seen, new = _both(cosine, truth, hidden, handicap)
    plain = _both(cosine, truth, hidden, 0.0)
    return Unseen(
        share(alone[is_new], truth[is_new]),
        seen,
        new,
        harmonic_mean(seen, new),
        harmonic_mean(*plain),
        strength,
        handicap,
        int(is_new.sum()),
    )


def by_prompts(cosine: np.ndarray, truth: np.ndarray, unseen: tuple[int, ...]) -> Unseen:
    """The same of a joint space that no label has shaped: nearest class text, nothing learned and no handicap.

    Args:
        cosine: (m, C) of test clips and class texts in the joint space; truth: (m,); unseen: class indices.
    """
    hidden = np.zeros(cosine.shape[1], bool)
    hidden[list(unseen)] = True
    is_new = hidden[truth]
    alone = np.where(hidden, cosine, -np.inf).argmax(axis=1)
    seen, new = _both(cosine, truth, hidden, 0.0)
    both = harmonic_mean(seen, new)
    return Unseen(share(alone[is_new], truth[is_new]), seen, new, both, both, 0.0, 0.0, int(is_new.sum()))


def harmonic_mean(first: float, second: float) -> float:
    """Of two accuracies; 0 where one of them is 0."""
    return 2 * first * second / (first + second) if first * second else 0.0


def _both(cosine: np.ndarray, truth: np.ndarray, hidden: np.ndarray, handicap: float) -> tuple[float, float]:
    """Accuracy on clips of seen and of hidden classes among all classes."""
    guess = (cosine - handicap * ~hidden).argmax(axis=1)
    is_new = hidden[truth]
    return share(guess[~is_new], truth[~is_new]), share(guess[is_new], truth[is_new])


def _cosines(train: np.ndarray, labels: np.ndarray, test: np.ndarray, texts: np.ndarray, strength: float) -> np.ndarray:
    """(m, C) cosines of mapped features and class texts."""
    mean, spread = standards(train)
    rows = (train - mean) / spread
    # the mean of the seen texts, each clip counting once, is taken off, so that the map has no constant part
    middle = texts[labels].mean(axis=0)
    weights = ridge(rows, texts[labels] - middle, strength * len(rows))
    return unit((test - mean) / spread @ weights) @ unit(texts - middle).T


def ridge(rows: np.ndarray, targets: np.ndarray, strength: float) -> np.ndarray:
    """(D, E) weights that least miss the (n, E) targets of (n, D) rows, plus ``strength`` times their squares' sum.

    The normal equations of D features or of n clips, whichever are fewer: the weights are the same.
    """
    if len(rows) < rows.shape[1]:
        return rows.T @ np.linalg.solve(rows @ rows.T + strength * np.eye(len(rows)), targets)
    return np.linalg.solve(rows.T @ rows + strength * np.eye(rows.shape[1]), rows.T @ targets)


def _choose(train: np.ndarray, labels: np.ndarray, texts: np.ndarray, seed: int) -> tuple[float, float]:
    """Strength and handicap with the best harmonic mean where a part of the seen classes is hidden in turn.

    Of the classes that stay half of the clips are held out, so that they too are tested on clips not learned from.
    """
    rng = np.random.default_rng(seed)
    known, learned = rng.permutation(np.unique(labels)), rng.uniform(size=len(labels)) < 0.5
    folds = [part for part in np.array_split(known, min(FOLDS, len(known) // 2)) if len(part)]
    scores = np.zeros((len(STRENGTHS), len(HANDICAPS)))
    for part in folds if len(folds) > 1 else []:
        hidden = np.zeros(len(texts), bool)
        hidden[part] = True
        fit = ~hidden[labels] & learned
        asked = ~fit
        here = np.full(len(texts), -np.inf)
        here[known] = 0  # only classes that are seen take part
        for i, strength in enumerate(STRENGTHS):
            cosine = _cosines(train[fit], labels[fit], train[asked], texts, strength) + here
            pairs = [_both(cosine, labels[asked], hidden, handicap) for handicap in HANDICAPS]
            scores[i] += [harmonic_mean(*pair) for pair in pairs]
    best, least = divmod(int(scores.argmax()), len(HANDICAPS))
    return STRENGTHS[best], float(HANDICAPS[least])
