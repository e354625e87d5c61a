"""The annotation ``.pkl`` of PYSKL and MMAction2, 3D skeletons: ``ntu60_3danno.pkl``, ``ntu120_3danno.pkl``.

``dict(split={xsub_train: [names], ...}, annotations=[dict(frame_dir, label, total_frames, keypoint (M, T, V, C))])``,
coordinates mostly in float16. The file is read without executing anything, its directory first and the coordinates
clip by clip, so that a file of 2 GB is never in memory. Facts about the layout: field.md, section 1b.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c2vl_lab.data.readers.imports_common import (
    JOINTS,
    NO_FRAMES,
    clip_of,
    conflict,
    guess_set,
    known_set,
    our_labels,
    our_name,
    plan_of,
    repeated,
    settled,
)
from c2vl_lab.data.readers.safe_pickle import PickledArray, read_pickle
from c2vl_lab.data.readers.sources import Part, PartReading, Plan
from c2vl_lab.errors import ConfigError, DataError, MissingError

VERSION = 2
CLIPS_A_PART = 200
BODIES_LIMIT, FRAMES_LIMIT, LIMIT = 16, 100_000, 64 * 2**20  # the last: bytes of a clip, and of a part
PARTS = {"train": "train", "val": "test", "test": "test"}
MADE_BY = "c2vl_lab"  # in files of our own export
COORDINATES = (
    "as PYSKL's converter leaves them: the recorder's coordinates without the frames in which nobody is seen; a body "
    "with a gap of tracking was moved together in time"
)
OURS = (  # files of c2vl_lab.data.exports
    "those of the store that the file was exported from, without the frames in which nobody is seen; a body's gaps of "
    "tracking are where they were"
)
FLAT = re.compile(r"hrnet|2d", re.IGNORECASE)  # in the names of PYSKL's files of 2D skeletons


@dataclass(frozen=True)
class Options:
    """How a file is read.

    Attributes:
        dataset: ``ntu60``, ``ntu120``, ``pku1`` or ``pku2``; "": told by the file's path or the clip names.
    """

    dataset: str = ""


@dataclass(frozen=True)
class Annotation:
    """A clip in the file's directory.

    Attributes:
        name: clip name.
        label: our label.
        keypoint: its coordinates (M, T, V, 3), still in the file.
        splits: protocol -> part.
        place: its number in the file's list.
    """

    name: str
    label: int
    keypoint: PickledArray
    splits: dict[str, str]
    place: int


@dataclass(frozen=True)
class AnnotationPart(Part):
    """Some annotations.

    Attributes:
        annotations: those that can be used.
        faults: of the whole file, in its first part: annotation -> why it cannot be used.
        first: whether this is the first part.
    """

    annotations: tuple[Annotation, ...] = ()
    faults: dict[str, str] = field(default_factory=dict)
    first: bool = False


def find(data_dir: str | Path, options: Options) -> list[Path]:
    """The ``.pkl``: ``data_dir`` itself, or the only one in it that fits the options and does not call itself 2D.

    Raises:
        MissingError: there is no such file.
        ConfigError: several files fit, or the only one is of another set than the options say.
    """
    root = Path(data_dir).expanduser()
    files, flat = [root] if root.is_file() else [], 0
    if str(data_dir) and root.is_dir():
        there = sorted(path for pattern in ("*.pkl", "*/*.pkl") for path in root.glob(pattern))
        files = [path for path in there if not FLAT.search(path.name)]
        flat = len(there) - len(files)
    fitting = [path for path in files if not conflict(path, options.dataset)]
    named = [path for path in fitting if options.dataset and guess_set(path)]
    fitting = named or fitting
    if files and not fitting:
        raise ConfigError(f"pyskl: {conflict(files[0], options.dataset)}")
    if not fitting:
        found = f"{flat} of 2D skeletons by their names" if flat else "none"
        raise MissingError(
            f"pyskl: wanted a file such as ntu60_3danno.pkl in {root} or a folder below, found {found}. Set data_dir "
            f"to the file or its folder."
        )
    if len(fitting) > 1:
        listed = ", ".join(str(path.relative_to(root)) for path in fitting[:8])
        raise ConfigError(f"pyskl: several files fit ({listed}). Set data_dir to the file, or dataset=.")
    return fitting


def plan(sources: list[Path], options: Options) -> Plan:
    """Two hundred annotations a part, in the order of the file.

    Raises:
        ConfigError: the set is not told.
        DataError: the file holds other things than 3D annotations, or no annotation can be used.
    """
    path = sources[0]
    value = read_pickle(path)
    split, annotations = _contents(path, value)
    given = [item for item in annotations if item is not None]
    names = [str(item.get("frame_dir", "")) for item in given if isinstance(item, dict)]
    dataset = known_set(settled(options.dataset or guess_set(path, names), "dataset", path))
    splits = _splits(path, split)
    items, faults = _usable(path, annotations, dataset, splits)
    if twice := repeated(item.name for item in items):
        raise DataError(f"{path}: clip {twice} occurs twice among the annotations.")
    parts = [
        AnnotationPart(
            str(path), tuple(item.name for item in block), tuple(block), {} if number else faults, not number
        )
        for number, block in enumerate(_blocks(items))
    ]
    notes = _notes(items, names, splits, sum(1 for item in annotations if item is None))
    if isinstance(value, dict) and value.get("made_by") == MADE_BY:
        notes["coordinates"] = OURS
    return plan_of(parts, dataset, notes)


def _usable(
    path: Path, annotations: list[Any], dataset: str, splits: dict[str, dict[str, str]]
) -> tuple[list[Annotation], dict[str, str]]:
    """The annotations that can be used, and why the others cannot.

    Raises:
        DataError: none can; the sentence is that of the first.
    """
    items: list[Annotation] = []
    faults: dict[str, str] = {}
    for place, item in enumerate(annotations):
        if item is None:
            continue
        try:
            items.append(_annotation(path, place, item, dataset, splits))
        except DataError as error:
            faults[f"{path.name}, annotation {place}"] = str(error)
    if not items:
        raise DataError(f"{next(iter(faults.values()))} (So it is with all of its annotations.)")
    return items, faults


def _blocks(items: list[Annotation]) -> list[list[Annotation]]:
    """Annotations in blocks of at most 200 clips and 64 MB."""
    blocks: list[list[Annotation]] = []
    size = 0
    for item in items:
        if not blocks or len(blocks[-1]) == CLIPS_A_PART or size + item.keypoint.nbytes > LIMIT:
            blocks.append([])
            size = 0
        blocks[-1].append(item)
        size += item.keypoint.nbytes
    return blocks


def _contents(path: Path, value: Any) -> tuple[dict[str, Any], list[Any]]:
    """``split`` and ``annotations`` of what a file holds.

    Raises:
        DataError: it holds something else.
    """
    found = f"a {type(value).__name__}"
    if isinstance(value, dict):
        split, annotations = value.get("split"), value.get("annotations")
        if isinstance(split, dict) and isinstance(annotations, list) and any(item is not None for item in annotations):
            return split, annotations
        found = "a dict of " + ", ".join(str(key)[:30] for key in list(value)[:5])
    if isinstance(value, list) and value and isinstance(value[0], dict) and "frame_dir" in value[0]:
        found = "a list of annotations without splits, as older versions of MMAction2 had it"
    raise DataError(f"{path}: wanted a dict of 'split' and 'annotations', as PYSKL writes it; found {found}.")


def _splits(path: Path, split: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Clip name -> protocol -> part.

    Raises:
        DataError: a split that is no list of names, or is not called ``<protocol>_train`` or ``_val``.
    """
    named: dict[str, dict[str, str]] = {}
    for key, names in split.items():
        protocol, _, part = str(key).rpartition("_")
        if part not in PARTS or not protocol.isidentifier() or not isinstance(names, (list, tuple)):
            raise DataError(f"{path}: wanted splits such as 'xsub_train' and 'xsub_val', found {str(key)[:40]!r}.")
        for name in names:
            if not isinstance(name, str):
                raise DataError(f"{path}: split {key} holds a {type(name).__name__}; wanted clip names.")
            if named.setdefault(name, {}).setdefault(protocol, PARTS[part]) != PARTS[part]:
                raise DataError(f"{path}: clip {name[:60]} is in both parts of protocol {protocol}.")
    return named


