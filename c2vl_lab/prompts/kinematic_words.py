"""From numbers to words: the bins of the kinematic captions, in one place.

The words tell posture and movement; none is a verb or an object of a class name of NW-UCLA, UTD-MHAD or MSR Action3D.
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
    words = ("not once", "once", "twice", "three times", "four times", "five times")
    return words[count] if count < len(words) else "many times"


def low_level(height: float, leg: float) -> str:
    """A height above the floor, in words that a standing body explains; ``leg`` is the leg's length."""
    share = height / leg if height < leg else 1 + height - leg
    words = (
        "on the floor",
        "below the knee",
        "at knee height",
        "at thigh height",
        "at hip height",
        "at waist height",
        "at chest height",
        "at shoulder height",
        "at head height",
        "above the head",
        "high above the head",
    )
    return pick(share, (0.15, 0.42, 0.6, 0.82, 1.0, 1.3, 1.65, 2.05, 2.4, 2.8), words)


def level(above_hips: float, above_floor: float, leg: float) -> str:
    """Where a hand is: against the floor while it hangs low, against the own trunk while it is up."""
    if above_floor < 0.85 * leg or above_hips < 0:
        return low_level(above_floor, leg)
    words = (
        "at hip height",
        "at belly height",
        "at chest height",
        "at shoulder height",
        "at face height",
        "above the head",
        "high above the head",
    )
    return pick(above_hips, (0.2, 0.5, 0.8, 1.08, 1.4, 1.75), words)


def toward(where: str) -> str:
    """A level as a goal: ``at hip height`` becomes ``to hip height``."""
    return f"to {where[3:]}" if where.startswith("at ") else where.replace("on the", "to the")


def place(outward: float, front: float, side: str) -> str:
    """Where a hand is around the trunk: ``outward`` from the mid line and to the ``front``, in torso lengths."""
    if front < -0.25:
        return "behind the body"
    if outward < -0.15:
        return f"across the body on the {'left' if side == 'right' else 'right'}"
    if outward > 0.95:
        return f"far out to the {side}"
    if front > 0.95:
        return "far out to the front"
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
    return " and ".join(names[axis][int(move[axis] > 0)] for axis in main)


def line(move: np.ndarray) -> str:
    """The main axis of a (3,) move to and fro."""
    return ("sideways", "up and down", "forward and back")[int(np.argmax(np.abs(move)))]


def legs_word(height: float) -> str:
    """What the legs do, from the hips' height in leg lengths."""
    words = (
        "crouches low",
        "is at sitting height with bent knees",
        "is half down",
        "has slightly bent knees",
        "stands",
    )
    return pick(height, (0.45, 0.62, 0.78, 0.88), words)


def lean_word(lean: float) -> str:
    """What the trunk does, from its lean to the front."""
    words = ("leans back", "is upright", "leans forward", "leans far forward", "leans deep down")
    return pick(lean, (-10, 20, 45, 70), words)


def elbow(angle: float) -> str:
    """How far an elbow is bent."""
    return pick(angle, (75, 110, 145), ("sharply bent", "half bent", "slightly bent", "straight"))


def pace(speed: float) -> str:
    """A peak speed of a hand, torso lengths a second."""
    return pick(speed, (0.8, 2.0, 3.5, 6.0), ("very slowly", "slowly", "at a medium pace", "fast", "very fast"))


def moment(share: float) -> str:
    """When in the clip, 0 to 1."""
    words = ("early", "before the middle", "in the middle", "after the middle", "late")
    return pick(share, (0.25, 0.45, 0.55, 0.75), words)
