"""How fast the explorer searches: ``python -m benchmarks.search``.

`explorer.search_clip` and `explorer.search` on 100,000 clips: the nearest 20 skeletons, ranked, the place of the search
on the map, and what the page is told; for words with the offline teacher's sentence encoder. CPU time of one thread and
wall time, medians. Points are random; a search looks at every one of them, so their places change nothing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.measuring import Row, one_thread, tell

one_thread()

import numpy as np  # noqa: E402 - after the number of threads is set
import pandas as pd  # noqa: E402

from c2vl_lab.explorer.explorer import ConceptExplorer  # noqa: E402
from c2vl_lab.explorer.space import JointSpace  # noqa: E402

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
    table = pd.DataFrame(
        {"name": [f"clip {k}" for k in range(clips)], "class": [classes[k % 60] for k in range(clips)]}
    )
    finder = Words(points) if with_words else None
    return JointSpace(table, classes, {"map": {"skeleton": points}}, "map", finder=finder)


def measured(act: Callable[[int], Any], repeats: int) -> tuple[float, float]:
    """Median milliseconds on the wall and of the processor."""
    act(0)
    walls, cpus = [], []
    for k in range(1, repeats + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        act(k)
        walls.append(1000 * (time.perf_counter() - wall))
        cpus.append(1000 * (time.process_time() - cpu))
    return statistics.median(walls), statistics.median(cpus)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--without-words", action="store_true", help="leave out the sentence encoder")
    chosen = parser.parse_args(arguments)
    explorer = ConceptExplorer(space_of(chosen.clips, chosen.dim, not chosen.without_words), method="pca")
    what = f"{chosen.clips:,} clips, {chosen.dim} dimensions"
    rows = [_row(f"by example, {what}", *measured(explorer.search_clip, chosen.repeats))]
    if not chosen.without_words:
        wave = measured(lambda k: explorer.search(f"someone waving with {k} hands"), chosen.repeats)
        rows.append(_row("by words, the sentence encoder included", *wave))
    tell("search", arguments, rows, {}, None)


def _row(what: str, wall: float, cpu: float) -> Row:
    said = f"{wall:.0f} ms on the wall of a machine that may be busy"
    return Row(what, cpu, "ms", target=f"under {TARGET:.0f} ms", met=cpu < TARGET, remark=said)


if __name__ == "__main__":
    main()
