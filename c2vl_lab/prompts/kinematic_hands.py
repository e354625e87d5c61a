"""The sentence about how the two hands relate: distance, crossing, symmetry, lead, and what they touch."""

from __future__ import annotations

import numpy as np

from c2vl_lab.prompts.kinematic_arms import STILL, hand_span
from c2vl_lab.prompts.kinematic_measures import Body, quantile, swings
from c2vl_lab.prompts.kinematic_words import join, pick, sentence, times

_GAPS = ("touching", "close together", "a shoulder width apart", "wide apart")
_GAP_EDGES = (0.35, 0.65, 1.2)


def hands_sentence(body: Body) -> str:
    """How the hands relate over the clip."""
    left, right = body.hand("left"), body.hand("right")
    gap = np.linalg.norm(left - right, axis=1)
    near, far = (pick(quantile(gap, share), _GAP_EDGES, _GAPS) for share in (0.1, 0.9))
    meetings = (swings(gap, 0.4) + 1) // 2
    parts = [f"the hands stay {near}" if near == far else f"the hands are between {near} and {far}"]
    if meetings >= 2:
        parts = [f"the gap between the hands opens and closes {times(meetings)}"]
    if quantile(right[:, 0] - left[:, 0], 0.1) < -0.1:
        parts.append("they pass each other sideways")
    parts += [_together(body), _contacts(body)]
    return sentence(join(parts))


def _together(body: Body) -> str:
    """Whether the hands move alike, mirrored, or one alone."""
    spans = {side: hand_span(body, side) for side in ("left", "right")}
    if max(spans.values()) < STILL or len(body) < 2:
        return "both rest"
    if min(spans.values()) < 0.45 * max(spans.values()):
        return f"mainly the {max(spans, key=lambda side: spans[side])} hand moves"
    moves = {side: np.gradient(body.hand(side), axis=0) for side in spans}
    mirrored = moves["left"] * np.array([-1.0, 1.0, 1.0])
    scale = np.sqrt((moves["left"] ** 2).sum() * (moves["right"] ** 2).sum()) + 1e-9
    alike, mirror = (float((m * moves["right"]).sum() / scale) for m in (moves["left"], mirrored))
    if max(alike, mirror) < 0.3:
        return "both hands move in turn" if min(alike, mirror) < -0.3 else "the hands move independently"
    return "both hands move in the same direction" if alike > mirror else "both hands move as mirror images"


def _contacts(body: Body) -> str:
    """Which parts of the own body the hands come near to."""
    found = []
    for side, other in (("right", "left"), ("left", "right")):
        targets = (
            ("head", "head", 0.5),
            (f"{other}_shoulder", f"{other} shoulder", 0.35),
            (f"{other}_elbow", f"{other} elbow", 0.3),
            (f"{side}_knee", f"{side} knee", 0.35),
            (f"{side}_ankle", f"{side} foot", 0.5),
        )
        hand = body.hand(side)
        gaps = {label: (np.linalg.norm(hand - body.joints[joint], axis=1), reach) for joint, label, reach in targets}
        near = [label for label, (gap, reach) in gaps.items() if quantile(gap, 0.07) < reach]
        if near:
            found.append(f"the {side} hand comes near the {join(near[:2])}")
    return join(found)
