"""Sentences about posture, locomotion, trunk and legs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from c2vl_lab.prompts.kinematic_measures import (
    Body,
    at_end,
    at_start,
    bend,
    hip_height,
    quantile,
    swings,
    trunk_lean,
    trunk_twist,
)
from c2vl_lab.prompts.kinematic_words import join, legs_word, moment, pick, sentence, times

_QUARTERS = ("at first", "in the second quarter", "in the third quarter", "at last")
_WAYS = ("backward", "to the left", "forward", "to the right", "backward")


def posture_sentence(body: Body) -> str:
    """Posture at the start and the end, whether the hips sink or rise, and how deep they go in between."""
    height, rise = hip_height(body), body.path[:, 1]
    begin, end = float(at_start(height)), float(at_end(height))
    first, last = legs_word(begin), legs_word(end)
    text = f"the person {first} at the start and {'' if first == last else f'{last} '}at the end"
    ways = ("sink far", "sink", "end as high as they start", "rise", "rise far")
    text += f", the hips {pick(float(at_end(rise) - at_start(rise)), (-0.7, -0.25, 0.25, 0.7), ways)}"
    dip = min(begin, end) - quantile(height, 0.05)
    if dip > 0.1:
        text += f" after going down {'deep' if dip > 0.3 else 'a little'}"
    return sentence(text)


def locomotion_sentence(body: Body) -> str:
    """When the person goes over the floor, how far and which way, and turning."""
    floor = body.path[:, [0, 2]]
    marks = np.linspace(0, len(body) - 1, 5).astype(int)
    walks = [float(np.linalg.norm(floor[b] - floor[a])) > 0.4 for a, b in pairwise(marks)]
    how = "stands on one spot"
    if all(walks):
        how = "goes step by step over the floor all the time"
    elif any(walks):
        when = join([_QUARTERS[k] for k in range(4) if walks[k]])
        how = f"goes step by step over the floor {when} and stands otherwise"
    move = floor[-1] - floor[0]
    net = float(np.linalg.norm(move))
    if net > 0.6:
        far = pick(net, (1.2, 2.5, 4.5), ("half a step", "a step or two", "a few steps", "many steps"))
        how += f", {far} {pick(float(np.degrees(np.arctan2(*move))), (-135, -45, 45, 135), _WAYS)}"
    return sentence(f"the person {how}, {_turning(body)}")


def _turning(body: Body) -> str:
    """Turning about the vertical."""
    net = float(at_end(body.turn) - at_start(body.turn))
    if abs(net) > 25:
        amount = pick(abs(net), (60, 120), ("a little", "a quarter", "around"))
        return f"turning {amount} to the {'left' if net > 0 else 'right'}"
    swing = quantile(body.turn, 0.95) - quantile(body.turn, 0.05)
    return "turning there and back" if swing > 40 else "facing the same way"


def trunk_sentence(body: Body) -> str:
    """Lean and twist of the trunk over time."""
    lean, tilt = trunk_lean(body)
    twist = trunk_twist(body)
    most = quantile(lean, 0.95)
    rise = most - min(float(at_start(lean)), float(at_end(lean)))
    amount = ("stays upright", "leans slightly", "leans forward", "leans far forward", "leans deep down to the floor")
    parts = [f"the trunk {pick(most, (12, 25, 45, 70), amount)}"]
    if rise > 15:
        parts[0] += f" {moment(float(np.argmax(lean)) / max(len(lean) - 1, 1))}"
        parts.append("straightens again" if most - float(at_end(lean)) > 0.5 * rise else "stays bent")
    sway = {"right": quantile(tilt, 0.95), "left": -quantile(tilt, 0.05)}
    turns = {"left": quantile(twist, 0.95), "right": -quantile(twist, 0.05)}
    parts += _sides("leans", sway, 15) + _sides("twists", turns, 18)
    return sentence(join(parts))


def _sides(verb: str, amounts: dict[str, float], least: float) -> list[str]:
    """The side whose amount reaches ``least``, or one phrase for both."""
    found = [side for side, amount in amounts.items() if amount >= least]
    return [f"{verb} to both sides"] if len(found) == 2 else [f"{verb} to the {side}" for side in found]


def knee_lift(body: Body, side: str) -> np.ndarray:
    """(T,) height of a knee above its lowest, measured from the hip, torso lengths."""
    knee = body.joints[f"{side}_knee"][:, 1] - body.joints[f"{side}_hip"][:, 1]
    return knee - quantile(knee, 0.05)


def legs_sentence(body: Body) -> str:
    """Knee lifts, steps, which foot is in front, straddle, knee bend."""
    parts = []
    for side in ("right", "left"):
        lift = knee_lift(body, side)
        count = (swings(lift, 0.15) + 1) // 2
        high = quantile(lift, 0.97)
        if high > 0.15 and count:
            how = pick(high, (0.3, 0.55), ("a little", "clearly", "high"))
            parts.append(f"the {side} knee lifts {how} {times(min(count, 3)) if count < 3 else 'again and again'}")
    feet = body.joints["right_ankle"] - body.joints["left_ankle"]
    ahead = {"right": quantile(feet[:, 2], 0.95), "left": -quantile(feet[:, 2], 0.05)}
    stride = [side for side, amount in ahead.items() if amount > 0.55]
    if len(stride) == 2:
        parts.append("the feet pass each other in steps")
    elif stride:
        parts.append(f"the {stride[0]} foot is set {'far in front' if ahead[stride[0]] > 1.0 else 'in front'}")
    if quantile(np.abs(feet[:, 0]), 0.9) > 0.9:
        parts.append("the feet are set wide apart")
    knees = min(quantile(bend(body, f"{s}_hip", f"{s}_knee", f"{s}_ankle"), 0.05) for s in ("right", "left"))
    parts.append(
        pick(
            knees,
            (80, 115, 145),
            ("the knees are deeply bent", "the knees are bent", "the knees are slightly bent", ""),
        )
    )
    return sentence(join(parts) or "the legs stay straight and still")
