"""Sentences about time: what happens in each quarter, the summary, and what a second person does."""

from __future__ import annotations

import numpy as np

from c2vl_lab.prompts.kinematic_arms import STILL, hand_span, where
from c2vl_lab.prompts.kinematic_measures import FRAME_RATE, Body, hip_height, quantile, speed, trunk_lean
from c2vl_lab.prompts.kinematic_trunk import stance
from c2vl_lab.prompts.kinematic_words import direction, join, pick, sentence

_OPENINGS = ("at first", "then", "after that", "at last")


def phase_sentences(body: Body, other: Body | None) -> list[str]:
    """Four sentences, one for each quarter of the clip's time."""
    edges = np.linspace(0, len(body), 5)
    texts = []
    for number, opening in enumerate(_OPENINGS):
        first = min(int(edges[number]), len(body) - 1)
        last = max(int(np.ceil(edges[number + 1])), first + 1)
        part = slice(first, last)
        posture = stance(float(np.median(hip_height(body)[part])), float(np.median(trunk_lean(body)[0][part])))
        hands = [_hand_phase(body, side, part) for side in ("right", "left")]
        walk = body.path[part][-1] - body.path[part][0]
        walk = walk * np.array([1.0, 0.0, 1.0])
        steps = "walking" if float(np.linalg.norm(walk)) > 0.35 else ""
        texts.append(sentence(f"{opening} the person is {join([posture, steps], 'and')},", ", ".join(hands)))
    return texts


def _hand_phase(body: Body, side: str, part: slice) -> str:
    """Where a hand is in a part of the clip and where it moves."""
    hand = body.hand(side)[part]
    move = hand[-1] - hand[0]
    middle = np.median(hand, axis=0)
    if float(np.linalg.norm(move)) < 0.3:
        return f"the {side} hand is {where(body, side, middle)}"
    return f"the {side} hand moves {direction(move)} and is {where(body, side, hand[-1])}"


def summary_sentence(body: Body, other: Body | None) -> str:
    """Which limb moves most, tempo, repetitions; distance and contact where there is a second person."""
    spans = {f"the {side} arm": hand_span(body, side) for side in ("right", "left")}
    for side in ("right", "left"):
        foot = body.joints[f"{side}_ankle"]
        spans[f"the {side} leg"] = float(np.linalg.norm(np.quantile(foot, 0.95, 0) - np.quantile(foot, 0.05, 0)))
    order = sorted(spans, key=lambda limb: -spans[limb])
    moving = [limb for limb in order if spans[limb] > max(STILL, 0.5 * spans[order[0]])]
    what = f"{join(moving[:3])} moves most" if len(moving) == 1 else f"{join(moving[:3])} move most"
    if not moving:
        what = "almost nothing moves"
    rates = [quantile(speed(body.hand(side)), 0.8) for side in ("right", "left")]
    tempo = pick(max(rates), (0.6, 1.5, 3.0), ("very slow", "slow", "brisk", "fast"))
    seconds = len(body) / FRAME_RATE
    length = pick(seconds, (0.7, 1.5, 3.0), ("very short", "short", "medium long", "long"))
    return sentence(f"in this {length} and {tempo} movement {what}")
