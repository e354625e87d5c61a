"""Test clips that are training clips under another name are found, and the accuracy without them is told."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.copies import copies_of_training
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.layouts import KINECT20
from c2vl_lab.data.protocols import make_split
from c2vl_lab.data.writing import write_store
from c2vl_lab.evaluate.run import evaluate
from c2vl_lab.experiment import open_experiment
from c2vl_lab.run_config import RunConfig

SHARED = Path(os.environ.get("C2VL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def store_with_copies(path):
    """40 clips of 4 performers; every second test clip (even performers) is a clip of the performer before."""
    rng = np.random.default_rng(0)
    clips: list[Clip] = []
    for subject in (1, 2, 3, 4):
        for k in range(10):
            xyz = rng.normal(size=(6, 1, 20, 3)).astype(np.float32) + (k % 2)
            if subject % 2 == 0 and k % 2:
                xyz = clips[-10].xyz.copy()
            present, frames = np.ones((6, 1), bool), np.arange(6, dtype=np.int32)
            clips.append(Clip(f"s{subject}k{k}", xyz, present, frames, label=k % 2, subject=subject))
    return write_store(path, clips, dataset="own", layout=KINECT20, classes=["a", "b"])


def test_copies_are_found_whatever_their_name(tmp_path):
    store = store_with_copies(tmp_path / "s")
    split = make_split(store, "xsub")
    copied = copies_of_training(store, split)
    assert [store.names[i][-1] in "13579" for i in split.test] == copied.tolist()


def test_the_accuracy_without_copies_stands_beside(tmp_path):
    store_with_copies(tmp_path / "s")
    config = RunConfig(dataset=str(tmp_path / "s"), work_dir=str(tmp_path / "w"), arm="coordinates", device="cpu")
    result = evaluate(open_experiment(config), tmp_path / "run")
    metrics = result["metrics"]
    assert result["split"]["copies"] == 10 and any("10 of the 20 test clips" in note for note in result["notes"])
    right = 20 * metrics["knn1"] - 10 * metrics["knn1_distinct"]
    assert right == pytest.approx(10), "each of the copies has its own twin as nearest neighbour"


@pytest.mark.real
def test_nw_ucla_is_published_with_copies(tmp_path):
    if not (SHARED / "nw-ucla").is_dir():
        pytest.skip("no ../shared/data")
    store = open_dataset("nw-ucla", SHARED, tmp_path)
    split = make_split(store, "xview")
    copied = split.test[copies_of_training(store, split)]
    assert len(copied) == 95
    assert {store.classes[label] for label in store.labels[copied]} == {"pick up with two hands", "drop trash"}
