"""How long a map takes: ``python -m benchmarks.maps``.

``--points`` points of ``--dim`` dimensions (unit length, 60 blobs) by each of ``--methods`` as the explorer asks, in
a process of its own: the first map, libraries' import and compilation included, and a second one. The quality
numbers that stand beside every map are timed apart. The aim is a minute for 50,000 x 256 on a GPU (torchdr).
"""

from __future__ import annotations

import argparse
import multiprocessing
import time

import numpy as np

from c2vl_lab.project import neighbourhood_quality
from c2vl_lab.project_methods import METHODS

NEIGHBOURS, MIN_DIST = 15, 0.1


def blobs(points: int, dim: int) -> np.ndarray:
    """(points, dim) of unit length."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, dim))[np.arange(points) % 60] + rng.normal(size=(points, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def timed(method: str, points: int, dim: int) -> None:
    """Print one line of the table."""
    rows, took = blobs(points, dim), []
    for _ in range(2):
        start = time.monotonic()
        flat, parameters, library = METHODS[method](rows, 2, 0, NEIGHBOURS, MIN_DIST, None)
        took.append(time.monotonic() - start)
    start = time.monotonic()
    trust, overlap = neighbourhood_quality(rows, flat, NEIGHBOURS)
    quality = time.monotonic() - start
    device = parameters.get("device", "cpu")
    print(
        f"| {library} | {device} | {points:,} x {dim} | {took[0]:.1f} s | {took[1]:.1f} s | {quality:.1f} s "
        f"| {trust:.3f} | {overlap:.3f} |",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=["pca", "umap"], choices=list(METHODS))
    parser.add_argument("--points", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=256)
    chosen = parser.parse_args(arguments)
    print("| by | on | points | first map | second map | its quality | trustworthiness | neighbour overlap |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for method in chosen.methods:
        own = multiprocessing.get_context("spawn").Process(target=timed, args=(method, chosen.points, chosen.dim))
        own.start()
        own.join()
        if own.exitcode:
            raise SystemExit(own.exitcode)


if __name__ == "__main__":
    main()
