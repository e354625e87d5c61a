"""What of NTU RGB+D is not there: a table for people, and the names in a file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.data.disk import storage_errors
from c2vl_lab.data.readers.ntu_inventory import CLASSES, absent_names, inventory
from c2vl_lab.data.store import SkeletonStore

SHOWN = 3  # names; the file has them all


def seen_names(store: SkeletonStore) -> list[str]:
    """Every sample of which a file was there: the store's clips, those left out on purpose, and damaged files."""
    notes = store.meta["notes"]
    return [*store.names, *notes.get("dropped", {}), *(Path(file).stem for file in notes.get("faults", {}))]


def absent_table(store: SkeletonStore) -> pd.DataFrame:
    """The inventory of an NTU store, a row for every setup; empty for other sets.

    Columns as in :func:`~c2vl_lab.data.readers.ntu_inventory.inventory`, whose ``found`` counts files here, so that a
    damaged file is not absent.
    """
    if store.dataset not in CLASSES:
        return pd.DataFrame()
    return inventory(seen_names(store), store.dataset)


def absent_lines(store: SkeletonStore, folder: Path) -> list[str]:
    """The table in lines of text; nothing for a complete set or another one.

    Args:
        store: any store.
        folder: gets ``absent-<set>.txt``, a name a line, where single samples are absent.

    Raises:
        StorageError: the folder may not be written to.
    """
    table = absent_table(store)
    if table.empty or (
        table["expected"].iloc[-1] == table["found"].iloc[-1] + table["unusable"].iloc[-1]
        and not (table["setup"].eq("pairs not found") & table["performers"].gt(0)).any()
    ):
        return []
    setups = table[table["setup"].map(lambda setup: isinstance(setup, int))]
    here, gone = setups[setups["performers"] > 0], setups[setups["performers"] == 0]["setup"].tolist()
    pairs = int(table.loc[table["setup"] == "pairs not found", "performers"].iloc[0])
    lines = [
        "What is absent of the published set (performers of whom nothing is there cannot be named):",
        f"    {'setup':>7} {'performers':>11} {'expected':>9} {'found':>7} {'unusable':>9} {'absent':>7}",
    ]
    lines += [
        f"    {r.setup:>7} {r.performers:>11,} {r.expected:>9,} {r.found:>7,} {r.unusable:>9,} {r.absent:>7,}"
        for r in here.itertuples()
    ]
    if gone:
        lines.append(f"    nothing of setups {_ranges(gone)}")
    lines.append(f"    {pairs} of the published pairs of setup and performer are wholly absent, 360 samples each")
    names = absent_names(seen_names(store), store.dataset)
    if names:
        path = folder / f"absent-{store.dataset}.txt"
        with storage_errors(path), atomic_path(path) as temporary:
            temporary.write_text("\n".join(names) + "\n", encoding="utf-8")
        more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
        lines.append(f"    absent of the performers who are there: {', '.join(names[:SHOWN])}{more}; all in {path}")
    return lines


def _ranges(numbers: list[int]) -> str:
    """``1 to 3, 7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]} to {p[-1]}" for p in parts)
