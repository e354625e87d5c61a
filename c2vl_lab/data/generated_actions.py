"""Actions of the generator: key poses over time, in the channels of ``generated_body``.

An action is a function of (cycles, rng) that returns key poses for each of its one or two people. A key pose names
only the channels it sets; the others pass through. Time goes from 0 to 1; both ends are at rest unless a key says
otherwise. All movements are our own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from c2vl_lab.data.generated_body import MIRRORED, REST, Channels, Pose

Keys = list[tuple[float, Pose]]
Action = Callable[[int, np.random.Generator], list[Keys]]

SITTING: Pose = {
    "rise": (-0.44,),
    "back": (0.42,),
    "lean": (0.08,),
    "left_hand": (0.0, -0.62, 0.42),
    "right_hand": (0.0, -0.62, 0.42),
}
HALF_SITTING: Pose = {
    "rise": (-0.24,),
    "back": (0.24,),
    "lean": (0.6,),
    "left_hand": (0.1, -0.7, 0.5),
    "right_hand": (0.1, -0.7, 0.5),
}


def _swings(first: float, last: float, cycles: int, one: Pose, other: Pose) -> Keys:
    """``cycles`` times from ``one`` to ``other``, evenly between two times."""
    times = np.linspace(first, last, 2 * cycles + 1)
    return [(float(time), one if i % 2 == 0 else other) for i, time in enumerate(times)]


def _wave(cycles: int, rng: np.random.Generator) -> list[Keys]:
    height = rng.uniform(0.1, 0.7)
    out: Pose = {"right_hand": (0.62, height, 0.25), "tilt": (0.04,)}
    over: Pose = {"right_hand": (0.12, height + 0.08, 0.35)}
    return [_swings(0.2, 0.8, cycles + 1, out, over)]


def _wave_left(cycles: int, rng: np.random.Generator) -> list[Keys]:
    return [mirrored(keys) for keys in _wave(cycles, rng)]


def _drink(cycles: int, rng: np.random.Generator) -> list[Keys]:
    mouth: Pose = {"right_hand": (-0.25, 0.22, 0.36), "nod": (-0.1,)}
    tip: Pose = {"right_hand": (-0.22, 0.32, 0.34), "nod": (-0.4,), "lean": (-0.06,)}
    down: Pose = {"right_hand": (-0.05, -0.35, 0.5), "nod": (0.1,), "lean": (0.03,)}
    sips = [(0.2, down), (0.34, mouth), (0.5, tip), (0.66, mouth), (0.8, down)]
    return [sips if cycles < 3 else [(0.3, mouth), (0.42, tip), (0.5, down), (0.6, mouth), (0.74, tip)]]


def _phone(cycles: int, rng: np.random.Generator) -> list[Keys]:
    ear: Pose = {"right_hand": (0.05, 0.28, 0.2), "look": (-0.1,), "tilt": (-0.05,)}
    pocket: Pose = {"right_hand": (0.08, -0.7, 0.2), "nod": (0.15,)}
    return [[(0.15, pocket), (0.25, pocket), (0.45, ear), (0.6, ear), (0.78, ear)]]


def _point(cycles: int, rng: np.random.Generator) -> list[Keys]:
    aim: Pose = {"right_hand": (rng.uniform(-0.2, 0.3), rng.uniform(-0.15, 0.2), 0.92), "twist": (0.15,)}
    return [[(0.15, {}), (0.4, aim), (0.62, aim), (0.85, {"right_hand": REST["right_hand"]})]]


def _throw(cycles: int, rng: np.random.Generator) -> list[Keys]:
    level = rng.uniform(-0.05, 0.25)
    back: Pose = {"right_hand": (0.5, 0.25 + level, -0.4), "twist": (-0.6,), "lean": (-0.08,)}
    step: Pose = {"left_foot": (0.02, 0.0, 0.35), "travel": (0.1,)}
    ahead: Pose = {"right_hand": (-0.1, 0.1 + level, 0.9), "twist": (0.5,), "lean": (0.25,)}
    low: Pose = {"right_hand": (-0.35, -0.55, 0.5), "twist": (0.6,), "lean": (0.3,)}
    return [[(0.3, back), (0.48, back | step), (0.6, ahead | step), (0.7, low | step)]]


def _clap(cycles: int, rng: np.random.Generator) -> list[Keys]:
    level = rng.uniform(-0.3, 0.05)
    apart: Pose = {"left_hand": (0.15, level, 0.6), "right_hand": (0.15, level, 0.6)}
    together: Pose = {"left_hand": (-0.3, level, 0.62), "right_hand": (-0.3, level, 0.62)}
    return [_swings(0.18, 0.82, cycles + 2, apart, together)]


def _sit_down(cycles: int, rng: np.random.Generator) -> list[Keys]:
    return [[(0.2, {}), (0.45, HALF_SITTING), (0.65, SITTING), (1.0, SITTING)]]


def _stand_up(cycles: int, rng: np.random.Generator) -> list[Keys]:
    return [[(0.0, SITTING), (0.3, SITTING), (0.52, HALF_SITTING), (0.78, dict(REST)), (1.0, dict(REST))]]


def _pick_up(cycles: int, rng: np.random.Generator) -> list[Keys]:
    knees = rng.uniform(0.1, 0.4)
    bent: Pose = {"lean": (1.25 - knees,), "rise": (-knees,), "back": (0.22,), "nod": (0.2,)}
    floor: Pose = bent | {"right_hand": (-0.1, -0.92, 0.3), "left_hand": (0.2, -0.7, 0.2)}
    hold: Pose = {"right_hand": (0.0, -0.25, 0.5), "lean": (0.05,), "rise": (0.0,), "back": (0.0,)}
    return [[(0.15, {}), (0.42, floor), (0.55, floor), (0.85, hold), (1.0, hold)]]


def _kick(cycles: int, rng: np.random.Generator) -> list[Keys]:
    height = rng.uniform(0.3, 0.55)
    stance: Pose = {"tilt": (0.08,), "left_hand": (0.4, -0.6, 0.2), "right_hand": (0.45, -0.6, -0.1)}
    back: Pose = stance | {"right_foot": (0.02, 0.22, -0.45), "lean": (0.1,)}
    ahead: Pose = stance | {"right_foot": (0.0, height, 0.85), "lean": (-0.2,)}
    return [[(0.15, {}), (0.38, back), (0.54, ahead), (0.62, ahead), (0.8, {"right_foot": (0.02, 0.0, 0.05)})]]


def _walk(cycles: int, rng: np.random.Generator) -> list[Keys]:
    steps = 2 * cycles + 2
    stride = rng.uniform(0.28, 0.4)
    keys: Keys = [(0.0, dict(REST))]
    for i in range(4 * steps + 1):
        phase = np.pi * i / 4
        pose: Pose = {"travel": (stride * 2 / np.pi * 1.3 * i / 4,), "rise": (-0.03 + 0.015 * np.cos(2 * phase),)}
        for side, sign in (("left", 1.0), ("right", -1.0)):
            swing, lift = sign * np.sin(phase), max(0.0, sign * np.cos(phase))
            pose[f"{side}_foot"] = (0.02, 0.12 * lift, stride * swing)
            pose[f"{side}_hand"] = (0.16, -0.88, 0.08 - 0.4 * swing)
        keys.append((0.06 + 0.88 * i / (4 * steps), pose))
    return [[*keys, (1.0, {**REST, "travel": keys[-1][1]["travel"]})]]


def _shake_hands(cycles: int, rng: np.random.Generator) -> list[Keys]:
    high: Pose = {"right_hand": (-0.3, -0.3, 0.72), "lean": (0.12,)}
    low: Pose = {"right_hand": (-0.3, -0.45, 0.7), "lean": (0.14,)}
    late = rng.uniform(0.0, 0.06)
    first, second = _swings(0.3, 0.75, cycles + 1, high, low), _swings(0.3 + late, 0.75, cycles + 1, high, low)
    return [first, second]


def _push(cycles: int, rng: np.random.Generator) -> list[Keys]:
    drawn: Pose = {"left_hand": (0.05, -0.3, 0.3), "right_hand": (0.05, -0.3, 0.3), "lean": (0.05,)}
    step: Pose = {"travel": (0.3,), "right_foot": (0.02, 0.0, -0.3)}
    out: Pose = {"left_hand": (-0.1, -0.1, 0.95), "right_hand": (-0.1, -0.1, 0.95), "lean": (0.35,)}
    pusher: Keys = [(0.2, drawn), (0.35, drawn), (0.48, out | step), (0.58, out | step), (1.0, {**REST, **step})]
    arms: Pose = {"left_hand": (0.5, -0.5, 0.4), "right_hand": (0.5, -0.5, 0.4)}
    hit: Pose = {"travel": (-0.15,), "lean": (-0.25,), "left_foot": (0.02, 0.12, -0.1)} | arms
    far = rng.uniform(-0.7, -0.4)
    away: Pose = {"travel": (far,), "lean": (-0.05,), "left_foot": (0.02, 0.0, -0.15), "right_foot": (0.02, 0.0, 0.1)}
    other: Keys = [(0.44, {"travel": (0.0,)}), (0.54, hit), (0.72, away | arms), (1.0, {**REST, "travel": (far,)})]
    return [pusher, other]


ACTIONS: dict[str, Action] = {
    "wave with the right hand": _wave,
    "wave with the left hand": _wave_left,
    "drink with the right hand": _drink,
    "answer the phone with the right hand": _phone,
    "point forward with the right hand": _point,
    "throw with the right hand": _throw,
    "clap the hands": _clap,
    "sit down": _sit_down,
    "stand up": _stand_up,
    "pick something up from the floor": _pick_up,
    "kick with the right leg": _kick,
    "walk forward": _walk,
    "shake hands with another person": _shake_hands,
    "push another person": _push,
}
# ways to hold a hand that has nothing to do: at rest, on the hip, in the pocket, before the belly, half raised
IDLE_HANDS = (REST["left_hand"], (0.42, -0.5, -0.05), (0.12, -0.8, 0.12), (-0.12, -0.5, 0.4), (0.05, -0.3, 0.45))


def mirrored(keys: Keys) -> Keys:
    """The same movement with left and right exchanged."""
    swapped: Keys = []
    for time, pose in keys:
        twin: Pose = {}
        for channel, value in pose.items():
            if channel.startswith(("left_", "right_")):
                side, part = channel.split("_")
                twin[f"{'right' if side == 'left' else 'left'}_{part}"] = value
            else:
                twin[channel] = tuple(-v for v in value) if channel in MIRRORED else value
        swapped.append((time, twin))
    return swapped


def interpolate(keys: Keys, times: np.ndarray) -> Channels:
    """Every channel at the given times, with smooth starts and stops at each key.

    Args:
        keys: key poses in order of time.
        times: (T,) between 0 and 1.

    Returns:
        channel -> (T, 1) or (T, 3).
    """
    channels: Channels = {}
    for channel, rest in REST.items():
        marks = [(time, pose[channel]) for time, pose in keys if channel in pose]
        if not marks or marks[0][0] > 0:
            marks.insert(0, (0.0, rest))
        if marks[-1][0] < 1:
            marks.append((1.0, rest))
        moments = np.array([time for time, _ in marks])
        values = np.array([value for _, value in marks])
        after = np.clip(np.searchsorted(moments, times, side="right"), 1, len(moments) - 1)
        share = (times - moments[after - 1]) / np.maximum(moments[after] - moments[after - 1], 1e-6)
        share = np.clip(share, 0, 1)
        share = (share**2 * (3 - 2 * share))[:, None]
        channels[channel] = values[after - 1] * (1 - share) + values[after] * share
    return channels
