"""Stores in the layouts of CTR-GCN and PYSKL: as those code bases read them, and back again."""

from __future__ import annotations

import pickle
import tracemalloc
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from layout_files import Recording, centred, ctrgcn_rows, padded, part_of, recordings

from c2vl_lab.cli import main
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.exports import export_ctrgcn, export_pyskl
from c2vl_lab.data.layouts import KINECT20, NTU25
from c2vl_lab.data.protocols import make_split
from c2vl_lab.data.readers.imports_common import class_list
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.writing import write_store
from c2vl_lab.errors import ConfigError, DataError, StorageError


def clip_of(recording: Recording, **fields) -> Clip:
    name = recording.name
    numbers = {
        "setup": int(name[1:4]),
        "camera": int(name[5:8]),
        "subject": int(name[9:12]),
        "trial": int(name[13:16]),
    }
    return Clip(
        name=name,
        xyz=recording.xyz,
        present=recording.xyz.any(axis=(2, 3)),
        frames=np.arange(len(recording.xyz), dtype=np.int32),
        label=recording.action - 1,
        **{**numbers, **fields},
    )


def store_of(folder: Path, given: list[Recording], dataset: str = "ntu60") -> SkeletonStore:
    classes, ids = class_list(dataset)
    return write_store(
        folder / "store",
        [clip_of(r) for r in given],
        dataset=dataset,
        layout=NTU25,
        classes=list(classes),
        class_ids=list(ids),
    )


@pytest.fixture
def given() -> list[Recording]:
    """Recordings with a gap in which nobody is seen, a first body that comes late, and one over 300 frames."""
    made = recordings(30)
    rng = np.random.default_rng(1)
    gap, late = made[3].xyz.copy(), made[5].xyz.copy()
    gap[4:8] = 0
    late[:6, 0] = 0
    long = rng.normal(size=(320, 1, 25, 3)).astype(np.float32)
    for place, xyz in ((3, gap), (5, late), (7, long)):
        made[place] = Recording(made[place].name, made[place].action, xyz)
    assert made[5].xyz.shape[1] == 2
    return made


def without_gaps(recording: Recording) -> Recording:
    return Recording(recording.name, recording.action, recording.xyz[recording.xyz.any(axis=(1, 2, 3))])


def expected(recording: Recording) -> Recording:
    """What CTR-GCN's script makes of a recording, cut at 300 frames."""
    moved = centred(without_gaps(recording))
    return Recording(moved.name, moved.action, moved.xyz[:300])


@pytest.mark.parametrize("protocol", ["xsub", "xview"])
def test_ctrgcn_reads_the_export(tmp_path, given, protocol):
    """Plain np.load, as CTR-GCN's feeder does it: rows in its order, joints of two bodies, one-hot labels."""
    path = tmp_path / "NTU60.npz"
    done = export_ctrgcn(store_of(tmp_path, given[::-1]), path, protocol)
    with np.load(path) as arrays:
        assert sorted(arrays) == ["x_test", "x_train", "y_test", "y_train"]
        for part in ("train", "test"):
            rows = ctrgcn_rows(given, protocol, part)
            x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
            assert x.dtype == np.float32 and x.shape == (len(rows), 300, 150) and y.shape == (len(rows), 60)
            assert np.where(y > 0)[1].tolist() == [r.action - 1 for r in rows]
            wanted = np.stack([padded(expected(r), 300) for r in rows])
            assert np.array_equal(x.reshape(len(rows), 300, 2, 25, 3), wanted)
    assert done.clips == {part: len(ctrgcn_rows(given, protocol, part)) for part in ("train", "test")}
    assert done.counts == {"frames left out: nobody is seen": 4, "clips cut after 300 frames": 1}


