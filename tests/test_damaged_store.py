"""Damaged stores, odd sources and odd arrays are refused with a sentence that names them; found by the fuzzer."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from benchmarks.fuzz_layouts import finished_store
from c2vl_lab.artifacts import fingerprint, read_json, write_json
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.own import store_from_arrays
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.writing import write_store
from c2vl_lab.errors import DataError, MissingError


@pytest.fixture
def store(tmp_path):
    for name, data in finished_store().items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.mark.parametrize("name", ["xyz.npy", "present.npy", "state.npy", "color.npy", "clips.csv"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(store, name):
    (store / name).unlink()
    os.mkfifo(store / name)
    with pytest.raises(DataError, match=name):
        SkeletonStore.open(store)


def test_a_pipe_for_the_meta_data_is_no_store(store):
    (store / "meta.json").unlink()
    os.mkfifo(store / "meta.json")
    with pytest.raises(MissingError):
        SkeletonStore.open(store)


@pytest.mark.parametrize(
    "start",
    [
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr': '<f4'",  # claims a header of 4 GB
        b"\x93NUMPY\x01\x00\x40\x00{'descr': '<f4', 'fortran_order': False, 'shape': (48,".ljust(74),
        b"\x93NUMPY\x01\x00\x40\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000".ljust(70) + b",)}\n",
    ],
)
def test_a_damaged_header_is_refused(store, start):
    (store / "xyz.npy").write_bytes(start + bytes(1000))
    with pytest.raises(DataError, match=r"xyz\.npy"):
        SkeletonStore.open(store)


def test_a_label_without_a_class_is_refused_by_line(store):
    text = (store / "clips.csv").read_text().split("\n")
    text[2] = text[2].replace("clip1,1,", "clip1,26,")
    (store / "clips.csv").write_text("\n".join(text))
    with pytest.raises(DataError, match=r"clips\.csv, line 3: label 26"):
        SkeletonStore.open(store)


@pytest.mark.parametrize("line", [b"name," * 200_000, b"x" * 100_000])
def test_a_first_line_without_end_is_refused_at_once(store, line):
    (store / "clips.csv").write_bytes(line + b"\n")
    with pytest.raises(DataError, match=r"clips\.csv, line 1") as caught:
        SkeletonStore.open(store)
    assert len(str(caught.value)) < 1000


def test_a_number_beyond_the_table_is_refused(store):
    text = (store / "clips.csv").read_text().replace("clip1,1,2,", f"clip1,1,{10**30},")
    (store / "clips.csv").write_text(text)
    with pytest.raises(DataError, match=r"clips\.csv"):
        SkeletonStore.open(store)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"a": ' + "x" * 100_000])
def test_json_that_nests_without_end_or_is_none_is_refused(tmp_path, text):
    path = tmp_path / "meta.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"meta\.json") as caught:
        read_json(path)
    assert len(str(caught.value)) < 1000


def test_json_of_gigabytes_is_refused_unread(tmp_path):
    path = tmp_path / "meta.json"
    with open(path, "wb") as hole:
        hole.truncate(5 * 2**30)
    with pytest.raises(DataError, match=r"meta\.json.*5368709120"):
        read_json(path)


@pytest.mark.parametrize("number", [10**20, -(10**20), int(1e308)])
def test_a_clip_whose_numbers_the_table_cannot_hold_is_not_written(tmp_path, number):
    xyz = np.ones((3, 1, 25, 3), np.float32)
    clip = Clip("one", xyz, np.ones((3, 1), bool), np.arange(3, dtype=np.int32), 0, subject=number)
    with pytest.raises(DataError, match="subject"):
        write_store(tmp_path / "store", [clip], dataset="own", layout=NTU25, classes=["a"])
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("kind", ["folder", "fifo", "nowhere", "itself", "zero"])
def test_what_is_no_file_is_named_and_never_read(tmp_path, kind):
    path = tmp_path / "all_sqe.npz"
    {
        "folder": lambda: path.mkdir(),
        "fifo": lambda: os.mkfifo(path),
        "nowhere": lambda: path.symlink_to("/no/such/place"),
        "itself": lambda: path.symlink_to(path.name),
        "zero": lambda: path.symlink_to("/dev/zero"),
    }[kind]()
    with pytest.raises((DataError, MissingError), match=r"all_sqe\.npz|" + str(tmp_path)):
        open_dataset("ctrgcn", tmp_path, tmp_path / "work", dataset="ntu60", protocol="xsub")


def own(tmp_path, arrays=None, layout=NTU25, **columns):
    table = pd.DataFrame({"name": ["one"], "label": [0], **columns})
    arrays = [np.random.default_rng(0).normal(size=(4, 25, 3))] if arrays is None else arrays
    return store_from_arrays(tmp_path / "mine", arrays, table, layout, ["wave"])


@pytest.mark.parametrize(
    ("column", "value"),
    [(column, value) for column in ("subject", "split:mine") for value in (float("inf"), [1, 2], {})]
    + [("split:mine", "x" * 100_000), ("label", "x" * 100_000)],
)
def test_an_odd_cell_of_ones_own_table_is_named(tmp_path, column, value):
    with pytest.raises(DataError, match="mine, row 0, clip one") as caught:
        own(tmp_path, **{column: [value]})
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("array", [np.full((4, 25, 3), "x" * 10_000), np.ones((4, 25, 3)) * 1j])
def test_ones_own_arrays_must_be_real_numbers(tmp_path, array):
    with pytest.raises(DataError, match="mine, row 0, clip one: wanted an array of numbers") as caught:
        own(tmp_path, [array])
    assert len(str(caught.value)) < 1000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("factor", [1e30, 1e300])
def test_absurd_coordinates_of_ones_own_are_refused_without_a_warning(tmp_path, factor):
    array = np.random.default_rng(0).normal(size=(4, 25, 3)) * factor
    with pytest.raises(DataError, match="mine, row 0, clip one"):
        own(tmp_path, [array])


def test_an_absent_layout_file_is_named(tmp_path):
    with pytest.raises(MissingError, match=r"nowhere\.json"):
        own(tmp_path, layout=str(tmp_path / "nowhere.json"))


def test_a_name_that_no_file_can_hold_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(DataError, match="printable") as caught:
        own(tmp_path, name=pd.Series(["S001\ud800"], dtype=object))
    assert str(caught.value).encode()


def test_a_missing_list_of_gigabytes_is_refused_unread(tmp_path):
    from c2vl_lab.data.readers.ntu_sources import listed_names

    with open(tmp_path / "missing.txt", "wb") as hole:
        hole.truncate(5 * 2**30)
    with pytest.raises(DataError, match=r"missing\.txt.*5368709120"):
        listed_names(tmp_path / "missing.txt")


def test_names_that_are_no_text_can_be_kept_and_counted(tmp_path):
    value = {"file": "a\udcff.pkl"}
    write_json(tmp_path / "meta.json", value)
    assert read_json(tmp_path / "meta.json") == value
    assert fingerprint(value) != fingerprint({"file": "a.pkl"})
    assert fingerprint({"file": "ä"}) == "fe57e93f96a4fa7d"  # as before


def test_a_source_whose_name_is_no_text_is_named_as_such(tmp_path):
    xyz = np.ones((3, 1, 25, 3), np.float32)
    clip = Clip("one", xyz, np.ones((3, 1), bool), np.arange(3, dtype=np.int32), 0, source="a\udcff.pkl, row 0")
    with pytest.raises(DataError, match=r"udcff.*Rename the file"):
        write_store(tmp_path / "store", [clip], dataset="own", layout=NTU25, classes=["a"])
