"""The "frame50" arrays of CrosSCLR, AimCLR, ActCLR, HYSP and SMIE: ``{train,val}_position.npy`` and ``_label.npy``.

Each body was centred on its own joint 21 in every frame, the clip resized to 50 frames, and every frame turned about
the vertical axis until the shoulders lie along x. So the distance between two people, walking paths, turning and the
clips' lengths are not in the file (field.md, section 1b); what is there is read as it is. The names are in the
``_label.pkl`` of the step before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2vl_lab.data.readers import npy_sets
from c2vl_lab.data.readers.imports_common import (
    NO_NAMES,
    RowsPart,
    guess_protocol,
    guess_set,
    known_set,
    our_labels,
    plan_of,
    row_names,
    settled,
)
from c2vl_lab.data.readers.npy_sets import PARTS, Context, find_folder, joined_names, open_npy, open_rows, row_parts
from c2vl_lab.data.readers.sources import Plan
from c2vl_lab.errors import DataError, MissingError

VERSION = 2
ENDING = "_position.npy"
COORDINATES = (
    "as the frame50 converters leave them: every body centred on its own joint 21 in every frame and every frame "
    "turned until the shoulders lie along x. The distance between two people, walking paths and turning are lost"
)
FRAMES = "every clip was resized to 50 frames: its length, its frame numbers and gaps of tracking are lost"


@dataclass(frozen=True)
class Options:
    """How the arrays are read.

    Attributes:
        dataset: ``ntu60``, ``ntu120``, ``pku1`` or ``pku2``; "": told by the folder or the names.
        protocol: ``xsub``, ``xview`` or ``xset``; "": told by the folder.
        names: folder with ``{train,val}_label.pkl`` of the step before; "": the folder of the arrays, if they are
            there.
    """

    dataset: str = ""
    protocol: str = ""
    names: str = ""


def find(data_dir: str | Path, options: Options) -> list[Path]:
    """The coordinates, then the labels and the names where they are to be had.

    Raises:
        MissingError: a file is not there.
        ConfigError: several folders fit.
    """
    folder, _ = find_folder(data_dir, "frame50", (ENDING,), options.protocol)
    labels = [path for part in PARTS if (path := folder / f"{part}_label.npy").is_file()]
    names = _name_files(folder, options)
    if len(labels) < len(PARTS) and not names:
        raise MissingError(
            f"frame50: wanted train_label.npy and val_label.npy in {folder}, found {len(labels)} of them."
        )
    return [folder / f"{part}{ENDING}" for part in PARTS] + labels + names


def _name_files(folder: Path, options: Options) -> list[Path]:
    """The two ``_label.pkl``, or none."""
    homes = [folder]
    if options.names:
        home = Path(options.names).expanduser()
        protocol = options.protocol or guess_protocol(folder / f"train{ENDING}")
        homes = [home, home / protocol, home / folder.name]
    for home in homes:
        files = [home / f"{part}_label.pkl" for part in PARTS]
        if all(path.is_file() for path in files):
            return files
    if options.names:
        raise MissingError(f"names: wanted train_label.pkl and val_label.pkl in {options.names}, found none.")
    return []


def plan(sources: list[Path], options: Options) -> Plan:
    """Blocks of rows, the training part first.

    Raises:
        ConfigError: the set or the protocol is not told.
        DataError: an array is damaged, or names and labels do not fit it.
    """
    by_name = {path.name: path for path in sources}
    named = [by_name[f"{part}_label.pkl"] for part in PARTS if f"{part}_label.pkl" in by_name]
    raw = [name for path in named for name in npy_sets.pickled_names(path)[0] if isinstance(name, str)]
    dataset = known_set(settled(options.dataset or guess_set(sources[0], raw), "dataset", sources[0]))
    protocol = settled(options.protocol or guess_protocol(sources[0]), "protocol", sources[0])
    parts: list[RowsPart] = []
    for part in PARTS:
        path = by_name[f"{part}{ENDING}"]
        array = open_rows(path)
        labels = _labels(by_name.get(f"{part}_label.npy"), len(array), dataset)
        names = row_names(PARTS[part], len(array))
        if named:
            names, labels = joined_names(by_name[f"{part}_label.pkl"], dataset, len(array), labels)
        parts += row_parts(path, array, part, names, labels or [])
    remark = "those of train_label.pkl and val_label.pkl, each label compared" if named else NO_NAMES
    notes = {"coordinates": COORDINATES, "frames": FRAMES, "names": remark}
    return plan_of(parts, dataset, notes, Context(protocol, whole))


def _labels(path: Path | None, rows: int, dataset: str) -> list[int] | None:
    """Our labels of a ``_label.npy``, if there is one.

    Raises:
        DataError: other than one label a clip, or a label that is no class.
    """
    if path is None:
        return None
    labels = open_npy(path)
    if labels.size != rows:
        raise DataError(f"{path}: wanted a label for each of {rows} clips, found {labels.size}.")
    return our_labels(labels.reshape(-1).tolist(), dataset, str(path))


def whole(xyz: np.ndarray, length: int) -> np.ndarray:
    """All frames: nothing was padded."""
    return xyz


read = npy_sets.read  # the same for both layouts
