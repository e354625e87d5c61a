"""Two ways compared on the same test clips: two runs, and fine-tuned against from scratch inside one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from c2vl_lab.bench.statistics import Comparison, compare, compare_files
from c2vl_lab.errors import MissingError

FILES = "predictions*.parquet"
MAIN = "predictions.parquet"  # of the run's own test part; the others are of sets that it was carried to
_TUNED = re.compile(r"(|semi_|transfer_)(finetune|scratch)_(?:([\d.]+)_)?(\d+)")


def two_runs(run: Path, other: Path) -> dict[str, Comparison]:
    """Every prediction that both runs keep, on their own test part and on the sets that both were carried to.

    Raises:
        MissingError: one of them was not evaluated.
        DataError: they were tested on different clips.
    """
    for folder in (run, other):
        if not (folder / MAIN).is_file():
            raise MissingError(f"{folder} keeps no predictions. Evaluate it first: c2vl evaluate {folder}")
    found: dict[str, Comparison] = {}
    for path in sorted(run.glob(FILES), key=lambda path: (path.name != MAIN, path.name)):
        if (other / path.name).is_file():
            own = compare_files(path, other / path.name)
            found |= {_place(path) + column: comparison for column, comparison in own.items()}
    return found


def tuned_against_scratch(run: str | Path) -> dict[str, Comparison]:
    """Fine-tuned against from scratch, over the seeds or draws that both have; nothing where only one was measured."""
    found: dict[str, Comparison] = {}
    for path in sorted(Path(run).glob(FILES), key=lambda path: (path.name != MAIN, path.name)):
        table = pd.read_parquet(path).set_index("name")
        groups: dict[str, dict[str, dict[int, pd.Series]]] = {}
        for column in table:
            match = _TUNED.fullmatch(str(column))
            if match:
                _, kind, share, seed = match.groups()
                name = _place(path) + (f"{share} % of the labels" if share else "all labels")
                groups.setdefault(name, {}).setdefault(kind, {})[int(seed)] = table[column].eq(table["label"])
        for name, kinds in groups.items():
            seeds = sorted(kinds.get("finetune", {}).keys() & kinds.get("scratch", {}).keys())
            if seeds:
                pair = [pd.DataFrame({seed: kinds[kind][seed] for seed in seeds}) for kind in ("finetune", "scratch")]
                found[name] = compare(*pair)
    return found


def comparison_table(found: Mapping[str, Comparison], first: str, second: str) -> pd.DataFrame:
    """Difference in points, its interval over clips, clips that only one got right, and McNemar's exact p by seed."""
    rows = [
        (
            name,
            f"{100 * own.difference:+.1f}",
            f"{100 * own.low:+.1f} to {100 * own.high:+.1f}",
            "  ".join(f"{one} / {two}" for one, two in zip(own.only_first, own.only_second, strict=True)),
            "  ".join("< 0.001" if p < 0.001 else f"{p:.3f}" for p in own.p_values),
        )
        for name, own in found.items()
    ]
    columns = ["prediction", "points", "95 % over clips", f"only {first} / {second}", "McNemar p"]
    return pd.DataFrame(rows, columns=columns)


def _place(path: Path) -> str:
    """The set and protocol of a file of predictions on another set, as the beginning of a name."""
    return "" if path.name == MAIN else path.stem.removeprefix("predictions-") + ", "
