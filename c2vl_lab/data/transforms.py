"""From recordings to fixed-size arrays: gaps, origin, view alignment, scale, resampling.

Everything here is deterministic and, by default, per clip: one origin, one rotation and one scale for a whole clip, so
that walking paths, turning and the distance between two people survive (the peers' per-frame variants lose them).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from c2vl_lab.artifacts import atomic_path, fingerprint, only_writer
from c2vl_lab.config import to_dict
from c2vl_lab.data.align import (
    PrepareConfig,
    Workspace,
    blocks,
    per_frame,
    prepare_block,
    sample_positions,
    spread,
    to_x,
)
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.writing import storage_errors

__all__ = [
    "PrepareConfig",
    "coordinates",
    "fill_gaps",
    "prepare",
    "prepare_clip",
    "resample",
    "view_rotation",
]
VERSION = 2  # raise it whenever the same clips and settings give other numbers


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
    somebody who faces the camera. The identity for a layout without shoulders and hips.
    """
    return to_x(layout.across() @ body[:frames].mean(axis=0, dtype=np.float64)).T


def body_sizes(body: np.ndarray, layout: JointLayout) -> np.ndarray:
    """(T,) size of a body (T, V, 3) in each frame: its torso, hip centre to shoulder centre.

    Where a layout has no such joints: the root mean square distance of its joints from their middle.
    """
    if layout.has("spine_base", "spine_shoulder"):
        return np.linalg.norm(layout.point(body, "spine_shoulder") - layout.point(body, "spine_base"), axis=-1)
    return spread(body)


def prepare_clip(clip: Clip, layout: JointLayout, config: PrepareConfig) -> np.ndarray:
    """(frames, M, V, 3) normalised coordinates of one clip; bodies that were never tracked are zero."""
    tracked = clip.present.any(axis=0)
    if not tracked.any():
        return np.zeros((config.frames, *clip.xyz.shape[1:]), np.float32)
    xyz = fill_gaps(clip.xyz, clip.present)
    lead = xyz[:, int(np.argmax(tracked))]
    if config.origin == "clip":
        xyz = xyz - lead[:3, list(layout.origin)].mean(axis=(0, 1))
    if config.align == "clip":
        xyz = xyz @ view_rotation(lead, layout).T
    if config.scale:
        xyz = xyz / max(float(np.median(body_sizes(lead, layout))), 1e-3)
    xyz = _at(xyz, sample_positions(np.array([len(xyz)]), config))
    xyz = per_frame(xyz.swapaxes(0, 1), layout, config).swapaxes(0, 1)
    xyz[:, ~tracked] = 0
    return xyz.astype(np.float32)


def prepare(
    store: SkeletonStore,
    config: PrepareConfig,
    cache: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> np.ndarray:
    """(N, frames, M, V, 3) float32: every clip of a store, normalised and resampled; M is ``store.bodies``.

    Args:
        store: the recordings.
        config: how they are normalised.
        cache: folder where the result is kept as a memory-mapped file, made once for a store's content, the settings
            and :data:`VERSION`; it is written block by block, so that a large set needs no memory. None: in memory.
        progress: called now and then with a line on how far it is, where a file is written.

    Raises:
        StorageError: the cache cannot be written.
    """
    shape = (len(store), config.frames, store.bodies, len(store.layout), 3)
    if cache is None:
        out = np.empty(shape, np.float32)
        space = Workspace()
        for part in blocks(store.lengths, store.body_counts):
            _fill(store, config, part, out[part], space)
        return out
    layout = [store.layout.joints, store.layout.parents]
    key = fingerprint("prepare", VERSION, store.fingerprint, layout, to_dict(config))
    path = Path(cache) / key[:2] / f"{key}.npy"
    found = _kept(path, shape)
    if found is not None:
        return found
    with storage_errors(path), only_writer(path):
        if _kept(path, shape) is None:  # another process may have written it while we waited
            _write(path, shape, store, config, progress or (lambda line: None))
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _kept(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The file of an earlier call; an unreadable one counts as absent."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape else None


def _write(
    path: Path, shape: tuple[int, ...], store: SkeletonStore, config: PrepareConfig, say: Callable[[str], None]
) -> None:
    """Write all clips to a file of numpy's format, one block in memory at a time."""
    parts = list(blocks(store.lengths, store.body_counts))
    block = np.empty((max(part.stop - part.start for part in parts), *shape[1:]), np.float32)
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(stream, header)
        done, space = 0, Workspace()
        for part in parts:
            out = block[: part.stop - part.start]
            _fill(store, config, part, out, space)
            stream.write(out.data)
            if part.stop // 20_000 > done // 20_000:
                say(f"normalised clips: {part.stop} of {shape[0]}")
            done = part.stop
        stream.flush()
        os.fsync(stream.fileno())


def _fill(store: SkeletonStore, config: PrepareConfig, part: slice, out: np.ndarray, space: Workspace) -> None:
    """Prepare the clips of a slice into ``out`` (B, frames, M, V, 3)."""
    lengths, bodies = store.lengths[part], store.body_counts[part]
    start = int(store.row_starts[part.start])
    rows = slice(start, start + int((lengths * bodies).sum()))
    prepare_block(store.xyz[rows], store.present[rows], lengths, bodies, store.layout, config, out, space)


def coordinates(prepared: Iterable[np.ndarray], frames: int = 16) -> np.ndarray:
    """(N, frames * M * V * 3) plain coordinates, the floor that every learned feature must clear."""
    part = np.stack([resample(clip, frames) for clip in prepared])
    return part.reshape(len(part), -1)
