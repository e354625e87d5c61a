"""Damaged test clips, seeded clip by clip: what a worse sensor or another place of the camera would have given.

Clips are damaged after normalisation, because that is where a clip's origin, direction and size are known. Nothing is
trained or chosen on damaged clips: encoder and probe are those of the undamaged training part.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from c2vl_lab.data.joined import ClipRows
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.data.transforms import fill_gaps
from c2vl_lab.errors import ConfigError, choose

LIMBS = {"arm": ("shoulder", "elbow wrist hand hand_tip thumb"), "leg": ("hip", "knee ankle heel foot foot_tip")}
BLOCK = 512  # clips at a time

# Kind of damage, what its level means, and three levels each. Our choice: the field has no agreed list.
DAMAGES: dict[str, tuple[str, tuple[float, ...]]] = {
    "joints lost": ("share of the joints, drawn for each clip, that are 0 in all its frames", (0.1, 0.3, 0.5)),
    "jitter": ("standard deviation of a new offset of each joint in each frame, in torso lengths", (0.05, 0.1, 0.2)),
    "limb hidden": ("share of the frames, in one run, with an arm or a leg drawn in to its root", (0.25, 0.5, 1.0)),
    "frames lost": ("share of the frames, drawn one by one, that are filled between their neighbours", (0.3, 0.6, 0.9)),
    "turned": (
        "degrees about the vertical, left or right, after the view was normalised",
        (30.0, 60.0, 90.0),
    ),
}


def damage(clips: np.ndarray, kind: str, level: float, layout: JointLayout, seed: int, first: int = 0) -> np.ndarray:
    """A damaged copy of normalised clips.

    Each clip has a generator of its own, of seed, kind and the clip's number, so that a clip is damaged in the same way
    whatever else is measured, and a level differs from the next in strength alone.

    Args:
        clips: (N, T, M, V, 3); a body that is zero throughout stays zero.
        kind: a name of :data:`DAMAGES`.
        level: its strength.
        layout: the joints.
        seed: of the draws.
        first: number of the first clip, where a part of the clips is given.

    Raises:
        ConfigError: unknown kind, or the layout has no limbs to hide.
    """
    choose(kind, DAMAGES, "kind of damage")
    if kind == "limb hidden" and not can_hide_limbs(layout):
        raise ConfigError(f"Layout {layout.name} has no arms and legs that could be hidden. Leave out '{kind}'.")
    how = {"joints lost": _lose_joints, "jitter": _jitter, "frames lost": _lose_frames, "turned": _turn}
    change: Callable[..., np.ndarray] = how.get(kind, _hide_limb)
    number = list(DAMAGES).index(kind)
    damaged = np.empty(clips.shape, np.float32)
    for index, clip in enumerate(clips):
        rng = np.random.default_rng([seed, number, first + index])
        seen = clip.any(axis=(0, 2, 3))
        damaged[index] = change(np.array(clip, np.float32), level, layout, rng)
        damaged[index, :, ~seen] = 0
    return damaged


def damaged_features(
    extract: Callable[[np.ndarray], np.ndarray],
    clips: ClipRows,
    rows: np.ndarray,
    kind: str,
    level: float,
    layout: JointLayout,
    seed: int,
) -> np.ndarray:
    """(len(rows), D) features of some clips after damage; ``clips`` may be memory-mapped."""
    parts = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    damaged = (damage(clips[part], kind, level, layout, seed, k * BLOCK) for k, part in enumerate(parts))
    return np.concatenate([extract(part) for part in damaged])


def _lose_joints(clip: np.ndarray, level: float, layout: JointLayout, rng: np.random.Generator) -> np.ndarray:
    """The same order of joints for every level: what is lost at a low level is lost at a higher one too."""
    order = rng.permutation(len(layout))
    clip[:, :, order[: round(level * len(layout))]] = 0
    return clip


def _jitter(clip: np.ndarray, level: float, layout: JointLayout, rng: np.random.Generator) -> np.ndarray:
    return clip + level * rng.standard_normal(clip.shape, np.float32)


def _hide_limb(clip: np.ndarray, level: float, layout: JointLayout, rng: np.random.Generator) -> np.ndarray:
    """A limb that is out of sight is guessed near its root by most trackers."""
    side, limb = str(rng.choice(["left", "right"])), str(rng.choice(list(LIMBS)))
    length = round(level * len(clip))
    start = int(rng.uniform() * (len(clip) - length + 1))
    part = slice(start, start + length)
    clip[part, :, _limb(layout, side, limb)] = layout.point(clip[part], f"{side}_{LIMBS[limb][0]}")[:, :, None]
    return clip


def can_hide_limbs(layout: JointLayout) -> bool:
    """Whether a layout has arms and legs, each with its root."""
    return all(
        layout.has(f"{side}_{root}") and _limb(layout, side, limb)
        for side in ("left", "right")
        for limb, (root, _) in LIMBS.items()
    )


def _limb(layout: JointLayout, side: str, limb: str) -> list[int]:
    """Joints of an arm or a leg, without its root."""
    names = [f"{side}_{part}" for part in LIMBS[limb][1].split()]
    return [layout.index(name) for name in names if name in layout.joints]


def _lose_frames(clip: np.ndarray, level: float, layout: JointLayout, rng: np.random.Generator) -> np.ndarray:
    kept = rng.permutation(len(clip))[: max(1, round((1 - level) * len(clip)))]
    present = np.zeros(clip.shape[:2], bool)
    present[kept] = True
    return fill_gaps(clip, present)


def _turn(clip: np.ndarray, level: float, layout: JointLayout, rng: np.random.Generator) -> np.ndarray:
    angle = np.deg2rad(level) * rng.choice([-1.0, 1.0])
    cos, sin = np.cos(angle), np.sin(angle)
    return clip @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]], np.float32)
