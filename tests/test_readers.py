"""Readers: real sets as published, NTU recordings in their raw format, and the peers' defects 1 to 3."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ntu_files import skeleton_text, standing_body, write_skeleton_file

from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.protocols import make_split
from c2vl_lab.data.readers import ntu
from c2vl_lab.errors import DataError

SHARED = Path(os.environ.get("C2VL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
A, B, GHOST = 72057594037931101, 72057594037931102, 72057594037931103  # IDs that a float cannot tell apart
NAME = "S001C002P003R002A013"


def person(seed: int, x: float, movement: float = 0.1, frames: int = 100) -> np.ndarray:
    return standing_body(np.random.default_rng(seed), x, movement, frames)


def read_one(tmp_path: Path, frames, name: str = NAME):
    write_skeleton_file(tmp_path / "raw" / f"{name}.skeleton", frames)
    store = open_dataset("ntu60", tmp_path / "raw", tmp_path / "work")
    return store, store[0]


def test_file_name_gives_setup_camera_subject_trial_and_label(tmp_path):
    body = person(0, 0.0)
    store, clip = read_one(tmp_path, [[(A, joints)] for joints in body])
    assert (clip.name, clip.setup, clip.camera, clip.subject, clip.trial, clip.label) == (NAME, 1, 2, 3, 2, 12)
    assert store.layout.name == "ntu25" and store.classes[12] == "tear up paper" and len(store.classes) == 60
    np.testing.assert_allclose(clip.xyz[:, 0], body, atol=1e-5)


def test_a_tracking_gap_keeps_its_place_in_time(tmp_path):
    """Defect 1: peers write a body tracked in 0-19 and 60-99 to 0-59; defect 3: they then cut the end off."""
    first, second = person(1, -0.6, 0.3), person(2, 0.6)
    frames = [([(A, first[t])] if t < 20 or t >= 60 else []) + [(B, second[t])] for t in range(100)]
    _, clip = read_one(tmp_path, frames)
    slot = int(np.argmin(np.abs(clip.xyz[0, :, 0, 0] + 0.6)))
    assert len(clip.xyz) == 100 and list(clip.frames) == list(range(100))
    assert list(np.flatnonzero(clip.present[:, slot])) == [*range(20), *range(60, 100)]
    np.testing.assert_allclose(clip.xyz[99, slot], first[99], atol=1e-5)
    assert not clip.xyz[20:60, slot].any()


def test_frames_without_any_body_stay(tmp_path):
    body = person(1, 0.0)
    _, clip = read_one(tmp_path, [[(A, body[t])] if not 30 <= t < 40 else [] for t in range(100)])
    assert len(clip.xyz) == 100 and clip.present.sum() == 90
    np.testing.assert_allclose(clip.xyz[99, 0], body[99], atol=1e-5)


def test_a_person_keeps_the_slot_when_the_recorder_swaps_the_order(tmp_path):
    """Defect 2: peers take bodies in file order."""
    first, second = person(1, -0.6, 0.3), person(2, 0.6)
    frames = []
    for t in range(100):
        bodies = [(A, first[t]), (B, second[t])]
        frames.append(bodies if t < 50 else bodies[::-1])
    _, clip = read_one(tmp_path, frames)
    slot = int(np.argmin(np.abs(clip.xyz[0, :, 0, 0] + 0.6)))
    np.testing.assert_allclose(clip.xyz[:, slot], first, atol=1e-5)
    np.testing.assert_allclose(clip.xyz[:, 1 - slot], second, atol=1e-5)


def test_the_person_who_moves_more_comes_first(tmp_path):
    calm, lively = person(1, -0.6, 0.02), person(2, 0.6, 0.5)
    _, clip = read_one(tmp_path, [[(A, calm[t]), (B, lively[t])] for t in range(100)])
    np.testing.assert_allclose(clip.xyz[:, 0], lively, atol=1e-5)


def test_a_new_id_after_a_loss_at_the_same_place_is_the_same_person(tmp_path):
    body, other = person(1, -0.8, 0.1), person(2, 0.8, 0.1)
    frames = [([(A if t < 40 else GHOST, body[t])] if not 40 <= t < 50 else []) + [(B, other[t])] for t in range(100)]
    store, clip = read_one(tmp_path, frames)
    slot = int(np.argmin(np.abs(clip.xyz[0, :, 0, 0] + 0.8)))
    np.testing.assert_allclose(clip.xyz[90, slot], body[90], atol=1e-5)
    assert store.bodies == 2 and not clip.present[40:50, slot].any()


def test_ghost_bodies_are_left_out_and_counted(tmp_path):
    body, flicker, shelf = person(1, 0.0, 0.1), person(2, 1.0, 2.0), person(3, -1.0, 2.0)
    shelf[..., 0] += np.linspace(-3, 3, 25)
    frames = [[(A, body[t]), (B, shelf[t])] + ([(GHOST, flicker[t])] if t < 11 else []) for t in range(100)]
    store, clip = read_one(tmp_path, frames)
    assert clip.xyz.shape[1] == 1
    np.testing.assert_allclose(clip.xyz[:, 0], body, atol=1e-5)
    assert sum(count for key, count in store.meta["notes"].items() if "left out" in key) == 2


def test_an_only_body_is_never_left_out(tmp_path):
    body = person(1, 0.0, frames=8)
    _, clip = read_one(tmp_path, [[(A, joints)] for joints in body])
    assert clip.present.all()


def test_a_third_person_is_counted(tmp_path):
    people = [person(i, 1.2 * i - 1.2, 0.1 * (3 - i)) for i in range(3)]
    store, _ = read_one(tmp_path, [[(A + i, people[i][t]) for i in range(3)] for t in range(100)])
    assert store.bodies == 2 and store.meta["notes"]["bodies left out: more than two people"] == 1


def test_a_recording_without_any_body_is_dropped_with_its_reason(tmp_path):
    write_skeleton_file(tmp_path / "raw" / "S001C001P001R001A002.skeleton", [[], []])
    store, _ = read_one(tmp_path, [[(A, joints)] for joints in person(1, 0.0)])
    assert store.names == [NAME]
    assert store.meta["notes"]["dropped"] == {"S001C001P001R001A002": "no body in any frame"}


def test_missing_list_and_later_setups_are_skipped_and_counted(tmp_path):
    frames = [[(A, joints)] for joints in person(1, 0.0)]
    for name in ("S001C001P001R001A001", "S020C001P050R001A061"):
        write_skeleton_file(tmp_path / "raw" / "deep" / f"{name}.skeleton", frames)
    (tmp_path / "raw" / "missing.txt").write_text("S001C001P001R001A001\n")
    store, _ = read_one(tmp_path, frames)
    assert store.names == [NAME]
    notes = store.meta["notes"]
    assert notes["files named in missing.txt"] == 1 and notes["files of NTU RGB+D 120 only"] == 1
    both = open_dataset("ntu120", tmp_path / "raw", tmp_path / "work")
    assert set(both.names) == {NAME, "S020C001P050R001A061"}


def test_ntu_is_read_straight_from_zips(tmp_path):
    text = skeleton_text([[(A, joints)] for joints in person(1, 0.0)])
    (tmp_path / "raw").mkdir()
    with zipfile.ZipFile(tmp_path / "raw" / "skeletons.zip", "w") as archive:
        archive.writestr(f"nturgb+d_skeletons/{NAME}.skeleton", text)
    store = open_dataset("ntu60", tmp_path / "raw", tmp_path / "work")
    assert store.names == [NAME] and store[0].source == f"skeletons.zip/nturgb+d_skeletons/{NAME}.skeleton"
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["skeletons.zip"]


def test_parsing_is_one_pass(tmp_path):
    """The measured target is 15 ms of one core for 100 frames of two bodies; peers take 22 to 43."""
    import time

    first, second = person(1, -0.6), person(2, 0.6)
    data = skeleton_text([[(A, first[t]), (B, second[t])] for t in range(100)]).encode()
    took = []
    for _ in range(5):
        start = time.process_time()
        ntu.parse_skeleton("x", data)
        took.append(time.process_time() - start)
    assert min(took) < 0.03  # twice the target, for slow machines


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
