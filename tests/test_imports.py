"""The layouts that other repositories ship: what comes out is what their converters put in, with names and parts."""

from __future__ import annotations

import os
import re
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from layout_files import (
    Recording,
    centred,
    ctrgcn_rows,
    padded,
    part_of,
    pyskl_value,
    recordings,
    write_ctrgcn,
    write_npy,
    write_pickle,
)

from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.protocols import make_split
from c2vl_lab.data.readers import ctrgcn, npz_rows, pyskl
from c2vl_lab.data.readers.agcn import period
from c2vl_lab.data.readers.imports_common import guess_protocol, guess_set, our_name
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.summary import summary_lines
from c2vl_lab.errors import ConfigError, DataError, MissingError


def opened(layout: str, data: Path, folder: Path, **options) -> SkeletonStore:
    return open_dataset(layout, data, folder / "work", workers=1, **options)


def check(store: SkeletonStore, given: list[Recording], protocol: str, tolerance: float = 0.0) -> None:
    """Names, labels, parts and coordinates are those of the recordings."""
    assert sorted(store.names) == sorted(r.name for r in given)
    for recording in given:
        clip = store[store.names.index(recording.name)]
        assert clip.xyz.shape == recording.xyz.shape
        assert np.abs(clip.xyz - recording.xyz).max() <= tolerance
        assert store.class_ids[clip.label] == recording.action
        assert (clip.subject, clip.camera) == (int(recording.name[9:12]), int(recording.name[5:8]))
        assert clip.splits[protocol] == part_of(recording, protocol)
    train = {store.names[i] for i in make_split(store, protocol).train}
    assert train == {r.name for r in given if part_of(r, protocol) == "train"}


# 300 frames, .npy and .pkl


def test_padded_arrays_with_pickled_names(tmp_path):
    given = recordings()
    write_npy(tmp_path / "ntu60" / "xview", given, "xview", "_data.npy", [padded(r, 300) for r in given])
    store = opened("agcn", tmp_path, tmp_path)
    check(store, given, "xview")
    assert store.dataset == "ntu60" and len(store.classes) == 60
    assert store[0].frames.tolist() == list(range(len(store[0].xyz)))


def test_gaps_inside_stay_and_padding_goes(tmp_path):
    one = recordings(12)
    gap = one[1].xyz.copy()
    gap[5:9] = 0  # nobody
    gap[11:14, 0] = 0  # the second person alone
    one[1] = Recording(one[1].name, one[1].action, gap)
    write_npy(tmp_path / "ntu60" / "xsub", one, "xsub", "_data.npy", [padded(r, 300) for r in one])
    store = opened("agcn", tmp_path, tmp_path)
    clip = store[store.names.index(one[1].name)]
    assert np.array_equal(clip.xyz, gap)
    assert np.array_equal(clip.present, gap.any(axis=(2, 3)))


def agcn_rows(recording: Recording, frames: int) -> np.ndarray:
    """Centred on joint 2 of the first body in each frame, and repeated from the beginning up to the end."""
    xyz = recording.xyz - recording.xyz[:, :1, 1:2]
    return padded(Recording("", 0, np.concatenate([xyz] * 20)[:frames]), frames)


@pytest.mark.parametrize("with_lengths", [True, False])
def test_padding_by_repetition_is_told_from_frames(tmp_path, with_lengths):
    """2s-AGCN fills the 300 frames by repeating the clip: read as frames, every clip would be 300 long."""
    given = recordings()
    folder = tmp_path / "NTU-RGB-D-60-AGCN" / "xsub"
    write_npy(folder, given, "xsub", "_data_joint.npy", [agcn_rows(r, 300) for r in given])
    if with_lengths:
        for part, file in (("train", "train"), ("test", "val")):
            lengths = [len(r.xyz) for r in given if part_of(r, "xsub") == part]
            np.save(folder / f"{file}_num_frame.npy", lengths)
    store = opened("agcn", tmp_path, tmp_path)
    moved = [Recording(r.name, r.action, r.xyz - r.xyz[:, :1, 1:2]) for r in given]
    check(store, moved, "xsub")
    assert "Walking paths are lost" in store.meta["notes"]["coordinates"]


def test_a_length_beyond_the_array_is_no_error(tmp_path):
    """CMD's PKU-MMD converter cuts a clip at 300 frames and keeps the longer number."""
    given = recordings(6)
    folder = tmp_path / "ntu60" / "xsub"
    write_npy(folder, given, "xsub", "_data_joint.npy", [padded(r, 22) for r in cut_to(given, 22)])
    for part, file in (("train", "train"), ("test", "val")):
        np.save(folder / f"{file}_num_frame.npy", [4000 for r in given if part_of(r, "xsub") == part])
    check(opened("agcn", tmp_path, tmp_path), cut_to(given, 22), "xsub")


