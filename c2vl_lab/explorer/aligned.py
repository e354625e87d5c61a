"""Maps of several views that can be laid over one another: each is turned and scaled onto the one after it.

The map of a view alone is free to turn and to be mirrored. Here the last view is projected first, and each earlier
one sets out from it (where the method iterates) and is then moved onto it by the best similarity (Procrustes), which
changes no neighbourhood. So a point that wanders between two maps wandered in the joint space.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from c2vl_lab.artifacts import atomic_path, fingerprint
from c2vl_lab.errors import DataError, MissingError
from c2vl_lab.project import Projection, project_joint

VERSION = 1  # of the saved form and of how maps are aligned
NEAR = 5  # neighbours between which a new point is placed
MOST_FITTED = 5_000  # points that a linear map is found again by; it is linear, so these are plenty
SAME = 1e-3  # distance of unit vectors within which float32 cannot tell them apart


def aligned_maps(
    views: Mapping[str, Mapping[str, np.ndarray]],
    order: Sequence[str],
    method: str = "umap",
    seed: int = 0,
    neighbours: int = 15,
    min_dist: float = 0.1,
    cache: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Projection]:
    """A map for each view, all aligned to the first of ``order``.

    Args:
        views: name to modality to (N, D) points, as in :class:`~c2vl_lab.explorer.space.JointSpace`.
        order: all names; each map sets out from that of the name before it.
        method, seed, neighbours, min_dist: as in :func:`~c2vl_lab.project.project_joint`.
        cache: folder in which finished maps are kept by content; None: nowhere.
        progress: receives a line for each map.

    Raises:
        ConfigError, MissingError, DataError: as :func:`~c2vl_lab.project.project_joint`.
    """
    maps: dict[str, Projection] = {}
    before: Projection | None = None
    key = ""
    for number, name in enumerate(order, 1):
        if progress:
            progress(f"map {number}/{len(order)}: {method} of {name}")
        arrays = [np.asarray(rows) for rows in views[name].values()]
        key = fingerprint(VERSION, key, list(views[name]), *arrays, method, seed, neighbours, min_dist)
        path = None if cache is None else Path(cache) / f"{key}.npz"
        found = load_projection(path) if path is not None and path.is_file() else None
        if found is None:
            found = _project(views[name], before, method, seed, neighbours, min_dist)
            if path is not None:
                save_projection(found, path)
        maps[name] = before = found
    return maps


def _project(
    points: Mapping[str, np.ndarray],
    before: Projection | None,
    method: str,
    seed: int,
    neighbours: int,
    min_dist: float,
) -> Projection:
    """One map, onto the one before where there is one."""
    options = {"method": method, "seed": seed, "neighbours": neighbours, "min_dist": min_dist}
    if before is None:
        return project_joint(points, **options)  # type: ignore[arg-type]
    start = before.coordinates if _covers(before.coordinates, points) else None
    found = project_joint(points, **options, start=start)  # type: ignore[arg-type]
    shared = [m for m in found.coordinates if m in before.coordinates]
    ours = np.concatenate([found.coordinates[m] for m in shared])
    theirs = np.concatenate([before.coordinates[m] for m in shared])
    both = np.isfinite(ours).all(axis=1) & np.isfinite(theirs).all(axis=1)
    move = similarity(ours[both], theirs[both])
    return replace(found, coordinates={m: move(flat).astype(np.float32) for m, flat in found.coordinates.items()})


def _covers(coordinates: Mapping[str, np.ndarray], points: Mapping[str, np.ndarray]) -> bool:
    """Whether every point has a place already."""
    return all(
        m in coordinates and np.isfinite(coordinates[m][np.isfinite(rows).all(axis=1)]).all()
        for m, rows in points.items()
    )


def similarity(points: np.ndarray, onto: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The turn, mirror image, scale and shift that bring (n, d) points nearest to their partners (Schönemann 1966).

    The scale is not the least-squares one, which shrinks a map that fits badly to a dot: the moved points spread as
    far as their partners do.
    """
    from_mean, to_mean = points.mean(axis=0), onto.mean(axis=0)
    a, b = points - from_mean, onto - to_mean
    left, _, right = np.linalg.svd(a.T @ b)
    turn = left @ right
    scale = np.linalg.norm(b) / max(float(np.linalg.norm(a)), 1e-12)
    return lambda rows: scale * (rows - from_mean) @ turn + to_mean


