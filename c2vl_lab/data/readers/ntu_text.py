"""The text of one ``.skeleton`` file of NTU RGB+D as arrays.

A file holds the number of frames; for each frame the number of bodies; for each body a line of 10 values, its ID
first, the number of joints, and for each joint a line of 12: x y z depthX depthY colorX colorY qw qx qy qz state
(format: Shahroudy et al., CVPR 2016, and the Matlab reader in their repository). Frames carry no number of their own:
the index of a frame is its place in the file. Depth coordinates and orientations are checked to be numbers, not kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c2vl_lab.errors import DataError

JOINTS, COLUMNS, BODY_COLUMNS = 25, 12, 10
BODY_LINES = 2 + JOINTS
BODIES = 6  # a Kinect follows at most six people
# Our limits, far above anything published, so that a damaged file cannot claim all memory.
FRAMES, IDS, LINE_LENGTH = 5_000, 100, 2_000
KEPT = {"x": 0, "y": 1, "z": 2, "color x": 5, "color y": 6, "state": 11}  # name -> column
CUT = "It was cut: fetch it again."


@dataclass(frozen=True)
class Skeleton:
    """What a file holds, one row a body and frame, in the order of the file; nothing is left out.

    Attributes:
        frames: number of frames, also those without a body.
        ids: the recorder's body IDs, in the order of their first appearance.
        frame: (R,) int32, the true frame index of each row.
        body: (R,) int32, index into ``ids``.
        xyz: (R, 25, 3) float32 metres; may hold NaN or infinity.
        color: (R, 25, 2) float32, pixel (x, y) in the colour image; may hold NaN or infinity.
        state: (R, 25) uint8: 0 lost, 1 inferred, 2 tracked.
    """

    frames: int
    ids: tuple[int, ...]
    frame: np.ndarray
    body: np.ndarray
    xyz: np.ndarray
    color: np.ndarray
    state: np.ndarray


def parse_skeleton(where: str, data: bytes) -> Skeleton:
    """The content of one file.

    Args:
        where: the file's name for messages.
        data: its bytes.

    Raises:
        DataError: the text is no complete recording; file and line are named.
    """
    lines = _Lines(where, data)
    frame, ids, firsts = _structure(lines)
    codes = {body: code for code, body in enumerate(dict.fromkeys(ids))}
    if len(codes) > IDS:
        raise DataError(f"{where}: wanted at most {IDS} different body IDs, found {len(codes)}. The file is damaged.")
    values = _joint_values(lines, firsts).reshape(len(firsts), JOINTS, len(KEPT))
    return Skeleton(
        frames=lines.frames,
        ids=tuple(codes),
        frame=np.array(frame, np.int32),
        body=np.array([codes[body] for body in ids], np.int32),
        xyz=np.ascontiguousarray(values[..., :3]),
        color=np.ascontiguousarray(values[..., 3:5]),
        state=_states(lines, firsts, values[..., 5]),
    )


class _Lines:
    """A file's lines, cut out only where they are looked at; line numbers in here begin at 0."""

    def __init__(self, where: str, data: bytes) -> None:
        self.where = where
        self.data = data.rstrip() + b"\n"
        self.starts = [0, self.data.index(b"\n") + 1]
        self.frames = self.whole(0, "the number of frames")
        if self.frames > FRAMES:
            raise DataError(
                f"{where}, line 1: wanted at most {FRAMES} frames, found {self.frames}. The file is damaged."
            )
        most = 1 + self.frames * (1 + BODIES * BODY_LINES)
        is_end = np.frombuffer(self.data, np.uint8) == ord("\n")
        if np.count_nonzero(is_end) > most:
            raise DataError(
                f"{where}, line {most + 1}: wanted the end after {self.frames} frames, found more text. "
                f"The file is damaged."
            )
        self.starts = [0, *(np.flatnonzero(is_end) + 1).tolist()]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, number: int) -> bytes:
        return self.data[self.starts[number] : self.starts[number + 1]]

    def block(self, first: int, count: int) -> bytes:
        """Several lines in one piece."""
        return self.data[self.starts[first] : self.starts[first + count]]

    def words(self, number: int) -> list[bytes]:
        """The words of a line."""
        line = self[number]
        if len(line) > LINE_LENGTH:
            raise self.error(number, f"wanted at most {LINE_LENGTH} characters, found {len(line)}.")
        return line.split()

    def whole(self, number: int, what: str) -> int:
        """A line that holds one whole number, 0 or more."""
        if number >= len(self):
            raise self.cut(what)
        word = self[number].strip()
        if not word.isdigit() or len(word) > 18:
            raise self.error(number, f"wanted {what}, found '{self.shown(number)}'.")
        return int(word)

    def shown(self, number: int) -> str:
        """The start of a line for messages."""
        text = self[number].strip()[:60].decode("ascii", errors="replace")
        return "".join(letter if letter.isprintable() else "?" for letter in text)

    def error(self, number: int, sentence: str) -> DataError:
        return DataError(f"{self.where}, line {number + 1}: {sentence}")

    def cut(self, what: str) -> DataError:
        return DataError(f"{self.where}: wanted {what} after line {len(self)}, found the end of the file. {CUT}")