def cut_to(given: list[Recording], frames: int) -> list[Recording]:
    return [Recording(r.name, r.action, r.xyz[:frames]) for r in given]


def test_period():
    body = np.random.default_rng(0).normal(size=(70, 25, 3))
    assert period(np.concatenate([body] * 5)[:300]) == 70
    assert period(body) == 70
    still = body.copy()
    still[30] = body[0]  # one frame that comes back is no repetition
    assert period(still) == 70


# frame50


def test_frame50_with_the_names_of_the_step_before(tmp_path):
    given = cut_to(recordings(), 20)
    fifty = [Recording(r.name, r.action, np.repeat(r.xyz, 3, axis=0)[:50]) for r in given]
    write_npy(tmp_path / "ntu60_frame50" / "xsub", fifty, "xsub", "_position.npy", [padded(r, 50) for r in fifty])
    names = tmp_path / "ntu60" / "xsub"
    names.mkdir(parents=True)
    for part in ("train", "val"):
        os.rename(tmp_path / "ntu60_frame50" / "xsub" / f"{part}_label.pkl", names / f"{part}_label.pkl")
    store = opened("frame50", tmp_path, tmp_path, names=str(tmp_path / "ntu60"))
    check(store, fifty, "xsub")
    assert "distance between two people" in store.meta["notes"]["coordinates"]
    nameless = opened("frame50", tmp_path, tmp_path)
    assert nameless.names[0] == "train_000000" and nameless.names[-1].startswith("test_")
    assert "cannot be joined" in nameless.meta["notes"]["names"]
    assert np.array_equal(nameless.labels, store.labels)


def test_frame50_labels_that_are_not_those_of_the_names_are_refused(tmp_path):
    given = cut_to(recordings(), 20)
    folder = tmp_path / "ntu60_frame50" / "xsub"
    write_npy(folder, given, "xsub", "_position.npy", [padded(r, 50) for r in given])
    labels = np.load(folder / "val_label.npy")
    np.save(folder / "val_label.npy", np.roll(labels, 1))
    with pytest.raises(DataError, match=r"val_label\.pkl, row 0: its label is not that"):
        opened("frame50", tmp_path, tmp_path)


# CTR-GCN


@pytest.mark.parametrize("protocol", ["xsub", "xview"])
@pytest.mark.parametrize("compress", [False, True])
def test_ctrgcn_names_are_rebuilt(tmp_path, protocol, compress):
    given = recordings(30)
    file = {"xsub": "NTU60_CS.npz", "xview": "NTU60_CV.npz"}[protocol]
    write_ctrgcn(tmp_path / "data" / file, given, protocol, compress=compress)
    store = opened("ctrgcn", tmp_path / "data", tmp_path)
    check(store, [centred(r) for r in given], protocol)
    rows = [r.name for part in ("train", "test") for r in ctrgcn_rows(given, protocol, part)]
    assert store.names == rows and rows != sorted(rows)


def test_ctrgcn_names_of_another_list_are_refused(tmp_path):
    given = recordings(30)
    path = tmp_path / "NTU60_CS.npz"
    write_ctrgcn(path, given, "xsub")
    names = [r.name for r in given]
    for wrong, message in (
        (names[:-1], "the file has"),
        (names[1:] + [names[0]], "rows disagree"),
        ([*names[:-1], names[0]], "twice"),
        ([*names[:-1], "x\x00y"], "wanted a clip name a line"),
    ):
        listed = tmp_path / "list.txt"
        listed.write_text("\n".join(wrong))
        with pytest.raises(DataError, match=message):
            opened("ctrgcn", path, tmp_path, names=str(listed))
    store = opened("ctrgcn", path, tmp_path, names="none")
    assert set(store.names) == {f"train_{i:06d}" for i in range(24)} | {f"test_{i:06d}" for i in range(6)}
    assert "cannot be joined" in store.meta["notes"]["names"]
    assert len(make_split(store, "xsub").train) == 24


def test_ctrgcn_two_names_of_one_class_in_the_wrong_order_are_seen_where_it_can_be(tmp_path):
    """A list in another order: every label is compared, so the first row that differs is named."""
    given = recordings(30)
    path = tmp_path / "NTU60_CS.npz"
    write_ctrgcn(path, given, "xsub")
    (tmp_path / "skes_available_name.txt").write_text("\n".join(reversed([r.name for r in given])))
    with pytest.raises(DataError, match=r"the name rebuilt for row \d+ of train, S\w+, says action \d+"):
        opened("ctrgcn", path, tmp_path)


