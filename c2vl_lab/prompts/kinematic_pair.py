"""Words about a second person: distance, approach, touch, and what the second person's hands do."""

from __future__ import annotations

import numpy as np

from c2vl_lab.prompts.kinematic_measures import Body, at_end, at_start, quantile
from c2vl_lab.prompts.kinematic_words import direction, pick

_DISTANCES = ("very close together", "an arm's length apart", "two arm's lengths apart", "far apart")


def in_room(body: Body, points: np.ndarray) -> np.ndarray:
    """(T, 3) positions of the body's start frame as camera coordinates, metres."""
    return body.origin + body.scale * points @ body.axes


def distance(body: Body, other: Body) -> np.ndarray:
    """(T,) metres over the floor between two people's hips."""
    gap = in_room(body, body.path) - in_room(other, other.path)
    return np.hypot(gap[:, 0], gap[:, 2])


def pair_phase(body: Body, other: Body, part: slice) -> str:
    """What the second person does in a part of the clip."""
    change = float(np.diff(distance(body, other)[part][[0, -1]])[0])
    words = "they come closer, " if change < -0.12 else "they part, " if change > 0.12 else ""
    moves = {side: other.hand(side)[part][-1] - other.hand(side)[part][0] for side in ("right", "left")}
    side = max(moves, key=lambda name: float(np.linalg.norm(moves[name])))
    if float(np.linalg.norm(moves[side])) < 0.35:
        return f"{words}the second person keeps the hands still"
    return f"{words}the second person moves the {side} hand {direction(moves[side])}"


def pair_summary(body: Body, other: Body) -> str:
    """Distance of the two people over the clip, and touch."""
    gap = distance(body, other)
    begin, near, end = (
        pick(value, (0.45, 0.9, 1.5), _DISTANCES)
        for value in (float(at_start(gap)), quantile(gap, 0.05), float(at_end(gap)))
    )
    text = f"the two people start {begin}, are {near} at the nearest and end {end}"
    touch = _touch(body, other, "first", "second") or _touch(other, body, "second", "first")
    return f"{text}, {touch}" if touch else text


def _touch(giver: Body, taker: Body, one: str, two: str) -> str:
    """The nearest meeting of a hand or foot of one with the other's body, in words; empty when there is none."""
    parts = {"hand": ("left_hand", "right_hand"), "head": ("head",), "trunk": ("spine_shoulder", "spine_base")}
    best, text = 0.25, ""
    for limb in ("hand", "foot"):
        for side in ("right", "left"):
            joint = f"{side}_{'hand' if limb == 'hand' else 'ankle'}"
            tip = in_room(giver, giver.world(joint))
            for name, joints in parts.items():
                for target in joints:
                    gap = quantile(np.linalg.norm(tip - in_room(taker, taker.world(target)), axis=1), 0.05)
                    if gap < best:
                        best, text = gap, f"the {one} person's {side} {limb} touches the {two} person's {name}"
    return text
