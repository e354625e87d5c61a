"""Which classes count as unseen: the field's published splits, one's own file of them, or splits drawn by a seed."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import DataError, MissingError

COLUMNS = ["dataset", "name", "unseen", "source"]
DRAWN = 5  # splits drawn for a set without published ones, so that each class is unseen in one of them


@dataclass(frozen=True)
class ClassSplit:
    """One split of the classes.

    Attributes:
        name: short name.
        unseen: class indices of the store, ascending; all other classes are seen.
        source: where the split is from.
    """

    name: str
    unseen: tuple[int, ...]
    source: str


def class_splits(store: SkeletonStore, path: str | Path = "", seed: int = 0) -> list[ClassSplit]:
    """The splits of a set's classes into seen and unseen.

    Published ones are there for ntu60, ntu120 and pku1 (``class_splits.csv``, published class ids from 1: SynSE's and
    SMIE's, as SMIE's configuration lists them). For any other set they are drawn by the seed, so that each class is
    unseen in one of five. One's own file of the same columns goes before both.

    Args:
        store: the recordings; its name, classes and published class ids count.
        path: a CSV file with the columns ``dataset, name, unseen, source``; ids separated by blanks. Empty: none.
        seed: of drawn splits.

    Raises:
        MissingError: there is no such file.
        DataError: the file has other columns, no split of this set, or a class id that the set does not have; or the
            set has fewer than four classes, so that nothing can be both seen and unseen.
    """
    source = Path(path) if str(path) else files("c2vl_lab.evaluate") / "class_splits.csv"
    if not source.is_file():
        raise MissingError(f"There is no file of class splits {source}. Wanted CSV with {', '.join(COLUMNS)}.")
    with source.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if rows and list(rows[0]) != COLUMNS:
        raise DataError(f"{source}: wanted the columns {', '.join(COLUMNS)}, found {', '.join(map(str, rows[0]))}.")
    own = [
        ClassSplit(row["name"], _unseen(row, store, f"{source}, line {line}"), row["source"])
        for line, row in enumerate(rows, start=2)
        if row["dataset"] == store.dataset
    ]
    if str(path) and not own:
        raise DataError(f"{path}: has no split of {store.dataset}, only of {sorted({row['dataset'] for row in rows})}.")
    return own or drawn_splits(len(store.classes), seed)


def drawn_splits(classes: int, seed: int) -> list[ClassSplit]:
    """The classes in random order, dealt to five splits that share no unseen class; to fewer where two are not left.

    Raises:
        DataError: fewer than four classes.
    """
    if classes < 4:
        raise DataError(f"Seen and unseen classes want at least four classes, two of each; found {classes}.")
    order = np.random.default_rng(seed).permutation(classes)
    hands = np.array_split(order, min(DRAWN, classes // 2))
    return [
        ClassSplit(f"drawn-{number}", tuple(sorted(map(int, hand))), f"drawn by us, seed {seed}")
        for number, hand in enumerate(hands, start=1)
    ]


def _unseen(row: dict[str, str], store: SkeletonStore, where: str) -> tuple[int, ...]:
    """Class indices of a row's published ids."""
    found = []
    for word in (row["unseen"] or "").split():
        if not word.isdecimal() or int(word) not in store.class_ids:
            raise DataError(f"{where}: '{word}' is no published class id of {store.dataset}; they count from 1.")
        found.append(store.class_ids.index(int(word)))
    if len(found) < 2 or len(found) > len(store.classes) - 2:
        raise DataError(f"{where}: wanted two unseen and two seen classes or more, found {len(found)} unseen.")
    return tuple(sorted(found))