def test_a_lonely_body_written_twice_is_one(tmp_path):
    """CTR-GCN's script for NTU-120 writes a lonely body into both places: two people in one place otherwise."""
    given = recordings(30, classes=120)
    path = tmp_path / "NTU120_CSub.npz"
    write_ctrgcn(path, given, "xsub", classes=120)
    with np.load(path) as arrays:
        changed = dict(arrays)
    for part in ("train", "test"):
        rows = changed[f"x_{part}"].reshape(-1, 300, 2, 75)
        lonely = ~rows[:, :, 1].any(axis=(1, 2))
        rows[lonely, :, 1] = rows[lonely, :, 0]
    np.savez(path, **changed)
    store = opened("ctrgcn", path, tmp_path)
    check(store, [centred(r) for r in given], "xsub")
    assert sum(store.meta["notes"]["counts"].values()) == sum(r.xyz.shape[1] == 1 for r in given)


def test_pku_files_have_51_columns_for_41_classes(tmp_path):
    rng = np.random.default_rng(0)
    ids = [1, 13, 51, 28]
    arrays = {}
    for part in ("train", "test"):
        arrays[f"x_{part}"] = rng.normal(size=(4, 300, 150)).astype(np.float32)
        arrays[f"y_{part}"] = np.eye(51)[np.array(ids) - 1]
    np.savez(tmp_path / "PKUv2_XSub.npz", **arrays)
    store = opened("ctrgcn", tmp_path, tmp_path)
    assert store.dataset == "pku2" and len(store.classes) == 41
    assert [store.class_ids[label] for label in store.labels] == ids * 2
    assert set(store.clips["split:xsub"]) == {"train", "test"}
    arrays["y_test"] = np.eye(51)[[11] * 4]
    np.savez(tmp_path / "PKUv2_XSub.npz", **arrays)
    with pytest.raises(DataError, match="y_test, row 0: label 11 is none of pku2's 41 classes"):
        opened("ctrgcn", tmp_path, tmp_path)


def test_the_set_and_the_protocol_are_asked_for_where_nothing_tells_them(tmp_path):
    given = recordings(30)
    write_ctrgcn(tmp_path / "data.npz", recordings(30, classes=51), "xsub", classes=51)
    with pytest.raises(ConfigError, match="dataset= one of ntu60, ntu120, pku1, pku2"):
        opened("ctrgcn", tmp_path / "data.npz", tmp_path)
    write_ctrgcn(tmp_path / "data.npz", given, "xsub")
    with pytest.raises(ConfigError, match="protocol= one of xsub, xview, xset"):
        opened("ctrgcn", tmp_path / "data.npz", tmp_path)
    assert len(opened("ctrgcn", tmp_path / "data.npz", tmp_path, protocol="xsub")) == 30
    with pytest.raises(ConfigError, match="Did you mean 'ntu60'"):
        opened("ctrgcn", tmp_path / "data.npz", tmp_path, protocol="xsub", dataset="nut60")


def test_several_files_are_told_apart_by_the_options(tmp_path):
    given = recordings(30)
    write_ctrgcn(tmp_path / "d" / "NTU60_CS.npz", given, "xsub")
    write_ctrgcn(tmp_path / "d" / "NTU60_CV.npz", given, "xview")
    with pytest.raises(ConfigError, match="several files fit"):
        opened("ctrgcn", tmp_path / "d", tmp_path)
    check(opened("ctrgcn", tmp_path / "d", tmp_path, protocol="xview"), [centred(r) for r in given], "xview")


def test_an_option_against_the_file_s_name_is_told(tmp_path):
    given = recordings(30)
    write_ctrgcn(tmp_path / "d" / "NTU60_CS.npz", given, "xsub")
    for place in (tmp_path / "d", tmp_path / "d" / "NTU60_CS.npz"):
        with pytest.raises(ConfigError, match=r"NTU60_CS.npz: protocol=xview was asked for, .* says xsub"):
            opened("ctrgcn", place, tmp_path, protocol="xview")
    write_npy(tmp_path / "ntu60" / "xsub", given, "xsub", "_data.npy", [padded(r, 80) for r in given])
    with pytest.raises(ConfigError, match=r"protocol=xview was asked for, .* says xsub"):
        opened("agcn", tmp_path / "ntu60", tmp_path, protocol="xview")
    with pytest.raises(MissingError, match="two folders below"):
        opened("frame50", tmp_path / "ntu60", tmp_path)


