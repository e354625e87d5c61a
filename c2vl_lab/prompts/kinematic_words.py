"""From numbers to words: the bins of the kinematic captions, in one place.

The edges are anatomical or round numbers chosen by us; lengths are torso lengths, angles degrees.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pick(value: float, edges: Sequence[float], words: Sequence[str]) -> str:
    """The word of the bin that holds ``value``; there is one word more than there are edges."""
    return words[int(np.searchsorted(edges, value, side="right"))]


def join(parts: Sequence[str], last: str = "and") -> str:
    """``a, b and c``; empty parts are left out."""
    parts = [part for part in parts if part]
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def sentence(*parts: str) -> str:
    """Parts as one sentence: a capital at the start, a full stop at the end."""
    text = " ".join(part for part in parts if part)
    return text[0].upper() + text[1:] + "."


def times(count: int) -> str:
    """How often, as a word."""
    return (
        ["not once", "once", "twice", "three times", "four times", "five times"][count] if count < 6 else "many times"
    )


def level(height: float) -> str:
    """Where a height above the hip centre lies on a standing body."""
    return pick(
        height,
        (-1.15, -0.75, -0.3, 0.15, 0.5, 0.8, 1.08, 1.4, 1.75),
        (
            "down near the feet",
            "at the knee",
            "at the thigh",
            "at the hip",
            "at the belly",
            "at the chest",
            "at the shoulder",
            "at the face",
            "above the head",
            "high above the head",
        ),
    )


def place(outward: float, front: float, side: str) -> str:
    """Where a hand is around the trunk: ``outward`` from the mid line and to the ``front``, in torso lengths."""
    other = "left" if side == "right" else "right"
    if front < -0.25:
        return "behind the body"
    if outward < -0.15:
        return f"across the body on the {other}"
    if outward > 0.95:
        return f"stretched out to the {side}"
    if front > 0.95:
        return "stretched out to the front"
    if front > 0.45:
        return "in front of the middle" if outward < 0.2 else "in front of the body"
    if outward > 0.6:
        return "away from the side"
    return "close to the middle" if outward < 0.2 else "close to the body"


def direction(move: np.ndarray) -> str:
    """The main direction or two of a (3,) move: right, up, front."""
    names = (("left", "right"), ("down", "up"), ("backward", "forward"))
    size = np.abs(move)
    main = [axis for axis in np.argsort(-size, kind="stable") if size[axis] >= 0.5 * size.max()][:2]
    main.sort(key=lambda axis: (1, 0, 2)[axis])
    words = [names[axis][int(move[axis] > 0)] for axis in main]
    return " and ".join(words)


def elbow(angle: float) -> str:
    """How far an elbow is bent."""
    return pick(angle, (75, 110, 145), ("sharply bent", "bent at a right angle", "slightly bent", "stretched"))


def pace(speed: float) -> str:
    """A peak speed of a hand, torso lengths a second."""
    return pick(speed, (0.8, 2.0, 3.5, 6.0), ("hardly", "slowly", "at a medium pace", "fast", "very fast"))


def moment(share: float) -> str:
    """When in the clip, 0 to 1."""
    return pick(
        share, (0.25, 0.45, 0.55, 0.75), ("early", "before the middle", "in the middle", "after the middle", "late")
    )
