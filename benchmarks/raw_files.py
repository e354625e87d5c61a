"""Generated recordings in the exact raw format of NTU RGB+D: the files that the measurements and the fuzzer read.

A recording is a text with ``\\r\\n`` line ends: the number of frames; for each frame the number of bodies; for each
body a line of 10 values (the body ID first), the number of joints, and a line of 12 values for each joint
(x y z depthX depthY colorX colorY qw qx qy qz state). Values have 7 significant digits, as the recorder wrote them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

JOINTS = 25
FIRST_ID = 72057594037931101  # the recorder's IDs have 17 digits: they do not fit a float
FOCAL, CENTRE = np.array([1081.37, 1081.37]), np.array([959.5, 539.5])  # colour camera, pixels (rounded)


def moving_body(rng: np.random.Generator, frames: int, x: float = 0.0, spread: float = 0.3) -> np.ndarray:
    """(frames, 25, 3) a rough upright body about ``x`` metres, 3 m away, whose joints wander."""
    body = np.column_stack([rng.uniform(-0.25, 0.25, JOINTS), np.linspace(-0.9, 0.8, JOINTS), np.full(JOINTS, 3.0)])
    path = np.cumsum(rng.normal(0, 0.02, (frames, JOINTS, 3)), axis=0)
    return body + [x, 0.0, 0.0] + np.clip(path, -spread, spread)


def skeleton_bytes(bodies: list[np.ndarray], rng: np.random.Generator, present: np.ndarray | None = None) -> bytes:
    """The file of a recording.

    Args:
        bodies: coordinates (T, 25, 3) in metres of each person.
        rng: source of the orientations and of the tracking states.
        present: (T, bodies) which of them the recorder saw in a frame; None: all of them, always.
    """
    frames = len(bodies[0])
    present = np.ones((frames, len(bodies)), bool) if present is None else present
    blocks = [_body_blocks(body, rng) for body in bodies]
    lines = [str(frames)]
    for frame in range(frames):
        seen = np.flatnonzero(present[frame])
        lines.append(str(len(seen)))
        for body in seen:
            lines.append(f"{FIRST_ID + int(body)} 0 1 1 0 0 0 {-0.02316567 + frame / 1e4:.7g} 0.1103262 2")
            lines.append(str(JOINTS))
            lines.append(blocks[body][frame])
    return ("\r\n".join(lines) + "\r\n").encode()


def _body_blocks(xyz: np.ndarray, rng: np.random.Generator) -> list[str]:
    """For each frame the 25 joint lines of one body."""
    frames = len(xyz)
    colour = CENTRE + np.stack([xyz[..., 0], -xyz[..., 1]], -1) / xyz[..., 2:] * FOCAL
    depth = colour / 3.7
    turn = rng.normal(size=(frames, JOINTS, 4))
    turn /= np.linalg.norm(turn, axis=-1, keepdims=True)
    state = np.where(rng.random((frames, JOINTS, 1)) < 0.1, 1, 2)
    values = np.concatenate([xyz, depth, colour, turn, state], -1)
    line = " ".join(["%.7g"] * 11 + ["%d"])
    block = "\r\n".join([line] * JOINTS)
    return [block % tuple(frame) for frame in values.reshape(frames, -1).tolist()]


def clip_name(number: int, classes: int = 60) -> str:
    """``S001C001P001R001A001`` and so on: name ``number`` of a set in which subjects, cameras and actions mix."""
    action, rest = number % classes + 1, number // classes
    camera, rest = rest % 3 + 1, rest // 3
    subject, rest = rest % 40 + 1, rest // 40
    return f"S{rest % 17 + 1:03d}C{camera:03d}P{subject:03d}R{number % 2 + 1:03d}A{action:03d}"


def write_recordings(folder: Path, count: int, frames: int = 100, seed: int = 0) -> list[Path]:
    """``count`` files of one to two people, every fifth with a gap in the tracking; kept when they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        path = folder / f"{clip_name(number)}.skeleton"
        if not path.exists():
            path.write_bytes(recording(number, frames, seed))
        paths.append(path)
    return paths


def recording(number: int, frames: int, seed: int = 0) -> bytes:
    """File ``number``: two people in every third recording, a gap in every fifth."""
    rng = np.random.default_rng([seed, number])
    people = 2 if number % 3 == 0 else 1
    bodies = [moving_body(rng, frames, x=1.2 * person - 0.6) for person in range(people)]
    present = np.ones((frames, people), bool)
    if number % 5 == 0 and frames >= 8:
        present[frames // 3 : frames // 2, 0] = False
    return skeleton_bytes(bodies, rng, present)