@pytest.mark.parametrize(("columns", "dataset", "wanted"), [(60, "ntu120", 120), (60, "pku2", 51), (51, "ntu60", 60)])
def test_labels_with_the_columns_of_another_set_are_refused(tmp_path, columns, dataset, wanted):
    write_ctrgcn(tmp_path / "data.npz", recordings(30, classes=40), "xsub", classes=columns)
    with pytest.raises(DataError, match=f"wanted {wanted} columns, .* of {dataset}, found {columns}"):
        opened("ctrgcn", tmp_path / "data.npz", tmp_path, dataset=dataset, protocol="xsub")


def test_a_protocol_of_an_imported_file_that_it_does_not_name(tmp_path):
    write_ctrgcn(tmp_path / "PKUv1_XSub.npz", recordings(30, classes=40), "xsub", classes=51)
    store = opened("ctrgcn", tmp_path, tmp_path, dataset="pku1", protocol="xsub", names="none")
    assert "cross-subject.txt" not in make_split(store, "xsub").rule
    with pytest.raises(MissingError, match=r"names the parts of xsub only\. Take that protocol"):
        make_split(store, "xview")
    text = "\n".join(summary_lines(store))
    assert "performers not known" in text


# PYSKL


def test_pyskl_files_are_chosen_by_name_and_2d_ones_passed_over(tmp_path):
    for name in ("ntu60_3danno.pkl", "ntu120_3danno.pkl", "all.pkl"):
        write_pickle(tmp_path / "d" / name, pyskl_value(recordings(6)))
    (tmp_path / "d" / "ntu60_hrnet.pkl").write_bytes(b"never looked into")
    with pytest.raises(ConfigError, match=r"several files fit \(all.pkl, ntu120_3danno.pkl, ntu60_3danno.pkl\)"):
        opened("pyskl", tmp_path / "d", tmp_path)
    assert pyskl.find(tmp_path / "d", pyskl.Options(dataset="ntu60"))[0].name == "ntu60_3danno.pkl"
    with pytest.raises(ConfigError, match=r"dataset=ntu120 was asked for, .* says ntu60"):
        opened("pyskl", tmp_path / "d" / "ntu60_3danno.pkl", tmp_path, dataset="ntu120")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "ntu60_hrnet.pkl").write_bytes(b"never looked into")
    with pytest.raises(MissingError, match="found 1 of 2D skeletons"):
        opened("pyskl", tmp_path / "flat", tmp_path)


def test_bad_annotations_are_told_together_and_may_be_left_out(tmp_path):
    value = pyskl_value(recordings(6))
    value["annotations"][0]["label"] = 60
    value["annotations"][3]["keypoint"] = np.zeros((1, 20, 24, 3), np.float32)
    path = write_pickle(tmp_path / "ntu60.pkl", value)
    with pytest.raises(DataError, match=r"2 annotations cannot be used.*") as caught:
        opened("pyskl", path, tmp_path)
    assert "annotation 0, row 0: label 60" in str(caught.value) and "annotation 3 (S" in str(caught.value)
    store = opened("pyskl", path, tmp_path, skip_bad=True)
    assert len(store) == 4 and store.meta["notes"]["read"]["files"] == 1
    text = "\n".join(summary_lines(store))
    assert "Could not use 2 annotations:" in text and "Read 1 file," in text


@pytest.mark.parametrize(("kind", "protocol"), [("float16", 2), ("float32", 4), ("float32", 5)])
def test_pyskl(tmp_path, kind, protocol):
    given = recordings(12)
    write_pickle(tmp_path / "ntu60_3danno.pkl", pyskl_value(given, kind), protocol)
    store = opened("pyskl", tmp_path, tmp_path)
    rounded = [Recording(r.name, r.action, r.xyz.astype(kind).astype(np.float32)) for r in given]
    check(store, rounded, "xsub")
    check(store, rounded, "xview")
    assert ("precision" in store.meta["notes"]) == (kind == "float16")


def changed(value: dict, **fields) -> dict:
    value["annotations"][0] = {**value["annotations"][0], **fields}
    return value


