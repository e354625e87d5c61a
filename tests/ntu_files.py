"""Writes recordings in the exact raw format of NTU RGB+D's ``.skeleton`` files, and reads them back."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from c2vl_lab.data.readers import ntu
from c2vl_lab.data.readers.sources import PartReading

A, B, C, D = (72057594037931101 + i for i in range(4))  # IDs that a float cannot tell apart
NAME = "S001C002P003R002A013"
Bodies = list[tuple[int, np.ndarray]]  # (body ID, coordinates (25, 3)) in the order of the file


def skeleton_text(frames: list[Bodies]) -> str:
    """The text of a recording: for each frame the bodies as (body ID, coordinates (25, 3)), in file order.

    Colour coordinates are those of :func:`color_places`, tracking states those of :func:`joint_states`.
    """
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body, joints in bodies:
            lines.append(f"{body} 0 1 1 1 1 0 -0.02316567 0.1103262 2")
            lines.append(str(len(joints)))
            columns = (joints.tolist(), color_places(joints).tolist(), joint_states(len(joints)).tolist())
            lines.extend(
                f"{x:.7g} {y:.7g} {z:.7g} 281.2001 196.7253 {u:.7g} {v:.7g} -0.2059419 5.349901E-06 0.9692109 0 {state}"
                for (x, y, z), (u, v), state in zip(*columns, strict=True)
            )
    return "\n".join(lines) + "\n"


def color_places(joints: np.ndarray) -> np.ndarray:
    """(..., 25, 2) pixels in the colour image of joints (..., 25, 3), by a rough camera."""
    return 960 + 1060 * joints[..., :2] * [1, -1] / joints[..., 2:] - [0, 420]


def joint_states(joints: int = 25) -> np.ndarray:
    """Tracking states that the writer gives the joints of every body: all three occur."""
    return np.array([2, 2, 1, 2, 0] * joints)[:joints]


def write_skeleton_file(path: Path, frames: list[Bodies]) -> Path:
    """Write a recording with the line ends that the recorder used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(skeleton_text(frames).replace("\n", "\r\n").encode())
    return path


def standing_body(rng: np.random.Generator, x: float = 0.0, movement: float = 0.1, frames: int = 100) -> np.ndarray:
    """(T, 25, 3) a rough upright body about ``x`` whose joints move at random by ``movement`` metres."""
    body = np.column_stack([rng.uniform(-0.2, 0.2, 25), np.linspace(-0.9, 0.8, 25), np.full(25, 3.0)])
    path = np.cumsum(rng.normal(0, movement / 10, (frames, 25, 3)), axis=0)
    return body + [x, 0, 0] + np.clip(path, -0.3, 0.3)


def person(seed: int, x: float, movement: float = 0.1, frames: int = 100) -> np.ndarray:
    """A standing body of its own random numbers."""
    return standing_body(np.random.default_rng(seed), x, movement, frames)


def alone(frames: int = 20, seed: int = 1) -> list[Bodies]:
    """A recording of one person, A."""
    return [[(A, joints)] for joints in person(seed, 0.0, frames=frames)]


def write_zip(path: Path, members: dict[str, bytes], folder: str = "nturgb+d_skeletons") -> Path:
    """Write recordings into a zip, in the folder that the published ones use."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{folder}/{name}.skeleton", data)
    return path


def read_all(folder: Path, dataset: str = "ntu60", **options) -> PartReading:
    """All parts of a folder's recordings in one reading."""
    settings = ntu.Options(**options)
    plan = ntu.plan(ntu.find(folder, settings, dataset=dataset), settings, dataset=dataset)
    whole = PartReading()
    for part in plan.parts:
        reading = ntu.read(part, plan.context)
        whole.clips += reading.clips
        whole.counts.update(reading.counts)
        whole.dropped |= reading.dropped
        whole.faults |= reading.faults
        whole.files += reading.files
        whole.bytes += reading.bytes
    return whole
