"""One on-disk store for any skeleton set: memory-mapped, variable length, names kept from end to end.

A store is a folder. A clip of T frames and M people takes T x M rows, frame after frame, so that a one-person clip
pays for one person; all clips lie one after another::

    xyz.npy      float32 (R, V, 3)  coordinates in metres, y up; zero where the body was not tracked
    present.npy  bool    (R,)       whether the recorder tracked the body in this frame
    state.npy    uint8   (R, V)     where published: 0 lost, 1 inferred, 2 tracked
    color.npy    float32 (R, V, 2)  where published: pixel of each joint in the colour image, NaN where unknown
    frames.npy   int32   (F,)       the true frame index inside the recording, F frames in all
    clips.csv    one row a clip: name, label, subject, camera, setup, trial, source, length, bodies, ids, digest,
                 and split:<protocol> where a protocol's parts are published as lists
    meta.json    data set, layout, classes, what the reader dropped and why, and the fingerprint
"""

from __future__ import annotations

import warnings
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.artifacts import fingerprint, read_json
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import DataError, MissingError

FORMAT = 2
NUMBERS = ("label", "subject", "camera", "setup", "trial")
COLUMNS = ("name", *NUMBERS, "source", "length", "bodies", "ids", "digest")
SPLIT = "split:"
# dtype and the shape of one row, V being the number of joints
ARRAYS: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "xyz": ("<f4", ("V", 3)),
    "present": ("|b1", ()),
    "frames": ("<i4", ()),
    "state": ("|u1", ("V",)),
    "color": ("<f4", ("V", 2)),
}
REQUIRED = ("xyz", "present", "frames")
AGAIN = "Delete the folder and read the data again."
LONGEST_HEADER = 2**16  # bytes of the first line of clips.csv
MAGIC = b"\x93NUMPY\x01\x00"
# what numpy's reader of headers raises for damaged ones
NO_ARRAY = (OSError, ValueError, EOFError, SyntaxError, TypeError, KeyError, OverflowError, MemoryError, TokenError)


class SkeletonStore:
    """A finished store, opened read-only; coordinates stay on disk until a clip is asked for.

    Attributes:
        path: the folder.
        meta: what ``meta.json`` holds.
        clips: the table of clips, one row a clip, in store order.
        layout: the joints.
        xyz: (R, V, 3) all rows, memory-mapped.
        present: (R,) all rows.
        state: (R, V) all rows, or None where it is not published.
        frames: (F,) the true frame indices of all clips.
        lengths: (N,) frames of each clip.
        body_counts: (N,) body slots of each clip.
        row_starts: (N,) first row of each clip; frame t of body m is row ``start + t * bodies + m``.
        frame_starts: (N,) first entry of each clip in ``frames``.
    """

    def __init__(self, path: Path, meta: dict[str, Any], clips: pd.DataFrame, arrays: dict[str, np.ndarray]):
        self.path = path
        self.meta = meta
        self.clips = clips
        self.layout = layout_of(meta)
        self.xyz, self.present = arrays["xyz"], arrays["present"]
        self.state, self.frames = arrays.get("state"), arrays["frames"]
        self._arrays = arrays
        self.lengths = clips["length"].to_numpy(np.int64)
        self.body_counts = clips["bodies"].to_numpy(np.int64)
        self.row_starts = _starts(self.lengths * self.body_counts)
        self.frame_starts = _starts(self.lengths)

    @classmethod
    def open(cls, path: str | Path) -> SkeletonStore:
        """Open a store folder.

        Raises:
            MissingError: there is no store at ``path``.
            DataError: its files are of another format, damaged, or do not fit together.
        """
        path = Path(path)
        if not (path / "meta.json").is_file():
            raise MissingError(f"No skeleton store at {path}. Run notebook 01_data, or `c2vl data`, to make it.")
        meta = read_json(path / "meta.json")
        if not isinstance(meta, dict) or meta.get("format") != FORMAT:
            raise DataError(f"{path}/meta.json: wanted store format {FORMAT}. {AGAIN}")
        clips = _read_table(path / "clips.csv")
        try:
            _check_labels(path, clips, meta["classes"])
            arrays = _map_arrays(path, len(meta["layout"]["joints"]), clips)
            return cls(path, meta, clips, arrays)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise DataError(f"{path}/meta.json: wanted the entries of a store, {error!r} is amiss. {AGAIN}") from error

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Clip:
        """A clip; its arrays are views of the memory map."""
        length, bodies = int(self.lengths[index]), int(self.body_counts[index])
        row, frame = int(self.row_starts[index]), int(self.frame_starts[index])

        def rows(name: str) -> np.ndarray | None:
            array = self._arrays.get(name)
            if array is None:
                return None
            return array[row : row + length * bodies].reshape(length, bodies, *array.shape[1:])

        return Clip(
            xyz=rows("xyz"),  # type: ignore[arg-type]
            present=rows("present"),  # type: ignore[arg-type]
            frames=self._arrays["frames"][frame : frame + length],
            state=rows("state"),
            color=rows("color"),
            **{name: column[index] for name, column in self._columns.items()},
            ids=tuple(self._ids[index].split(";")) if self._ids[index] else (),
            splits={name: part for name, column in self._splits.items() if (part := column[index])},
        )

    @cached_property
    def _columns(self) -> dict[str, list[Any]]:
        """The table's columns as plain lists: a row of a DataFrame costs more than the clip's coordinates."""
        return {name: self.clips[name].tolist() for name in ("name", "source", *NUMBERS)}

    @cached_property
    def _ids(self) -> list[str]:
        return self.clips["ids"].tolist()

    @cached_property
    def _splits(self) -> dict[str, list[str]]:
        return {c.removeprefix(SPLIT): self.clips[c].tolist() for c in self.clips.columns if c.startswith(SPLIT)}

    def has(self, extra: str) -> bool:
        """Whether the store holds ``state`` or ``color``."""
        return extra in self._arrays

    @property
    def names(self) -> list[str]:
        """Clip names in store order."""
        return self._columns["name"]

    @property
    def labels(self) -> np.ndarray:
        """(N,) 0-based class indices."""
        return self.clips["label"].to_numpy()

    @property
    def classes(self) -> list[str]:
        """Class names in label order."""
        return self.meta["classes"]

    @property
    def class_ids(self) -> list[int]:
        """The published id of each class, in label order."""
        return self.meta["class_ids"]

    @property
    def bodies(self) -> int:
        """Body slots M of the clip with the most people."""
        return int(self.body_counts.max())

    @property
    def dataset(self) -> str:
        """The data set's short name."""
        return self.meta["dataset"]

    @property
    def generated(self) -> bool:
        """Whether the clips were generated by the package and are no recordings."""
        return self.meta["generated"]

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over all coordinates, names and labels."""
        return self.meta["fingerprint"]


def clip_digest(clip: Clip) -> str:
    """16 hexadecimal digits of what a result depends on: name, label, coordinates, tracking and frame numbers."""
    arrays = [np.asarray(getattr(clip, name), ARRAYS[name][0]) for name in REQUIRED]
    return fingerprint(*arrays, [clip.name, int(clip.label)])


def layout_of(meta: dict[str, Any]) -> JointLayout:
    """The layout that a store's meta data describes."""
    saved = meta["layout"]
    return JointLayout(saved["name"], tuple(saved["joints"]), tuple(saved["parents"]), tuple(saved["mirror"]))