def test_pyskl_files_of_2d_skeletons_are_refused_with_a_sentence(tmp_path):
    for fields in (
        {"keypoint": np.zeros((1, 20, 17, 2), np.float16), "keypoint_score": np.zeros((1, 20, 17), np.float16)},
        {"keypoint": np.zeros((1, 20, 17, 3), np.float16)},
        {"keypoint": np.zeros((1, 20, 25, 2), np.float16)},
    ):
        path = write_pickle(tmp_path / "ntu60_hrnet.pkl", changed(pyskl_value(recordings(3)), **fields))
        with pytest.raises(DataError, match=r"annotation 0 \(S\w+\): these are 2D skeletons .* 3D"):
            opened("pyskl", path, tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keypoint": np.zeros((1, 20, 25, 3), np.int64)}, "wanted keypoint as floats"),
        ({"keypoint": [[1.0]]}, "wanted keypoint as floats .* found a list"),
        ({"keypoint": np.zeros((1, 21, 25, 3), np.float32)}, "total_frames says 20, keypoint has 21"),
        ({"label": 60}, "label 60 is none of ntu60's 60 classes"),
        ({"label": "one"}, "label a str is none"),
        ({"label": float("nan")}, "label nan is none"),
        ({"frame_dir": 7}, "wanted a clip name"),
        ({"frame_dir": "S001C001P001R001A001\n"}, "wanted a clip name"),
        ({"frame_dir": "S001C001P001R001A009", "label": 3}, "says action 9, the label 4"),
    ],
)
def test_pyskl_annotations_that_are_not_as_they_should_be(tmp_path, fields, message):
    path = write_pickle(tmp_path / "ntu60.pkl", changed(pyskl_value(recordings(3)), **fields))
    with pytest.raises(DataError, match=message):
        opened("pyskl", path, tmp_path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "found a list"),
        ({"annotations": []}, "found a dict of annotations"),
        ([{"frame_dir": "a"}], "older versions of MMAction2"),
        ({"split": {"train": []}, "annotations": [{}]}, "wanted splits such as"),
        ({"split": {"xsub_train": [1]}, "annotations": [{}]}, "holds a int"),
        ({"split": {"xsub_train": ["a"], "xsub_val": ["a"]}, "annotations": [{}]}, "in both parts"),
        ({"split": {}, "annotations": [{}]}, "lacks frame_dir, label, keypoint"),
        ({"split": {}, "annotations": [{"frame_dir": "a", "label": 1, "raw_file": "b"}]}, "as for Kinetics"),
        ({"split": {}, "annotations": ["a"]}, "wanted a dict, found a str"),
    ],
)
def test_pickles_that_are_no_annotations(tmp_path, value, message):
    with pytest.raises(DataError, match=message):
        opened("pyskl", write_pickle(tmp_path / "ntu60.pkl", value), tmp_path)


def test_annotations_that_their_converter_failed_to_leave_out(tmp_path):
    """PYSKL's filter of samples without a body filters nothing: None is left among the annotations."""
    value = pyskl_value(recordings(4))
    value["annotations"].insert(2, None)
    value["split"]["xsub_train"].append("S001C001P001R001A060")
    store = opened("pyskl", write_pickle(tmp_path / "ntu60.pkl", value), tmp_path)
    assert len(store) == 4
    assert store.meta["notes"]["annotations without a body"] == 1
    assert store.meta["notes"]["names in the splits without an annotation"] == 1


def test_a_pickle_that_executes_something_is_refused(tmp_path, monkeypatch):
    class Bomb:
        def __reduce__(self):
            return os.system, ("touch executed",)

    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="system', which is refused"):
        opened(
            "pyskl", write_pickle(tmp_path / "ntu60.pkl", changed(pyskl_value(recordings(3)), label=Bomb())), tmp_path
        )
    given = recordings()
    write_npy(tmp_path / "ntu60" / "xsub", given, "xsub", "_data.npy", [padded(r, 40) for r in given])
    write_pickle(tmp_path / "ntu60" / "xsub" / "val_label.pkl", ([Bomb()], [0]))
    with pytest.raises(DataError, match="system', which is refused"):
        opened("agcn", tmp_path, tmp_path)
    assert not Path("executed").exists()


def test_the_bytes_of_one_clip_that_are_damaged_are_one_fault(tmp_path):
    """Text that stands for bytes (protocol 2) can only be checked clip by clip; the others are read."""
    value = pyskl_value(recordings(6))
    path = write_pickle(tmp_path / "ntu60.pkl", value)
    data = bytearray(path.read_bytes())
    place = data.find(b"X", len(data) // 2)
    while int.from_bytes(data[place + 1 : place + 5], "little") not in range(5000, 10**6):
        place = data.find(b"X", place + 1)
    data[place + 100] = 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"annotation \d, S"):
        opened("pyskl", path, tmp_path)
    assert len(opened("pyskl", path, tmp_path, skip_bad=True)) == 5


# damaged and hostile arrays


def bomb(path: Path, claimed: tuple[int, ...], content: bytes) -> None:
    """An ``.npz`` whose x_train has a header of its own and other content."""
    header = str({"descr": "<f4", "fortran_order": False, "shape": claimed}).encode()
    header += b" " * (64 - (len(header) + 11) % 64) + b"\n"
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content)


def sound_npz(path: Path, leave: str = "x_train") -> None:
    arrays = {"x_train": np.ones((2, 10, 150), np.float32), "y_train": np.eye(60)[:2]}
    arrays |= {"x_test": np.ones((2, 10, 150), np.float32), "y_test": np.eye(60)[:2]}
    np.savez(path, **{name: array for name, array in arrays.items() if name != leave})


