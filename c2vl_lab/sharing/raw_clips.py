"""Raw skeleton clips, in whatever form they come, to normalised ones: as a store's are prepared, without a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_lab.artifacts import read_json
from c2vl_lab.data.align import PrepareConfig, Workspace, blocks, prepare_block
from c2vl_lab.data.joint_gaps import fill_joints
from c2vl_lab.data.layouts import JointLayout, known_layout, layout_from_bones
from c2vl_lab.data.mapping import joint_weights
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.sharing.description import Description

Layout = JointLayout | Mapping[str, str | None] | str | None


def layout_given(layout: Layout, own: JointLayout) -> JointLayout:
    """The joints of the caller's arrays.

    Args:
        layout: a layout, the name of a known one, ``{joint: parent joint}`` with None for the root, the path of a
            ``.json`` file that holds it; None: the encoder's own joints.
        own: the encoder's.

    Raises:
        ConfigError: an unknown layout, or one that has not the encoder's joints, nor what stands for them.
        MissingError: there is no such file.
    """
    if layout is None:
        return own
    if isinstance(layout, str) and layout.endswith(".json"):
        if not Path(layout).is_file():
            raise MissingError(f"There is no file {layout} with the layout's {{joint: parent joint}}.")
        layout = read_json(Path(layout))
    if isinstance(layout, str):
        layout = known_layout(layout)
    if isinstance(layout, Mapping):
        layout = layout_from_bones("given", layout)
    if not isinstance(layout, JointLayout):
        raise ConfigError(
            f"layout: wanted a layout, its name or {{joint: parent joint}}, found {type(layout).__name__}."
        )
    if layout.joints != own.joints:
        joint_weights(layout, own)  # says which joints are lacking
    return layout


def as_clips(clips: Any, lengths: Any = None) -> list[np.ndarray]:
    """The clips one by one: of a list as they are, of a padded array its rows cut to their lengths.

    Args:
        clips: a list of (frames, joints, 3) or (frames, people, joints, 3), or one array (N, frames, joints, 3) or
            (N, frames, people, joints, 3).
        lengths: (N,) frames of each row of an array; None: all of them.

    Raises:
        DataError: another form; the sentence says which was found.
    """
    if isinstance(clips, np.ndarray) and clips.dtype != object:
        if clips.ndim not in (4, 5):
            raise DataError(
                "Wanted a list of clips, or an array (clips, frames, joints, 3) or (clips, frames, people, joints, 3); "
                f"found an array of shape {clips.shape}. A single clip goes into a list: [clip]."
            )
        if lengths is None:
            return list(clips)
        ends = np.asarray(lengths)
        if (
            ends.shape != clips.shape[:1]
            or ends.dtype.kind not in "iu"
            or (ends < 1).any()
            or (ends > clips.shape[1]).any()
        ):
            raise DataError(f"lengths: wanted {len(clips)} whole numbers from 1 to {clips.shape[1]}, found {ends[:5]}.")
        return [clip[:end] for clip, end in zip(clips, ends.tolist(), strict=True)]
    if lengths is not None:
        raise DataError("lengths belong to one padded array; the clips of a list have lengths of their own.")
    if not isinstance(clips, (Sequence, np.ndarray)) or isinstance(clips, (str, bytes)):
        raise DataError(f"Wanted a list of clips or one array of them, found {type(clips).__name__}.")
    return [np.asarray(clip) for clip in clips]


def prepare_raw(
    clips: Sequence[np.ndarray], layout: JointLayout, own: Description, people: int, first: int
) -> np.ndarray:
    """(N, frames, people, V, 3) float32: raw clips normalised and resampled, in the encoder's joints.

    Args:
        clips: each (frames, joints, 3) or (frames, people, joints, 3), metres, y up. A body that is all zero in a frame
            is not tracked there; a joint that is not finite is filled as in one's own recordings
            (:func:`~c2vl_lab.data.joint_gaps.fill_joints`).
        layout: their joints.
        own: what the encoder wants.
        people: body slots; clips of fewer people get empty ones.
        first: number of the first clip, for messages.

    Raises:
        DataError: a clip of another shape, or one without any usable frame; its number is named.
    """
    ready = [_one(clip, layout, people, f"Clip {first + number}") for number, clip in enumerate(clips)]
    out = _prepared(ready, layout, own.prepare, people)
    target = own.skeleton.layout
    return out if layout.joints == target.joints else np.matmul(joint_weights(layout, target), out)


def _prepared(
    clips: list[tuple[np.ndarray, np.ndarray]], layout: JointLayout, config: PrepareConfig, people: int
) -> np.ndarray:
    """Coordinates and presence of clips, row after row as in a store, through the store's own preparation."""
    out = np.empty((len(clips), config.frames, people, len(layout), 3), np.float32)
    lengths, bodies = (np.array([xyz.shape[axis] for xyz, _ in clips]) for axis in (0, 1))
    space = Workspace()
    for part in blocks(lengths, bodies):
        rows = np.concatenate([xyz.reshape(-1, len(layout), 3) for xyz, _ in clips[part]])
        present = np.concatenate([present.reshape(-1) for _, present in clips[part]])
        prepare_block(rows, present, lengths[part], bodies[part], layout, config, out[part], space)
    return out


def _one(clip: np.ndarray, layout: JointLayout, people: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(T, M, V, 3) float32 without gaps in a body, and (T, M) whether a body is tracked."""
    wanted = f"(frames, {len(layout)}, 3) or (frames, people, {len(layout)}, 3), the joints of layout {layout.name}"
    if clip.dtype.kind not in "fiu" or clip.ndim not in (3, 4) or clip.shape[-2:] != (len(layout), 3) or not clip.size:
        raise DataError(f"{where}: wanted numbers of shape {wanted}; found {clip.dtype} of shape {clip.shape}.")
    xyz = clip[:, None] if clip.ndim == 3 else clip
    if xyz.shape[1] > people:
        raise DataError(
            f"{where}: wanted at most {people} people, found {xyz.shape[1]}. Keep those who act (clip[:, :{people}]), "
            f"or load the encoder with people={xyz.shape[1]}."
        )
    with np.errstate(over="ignore"):
        xyz = xyz.astype(np.float32)
    seen: np.ndarray = np.any((xyz != 0) & np.isfinite(xyz), axis=(2, 3))
    xyz, present, _ = fill_joints(xyz, seen, layout)
    if not present.any():
        raise DataError(f"{where}: no frame holds a body (all zero, or fewer than half of the joints are finite).")
    return xyz, present
