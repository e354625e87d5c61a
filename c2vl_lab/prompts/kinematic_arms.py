"""Sentences about the arms: where the hands go, along which path, in which rhythm, and how they relate."""

from __future__ import annotations

import numpy as np

from c2vl_lab.prompts.kinematic_measures import (
    Body,
    at_end,
    at_start,
    bend,
    quantile,
    speed,
    strokes,
    swings,
    winding,
)
from c2vl_lab.prompts.kinematic_words import direction, elbow, join, level, moment, pace, pick, place, sentence, times

STILL = 0.3  # a hand whose path spans less than this (torso lengths) rests


def hand_span(body: Body, side: str) -> float:
    """Robust diagonal of the box that holds the hand's path relative to the hips, torso lengths."""
    hand = body.hand(side)
    return float(np.linalg.norm(np.quantile(hand, 0.95, axis=0) - np.quantile(hand, 0.05, axis=0)))


def where(body: Body, side: str, point: np.ndarray) -> str:
    """A (3,) hand position in words."""
    return f"{level(point[1])} {place(point[0] * body.outward(side), point[2], side)}"


def arm_sentences(body: Body, side: str) -> list[str]:
    """Three sentences on one arm: its places, its strokes, its shape and rhythm."""
    return [_places(body, side), _strokes(body, side), _rhythm(body, side)]


def _places(body: Body, side: str) -> str:
    """Start, highest, farthest and end."""
    hand = body.hand(side)
    name = f"the {side} hand"
    begin, end = at_start(hand), at_end(hand)
    if hand_span(body, side) < STILL:
        return sentence(f"{name} stays {where(body, side, np.median(hand, axis=0))} all the time")
    top = hand[hand[:, 1] >= quantile(hand[:, 1], 0.9)].mean(axis=0)
    low = hand[hand[:, 1] <= quantile(hand[:, 1], 0.1)].mean(axis=0)
    parts = [f"{name} starts {where(body, side, begin)}"]
    if top[1] > max(begin[1], end[1]) + 0.2:
        parts.append(f"rises to its highest point {where(body, side, top)}")
    if low[1] < min(begin[1], end[1]) - 0.2:
        parts.append(f"sinks to its lowest point {where(body, side, low)}")
    parts.append(f"ends {where(body, side, end)}")
    return sentence(join(parts))


def _strokes(body: Body, side: str) -> str:
    """The path as a sequence of directions."""
    hand = body.hand(side)
    moves = strokes(hand, max(0.3, 0.25 * hand_span(body, side)))
    if not moves:
        return sentence(f"the {side} hand makes no clear stroke")
    words: list[str] = []
    for move in moves:
        word = direction(move)
        if not words or words[-1] != word:
            words.append(word)
    return sentence(f"the {side} hand moves {', then '.join(words)}")