@pytest.mark.parametrize(
    ("claimed", "content", "message"),
    [
        ((2, 10, 150), bytes(12000), "no body in any frame"),  # the header is right
        ((10**9, 300, 150), bytes(100), "header claims"),
        ((-1, 10, 150), bytes(100), "wanted rows of numbers"),
        ((2**62, 2**62, 150), bytes(100), "header claims"),
        ((0, 10, 150), b"", "wanted a label for each of 0 clips"),
        ((2, 10, 150), bytes(11999), "header claims"),
        ((2, 0, 150), b"", "header claims"),
        ((2, 10, 75), bytes(6000), r"wanted \(clips, frames, 150\)"),
        ((2000, 200, 150), bytes(240_000_000), "more than 200 times as many"),
    ],
)
def test_arrays_whose_header_lies(tmp_path, claimed, content, message):
    path = tmp_path / "NTU60_CS.npz"
    sound_npz(path)
    bomb(path, claimed, content)
    try:
        found = str(opened("ctrgcn", path, tmp_path).meta["notes"]["dropped"])
    except DataError as error:
        found = str(error)
    assert re.search(message, found), found


def test_fortran_order_objects_and_other_compression_are_refused(tmp_path):
    path = tmp_path / "NTU60_CS.npz"
    for array, message in (
        (np.ones((2, 10, 150), np.float32, order="F"), "Fortran"),
        (np.array([[{}] * 150] * 2, object), "wanted an array|wanted rows"),
        (np.ones((2, 10, 150), complex), "wanted rows of numbers"),
        (np.zeros((2, 10, 150), "f4,f4"), "wanted rows of numbers"),
        (np.full((2, 10, 150), "a"), "wanted rows of numbers"),
        (np.float32(1), "wanted rows of numbers"),
    ):
        sound_npz(path)
        other = tmp_path / "other.npz"
        np.savez(other, x_train=array)
        with zipfile.ZipFile(path, "a") as archive, zipfile.ZipFile(other) as source:
            archive.writestr("x_train.npy", source.read("x_train.npy"))
        with pytest.raises(DataError, match=message):
            opened("ctrgcn", path, tmp_path)
    sound_npz(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x_train.npy", b"abc")
    with pytest.raises(DataError, match="compression"):
        opened("ctrgcn", path, tmp_path)


def test_rows_are_read_in_blocks_and_a_wrong_checksum_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(ctrgcn, "BLOCK", 10 * 300 * 150 * 4)
    given = recordings(30)
    path = tmp_path / "NTU60_CS.npz"
    write_ctrgcn(path, given, "xsub")
    plan = ctrgcn.plan([path], ctrgcn.Options())
    assert [len(part.members) for part in plan.parts] == [10, 10, 4, 6]
    members = npz_rows.npz_members(path)
    with np.load(path) as arrays:
        whole = arrays["x_train"]
    for start, stop in ((0, 10), (10, 20), (3, 5), (20, 24), (0, 24)):
        assert np.array_equal(npz_rows.read_rows(members["x_train"], start, stop), whole[start:stop])
    data = bytearray(path.read_bytes())
    data[data.find(b"x_train.npy") + 200_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"x_train, rows 20 to 23: the array is damaged \(Bad CRC-32"):
        opened("ctrgcn", path, tmp_path)


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    """400 clips make 72 MB unpacked, read in blocks of 2 MB."""
    monkeypatch.setattr(ctrgcn, "BLOCK", 2 * 2**20)
    rows = np.zeros((400, 300, 150), np.float32)
    rows[:, :20] = np.random.default_rng(0).normal(size=(20, 150))
    labels = np.eye(60)[[3] * 400]
    path = tmp_path / "NTU60_CS.npz"
    np.savez_compressed(path, x_train=rows, y_train=labels, x_test=rows[:1], y_test=labels[:1])
    tracemalloc.start()
    try:
        plan = ctrgcn.plan([path], ctrgcn.Options())
        clips = sum(len(ctrgcn.read(part, plan.context).clips) for part in plan.parts)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert clips == 401 and peak < 12 * 2**20


@pytest.mark.parametrize("cut", [0, 5, 60, 127, 1000, -1])
def test_arrays_that_are_cut(tmp_path, cut):
    given = recordings()
    folder = tmp_path / "ntu60" / "xsub"
    write_npy(folder, given, "xsub", "_data.npy", [padded(r, 40) for r in given])
    path = folder / "train_data.npy"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"train_data\.npy: wanted"):
        opened("agcn", tmp_path, tmp_path)


