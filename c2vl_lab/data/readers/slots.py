"""People in two body slots, for recordings without body IDs: who is who from one frame to the next, and who is nobody.

PKU-MMD writes two bodies a row in whatever order the recorder had them. Here a person stays in one slot: a body belongs
to the slot whose last seen pose is nearest, and only frames in which that can be in doubt are looked at one by one.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from c2vl_lab.data.readers.ntu_bodies import SHORTEST, WIDE, WIDE_SHARE

JUMP = 0.5  # metres between two frames, mean over the joints; our choice: nobody moves so fast at 30 frames a second


def keep_in_slots(xyz: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Bring two bodies into an order in which each keeps its slot.

    The second slot is opened only where two bodies are seen at once: one who is lost and turns up elsewhere is still
    the same person as long as nobody else was ever there.

    Args:
        xyz: (T, 2, V, 3) metres, zero where a body is absent; NaN in joints (fewer than half) that are not known.
        present: (T, 2) bool.

    Returns:
        Coordinates and presence in the new order, and how often the recorder had changed the order.
    """
    exchanged = _exchanged(xyz, present)
    if not exchanged.any():
        return xyz, present, 0
    xyz, present = xyz.copy(), present.copy()
    xyz[exchanged] = xyz[exchanged, ::-1]
    present[exchanged] = present[exchanged, ::-1]
    return xyz, present, int(np.count_nonzero(exchanged[1:] != exchanged[:-1]))


def choose_slots(xyz: np.ndarray, present: np.ndarray, counts: Counter[str]) -> list[int]:
    """The slots of a clip that hold people, the one who moves more first.

    Ghosts are left out by the rules of :mod:`~c2vl_lab.data.readers.ntu_bodies`, but never a clip's only body, and
    none that is there in every frame of a clip is too short-lived.

    Args:
        xyz: (T, M, V, 3) metres.
        present: (T, M) bool.
        counts: told which bodies were left out and why.

    Returns:
        Slot indices; empty where no body is in any frame.
    """
    bodies = {slot: xyz[present[:, slot], slot] for slot in range(present.shape[1]) if present[:, slot].any()}
    if len(bodies) < 2:
        return list(bodies)
    ranked = sorted(bodies, key=lambda slot: _energy(bodies[slot]), reverse=True)
    people = [slot for slot in ranked if not _ghost(bodies[slot], len(xyz), counts)]
    if not people:
        counts["clips whose bodies all look like ghosts; the one that moves most was kept"] += 1
    return people or ranked[:1]


def _energy(joints: np.ndarray) -> float:
    """How much a body moves over the clip: squared distance from its mean pose, summed over its frames."""
    joints = joints.astype(np.float64)
    return float(((joints - joints.mean(axis=0)) ** 2).sum())


def _ghost(joints: np.ndarray, frames: int, counts: Counter[str]) -> bool:
    """Whether a body (n, V, 3) in a clip of ``frames`` is too short-lived or too wide for its height."""
    if len(joints) < min(SHORTEST, frames):
        counts[f"bodies left out: tracked in fewer than {SHORTEST} frames"] += 1
        return True
    spread = np.ptp(joints, axis=1)
    if np.mean(spread[:, 0] > WIDE * spread[:, 1]) >= WIDE_SHARE:
        counts["bodies left out: wider than a person in most frames"] += 1
        return True
    return False


def _exchanged(xyz: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(T,) bool: in which frames the two bodies are to change places."""
    exchanged = np.zeros(len(xyz), bool)
    if not present[:, 1].any():  # most recordings: one person, always written first
        return exchanged
    state, begin = False, 0
    last: list[np.ndarray | None] = [None, None]  # each slot's last seen pose (V, 3)
    for frame in (0, *np.flatnonzero(_doubtful(xyz, present)) + 1):
        if frame:
            exchanged[begin:frame] = state
            for body in np.flatnonzero(present[frame - 1]):
                last[body ^ state] = xyz[frame - 1, body]
        state, begin = _better(xyz[frame], present[frame], last, state), frame
    exchanged[begin:] = state
    return exchanged


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean distance of two poses (..., V, 3) over the joints that are known (not NaN) in both."""
    distances = np.linalg.norm(one - other, axis=-1)
    mean = np.asarray(distances.mean(axis=-1))
    return mean if np.isfinite(mean).all() else np.asarray(np.nanmean(distances, axis=-1))


def _doubtful(xyz: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(T - 1,) bool: whether the step to the next frame may be one to another order of the bodies.

    That is where a body comes or goes, where crosswise is the shorter way for both, or where a lone body jumps.
    """

    def way(body: int, other: int) -> np.ndarray:
        return _apart(xyz[1:, other], xyz[:-1, body])

    first, second = way(0, 0), way(1, 1)
    changes = (present[1:] != present[:-1]).any(axis=1)
    both = present[1:].all(axis=1)
    crosswise = both & (way(0, 1) + way(1, 0) < first + second)
    jumps = ~both & (np.where(present[1:, 0], first, second) > JUMP)
    return changes | crosswise | jumps


def _better(bodies: np.ndarray, present: np.ndarray, last: list[np.ndarray | None], state: bool) -> bool:
    """Whether the bodies (2, V, 3) of a frame are to be exchanged; ``state`` decides what is even."""

    def way(exchange: bool) -> float:
        poses = [(bodies[body], last[body ^ exchange]) for body in (0, 1) if present[body]]
        new_slot = 0.0 if len(poses) == 2 else np.inf
        return sum(new_slot if old is None else float(_apart(new, old)) for new, old in poses)

    return not state if way(not state) < way(state) else state
