"""From joints to numbers: one body in its own frame, smoothed, scaled by its own size.

Axes of every array here: x to the person's right, y up, z to the front; lengths in torso lengths. The frame turns
with the person, so neither the camera's place nor the person's size reaches the words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from c2vl_lab.data.layouts import JointLayout

FRAME_RATE = 30.0  # frames a second of every Kinect set that the package reads; one's own are taken to have as many
NEEDED = (
    "spine_base",
    "spine_shoulder",
    "head",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "left_hand",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "right_hand",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_hip",
    "right_knee",
    "right_ankle",
)


@dataclass(frozen=True)
class Body:
    """One person over a clip of T frames.

    Attributes:
        joints: joint name to (T, 3) position relative to the hip centre, in the person's turning frame.
        path: (T, 3) hip centre in the frame of the clip's start (right, up, front).
        turn: (T,) heading in degrees relative to the start, positive to the person's left.
        origin: (3,) camera coordinates of the hip centre at the start, metres.
        axes: (3, 3) rows right, up, front of the start in camera coordinates.
        scale: metres in one torso length.
    """

    joints: dict[str, np.ndarray]
    path: np.ndarray
    turn: np.ndarray
    origin: np.ndarray
    axes: np.ndarray
    scale: float

    def __len__(self) -> int:
        return len(self.path)

    def hand(self, side: str) -> np.ndarray:
        """(T, 3) middle of wrist and hand joint, steadier than either."""
        return (self.joints[f"{side}_wrist"] + self.joints[f"{side}_hand"]) / 2

    def outward(self, side: str) -> float:
        """+1 for the right side, -1 for the left: multiplies x so that positive points away from the body."""
        return 1.0 if side == "right" else -1.0

    def world(self, joint: str) -> np.ndarray:
        """(T, 3) position in the fixed frame of the clip's start."""
        angle = np.radians(self.turn)
        x, y, z = self.joints[joint].T
        turned = np.stack([x * np.cos(angle) - z * np.sin(angle), y, x * np.sin(angle) + z * np.cos(angle)], axis=1)
        return turned + self.path


def bodies_of(xyz: np.ndarray, present: np.ndarray, layout: JointLayout) -> list[Body]:
    """The people of a clip, at most two, the one who is seen most and moves most first.

    Args:
        xyz: (T, M, V, 3) metres, y up.
        present: (T, M) whether the body was tracked; other frames are filled by interpolation.
        layout: joint layout of ``xyz``; it must have all of :data:`NEEDED`, or what stands for them.
    """
    return [_body(track, layout) for track in tracks_of(xyz, present)]


def tracks_of(xyz: np.ndarray, present: np.ndarray) -> list[np.ndarray]:
    """(T, V, 3) of at most two bodies, gaps filled; the one who is seen most and moves most first."""
    seen = present.sum(axis=0)
    slots = [m for m in range(xyz.shape[1]) if seen[m] > 0 and seen[m] >= 0.2 * seen.max()]
    tracks = [(m, _filled(np.asarray(xyz[:, m], np.float64), present[:, m])) for m in slots]
    order = sorted(tracks, key=lambda item: (seen[item[0]] < 0.5 * seen.max(), -_motion(item[1]), item[0]))
    return [track for _, track in order[:2]]


def _motion(track: np.ndarray) -> float:
    return float(np.linalg.norm(track - track.mean(axis=0), axis=-1).mean())


