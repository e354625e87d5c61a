"""From recordings to fixed-size arrays: gaps, origin, view alignment, scale, resampling, streams.

Everything here is deterministic and per clip: one origin, one rotation and one scale for a whole clip, so that
walking paths, turning and the distance between two people survive (the peers' per-frame variants lose them).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import ConfigError


@dataclass(frozen=True)
class PrepareConfig:
    """How clips are normalised (our choice, after the small sets' evidence).

    Attributes:
        frames: T, every clip is resampled to it.
        align: rotate about the vertical so that the first person faces the camera at the start.
        scale: divide by the first person's median torso length (hip to shoulder centre).
    """

    frames: int = 64
    align: bool = True
    scale: bool = True

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise ConfigError(f"frames must be at least 2, found {self.frames}.")


def fill_gaps(xyz: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Interpolate each body over the frames where it was not tracked; a body never tracked stays zero.

    Args:
        xyz: (T, M, V, 3).
        present: (T, M).
    """
    if present.all():
        return np.asarray(xyz, np.float32)
    filled = np.zeros(xyz.shape, np.float32)
    for body in range(xyz.shape[1]):
        known = np.flatnonzero(present[:, body])
        if len(known):
            filled[:, body] = _at(xyz[known, body], np.interp(np.arange(len(xyz)), known, np.arange(len(known))))
    return filled


def resample(xyz: np.ndarray, frames: int) -> np.ndarray:
    """Linear resampling along the first axis to ``frames`` frames, first and last kept."""
    return _at(xyz, np.linspace(0, len(xyz) - 1, frames))


def _at(xyz: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Values at fractional frame positions, linear between frames."""
    low = np.floor(positions).astype(int)
    high = np.minimum(low + 1, len(xyz) - 1)
    weight = (positions - low).astype(np.float32).reshape(-1, *[1] * (xyz.ndim - 1))
    return (1 - weight) * xyz[low] + weight * xyz[high]


def view_rotation(body: np.ndarray, layout: JointLayout, frames: int = 5) -> np.ndarray:
    """(3, 3) rotation about the vertical that brings the first frames' shoulder and hip line onto the x axis.

    ``body``: (T, V, 3). Afterwards the person's right side lies towards +x, as it does in a Kinect's own frame for
    somebody who faces the camera.
    """
    start = body[:frames].mean(axis=0)
    line = np.zeros(3)
    for part in ("shoulder", "hip"):
        line += start[layout.index(f"right_{part}")] - start[layout.index(f"left_{part}")]
    length = np.hypot(line[0], line[2])
    if length < 1e-6:
        return np.eye(3, dtype=np.float32)
    cos, sin = line[0] / length, line[2] / length
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], np.float32)


def prepare_clip(clip: Clip, layout: JointLayout, config: PrepareConfig) -> np.ndarray:
    """(frames, M, V, 3) normalised coordinates of one clip; bodies that were never tracked are zero."""
    tracked = clip.present.any(axis=0)
    if not tracked.any():
        return np.zeros((config.frames, *clip.xyz.shape[1:]), np.float32)
    xyz = fill_gaps(clip.xyz, clip.present)
    lead = xyz[:, int(np.argmax(tracked))]
    hip, shoulders = layout.index("spine_base"), layout.index("spine_shoulder")
    xyz = xyz - lead[:3, hip].mean(axis=0)
    if config.align:
        xyz = xyz @ view_rotation(lead, layout).T
    if config.scale:
        torso = float(np.median(np.linalg.norm(lead[:, shoulders] - lead[:, hip], axis=-1)))
        xyz = xyz / max(torso, 1e-3)
    xyz[:, ~tracked] = 0
    return resample(xyz, config.frames).astype(np.float32)


def prepare(store: SkeletonStore, config: PrepareConfig) -> np.ndarray:
    """(N, frames, M, V, 3) float32: every clip of a store, normalised and resampled."""
    out = np.empty((len(store), config.frames, store.bodies, len(store.layout), 3), np.float32)
    for index in range(len(store)):
        out[index] = prepare_clip(store[index], store.layout, config)
    return out


def coordinates(prepared: np.ndarray, frames: int = 16) -> np.ndarray:
    """(N, frames * M * V * 3) plain coordinates, the floor that every learned feature must clear."""
    part = np.stack([resample(clip, frames) for clip in prepared])
    return part.reshape(len(part), -1)
