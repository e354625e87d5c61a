"""Northwestern-UCLA Multiview Action 3D: JSON files in ``all_sqe.zip``, as CTR-GCN and its followers use them.

Coordinates are Kinect v1 camera coordinates in metres: x to the sensor's left, y up, z away from the sensor,
right-handed. Nothing is converted; the other sets are brought to this frame. Joints are in KINECT20 order.
Source: Wang et al., "Cross-view Action Modeling, Learning and Recognition", CVPR 2014.
"""

from __future__ import annotations

import json
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
    read_archive,
    single_body,
    whole_archive,
)
from c2vl_lab.errors import DataError

VERSION = 1
Options = NoOptions
LIMIT = 4 * 2**20  # bytes of one file; the largest published one has 127 kB
# number in the file name -> class, in label order; the release has no a07 and a10
ACTIONS = {
    1: "pick up with one hand",
    2: "pick up with two hands",
    3: "drop trash",
    4: "walk around",
    5: "sit down",
    6: "stand up",
    8: "donning",
    9: "doffing",
    11: "throw",
    12: "carry",
}
NAME = re.compile(r"a(\d{1,3})_s(\d{1,3})_e(\d{1,3})_v(\d{1,3})")


def find(data_dir: str | Path, options: Options) -> list[Path]:
    """The archive of the set.

    Raises:
        MissingError: it is not under ``data_dir``.
    """
    return [find_file(data_dir, "nw-ucla", "all_sqe.zip")]


def plan(sources: list[Path], options: Options) -> Plan:
    """The whole archive as one part: it is read in a second.

    Raises:
        DataError: a damaged archive, or one without JSON files.
    """
    notes = {"coordinates": "as published, nothing converted"}
    return Plan(whole_archive(sources[0], ".json"), KINECT20, list(ACTIONS.values()), notes=notes)


def read(part: Part, context: None = None) -> PartReading:
    """Read every clip; names are the file stems (``a01_s01_e00_v01``).

    A file with a wrong name, label, shape or content becomes a fault.
    """
    return read_archive(part, ".json", LIMIT, _clip)


def _clip(where: str, data: bytes) -> Clip:
    """One JSON file as a clip; the label inside must agree with the action in the name."""
    stem = Path(where).stem
    match = NAME.fullmatch(stem)
    if not match:
        raise DataError(f"{where}: wanted a name like a01_s01_e00_v01.json. Leave other files out of the archive.")
    action, subject, trial, camera = map(int, match.groups())
    try:
        content = json.loads(data)
        with np.errstate(all="ignore"):  # becomes infinite, which no store takes
            xyz = np.asarray(content["skeletons"], dtype=np.float32)
        label = int(content["label"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(f"{where}: wanted JSON with numbers 'skeletons' and 'label' ({str(error)[:200]}).") from error
    if not 1 <= label <= len(ACTIONS) or action not in ACTIONS or list(ACTIONS).index(action) != label - 1:
        raise DataError(
            f"{where}: label {label} and action a{action:02d} do not go together in the protocol's 10 classes. "
            f"Use the published file."
        )
    if xyz.ndim != 3 or xyz.shape[1:] != (20, 3):
        raise DataError(f"{where}: wanted skeletons of shape (frames, 20, 3), found {xyz.shape}.")
    return single_body(stem, xyz, where, label=label - 1, subject=subject, trial=trial, camera=camera)
