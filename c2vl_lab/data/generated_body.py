"""Bodies of the generator: proportions, and joints from pose channels over time (our own construction).

A body's own frame has x to its left, y up and z forward. Trunk and head follow from angles, arms and legs from the
places of hands and feet by two-bone inverse kinematics, so that feet stand and hands meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c2vl_lab.data.layouts import NTU25

UP = np.array([0.0, 1.0, 0.0])
FORWARD = np.array([0.0, 0.0, 1.0])
SIDES = {"left": 1.0, "right": -1.0}

# Pose channels at rest. Hands: (out, up, forward) from the shoulder in arm lengths; feet: (out, up, forward) from
# the place below the hip in leg lengths; travel, side, rise, back in leg lengths; angles in radians.
REST: dict[str, tuple[float, ...]] = {
    "travel": (0.0,),
    "rise": (0.0,),
    "back": (0.0,),
    "turn": (0.0,),
    "lean": (0.03,),
    "tilt": (0.0,),
    "twist": (0.0,),
    "nod": (0.0,),
    "look": (0.0,),
    "left_hand": (0.13, -0.95, 0.09),
    "right_hand": (0.13, -0.95, 0.09),
    "left_foot": (0.02, 0.0, 0.0),
    "right_foot": (0.02, 0.0, 0.0),
}
MIRRORED = ("turn", "tilt", "twist", "look")  # channels that change their sign between left and right

Pose = dict[str, tuple[float, ...]]
Channels = dict[str, np.ndarray]


@dataclass(frozen=True)
class Body:
    """One performer's proportions in metres and manners.

    Attributes:
        tempo: 1 is usual; 1.2 takes a fifth less time.
        reach: how far movements go, 1 is usual.
    """

    height: float
    shoulder: float
    hip: float
    trunk: float
    neck: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    tempo: float = 1.0
    reach: float = 1.0

    @property
    def arm(self) -> float:
        """Length of the stretched arm up to the wrist."""
        return self.upper_arm + self.forearm

    @property
    def leg(self) -> float:
        """Length of the stretched leg down to the ankle."""
        return self.thigh + self.shin

    @property
    def ankle(self) -> float:
        """Height of the ankle above the floor."""
        return 0.045 * self.height


def make_body(rng: np.random.Generator) -> Body:
    """A performer: adult proportions (usual anthropometric ratios of the height) with some spread."""
    height = rng.uniform(1.52, 1.93)

    def part(ratio: float) -> float:
        return ratio * height * rng.normal(1.0, 0.04)

    return Body(
        height=height,
        shoulder=part(0.105),
        hip=part(0.052),
        trunk=part(0.29),
        neck=part(0.05),
        upper_arm=part(0.165),
        forearm=part(0.145),
        thigh=part(0.235),
        shin=part(0.235),
        tempo=rng.uniform(0.8, 1.25),
        reach=rng.uniform(0.85, 1.1),
    )


def pose_joints(body: Body, channels: Channels) -> np.ndarray:
    """Joints of a body whose rest place is the origin of the floor.

    Args:
        body: proportions.
        channels: every channel of :data:`REST` over time, (T, 1) or (T, 3).

    Returns:
        (T, 25, 3) metres in NTU25 order; y = 0 is the floor.
    """
    turn = _about_y(channels["turn"][:, 0])
    chest = turn @ _about_y(channels["twist"][:, 0])
    trunk = chest @ _about_x(channels["lean"][:, 0]) @ _about_z(channels["tilt"][:, 0])
    travel = channels["travel"] * body.leg * FORWARD
    pelvis = travel + (body.ankle + body.leg * (0.993 + channels["rise"])) * UP
    pelvis = pelvis - np.einsum("tij,j->ti", turn, FORWARD) * channels["back"] * body.leg
    joints: dict[str, np.ndarray] = {"spine_base": pelvis}
    up = trunk @ UP
    joints["spine_mid"] = pelvis + 0.5 * body.trunk * up
    joints["spine_shoulder"] = pelvis + body.trunk * up
    joints["neck"] = joints["spine_shoulder"] + body.neck * up
    head = trunk @ _about_y(channels["look"][:, 0]) @ _about_x(channels["nod"][:, 0])
    joints["head"] = joints["neck"] + head @ np.array([0.0, 0.075, 0.02]) * body.height
    for side, sign in SIDES.items():
        _arm(body, joints, channels[f"{side}_hand"], chest, trunk, side, sign)
        _leg(body, joints, channels[f"{side}_foot"], travel, turn, side, sign)
    return np.stack([joints[name] for name in NTU25.joints], axis=1)


def _arm(body: Body, joints: dict, place: np.ndarray, chest: np.ndarray, trunk: np.ndarray, side: str, sign: float):
    """Shoulder to thumb of one side; the elbow points back, down and out."""
    shoulder = joints["spine_shoulder"] + trunk @ np.array([sign * body.shoulder, -0.03 * body.height, 0.0])
    target = shoulder + np.einsum("tij,tj->ti", chest, place * body.arm * np.array([sign, 1.0, 1.0]))
    pole = chest @ np.array([0.45 * sign, -0.5, -0.8])
    elbow, wrist = two_bones(shoulder, target, body.upper_arm, body.forearm, pole)
    ahead = (wrist - elbow) / body.forearm
    inward = _across(chest @ np.array([-sign, 0.0, 0.6]), ahead)
    hand = wrist + 0.045 * body.height * ahead
    joints[f"{side}_shoulder"] = shoulder
    joints[f"{side}_elbow"] = elbow
    joints[f"{side}_wrist"] = wrist
    joints[f"{side}_hand"] = hand
    joints[f"{side}_hand_tip"] = hand + 0.045 * body.height * ahead
    joints[f"{side}_thumb"] = hand + 0.012 * body.height * ahead + 0.02 * body.height * inward


def _leg(body: Body, joints: dict, place: np.ndarray, travel: np.ndarray, turn: np.ndarray, side: str, sign: float):
    """Hip to foot of one side; the knee points forward and a little out."""
    hip = joints["spine_base"] + turn @ np.array([sign * body.hip, -0.02 * body.height, 0.0])
    stand = turn @ np.array([sign * body.hip, 0.0, 0.0]) + travel + body.ankle * UP
    target = stand + np.einsum("tij,tj->ti", turn, place * body.leg * np.array([sign, 1.0, 1.0]))
    knee, ankle = two_bones(hip, target, body.thigh, body.shin, turn @ np.array([0.15 * sign, 0.0, 1.0]))
    joints[f"{side}_hip"] = hip
    joints[f"{side}_knee"] = knee
    joints[f"{side}_ankle"] = ankle
    joints[f"{side}_foot"] = ankle + turn @ np.array([0.02 * sign, -0.03, 0.075]) * body.height


def two_bones(
    start: np.ndarray, target: np.ndarray, first: float, second: float, pole: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Middle and end of a limb of two bones that reaches for ``target``.

    A target out of reach is approached as far as the limb goes.

    Args:
        start: (T, 3) the fixed end.
        target: (T, 3) where the free end should be.
        first: length of the bone at ``start``.
        second: length of the other bone.
        pole: (T, 3) direction to which the middle joint bends.
    """
    line = target - start
    wanted = np.linalg.norm(line, axis=1, keepdims=True)
    line = line / np.maximum(wanted, 1e-6)
    reach = np.clip(wanted, abs(first - second) + 0.02, 0.999 * (first + second))
    along = (first**2 + reach**2 - second**2) / (2 * first * reach)
    bend = _across(pole, line)
    middle = start + first * (along * line + np.sqrt(np.maximum(1 - along**2, 0)) * bend)
    return middle, start + reach * line


def _across(vector: np.ndarray, line: np.ndarray) -> np.ndarray:
    """(T, 3) unit vectors: the part of ``vector`` at right angles to the unit vectors ``line``."""
    across = vector - (vector * line).sum(axis=1, keepdims=True) * line
    return across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)


def _rotation(angle: np.ndarray, first: int, second: int) -> np.ndarray:
    """(T, 3, 3) rotations that turn axis ``first`` towards axis ``second``."""
    matrix = np.tile(np.eye(3), (len(angle), 1, 1))
    matrix[:, first, first] = matrix[:, second, second] = np.cos(angle)
    matrix[:, second, first] = np.sin(angle)
    matrix[:, first, second] = -np.sin(angle)
    return matrix


def _about_y(angle: np.ndarray) -> np.ndarray:
    """Turn to the left."""
    return _rotation(angle, 2, 0)


def _about_x(angle: np.ndarray) -> np.ndarray:
    """Lean forward."""
    return _rotation(angle, 1, 2)


def _about_z(angle: np.ndarray) -> np.ndarray:
    """Tilt to the left."""
    return _rotation(angle, 1, 0)
