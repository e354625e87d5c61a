"""Single joints that are not known while the rest of the body is: filled from the body itself, and marked.

One rule for all readers, so that one broken number costs one joint and not a frame, a clip or a file. Our choice; the
field has none, as its published arrays are finite.
"""

from __future__ import annotations

import numpy as np

from c2vl_lab.data.layouts import JointLayout


def enough_known(known: np.ndarray) -> np.ndarray:
    """Whether a body counts as tracked: (..., V) bool of its joints -> (...) bool, at least half of them known."""
    return 2 * np.count_nonzero(known, axis=-1) >= known.shape[-1]


def fill_joints(xyz: np.ndarray, present: np.ndarray, layout: JointLayout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give every joint of a tracked body a place.

    A joint that is not finite is interpolated in time between the nearest frames in which the same body is tracked and
    the joint is known; before the first and after the last of them it keeps their place. A joint that is never known
    for a body takes the place of its bone's other end. A body with fewer than half of its joints counts as not tracked
    in that frame. Arrays that are finite throughout come back as they are.

    Args:
        xyz: (T, M, V, 3) of any float type, consecutive frames.
        present: (T, M) bool, whether the body was tracked at all.
        layout: the V joints.

    Returns:
        ``xyz`` (T, M, V, 3), finite, zero where a body is not tracked; ``present`` (T, M) bool; ``filled`` (T, M, V)
        bool, the joints that were made up.
    """
    finite = np.isfinite(xyz)
    if finite.all():
        return xyz, present, np.zeros(xyz.shape[:3], bool)
    known: np.ndarray = np.asarray(finite.all(axis=-1))
    present = np.asarray(present & enough_known(known))
    tracked = present[..., None]
    xyz = np.where((known & tracked)[..., None], xyz, xyz.dtype.type(0))
    filled = ~known & tracked
    bodies, joints = np.nonzero(filled.any(axis=0))
    xyz[:, bodies, joints] = _in_time(xyz[:, bodies, joints], (known & tracked)[:, bodies, joints])
    never = ~(known & tracked).any(axis=0) & np.asarray(present.any(axis=0))[:, None]  # (M, V)
    for body in np.flatnonzero(never.any(axis=1)):
        xyz[:, body] = xyz[:, body, _nearest(~never[body], layout)]
    xyz[~present] = 0
    return xyz, present, filled


def _in_time(places: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Tracks of joints (T, C, 3), known in the frames (T, C), with the frames between filled; never known: zero."""
    frames = np.arange(len(places))[:, None]
    before = np.maximum.accumulate(np.where(known, frames, -1), axis=0)
    after = np.minimum.accumulate(np.where(known, frames, len(places))[::-1], axis=0)[::-1]
    before, after = np.where(before < 0, after, before), np.where(after == len(places), before, after)
    before, after = np.clip(before, 0, len(places) - 1), np.clip(after, 0, len(places) - 1)  # where never known
    weight = ((frames - before) / np.maximum(after - before, 1)).astype(places.dtype)[..., None]
    weight = np.where((after > before)[..., None], weight, places.dtype.type(0))
    columns = np.arange(places.shape[1])
    return np.asarray((1 - weight) * places[before, columns] + weight * places[after, columns])


def _nearest(known: np.ndarray, layout: JointLayout) -> np.ndarray:
    """(V,) for each joint the one whose place it takes: itself where known (V,), else what its parent takes.

    A root that is not known takes the place of the joint that hangs nearest to it.
    """
    hops = layout.hops()
    source = np.arange(len(layout))
    for joint in np.argsort(hops[layout.root], kind="stable"):  # parents come first
        if not known[joint] and joint == layout.root:
            source[joint] = np.where(known, hops[joint], len(layout)).argmin()
        elif not known[joint]:
            source[joint] = source[layout.parents[joint]]
    return source
