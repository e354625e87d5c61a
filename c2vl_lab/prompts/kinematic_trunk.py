"""Sentences about posture, locomotion, trunk and legs."""

from __future__ import annotations

import numpy as np

from c2vl_lab.prompts.kinematic_measures import (
    FRAME_RATE,
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
from c2vl_lab.prompts.kinematic_words import join, moment, pick, sentence, times


def stance(height: float, lean: float) -> str:
    """Posture from hip height (leg lengths) and the trunk's lean to the front (degrees)."""
    legs = pick(height, (0.55, 0.72, 0.86), ("crouching low", "sitting or squatting", "with bent knees", "standing"))
    trunk = pick(
        lean, (-12, 18, 40, 65), ("leaning back", "upright", "leaning forward", "bent forward", "bent deep down")
    )
    return f"{legs} and {trunk}"


def posture_sentence(body: Body) -> str:
    """Posture at the start and the end, and the lowest in between."""
    height, lean = hip_height(body), trunk_lean(body)[0]
    begin = stance(float(at_start(height)), float(at_start(lean)))
    end = stance(float(at_end(height)), float(at_end(lean)))
    low = quantile(height, 0.1)
    change = float(at_end(height) - at_start(height))
    how = pick(change, (-0.25, -0.08, 0.08, 0.25), ("far lower", "lower", "as high", "higher", "far higher"))
    text = f"the person starts {begin} and stays so to the end"
    if begin != end:
        text = f"the person starts {begin} and ends {end}, with the hips {how}"
    dip = min(float(at_start(height)), float(at_end(height))) - low
    if dip > 0.1:
        text += f", going down {'deep' if dip > 0.25 else 'a little'} {moment(float(np.argmin(height)) / max(len(height) - 1, 1))}"
    return sentence(text)


def locomotion_sentence(body: Body) -> str:
    """Path over the floor and turning."""
    floor = body.path[:, [0, 2]]
    step = max(1, int(FRAME_RATE / 6))
    coarse = floor[::step]
    length = float(np.linalg.norm(np.diff(coarse, axis=0), axis=1).sum()) if len(coarse) > 1 else 0.0
    move = floor[-1] - floor[0]
    net = float(np.linalg.norm(move))
    if net < 0.6:
        text = "the person stays on the spot" if length < 1.5 else "the person moves about and comes back"
    else:
        angle = np.degrees(np.arctan2(move[0], move[1]))
        way = pick(
            angle,
            (-157.5, -112.5, -67.5, -22.5, 22.5, 67.5, 112.5, 157.5),
            (
                "backward",
                "back to the left",
                "to the left",
                "forward to the left",
                "forward",
                "forward to the right",
                "to the right",
                "back to the right",
                "backward",
            ),
        )
        far = pick(net, (1.2, 2.5, 4.5), ("half a step", "a step or two", "a few steps", "many steps"))
        rate = length / max(len(body) - 1, 1) * FRAME_RATE
        text = f"the person goes {far} {way} {pick(rate, (0.8, 1.8), ('slowly', 'at a walking pace', 'quickly'))}"
    return sentence(f"{text} and {_turning(body)}")


def _turning(body: Body) -> str:
    net = float(at_end(body.turn) - at_start(body.turn))
    side = "left" if net > 0 else "right"
    if abs(net) > 25:
        return f"turns {pick(abs(net), (60, 120), ('a little', 'a quarter', 'around'))} to the {side}"
    swing = quantile(body.turn, 0.95) - quantile(body.turn, 0.05)
    return "turns there and back" if swing > 40 else "keeps facing the same way"


def trunk_sentence(body: Body) -> str:
    """Lean and twist of the trunk over time."""
    lean, tilt = trunk_lean(body)
    twist = trunk_twist(body)
    most = quantile(lean, 0.95)
    rise = most - min(float(at_start(lean)), float(at_end(lean)))
    amount = ("upright", "slightly forward", "forward", "far forward", "deep down towards the floor")
    parts = [f"the trunk leans {pick(most, (12, 25, 45, 70), amount)} at most"]
    if rise > 15:
        parts[0] += f" {moment(float(np.argmax(lean)) / max(len(lean) - 1, 1))}"
        back = most - float(at_end(lean)) > 0.5 * rise
        parts.append("straightens again" if back else "stays bent")
    sway = {"right": quantile(tilt, 0.95), "left": -quantile(tilt, 0.05)}
    parts += [f"leans to the {side}" for side in _both(sway, 12)]
    turns = {"left": quantile(twist, 0.95), "right": -quantile(twist, 0.05)}
    parts += [f"twists to the {side}" for side in _both(turns, 15)]
    if len(parts) == 1:
        parts.append("is quiet")
    return sentence(join(parts))


def _both(amounts: dict[str, float], least: float) -> list[str]:
    """Sides whose amount reaches ``least``, or both in one phrase."""
    found = [side for side, amount in amounts.items() if amount >= least]
    return ["right and the left"] if len(found) == 2 else found


def knee_lifts(body: Body, side: str) -> np.ndarray:
    """(T,) height of a knee above its height in a straight leg, torso lengths."""
    knee = body.joints[f"{side}_knee"][:, 1] - body.joints[f"{side}_hip"][:, 1]
    return knee - quantile(knee, 0.05)


def legs_sentence(body: Body) -> str:
    """Steps, knee lifts, straddle, which foot is in front, knee bend."""
    parts = []
    lifts = {side: knee_lifts(body, side) for side in ("right", "left")}
    counts = {side: (swings(lift, 0.15) + 1) // 2 for side, lift in lifts.items()}
    for side, lift in lifts.items():
        high = quantile(lift, 0.97)
        if high > 0.12 and counts[side]:
            how = pick(high, (0.25, 0.5), ("a little", "clearly", "high"))
            parts.append(f"the {side} knee lifts {how} {times(counts[side])}")
    feet = body.joints["right_ankle"] - body.joints["left_ankle"]
    ahead = {"right": quantile(feet[:, 2], 0.95), "left": -quantile(feet[:, 2], 0.05)}
    stride = [side for side, amount in ahead.items() if amount > 0.55]
    if len(stride) == 2:
        parts.append("the feet pass each other in steps")
    elif stride:
        far = "far in front" if ahead[stride[0]] > 1.0 else "in front"
        parts.append(f"the {stride[0]} foot is set {far}")
    if quantile(np.abs(feet[:, 0]), 0.9) > 0.9:
        parts.append("the feet are set wide apart")
    knees = min(quantile(bend(body, f"{s}_hip", f"{s}_knee", f"{s}_ankle"), 0.05) for s in ("right", "left"))
    parts.append(pick(knees, (80, 115, 145), ("the knees bend deep", "the knees bend", "the knees bend slightly", "")))
    return sentence(join(parts) or "the legs stay straight and still")
