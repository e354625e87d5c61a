"""Which of the bodies that a Kinect reported are people, and which two slots they take.

A body is followed by the recorder's ID, so a person stays in one slot when the file lists people in another order.
The recorder gives a person whom it lost and found again a new ID; such IDs are joined where place, time and build fit,
but never a body that is too wide for a person with one that is not. Then ghosts (furniture, flicker) are left out, and
the two people who move most are kept. Every such decision is counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from c2vl_lab.data.joint_gaps import enough_known, fill_joints
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.readers.ntu_text import JOINTS, Skeleton

# The field's two rules for bodies that are furniture or flicker (published with CTR-GCN's preparation, in use since):
SHORTEST = 12  # frames
WIDE, WIDE_SHARE = 0.8, 0.69754  # x-spread above 0.8 y-spread in more than this share of frames
# Our choice: a new ID is the same person when it appears this near to where the other was lost, plus a slow walk.
NEAR, WALK = 0.75, 0.05  # metres, metres a frame (1.5 m/s)
WALKED = 15  # lost frames of such a walk at most: 1.5 m in all; one who is lost for longer hardly goes further
ALIKE = 0.25  # by which share the longer of two spines, or shoulders, may exceed the other
FARTHEST = 100.0  # metres; a depth camera sees 8
SLOTS = 2
TORSO = [NTU25.index(joint) for joint in ("spine_base", "spine_mid", "spine_shoulder")]
SHOULDERS = [NTU25.index(joint) for joint in ("left_shoulder", "spine_shoulder", "right_shoulder")]


@dataclass(frozen=True)
class Track:
    """The usable frames of one body ID.

    Attributes:
        body: the recorder's ID.
        frames: (n,) true frame indices, rising.
        rows: (n,) rows of the :class:`Skeleton`.
        xyz: (n, 25, 3) metres.
    """

    body: int
    frames: np.ndarray
    rows: np.ndarray
    xyz: np.ndarray


Person = list[Track]  # in the order of time; they do not overlap


def in_reach(skeleton: Skeleton) -> Skeleton:
    """A recording in which joints farther away than any camera sees are not a number either."""
    beyond = np.abs(skeleton.xyz) > FARTHEST  # NaN is not
    if not beyond.any():
        return skeleton
    return replace(skeleton, xyz=np.where(beyond.any(axis=-1, keepdims=True), np.float32(np.nan), skeleton.xyz))


def choose_people(skeleton: Skeleton, counts: Counter[str]) -> list[Person]:
    """At most two people, the one that moves more first.

    Ghost bodies are left out, but never a clip's only body. ``counts`` is told what was left out or joined and why.
    Joints that are not a number are looked at as :func:`~c2vl_lab.data.joint_gaps.fill_joints` fills them.
    """
    bodies = _join(_tracks(skeleton, counts), counts)
    bodies.sort(key=_energy, reverse=True)
    people = bodies
    if len(bodies) > 1:
        reasons = [_ghost(body) for body in bodies]
        people = [body for body, reason in zip(bodies, reasons, strict=True) if not reason]
        if not people:
            people, reasons = bodies[:1], reasons[1:]
            counts["clips whose bodies all look like ghosts; the one that moves most was kept"] += 1
        counts.update(f"bodies left out: {reason}" for reason in reasons if reason)
    if len(people) > SLOTS:
        counts["bodies left out: more than two people"] += len(people) - SLOTS
    return people[:SLOTS]


def person_id(person: Person) -> str:
    """The recorder's ID of a person; joined by "+" in the order of time where there were several."""
    return "+".join(str(track.body) for track in person)


def _tracks(skeleton: Skeleton, counts: Counter[str]) -> list[Track]:
    """One track for each body ID that has a usable frame."""
    usable = np.flatnonzero(_usable(skeleton, counts))
    tracks = []
    for code, body in enumerate(skeleton.ids):
        rows = usable[skeleton.body[usable] == code]
        if len(rows):
            xyz, _, _ = fill_joints(skeleton.xyz[rows, None].astype(np.float64), np.ones((len(rows), 1), bool), NTU25)
            tracks.append(Track(body, skeleton.frame[rows], rows, xyz[:, 0]))
    return tracks


