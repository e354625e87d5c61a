"""The ways to flatten points: UMAP, PCA, and three more where their packages are installed.

Each takes ``(points, n_components, seed, neighbours, min_dist, start)`` with unit-length points (N, D), so that
Euclidean neighbours are those by cosine, and returns the map (N, n_components), what it was told, and what computed it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from c2vl_lab.errors import MissingError

Flat = tuple[np.ndarray, dict[str, Any], str]
Start = np.ndarray | None
SPAN = 10.0  # of a start, the range that umap-learn itself gives its spectral one


def _pca(points: np.ndarray, n_components: int, seed: int, k: int, min_dist: float, start: Start) -> Flat:
    """Principal components; each axis points to where its largest loading is positive."""
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred.T @ centred)  # for many points far cheaper than their SVD
    axes = vectors.T[::-1][:n_components]
    axes *= np.sign(axes[np.arange(n_components), np.abs(axes).argmax(axis=1)])[:, None]
    share = float(values[::-1][:n_components].sum() / max(values.sum(), 1e-12))
    return (centred @ axes.T).astype(np.float32), {"variance shown": round(share, 3)}, f"numpy {np.__version__}"


def _umap(points: np.ndarray, n_components: int, seed: int, k: int, min_dist: float, start: Start) -> Flat:
    """UMAP (McInnes, Healy and Melville 2018); a seed makes it run in one thread."""
    import umap

    # umap wants more neighbours than one and spectral starts need more points than dimensions
    size = max(2, k)
    model = umap.UMAP(
        n_components=n_components,
        n_neighbors=size,
        min_dist=min_dist,
        init="spectral" if start is None else _spread(start),
        random_state=seed,
        n_jobs=1,
    )
    flat = np.asarray(model.fit_transform(points), np.float32)
    return flat, {"neighbours": size, "min_dist": min_dist}, f"umap-learn {umap.__version__}"


def _opentsne(points: np.ndarray, n_components: int, seed: int, k: int, min_dist: float, start: Start) -> Flat:
    """t-SNE (van der Maaten and Hinton 2008) by openTSNE, perplexity 30 or, for few points, less."""
    package = _installed("openTSNE", "opentsne")
    perplexity = max(2.0, min(30.0, (len(points) - 1) / 3 - 1))
    begin = "pca" if start is None else start / max(float(start[:, 0].std()), 1e-12) * 1e-4
    model = package.TSNE(n_components=n_components, perplexity=perplexity, random_state=seed, initialization=begin)
    flat = np.asarray(model.fit(points), np.float32)
    return flat, {"perplexity": perplexity}, f"openTSNE {package.__version__}"


def _pacmap(points: np.ndarray, n_components: int, seed: int, k: int, min_dist: float, start: Start) -> Flat:
    """PaCMAP (Wang et al. 2021)."""
    package = _installed("pacmap", "pacmap")
    model = package.PaCMAP(n_components=n_components, n_neighbors=max(2, k), random_state=seed)
    flat = np.asarray(model.fit_transform(points, init="pca" if start is None else start), np.float32)
    return flat, {"neighbours": max(2, k)}, f"pacmap {package.__version__}"


def _torchdr(points: np.ndarray, n_components: int, seed: int, k: int, min_dist: float, start: Start) -> Flat:
    """UMAP by TorchDR, on a GPU where there is one."""
    package = _installed("torchdr", "torchdr")
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = package.UMAP(
        n_components=n_components,
        n_neighbors=max(2, k),
        min_dist=min_dist,
        init="pca" if start is None else torch.as_tensor(_spread(start)),
        random_state=seed,
        device=device,
    )
    flat = np.asarray(torch.as_tensor(model.fit_transform(points)).cpu(), np.float32)
    told = {"neighbours": max(2, k), "min_dist": min_dist, "device": device}
    return flat, told, f"torchdr {package.__version__}"


def _spread(start: np.ndarray) -> np.ndarray:
    """A start in the range that umap-learn expects."""
    low, high = start.min(axis=0), start.max(axis=0)
    return (SPAN * (start - low) / np.maximum(high - low, 1e-12)).astype(np.float32)


def _installed(module: str, name: str) -> Any:
    """An optional package.

    Raises:
        MissingError: it is not there; the sentence has the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingError(
            f"The map method '{name}' wants the package {module}, which is not installed: "
            f'pip install -c constraints.txt "{module}", or take umap or pca.'
        ) from error


METHODS: dict[str, Callable[[np.ndarray, int, int, int, float, Start], Flat]] = {
    "umap": _umap,
    "pca": _pca,
    "opentsne": _opentsne,
    "pacmap": _pacmap,
    "torchdr": _torchdr,
}
TITLES = {"umap": "UMAP", "pca": "PCA", "opentsne": "t-SNE", "pacmap": "PaCMAP", "torchdr": "UMAP"}
