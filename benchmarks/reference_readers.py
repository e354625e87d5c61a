"""Two readers of ``.skeleton`` files to measure against, written here from the description of the format.

Both keep less than the package's reader: no true body IDs beyond file order, no tracking gaps, no tests of the input.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

BODY_KEYS = ("id", "edges", "left", "left_sure", "right", "right_sure", "limited", "lean_x", "lean_y", "state")
JOINT_KEYS = ("x", "y", "z", "depth_x", "depth_y", "color_x", "color_y", "qw", "qx", "qy", "qz", "state")
JOINTS = 25


def read_per_value(path: Path, people: int = 2) -> np.ndarray:
    """(T, people, 25, 3) in the manner of the public converters: line by line, every value a ``float`` in a dict."""
    recording: dict[str, Any] = {"frames": []}
    with open(path) as file:
        recording["count"] = int(file.readline())
        for _ in range(recording["count"]):
            frame: dict[str, Any] = {"count": int(file.readline()), "bodies": []}
            for _ in range(frame["count"]):
                body: dict[str, Any] = {
                    key: float(value) for key, value in zip(BODY_KEYS, file.readline().split(), strict=True)
                }
                body["count"] = int(file.readline())
                body["joints"] = []
                for _ in range(body["count"]):
                    values = file.readline().split()
                    body["joints"].append({key: float(value) for key, value in zip(JOINT_KEYS, values, strict=True)})
                frame["bodies"].append(body)
            recording["frames"].append(frame)
    xyz = np.zeros((recording["count"], people, JOINTS, 3))
    for index, frame in enumerate(recording["frames"]):
        for slot, body in enumerate(frame["bodies"][:people]):
            for joint, values in enumerate(body["joints"]):
                xyz[index, slot, joint] = [values["x"], values["y"], values["z"]]
    return xyz


def read_one_pass(path: Path, people: int = 2) -> np.ndarray:
    """(T, people, 25, 3): the text is cut into words once, and each body's words become numbers in one call."""
    words = path.read_bytes().split()
    frames, position = int(words[0]), 1
    xyz = np.zeros((frames, people, JOINTS, 3), np.float32)
    for frame in range(frames):
        count = int(words[position])
        position += 1
        for slot in range(count):
            start = position + len(BODY_KEYS) + 1
            position = start + JOINTS * len(JOINT_KEYS)
            if slot < people:
                values = np.array(words[start:position], dtype=np.float32)
                xyz[frame, slot] = values.reshape(JOINTS, len(JOINT_KEYS))[:, :3]
    return xyz