def _usable(skeleton: Skeleton, counts: Counter[str]) -> np.ndarray:
    """(R,) bool: rows with enough joints; the others are as if the body had not been tracked in that frame."""
    reach = np.abs(skeleton.xyz).reshape(len(skeleton.xyz), JOINTS * 3).max(axis=1)  # NaN where one joint is
    usable = (reach > 0) & np.isfinite(reach)
    if not usable.all():
        known = np.isfinite(skeleton.xyz).all(axis=-1)
        enough = enough_known(known)
        inside = ~np.any((skeleton.xyz != 0) & known[..., None], axis=(1, 2))
        usable = enough & ~inside
        counts["body frames left out: fewer than half of the joints are known"] += int((~enough).sum())
        counts["body frames left out: all joints lie in the sensor"] += int((enough & inside).sum())
    rows = np.flatnonzero(usable)
    _, first = np.unique(skeleton.frame[rows] * len(skeleton.ids) + skeleton.body[rows], return_index=True)
    if len(first) < len(rows):
        counts["body frames left out: the same ID twice in a frame"] += len(rows) - len(first)
        usable[np.delete(rows, first)] = False
    return usable


def _join(tracks: list[Track], counts: Counter[str]) -> list[Person]:
    """Tracks of one person in one list: where one ends another begins, soon and near; the best fits first."""
    links = sorted(
        (cost, before, after)
        for before in range(len(tracks))
        for after in range(len(tracks))
        if (cost := _link_cost(tracks[before], tracks[after])) is not None
    )
    follower: dict[int, int] = {}
    for _, before, after in links:
        if before not in follower and after not in follower.values():
            follower[before] = after
    counts["body IDs joined to one person: lost and found again"] += len(follower)
    people = []
    for start in sorted(set(range(len(tracks))) - set(follower.values())):
        chain = [start]
        while chain[-1] in follower:
            chain.append(follower[chain[-1]])
        people.append([tracks[number] for number in chain])
    return people


def _link_cost(before: Track, after: Track) -> float | None:
    """How badly one track continues another, in metres (a lost frame weighs a slow step); None: it does not."""
    lost = int(after.frames[0]) - int(before.frames[-1])
    if lost <= 0:
        return None
    distance = float(np.linalg.norm(after.xyz[0, 0] - before.xyz[-1, 0]))  # of the spine's base
    if distance >= NEAR + WALK * min(lost, WALKED) or not _alike(before, after):
        return None
    return distance + WALK * lost


def _alike(one: Track, other: Track) -> bool:
    """Whether two tracks may be of one body: both or neither too wide, and spine and shoulders of like length."""
    if _too_wide(one.xyz) != _too_wide(other.xyz):
        return False
    sizes = np.array([_build(one.xyz), _build(other.xyz)])
    return bool((sizes.max(axis=0) <= (1 + ALIKE) * sizes.min(axis=0)).all())


def _build(xyz: np.ndarray) -> list[float]:
    """Median lengths of the spine and of the shoulders of a body (n, 25, 3), metres, summed along their bones."""
    bones = (np.linalg.norm(np.diff(xyz[:, chain], axis=1), axis=-1) for chain in (TORSO, SHOULDERS))
    return [float(np.median(lengths.sum(axis=1))) for lengths in bones]


def _too_wide(xyz: np.ndarray) -> bool:
    """Whether a body (n, 25, 3) is wider than a person of its height in most frames."""
    spread = np.ptp(xyz[:, :, :2], axis=1)
    return bool(np.mean(spread[:, 0] > WIDE * spread[:, 1]) >= WIDE_SHARE)


def _energy(person: Person) -> float:
    """How much a body moves over the whole clip: squared distance from its mean pose, summed over its frames."""
    joints = np.concatenate([track.xyz for track in person])
    return float(((joints - joints.mean(axis=0)) ** 2).sum())


def _ghost(person: Person) -> str:
    """Why a body is no person: too short-lived, or too wide for its height; empty for people."""
    joints = np.concatenate([track.xyz for track in person])
    if len(joints) < SHORTEST:
        return f"tracked in fewer than {SHORTEST} frames"
    if _too_wide(joints):
        return "wider than a person in most frames"
    return ""
