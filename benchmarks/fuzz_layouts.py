"""Sound inputs in the layouts that other repositories ship, a finished store, and arrays of one's own."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.fuzz_archives import sound_zip
from benchmarks.fuzz_arrays import npy_bytes, other_array
from benchmarks.fuzz_pickles import sound_pickle
from benchmarks.fuzz_text import NASTY_VALUES, Rng
from benchmarks.raw_files import moving_body
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.writing import write_store

Files = dict[str, bytes]
NAMES = {
    "train": ("S001C001P001R001A001", "S001C002P001R001A002", "S001C001P002R001A060"),
    "val": ("S001C001P003R001A001", "S001C003P003R001A002"),
}
FRAMES = 12


def _walk(number: int, frames: int = FRAMES) -> np.ndarray:
    """(2, T, 25, 3) two people; in every second clip the other is not there."""
    rng = np.random.default_rng([11, number])
    bodies = np.stack([moving_body(rng, frames, x) for x in (-0.6, 0.6)])
    bodies[1] *= number % 2
    return bodies.astype(np.float32)


def _part(part: str) -> tuple[list[str], list[int], list[np.ndarray]]:
    """Names, 0-based labels and bodies of one part."""
    names = list(NAMES[part])
    return names, [int(name[-3:]) - 1 for name in names], [_walk(len(part) + i) for i in range(len(names))]


def _padded(bodies: list[np.ndarray], frames: int) -> np.ndarray:
    """(N, 3, frames, 25, 2) with zeros after the end."""
    out = np.zeros((len(bodies), 3, frames, 25, 2), np.float32)
    for row, body in enumerate(bodies):
        out[row, :, : body.shape[1]] = body.transpose(3, 1, 2, 0)
    return out


@cache
def frame50() -> Files:
    """CrosSCLR's and AimCLR's 50 frames, with the names of the step before."""
    files: Files = {}
    for part in NAMES:
        names, labels, _ = _part(part)
        bodies = [_walk(100 + i, 50) for i in range(len(names))]
        files[f"xsub/{part}_position.npy"] = npy_bytes(_padded(bodies, 50))
        files[f"xsub/{part}_label.pkl"] = sound_pickle(([f"{name}.skeleton" for name in names], labels))
    return {f"NTU60/{name}": data for name, data in files.items()}


@cache
def frame50_arrays() -> Files:
    """The same with labels as arrays and no names."""
    files: Files = {}
    for part in NAMES:
        names, labels, _ = _part(part)
        bodies = [_walk(100 + i, 50) for i in range(len(names))]
        files[f"NTU60/xview/{part}_position.npy"] = npy_bytes(_padded(bodies, 50))
        files[f"NTU60/xview/{part}_label.npy"] = npy_bytes(np.array(labels)[:, None])
    return files


@cache
def agcn() -> Files:
    """2s-AGCN's 300 frames, lengths, and pickled names and labels."""
    files: Files = {}
    for part in NAMES:
        names, labels, bodies = _part(part)
        files[f"{part}_data_joint.npy"] = npy_bytes(_padded(bodies, 60))
        files[f"{part}_label.pkl"] = sound_pickle(([f"{name}.skeleton" for name in names], labels), 2)
        files[f"{part}_num_frame.npy"] = npy_bytes(np.full(len(names), FRAMES))
    return {f"NTU-RGB-D-60-AGCN/xsub/{name}": data for name, data in files.items()}


def npz_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """An ``.npz`` as numpy writes it, packed."""
    return sound_zip({f"{name}.npy": npy_bytes(array) for name, array in arrays.items()})


@cache
def ctrgcn() -> Files:
    """CTR-GCN's archive and its list of names."""
    arrays = {}
    for part, key in (("train", "train"), ("val", "test")):
        names, labels, bodies = _part(part)
        rows = np.zeros((len(names), 30, 150), np.float32)
        for row, body in enumerate(bodies):
            rows[row, :FRAMES] = body.transpose(1, 0, 2, 3).reshape(FRAMES, 150)
        arrays |= {f"x_{key}": rows, f"y_{key}": np.eye(60)[labels]}
    listed = "".join(f"{name}\n" for part in NAMES for name in NAMES[part])
    return {"NTU60_CS.npz": npz_bytes(arrays), "skes_available_name.txt": listed.encode()}


@cache
def pyskl() -> Files:
    """PYSKL's pickle of annotations."""
    annotations, split = [], {}
    for part in NAMES:
        names, labels, bodies = _part(part)
        split[f"xsub_{part}"] = names
        for name, label, body in zip(names, labels, bodies, strict=True):
            there = body[body.any(axis=(1, 2, 3))].astype(np.float16)
            annotations.append({"frame_dir": name, "label": label, "total_frames": FRAMES, "keypoint": there})
    return {"ntu60_3danno.pkl": sound_pickle({"split": split, "annotations": annotations})}


