"""PKU-MMD I and II: actions cut from long videos of one or two people.

A skeleton file has a row a frame: 25 Kinect v2 joints (the order of NTU RGB+D) of two bodies, x y z each, zeros for a
body that is not there. Coordinates are Kinect camera coordinates in metres (x to the sensor's left, y up, z away,
right-handed), the frame of the other sets; nothing is converted. The rows have no body IDs, so people are kept in their
slots by :mod:`~c2vl_lab.data.readers.slots` over the whole video before it is cut; single joints that are not a number
are filled inside each clip (:mod:`~c2vl_lab.data.joint_gaps`). A label file of the same name has
a row ``action,start,end,confidence`` for each action; split files list the training videos.

Clips are named like the sentences released with C2VL, ``A013N008V002C048L005``: script, performer, view (1 left,
2 middle, 3 right), published class id, and the row of the label file from 1. Part I publishes no performer: A is the
number of the video and N is 000.
Source: Liu et al., "PKU-MMD: A Large Scale Benchmark for Continuous Multi-Modal Human Action Understanding", 2017.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.joint_gaps import enough_known, fill_joints
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.readers.ntu_bodies import FARTHEST
from c2vl_lab.data.readers.pku_classes import CLASS_IDS, PKU_CLASSES
from c2vl_lab.data.readers.pku_labels import VIDEO, Instance, parse_labels
from c2vl_lab.data.readers.pku_sources import Entry, Found, Opener, find_files, sort_files
from c2vl_lab.data.readers.slots import choose_slots, keep_in_slots
from c2vl_lab.data.readers.sources import Part, PartReading, Plan
from c2vl_lab.errors import DataError, choose

VERSION = 3
# how a label's frames are cut -> what is taken from the start
CUTS = {"start-1:end": 1, "start:end": 0}
VIEWS = {"L": 1, "M": 2, "R": 3}
COLUMNS = 2 * 25 * 3
VIDEOS_A_PART = 8
VIDEO_LIMIT = 64 * 2**20  # bytes; the longest published video has about 10 MB
LABEL_LIMIT = 2**20
LINE_LIMIT = 2**14  # bytes; a published row has about 1,400
FRAMES_LIMIT = 10**6
OVERLAP = 4  # times the video's length that all its actions together may last


@dataclass(frozen=True)
class Options:
    """How the set is read.

    Attributes:
        cut: ``start-1:end`` takes both frames that a label names, counted from one (AimCLR's converter);
            ``start:end`` leaves out the first of them (CMD's and MAMP's). Every clip differs by one frame.
    """

    cut: str = "start-1:end"


@dataclass(frozen=True)
class Context:
    """What reading a part needs.

    Attributes:
        dataset: ``pku1`` or ``pku2``.
        cut: as in :class:`Options`.
        skeletons, labels: video name -> entry.
        splits: protocol -> video name -> ``train`` or ``test``.
    """

    dataset: str
    cut: str
    skeletons: dict[str, Entry] = field(default_factory=dict)
    labels: dict[str, Entry] = field(default_factory=dict)
    splits: dict[str, dict[str, str]] = field(default_factory=dict)


def find(data_dir: str | Path, options: Options, dataset: str) -> list[Path]:
    """The skeleton, label and split files under ``data_dir``, or the zips that hold them.

    Raises:
        ConfigError: an unknown way of cutting.
        MissingError: there are no skeletons, or no labels.
        DataError: a video is there twice, or a split file cannot be used.
    """
    choose(options.cut, CUTS, "cut")
    return find_files(data_dir, dataset).paths()


def plan(sources: list[Path], options: Options, dataset: str) -> Plan:
    """Eight videos a part, in the order of their names.

    Raises:
        ConfigError: an unknown way of cutting.
        DataError: as :func:`find`.
    """
    choose(options.cut, CUTS, "cut")
    found = sort_files(sources, dataset)
    videos = sorted(found.skeletons | found.labels)
    parts = [
        Part((found.skeletons | found.labels)[block[0]].place, tuple(block))
        for block in (videos[i : i + VIDEOS_A_PART] for i in range(0, len(videos), VIDEOS_A_PART))
    ]
    ids = CLASS_IDS[dataset]
    return Plan(
        parts,
        NTU25,
        [PKU_CLASSES[number - 1] for number in ids],
        list(ids),
        notes=_notes(found, options),
        context=Context(dataset, options.cut, found.skeletons, found.labels, _splits(found)),
    )


def _splits(found: Found) -> dict[str, dict[str, str]]:
    """Protocol -> video -> part; where a list names only training videos, all others are test videos."""
    splits = {}
    for protocol, (_, names) in found.lists.items():
        others = {} if "test" in names.values() else dict.fromkeys(found.skeletons, "test")
        splits[protocol] = others | names
    return splits


def _notes(found: Found, options: Options) -> dict[str, object]:
    """Conventions, and what the split files say about the videos at hand."""
    ways = "start-1:end takes both frames that a label names, counted from one; start:end leaves out the first"
    notes: dict[str, object] = {"coordinates": "as published, nothing converted", "cut": f"{options.cut} ({ways})"}
    for protocol, (entry, parts) in sorted(found.lists.items()):
        sizes = Counter(parts.values())
        here = sum(name in parts for name in found.skeletons)
        notes[f"split file for {protocol}"] = (
            f"{entry.short}: {sizes['train']} training videos, {sizes['test']} others; it names {here} of the "
            f"{len(found.skeletons)} videos at hand"
        )
    return notes


def read(part: Part, context: Context) -> PartReading:
    """Read the videos of a part and cut out their actions.

    A file that cannot be used becomes a fault; a video without labels, labels without a video, an action that lies
    outside its video and one in which nobody is seen are dropped by name.
    """
    reading = PartReading()
    with Opener() as opener:
        for video in part.members:
            skeleton, label = context.skeletons.get(video), context.labels.get(video)
            if skeleton is None or label is None:
                lacking = "no label file" if skeleton else "no skeleton file"
                reading.dropped[video] = f"video with {lacking}"
                continue
            where = label.where
            try:
                rows = parse_labels(label.where, opener.read(label, LABEL_LIMIT), CLASS_IDS[context.dataset])
                where = skeleton.where
                data = opener.read(skeleton, VIDEO_LIMIT)
                reading.files += 2
                reading.bytes += len(data)
                xyz, present = read_video(where, data, reading.counts)
                reading.clips += _cut(video, xyz, present, rows, context, reading)
            except DataError as error:
                reading.faults[where] = str(error)
    return reading


def read_video(where: str, data: bytes, counts: Counter[str]) -> tuple[np.ndarray, np.ndarray]:
    """The two bodies of a video, each in its slot.

    Returns:
        Coordinates (T, 2, 25, 3) float32 metres, zero where a body is absent and NaN where one of its joints is not
        known, and presence (T, 2) bool.

    Raises:
        DataError: a row that is not 150 numbers; file and line are named.
    """
    xyz = parse_rows(where, data).reshape(-1, 2, 25, 3)
    known = (np.abs(xyz) <= FARTHEST).all(axis=-1)  # NaN is not
    if not known.all():
        enough = enough_known(known)
        if not enough.all():
            counts["body frames left out: fewer than half of the joints are known"] += int((~enough).sum())
        xyz[~known] = np.nan
        xyz[~(enough & np.any(np.nan_to_num(xyz) != 0, axis=(2, 3)))] = 0
    present = np.asarray(xyz.any(axis=(2, 3)))
    xyz, present, swaps = keep_in_slots(xyz, present)
    if swaps:
        counts["times the recorder exchanged the two bodies, put right"] += swaps
    return xyz, present


def parse_rows(where: str, data: bytes) -> np.ndarray:
    """(T, 150) float32: the rows of a skeleton file.

    Raises:
        DataError: as :func:`read_video`.
    """
    data = data.rstrip()
    frames = data.count(b"\n") + 1
    if not data or frames > FRAMES_LIMIT:
        found = f"{frames} lines" if data else "an empty file"
        raise DataError(f"{where}: wanted a row of {COLUMNS} numbers for each frame, found {found}.")
    ends = np.flatnonzero(np.frombuffer(data + b"\n", np.uint8) == 10)
    longest = int(np.argmax(np.diff(ends, prepend=-1)))
    if ends[longest] - (ends[longest - 1] if longest else -1) > LINE_LIMIT:
        raise DataError(
            f"{where}, line {longest + 1}: wanted {COLUMNS} numbers, found a line of over {LINE_LIMIT} bytes."
        )
    if b"," in data[: ends[0]]:
        data = data.replace(b",", b" ")
    try:
        rows = np.loadtxt(io.BytesIO(data), np.float32, comments=None, ndmin=2)
    except ValueError:
        raise _faulty_line(where, data) from None
    if rows.shape != (frames, COLUMNS):
        raise _faulty_line(where, data)
    return rows


def _faulty_line(where: str, data: bytes) -> DataError:
    """The sentence about the first line that is not 150 numbers."""
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        words = line.split()
        if len(words) != COLUMNS:
            tail = " The file was probably cut: fetch it again." if number == len(lines) else ""
            return DataError(f"{where}, line {number}: wanted {COLUMNS} numbers, found {len(words)}.{tail}")
        try:
            [float(word) for word in words]
        except ValueError as error:
            return DataError(f"{where}, line {number}: wanted {COLUMNS} numbers ({error}).")
    return DataError(f"{where}: rows cannot be read as numbers.")


def _cut(
    video: str, xyz: np.ndarray, present: np.ndarray, rows: list[Instance], context: Context, reading: PartReading
) -> list[Clip]:
    """The clips of a video, one a label row; what was dropped or repaired goes into ``reading``."""
    match = VIDEO[context.dataset].fullmatch(video)
    groups = match.groupdict() if match else {}
    setup, subject, view = int(groups["setup"]), int(groups.get("subject", 0)), VIEWS[groups["view"]]
    ids = CLASS_IDS[context.dataset]
    lasting = sum(max(0, min(row.end, len(xyz)) - max(row.start, 0)) for row in rows)
    if lasting > OVERLAP * len(xyz):
        raise DataError(
            f"{context.labels[video].where}: its actions last {lasting} frames, the video {len(xyz)}. These are not "
            f"the video's published labels."
        )
    clips: list[Clip] = []
    for row in rows:
        name = f"A{setup:03d}N{subject:03d}V{view:03d}C{row.action:03d}L{row.row:03d}"
        start, end = _span(row, len(xyz), context, reading.counts)
        if start >= end:
            reading.dropped[name] = "its label names no span of the video's frames"
            continue
        joints, seen, filled = fill_joints(xyz[start:end], present[start:end], NTU25)
        slots = choose_slots(joints, seen, reading.counts)
        if not slots:
            reading.dropped[name] = "no body in any frame"
            continue
        if made_up := int(filled[:, slots].sum()):
            reading.counts[f"joints filled: not a number or over {FARTHEST:g} m away"] += made_up
        clips.append(
            Clip(
                name=name,
                xyz=joints[:, slots],
                present=seen[:, slots],
                frames=np.arange(start, end, dtype=np.int32),
                label=ids.index(row.action),
                subject=subject,
                camera=view,
                setup=setup,
                trial=row.row,
                source=f"{context.skeletons[video].short}, lines {start + 1} to {end}",
                splits={protocol: names[video] for protocol, names in context.splits.items() if video in names},
            )
        )
    return clips


def _span(row: Instance, frames: int, context: Context, counts: Counter[str]) -> tuple[int, int]:
    """First frame and the one after the last, from 0; (0, 0) where a label names no span of the video."""
    if row.start > row.end:
        return 0, 0
    first, end = row.start - CUTS[context.cut], min(row.end, frames)
    start = max(first, 0)
    if start >= end:
        return 0, 0
    if first < 0 or row.end > frames:
        counts["actions whose label reaches over an end of the video, cut there"] += 1
    return start, end