@pytest.mark.parametrize(
    "array",
    [
        np.ones((8, 3, 40, 25, 2), complex),
        np.ones((8, 3, 40, 25, 3), np.float32),
        np.ones((8, 3, 40, 17, 2), np.float32),
        np.ones((8, 300, 150), np.float32),
        np.ones((0, 3, 40, 25, 2), np.float32),
        np.array([{}], object),
    ],
)
def test_arrays_of_another_shape(tmp_path, array):
    given = recordings()
    folder = tmp_path / "ntu60" / "xsub"
    write_npy(folder, given, "xsub", "_data.npy", [padded(r, 40) for r in given])
    np.save(folder / "train_data.npy", array)
    with pytest.raises(DataError, match=r"train_data\.npy: wanted"):
        opened("agcn", tmp_path, tmp_path)


def marred(given: list[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Recordings in which single joints of the first are no place, and what is to be read of them."""
    bad, mended = given[0].xyz.copy(), given[0].xyz.copy()
    for frame, joint, value in ((4, 7, np.inf), (9, 0, np.nan), (12, 24, 1e4)):
        bad[frame, 0, joint, 1] = value
        mended[frame, 0, joint] = (mended[frame - 1, 0, joint] + mended[frame + 1, 0, joint]) / 2
    name, action = given[0].name, given[0].action
    return [Recording(name, action, bad), *given[1:]], [Recording(name, action, mended), *given[1:]]


@pytest.mark.parametrize("name", ["pyskl", "ctrgcn", "agcn", "frame50"])
def test_single_joints_that_are_no_place_are_filled_and_counted(tmp_path, name):
    """One infinite value refused a whole clip before."""
    bad, mended = marred(cut_to(recordings(), 20))
    folder = tmp_path / "ntu60" / "xsub"
    if name == "pyskl":
        write_pickle(tmp_path / "ntu60_3danno.pkl", pyskl_value(bad, "float32"), 4)
    elif name == "ctrgcn":
        write_ctrgcn(tmp_path / "NTU60_CS.npz", bad, "xsub")
    else:
        write_npy(folder, bad, "xsub", {"agcn": "_data.npy"}.get(name, "_position.npy"), [padded(r, 50) for r in bad])
    store = opened(name, tmp_path, tmp_path)
    if name != "ctrgcn":  # whose rows have no names
        check(store, mended, "xsub", 1e-5)
    assert store.meta["notes"]["counts"]["joints filled: not a number or over 100 m away"] == 3
    assert store.present.all() and np.isfinite(store.xyz).all()


def test_a_clip_that_is_repeated_is_told_also_where_a_joint_is_not_a_number(tmp_path):
    bad, mended = marred(recordings())
    rows = [agcn_rows(r, 300) for r in bad]
    for row, recording in zip(rows, bad, strict=True):
        row[4 :: len(recording.xyz), 0, 1, 0] = np.inf  # joint 2, which tells that the clip is centred on it
    write_npy(tmp_path / "ntu60" / "xsub", bad, "xsub", "_data_joint.npy", rows)
    store = opened("agcn", tmp_path, tmp_path)
    assert sorted(store.lengths) == sorted(len(r.xyz) for r in mended)
    assert "Walking paths are lost" in store.meta["notes"]["coordinates"]


def test_rows_that_are_not_finite_are_named(tmp_path):
    given = recordings()
    arrays = [padded(r, 40) for r in given]
    arrays[4][:, :, 7:21] = np.nan
    write_npy(tmp_path / "ntu60" / "xsub", given, "xsub", "_data.npy", arrays)
    with pytest.raises(DataError, match=r"train_data\.npy, row \d+: no body has half of its joints .* not finite"):
        opened("agcn", tmp_path, tmp_path)
    assert len(opened("agcn", tmp_path, tmp_path, skip_bad=True)) == len(given) - 1


def test_numbers_of_another_byte_order_are_refused_without_a_warning(tmp_path):
    """Read the wrong way round, some numbers are signalling NaN, which numpy warns of at every turn."""
    given = recordings()
    arrays = [padded(r, 40) for r in given]
    arrays[0][2, 0].view("<u4")[:] = 0x0000A07F
    folder = tmp_path / "ntu60" / "xsub"
    write_npy(folder, given, "xsub", "_data_joint.npy", arrays)
    path = folder / "train_data_joint.npy"
    path.write_bytes(path.read_bytes().replace(b"<f4", b">f4", 1))
    with warnings.catch_warnings(), pytest.raises(DataError, match="not finite"):
        warnings.simplefilter("error")
        opened("agcn", tmp_path, tmp_path)


def test_names_and_arrays_that_do_not_belong_together(tmp_path):
    given = recordings()
    folder = tmp_path / "ntu60" / "xsub"
    write_npy(folder, given, "xsub", "_data.npy", [padded(r, 40) for r in given])
    for value, message in (
        ((["S001C001P001R001A001"], [0]), "names 1 clips, the array beside it has"),
        (("a", "b"), "wanted a list of names"),
        (([1, 2], [1]), "as many labels"),
        ({"names": []}, "wanted .names, labels."),
    ):
        write_pickle(folder / "train_label.pkl", value)
        with pytest.raises(DataError, match=message):
            opened("agcn", tmp_path, tmp_path)
    os.remove(folder / "val_label.pkl")
    with pytest.raises(MissingError, match=r"val_label\.pkl"):
        opened("agcn", tmp_path, tmp_path)


@pytest.mark.parametrize("layout", ["frame50", "agcn", "ctrgcn", "pyskl"])
def test_nothing_there(tmp_path, layout):
    for data in ("", tmp_path, tmp_path / "none"):
        with pytest.raises(MissingError, match="Set data_dir"):
            opened(layout, data, tmp_path)


# names


@pytest.mark.parametrize(
    ("raw", "dataset", "label", "name"),
    [
        ("S001C002P003R002A013.skeleton", "ntu60", 12, "S001C002P003R002A013"),
        ("folder/S001C002P003R002A013", "ntu60", 12, "S001C002P003R002A013"),
        ("A013N008V002C048L005.skeleton", "pku2", 37, "A013N008V002C048L005"),
        ("A01N08-R.txt_4", "pku2", 37, "A001N008V003C048L005"),
        ("0002-L.txt_0", "pku1", 12, "A002N000V001C013L001"),
        ("F002V001C013L001.skeleton", "pku1", 12, "A002N000V001C013L001"),
    ],
)
def test_names_take_the_form_that_sentences_are_joined_by(raw, dataset, label, name):
    """The row of a label file counts from 0 in CMD's names, from 1 in those of the released sentences."""
    assert our_name(raw, label, dataset, "file") == name


@pytest.mark.parametrize(
    ("path", "dataset", "protocol"),
    [
        ("NTU60_CS.npz", "ntu60", "xsub"),
        ("NTU60_XView.npz", "ntu60", "xview"),
        ("NTU120_CSet.npz", "ntu120", "xset"),
        ("PKUv2_XSub.npz", "pku2", "xsub"),
        ("NTU-RGB-D-120-AGCN/xsetup/train_data_joint.npy", "ntu120", "xset"),
        ("PKU-MMD-v2-AGCN/xview/train_data_joint.npy", "pku2", "xview"),
        ("pku_part1_frame50/xsub/train_position.npy", "pku1", "xsub"),
        ("ntu60_frame50/cross_view/train_position.npy", "ntu60", "xview"),
        ("ntu120/NTU60_CV.npz", "ntu60", "xview"),
        ("NTU-RGB-D/xsub/train_data.npy", "", "xsub"),
    ],
)
def test_paths_tell_the_set_and_the_protocol(path, dataset, protocol):
    assert (guess_set(Path("/") / path), guess_protocol(Path("/") / path)) == (dataset, protocol)


@pytest.mark.parametrize("path", ["home/cs/data/NTU60.npz", "cv/ntu60/joint/train.npy", "xsub/a/b/c/NTU60.npz"])
def test_folders_further_up_tell_no_protocol(path):
    assert guess_protocol(Path("/") / path) == ""


def test_a_folder_further_up_does_not_keep_a_folder_from_being_found(tmp_path):
    given = recordings(12)
    write_npy(tmp_path / "cs" / "ntu60", given, "xview", "_data.npy", [padded(r, 40) for r in given])
    assert len(opened("agcn", tmp_path / "cs", tmp_path, protocol="xview")) == 12


def test_names_tell_the_set():
    path = Path("/data/train.pkl")
    assert guess_set(path, ["S001C001P001R001A060"]) == "ntu60"
    assert guess_set(path, ["S001C001P001R001A060", "S018C001P001R001A001"]) == "ntu120"
    assert guess_set(path, ["A013N008V002C048L005"]) == "pku2"
    assert guess_set(path, ["0002-L.txt_0"]) == "pku1"


def test_the_result_does_not_depend_on_the_workers(tmp_path, monkeypatch):
    given = recordings(30)
    write_pickle(tmp_path / "ntu60.pkl", pyskl_value(given))
    monkeypatch.setattr(pyskl, "CLIPS_A_PART", 5)
    one = open_dataset("pyskl", tmp_path / "ntu60.pkl", tmp_path / "one", workers=1)
    two = open_dataset("pyskl", tmp_path / "ntu60.pkl", tmp_path / "two", workers=2)
    assert one.fingerprint == two.fingerprint and one.names == two.names