def _rhythm(body: Body, side: str) -> str:
    """Shape of the path, repetitions, speed, elbow."""
    hand = body.hand(side)
    span = hand_span(body, side)
    angle = bend(body, f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
    bent = f"the elbow is {elbow(quantile(angle, 0.1))} at most and {elbow(quantile(angle, 0.9))} at least"
    if elbow(quantile(angle, 0.1)) == elbow(quantile(angle, 0.9)):
        bent = f"the elbow stays {elbow(quantile(angle, 0.5))}"
    if span < STILL:
        return sentence(f"the {side} arm hardly moves, {bent}")
    rate = speed(hand)
    fastest = moment(float(np.argmax(rate)) / max(len(rate) - 1, 1))
    centred = hand - hand.mean(axis=0)
    main = np.linalg.svd(centred, full_matrices=False)[2][0]
    turns = swings(centred @ main, 0.35 * float(np.ptp(centred @ main)))
    size = pick(span, (0.7, 1.4, 2.2), ("small", "medium", "large", "very large"))
    beat = f"turning back {times(turns)}" if turns else "without turning back"
    return sentence(
        f"the {side} arm moves {pace(quantile(rate, 0.95))} in a {size} {_shape(hand, side)} {beat}, "
        f"fastest {fastest}, and {bent}"
    )


def _shape(hand: np.ndarray, side: str) -> str:
    """The form of a hand's path."""
    rounds, roundness = winding(hand[:, :2])
    if abs(rounds) > 0.7 and roundness > 0.45:
        return f"{'counter-clockwise' if rounds > 0 else 'clockwise'} circle in front of the body"
    rounds, roundness = winding(hand[:, [2, 1]])
    if abs(rounds) > 0.7 and roundness > 0.45:
        return f"{'backward' if rounds > 0 else 'forward'} circle beside the body"
    centred = hand - hand.mean(axis=0)
    spread = np.linalg.svd(centred, compute_uv=False)
    thin = spread[1] / max(spread[0], 1e-9)
    axis = int(np.argmax(np.ptp(hand, axis=0)))
    line = ("sideways", "up and down", "forward and back")[axis]
    return f"{pick(thin, (0.2, 0.45), ('straight line', 'arc', 'wide curve'))} {line}"


def hands_sentence(body: Body) -> str:
    """How the two hands relate: distance, symmetry, lead, touching head, hips or the other arm."""
    left, right = body.hand("left"), body.hand("right")
    gap = np.linalg.norm(left - right, axis=1)
    words = ("together", "close together", "shoulder wide apart", "wide apart")
    edges = (0.3, 0.6, 1.2)
    begin, near, far, end = (
        pick(value, edges, words)
        for value in (float(at_start(gap)), quantile(gap, 0.1), quantile(gap, 0.9), float(at_end(gap)))
    )
    parts = [f"the hands start {begin}, are {near} at the nearest, {far} at the farthest and end {end}"]
    if quantile(right[:, 0] - left[:, 0], 0.1) < -0.1:
        parts.append("they cross")
    parts.append(_together(body))
    parts.append(_contacts(body))
    return sentence(join(parts))


def _together(body: Body) -> str:
    """Whether the hands move alike, mirrored, or one alone."""
    spans = {side: hand_span(body, side) for side in ("left", "right")}
    if max(spans.values()) < STILL:
        return "both rest"
    lead = max(spans, key=lambda side: spans[side])
    if min(spans.values()) < 0.45 * max(spans.values()):
        return f"mainly the {lead} hand moves"
    moves = {side: np.gradient(body.hand(side), axis=0) if len(body) > 1 else body.hand(side) for side in spans}
    mirrored = moves["left"] * np.array([-1.0, 1.0, 1.0])
    scale = np.sqrt((moves["left"] ** 2).sum() * (moves["right"] ** 2).sum()) + 1e-9
    alike, mirror = (float((m * moves["right"]).sum() / scale) for m in (moves["left"], mirrored))
    if max(alike, mirror) < 0.3:
        opposite = min(alike, mirror) < -0.3
        return "both hands move in turn" if opposite else "the hands move independently"
    return "both hands move in the same direction" if alike > mirror else "both hands move as mirror images"


def _contacts(body: Body) -> str:
    """Which body parts the hands come near to."""
    found = []
    for side, other in (("right", "left"), ("left", "right")):
        hand = body.hand(side)
        targets = (
            ("head", "head", 0.5),
            (f"{other}_shoulder", f"{other} shoulder", 0.35),
            (f"{other}_elbow", f"{other} elbow", 0.3),
            (f"{other}_knee", f"{other} knee", 0.4),
            (f"{side}_knee", f"{side} knee", 0.4),
            (f"{side}_ankle", f"{side} foot", 0.5),
        )
        near = [
            label
            for joint, label, reach in targets
            if quantile(np.linalg.norm(hand - body.joints[joint], axis=1), 0.07) < reach
        ]
        if near:
            found.append(f"the {side} hand comes near the {join(near[:2])}")
    return join(found)
