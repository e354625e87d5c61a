"""Writes recordings in the exact raw format of PKU-MMD (skeleton rows, label rows, split files) and reads folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from c2vl_lab.data.readers import pku
from c2vl_lab.data.readers.sources import PartReading

JOINTS = 25


def walking_body(seed: int, x: float = 0.0, frames: int = 100, movement: float = 0.1) -> np.ndarray:
    """(T, 25, 3) an upright body about ``x`` in metres whose joints sway smoothly, at most 3 cm a frame."""
    rng = np.random.default_rng(seed)
    body = np.column_stack([rng.uniform(-0.2, 0.2, JOINTS), np.linspace(-0.9, 0.8, JOINTS), np.full(JOINTS, 3.0)])
    time, phase = np.arange(frames)[:, None, None] / 30, rng.uniform(0, 6.3, (JOINTS, 3))
    return body + [x, 0, 0] + movement * np.sin(3 * time + phase)


def two_bodies(first: np.ndarray, second: np.ndarray | None = None) -> np.ndarray:
    """(T, 2, 25, 3) rows of a file; without a second body its columns are zero, as published."""
    return np.stack([first, np.zeros_like(first) if second is None else second], axis=1)


def skeleton_rows(bodies: np.ndarray) -> str:
    """The text of a skeleton file: 150 numbers with six digits a row, each row behind a blank, as published."""
    rows = np.asarray(bodies).reshape(len(bodies), -1)
    return "".join(" " + " ".join(f"{value:.6f}" for value in row) + "\n" for row in rows.tolist())


def label_rows(rows: list[tuple[int, int, int]]) -> str:
    """The text of a label file from (action id, start, end); the confidence is always 2."""
    return "".join(f"{action},{start},{end},2\n" for action, start, end in rows)


def split_text(train: list[str], others: list[str]) -> str:
    """The text of a split file: two headings, each with the names in one line below."""
    return f"Training videos:\n{', '.join(train)}\nValidation videos:\n{', '.join(others)}\n"


def write_video(
    root: Path,
    video: str,
    bodies: np.ndarray,
    rows: list[tuple[int, int, int]],
    folders: tuple[str, str] = ("Skeleton", "Label"),
) -> None:
    """Write a video's skeleton and label file."""
    for folder, text in zip(folders, (skeleton_rows(bodies), label_rows(rows)), strict=True):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / f"{video}.txt").write_text(text)


def read_all(root: Path, dataset: str = "pku2", cut: str = "start-1:end"):
    """Everything that the reader makes of a folder, as one reading."""
    options = pku.Options(cut)
    plan = pku.plan(pku.find(root, options, dataset), options, dataset)
    whole = PartReading()
    for part in plan.parts:
        reading = pku.read(part, plan.context)
        whole.clips += reading.clips
        whole.counts += reading.counts
        whole.dropped |= reading.dropped
        whole.faults |= reading.faults
    return plan, whole


def only_clip(root: Path, **options):
    """The one clip of a folder without faults."""
    _, reading = read_all(root, **options)
    assert not reading.faults and len(reading.clips) == 1
    return reading.clips[0]


def names_of(root: Path, dataset: str = "pku2") -> list[str]:
    """Names of the clips that the reader makes of a folder."""
    return [clip.name for clip in read_all(root, dataset)[1].clips]
