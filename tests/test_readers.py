"""Readers of real sets as published."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
import zipfile
import zlib
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
    ("name", "protocol", "counts", "first", "digest"),
    [
        ("nw-ucla", "xview", (1020, 464), "a01_s01_e00_v01", "25293277080e3f60"),
        ("utd-mhad", "xsub", (431, 430), "a1_s1_t1", "b1fe5ae2346c2ef5"),
        ("msr-action3d", "xsub", (284, 273), "a01_s01_e01", "5a5e947b51ad2845"),
    ],
)
def test_real_sets_give_the_published_counts_in_one_frame_of_reference(tmp_path, name, protocol, counts, first, digest):
    store = real_store(name, tmp_path)
    split = make_split(store, protocol)
    assert (len(split.train), len(split.test)) == counts and first in store.names
    assert hashlib.sha256(store.xyz.tobytes()).hexdigest()[:16] == digest  # the first results were made from these
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
    assert absent == store.meta["notes"]["counts"]["frames without a body"] == 252
    assert len(store.meta["notes"]["dropped"]) == 10


def test_a_wrong_label_in_a_ucla_file_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "all_sqe.zip", "w") as archive:
        archive.writestr("all_sqe/a01_s01_e00_v01.json", '{"skeletons": [], "label": 11}')
    with pytest.raises(DataError, match=r"a01_s01_e00_v01.json: label 11 .* 10 classes"):
        open_dataset("nw-ucla", tmp_path, tmp_path / "work")


MATLAB_HEAD = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"


def matlab_file(shape: tuple[int, ...], numbers: int, name: str = "d_skel", kind: int = 9) -> bytes:
    """A Matlab file of one variable of bytes that claims ``shape`` and holds ``numbers`` zeros."""
    text = name.encode().ljust(-len(name) % 8 + len(name), b"\0")
    dims = np.array(shape, "<i4").tobytes()
    head = struct.pack("<IIII", 6, 8, kind, 0) + struct.pack("<II", 5, len(dims)) + dims.ljust(-(-len(dims) // 8) * 8)
    head += struct.pack("<II", 1, len(name)) + text + struct.pack("<II", 2, numbers)
    packer, block = zlib.compressobj(9), bytes(2**20)
    data = packer.compress(struct.pack("<II", 14, len(head) + numbers) + head)
    for start in range(0, numbers, len(block)):
        data += packer.compress(block[: numbers - start])
    data += packer.flush()
    return MATLAB_HEAD + struct.pack("<II", 15, len(data)) + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (matlab_file((20, 3, 10_001), 600_060), r"at most 10000 frames, found uint8 \(20, 3, 10001\)"),
        (matlab_file((20, 3, 2**30), 60), r"found uint8 \(20, 3, 1073741824\)"),
        (matlab_file((20, 3, 4), 2**24), "variables that unpack to over 4800000 bytes"),
        (matlab_file((20, 3, 200_000), 12_000_000), "variables that unpack to over 4800000 bytes"),
        (matlab_file((3, 20, 4), 240), r"found uint8 \(3, 20, 4\)"),
        (matlab_file((20, 3, 4), 240, kind=1), r"found cell \(20, 3, 4\)"),
        (matlab_file((20, 3, 4), 240, name="d_iner"), r"the variable d_skel \(it holds d_iner\)"),
    ],
)
def test_matlab_files_are_looked_at_before_they_are_unpacked(tmp_path, monkeypatch, data, message):
    """480 kB of a compressed variable may become gigabytes; what it claims to be is not what it unpacks to."""
    import scipy.io

    write_small_set("utd-mhad", tmp_path, {"a1_s1_t2_skeleton.mat": data})
    loaded = []
    monkeypatch.setattr(scipy.io, "loadmat", lambda *a, load=scipy.io.loadmat, **k: loaded.append(a) or load(*a, **k))
    store = open_dataset("utd-mhad", tmp_path, tmp_path / "work", workers=1, skip_bad=True)
    assert len(store) == 1 and len(loaded) == 1  # only the sound one
    ((where, sentence),) = store.meta["notes"]["faults"].items()
    assert where.endswith("a1_s1_t2_skeleton.mat") and where in sentence and re.search(message, sentence)


def test_a_matlab_file_of_bytes_is_read(tmp_path):
    write_small_set("utd-mhad", tmp_path, {"a1_s1_t2_skeleton.mat": matlab_file((20, 3, 100), 6000)})
    store = open_dataset("utd-mhad", tmp_path, tmp_path / "work", workers=1)
    assert list(store.lengths) == [4, 100]


def write_small_set(name: str, root: Path, broken: dict[str, bytes]) -> None:
    """An archive of one good clip of a small set, and files that are none; MSR-Action3D with its list."""
    from scipy.io import savemat

    mat = io.BytesIO()
    savemat(mat, {"d_skel": np.ones((20, 3, 4))})
    archive, file, good = {
        "nw-ucla": (
            "all_sqe.zip",
            "a01_s01_e00_v01.json",
            json.dumps({"skeletons": [[[1, 2, 3]] * 20], "label": 1}).encode(),
        ),
        "utd-mhad": ("Skeleton.zip", "a1_s1_t1_skeleton.mat", mat.getvalue()),
        "msr-action3d": ("MSRAction3DSkeletonReal3D.zip", "a01_s01_e01_skeleton3D.txt", b"1 2 3 1\n" * 20),
    }[name]
    with zipfile.ZipFile(root / archive, "w") as stream:
        for member, content in {file: good, **broken}.items():
            stream.writestr(member, content)
    listed = [Path(member).stem.removesuffix("_skeleton3D") for member in (file, *broken) if "_e" in member]
    (root / "files_used_in_cvpr12_paper.txt").write_text("\n".join(listed))


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        (
            "nw-ucla",
            {
                "a01_s01_e01_v01.json": b'{"skeletons": [[[1, 2]]], "label": 1}',
                "a01_s01_e02_v01.json": b"[" * 100_000,
                "a01_s01_e03_v01.json": b'{"skeletons": [], "label": Infinity}',
                "a01_s01_e04_v01.json": b'{"skeletons": [], "label": 2}',
                "a01_s01_e05_v01.json": b'["skeletons"]',
                "notes.json": b"{}",
            },
        ),
        ("utd-mhad", {"a1_s1_t2_skeleton.mat": b"MATLAB 5.0", "a28_s1_t1_skeleton.mat": b"", "x.mat": b""}),
        (
            "msr-action3d",
            {
                "a01_s01_e02_skeleton3D.txt": b"1 2 3 1\n" * 19,
                "a01_s01_e03_skeleton3D.txt": b"1 2 three 1\n" * 20,
                "a21_s01_e01_skeleton3D.txt": b"1 2 3 1\n" * 20,
                "readme.txt": b"",
            },
        ),
    ],
)
def test_a_broken_file_is_named_and_the_others_are_read(tmp_path, name, broken):
    write_small_set(name, tmp_path, broken)
    with pytest.raises(DataError, match=f"{len(broken)} files cannot be used"):
        open_dataset(name, tmp_path, tmp_path / "work", workers=1)
    store = open_dataset(name, tmp_path, tmp_path / "work", workers=1, skip_bad=True)
    faults = store.meta["notes"]["faults"]
    assert len(store) == 1 and {key.split("/")[-1] for key in faults} == set(broken)
    assert all(member in " ".join(faults.values()) for member in broken)


def test_a_listed_msr_file_that_is_not_in_the_archive_is_named(tmp_path):
    write_small_set("msr-action3d", tmp_path, {})
    with open(tmp_path / "files_used_in_cvpr12_paper.txt", "a") as stream:
        stream.write("\na02_s01_e01\n")
    with pytest.raises(DataError, match=r"lacks 1 files .* the first is a02_s01_e01"):
        open_dataset("msr-action3d", tmp_path, tmp_path / "work")
