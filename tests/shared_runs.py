"""Small finished runs whose encoders are packed, loaded and exported."""

from __future__ import annotations

import numpy as np

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.writing import write_store
from c2vl_lab.evaluate.run import evaluate
from c2vl_lab.experiment import open_experiment, pretrain
from c2vl_lab.run_config import RunConfig

CLASSES = ["wave", "kick", "sit"]


def store_of(path, layout=NTU25, people=2, clips=30):
    """Clips of several lengths, of one person or two, with frames in which somebody is not tracked."""
    rng = np.random.default_rng(0)
    pose = np.random.default_rng(1).normal(size=(3, len(layout), 3))
    made = []
    for number in range(clips):
        label, length = number % 3, 9 + number % 7
        slots = 1 + (number % 4 == 1) * (people - 1)
        xyz = (pose[label] + 0.3 * rng.normal(size=(length, slots, len(layout), 3))).astype(np.float32)
        present = np.ones((length, slots), bool)
        present[number % 5 : number % 5 + 2, 0] = number % 3 == 0
        present[0, -1] = True
        xyz[~present] = 0
        frames = np.arange(length, dtype=np.int32)
        made.append(Clip(f"clip{number:02d}", xyz, present, frames, label=label, subject=number // 6 + 1))
    return write_store(path, made, dataset="own", layout=layout, classes=CLASSES)


def run_of(folder, encoder="temporal", name="run", store=None, **more):
    """A run of two epochs without text, measured; its folder and the opened experiment."""
    store = store or store_of(folder / "store")
    small = {"epochs": 2, "batch_size": 10, "width": 8, "frames": 12, "device": "cpu", "arm": "skeletonclr"}
    places = {"dataset": str(store.path), "work_dir": str(folder / "work")}
    experiment = open_experiment(RunConfig(**(small | places | {"encoder": encoder} | more)))
    pretrain(experiment, folder / name)
    evaluate(experiment, folder / name)
    return folder / name, experiment


def raw(store):
    """Coordinates as somebody outside has them: arrays, and nothing else."""
    return [np.array(store[index].xyz) for index in range(len(store))]
