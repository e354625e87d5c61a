"""Padded arrays ``{train,val}_*.npy`` of shape (N, 3, T, 25, 2) with their labels, as many repositories ship them.

The arrays are memory-mapped and read a few hundred rows at a time; the ``.pkl`` files are read without executing
anything. What differs between the layouts is in :mod:`~c2vl_lab.data.readers.frame50` and
:mod:`~c2vl_lab.data.readers.agcn`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_lab.data.readers.imports_common import (
    BODIES,
    JOINTS,
    RowsPart,
    clip_of,
    conflict,
    guess_protocol,
    our_labels,
    our_name,
    repeated,
)
from c2vl_lab.data.readers.npz_rows import NO_HEADER, npy_header
from c2vl_lab.data.readers.safe_pickle import PickledArray, read_pickle
from c2vl_lab.data.readers.sources import PartReading
from c2vl_lab.errors import ConfigError, DataError, MissingError

PARTS = {"train": "train", "val": "test"}  # in file names -> of a protocol
BLOCK = 32 * 2**20
FRAMES = 100_000
AGAIN = "The download was probably cut: fetch it again."
Trim = Callable[[np.ndarray, int], np.ndarray]  # (T, M, V, 3), frames said by the file -> its valid frames


@dataclass(frozen=True)
class Context:
    """What reading a part needs: the protocol that the files are of, and how padding is told from frames."""

    protocol: str
    trim: Trim


def find_folder(data_dir: str | Path, layout: str, endings: Sequence[str], protocol: str) -> tuple[Path, str]:
    """The folder that holds ``train`` and ``val`` files with one of ``endings``, and the ending.

    Args:
        data_dir: the folder, or one that holds it up to two levels below.
        layout: name for messages.
        endings: in the order of preference.
        protocol: where several folders fit, the one whose path tells this protocol.

    Raises:
        MissingError: there is none.
        ConfigError: several fit.
    """
    root = Path(data_dir).expanduser()
    patterns = ("train{}", "*/train{}", "*/*/train{}") if str(data_dir) and root.is_dir() else ()
    found: dict[Path, str] = {}
    for ending in endings:
        for path in sorted(p for pattern in patterns for p in root.glob(pattern.format(ending))):
            if path.with_name(f"val{ending}").is_file():
                found.setdefault(path.parent, ending)
    fitting = [folder for folder in found if not protocol or guess_protocol(folder / "train") in ("", protocol)]
    if found and not fitting:
        raise ConfigError(
            f"{layout}: {conflict(next(iter(found)) / f'train{next(iter(found.values()))}', '', protocol)}"
        )
    if not fitting:
        wanted = " or ".join(f"train{ending} and val{ending}" for ending in endings)
        raise MissingError(
            f"{layout}: wanted {wanted} in {root} or up to two folders below, found none. Set data_dir to their folder."
        )
    if len(fitting) > 1:
        listed = ", ".join(str(folder.relative_to(root)) for folder in fitting[:8])
        raise ConfigError(f"{layout}: several folders fit ({listed}). Set data_dir to one of them, or protocol=.")
    return fitting[0], found[fitting[0]]


def open_rows(path: Path) -> np.ndarray:
    """A memory map of clips, checked.

    Raises:
        DataError: the file is cut or damaged, or of another shape.
    """
    array = open_npy(path)
    wrong = array.ndim != 5 or array.shape[1] != 3 or array.shape[3:] != (JOINTS, BODIES) or array.dtype.kind != "f"
    if wrong or not array.size or array.shape[2] > FRAMES:
        raise DataError(
            f"{path}: wanted clips of shape (N, 3, frames, {JOINTS}, {BODIES}), found {array.dtype} {array.shape}."
        )
    return array


def open_npy(path: Path) -> np.ndarray:
    """A memory map of a ``.npy`` file of numbers.

    Raises:
        DataError: the file is cut or damaged, or holds anything but numbers.
    """
    try:
        with open(path, "rb") as stream:
            shape, fortran, dtype = npy_header(stream)
            start = stream.tell()
    except NO_HEADER as error:
        raise DataError(f"{path}: wanted a .npy file of numbers ({str(error)[:200]}). {AGAIN}") from error
    if dtype.kind not in "biuf" or not shape or any(type(n) is not int or n < 1 for n in shape):
        raise DataError(f"{path}: wanted a .npy file of numbers, found type {dtype} and shape {shape}.")
    wanted, found = math.prod(shape) * dtype.itemsize, path.stat().st_size - start
    if wanted != found:
        raise DataError(f"{path}: wanted {wanted} bytes for an array of shape {shape}, found {found}. {AGAIN}")
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")


def pickled_names(path: Path) -> tuple[list[Any], list[Any]]:
    """(names, labels) of a ``_label.pkl``, as they are written.

    Raises:
        DataError: the file holds anything else.
    """
    value = read_pickle(path)
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise DataError(f"{path}: wanted (names, labels), found a {type(value).__name__}.")
    names, labels = (_listed(item) for item in value)
    if names is None or labels is None or len(names) != len(labels):
        raise DataError(f"{path}: wanted a list of names and one of as many labels, found something else.")
    return names, labels


def _listed(value: Any) -> list[Any] | None:
    """A list, or an array of one axis as a list."""
    if isinstance(value, PickledArray):
        if len(value.shape) != 1:
            return None
        try:
            return value.load().tolist()
        except ValueError:  # texts that are none
            return None
    return list(value) if isinstance(value, (list, tuple)) else None


def joined_names(
    path: Path, dataset: str, rows: int, labels: Sequence[Any] | None = None
) -> tuple[list[str], list[int]]:
    """The clip names and our labels of a ``_label.pkl``, held against the array.

    Args:
        path: the file.
        dataset: the set's name.
        rows: clips in the array.
        labels: the labels of another file for the same rows, which must be the same.

    Raises:
        DataError: another number of rows, another label, a name that is none or occurs twice.
    """
    raw, theirs = pickled_names(path)
    if len(raw) != rows:
        raise DataError(f"{path}: names {len(raw)} clips, the array beside it has {rows}. They are not of one set.")
    ours = our_labels(theirs, dataset, str(path))
    if labels is not None and list(labels) != ours:
        row = next(i for i, (one, other) in enumerate(zip(labels, ours, strict=True)) if one != other)
        raise DataError(f"{path}, row {row}: its label is not that of the array's label file. They are not of one set.")
    names = [
        our_name(name, label, dataset, f"{path}, row {row}")
        for row, (name, label) in enumerate(zip(raw, ours, strict=True))
    ]
    if twice := repeated(names):
        raise DataError(f"{path}: names {twice} twice.")
    return names, ours


def row_parts(
    path: Path, array: np.ndarray, part: str, names: list[str], labels: list[int], lengths: Sequence[int] = ()
) -> list[RowsPart]:
    """Blocks of rows of one array."""
    step = max(1, min(256, BLOCK // (array[0].nbytes)))
    return [
        RowsPart(
            str(path),
            tuple(names[i : i + step]),
            i,
            tuple(names[i : i + step]),
            tuple(labels[i : i + step]),
            PARTS[part],
            tuple(int(n) for n in lengths[i : i + step]),
        )
        for i in range(0, len(names), step)
    ]


def read(part: RowsPart, context: Context) -> PartReading:
    """The clips of a block of rows."""
    path = Path(part.path)
    reading = PartReading(files=int(part.start == 0))
    try:
        block = open_rows(path)[part.start : part.start + len(part.names)]
    except DataError as error:
        reading.faults[os.fspath(path)] = str(error)
        return reading
    reading.bytes = block.nbytes
    splits = {context.protocol: part.split}
    for i, (name, label) in enumerate(zip(part.names, part.labels, strict=True)):
        xyz = np.asarray(block[i]).transpose(1, 3, 2, 0)  # (3, T, V, M) -> (T, M, V, 3)
        xyz = context.trim(xyz, part.lengths[i] if part.lengths else 0)
        clip = clip_of(xyz, name, label, f"{path.name}, row {part.start + i}", splits, reading)
        if clip:
            reading.clips.append(clip)
    return reading