@pytest.mark.parametrize("protocol", ["xsub", "xview"])
def test_ctrgcn_there_and_back(tmp_path, given, protocol):
    """Names, labels and parts come back; coordinates up to the origin and the frames that the layout leaves out."""
    store = store_of(tmp_path, given)
    export_ctrgcn(store, tmp_path / "out" / "NTU60_export.npz", protocol)
    back = open_dataset("ctrgcn", tmp_path / "out", tmp_path, workers=1, protocol=protocol)
    assert sorted(back.names) == sorted(store.names)
    for recording in given:
        clip = back[back.names.index(recording.name)]
        assert np.array_equal(clip.xyz, expected(recording).xyz)
        assert clip.label == recording.action - 1 and clip.splits == {protocol: part_of(recording, protocol)}
    for part in ("train", "test"):
        names = {store.names[i] for i in getattr(make_split(store, protocol), part)}
        assert names == {back.names[i] for i in getattr(make_split(back, protocol), part)}


def test_walking_and_the_distance_between_two_people_survive(tmp_path, given):
    export_ctrgcn(store_of(tmp_path, given), tmp_path / "NTU60_CS.npz", "xsub")
    back = open_dataset("ctrgcn", tmp_path / "NTU60_CS.npz", tmp_path, workers=1)
    for recording in given:
        if recording.xyz.shape[1] == 2:
            clip, kept = back[back.names.index(recording.name)], without_gaps(recording)
            both = kept.xyz.any(axis=(2, 3)).all(axis=1)
            apart = kept.xyz[both, 0] - kept.xyz[both, 1]
            assert np.allclose(clip.xyz[both, 0] - clip.xyz[both, 1], apart, atol=1e-6)


def test_ntu120_lonely_bodies_are_written_twice_as_ctrgcn_does(tmp_path):
    given = recordings(30, classes=120)
    store = store_of(tmp_path, given, "ntu120")
    export_ctrgcn(store, tmp_path / "NTU120_CSub.npz", "xsub")
    with np.load(tmp_path / "NTU120_CSub.npz") as arrays:
        x = arrays["x_train"].reshape(-1, 300, 2, 75)
        assert arrays["y_train"].shape[1] == 120
    lonely = [r.xyz.shape[1] == 1 for r in ctrgcn_rows(given, "xsub", "train")]
    assert [bool((row[:, 0] == row[:, 1]).all()) for row in x] == lonely
    back = open_dataset("ctrgcn", tmp_path / "NTU120_CSub.npz", tmp_path, workers=1)
    assert {n: back[i].xyz.shape[1] for i, n in enumerate(back.names)} == {r.name: r.xyz.shape[1] for r in given}


def pku_store(folder: Path) -> SkeletonStore:
    """PKU-MMD II: 41 classes of the 51 ids, parts from a published list."""
    rng = np.random.default_rng(0)
    classes, ids = class_list("pku2")
    clips = []
    for number in range(12):
        label = int(rng.integers(41))
        name = f"A{number + 1:03d}N{number % 3 + 1:03d}V001C{ids[label]:03d}L001"
        recording = Recording(name, 0, rng.normal(size=(15, 1, 25, 3)).astype(np.float32))
        clips.append(
            Clip(
                name=name,
                xyz=recording.xyz,
                present=np.ones((15, 1), bool),
                frames=np.arange(15, dtype=np.int32),
                label=label,
                subject=number % 3 + 1,
                splits={"xsub": "test" if number % 3 == 1 else "train"},
            )
        )
    return write_store(
        folder / "store", clips, dataset="pku2", layout=NTU25, classes=list(classes), class_ids=list(ids)
    )


@pytest.mark.parametrize("layout", ["ctrgcn", "pyskl"])
def test_pku_labels_are_published_ids_and_names_come_back(tmp_path, layout):
    store = pku_store(tmp_path)
    if layout == "ctrgcn":
        export_ctrgcn(store, tmp_path / "PKUv2_XSub.npz", "xsub")
        with np.load(tmp_path / "PKUv2_XSub.npz") as arrays:
            assert arrays["y_train"].shape == (8, 51)
        back = open_dataset("ctrgcn", tmp_path / "PKUv2_XSub.npz", tmp_path, workers=1)
    else:
        export_pyskl(store, tmp_path / "pku2.pkl")
        back = open_dataset("pyskl", tmp_path / "pku2.pkl", tmp_path, workers=1)
    assert back.dataset == "pku2" and sorted(back.names) == sorted(store.names)
    for index, name in enumerate(back.names):
        original = store[store.names.index(name)]
        assert back[index].label == original.label and back[index].splits == original.splits
        assert np.allclose(np.diff(back[index].xyz, axis=0), np.diff(original.xyz, axis=0), atol=1e-5)


