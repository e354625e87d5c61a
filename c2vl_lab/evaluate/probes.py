"""The linear probe on features that were extracted once: logistic regression, and what any linear probe returns."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from c2vl_lab.errors import DataError

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True)
class LinearClassifier:
    """A fitted linear probe, ready for features that it has not seen.

    Attributes:
        mean, spread: (D,) that standardise a feature; 0 and 1 for a probe on features as they are.
        weights: (D, C), one column a class; ``bias``: (C,).
        classes: (C,) class indices of the columns: those of the training part.
    """

    mean: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    classes: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        """(m, highest class + 1) logits in float64; minus infinity for a class that the training part lacks."""
        found = np.full((len(features), int(self.classes.max()) + 1), -np.inf)
        found[:, self.classes] = ((features.astype(np.float64) - self.mean) / self.spread) @ self.weights + self.bias
        return found

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(m,) class indices."""
        return self.scores(features).argmax(axis=1)


@dataclass(frozen=True)
class ProbeResult:
    """Predictions of one probe on the test part and how its setting was chosen.

    Attributes:
        predicted: (n_test,) class indices.
        setting: the chosen inverse regularisation C, or the learning rate.
        validation: mean accuracy of that setting over the folds inside the training part; NaN where nothing was chosen.
        classifier: the probe itself.
    """

    predicted: np.ndarray
    setting: float
    validation: float
    classifier: LinearClassifier


def linear_probe(
    train: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    test: np.ndarray,
    seed: int = 0,
    folds: int = 3,
    unlabelled: np.ndarray | None = None,
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
        unlabelled: (k, D) features whose mean and spread standardise, where few of the training clips are labelled;
            None: those of ``train``.

    Raises:
        DataError: the training part holds fewer than two classes, or features are not finite.
    """
    check_probe(train, labels, test)
    mean, spread = standards(train if unlabelled is None else unlabelled)
    scaled = (train.astype(np.float64) - mean) / spread
    scores = np.zeros(len(STRENGTHS))
    parts = held_out_parts(labels, groups, seed, folds)
    for fit, held in parts:
        start = None
        for index, strength in enumerate(STRENGTHS):
            model = _logistic(scaled[fit], labels[fit], strength, start)
            start = model.coef_, model.intercept_
            scores[index] += float((model.predict(scaled[held]) == labels[held]).mean()) / len(parts)
    best = int(np.argmax(scores))
    model = _logistic(scaled, labels, STRENGTHS[best], None)
    weights, bias = model.coef_.T, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps the difference of the two
        weights, bias = np.hstack([np.zeros_like(weights), weights]), np.array([0.0, bias[0]])
    classifier = LinearClassifier(mean, spread, weights, bias, model.classes_)
    return ProbeResult(classifier.predict(test), STRENGTHS[best], float(scores[best]), classifier)


def check_probe(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> None:
    """Refuse what no probe can learn from.

    Raises:
        DataError: the training part holds fewer than two classes, or features are not finite.
    """
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise DataError("Features hold values that are not finite; look at the encoder's training log.")
    if len(np.unique(labels)) < 2:
        raise DataError("A linear probe wants at least two classes in the training part.")


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) counts; rows are true classes, columns predicted ones."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def held_out_parts(
    labels: np.ndarray, groups: np.ndarray, seed: int, folds: int
) -> list[tuple[np.ndarray, np.ndarray]]:
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
        warnings.filterwarnings("ignore", "The number of unique classes")  # one clip a class is what was asked for
        return model.fit(features, labels)


def standards(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(D,) mean and (D,) spread in float64; a feature that never changes has spread 1."""
    wide = features.astype(np.float64)
    mean, spread = wide.mean(axis=0), wide.std(axis=0)
    spread[spread < 1e-8] = 1.0
    return mean, spread
