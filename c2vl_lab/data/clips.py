"""A clip in memory, and what it must be to go into a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import DataError

LARGEST_NUMBER = 2**31 - 1  # of performers, cameras, ...: what the table of a store can hold


@dataclass(frozen=True)
class Clip:
    """One recording of T frames, M body slots and V joints.

    Attributes:
        name: unique in its set; sentences and pictures are joined by it.
        xyz: (T, M, V, 3) float32 metres, y up; zero where the body was not tracked.
        present: (T, M) bool, whether the recorder tracked the body in this frame.
        frames: (T,) int32, the true frame index inside the recording.
        label: 0-based index into the set's classes.
        source: file (and member, and rows) that it came from, for messages.
        ids: the recorder's body ID of each slot; "a+b" where a person's ID changed after a loss of tracking.
        splits: for protocols whose parts are published as lists: protocol -> "train" or "test".
        state: (T, M, V) uint8, the recorder's word on each joint: 0 lost, 1 inferred, 2 tracked; None: not published.
        color: (T, M, V, 2) float32, pixel (x, y) of each joint in the colour image, NaN where unknown; None: not
            published.
    """

    name: str
    xyz: np.ndarray
    present: np.ndarray
    frames: np.ndarray
    label: int
    subject: int = 0
    camera: int = 0
    setup: int = 0
    trial: int = 0
    source: str = ""
    ids: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    state: np.ndarray | None = None
    color: np.ndarray | None = None


def printable(text: str) -> str:
    """``text`` as it is, or with escapes for what a terminal or a UTF-8 file cannot take."""
    return text if text.isprintable() else ascii(text)[1:-1]


def check_clip(clip: Clip, layout: JointLayout, classes: int) -> None:
    """Refuse a clip that would damage a store, naming its source.

    Raises:
        DataError: a label outside the classes, an absurd number, a wrong shape, or joints that are not finite.
    """
    where = printable(clip.source or clip.name)
    if any("\ud800" <= letter <= "\udfff" for letter in clip.source):  # no UTF-8 file can hold them
        raise DataError(f"{where}: wanted a file whose name is text in UTF-8. Rename the file.")
    if not all(map(str.isprintable, (clip.name, *clip.ids))):
        raise DataError(f"{where}: wanted a clip name of printable characters, found {clip.name!r}. Rename the clip.")
    if not 0 <= clip.label < classes:
        raise DataError(
            f"{where}: label {clip.label} is outside the protocol's {classes} classes (0 to {classes - 1})."
        )
    for name in ("subject", "camera", "setup", "trial"):
        if not -LARGEST_NUMBER <= getattr(clip, name) <= LARGEST_NUMBER:
            raise DataError(f"{where}: wanted a {name} of at most {LARGEST_NUMBER}, found {getattr(clip, name):.3g}.")
    if clip.xyz.ndim != 4 or clip.xyz.shape[2:] != (len(layout), 3) or not clip.xyz.size:
        wanted = f"(frames, bodies, {len(layout)}, 3)"
        raise DataError(
            f"{where}: wanted coordinates of shape {wanted} for layout {layout.name}, found {clip.xyz.shape}."
        )
    if clip.present.shape != clip.xyz.shape[:2] or clip.frames.shape != clip.xyz.shape[:1]:
        raise DataError(f"{where}: present and frames do not fit coordinates of shape {clip.xyz.shape}.")
    for extra, shape in (("state", clip.xyz.shape[:3]), ("color", (*clip.xyz.shape[:3], 2))):
        array = getattr(clip, extra)
        if array is not None and array.shape != shape:
            raise DataError(f"{where}: wanted {extra} of shape {shape}, found {array.shape}.")
    if not np.isfinite(clip.xyz).all():
        bad = ~np.isfinite(clip.xyz)
        frame, body, joint, _ = np.argwhere(bad)[0]
        raise DataError(
            f"{where}: joint '{layout.joints[joint]}' of body {body} is not finite in frame {clip.frames[frame]} "
            f"({int(bad.any(axis=-1).sum())} such joints in the clip). Repair or leave out the file."
        )