def test_pyskl_reads_the_export(tmp_path, given):
    """Plain pickle.load, as mmcv does it, gives plain dicts, lists and numpy arrays."""
    path = tmp_path / "ntu60_3danno.pkl"
    done = export_pyskl(store_of(tmp_path, given), path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open(path, "rb") as stream:
            value = pickle.load(stream)
    assert list(value) == ["made_by", "split", "annotations"]
    notes = open_dataset("pyskl", path, tmp_path / "again").meta["notes"]
    assert "gaps of tracking are where they were" in notes["coordinates"]
    assert list(value["split"]) == ["xsub_train", "xsub_val", "xview_train", "xview_val"] == list(done.clips)
    for protocol in ("xsub", "xview"):
        for part, ending in (("train", "train"), ("test", "val")):
            wanted = [r.name for r in given if part_of(r, protocol) == part]
            assert value["split"][f"{protocol}_{ending}"] == wanted
    for recording, item in zip(given, value["annotations"], strict=True):
        wanted = without_gaps(recording).xyz.transpose(1, 0, 2, 3)
        assert list(item) == ["frame_dir", "label", "total_frames", "keypoint"]
        assert item["frame_dir"] == recording.name and item["label"] == recording.action - 1
        assert item["total_frames"] == item["keypoint"].shape[1] and type(item["keypoint"]) is np.ndarray
        assert item["keypoint"].dtype == np.float32 and np.array_equal(item["keypoint"], wanted)


def test_pyskl_there_and_back(tmp_path, given):
    store = store_of(tmp_path, given)
    export_pyskl(store, tmp_path / "ntu60.pkl")
    back = open_dataset("pyskl", tmp_path / "ntu60.pkl", tmp_path, workers=1)
    assert back.names == store.names and back.labels.tolist() == store.labels.tolist()
    for index, recording in enumerate(given):
        assert np.array_equal(back[index].xyz, without_gaps(recording).xyz)
        assert back[index].splits == {p: part_of(recording, p) for p in ("xsub", "xview")}


def test_pyskl_in_single_precision_by_default(tmp_path, given):
    """PYSKL's own files are off by up to 2 mm: half precision has to be asked for."""
    far = [Recording(r.name, r.action, r.xyz + np.float32([0, 0, 1.1])) for r in given if r.xyz.all()]
    store = store_of(tmp_path, far)
    lost = {}
    for dtype in ("float32", "float16"):
        export_pyskl(store, tmp_path / "ntu60.pkl", dtype)
        back = open_dataset("pyskl", tmp_path / "ntu60.pkl", tmp_path, workers=1)
        lost[dtype] = max(np.abs(back[i].xyz - r.xyz).max() for i, r in enumerate(far))
    assert lost["float32"] == 0 and 5e-4 < lost["float16"] < 5e-3
    with pytest.raises(ConfigError, match="float64"):
        export_pyskl(store, tmp_path / "ntu60.pkl", "float64")


def test_pickles_name_only_what_numpy_1_and_2_both_have(tmp_path, given):
    """numpy/numpy#28340: what NumPy 2 pickles names numpy._core, which the code bases' NumPy 1 does not know."""
    path = tmp_path / "ntu60.pkl"
    export_pyskl(store_of(tmp_path, given), path)
    data = path.read_bytes()
    assert b"numpy.core.multiarray" in data and b"_core" not in data and data[:2] == b"\x80\x04"


@pytest.mark.parametrize("layout", ["ctrgcn", "pyskl"])
def test_the_same_store_gives_the_same_bytes(tmp_path, given, layout):
    store = store_of(tmp_path, given)
    contents = set()
    for number in range(2):
        path = tmp_path / str(number) / "NTU60_CS.npz"
        export_ctrgcn(store, path, "xsub") if layout == "ctrgcn" else export_pyskl(store, path)
        contents.add(path.read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize("layout", ["ctrgcn", "pyskl"])
def test_an_export_that_is_interrupted_leaves_the_old_file(tmp_path, given, layout, monkeypatch):
    store = store_of(tmp_path, given)
    path = tmp_path / "out" / "NTU60_CS.npz"

    def write() -> None:
        export_ctrgcn(store, path, "xsub") if layout == "ctrgcn" else export_pyskl(store, path)

    write()
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    read = SkeletonStore.__getitem__

    def full_disk(self, index):
        if index == 9:
            raise OSError(28, "No space left on device")
        return read(self, index)

    monkeypatch.setattr(SkeletonStore, "__getitem__", full_disk)
    with pytest.raises(StorageError, match="No space left on device"):
        write()
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.parametrize("layout", ["ctrgcn", "pyskl"])
def test_memory_does_not_grow_with_the_set(tmp_path, layout):
    """60 clips of 300 frames make 11 MB; one at a time is held."""
    long = [Recording(r.name, r.action, np.repeat(r.xyz, 20, axis=0)[:300]) for r in recordings(60)]
    store, told = store_of(tmp_path, long), []
    write = partial(export_ctrgcn, protocol="xsub") if layout == "ctrgcn" else export_pyskl
    tracemalloc.start()
    try:
        write(store, tmp_path / "NTU60_CS.npz", progress=told.append)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "NTU60_CS.npz").stat().st_size > 7 * 2**20 and peak < 3 * 2**20
    assert told == [f"{layout}: 60/60 clips written"]


def test_stores_that_the_layouts_cannot_hold(tmp_path, given):
    clip = Clip("a", np.ones((4, 1, 20, 3), np.float32), np.ones((4, 1), bool), np.arange(4, dtype=np.int32), 0)
    small = write_store(tmp_path / "small", [clip], dataset="own", layout=KINECT20, classes=["one"])
    with pytest.raises(ConfigError, match="holds 25 joints, this store has the 20 of kinect20"):
        export_ctrgcn(small, tmp_path / "a.npz", "xsub")
    done = export_pyskl(small, tmp_path / "a.pkl")
    assert done.counts["protocols left out, since the store has not both parts: xsub"] == 1
    store = store_of(tmp_path, given)
    with pytest.raises(ConfigError, match="no protocol named 'xset'"):
        export_ctrgcn(store, tmp_path / "a.npz", "xset")
    alone = store_of(tmp_path / "alone", [r for r in given if part_of(r, "xsub") == "train"])
    with pytest.raises(DataError, match="0 test clips"):
        export_ctrgcn(alone, tmp_path / "a.npz", "xsub")
    assert not (tmp_path / "a.npz").exists()


def test_a_body_that_is_not_seen_is_zero_and_a_third_is_left_out(tmp_path):
    """A store's rows of an absent body are zero; whatever they were, the layouts get zeros."""
    xyz = np.random.default_rng(0).normal(size=(6, 3, 25, 3)).astype(np.float32)
    present = np.ones((6, 3), bool)
    present[2, 1] = False
    clips = [
        Clip(f"S001C00{c}P00{c}R001A001", xyz, present, np.arange(6, dtype=np.int32), 0, subject=c, camera=c)
        for c in (1, 2, 3)
    ]
    store = write_store(tmp_path / "s", clips, dataset="ntu60", layout=NTU25, classes=list(class_list("ntu60")[0]))
    done = export_pyskl(store, tmp_path / "a.pkl")
    with open(tmp_path / "a.pkl", "rb") as stream:
        keypoint = pickle.load(stream)["annotations"][0]["keypoint"]
    assert keypoint.shape == (2, 6, 25, 3) and not keypoint[1, 2].any()
    assert done.counts == {"bodies left out: more than 2 in a clip": 3}


@pytest.mark.parametrize("layout", ["pyskl", "ctrgcn"])
def test_the_command_says_what_was_written(layout, tmp_path, capsys):
    store = open_dataset("generated", work_dir=tmp_path, performers=2)
    assert main(["export", str(store.path), layout, str(tmp_path / "out.file")]) == 0
    assert "Written: " in (shown := capsys.readouterr().out) and "clips: " in shown