def _filled(track: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(T, V, 3) with untracked frames interpolated over time."""
    if not seen.all():
        known = np.flatnonzero(seen)
        after = np.clip(np.searchsorted(known, np.arange(len(track))), 0, len(known) - 1)
        before = np.clip(after - 1, 0, None)
        left, right = known[before], known[after]
        span = np.maximum(right - left, 1)
        share = np.clip((np.arange(len(track)) - left) / span, 0, 1)[:, None, None]
        track = track[left] * (1 - share) + track[right] * share
    return track


def _smoothed(track: np.ndarray, layout: JointLayout) -> tuple[np.ndarray, np.ndarray]:
    """The track without spikes and jitter, and the (3, 3) rotation whose transpose it was turned by.

    A median of coordinates depends on the axes, so the person's mean shoulder and hip line is turned onto x first:
    then the result is the same whatever the camera's place.
    """
    line = sum(
        layout.point(track, f"right_{part}") - layout.point(track, f"left_{part}") for part in ("shoulder", "hip")
    )
    level = np.asarray(line)[:, [0, 2]]
    mean = (level / np.maximum(np.linalg.norm(level, axis=1, keepdims=True), 1e-9)).mean(axis=0)
    size = float(np.linalg.norm(mean))
    x, z = mean / size if size > 1e-6 else (1.0, 0.0)
    turned = np.array([[x, 0.0, z], [0.0, 1.0, 0.0], [-z, 0.0, x]])
    return steady(track @ turned.T), turned


def steady(track: np.ndarray) -> np.ndarray:
    """A track (T, V, 3) without spikes and jitter."""
    if len(track) < 3:
        return track
    return gaussian_filter1d(median_filter(track, size=(3, 1, 1), mode="nearest"), 1.2, axis=0, mode="nearest")


def _body(track: np.ndarray, layout: JointLayout) -> Body:
    """Smooth one track (T, V, 3) and bring it into the person's own frame."""
    track, turned = _smoothed(track, layout)
    at = {name: layout.point(track, name) for name in NEEDED}
    scale = float(np.median(np.linalg.norm(at["spine_shoulder"] - at["spine_base"], axis=1)))
    scale = max(scale, 1e-3)
    across = at["right_shoulder"] - at["left_shoulder"] + at["right_hip"] - at["left_hip"]
    if len(track) >= 3:
        across = gaussian_filter1d(across, 6.0, axis=0, mode="nearest")
    # A right-handed frame with y up: front = up x right, so that the angle below grows to the person's left.
    angle = np.unwrap(np.arctan2(-across[:, 2], across[:, 0]))
    hips = at["spine_base"]
    right = np.stack([np.cos(angle), np.zeros_like(angle), -np.sin(angle)], axis=1)
    front = np.stack([-np.sin(angle), np.zeros_like(angle), -np.cos(angle)], axis=1)
    joints = {}
    for name, points in at.items():
        offset = (points - hips) / scale
        joints[name] = np.stack([(offset * right).sum(1), offset[:, 1], (offset * front).sum(1)], axis=1)
    axes = np.stack([right[0], np.array([0.0, 1.0, 0.0]), front[0]])
    path = (hips - hips[0]) / scale @ axes.T
    return Body(joints, path, np.degrees(angle - angle[0]), hips[0] @ turned, axes @ turned, scale)


def quantile(values: np.ndarray, share: float) -> float:
    """A robust extreme: the ``share`` quantile of the values."""
    return float(np.quantile(values, share))


def at_start(values: np.ndarray) -> np.ndarray:
    """Median over the first tenth of the clip."""
    return np.median(values[: max(1, len(values) // 10)], axis=0)


def at_end(values: np.ndarray) -> np.ndarray:
    """Median over the last tenth of the clip."""
    return np.median(values[-max(1, len(values) // 10) :], axis=0)


def speed(points: np.ndarray) -> np.ndarray:
    """(T,) speed of a (T, 3) path, torso lengths a second."""
    if len(points) < 2:
        return np.zeros(len(points))
    return np.linalg.norm(np.gradient(points, axis=0), axis=1) * FRAME_RATE


def bend(body: Body, upper: str, middle: str, lower: str) -> np.ndarray:
    """(T,) angle at ``middle`` in degrees; 180 is a stretched limb."""
    first = body.joints[upper] - body.joints[middle]
    second = body.joints[lower] - body.joints[middle]
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.degrees(np.arccos(np.clip((first * second).sum(1) / np.maximum(lengths, 1e-9), -1, 1)))


def trunk_lean(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """(T,) degrees of the trunk's lean to the front and to the person's right."""
    trunk = body.joints["spine_shoulder"]
    height = np.maximum(trunk[:, 1], 1e-3)
    return np.degrees(np.arctan2(trunk[:, 2], height)), np.degrees(np.arctan2(trunk[:, 0], height))


def trunk_twist(body: Body) -> np.ndarray:
    """(T,) degrees by which the shoulders are turned to the left of the hips."""

    def heading(left: str, right: str) -> np.ndarray:
        line = body.joints[right] - body.joints[left]
        return np.arctan2(line[:, 2], line[:, 0])

    twist = heading("left_shoulder", "right_shoulder") - heading("left_hip", "right_hip")
    return np.degrees((twist + np.pi) % (2 * np.pi) - np.pi)


def leg_length(body: Body) -> float:
    """Thigh plus shank, mean of both legs, torso lengths."""
    total = 0.0
    for side in ("left", "right"):
        for upper, lower in (("hip", "knee"), ("knee", "ankle")):
            bone = body.joints[f"{side}_{upper}"] - body.joints[f"{side}_{lower}"]
            total += float(np.median(np.linalg.norm(bone, axis=1))) / 2
    return max(total, 1e-3)


def hip_height(body: Body) -> np.ndarray:
    """(T,) height of the hips above the lower ankle, in leg lengths: about 1 standing, 0.5 sitting."""
    ankles = np.minimum(body.joints["left_ankle"][:, 1], body.joints["right_ankle"][:, 1])
    return -ankles / leg_length(body)


def floor_height(body: Body, side: str) -> np.ndarray:
    """(T,) height of a hand above the lower ankle, torso lengths."""
    ankles = np.minimum(body.joints["left_ankle"][:, 1], body.joints["right_ankle"][:, 1])
    return body.hand(side)[:, 1] - ankles


def swings(values: np.ndarray, least: float) -> int:
    """Number of turning points of a signal, counting only moves of at least ``least``."""
    count, direction, extreme = 0, 0, values[0]
    for value in values[1:]:
        if (direction >= 0 and value > extreme) or (direction <= 0 and value < extreme):
            if direction == 0 and abs(value - extreme) >= least:
                direction = 1 if value > extreme else -1
            if direction != 0:
                extreme = value
        elif direction != 0 and abs(value - extreme) >= least:
            count += 1
            direction, extreme = -direction, value
    return count


def strokes(points: np.ndarray, least: float, most: int = 5) -> list[np.ndarray]:
    """A path as its main straight strokes, in order: (3,) vectors, at most ``most``.

    The path is simplified (Ramer, Douglas, Peucker) with tolerance ``least`` / 2; strokes shorter than ``least`` are
    left out, and the tolerance grows until few enough are left.
    """
    tolerance = least / 2
    while True:
        corners = points[_corners(points, tolerance)]
        moves = [m for m in np.diff(corners, axis=0) if np.linalg.norm(m) >= least]
        if len(moves) <= most:
            return moves
        tolerance *= 1.3
        least *= 1.1


def _corners(points: np.ndarray, tolerance: float) -> list[int]:
    """Indices of the points that a simplified path keeps."""
    kept, todo = {0, len(points) - 1}, [(0, len(points) - 1)]
    while todo:
        first, last = todo.pop()
        if last - first < 2:
            continue
        chord = points[last] - points[first]
        inner = points[first + 1 : last] - points[first]
        length = float(chord @ chord)
        share = np.clip(inner @ chord / length, 0, 1) if length > 1e-12 else np.zeros(len(inner))
        away = np.linalg.norm(inner - share[:, None] * chord, axis=1)
        far = int(away.argmax())
        if away[far] > tolerance:
            middle = first + 1 + far
            kept.add(middle)
            todo += [(first, middle), (middle, last)]
    return sorted(kept)


def winding(points: np.ndarray) -> tuple[float, float]:
    """How a (T, 2) path goes around its own middle: signed rounds (positive counter-clockwise), roundness 0 to 1."""
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    ray = points - middle
    size = np.linalg.norm(ray, axis=1).max()
    outer = np.linalg.norm(ray, axis=1) > 0.3 * max(size, 1e-9)
    if outer.sum() < 4:
        return 0.0, 0.0
    angle = np.unwrap(np.arctan2(ray[outer, 1], ray[outer, 0]))
    extent = np.ptp(points, axis=0)
    return float(angle[-1] - angle[0]) / (2 * np.pi), float(extent.min() / max(extent.max(), 1e-9))
