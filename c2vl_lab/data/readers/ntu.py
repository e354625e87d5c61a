"""NTU RGB+D 60 and 120: the recorder's raw ``.skeleton`` text files, in a folder or in zips.

Coordinates are Kinect v2 camera coordinates in metres (x to the sensor's left, y up, z away, right-handed), the
frame of the other sets; nothing is converted. Bodies are followed by the recorder's body ID, so a person stays in
one slot when the file lists people in another order, and a body keeps its true frames when tracking is lost.
Sources: Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2020. The data is under its authors' terms and not included.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.readers.ntu_bodies import Tracks, choose_bodies
from c2vl_lab.data.readers.ntu_classes import NTU_CLASSES
from c2vl_lab.data.readers.sources import Progress, Reading, existing_folder, zip_index, zip_members
from c2vl_lab.data.store import Clip
from c2vl_lab.errors import DataError, MissingError

VERSION = 1
MISSING_LIST = "missing.txt"
SUFFIX = ".skeleton"
NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})$")
NTU60_SETUPS = 17  # setups from 18 on were added by NTU RGB+D 120
JOINTS, COLUMNS, BODY_COLUMNS, BODIES = 25, 12, 10, 6


def find(data_dir: str | Path, dataset: str) -> list[Path]:
    """All ``.skeleton`` files under ``data_dir/<dataset>`` or ``data_dir``, or else the zips there that hold some.

    An optional ``missing.txt`` beside them (names, one a line) is among the sources.

    Raises:
        MissingError: there is neither a file nor a zip.
    """
    root = existing_folder(data_dir, dataset)
    if (root / dataset).is_dir():
        root = root / dataset
    files = sorted(root.rglob(f"*{SUFFIX}"))
    if not files:
        zips = sorted(root.glob("*.zip"))
        files = [path for path in zips if any(info.filename.endswith(SUFFIX) for info in zip_index(path))]
    if not files:
        raise MissingError(
            f"{dataset}: wanted {SUFFIX} files, or zips of them, under {root}, found none. "
            f"Set data_dir to the folder of the set's raw skeletons."
        )
    listed = root / MISSING_LIST
    return [*files, listed] if listed.is_file() else files


def read(sources: list[Path], progress: Progress = None, *, classes: int = 120) -> Reading:
    """Read every clip; names are the file stems (``S001C001P001R001A001``).

    Args:
        sources: what :func:`find` gave.
        progress: told every 1,000 files.
        classes: 60 or 120; for 60, files of the setups that came with NTU RGB+D 120 are left out and counted.

    Raises:
        DataError: a file that is cut, has other than 25 joints, a value that is no finite number, a wrong name or a
            label outside the protocol (file and line named).
    """
    lists = [path.read_text(encoding="utf-8") for path in sources if path.name == MISSING_LIST]
    skip = {name.removesuffix(SUFFIX) for text in lists for name in text.split()}
    clips: list[Clip] = []
    counts: Counter[str] = Counter()
    dropped: dict[str, str] = {}
    files = _files([path for path in sources if path.name != MISSING_LIST])
    for number, (where, data) in enumerate(files, 1):
        stem = Path(where).stem
        numbers = _numbers(where, stem)
        if stem in skip:
            counts[f"files named in {MISSING_LIST}"] += 1
        elif classes == 60 and numbers["setup"] > NTU60_SETUPS:
            counts["files of NTU RGB+D 120 only"] += 1
        elif clip := read_clip(where, data, numbers, classes, counts):
            clips.append(clip)
        else:
            dropped[stem] = "no body in any frame"
        if progress and number % 1000 == 0:
            progress(f"read {number} files, kept {len(clips)} clips")
    notes: dict[str, Any] = {"coordinates": "as published, nothing converted", "dropped": dropped, **counts}
    return Reading(clips, NTU25, list(NTU_CLASSES[:classes]), notes)


def read_clip(where: str, data: bytes, numbers: dict[str, int], classes: int, counts: Counter[str]) -> Clip | None:
    """One file as a clip of at most two bodies; None where no body was ever tracked.

    ``counts`` is told which bodies were left out and why.
    """
    if not 1 <= numbers["action"] <= classes:
        raise DataError(f"{where}: action {numbers['action']} is outside the protocol's classes 1 to {classes}.")
    total, tracks = parse_skeleton(where, data)
    slots = choose_bodies(tracks, counts)
    if not slots:
        return None
    xyz = np.zeros((total, len(slots), JOINTS, 3), np.float32)
    present = np.zeros((total, len(slots)), bool)
    for slot, parts in enumerate(slots):
        for frames, joints in parts:
            xyz[frames, slot] = joints
            present[frames, slot] = True
    return Clip(
        name=Path(where).stem,
        xyz=xyz,
        present=present,
        frames=np.arange(total, dtype=np.int32),
        label=numbers["action"] - 1,
        subject=numbers["subject"],
        camera=numbers["camera"],
        setup=numbers["setup"],
        trial=numbers["trial"],
        source=where,
    )


def parse_skeleton(where: str, data: bytes) -> tuple[int, Tracks]:
    """The bodies of one ``.skeleton`` text by body ID.

    Returns:
        The number of frames and, for each body ID, (true frame indices (n,), coordinates (n, 25, 3)).

    Raises:
        DataError: the text is no complete recording; file and line are named.
    """
    lines = data.rstrip().split(b"\n")
    total = _whole(where, lines, 0, "the number of frames")
    position = 1
    first_lines, bodies, frames = [], [], []
    for frame in range(total):
        count = _whole(where, lines, position, f"the number of bodies in frame {frame} of {total}")
        if not 0 <= count <= BODIES:
            raise DataError(f"{where}, line {position + 1}: wanted 0 to {BODIES} bodies, found {count}.")
        position += 1
        for _ in range(count):
            bodies.append(_body_id(where, lines, position, frame, total))
            frames.append(frame)
            first_lines.append(position + 2)
            position += 2 + JOINTS
    if position < len(lines):
        raise DataError(f"{where}, line {position + 1}: wanted the end after {total} frames, found more text.")
    values = _joint_values(where, lines, first_lines)
    owner, moment = np.array(bodies, dtype=object), np.array(frames, dtype=int)
    tracks = {}
    for body in dict.fromkeys(bodies):
        rows = np.flatnonzero(owner == body)
        _, once = np.unique(moment[rows], return_index=True)  # an ID listed twice in a frame counts once
        tracks[body] = (moment[rows[once]], values[rows[once]])
    return total, tracks


def _joint_values(where: str, lines: list[bytes], first_lines: list[int]) -> np.ndarray:
    """(bodies, 25, 3) float32: all joint lines turned into numbers in one go; a slow look only at what is wrong."""
    text = b" ".join([b" ".join(lines[first : first + JOINTS]) for first in first_lines])
    try:
        values = np.array(list(map(float, text.split()))).reshape(len(first_lines), JOINTS, COLUMNS)
    except ValueError:
        raise _faulty_line(where, lines, first_lines) from None
    state = values[..., -1]  # 0 lost, 1 inferred, 2 tracked; other values betray lines of shifted length
    if not np.isfinite(values[..., :3]).all() or not np.isin(state, (0, 1, 2)).all():
        raise _faulty_line(where, lines, first_lines)
    return values[..., :3].astype(np.float32)


def _faulty_line(where: str, lines: list[bytes], first_lines: list[int]) -> DataError:
    """The sentence about the first joint line that is not 12 numbers with finite x, y and z."""
    for number in (first + joint for first in first_lines for joint in range(JOINTS)):
        words = lines[number].split()
        try:
            numbers = [float(word) for word in words]
        except ValueError as error:
            return DataError(f"{where}, line {number + 1}: wanted {COLUMNS} numbers of a joint ({error}).")
        if len(numbers) != COLUMNS:
            tail = " The file was probably cut: fetch it again." if number == len(lines) - 1 else ""
            return DataError(
                f"{where}, line {number + 1}: wanted {COLUMNS} numbers of a joint, found {len(numbers)}.{tail}"
            )
        if not np.isfinite(numbers[:3]).all():
            return DataError(
                f"{where}, line {number + 1}: joint coordinates are not finite. Repair the file, or name it in "
                f"{MISSING_LIST} to leave it out."
            )
        if numbers[-1] not in (0, 1, 2):
            return DataError(
                f"{where}, line {number + 1}: wanted a tracking state of 0, 1 or 2 in the last column, "
                f"found {numbers[-1]:g}."
            )
    return DataError(f"{where}: joint lines cannot be read.")


def _body_id(where: str, lines: list[bytes], position: int, frame: int, total: int) -> int:
    """The body ID of a body's first line, as a whole number (it has more digits than a float holds)."""
    if position + 2 + JOINTS > len(lines):
        raise _cut(where, lines, f"frame {frame} of {total}")
    words = lines[position].split()
    if len(words) != BODY_COLUMNS or not words[0].isdigit():
        raise DataError(
            f"{where}, line {position + 1}: wanted {BODY_COLUMNS} numbers of a body, its ID first, "
            f"found '{lines[position][:60].decode(errors='replace').strip()}'."
        )
    joints = _whole(where, lines, position + 1, "the number of joints")
    if joints != JOINTS:
        raise DataError(f"{where}, line {position + 2}: wanted {JOINTS} joints, found {joints}.")
    return int(words[0])


