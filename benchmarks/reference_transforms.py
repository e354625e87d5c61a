"""Alignment and augmentation to measure against: clip by clip in plain NumPy, written here from their description."""

from __future__ import annotations

import numpy as np

from c2vl_lab.data.store import SkeletonStore

CENTRE, RIGHT, LEFT = 1, 8, 4  # joints of NTU's order, 0-based: middle of the spine, the two shoulders
PEOPLE = 2
SHEAR, PADDING = 0.5, 6


def prepare_per_clip(store: SkeletonStore, frames: int) -> np.ndarray:
    """(N, frames, 2, V, 3): the public converters' normalisation, one clip, body and frame after the other.

    Frames without a body repeat the last one that has it; every frame is centred on the first person's spine; the
    whole clip is turned by the first frame's shoulder line; then it is resampled.
    """
    out = np.zeros((len(store), frames, PEOPLE, len(store.layout), 3), np.float32)
    for index in range(len(store)):
        xyz = np.array(store[index].xyz)
        _fill_empty_frames(xyz)
        _centre(xyz)
        _turn(xyz)
        out[index, :, : xyz.shape[1]] = _resample(xyz, frames)
    return out


def _fill_empty_frames(xyz: np.ndarray) -> None:
    """A frame in which a body is all zero becomes the one before it, or the first that is not."""
    for body in range(xyz.shape[1]):
        known = [frame for frame in range(len(xyz)) if xyz[frame, body].any()]
        if known:
            for frame in range(len(xyz)):
                if not xyz[frame, body].any():
                    xyz[frame, body] = xyz[max(known[0], frame - 1), body]


def _centre(xyz: np.ndarray) -> None:
    """Subtract the first person's spine from every frame, for the bodies that are there."""
    for frame in range(len(xyz)):
        middle = xyz[frame, 0, CENTRE].copy()
        for body in range(xyz.shape[1]):
            if xyz[frame, body].any():
                xyz[frame, body] -= middle


def _turn(xyz: np.ndarray) -> None:
    """Rotate all frames by the rotation that brings the first frame's shoulder line onto the x axis."""
    line = xyz[0, 0, RIGHT] - xyz[0, 0, LEFT]
    length = np.linalg.norm(line)
    if length < 1e-6:
        return
    matrix = rotation_onto_x(line / length)
    for frame in range(len(xyz)):
        for body in range(xyz.shape[1]):
            if xyz[frame, body].any():
                xyz[frame, body] = xyz[frame, body] @ matrix.T


def rotation_onto_x(line: np.ndarray) -> np.ndarray:
    """(3, 3) the shortest rotation that brings a unit vector onto the x axis (Rodrigues' formula)."""
    axis = np.cross(line, [1.0, 0.0, 0.0])
    sine, cosine = float(np.linalg.norm(axis)), float(line[0])
    if sine < 1e-9:
        return np.eye(3) if cosine > 0 else np.diag([-1.0, 1.0, -1.0])
    x, y, z = axis / sine
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + sine * cross + (1 - cosine) * cross @ cross


def _resample(xyz: np.ndarray, frames: int) -> np.ndarray:
    """Linear interpolation along time."""
    place = np.linspace(0, len(xyz) - 1, frames)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, len(xyz) - 1)
    weight = (place - low)[:, None, None, None]
    return (1 - weight) * xyz[low] + weight * xyz[high]


def two_views(clips: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two views of a batch (N, 3, T, V, M), one clip after the other as a feeder draws them, then stacked."""
    pairs = [(_view(clip, rng), _view(clip, rng)) for clip in clips]
    return np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])


def _view(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The two usual augmentations of one clip (3, T, V, M): temporal crop, then shear."""
    return _shear(_temporal_crop(clip, rng), rng)


def _temporal_crop(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """T frames of the clip with both ends continued by reflection for a sixth of its length."""
    frames = clip.shape[1]
    extra = frames // PADDING
    padded = np.concatenate([clip[:, :extra][:, ::-1], clip, clip[:, -extra:][:, ::-1]], axis=1)
    start = int(rng.integers(0, 2 * extra + 1))
    return padded[:, start : start + frames]


def _shear(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coordinates times a matrix with ones on its diagonal and draws beside it."""
    matrix = rng.uniform(-SHEAR, SHEAR, (3, 3))
    np.fill_diagonal(matrix, 1.0)
    return np.dot(clip.transpose(1, 2, 3, 0), matrix.T).transpose(3, 0, 1, 2)