@cache
def finished_store() -> Files:
    """The files of a finished store with states, colour places and published splits."""
    clips = []
    for number in range(3):
        xyz = _walk(200 + number)[: 1 + number % 2].transpose(1, 0, 2, 3)
        clips.append(
            Clip(
                name=f"clip{number}",
                xyz=xyz,
                present=np.ones(xyz.shape[:2], bool),
                frames=np.arange(FRAMES, dtype=np.int32),
                label=number,
                subject=number + 1,
                source=f"recordings/clip{number}.skeleton",
                ids=tuple(f"7205759403793110{body}" for body in range(xyz.shape[1])),
                splits={"xsub": "train" if number else "test"},
                state=np.full(xyz.shape[:3], 2, np.uint8),
                color=xyz[..., :2] * 500,
            )
        )
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "store", clips, dataset="own", layout=NTU25, classes=["a", "b", "c"])
        return {file.name: file.read_bytes() for file in sorted(store.path.iterdir())}


def own_arrays(rng: Rng | None) -> tuple[dict[str, Any], str]:
    """Arguments of ``store_from_arrays``: sound ones without ``rng``, else with one or two of them spoiled."""
    table = pd.DataFrame(
        {"name": ["one", "two", "three"], "label": ["wave", 1, 0], "subject": [1, 2, 3], "split:mine": "train"}
    )
    arguments: dict[str, Any] = {
        "arrays": [_walk(300 + i).transpose(1, 0, 2, 3) for i in range(2)] + [_walk(302)[0]],
        "table": table,
        "layout": NTU25,
        "classes": ["wave", "jump"],
        "dataset": "own",
        "up": "y",
        "unit": 1.0,
    }
    if rng is None:
        return arguments, "undamaged"
    said = [_spoil(arguments, rng) for _ in range(int(rng.integers(1, 3)))]
    return arguments, "; ".join(said)


def _spoil(arguments: dict[str, Any], rng: Rng) -> str:
    """Change one argument, or one entry of it, in place."""
    choice = int(rng.integers(11))
    if choice <= 4:
        return _spoil_arrays(arguments, rng)
    if choice <= 7:
        return _spoil_table(arguments, rng)
    if choice == 8:
        lists = [[], ["wave"], ["wave", "wave"], ["jump", "wave"], [""], None]
        arguments["classes"] = lists[int(rng.integers(len(lists)))]
        return f"classes {arguments['classes']}"
    if choice == 9:
        arguments["layout"] = _bones(rng)
        return f"layout {str(arguments['layout'])[:60]}"
    key, values = [
        ("up", ["", "x", "-z", "Y", "up"]),
        ("unit", [0.0, -1.0, float("nan"), float("inf"), 1e-30, 1e30, 0.001]),
    ][int(rng.integers(2))]
    arguments[key] = values[int(rng.integers(len(values)))]
    return f"{key} is {arguments[key]!r}"


def _spoil_arrays(arguments: dict[str, Any], rng: Rng) -> str:
    """One array is another one or none at all, or there are more, fewer, or a stream of them."""
    arrays = arguments["arrays"]
    if not isinstance(arrays, list) or not arrays:
        return "nothing more"
    choice, at = int(rng.integers(5)), int(rng.integers(len(arrays)))
    if choice == 0:
        arguments["arrays"] = [arrays[1:], arrays * 2, [], iter(arrays)][int(rng.integers(4))]
        return "other number of arrays"
    if choice == 1 or not isinstance(arrays[at], np.ndarray) or not arrays[at].size:
        value = NASTY_VALUES[int(rng.integers(len(NASTY_VALUES)))]
        arguments["arrays"] = [*arrays[:at], value, *arrays[at + 1 :]]
        return f"array {at} is {str(value)[:30]!r}"
    changed, what = other_array(arrays[at], rng)
    arguments["arrays"] = [*arrays[:at], changed, *arrays[at + 1 :]]
    return f"array {at}: {what}"


def _spoil_table(arguments: dict[str, Any], rng: Rng) -> str:
    """A cell of the table holds something else, a column is missing, or rows are missing or there twice."""
    table = arguments["table"].copy()
    if not len(table) or not len(table.columns):
        return "nothing more"
    column = table.columns[int(rng.integers(len(table.columns)))]
    if rng.random() < 0.3:
        changed = [table.drop(columns=column), table.iloc[1:], pd.concat([table, table], ignore_index=True)]
        arguments["table"] = changed[int(rng.integers(3))]
        return f"table without {column}, shorter or longer"
    value, cells = NASTY_VALUES[int(rng.integers(len(NASTY_VALUES)))], table[column].tolist()
    cells[int(rng.integers(len(cells)))] = value
    table[column] = pd.Series(cells, index=table.index, dtype=object)
    arguments["table"] = table
    return f"table column {column} holds {str(value)[:30]!r}"


def _bones(rng: Rng) -> Any:
    """A layout of one's own that is none: no root, circles, unknown parents, wrong number of joints."""
    good: dict[Any, Any] = {
        joint: NTU25.joints[parent] if parent != index else None
        for index, (joint, parent) in enumerate(zip(NTU25.joints, NTU25.parents, strict=True))
    }
    joint = NTU25.joints[int(rng.integers(25))]
    choices = [good, good | {joint: joint}, good | {joint: None}, good | {joint: "tail"}, {joint: None}, {}]
    choices += [good | {"spine_base": "left_foot"}, good | {"": "x"}, "coco17", "no such layout", "nowhere.json"]
    return choices[int(rng.integers(len(choices)))]