def _whole(where: str, lines: list[bytes], position: int, what: str) -> int:
    """A line that holds one whole number."""
    if position >= len(lines):
        raise _cut(where, lines, what)
    try:
        return int(lines[position])
    except ValueError:
        found = lines[position][:60].decode(errors="replace").strip()
        raise DataError(f"{where}, line {position + 1}: wanted {what}, found '{found}'.") from None


def _cut(where: str, lines: list[bytes], what: str) -> DataError:
    return DataError(
        f"{where}: wanted {what} after line {len(lines)}, found the end of the file. It was cut: fetch it again."
    )


def _files(sources: list[Path]) -> Iterator[tuple[str, bytes]]:
    """(name for messages, content) of every ``.skeleton`` file in folders and zips."""
    for path in sources:
        if path.suffix == ".zip":
            for member, data in zip_members(path, SUFFIX):
                yield f"{path.name}/{member}", data
        else:
            yield str(path), path.read_bytes()


def _numbers(where: str, stem: str) -> dict[str, int]:
    """Setup, camera, subject, trial and action of a file name."""
    match = NAME.match(stem)
    if not match:
        raise DataError(f"{where}: wanted a name like S001C002P003R002A013{SUFFIX}. Rename or remove the file.")
    return dict(zip(("setup", "camera", "subject", "trial", "action"), map(int, match.groups()), strict=True))
