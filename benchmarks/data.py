"""Measure the data code against straightforward references: ``python -m benchmarks.data``.

Every figure is CPU time of one thread, the median of alternating rounds, unless it says otherwise; nothing is asserted.
Files and stores are generated and kept under ``work/benchmark``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import Row, one_thread, tell

one_thread()

import torch  # noqa: E402

from benchmarks import data_measures  # noqa: E402

MEASURES: dict[str, Callable[[Any], list[Row]]] = {
    "parse": data_measures.parse,
    "prepare": data_measures.prepare_clips,
    "augment": data_measures.augment_views,
    "store": data_measures.open_store,
    "convert": data_measures.convert_files,
}


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        work: folder of the generated files and stores.
        seed: of everything generated.
        repeats: rounds of each pair.
        frames: of the parsed file.
        clips: in the store that is aligned.
        batch: clips of a batch of views.
        view: frames of a view.
        stored: clips of the large store.
        scale: of the large store's clip lengths.
        files: that are converted.
    """

    work: Path = Path("work/benchmark")
    seed: int = 0
    repeats: int = 15
    frames: int = 100
    clips: int = 2000
    batch: int = 128
    view: int = 50
    stored: int = 113_945
    scale: float = 0.1
    files: int = 2000


def measure(names: list[str], sizes: Sizes) -> list[Row]:
    """The rows of the named measures."""
    torch.set_num_threads(1)
    sizes.work.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        rows += MEASURES[name](sizes)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    known = Sizes()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help=f"some of {','.join(MEASURES)}")
    parser.add_argument("--clips", type=int, default=known.clips, help="clips that are aligned and resampled")
    parser.add_argument("--stored", type=int, default=known.stored, help="clips of the large store")
    parser.add_argument("--frames-scale", type=float, default=known.scale, help="of the large store's clip lengths")
    parser.add_argument("--files", type=int, default=known.files, help="files that are converted")
    parser.add_argument("--repeats", type=int, default=known.repeats, help="rounds of each pair")
    parser.add_argument("--seed", type=int, default=known.seed)
    parser.add_argument("--work", type=Path, default=known.work)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    given = parser.parse_args(arguments)
    names = given.only.split(",") if given.only else list(MEASURES)
    if unknown := sorted(set(names) - set(MEASURES)):
        parser.error(f"unknown measures {unknown}; known: {', '.join(MEASURES)}")
    sizes = Sizes(
        work=given.work, seed=given.seed, repeats=given.repeats, clips=given.clips, stored=given.stored,
        scale=given.frames_scale, files=given.files,
    )  # fmt: skip
    rows = measure(names, sizes)
    tell("data", arguments, rows, {"seed": sizes.seed, "rounds": sizes.repeats}, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
