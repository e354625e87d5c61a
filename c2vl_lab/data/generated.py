"""Generated clips: the embedded default and the tests' data. They are no recordings and are named so everywhere.

Performers of different build and tempo play everyday actions in front of three cameras; what a camera sees gets noise,
joint outliers and tracking gaps like those of a Kinect. All of it is our own construction, deterministic by seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.generated_actions import ACTIONS, IDLE_HANDS, Keys, interpolate
from c2vl_lab.data.generated_body import REST, Body, make_body, pose_joints
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.readers.sources import Progress
from c2vl_lab.errors import ConfigError

VERSION = 2  # raise it whenever a seed gives other clips
CAMERAS = (0.8, 0.0, -0.8)  # radians round the scene; camera 1 looks from the side, as in NTU RGB+D
EXTREMITIES = ("hand", "wrist", "thumb", "tip", "foot", "ankle")


@dataclass(frozen=True)
class GeneratedConfig:
    """Size and looks of the generated set.

    Attributes:
        performers: number of people.
        repeats: performances of each action by each performer; three cameras see each.
        seed: everything random follows from it.
        frames_min: shortest clip.
        frames_max: longest clip.
        noise: scale of the recorder's errors; 0 gives clean bodies.
    """

    performers: int = 8
    repeats: int = 1
    seed: int = 0
    frames_min: int = 40
    frames_max: int = 80
    noise: float = 1.0

    def __post_init__(self) -> None:
        if self.performers < 1 or self.repeats < 1:
            raise ConfigError(f"generated: wanted at least 1 performer and 1 repeat, found {self}.")
        if not 8 <= self.frames_min <= self.frames_max:
            raise ConfigError(f"generated: wanted 8 <= frames_min <= frames_max, found {self}.")
        if self.noise < 0 or self.seed < 0:
            raise ConfigError(f"generated: noise and seed must not be negative, found {self}.")


def generate(settings: GeneratedConfig, progress: Progress = None) -> list[Clip]:
    """All clips of the generated set, in order of action, performer, repeat and camera.

    Names are ``generated_a01_p01_r1_c1``; a clip's content depends on the seed and these numbers only.
    """
    clips: list[Clip] = []
    for performer in range(1, settings.performers + 1):
        body = make_body(np.random.default_rng([settings.seed, performer]))
        for label in range(len(ACTIONS)):
            for repeat in range(1, settings.repeats + 1):
                clips.extend(_performance(settings, body, performer, label, repeat))
        if progress:
            progress(f"generated: performer {performer} of {settings.performers}")
    clips.sort(key=lambda clip: clip.name)
    return clips


def _performance(settings: GeneratedConfig, body: Body, performer: int, label: int, repeat: int) -> list[Clip]:
    """One performance as three cameras see it."""
    rng = np.random.default_rng([settings.seed, performer, label, repeat])
    action = list(ACTIONS)[label]
    bodies = _scene(settings, action, body, rng)
    clips = []
    for camera, angle in enumerate(CAMERAS, start=1):
        eye = np.random.default_rng([settings.seed, performer, label, repeat, camera])
        xyz = _seen_from(bodies, angle + eye.normal(0, 0.05), eye)
        xyz, present = _recorder(xyz, settings.noise, eye)
        name = f"generated_a{label + 1:02d}_p{performer:02d}_r{repeat}_c{camera}"
        clips.append(
            Clip(
                name=name,
                xyz=xyz.astype(np.float32),
                present=present,
                frames=np.arange(len(xyz), dtype=np.int32),
                label=label,
                subject=performer,
                camera=camera,
                setup=1,
                trial=repeat,
                source=f"generated (seed {settings.seed})",
            )
        )
    return clips


def _scene(settings: GeneratedConfig, action: str, body: Body, rng: np.random.Generator) -> np.ndarray:
    """(T, M, 25, 3) the clean bodies on the floor y = 0, the scene's front towards -z."""
    middle = (settings.frames_min + settings.frames_max) / 2
    count = int(np.clip(rng.normal(middle, 0.15 * middle) / body.tempo, settings.frames_min, settings.frames_max))
    roles = ACTIONS[action](int(rng.integers(1, 4)), rng)
    times = _own_time(count, rng)
    facing = np.pi + rng.normal(0, 0.3)
    if len(roles) == 1:
        joints = _play(body, roles[0], times, rng)
        return _placed(joints, facing, np.array([rng.normal(0, 0.2), 0.0, rng.normal(0, 0.2)]))[:, None]
    partner = make_body(rng)
    facing += rng.choice([-1, 1]) * np.pi / 2  # two people are seen from the side by the middle camera
    gap = (0.62 * (body.arm + partner.arm) if "hands" in action else 0.95 * body.arm + 0.25) + rng.normal(0, 0.03)
    ahead = np.array([np.sin(facing), 0.0, np.cos(facing)]) * gap / 2
    # hands of a tall and a short person meet half way
    rise = (partner.leg + partner.trunk - body.leg - body.trunk) / 2
    first = _placed(_play(body, roles[0], times, rng, rise), facing, -ahead)
    second = _placed(_play(partner, roles[1], times, rng, -rise), facing + np.pi, ahead)
    return np.stack([first, second], axis=1)