def _annotation(path: Path, place: int, item: Any, dataset: str, splits: dict[str, dict[str, str]]) -> Annotation:
    """One annotation, its form checked; the coordinates stay in the file.

    Raises:
        DataError: a field is lacking or of another kind; the sentence says which, and what to do about 2D skeletons.
    """
    where = f"{path}, annotation {place}"
    if not isinstance(item, dict):
        raise DataError(f"{where}: wanted a dict, found a {type(item).__name__}.")
    lacking = [key for key in ("frame_dir", "label", "keypoint") if key not in item]
    if lacking:
        hint = " Its coordinates are in other files (raw_file), as for Kinetics." if "raw_file" in item else ""
        raise DataError(f"{where}: lacks {', '.join(lacking)}.{hint}")
    label = our_labels([item["label"]], dataset, where)[0]
    name = our_name(item["frame_dir"], label, dataset, where)
    keypoint = item["keypoint"]
    if not isinstance(keypoint, PickledArray) or keypoint.dtype.kind != "f" or len(keypoint.shape) != 4:
        shape = getattr(keypoint, "shape", f"a {type(keypoint).__name__}")
        raise DataError(f"{where} ({name}): wanted keypoint as floats (bodies, frames, joints, 3), found {shape}.")
    bodies, frames, joints, axes = keypoint.shape
    if axes == 2 or joints == 17 or "keypoint_score" in item:
        raise DataError(
            f"{where} ({name}): these are 2D skeletons ({joints} joints, {axes} coordinates), found by a pose detector "
            f"in the colour images. Wanted 3D skeletons of {JOINTS} joints: PYSKL's files called *_3danno.pkl."
        )
    size = 0 < bodies <= BODIES_LIMIT and 0 < frames <= FRAMES_LIMIT and keypoint.nbytes <= LIMIT
    if (joints, axes) != (JOINTS, 3) or not size:
        raise DataError(
            f"{where} ({name}): wanted keypoint of {JOINTS} joints and 3 coordinates, found {keypoint.shape}."
        )
    total = item.get("total_frames", frames)
    if total != frames:
        raise DataError(f"{where} ({name}): total_frames says {str(total)[:20]}, keypoint has {frames} frames.")
    return Annotation(name, label, keypoint, splits.get(item["frame_dir"], {}), place)


