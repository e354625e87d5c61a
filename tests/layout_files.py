"""Writes files in the layouts that other repositories ship, from the same recordings, as their converters do."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TRAIN = (2, 3)  # cameras of NTU's cross-view training part


@dataclass(frozen=True)
class Recording:
    """A recording: name, published action, and coordinates (T, M, 25, 3) with zeros where a body is not seen."""

    name: str
    action: int
    xyz: np.ndarray


def recordings(count: int = 12, seed: int = 0, classes: int = 60) -> list[Recording]:
    """Recordings of one or two people with performers and cameras of both parts, in the order of their names."""
    rng = np.random.default_rng(seed)
    made = {}
    for number in range(count):
        action = int(rng.integers(1, classes + 1))
        name = f"S{number % 3 + 1:03d}C{number % 3 + 1:03d}P{number % 5 + 1:03d}R{number // 15 + 1:03d}A{action:03d}"
        bodies = 1 + number % 2
        xyz = rng.normal(size=(20 + number, bodies, 25, 3)).astype(np.float32) + [0, 0, 3]
        made[name] = Recording(name, action, xyz.astype(np.float32))
    return [made[name] for name in sorted(made)]


def part_of(recording: Recording, protocol: str) -> str:
    """The part of NTU's x-sub or x-view that a recording is in."""
    subject, camera = int(recording.name[9:12]), int(recording.name[5:8])
    return "train" if (subject in (1, 2, 4, 5) if protocol == "xsub" else camera in TRAIN) else "test"


def padded(recording: Recording, frames: int) -> np.ndarray:
    """(frames, 2, 25, 3) with zeros after the end and for a second body that is not there."""
    out = np.zeros((frames, 2, 25, 3), np.float32)
    out[: len(recording.xyz), : recording.xyz.shape[1]] = recording.xyz
    return out


def write_npy(folder: Path, given: list[Recording], protocol: str, ending: str, arrays: list[np.ndarray]) -> None:
    """``{train,val}<ending>`` of shape (N, 3, T, 25, 2) and ``_label.pkl``."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, file in (("train", "train"), ("test", "val")):
        rows = [i for i, recording in enumerate(given) if part_of(recording, protocol) == part]
        np.save(folder / f"{file}{ending}", np.stack([arrays[i] for i in rows]).transpose(0, 4, 1, 3, 2))
        value = [f"{given[i].name}.skeleton" for i in rows], [given[i].action - 1 for i in rows]
        with open(folder / f"{file}_label.pkl", "wb") as stream:
            pickle.dump(value, stream)
        np.save(folder / f"{file}_label.npy", np.array(value[1])[:, None])


def ctrgcn_rows(given: list[Recording], protocol: str, part: str) -> list[Recording]:
    """A part in CTR-GCN's order, by the loops of its get_indices."""
    rows: list[Recording] = []
    places = slice(9, 12) if protocol == "xsub" else slice(5, 8)
    for number in range(1, 200):
        rows += [r for r in given if int(r.name[places]) == number and part_of(r, protocol) == part]
    return rows


def write_ctrgcn(path: Path, given: list[Recording], protocol: str, classes: int = 60, compress: bool = False) -> None:
    """The ``.npz`` with the list of names beside it, in the list's own order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for part in ("train", "test"):
        rows = ctrgcn_rows(given, protocol, part)
        arrays[f"x_{part}"] = np.stack([padded(centred(r), 300) for r in rows]).reshape(len(rows), 300, 150)
        arrays[f"y_{part}"] = np.eye(classes)[[r.action - 1 for r in rows]]
    (np.savez_compressed if compress else np.savez)(path, **arrays)
    (path.parent / "skes_available_name.txt").write_text("".join(f"{r.name}\n" for r in given))


def centred(recording: Recording) -> Recording:
    """Joint 2 of the first body in its first frame becomes the origin, once for the clip; absent bodies stay zero."""
    xyz = recording.xyz
    first = np.flatnonzero(xyz[:, 0].any(axis=(1, 2)))[0]
    moved = np.where(xyz.any(axis=(2, 3), keepdims=True), xyz - xyz[first, 0, 1], 0)
    return Recording(recording.name, recording.action, moved.astype(np.float32))


def pyskl_value(given: list[Recording], kind: str = "float16") -> dict:
    """What PYSKL's converter dumps."""
    split = {}
    for protocol in ("xsub", "xview"):
        for part, ending in (("train", "train"), ("test", "val")):
            split[f"{protocol}_{ending}"] = [r.name for r in given if part_of(r, protocol) == part]
    annotations = [
        {
            "frame_dir": r.name,
            "label": r.action - 1,
            "keypoint": r.xyz.transpose(1, 0, 2, 3).astype(kind),
            "total_frames": len(r.xyz),
        }
        for r in given
    ]
    return {"split": split, "annotations": annotations}


def write_pickle(path: Path, value: object, protocol: int = 2) -> Path:
    """A pickle; mmcv writes protocol 2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as stream:
        pickle.dump(value, stream, protocol=protocol)
    return path