class Placer:
    """Where new points belong on a finished map.

    PCA is linear and gives its own answer. Elsewhere a new point lies between the places of its nearest points, weighed
    by their nearness, as umap-learn's transform places it at first (without its further steps; our choice, since
    this holds for every method). A point that the map was made of comes to its own place.

    Args:
        points: modality to (N, D) unit-length points that the map was made of.
        projection: the map.
        near: how many points a new one lies between.
    """

    def __init__(self, points: Mapping[str, np.ndarray], projection: Projection, near: int = NEAR):
        self._near = near
        known = [m for m in projection.coordinates if m in points]
        self._parts = [(np.asarray(points[m]), np.asarray(projection.coordinates[m])) for m in known]
        self._linear: np.ndarray | None = None  # (D + 1, d)
        if projection.method == "pca":
            rows, flat = (np.concatenate(arrays) for arrays in zip(*map(_some, self._parts), strict=True))
            self._linear, *_ = np.linalg.lstsq(_with_one(rows), flat.astype(float), rcond=None)

    def __call__(self, query: np.ndarray) -> np.ndarray:
        """(n, d) places of (n, D) unit-length points.

        Raises:
            DataError: the new points have another D.
        """
        dim = self._parts[0][0].shape[1]
        if query.ndim != 2 or query.shape[1] != dim:
            raise DataError(f"The map was made of points of {dim} dimensions, found {query.shape}.")
        if self._linear is not None:
            return (_with_one(query) @ self._linear).astype(np.float32)
        return np.stack([self._between(own) for own in query])

    def _between(self, point: np.ndarray) -> np.ndarray:
        near = [_nearest(point, rows, flat, self._near) for rows, flat in self._parts]
        cosine, flat = (np.concatenate(arrays) for arrays in zip(*near, strict=True))
        best = np.argsort(-cosine, kind="stable")[: self._near]
        distance = np.sqrt(np.maximum(2 - 2 * cosine[best], 0))
        weight = 1 / np.maximum(distance, SAME)
        if distance.min() <= SAME:
            weight = (distance <= SAME).astype(float)
        return ((weight / weight.sum()) @ flat[best]).astype(np.float32)


def _nearest(point: np.ndarray, rows: np.ndarray, flat: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and places of the few rows nearest to a point; no row is copied, for there may be very many."""
    cosine = np.nan_to_num(rows @ point.astype(rows.dtype), copy=False, nan=-np.inf)
    best = np.argpartition(cosine, -min(count, len(cosine)))[-count:]
    best = best[np.isfinite(cosine[best])]
    return cosine[best], flat[best]


def _some(part: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Known rows and their places, thinned evenly where there are very many."""
    rows, flat = part
    kept = np.flatnonzero(np.isfinite(rows).all(axis=1) & np.isfinite(flat).all(axis=1))
    kept = kept[:: max(1, len(kept) // MOST_FITTED)]
    return rows[kept], flat[kept]


def _with_one(rows: np.ndarray) -> np.ndarray:
    """(n, D + 1) with ones behind, so that a product also shifts."""
    return np.hstack([rows.astype(float), np.ones((len(rows), 1))])


def save_projection(projection: Projection, path: Path) -> None:
    """Write a map as ``.npz``: its coordinates and a JSON text with all else."""
    about = asdict(replace(projection, coordinates={}))
    arrays = {f"at.{name}": flat for name, flat in projection.coordinates.items()}
    with atomic_path(Path(path)) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]


def load_projection(path: str | Path) -> Projection:
    """Read a map that :func:`save_projection` wrote.

    Raises:
        MissingError: no such file.
        DataError: it is none of ours, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"There is no map at {path}. `explorer.save_maps(folder)` writes them.")
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            flat = {name.removeprefix("at."): file[name] for name in file.files if name.startswith("at.")}
        about["per_modality"] = {name: tuple(pair) for name, pair in about["per_modality"].items()}
        return Projection(**(about | {"coordinates": flat}))
    except Exception as error:  # numpy and zipfile raise many kinds on bytes that are none of their own
        raise DataError(f"{path} is no saved map ({str(error)[:200]}). Delete it; it is made again.") from error
