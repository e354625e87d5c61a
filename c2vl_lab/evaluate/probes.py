"""Linear probe and k-nearest neighbours on features that were extracted once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from c2vl_lab.errors import ConfigError, DataError

NEIGHBOURS = (1, 5, 10, 20)
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True)
class ProbeResult:
    """Predictions of one probe on the test part and how its setting was chosen.

    Attributes:
        predicted: (n_test,) class indices.
        setting: the chosen inverse regularisation C.
        validation: mean accuracy of that C over the folds inside the training part.
    """

    predicted: np.ndarray
    setting: float
    validation: float


def linear_probe(
    train: np.ndarray, labels: np.ndarray, groups: np.ndarray, test: np.ndarray, seed: int = 0, folds: int = 3
) -> ProbeResult:
    """Multinomial logistic regression on standardised frozen features.

    The regularisation is chosen by cross-validation inside the training part, whole groups (performers) held out
    where there are at least two, so nothing of the test part has a say. Our choice: with a few hundred clips the
    field's 100 SGD epochs at a fixed learning rate measure the optimiser as much as the feature. Of one clip a class
    nothing can be held out: then the regularisation is the strongest.

    Args:
        train: (n, D) features; labels, groups: (n,); test: (m, D) features.
        seed: shuffles the folds.
        folds: number of folds, at most the number of groups.

    Raises:
        DataError: the training part holds fewer than two classes, or features are not finite.
    """
    train, test = _standardised(train, test)
    if len(np.unique(labels)) < 2:
        raise DataError("A linear probe wants at least two classes in the training part.")
    scores = np.zeros(len(STRENGTHS))
    parts = _parts(labels, groups, seed, folds)
    for fit, held in parts:
        start = None
        for index, strength in enumerate(STRENGTHS):
            model = _logistic(train[fit], labels[fit], strength, start)
            start = model.coef_, model.intercept_
            scores[index] += float((model.predict(train[held]) == labels[held]).mean()) / len(parts)
    best = int(np.argmax(scores))
    model = _logistic(train, labels, STRENGTHS[best], None)
    return ProbeResult(model.predict(test), STRENGTHS[best], float(scores[best]))


def nearest_neighbours(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, neighbours: tuple[int, ...] = NEIGHBOURS
) -> dict[int, np.ndarray]:
    """Majority vote of the k nearest training clips by cosine, all k in one pass.

    Features are centred on the training mean first. A tie goes to the lowest class index, as in scikit-learn.

    Args:
        train: (n, D) features; labels: (n,); test: (m, D) features.
        neighbours: the k; those larger than n are left out.

    Returns:
        k to (m,) predicted class indices.

    Raises:
        ConfigError: no k fits the training part.
    """
    wanted = tuple(k for k in neighbours if k <= len(train))
    if not wanted:
        raise ConfigError(f"k of {neighbours} asked for, but the training part has only {len(train)} clips.")
    mean = train.mean(axis=0)
    bank, query = _unit(train - mean), _unit(test - mean)
    classes = int(labels.max()) + 1
    votes = {k: np.empty(len(test), np.int64) for k in wanted}
    for start in range(0, len(query), 1024):
        part = slice(start, start + 1024)
        similarity = query[part] @ bank.T
        top = np.argpartition(-similarity, max(wanted) - 1, axis=1)[:, : max(wanted)]
        order = np.argsort(-np.take_along_axis(similarity, top, axis=1), axis=1, kind="stable")
        near = labels[np.take_along_axis(top, order, axis=1)]
        for k in wanted:
            counts = (near[:, :k, None] == np.arange(classes)).sum(axis=1)
            votes[k][part] = counts.argmax(axis=1)
    return votes


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) counts; rows are true classes, columns predicted ones."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def _parts(labels: np.ndarray, groups: np.ndarray, seed: int, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(clips to fit, clips held out) of the folds that leave two classes to fit; none where there are too few clips."""
    from sklearn.model_selection import GroupKFold, StratifiedKFold

    several, most = len(np.unique(groups)), int(np.unique(labels, return_counts=True)[1].max())
    parts = []
    if several >= 2:
        splitter = GroupKFold(min(folds, several), shuffle=True, random_state=seed)
        parts = [part for part in splitter.split(labels, labels, groups) if len(np.unique(labels[part[0]])) > 1]
    if not parts and most >= 2:
        splitter = StratifiedKFold(min(folds, most), shuffle=True, random_state=seed)
        parts = [part for part in splitter.split(labels, labels) if len(np.unique(labels[part[0]])) > 1]
    return parts


def _logistic(features: np.ndarray, labels: np.ndarray, strength: float, start):
    """A fitted scikit-learn logistic regression, warm-started from (coefficients, intercepts)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=300, tol=1e-3, warm_start=start is not None)
    if start is not None:
        model.coef_, model.intercept_ = start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the strongest C may stop at 300 steps, near enough
        return model.fit(features, labels)


def _standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Zero mean and unit variance by the training part's statistics, float64."""
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise DataError("Features hold values that are not finite; look at the encoder's training log.")
    train, test = train.astype(np.float64), test.astype(np.float64)
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread[spread < 1e-8] = 1.0
    return (train - mean) / spread, (test - mean) / spread


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