def _own_time(count: int, rng: np.random.Generator) -> np.ndarray:
    """(T,) the action's time at each frame: it starts and ends somewhere in the clip and has an uneven pace."""
    start = rng.uniform(-0.1, 0.3)
    line = (np.linspace(0, 1, count) - start) / rng.uniform(0.6, 0.8)
    bend = rng.uniform(-0.12, 0.12) * np.sin(np.pi * np.clip(line, 0, 1))
    return np.clip(line + bend, 0, 1)


def _play(body: Body, keys: Keys, times: np.ndarray, rng: np.random.Generator, rise: float = 0.0) -> np.ndarray:
    """(T, 25, 3) one performer plays key poses in their own manner: reach, posture, sway and idle hands.

    ``rise`` lifts stretched-out hands by so many metres.
    """
    reach = body.reach * rng.normal(1.0, 0.08)
    channels = interpolate(keys, times)
    used = {channel for _, pose in keys for channel in pose}
    for channel, track in channels.items():
        if "hand" in channel and channel not in used:
            track = np.tile(IDLE_HANDS[rng.integers(len(IDLE_HANDS))], (len(times), 1))
        if channel not in ("rise", "back"):  # a seat has one height for all
            track = np.array(REST[channel]) * (1 - reach) + track * reach
        if "hand" in channel:
            track[:, 1] += rise / body.arm * np.clip(track[:, 2] / 0.7, 0, 1)
        size = _manner(channel)
        track = track + rng.normal(0, size, track.shape[1]) + _drift(len(times), track.shape[1], size, rng)
        channels[channel] = track
    return pose_joints(body, channels)


def _manner(channel: str) -> float:
    """How much a channel differs between performances."""
    if "hand" in channel or channel in ("nod", "look"):
        return 0.06
    if "foot" in channel or channel in ("rise", "travel", "back"):
        return 0.0
    return 0.04


def _drift(count: int, width: int, size: float, rng: np.random.Generator) -> np.ndarray:
    """(T, width) slow random movement: noise at a few moments, smoothly joined."""
    moments = np.linspace(0, 1, 5)
    keys = rng.normal(0, size, (5, width))
    times = np.linspace(0, 1, count)
    return np.stack([np.interp(times, moments, keys[:, i]) for i in range(width)], axis=1)


def _placed(joints: np.ndarray, facing: float, place: np.ndarray) -> np.ndarray:
    """Turn a body about the vertical and put it somewhere."""
    return joints @ _turn(facing).T + place


def _turn(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])


def _seen_from(bodies: np.ndarray, angle: float, rng: np.random.Generator) -> np.ndarray:
    """The scene in camera coordinates: x to the camera's left, y up from the camera, z away from it."""
    distance, height = rng.uniform(2.6, 3.6), rng.uniform(0.85, 1.15)
    return bodies @ _turn(angle).T + np.array([0.0, -height, distance])


def _recorder(xyz: np.ndarray, scale: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Recorder's errors: jitter, worse for hands, feet and hidden joints; outliers; frames without the body."""
    count, people, joints, _ = xyz.shape
    present = np.ones((count, people), bool)
    if scale == 0:
        return xyz, present
    size = np.array([0.016 if any(e in name for e in EXTREMITIES) else 0.007 for name in NTU25.joints])
    # a joint behind the trunk, seen from the camera, is guessed by the recorder
    behind = xyz[..., 2] - xyz[:, :, [NTU25.index("spine_mid")], 2]
    size = size * (1 + 2.5 * np.clip(behind / 0.25, 0, 1))
    white = rng.normal(size=xyz.shape)
    slow = np.cumsum(rng.normal(size=xyz.shape), axis=0) * 0.35
    slow -= slow.mean(axis=0)
    noisy = xyz + scale * size[..., None] * (0.6 * white + np.clip(slow, -3, 3))
    outlier = rng.random((count, people, joints)) < 0.004 * scale
    noisy = noisy + outlier[..., None] * rng.normal(0, 0.15 * scale, xyz.shape)
    for person in range(people):
        if rng.random() < 0.3 * min(scale, 1):
            length = int(rng.integers(2, 9))
            start = int(rng.integers(0, max(1, count - length)))
            present[start : start + length, person] = False
    noisy[~present] = 0
    return noisy, present