def _starts(counts: np.ndarray) -> np.ndarray:
    return np.cumsum(counts) - counts


def _read_table(path: Path) -> pd.DataFrame:
    """The table of clips with its columns checked."""
    kinds: dict[str, Any] = dict.fromkeys((*NUMBERS, "length", "bodies"), np.int64)
    text = dict.fromkeys(("name", "source", "ids", "digest"), str)
    if not path.is_file():
        raise DataError(f"{path}: wanted the table of clips, found no file. {AGAIN}")
    with open(path, "rb") as stream:
        if len(stream.readline(LONGEST_HEADER + 1)) > LONGEST_HEADER:
            raise DataError(
                f"{path}, line 1: wanted the names of the columns, found over {LONGEST_HEADER} bytes. {AGAIN}"
            )
    try:
        header = pd.read_csv(path, nrows=0)
        splits = {column: str for column in header.columns if column.startswith(SPLIT)}
        with np.errstate(invalid="ignore", over="ignore"):  # numbers that are no whole numbers are refused
            clips = pd.read_csv(path, dtype=kinds | text | splits, keep_default_na=False)
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: the table of clips cannot be read ({str(error)[:300]}). {AGAIN}") from error
    lacking = [column for column in COLUMNS if column not in clips.columns]
    if lacking or not len(clips):
        raise DataError(f"{path}: wanted the columns {', '.join(COLUMNS)}, lacking {lacking or 'any row'}. {AGAIN}")
    if (clips["length"] < 1).any() or (clips["bodies"] < 1).any():
        line = int(np.flatnonzero((clips["length"] < 1) | (clips["bodies"] < 1))[0]) + 2
        raise DataError(f"{path}, line {line}: wanted a length and a number of bodies of at least 1. {AGAIN}")
    return clips


def _check_labels(path: Path, clips: pd.DataFrame, classes: list[str]) -> None:
    """Refuse labels for which there is no class."""
    wrong = np.flatnonzero((clips["label"] < 0) | (clips["label"] >= len(classes)))
    if len(wrong):
        raise DataError(
            f"{path}/clips.csv, line {wrong[0] + 2}: label {clips['label'][wrong[0]]} is outside the {len(classes)} "
            f"classes of meta.json. {AGAIN}"
        )


def _map_arrays(path: Path, joints: int, clips: pd.DataFrame) -> dict[str, np.ndarray]:
    """The arrays as memory maps, with type and shape checked against the table."""
    rows, frames = int((clips["length"] * clips["bodies"]).sum()), int(clips["length"].sum())
    arrays = {}
    for name, (dtype, tail) in ARRAYS.items():
        file = path / f"{name}.npy"
        if not file.exists() and name not in REQUIRED:
            continue
        array = _map_array(file)
        wanted = (frames if name == "frames" else rows, *[joints if part == "V" else part for part in tail])
        if array.shape != wanted or array.dtype.str != dtype:
            raise DataError(
                f"{file}: clips.csv counts {frames} frames and {rows} rows, which wants {dtype} {wanted}; "
                f"found {array.dtype.str} {array.shape}. {AGAIN}"
            )
        arrays[name] = array
    return arrays


def _map_array(file: Path) -> np.ndarray:
    """One array as a memory map.

    Raises:
        DataError: it is no file, or none that a store's writer made.
    """
    try:
        if not file.is_file():  # a pipe would be waited for, for ever
            raise OSError("it is no file")
        with open(file, "rb") as stream:
            if stream.read(len(MAGIC)) != MAGIC:  # later versions may claim a header of 4 GB
                raise ValueError("its first bytes are not those of an array")
        with np.errstate(over="ignore"), warnings.catch_warnings():  # absurd shapes, odd escapes in a damaged header
            warnings.simplefilter("ignore")
            return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    except NO_ARRAY as error:
        raise DataError(f"{file}: unreadable ({str(error)[:300]}). {AGAIN}") from error
