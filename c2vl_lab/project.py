"""Many dimensions on a flat map, with the two numbers that say how far to trust it.

A two-dimensional map always bends neighbourhoods. Beside every projection stand its *trustworthiness*
(Venna and Kaski 2001: are the neighbours on the map real ones?) and its *neighbour overlap* (which share
of the k nearest neighbours is the same before and after).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from c2vl_lab.errors import ConfigError, DataError, choose
from c2vl_lab.project_methods import METHODS, TITLES

QUERIES = 2000  # rows whose neighbourhoods are measured; more would not change the third digit
PAIRS = (
    600_000_000  # of a query and a point that are looked at in all, so that a large map does not wait for its numbers
)
CHUNK = 20_000_000  # such pairs in memory at a time


@dataclass(frozen=True)
class Projection:
    """A finished map.

    Attributes:
        coordinates: modality to (N, n_components) float32; NaN rows where the features were NaN.
        method: one of :data:`~c2vl_lab.project_methods.METHODS`.
        parameters: what the method was told; for PCA also the share of variance that the map shows.
        seed: the random seed (PCA needs none).
        library: name and version of what computed it.
        trustworthiness: 0 to 1, over all points of the joint fit.
        neighbour_overlap: 0 to 1, over all points of the joint fit.
        neighbours: the k of both numbers.
        per_modality: modality to (trustworthiness, neighbour overlap) among its own points alone.
    """

    coordinates: dict[str, np.ndarray]
    method: str
    parameters: dict[str, Any]
    seed: int
    library: str
    trustworthiness: float
    neighbour_overlap: float
    neighbours: int
    per_modality: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def caption(self) -> str:
        """One line with the method and the two quality numbers."""
        shown = ", ".join(f"{k} {v}" for k, v in self.parameters.items())
        return (
            f"{TITLES.get(self.method, self.method)} ({self.library}; {shown}; seed {self.seed}). Trustworthiness "
            f"{self.trustworthiness:.3f}, neighbour overlap {self.neighbour_overlap:.3f} (k = {self.neighbours})."
        )


def project(
    features: np.ndarray,
    method: str = "umap",
    n_components: int = 2,
    seed: int = 0,
    neighbours: int = 15,
    min_dist: float = 0.1,
) -> Projection:
    """Project one set of features; :func:`project_joint` with the single modality ``points``.

    Args:
        features: (N, D); rows with NaN are left out and stay NaN on the map.
        method: one of :data:`~c2vl_lab.project_methods.METHODS`: ``umap``, ``pca``, or an optional one.
        n_components: dimensions of the map, 2 or 3.
        seed: the same seed gives the same map.
        neighbours: UMAP's neighbourhood size, and the k of the quality numbers.
        min_dist: UMAP's smallest distance on the map.

    Raises:
        ConfigError: an unknown method or a map of other than 2 or 3 dimensions.
        MissingError: an optional method whose package is not installed.
        DataError: not a matrix, or fewer than 5 usable rows.
    """
    return project_joint({"points": features}, method, seed, n_components, neighbours, min_dist)


def project_joint(
    modalities: Mapping[str, np.ndarray],
    method: str = "umap",
    seed: int = 0,
    n_components: int = 2,
    neighbours: int = 15,
    min_dist: float = 0.1,
    start: Mapping[str, np.ndarray] | None = None,
) -> Projection:
    """One map for several modalities that live in one space, fitted on all of them together.

    Rows are L2-normalised first, so Euclidean neighbours are the cosine neighbours.

    Args:
        modalities: name to (N, D) features, for example the outputs of the heads for ``skeleton``,
            ``language`` and ``vision``; D must be the same for all. Rows with NaN are left out.
        method, seed, n_components, neighbours, min_dist: as in :func:`project`.
        start: coordinates of an earlier map of the same rows, from which an iterative method sets out.

    Raises:
        ConfigError: an unknown method or a map of other than 2 or 3 dimensions.
        MissingError: an optional method whose package is not installed.
        DataError: modalities of different dimensions, or fewer than 5 usable rows.
    """
    fit = choose(method, METHODS, "projection method")
    if n_components not in (2, 3):
        raise ConfigError(f"A map has 2 or 3 dimensions, n_components is {n_components}.")
    kept = _usable(modalities)
    points = np.concatenate([_normalised(np.asarray(modalities[m])[rows]) for m, rows in kept.items()])
    if len(points) < 5 or points.shape[1] < n_components:
        raise DataError(f"A map needs 5 rows and {n_components} columns without NaN, found {points.shape}.")
    k = min(neighbours, (len(points) - 1) // 2)
    begin = None if start is None else np.concatenate([np.asarray(start[m])[rows] for m, rows in kept.items()])
    flat, parameters, library = fit(points, n_components, seed, k, min_dist, begin)
    whole = neighbourhood_quality(points, flat, k, seed)
    coordinates, per_modality, end = {}, {}, 0
    for name, rows in kept.items():
        part = slice(end, end := end + int(rows.sum()))
        coordinates[name] = np.full((len(rows), n_components), np.nan, np.float32)
        coordinates[name][rows] = flat[part]
        own = min(k, (int(rows.sum()) - 1) // 2)
        if own >= 1:
            per_modality[name] = neighbourhood_quality(points[part], flat[part], own, seed)
    return Projection(coordinates, method, parameters, seed, library, *whole, neighbours=k, per_modality=per_modality)


def neighbourhood_quality(
    before: np.ndarray, after: np.ndarray, k: int = 15, seed: int = 0, queries: int = QUERIES
) -> tuple[float, float]:
    """(trustworthiness, neighbour overlap) of a map, both 0 to 1.

    Args:
        before: (N, D) the points as they were.
        after: (N, d) the points on the map.
        k: neighbours that count, under N / 2.
        seed: chooses the queries where N is above ``queries``.
        queries: rows whose neighbourhoods are measured, each among all N points; fewer where N is beyond 300,000.

    Raises:
        ConfigError: ``k`` is under 1 or not under N / 2 (trustworthiness is not defined there).
    """
    count = len(before)
    if not 1 <= k < count / 2:
        raise ConfigError(f"Neighbourhood quality wants 1 <= k < N / 2, found k = {k} for N = {count}.")
    rows, queries = np.arange(count), min(queries, max(200, PAIRS // count))
    if count > queries:
        rows = np.sort(np.random.default_rng(seed).choice(count, queries, replace=False))
    penalty, shared = 0.0, 0
    for chunk in np.array_split(rows, max(1, -(-len(rows) * count // CHUNK))):
        truly = _distances(before, chunk)  # (c, N)
        near_after = np.argpartition(_distances(after, chunk), k - 1, axis=1)[:, :k]
        far = np.take_along_axis(truly, near_after, axis=1)
        # (c, k), 1 is the nearest; of equally near points all are the nearer one
        true_rank = 1 + np.stack([_closer(row, own) for row, own in zip(truly, far, strict=True)])
        penalty += float(np.maximum(true_rank - k, 0).sum())
        shared += int((true_rank <= k).sum())
    worst = len(rows) * k * (2 * count - 3 * k - 1) / 2
    return 1.0 - penalty / worst, shared / (len(rows) * k)


def neighbour_purity(features: np.ndarray, labels: np.ndarray, neighbours: Sequence[int]) -> list[float]:
    """Share of the k nearest others, by cosine, that have a row's own label; the mean over rows for each k.

    Args:
        features: (N, D), finite.
        labels: (N,) classes.
        neighbours: the k, each at least 1 and under N.

    Raises:
        DataError: features and labels do not fit, are not finite, or a k is out of range.
    """
    features, labels = np.asarray(features, np.float64), np.asarray(labels)
    if features.ndim != 2 or len(features) != len(labels) or not np.isfinite(features).all():
        raise DataError(f"Purity wants (N, D) finite features and N labels, found {features.shape}, {labels.shape}.")
    if not neighbours or min(neighbours) < 1 or max(neighbours) >= len(features):
        raise DataError(f"Purity of {len(features)} rows wants 1 <= k < {len(features)}, found {list(neighbours)}.")
    points, most = _normalised(features), max(neighbours)
    same = np.zeros(most)
    for rows in np.array_split(np.arange(len(points)), max(1, len(points) // 256)):
        near = np.argsort(_distances(points, rows), axis=1, kind="stable")[:, :most]
        same += (labels[near] == labels[rows, None]).sum(axis=0)
    return [float(same[:k].sum() / (k * len(points))) for k in neighbours]


def _closer(distances: np.ndarray, than: np.ndarray) -> np.ndarray:
    """(k,) how many of (N,) distances are below each of ``than``; on a good map few are, and only those are sorted."""
    return np.searchsorted(np.sort(distances[distances < than.max()]), than)


def _distances(points: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(len(rows), N) squared distances to all points; to the row itself infinite."""
    x = np.asarray(points, np.float64)
    square = (x * x).sum(axis=1)
    distance = square[rows, None] + square[None] - 2 * x[rows] @ x.T
    distance[np.arange(len(rows)), rows] = np.inf
    return distance


def _usable(modalities: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Modality to a boolean row mask; refuses what cannot share one map."""
    if not modalities:
        raise DataError("There is nothing to project: no modality was given.")
    shapes = {name: np.shape(rows) for name, rows in modalities.items()}
    if any(len(shape) != 2 for shape in shapes.values()) or len({shape[1] for shape in shapes.values()}) > 1:
        raise DataError(f"A joint map wants (N, D) features with one D for all modalities, found {shapes}.")
    return {name: np.isfinite(rows).all(axis=1) for name, rows in modalities.items()}


def _normalised(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32."""
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)).astype(np.float32)
