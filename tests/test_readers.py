"""Readers of real sets as published."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.protocols import make_split
from c2vl_lab.errors import DataError

SHARED = Path(os.environ.get("C2VL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def test_joints_of_utd_and_msr_arrive_in_kinect_order():
    from c2vl_lab.data.layouts import KINECT20
    from c2vl_lab.data.readers import msr_action3d, utd_mhad

    for reader in (utd_mhad, msr_action3d):
        assert [reader.FILE_JOINTS[i] for i in reader.ORDER] == list(KINECT20.joints)


def real_store(name: str, tmp_path: Path):
    if not (SHARED / name).is_dir():
        pytest.skip(f"{SHARED / name} is not here")
    return open_dataset(name, SHARED, tmp_path)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "protocol", "counts", "first"),
    [
        ("nw-ucla", "xview", (1020, 464), "a01_s01_e00_v01"),
        ("utd-mhad", "xsub", (431, 430), "a1_s1_t1"),
        ("msr-action3d", "xsub", (284, 273), "a01_s01_e01"),
    ],
)
def test_real_sets_give_the_published_counts_in_one_frame_of_reference(tmp_path, name, protocol, counts, first):
    store = real_store(name, tmp_path)
    split = make_split(store, protocol)
    assert (len(split.train), len(split.test)) == counts and first in store.names
    joint = store.layout.index
    xyz = np.concatenate([store[i].xyz[store[i].present] for i in range(0, len(store), 3)])
    mean = xyz.mean(axis=0)
    assert 1.0 < mean[joint("head"), 1] - mean[joint("left_foot"), 1] < 1.8  # y is up, in metres
    assert 1.5 < mean[joint("spine_base"), 2] < 4.0  # z is away from the camera
    assert mean[joint("left_shoulder"), 0] < mean[joint("right_shoulder"), 0] - 0.15  # facing it, left is at lower x


@pytest.mark.real
def test_real_right_hands_do_what_their_class_says(tmp_path):
    store = real_store("utd-mhad", tmp_path)
    wave = [store[i].xyz[:, 0] for i in np.flatnonzero(store.labels == store.classes.index("right hand wave"))]
    left, right = (
        np.mean([np.abs(np.diff(x[:, store.layout.index(hand)], axis=0)).sum() / len(x) for x in wave])
        for hand in ("left_hand", "right_hand")
    )
    assert right > 5 * left


@pytest.mark.real
def test_real_msr_frames_without_a_body_keep_their_place(tmp_path):
    store = real_store("msr-action3d", tmp_path)
    absent = sum(int((~store[i].present).sum()) for i in range(len(store)))
    assert absent == store.meta["notes"]["frames without a body"] == 252
    assert len(store.meta["notes"]["dropped"]) == 10


def test_a_wrong_label_in_a_ucla_file_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "all_sqe.zip", "w") as archive:
        archive.writestr("all_sqe/a01_s01_e00_v01.json", '{"skeletons": [], "label": 11}')
    with pytest.raises(DataError, match=r"a01_s01_e00_v01.json: label 11 .* 10 classes"):
        open_dataset("nw-ucla", tmp_path, tmp_path / "work")
