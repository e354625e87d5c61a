"""Do the features fall into the classes by themselves? k-means, with clusters matched to classes afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c2vl_lab.errors import DataError
from c2vl_lab.evaluate.probes import confusion_matrix
from c2vl_lab.evaluate.rows import unit

STARTS = 10  # k-means keeps the tightest of so many random starts


@dataclass(frozen=True)
class Clustering:
    """One k-means and how its clusters agree with the classes of the test part.

    Attributes:
        matched: (m,) class of each test clip's cluster, clusters matched with classes one to one (Hungarian method) on
            the test labels: the field's number, which is an upper bound by construction; -1 for a cluster left over.
        predicted: (m,) the same with the matching found on the training labels, so that the test labels only score.
        nmi: normalised mutual information (arithmetic mean); ``ari``: adjusted Rand index; neither matches anything.
    """

    matched: np.ndarray
    predicted: np.ndarray
    nmi: float
    ari: float


def cluster(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray, classes: int, seed: int = 0
) -> Clustering:
    """k-means on centred unit-length training features, one cluster a class of the training part; test clips join.

    Labels take no part in the clustering. The number of clusters is the number of classes, as in the field.

    Args:
        train: (n, D) features; labels: (n,), to match clusters with classes.
        test: (m, D) features; truth: (m,) their labels, to score.
        classes: C, all classes of the set.
        seed: of the random starts.

    Raises:
        DataError: fewer training clips than classes.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    count = len(np.unique(labels))
    if len(train) <= count:
        raise DataError(f"Clustering wants more training clips than classes, found {len(train)} for {count}.")
    mean = train.mean(axis=0)
    model = KMeans(count, n_init=STARTS, random_state=seed).fit(unit(train - mean))
    own, found = model.labels_, model.predict(unit(test - mean))
    return Clustering(
        matched=match_clusters(found, truth, count, classes)[found],
        predicted=match_clusters(own, labels, count, classes)[found],
        nmi=float(normalized_mutual_info_score(truth, found)),
        ari=float(adjusted_rand_score(truth, found)),
    )


def match_clusters(clusters: np.ndarray, labels: np.ndarray, count: int, classes: int) -> np.ndarray:
    """(count,) class of each cluster: the one-to-one matching that puts most clips right; -1 for one left over.

    Args:
        clusters: (n,) cluster of each clip, below ``count``; labels: (n,) its class, below ``classes``.
    """
    from scipy.optimize import linear_sum_assignment

    size = max(count, classes)
    rows, columns = linear_sum_assignment(confusion_matrix(clusters, labels, size), maximize=True)
    matched = np.full(size, -1)
    matched[rows] = np.where(columns < classes, columns, -1)
    return matched[:count]
