"""Which of the bodies that a Kinect reported are people, and which two slots they take."""

from __future__ import annotations

from collections import Counter

import numpy as np

# body ID -> (true frame indices (n,), coordinates (n, 25, 3) metres)
Track = tuple[np.ndarray, np.ndarray]
Tracks = dict[int, Track]

# The field's two rules for bodies that are furniture or flicker (published with CTR-GCN's preparation, in use since):
SHORTEST = 12  # frames
WIDE, WIDE_SHARE = 0.8, 0.69754  # x-spread above 0.8 y-spread in more than this share of frames
NEAR = 0.75  # metres; our choice: a new ID that appears so near to where the other was lost is the same person
SLOTS = 2


def choose_bodies(tracks: Tracks, counts: Counter[str]) -> list[list[Track]]:
    """At most two people, the one that moves more first; each is one or several tracks that do not overlap in time.

    Ghost bodies are left out, but never a clip's only body. A person whose ID changed after a loss of tracking keeps
    the slot. ``counts`` is told which bodies were left out and why.
    """
    ranked = sorted(tracks.values(), key=_energy, reverse=True)
    people = [track for track in ranked if not _ghost(track, counts)] if len(ranked) > 1 else ranked
    if ranked and not people:
        people = ranked[:1]
        counts["clips whose bodies all look like ghosts; the one that moves most was kept"] += 1
    slots: list[list[Track]] = []
    for track in people:
        home = next((slot for slot in slots if _continues(slot, track)), None)
        if home is not None:
            home.append(track)
        elif len(slots) < SLOTS:
            slots.append([track])
        else:
            counts["bodies left out: more than two people"] += 1
    return sorted(slots, key=lambda slot: sum(map(_energy, slot)), reverse=True)


def _energy(track: Track) -> float:
    """How much a body moves over the whole clip: squared distance from its mean pose, summed over its frames."""
    joints = track[1].astype(np.float64)
    return float(((joints - joints.mean(axis=0)) ** 2).sum())


def _ghost(track: Track, counts: Counter[str]) -> bool:
    """Whether a body is too short-lived or too wide for its height to be a person."""
    frames, joints = track
    if len(frames) < SHORTEST:
        counts[f"bodies left out: tracked in fewer than {SHORTEST} frames"] += 1
        return True
    spread = np.ptp(joints, axis=1)
    if np.mean(spread[:, 0] > WIDE * spread[:, 1]) >= WIDE_SHARE:
        counts["bodies left out: wider than a person in most frames"] += 1
        return True
    return False


def _continues(slot: list[Track], track: Track) -> bool:
    """Whether a track fits between a slot's tracks in time and begins or ends near the one beside it."""
    frames, joints = track
    gaps = []
    for other_frames, other_joints in slot:
        if frames[-1] < other_frames[0]:
            gaps.append((other_frames[0] - frames[-1], np.linalg.norm(joints[-1, 0] - other_joints[0, 0])))
        elif frames[0] > other_frames[-1]:
            gaps.append((frames[0] - other_frames[-1], np.linalg.norm(joints[0, 0] - other_joints[-1, 0])))
        else:
            return False
    return bool(min(gaps)[1] < NEAR)
