"""UTD-MHAD: Matlab files in ``Skeleton.zip``, variable ``d_skel`` of 20 joints x 3 x frames.

Joints are re-ordered by name into KINECT20. Coordinates are Kinect v1 camera coordinates in metres (x to the
sensor's left, y up, z away, right-handed), the frame of NW-UCLA, so no axis is converted.
Source: Chen et al., "UTD-MHAD: A Multimodal Dataset for Human Action Recognition", ICIP 2015.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import KINECT20
from c2vl_lab.data.readers.matlab import read_array
from c2vl_lab.data.readers.sources import (
    NoOptions,
    Part,
    PartReading,
    Plan,
    find_file,
    read_archive,
    single_body,
    whole_archive,
)
from c2vl_lab.errors import DataError

VERSION = 1
Options = NoOptions
LIMIT = 2**19  # bytes of one file; the largest published one has 32 kB, and Matlab files are compressed inside
FRAMES_LIMIT = 10_000  # the longest published clip has 125
CLASSES = (
    "right arm swipe to the left",
    "right arm swipe to the right",
    "right hand wave",
    "two hand front clap",
    "right arm throw",
    "cross arms in the chest",
    "basketball shoot",
    "right hand draw x",
    "right hand draw circle (clockwise)",
    "right hand draw circle (counter clockwise)",
    "draw triangle",
    "bowling (right hand)",
    "front boxing",
    "baseball swing from right",
    "tennis right hand forehand swing",
    "arm curl (two arms)",
    "tennis serve",
    "two hand push",
    "right hand knock on door",
    "right hand catch an object",
    "right hand pick up and throw",
    "jogging in place",
    "walking in place",
    "sit to stand",
    "stand to sit",
    "forward lunge (left foot forward)",
    "squat (two arms stretch out)",
)
# the authors' Skeleton_joint_order.txt, in the names of KINECT20
FILE_JOINTS = [
    "head",
    "spine_shoulder",
    "spine_mid",
    "spine_base",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "left_hand",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "right_hand",
    "left_hip",
    "left_knee",
    "left_ankle",
    "left_foot",
    "right_hip",
    "right_knee",
    "right_ankle",
    "right_foot",
]
ORDER = [FILE_JOINTS.index(joint) for joint in KINECT20.joints]
NAME = re.compile(r"(a(\d{1,3})_s(\d{1,3})_t(\d{1,3}))_skeleton")


def find(data_dir: str | Path, options: Options) -> list[Path]:
    """The archive of the set.

    Raises:
        MissingError: it is not under ``data_dir``.
    """
    return [find_file(data_dir, "utd-mhad", "Skeleton.zip")]


def plan(sources: list[Path], options: Options) -> Plan:
    """The whole archive as one part: it is read in a second.

    Raises:
        DataError: a damaged archive, or one without Matlab files.
    """
    notes = {"coordinates": "joints re-ordered by name, axes as published"}
    return Plan(whole_archive(sources[0], ".mat"), KINECT20, list(CLASSES), notes=notes)


def read(part: Part, context: None = None) -> PartReading:
    """Read every clip; names are the file stems without ``_skeleton`` (``a1_s1_t1``).

    A file with a wrong name, label, shape or content becomes a fault.
    """
    return read_archive(part, ".mat", LIMIT, _clip)


def _clip(where: str, data: bytes) -> Clip:
    """One Matlab file as a clip."""
    match = NAME.fullmatch(Path(where).stem)
    if not match:
        raise DataError(
            f"{where}: wanted a name like a1_s1_t1_skeleton.mat. Leave other Matlab files out of the archive."
        )
    action, subject, trial = map(int, match.groups()[1:])
    if not 1 <= action <= len(CLASSES):
        raise DataError(f"{where}: action {action} is outside the protocol's classes 1 to {len(CLASSES)}.")
    wanted = f"shape (20, 3, frames) with at most {FRAMES_LIMIT} frames"
    raw = read_array(where, data, "d_skel", wanted, _is_skeleton, 20 * 3 * FRAMES_LIMIT)
    with np.errstate(all="ignore"):  # becomes infinite, which no store takes
        xyz = raw.transpose(2, 0, 1)[:, ORDER].astype(np.float32)
    return single_body(match.group(1), xyz, where, label=action - 1, subject=subject, trial=trial)


def _is_skeleton(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[:2] == (20, 3) and shape[2] <= FRAMES_LIMIT
