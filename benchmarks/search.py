"""How fast the explorer searches: ``python -m benchmarks.search``.

`explorer.search_clip` and `explorer.search` on 100,000 clips with as many sentences and pictures: the nearest 20
skeletons, ranked, the place of the search between its nearest of all 300,000 points of a UMAP-like map, and what the
page is told (its bytes are printed); for words with the offline teacher's sentence encoder. One thread; CPU time of the
best and of the median search, and the wall time of the best, which on a busy machine says little. Points are random; a
search looks at every one of them, so their places change nothing. The first search by words also loads the sentence
encoder, which notebook 05 does while its cells run; that is printed and not counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

from benchmarks.measuring import Row, one_thread, tell

one_thread()

import numpy as np  # noqa: E402 - after the number of threads is set
import pandas as pd  # noqa: E402

from c2vl_lab.explorer.explorer import ConceptExplorer  # noqa: E402
from c2vl_lab.explorer.space import JointSpace  # noqa: E402
from c2vl_lab.project import Projection  # noqa: E402

TARGET = 100.0  # milliseconds


class Words:
    """The offline teacher's sentence encoder, and then any point: no head was trained."""

    def __init__(self, points: np.ndarray):
        from c2vl_lab.teachers import load_teacher

        self.points, self.teacher = points, load_teacher("offline", "cpu")

    def words(self, text: str) -> np.ndarray:
        """(D,) some point, after the text was encoded."""
        self.teacher.encode_texts([text])
        return self.points[len(text)]

    def mirror(self, clip: int) -> np.ndarray:
        """(D,) of another clip."""
        return self.points[-clip]


def space_of(clips: int, dim: int, with_words: bool) -> JointSpace:
    """Random unit points."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(clips, dim)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    classes = [f"class {k}" for k in range(60)]
    names = [f"clip {k}" for k in range(clips)]
    table = pd.DataFrame({"name": names, "class": [classes[k % 60] for k in range(clips)]})
    view = {"skeleton": points, "language": points[::-1].copy(), "vision": -points, "class prompt": points[:60].copy()}
    finder = Words(points) if with_words else None
    return JointSpace(table, classes, {"map": view}, "map", finder=finder)


def explorer_of(space: JointSpace) -> ConceptExplorer:
    """An explorer whose map says that it is UMAP's, without waiting for UMAP or for the map's quality."""
    flat = {modality: rows[:, :2].copy() for modality, rows in space.views["map"].items()}
    made = Projection(flat, "umap", {}, 0, "none", 1.0, 1.0, 15)
    with mock.patch("c2vl_lab.explorer.state.aligned_maps", lambda *_: {"map": made}):
        return ConceptExplorer(space, engine="own")


@dataclass(frozen=True)
class Times:
    """Milliseconds: CPU of the first search, of the best and the median of the others, and the best wall time."""

    first: float
    best: float
    median: float
    wall: float


def measured(act: Callable[[int], Any], repeats: int) -> Times:
    """The first search, and then ``repeats`` others."""
    walls, cpus = [], []
    for k in range(repeats + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        act(k)
        walls.append(1000 * (time.perf_counter() - wall))
        cpus.append(1000 * (time.process_time() - cpu))
    return Times(cpus[0], min(cpus[1:]), statistics.median(cpus[1:]), min(walls[1:]))


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--without-words", action="store_true", help="leave out the sentence encoder")
    chosen = parser.parse_args(arguments)
    explorer = explorer_of(space_of(chosen.clips, chosen.dim, not chosen.without_words))
    what = f"{chosen.clips:,} clips, {chosen.dim} dimensions"
    rows = [_row(f"by example, {what}", measured(explorer.search_clip, chosen.repeats))]
    if not chosen.without_words:
        wave = measured(lambda k: explorer.search(f"someone waving with {k} hands"), chosen.repeats)
        rows.append(_row("by words, the sentence encoder included", wave))
    told = len(json.dumps(explorer.widget.hits))
    tell("search", arguments, rows, {"bytes told to the page": told}, None)


def _row(what: str, times: Times) -> Row:
    said = (
        f"CPU: best; median {times.median:.0f} ms, first search {times.first:.0f} ms; wall, best: {times.wall:.0f} ms"
    )
    return Row(what, times.best, "ms", target=f"under {TARGET:.0f} ms", met=times.median < TARGET, remark=said)


if __name__ == "__main__":
    main()
