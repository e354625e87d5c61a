"""Arrays of 300 padded frames: ``{train,val}_data.npy`` (ST-GCN, CrosSCLR, AimCLR) and ``_data_joint.npy`` (2s-AGCN,
CMD, HiCo, UmURL, USDRL), with ``_label.pkl`` = (names, labels) and, from some, ``_num_frame.npy``.

The first kind holds the recorder's coordinates, padded with zeros. The second was normalised: each frame centred on
joint 2 of the first body, the clip turned once by its first frame, and padded by repeating the clip from its beginning
(facts: field.md, section 1b). Where ``_num_frame.npy`` does not say the length, the exact repetition tells it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2vl_lab.data.readers import npy_sets
from c2vl_lab.data.readers.imports_common import (
    RowsPart,
    guess_protocol,
    guess_set,
    known_set,
    plan_of,
    settled,
)
from c2vl_lab.data.readers.npy_sets import PARTS, Context, find_folder, joined_names, open_npy, open_rows, row_parts
from c2vl_lab.data.readers.sources import Plan
from c2vl_lab.errors import DataError, MissingError

VERSION = 2
ENDINGS = ("_data.npy", "_data_joint.npy")
SPINE = 1  # joint 2
LOOKED_AT = 32  # clips that tell whether the arrays are normalised
RAW = {
    "coordinates": "as the recorder gave them",
    "frames": "frames count from 0 as in the recording; bodies are in the order of the file, the first two of it",
}
NORMALISED = {
    "coordinates": "normalised as 2s-AGCN does it: joint 2 of the first body is the origin in every frame, and the "
    "clip is turned once by its first frame. Walking paths are lost, the distance of two people is kept",
    "frames": "frames count from 0; a body that turns up late or leaves early was moved to the first frame and "
    "repeated to the end, so when it was really seen is lost",
}


@dataclass(frozen=True)
class Options:
    """How the arrays are read.

    Attributes:
        dataset: ``ntu60``, ``ntu120``, ``pku1`` or ``pku2``; "": told by the folder or the names.
        protocol: ``xsub``, ``xview`` or ``xset``; "": told by the folder.
    """

    dataset: str = ""
    protocol: str = ""


def find(data_dir: str | Path, options: Options) -> list[Path]:
    """The arrays, their labels, and the numbers of frames where they are to be had.

    Raises:
        MissingError: a file is not there.
        ConfigError: several folders fit.
    """
    folder, ending = find_folder(data_dir, "agcn", ENDINGS, options.protocol)
    labels = [folder / f"{part}_label.pkl" for part in PARTS]
    if lacking := [path for path in labels if not path.is_file()]:
        raise MissingError(f"agcn: wanted {lacking[0]} beside train{ending}, found none.")
    lengths = [folder / f"{part}_num_frame.npy" for part in PARTS]
    known = lengths if all(path.is_file() for path in lengths) else []
    return [folder / f"{part}{ending}" for part in PARTS] + labels + known


def plan(sources: list[Path], options: Options) -> Plan:
    """Blocks of rows, the training part first.

    Raises:
        ConfigError: the set or the protocol is not told.
        DataError: an array is damaged, or names and labels do not fit it.
    """
    raw = [name for path in sources[2:4] for name in npy_sets.pickled_names(path)[0] if isinstance(name, str)]
    dataset = known_set(settled(options.dataset or guess_set(sources[0], raw), "dataset", sources[0]))
    protocol = settled(options.protocol or guess_protocol(sources[0]), "protocol", sources[0])
    length_files = dict(zip(PARTS, sources[4:], strict=False))
    parts: list[RowsPart] = []
    normalised = False
    for part, path, label_file in zip(PARTS, sources[:2], sources[2:4], strict=True):
        array = open_rows(path)
        normalised |= _centred(array)
        names, labels = joined_names(label_file, dataset, len(array))
        lengths = _lengths(length_files[part], len(array)) if length_files else []
        parts += row_parts(path, array, part, names, labels, lengths)
    notes = {**(NORMALISED if normalised else RAW), "names": f"those of {sources[2].name} and {sources[3].name}"}
    return plan_of(parts, dataset, notes, Context(protocol, unrepeated if normalised else cut))


def _lengths(path: Path, rows: int) -> list[int]:
    """The number of frames of each clip.

    Raises:
        DataError: other than a positive number a clip.
    """
    numbers = open_npy(path).reshape(-1)
    if len(numbers) != rows or not (numbers > 0).all():
        raise DataError(f"{path}: wanted a positive number of frames for each of {rows} clips.")
    return [int(min(number, npy_sets.FRAMES)) for number in numbers.tolist()]


@np.errstate(all="ignore")  # numbers that are not finite are looked at clip by clip
def _centred(array: np.ndarray) -> bool:
    """Whether joint 2 of the first body is the origin in every frame of the first clips."""
    block = np.asarray(array[:LOOKED_AT, :, :, :, 0])
    spine = np.abs(block[:, :, :, SPINE])
    return bool(np.any(block != 0)) and not np.any((spine > 1e-5) & np.isfinite(spine))


def cut(xyz: np.ndarray, length: int) -> np.ndarray:
    """The first ``length`` frames; all of them where the file does not say how many (0)."""
    return xyz[:length] if length else xyz


def unrepeated(xyz: np.ndarray, length: int) -> np.ndarray:
    """The frames of a clip (T, M, V, 3) without those that repeat it from its beginning."""
    xyz = cut(xyz, length)
    return xyz[: period(xyz[:, 0])]


def period(body: np.ndarray) -> int:
    """After how many frames a body's track begins again, exactly, and goes on so to the end; T where it does not.

    Args:
        body: (T, V, 3).
    """
    if not np.any(body[-1] != 0):  # padded with zeros, or not at all
        return len(body)
    flat = np.nan_to_num(body.reshape(len(body), -1), nan=np.inf)  # so that a NaN repeats itself
    for start in np.flatnonzero((flat[1:] == flat[0]).all(axis=1)) + 1:
        if np.array_equal(flat[start:], flat[:-start]):
            return int(start)
    return len(body)


read = npy_sets.read  # the same for both layouts
