"""Sentences about one arm: where the hand goes, along which strokes, in which shape and rhythm."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from c2vl_lab.prompts.kinematic_measures import (
    Body,
    at_end,
    at_start,
    bend,
    floor_height,
    leg_length,
    quantile,
    speed,
    strokes,
    swings,
    winding,
)
from c2vl_lab.prompts.kinematic_words import (
    direction,
    elbow,
    join,
    level,
    line,
    low_level,
    pace,
    pick,
    place,
    sentence,
    times,
    toward,
)

STILL = 0.3  # a hand whose path spans less than this (torso lengths) rests


def hand_span(body: Body, side: str) -> float:
    """Robust diagonal of the box that holds the hand's path relative to the hips, torso lengths."""
    hand = body.hand(side)
    return float(np.linalg.norm(np.quantile(hand, 0.95, axis=0) - np.quantile(hand, 0.05, axis=0)))


def around(body: Body, side: str, point: np.ndarray) -> str:
    """Where a (3,) hand position is around the trunk."""
    return place(point[0] * body.outward(side), point[2], side)


def whereabouts(body: Body, side: str, part: slice, last: bool = False) -> str:
    """Height and place of a hand in a part of the clip: its median, or its ``last`` frame."""
    hand, above = body.hand(side)[part], floor_height(body, side)[part]
    point, height = (hand[-1], above[-1]) if last else (np.median(hand, axis=0), np.median(above))
    return f"{level(point[1], float(height), leg_length(body))} {around(body, side, point)}"


def arm_sentences(body: Body, side: str) -> list[str]:
    """Three sentences on one arm: its places, its strokes, its shape and rhythm."""
    return [_places(body, side), _strokes(body, side), _rhythm(body, side)]


def _places(body: Body, side: str) -> str:
    """Heights above the floor at the start, at the extremes and at the end; the place at the extreme."""
    hand, height, leg = body.hand(side), floor_height(body, side), leg_length(body)
    name = f"the {side} hand"
    begin, end = float(at_start(height)), float(at_end(height))
    top, low = quantile(height, 0.95), quantile(height, 0.05)
    parts = [f"{name} starts {low_level(begin, leg)}"]
    if top > max(begin, end) + 0.25:
        point = hand[height >= quantile(height, 0.9)].mean(axis=0)
        parts.append(f"rises {toward(low_level(top, leg))} {around(body, side, point)}")
    if low < min(begin, end) - 0.25:
        point = hand[height <= quantile(height, 0.1)].mean(axis=0)
        parts.append(f"goes down {toward(low_level(low, leg))} {around(body, side, point)}")
    if len(parts) == 1 and low_level(begin, leg) == low_level(end, leg):
        return sentence(f"{name} stays {low_level(end, leg)} {around(body, side, np.median(hand, axis=0))}")
    parts.append(f"ends {low_level(end, leg)}")
    return sentence(join(parts))


def _strokes(body: Body, side: str) -> str:
    """The path as a sequence of directions."""
    hand = body.hand(side)
    moves = strokes(hand, max(0.35, 0.25 * hand_span(body, side)))
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
    hand, span = body.hand(side), hand_span(body, side)
    angle = bend(body, f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
    tight, wide = elbow(quantile(angle, 0.1)), elbow(quantile(angle, 0.9))
    bent = f"with the elbow {tight}" if tight == wide else f"with the elbow from {tight} to {wide}"
    if span < 0.4:
        return sentence(f"the {side} arm rests {bent}")
    shape = _shape(hand)
    size = pick(span, (0.7, 1.4, 2.2), ("small", "medium", "large", "huge"))
    rounds = shape.split()[1] == "loop"
    does = f"goes round in a {size} {shape}" if rounds else _beat(hand) or f"makes one {size} {shape}"
    return sentence(f"the {side} hand {does} {pace(quantile(speed(hand), 0.95))} {bent}")


def raised(hand: np.ndarray) -> slice:
    """The part of a (T, 3) path between leaving the start's surroundings and coming back."""
    away = np.linalg.norm(hand - at_start(hand), axis=1)
    far = np.flatnonzero(away > 0.5 * away.max())
    return slice(int(far[0]), int(far[-1]) + 1) if len(far) > 4 else slice(0, len(hand))


def _shape(hand: np.ndarray) -> str:
    """The form of a hand's path while it is away from where it started."""
    part = hand[raised(hand)]
    rounds, roundness = winding(part[:, :2])
    if abs(rounds) > 0.65 and roundness > 0.4:
        return f"{'counter-clockwise' if rounds > 0 else 'clockwise'} loop in front of the body"
    rounds, roundness = winding(part[:, [2, 1]])
    if abs(rounds) > 0.65 and roundness > 0.4:
        return f"{'backward' if rounds > 0 else 'forward'} loop beside the body"
    spread = np.linalg.svd(hand - hand.mean(axis=0), compute_uv=False)
    thin = float(spread[1] / max(spread[0], 1e-9)) if len(spread) > 1 else 0.0
    form = pick(thin, (0.2, 0.45), ("straight line", "arc", "wide curve"))
    return f"{form} {line(np.ptp(hand, axis=0))}"


def _beat(hand: np.ndarray) -> str:
    """Quick repetition on top of the slow path: along which axis, how often; empty when there is none."""
    quick = hand - gaussian_filter1d(hand, 10.0, axis=0, mode="nearest")
    part = quick[raised(hand)]
    main = np.linalg.svd(part - part.mean(axis=0), full_matrices=False)[2][0]
    signal = part @ main
    turns = swings(signal, max(0.15, 0.4 * float(np.ptp(signal))))
    return f"repeats a stroke {line(main)} {times((turns + 1) // 2)}" if turns >= 3 else ""
