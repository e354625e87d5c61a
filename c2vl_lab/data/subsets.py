"""Named subsets of a set's clips, as files that every notebook takes: made by a selection, or written by hand.

A subset is a JSON file ``{"format", "name", "dataset", "fingerprint", "by", "clips": [names]}``; by hand, a
text file with one clip name a line does as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2vl_lab.artifacts import read_json, write_json
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import ConfigError, DataError, MissingError

FORMAT = "c2vl_lab-subset-1"
FOLDER = "subsets"
NAME = re.compile(r"[\w][\w. +-]{0,99}")


@dataclass(frozen=True)
class Subset:
    """Some clips of a set.

    Attributes:
        name: what people call it.
        rows: (n,) indices into the store, in rising order.
        by: how it was chosen, in words.
    """

    name: str
    rows: np.ndarray
    by: str = ""


def subset_path(work_dir: str | Path, store: SkeletonStore, name: str) -> Path:
    """Where a subset of that name is kept.

    Raises:
        ConfigError: the name cannot be a file's.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"A subset's name has letters, digits, spaces and . + - _, and none of the last four first; found {name!r}."
        )
    return Path(work_dir) / FOLDER / store.dataset / f"{name}.json"


def save_subset(path: str | Path, store: SkeletonStore, clips: Iterable[str], by: str = "") -> Path:
    """Write a subset, atomically; returns its path.

    Args:
        path: the file; its stem is the subset's name.
        store: the set that the clips are of.
        clips: their names.
        by: how they were chosen.

    Raises:
        ConfigError: no clip was given, or one that the set has not.
    """
    path, names = Path(path), list(dict.fromkeys(clips))
    if not names:
        raise ConfigError("A subset wants at least one clip; nothing is selected.")
    _rows(store, names, f"subset '{path.stem}'", ConfigError)
    about = {"format": FORMAT, "name": path.stem, "dataset": store.dataset, "fingerprint": store.fingerprint}
    write_json(path, about | {"by": by, "clips": names})
    return path


def load_subset(path: str | Path, store: SkeletonStore) -> Subset:
    """Read a subset of a store's clips.

    Args:
        path: a file that :func:`save_subset` wrote, or a text file with one clip name a line.
        store: the set that the clips must be of.

    Raises:
        MissingError: there is no such file.
        DataError: it holds no names, or names that the set has not; the sentence says which.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"There is no subset at {path}. The concept explorer's button 'Subset' writes one.")
    by = ""
    if path.suffix == ".json":
        found = read_json(path)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise DataError(f"{path}: wanted a subset of format {FORMAT}; make it again from the explorer's selection.")
        names, by = found.get("clips"), str(found.get("by", ""))
    else:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: wanted a list of clip names, found {'nothing' if not names else 'something else'}.")
    return Subset(path.stem, _rows(store, names, str(path), DataError), by)


def _rows(store: SkeletonStore, names: list[str], where: str, error: type[ConfigError] | type[DataError]) -> np.ndarray:
    """(n,) rows of named clips, each once."""
    places = {name: row for row, name in enumerate(store.names)}
    absent = [name for name in names if name not in places]
    if absent:
        raise error(
            f"{where}: {len(absent)} of {len(names)} clips are not in {store.dataset}, for example {absent[0]!r}; its "
            f"names look like {store.names[0]!r}. Was the subset made of another set?"
        )
    return np.unique([places[name] for name in names])
