"""NTU RGB+D 60 and 120: the recorder's raw ``.skeleton`` text files, in a folder or in zips.

Coordinates are Kinect v2 camera coordinates in metres (x to the sensor's left, y up, z away, right-handed), the
frame of the other sets; nothing is converted. All frames are kept: a body that is lost and found again keeps its true
frames, and so does a clip with frames in which nobody is seen. Single joints that are not a number are filled
(:mod:`~c2vl_lab.data.joint_gaps`) and their state is "lost".
Sources: Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2020. The data is under its authors' terms and not included.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.joint_gaps import fill_joints
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.readers.ntu_bodies import FARTHEST, Person, choose_people, in_reach, person_id
from c2vl_lab.data.readers.ntu_classes import NTU_CLASSES
from c2vl_lab.data.readers.ntu_missing import missing_names
from c2vl_lab.data.readers.ntu_sources import (
    EXAMPLE,
    MISSING_LIST,
    SUFFIX,
    Numbers,
    clip_numbers,
    listed_names,
    recording_bytes,
    recordings_below,
    short,
    shown,
    stem,
    zip_recordings,
)
from c2vl_lab.data.readers.ntu_text import JOINTS, Skeleton, parse_skeleton
from c2vl_lab.data.readers.sources import Part, PartReading, Plan, existing_folder
from c2vl_lab.errors import DataError, MissingError

VERSION = 4
CLASSES = {"ntu60": 60, "ntu120": 120}
NTU60_SETUPS = 17  # setups from 18 on were added by NTU RGB+D 120
FILES_A_PART = 200


@dataclass(frozen=True)
class Options:
    """How the set is read.

    Attributes:
        missing: leave out the 302 (of 120 classes: 535) samples that the authors list as without usable skeletons.
    """

    missing: bool = True


@dataclass(frozen=True)
class Context:
    """What every part needs.

    Attributes:
        classes: 60 or 120.
        missing: names to leave out -> why.
        twice: (path, member) of a file -> the file of the same name that came before it.
        root: the folder that holds all loose files; the store names them from there.
    """

    classes: int
    missing: dict[str, str] = field(default_factory=dict)
    twice: dict[tuple[str, str], str] = field(default_factory=dict)
    root: str = ""


def find(data_dir: str | Path, options: Options, *, dataset: str) -> list[Path]:
    """All ``.skeleton`` files under ``data_dir/<dataset>`` or ``data_dir``, and the zips there that hold others.

    A zip whose files all lie unpacked beside it is not read again. A ``missing.txt`` beside them (names to leave out,
    in addition to the authors' list) is among the sources.

    Raises:
        MissingError: there is neither a file nor a zip.
        DataError: a zip is cut or damaged.
    """
    del options  # they say what is left out, not where to look
    root = existing_folder(data_dir, dataset)
    if (root / dataset).is_dir():
        root = root / dataset
    files, zips = recordings_below(root)
    unpacked = set(map(stem, files))
    zips = [path for path in zips if path.is_file() and not unpacked.issuperset(map(stem, zip_recordings(path)))]
    if not files and not zips:
        raise MissingError(
            f"{dataset}: wanted {SUFFIX} files, or zips of them, under {root}, found none. "
            f"Set data_dir to the folder of the set's raw skeletons."
        )
    listed = root / MISSING_LIST
    return [*map(Path, files), *zips, *([listed] if listed.is_file() else [])]


def plan(sources: list[Path], options: Options, *, dataset: str) -> Plan:
    """Parts of up to 200 files of one folder or zip, in the order of the sources.

    Raises:
        DataError: a zip is cut or damaged, or ``missing.txt`` cannot be used.
    """
    classes = CLASSES[dataset]
    missing: dict[str, str] = {}
    if options.missing:
        missing = dict.fromkeys(missing_names(classes), "without a usable skeleton, by the authors' list")
    folders: dict[str, list[str]] = {}
    for path in sources:
        if path.name == MISSING_LIST:
            missing |= dict.fromkeys(listed_names(path), f"named in {MISSING_LIST}")
        elif path.suffix.lower() == ".zip":
            folders[str(path)] = zip_recordings(path)
        else:
            folder = os.path.join(path.parent, "")  # ends with a slash, so that it is never taken for a zip
            folders.setdefault(folder, []).append(path.name)
    loose = [path for path in folders if not path.lower().endswith(".zip")]
    parts = [
        Part(path, tuple(members[start : start + FILES_A_PART]))
        for path, members in folders.items()
        for start in range(0, len(members), FILES_A_PART)
    ]
    return Plan(
        parts=parts,
        layout=NTU25,
        classes=list(NTU_CLASSES[:classes]),
        class_ids=list(range(1, classes + 1)),
        extras=("state", "color"),
        notes={
            "coordinates": "as published, nothing converted",
            "samples without usable skeletons": "left out by the authors' list" if options.missing else "not left out",
        },
        context=Context(classes, missing, _found_twice(parts), os.path.commonpath(loose) if loose else ""),
    )


def _found_twice(parts: list[Part]) -> dict[tuple[str, str], str]:
    """(path, member) of each file whose clip was already there -> where it was."""
    first: dict[str, str] = {}
    twice: dict[tuple[str, str], str] = {}
    for part in parts:
        for member in part.members:
            here = os.path.join(part.path, member)
            if first.setdefault(stem(member), here) != here:
                twice[part.path, member] = first[stem(member)]
    return twice


def read(part: Part, context: Context) -> PartReading:
    """The clips of a part; names are the file stems (``S001C001P001R001A001``).

    Raises:
        OSError: the system refuses to read a file.
    """
    reading = PartReading()
    for member in part.members:
        where = shown(part.path, member)
        try:
            numbers = _wanted(part.path, member, context, reading)
            if numbers is None:
                continue
            data = recording_bytes(part.path, member)
            reading.files += 1
            reading.bytes += len(data)
            source = short(part.path, member, context.root)
            _take(source, stem(member), numbers, parse_skeleton(where, data), reading)
        except DataError as error:
            reading.faults[where] = str(error)
    reading.counts = +reading.counts  # without those that stayed 0
    return reading


def _wanted(path: str, member: str, context: Context, reading: PartReading) -> Numbers | None:
    """The numbers in a file's name; None where it is not to be read, and then ``reading`` is told why.

    Raises:
        DataError: the name is no clip's, is there twice, or tells an action that the set does not have.
    """
    where, numbers = shown(path, member), clip_numbers(member)
    if numbers is None:
        raise DataError(f"{where}: wanted a name like {EXAMPLE}{SUFFIX}. Rename or remove the file.")
    name, setup, action = stem(member), numbers[0], numbers[-1]
    if context.classes == CLASSES["ntu60"] and setup > NTU60_SETUPS:
        reading.counts["files not read: of NTU RGB+D 120 only"] += 1
        return None
    if before := context.twice.get((path, member)):
        raise DataError(f"{where}: {name} is there twice, first as {before}. Remove one of the two.")
    if not 1 <= action <= context.classes:
        raise DataError(f"{where}: action {action} is outside the protocol's classes 1 to {context.classes}.")
    if name in context.missing:
        reading.dropped[name] = context.missing[name]
        return None
    return numbers


def _take(source: str, name: str, numbers: Numbers, skeleton: Skeleton, reading: PartReading) -> None:
    """Add a recording's clip to ``reading``, or say why there is none."""
    skeleton = in_reach(skeleton)
    people = choose_people(skeleton, reading.counts)
    if not people:
        reading.dropped[name] = "no body frame that can be used" if skeleton.ids else "no body in any frame"
        return
    setup, camera, subject, trial, action = numbers
    arrays = _slot_arrays(skeleton, people)
    _count_gaps(arrays, reading.counts)
    reading.clips.append(
        Clip(
            name=name,
            xyz=arrays.xyz,
            present=arrays.present,
            frames=np.arange(skeleton.frames, dtype=np.int32),
            label=action - 1,
            subject=subject,
            camera=camera,
            setup=setup,
            trial=trial,
            source=source,
            ids=tuple(map(person_id, people)),
            state=arrays.state,
            color=arrays.color,
        )
    )


class _Arrays(NamedTuple):
    """A clip's arrays, (T, M, ...)."""

    xyz: np.ndarray
    present: np.ndarray
    state: np.ndarray
    color: np.ndarray
    filled: np.ndarray


def _slot_arrays(skeleton: Skeleton, people: list[Person]) -> _Arrays:
    """The rows of a recording that belong to these people, each in their slot."""
    shape = (skeleton.frames, len(people))
    xyz, present = np.zeros((*shape, JOINTS, 3), np.float32), np.zeros(shape, bool)
    state, color = np.zeros((*shape, JOINTS), np.uint8), np.full((*shape, JOINTS, 2), np.nan, np.float32)
    known = np.isfinite(skeleton.color).all(axis=-1, keepdims=True)
    places = np.where(known, skeleton.color, np.float32(np.nan))
    for slot, person in enumerate(people):
        for track in person:
            xyz[track.frames, slot] = skeleton.xyz[track.rows]
            present[track.frames, slot] = True
            state[track.frames, slot] = skeleton.state[track.rows]
            color[track.frames, slot] = places[track.rows]
    xyz, present, filled = fill_joints(xyz, present, NTU25)
    state[filled] = 0  # lost, whatever the recorder said
    return _Arrays(xyz, present, state, color, filled)


def _count_gaps(arrays: _Arrays, counts: Counter[str]) -> None:
    """Count what is not there in a clip: it keeps its place in time, and single joints are filled."""
    present = arrays.present
    seen = np.cumsum(present, axis=0)
    gaps = ~present & (seen > 0) & (seen < seen[-1])
    counts["frames without any body, kept in place"] += int((~present.any(axis=1)).sum())
    counts["gaps: body frames between two tracked ones, kept in place"] += int(gaps.sum())
    counts[f"joints filled: not a number or over {FARTHEST:g} m away"] += int(arrays.filled.sum())
    counts["joints without a place in the colour image"] += int(np.isnan(arrays.color[present][..., 0]).sum())
