"""MSR-Action3D: text files in ``MSRAction3DSkeletonReal3D.zip``, 20 lines ``x y z confidence`` a frame.

Joints are re-ordered by name into KINECT20. Coordinates are metres in the frame of NW-UCLA (x to the sensor's left,
y up, z away, right-handed), so no axis is converted. Left and right are those of the set's README, read off the
data. Frames in which the recorder lost the body are all zero in the files: they stay in their place, marked absent.
Source: Li et al., "Action Recognition Based on a Bag of 3D Points", CVPR4HB 2010; the list of 557 files is that of
Wang et al., "Mining Actionlet Ensemble", CVPR 2012.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import KINECT20
from c2vl_lab.data.readers.sources import (
    NoOptions,
    Part,
    PartReading,
    Plan,
    find_file,
    single_body,
    usable_members,
    zip_index,
)
from c2vl_lab.errors import DataError

VERSION = 1
Options = NoOptions
LIMIT = 8 * 2**20  # bytes of one file; the largest published one has 680 kB
LIST_LIMIT = 2**20  # the published list has 7 kB
LIST = "files_used_in_cvpr12_paper.txt"
CLASSES = (
    "high arm wave",
    "horizontal arm wave",
    "hammer",
    "hand catch",
    "forward punch",
    "high throw",
    "draw x",
    "draw tick",
    "draw circle",
    "hand clap",
    "two hand wave",
    "side boxing",
    "bend",
    "forward kick",
    "side kick",
    "jogging",
    "tennis swing",
    "tennis serve",
    "golf swing",
    "pick up and throw",
)
FILE_JOINTS = [
    "left_shoulder",
    "right_shoulder",
    "spine_shoulder",
    "spine_mid",
    "left_hip",
    "right_hip",
    "spine_base",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_foot",
    "right_foot",
    "head",
]
ORDER = [FILE_JOINTS.index(joint) for joint in KINECT20.joints]
NAME = re.compile(r"(a(\d{1,3})_s(\d{1,3})_e(\d{1,3}))_skeleton3D")


def find(data_dir: str | Path, options: Options) -> list[Path]:
    """The archive of the set and the list of the files that papers use.

    Raises:
        MissingError: one of them is not under ``data_dir``.
    """
    return [find_file(data_dir, "msr-action3d", name) for name in ("MSRAction3DSkeletonReal3D.zip", LIST)]


def plan(sources: list[Path], options: Options) -> Plan:
    """The whole archive as one part: it is read in a second.

    Raises:
        DataError: a damaged archive, or a listed file that is not in it.
    """
    archive, list_file = sources
    if list_file.stat().st_size > LIST_LIMIT:
        raise DataError(f"{list_file}: wanted a list of file names, found over {LIST_LIMIT} bytes. Fetch it again.")
    try:
        listed = frozenset(list_file.read_text(encoding="utf-8").split())
    except UnicodeDecodeError as error:
        raise DataError(f"{list_file}: wanted a text file of names ({error}). Fetch it again.") from error
    held = {match.group(1) for info in zip_index(archive) if (match := NAME.fullmatch(Path(info.filename).stem))}
    absent = sorted(listed - held)
    if absent:
        raise DataError(f"{archive}: lacks {len(absent)} files of {list_file.name}, the first is {absent[0][:60]}.")
    notes = {"coordinates": "joints re-ordered by name, axes as published"}
    return Plan([Part(str(archive))], KINECT20, list(CLASSES), notes=notes, context=listed)


def read(part: Part, context: frozenset[str]) -> PartReading:
    """Read the 557 listed clips; names are the file stems (``a01_s01_e01``).

    A file with a wrong name or content becomes a fault; one that is not listed is dropped.
    """
    reading = PartReading()
    path = Path(part.path)
    for member, data in usable_members(path, ".txt", reading, LIMIT):
        where = f"{path.name}/{member}"
        match = NAME.fullmatch(Path(member).stem)
        if match and match.group(1) not in context:
            reading.dropped[match.group(1)] = f"not in {LIST} (too noisy)"
            continue
        try:
            clip = _clip(where, match, data)
        except DataError as error:
            reading.faults[where] = str(error)
            continue
        reading.clips.append(clip)
        reading.counts["frames without a body"] += int((~clip.present).sum())
    return reading


def _clip(where: str, match: re.Match | None, data: bytes) -> Clip:
    """One text file as a clip."""
    if not match:
        raise DataError(f"{where}: wanted a name like a01_s01_e01_skeleton3D.txt.")
    action, subject, trial = map(int, match.groups()[1:])
    if not 1 <= action <= len(CLASSES):
        raise DataError(f"{where}: action {action} is outside the protocol's classes 1 to {len(CLASSES)}.")
    try:
        with np.errstate(all="ignore"):  # becomes infinite and is named below
            values = np.array(data.split(), dtype=np.float32)
    except ValueError:
        raise _faulty_line(where, data) from None
    if len(values) == 0 or len(values) % (20 * 4) or not np.isfinite(values.reshape(-1, 4)[:, :3]).all():
        raise _faulty_line(where, data)
    xyz = values.reshape(-1, 20, 4)[:, ORDER, :3]
    return single_body(match.group(1), xyz, where, label=action - 1, subject=subject, trial=trial)


def _faulty_line(where: str, data: bytes) -> DataError:
    """The sentence about the first line that is not four numbers, or about lines that are lacking."""
    lines = data.rstrip().split(b"\n")
    for number, line in enumerate(lines, 1):
        wanted = f"{where}, line {number}: wanted x y z and a confidence"
        words = line.split()
        if len(words) != 4:
            return DataError(f"{wanted}, found {len(words)} words.")
        try:
            finite = (np.abs(np.array(words, dtype=np.float64)[:3]) < np.finfo(np.float32).max).all()
        except ValueError:
            return DataError(f"{wanted}, found '{line[:60].decode(errors='replace').strip()}'.")
        if not finite:
            return DataError(f"{wanted}, found a number that is not finite. Repair the file or leave it out.")
    return DataError(
        f"{where}, line {len(lines)}: wanted 20 lines a frame, found the end after {len(lines)} lines. "
        f"The file was probably cut: fetch it again."
    )