_COUNTS = {b"%d%s" % (count, end): count for count in range(BODIES + 1) for end in (b"\r\n", b"\n")}
_JOINT_COUNTS = (b"%d\r\n" % JOINTS, b"%d\n" % JOINTS)


def _structure(lines: _Lines) -> tuple[list[int], list[int], list[int]]:
    """For each body of each frame: frame index, body ID, and the line of its first joint."""
    frame, ids, firsts = [], [], []
    position = 1
    for index in range(lines.frames):
        count = _COUNTS.get(lines[position]) if position < len(lines) else None
        if count is None:
            count = _body_count(lines, position, index)
        position += 1
        for _ in range(count):
            ids.append(_body_id(lines, position, index))
            frame.append(index)
            firsts.append(position + 2)
            position += BODY_LINES
    if position < len(lines):
        raise lines.error(position, f"wanted the end after {lines.frames} frames, found more text.")
    return frame, ids, firsts


def _body_count(lines: _Lines, position: int, frame: int) -> int:
    """The number of bodies in a frame, from a line that is not written as it usually is."""
    count = lines.whole(position, f"the number of bodies in frame {frame} of {lines.frames}")
    if count > BODIES:
        raise lines.error(position, f"wanted 0 to {BODIES} bodies, found {count}.")
    return count


def _body_id(lines: _Lines, position: int, frame: int) -> int:
    """The body ID of a body's first line: a whole number of more digits than a float holds."""
    if position + BODY_LINES > len(lines):
        raise lines.cut(f"a body of {BODY_LINES} lines in frame {frame} of {lines.frames}")
    words = lines.words(position)
    if len(words) != BODY_COLUMNS or not words[0].isdigit() or len(words[0]) > 20:
        raise lines.error(
            position, f"wanted {BODY_COLUMNS} numbers of a body, its ID first, found '{lines.shown(position)}'."
        )
    if lines[position + 1] not in _JOINT_COUNTS:
        joints = lines.whole(position + 1, "the number of joints")
        if joints != JOINTS:
            raise lines.error(position + 1, f"wanted {JOINTS} joints, found {joints}.")
    return int(words[0])


def _joint_values(lines: _Lines, firsts: list[int]) -> np.ndarray:
    """(R * 25, 6) float32: the kept columns of all joint lines."""
    if not firsts:
        return np.zeros((0, len(KEPT)), np.float32)
    values = _at_once(b"".join([lines.block(first, JOINTS) for first in firsts]), JOINTS * len(firsts))
    if values is None:  # something is unusual, or wrong
        with np.errstate(over="ignore"):  # beyond float32 is infinity
            rows = [_joint_line(lines, first + joint) for first in firsts for joint in range(JOINTS)]
            values = np.array(rows)[:, list(KEPT.values())].astype(np.float32)
    return values


def _at_once(text: bytes, rows: int) -> np.ndarray | None:
    """The kept columns of regular joint lines, single blanks between 12 plain numbers; None for any others."""
    import pyarrow as pa
    from pyarrow import csv

    names = [str(column) for column in range(COLUMNS)]
    try:
        table = csv.read_csv(
            pa.BufferReader(text),
            csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
            csv.ParseOptions(delimiter=" ", quote_char=False),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float32()), null_values=[]),
        )
    except pa.ArrowException:
        return None
    if table.num_rows != rows:
        return None
    return np.stack([table.column(column).to_numpy() for column in KEPT.values()], axis=-1)


def _joint_line(lines: _Lines, number: int) -> list[float]:
    """The 12 numbers of one joint line, however they are spaced and written."""
    words = lines.words(number)
    if len(words) != COLUMNS:
        tail = f" {CUT}" if number == len(lines) - 1 else ""
        raise lines.error(number, f"wanted {COLUMNS} numbers of a joint, found {len(words)}.{tail}")
    try:
        if b"_" in lines[number]:  # Python's float would take 1_000
            raise ValueError
        return [float(word) for word in words]
    except ValueError:
        raise lines.error(number, f"wanted {COLUMNS} numbers of a joint, found '{lines.shown(number)}'.") from None


def _states(lines: _Lines, firsts: list[int], values: np.ndarray) -> np.ndarray:
    """(R, 25) uint8 tracking states; other values betray lines of shifted length."""
    wrong = ~((values == 0) | (values == 1) | (values == 2))
    if wrong.any():
        row, joint = np.argwhere(wrong)[0]
        number = firsts[row] + int(joint)
        raise lines.error(
            number, f"wanted a tracking state of 0, 1 or 2 in the last column, found {values[row, joint]:g}."
        )
    return values.astype(np.uint8)
