"""The sound inputs of every format, as small as the readers take them: what the fuzzer damages."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from benchmarks import fuzz_layouts
from benchmarks.fuzz_archives import sound_zip
from benchmarks.raw_files import moving_body, skeleton_bytes

Files = dict[str, bytes]


@dataclass(frozen=True)
class Format:
    """One way in which recordings come.

    Attributes:
        name: in the table and in ``--case``.
        dataset: name for ``open_dataset``; ``store``: a finished store's folder; ``arrays``: arrays in memory.
        files: path inside the data folder -> bytes of an undamaged input.
        options: for ``open_dataset``.
        alone: every file stands for itself, so an error must name the very file that was damaged.
    """

    name: str
    dataset: str
    files: Callable[[], Files]
    options: dict[str, Any] = field(default_factory=dict)
    alone: bool = True


def _rng(*numbers: int) -> np.random.Generator:
    return np.random.default_rng([7, *numbers])


@cache
def _skeleton_files() -> Files:
    """Three recordings: one person, two people, one with a gap in the tracking."""
    files = {}
    for number, people in enumerate((1, 2, 1)):
        rng = _rng(number)
        bodies = [moving_body(rng, 16, x=1.2 * person - 0.6) for person in range(people)]
        present = np.ones((16, people), bool)
        present[5:7, 0] = number != 2
        name = f"S001C00{number + 1}P001R001A0{50 + number}"
        files[f"{name}.skeleton"] = skeleton_bytes(bodies, rng, present)
    return files


def ntu_folder() -> Files:
    """NTU RGB+D's files in a folder."""
    return {f"nturgb+d_skeletons/{name}": data for name, data in _skeleton_files().items()}


@cache
def _ntu_zip() -> bytes:
    return sound_zip(ntu_folder())


def ntu_zip() -> Files:
    """NTU RGB+D's files in the published archive, and a list of samples to leave out."""
    listed = b"The following files have no usable skeletons:\nS001C002P005R002A008\nS001C003P001R001A052\n"
    return {"nturgbd_skeletons_s001_to_s017.zip": _ntu_zip(), "missing.txt": listed}


@cache
def _nw_ucla() -> bytes:
    members = {}
    for number in range(3):
        body = moving_body(_rng(10, number), 6)[:, :20].round(4)
        content = {"file_name": f"a01_s01_e0{number}_v01", "skeletons": body.tolist(), "label": 1}
        members[f"all_sqe/a01_s01_e0{number}_v01.json"] = json.dumps(content).encode()
    return sound_zip(members)


def nw_ucla() -> Files:
    """NW-UCLA's archive of JSON files."""
    return {"all_sqe.zip": _nw_ucla()}


@cache
def _utd_mhad() -> bytes:
    from scipy.io import savemat

    members = {}
    for number in range(3):
        buffer = io.BytesIO()
        body = moving_body(_rng(20, number), 6)[:, :20].transpose(1, 2, 0)
        savemat(buffer, {"d_skel": body}, do_compression=True)
        members[f"Skeleton/a1_s1_t{number + 1}_skeleton.mat"] = buffer.getvalue()
    return sound_zip(members)


def utd_mhad() -> Files:
    """UTD-MHAD's archive of Matlab files."""
    return {"Skeleton.zip": _utd_mhad()}


@cache
def _msr_action3d() -> bytes:
    members = {}
    for number in range(3):
        rows = np.concatenate([moving_body(_rng(30, number), 6)[:, :20], np.ones((6, 20, 1))], -1).reshape(-1, 4)
        text = "".join(" ".join(f"{value:.7g}" for value in row) + "\n" for row in rows.tolist())
        members[f"MSRAction3DSkeletonReal3D/a01_s01_e0{number + 1}_skeleton3D.txt"] = text.encode()
    return sound_zip(members)


def msr_action3d() -> Files:
    """MSR-Action3D's archive and the list of files that papers use."""
    names = "".join(f"a01_s01_e0{number + 1}\n" for number in range(3))
    return {"MSRAction3DSkeletonReal3D.zip": _msr_action3d(), "files_used_in_cvpr12_paper.txt": names.encode()}


@cache
def _pku_videos(names: tuple[str, ...], ids: tuple[int, ...]) -> Files:
    """Videos of 24 frames and two people, each with two actions, and both split files."""
    files: Files = {}
    for number, name in enumerate(names):
        rng = _rng(40, number)
        two = np.concatenate([moving_body(rng, 24, x).reshape(24, 75) for x in (-0.6, 0.6)], axis=1)
        two[8:11, 75:] = 0
        rows = "".join(" ".join(f"{value:.7g}" for value in row) + "\r\n" for row in two.tolist())
        files[f"Skeleton/{name}.txt"] = rows.encode()
        files[f"Label/{name}.txt"] = f"{ids[0]},2,12,2\r\n{ids[1]},13,23,2\r\n".encode()
    lists = f"Training videos:\r\n{names[0]}, \r\n\r\nValidation videos:\r\n{', '.join(names[1:])}, \r\n"
    files["Split/cross-subject.txt"] = lists.encode()
    files["Split/cross-view.txt"] = lists.replace("videos", "views").encode()
    return files


def pku1() -> Files:
    """PKU-MMD I: skeletons, labels and split files."""
    return _pku_videos(("0002-L", "0002-M", "0003-R"), (1, 51))


def pku2() -> Files:
    """PKU-MMD II: the same under its names."""
    return _pku_videos(("A01N01-L", "A01N01-M", "A02N03-R"), (1, 51))


@cache
def _pku_zip() -> bytes:
    return sound_zip(pku2())


def pku_zip() -> Files:
    """PKU-MMD II in one archive."""
    return {"PKUMMDv2.zip": _pku_zip()}


FORMATS: list[Format] = [
    Format("ntu", "ntu60", ntu_folder),
    Format("ntu-zip", "ntu60", ntu_zip),
    Format("pku1", "pku1", pku1),
    Format("pku2", "pku2", pku2, options={"cut": "start:end"}),
    Format("pku2-zip", "pku2", pku_zip),
    Format("nw-ucla", "nw-ucla", nw_ucla),
    Format("utd-mhad", "utd-mhad", utd_mhad),
    Format("msr-action3d", "msr-action3d", msr_action3d, alone=False),
    Format("frame50", "frame50", fuzz_layouts.frame50, alone=False),
    Format("frame50-npy", "frame50", fuzz_layouts.frame50_arrays, alone=False),
    Format("agcn", "agcn", fuzz_layouts.agcn, alone=False),
    Format("ctrgcn", "ctrgcn", fuzz_layouts.ctrgcn, alone=False),
    Format("pyskl", "pyskl", fuzz_layouts.pyskl),
    Format("store", "store", fuzz_layouts.finished_store, alone=False),
    Format("arrays", "arrays", dict, alone=False),
]