def _notes(items: list[Annotation], names: list[str], splits: dict[str, dict[str, str]], empty: int) -> dict[str, Any]:
    """What the layout changed, and what its lists say about the clips at hand."""
    kinds = Counter(str(item.keypoint.dtype) for item in items)
    notes: dict[str, Any] = {"coordinates": COORDINATES, "frames": NO_FRAMES}
    if kinds["float16"]:
        notes["precision"] = f"{kinds['float16']} clips in float16: coordinates are off by up to 2 mm at 2 to 4 m"
    if empty:
        notes["annotations without a body"] = empty
    known = set(names)
    if strange := sum(1 for name in splits if name not in known):
        notes["names in the splits without an annotation"] = strange
    return notes


def read(part: AnnotationPart, context: None) -> PartReading:
    """The clips of some annotations; one whose bytes are damaged is a fault."""
    path = Path(part.path)
    reading = PartReading(files=int(part.first), faults=dict(part.faults))
    for item in part.annotations:
        where = f"{path.name}, annotation {item.place}"
        try:
            keypoint = item.keypoint.load()
        except DataError as error:
            reading.faults[where] = f"{error} (annotation {item.place}, {item.name})"
            continue
        reading.bytes += keypoint.nbytes
        clip = clip_of(keypoint.transpose(1, 0, 2, 3), item.name, item.label, where, item.splits, reading)
        if clip:
            reading.clips.append(clip)
    return reading
