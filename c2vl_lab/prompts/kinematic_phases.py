"""Sentences about time: what happens in each quarter, and the summary."""

from __future__ import annotations

import numpy as np

from c2vl_lab.prompts.kinematic_arms import STILL, hand_span, whereabouts
from c2vl_lab.prompts.kinematic_measures import FRAME_RATE, Body, hip_height, quantile, speed, trunk_lean
from c2vl_lab.prompts.kinematic_pair import pair_phase, pair_summary
from c2vl_lab.prompts.kinematic_words import direction, join, lean_word, legs_word, pick, sentence

_OPENINGS = ("at first", "then", "after that", "at last")


def phase_sentences(body: Body, other: Body | None) -> list[str]:
    """Four sentences, one for each quarter of the clip's time."""
    edges = np.linspace(0, len(body), 5)
    height, lean = hip_height(body), trunk_lean(body)[0]
    texts = []
    for number, opening in enumerate(_OPENINGS):
        first = min(int(edges[number]), len(body) - 1)
        part = slice(first, max(int(np.ceil(edges[number + 1])), first + 1))
        doing = [legs_word(float(np.median(height[part]))), lean_word(float(np.median(lean[part])))]
        move = body.path[part][-1] - body.path[part][0]
        doing.append("goes step by step" if float(np.hypot(move[0], move[2])) > 0.35 else "")
        doing.append("" if abs(move[1]) < 0.2 else "rises" if move[1] > 0 else "sinks")
        hands = [_hand_phase(body, side, part) for side in ("right", "left")]
        second = "" if other is None else pair_phase(body, other, part)
        texts.append(sentence(", ".join(p for p in (f"{opening} the person {join(doing)}", *hands, second) if p)))
    return texts


def _hand_phase(body: Body, side: str, part: slice) -> str:
    """Where a hand is in a part of the clip and where it moves."""
    hand = body.hand(side)[part]
    move = hand[-1] - hand[0]
    if float(np.linalg.norm(move)) < 0.4:
        return f"the {side} hand is {whereabouts(body, side, part)}"
    return f"the {side} hand moves {direction(move)} and is {whereabouts(body, side, part, last=True)}"


def summary_sentence(body: Body, other: Body | None) -> str:
    """Which limb moves most, tempo and length; distance and contact where there is a second person."""
    spans = {f"the {side} arm": hand_span(body, side) for side in ("right", "left")}
    for side in ("right", "left"):
        foot = body.joints[f"{side}_ankle"]
        spans[f"the {side} leg"] = float(np.linalg.norm(np.quantile(foot, 0.95, 0) - np.quantile(foot, 0.05, 0)))
    order = sorted(spans, key=lambda limb: -spans[limb])
    moving = [limb for limb in order if spans[limb] > max(STILL, 0.5 * spans[order[0]])][:3]
    what = f"{join(moving)} {'moves' if len(moving) == 1 else 'move'} most" if moving else "almost nothing moves"
    rate = max(quantile(speed(body.hand(side)), 0.8) for side in ("right", "left"))
    tempo = pick(rate, (0.6, 1.5, 3.0), ("very slow", "slow", "brisk", "fast"))
    length = pick(len(body) / FRAME_RATE, (0.7, 1.5, 3.0), ("very short", "short", "medium long", "long"))
    pair = "" if other is None else f", {pair_summary(body, other)}"
    return sentence(f"in this {length} and {tempo} movement {what}{pair}")
