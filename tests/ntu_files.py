"""Writes recordings in the exact raw format of NTU RGB+D's ``.skeleton`` files, for tests only."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def skeleton_text(frames: list[list[tuple[int, np.ndarray]]]) -> str:
    """The text of a recording: for each frame the bodies as (body ID, coordinates (25, 3)), in file order."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body, joints in bodies:
            lines.append(f"{body} 0 1 1 1 1 0 -0.02316567 0.1103262 2")
            lines.append(str(len(joints)))
            lines.extend(
                f"{x:.7g} {y:.7g} {z:.7g} 281.2 196.7 1036.4 519.7 -0.2059 0.0525 0.9692 -0.1247 2"
                for x, y, z in joints.tolist()
            )
    return "\n".join(lines) + "\n"


def write_skeleton_file(path: Path, frames: list[list[tuple[int, np.ndarray]]]) -> Path:
    """Write a recording with the line ends that the recorder used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(skeleton_text(frames).replace("\n", "\r\n").encode())
    return path


def standing_body(rng: np.random.Generator, x: float = 0.0, movement: float = 0.1, frames: int = 100) -> np.ndarray:
    """(T, 25, 3) a rough upright body about ``x`` whose joints move at random by ``movement`` metres."""
    body = np.column_stack([rng.uniform(-0.2, 0.2, 25), np.linspace(-0.9, 0.8, 25), np.full(25, 3.0)])
    path = np.cumsum(rng.normal(0, movement / 10, (frames, 25, 3)), axis=0)
    return body + [x, 0, 0] + np.clip(path, -0.3, 0.3)
