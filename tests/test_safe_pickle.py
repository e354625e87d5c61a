"""Pickle files: honest ones of every protocol are read, every trick ends in one clear error and nothing is executed."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from c2vl_lab.data.readers import pickle_machine, plain_tree
from c2vl_lab.data.readers.safe_pickle import PickledArray, read_pickle
from c2vl_lab.errors import DataError, MissingError

RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"


def written(folder: Path, data: bytes) -> Path:
    path = folder / "file.pkl"
    path.write_bytes(data)
    return path


def loaded(value):
    """The value with every array read."""
    if isinstance(value, PickledArray):
        return value.load()
    if isinstance(value, dict):
        return {key: loaded(item) for key, item in value.items()}
    return type(value)(map(loaded, value)) if isinstance(value, (list, tuple)) else value


def same(one, other) -> bool:
    if isinstance(other, np.ndarray):
        return one.dtype == other.dtype.newbyteorder("=") and one.shape == other.shape and np.array_equal(one, other)
    if isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in other)
    if isinstance(other, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def honest() -> dict:
    rng = np.random.default_rng(0)
    cube = rng.normal(size=(2, 40, 25, 3))
    name = "S001C001P001R001A001"
    return {
        "annotations": [{"frame_dir": name, "label": 3, "keypoint": cube.astype(kind)} for kind in ("f2", "f4", "f8")],
        "views": [np.asfortranarray(cube), cube.transpose(1, 0, 3, 2), cube[:, ::2], cube.astype(">f4"), cube[:0]],
        "small": [np.arange(5), np.array([True, False]), np.uint8([255]), np.array(7), np.array(["a", "bcd"])],
        "texts": np.array([name] * 300),
        "bytes": np.array([b"x", b"yz"]),
        "scalars": [np.float64(0.1), np.float32(1.5), np.int64(-4), np.bool_(True), np.str_("word")],
        "plain": (
            [1, -1, 2**40, -(2**70), 255, 256, 70000],
            (0.5, None, True, False),
            b"",
            b"\x00\xff\n",
            "",
            "ä\n\\'",
        ),
        "long text": "word " * 400,
        "again": [[name, name]] * 3,
        7: OrderedDict(first=1, second=[2]),
    }


@pytest.mark.parametrize("protocol", range(6))
def test_honest_files_of_every_protocol_pass(tmp_path, protocol):
    value = honest()
    with open(tmp_path / "file.pkl", "wb") as stream:
        pickle.dump(value, stream, protocol=protocol)
    found = read_pickle(tmp_path / "file.pkl")
    assert [array.shape for array in found["views"]] == [array.shape for array in value["views"]]
    assert same(loaded(found), {**value, 7: {"first": 1, "second": [2]}})


@pytest.mark.parametrize("pickler", [pickle.dumps, pickle._dumps])
def test_label_files_of_the_field_pass(tmp_path, pickler):
    """(names, labels) as CrosSCLR and 2s-AGCN write them, through C's and Python's pickler, more than one batch."""
    names, labels = [f"S001C001P{i:03d}R001A001.skeleton" for i in range(2500)], list(range(2500))
    assert read_pickle(written(tmp_path, pickler((names, labels)))) == (names, labels)


def test_a_python_2_file_passes(tmp_path):
    """Python 2 writes texts and the bytes of arrays with the same opcodes."""
    raw = struct.pack("<2f", 1.5, -2)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01(cnumpy\nndarray\nq\x02K\x00\x85U\x01bq\x03tq\x04Rq\x05"
        b"(K\x01K\x02\x85cnumpy\ndtype\nq\x06(U\x02f4K\x00K\x01tq\x07Rq\x08(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff"
        b"\xffK\x00tq\x09b\x89U" + bytes([len(raw)]) + raw + b"tq\x0ab"
    )
    value = read_pickle(written(tmp_path, b"\x80\x02]q\x00(U\x04nameS'it\\'s'\n" + array + b"e."))
    assert value[:2] == ["name", "it's"]
    assert value[2].load().tolist() == [1.5, -2]


def test_large_arrays_stay_in_the_file(tmp_path):
    """Also where their bytes are written as text (mmcv writes protocol 2)."""
    array = np.random.default_rng(0).normal(size=(100, 300)).astype(np.float32)
    for protocol in (2, 4, 5):
        value = read_pickle(written(tmp_path, pickle.dumps([array, array], protocol=protocol)))
        assert value[0] is value[1] and value[0].held == 0
        assert np.array_equal(np.asarray(value[0]), array)


class Executes:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Stateful:
    def __getstate__(self):
        return {"a": 1}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "wish",
    [
        (os.system, "touch executed"),
        (eval, "open('executed', 'w')"),
        (exec, "open('executed', 'w')"),
        (getattr, "text", "upper"),
        (np.fromfile, "executed"),
        (open, "executed", "w"),
        (bytearray, 10**12),
        (subprocess.Popen, "touch executed"),
        (np.zeros, 10**12),
    ],
    ids=lambda wish: f"{wish[0].__module__}.{wish[0].__name__}",
)
def test_nothing_is_executed(tmp_path, monkeypatch, wish, protocol):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, pickle.dumps({"annotations": [Executes(*wish)]}, protocol=protocol))
    with pytest.raises(DataError, match="refused") as found:
        read_pickle(path)
    assert wish[0].__name__ in str(found.value) and str(path) in str(found.value)
    assert not Path("executed").exists()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("thing", [Stateful(), {1, 2}, frozenset([3]), 1j, Path("a"), np.dtype("f4"), np.ma.array([1])])
def test_objects_are_refused(tmp_path, thing, protocol):
    with pytest.raises(DataError, match="Only plain data"):
        read_pickle(written(tmp_path, pickle.dumps([thing], protocol=protocol)))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", Executes(os.system, "touch executed")], object),
        np.zeros(3, "f4,i8"),
        np.zeros(2, "M8[s]"),
        np.zeros(9, "V7"),
    ],
    ids=["objects", "compound", "dates", "void"],
)
def test_arrays_of_other_things_than_numbers_and_texts_are_refused(tmp_path, monkeypatch, array, protocol):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="refused"):
        read_pickle(written(tmp_path, pickle.dumps(array, protocol=protocol)))
    assert not Path("executed").exists()


def state(shape: bytes, code: bytes = b"f4", fortran: bytes = b"\x89", content: bytes = b"C\x04abcd") -> bytes:
    dtype = (
        b"cnumpy\ndtype\nX" + struct.pack("<I", len(code)) + code + b"\x89\x88\x87R(K\x03C\x01<0X\x01\x00\x00\x00<NNN"
    )
    dtype += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return b"(K\x01" + shape + dtype + fortran + content + b"tb"


def test_the_hand_written_array_is_right(tmp_path):
    """So that the refusals below are for the one thing that each changes."""
    value = read_pickle(written(tmp_path, RECONSTRUCT + state(b"K\x01\x85") + b"."))
    assert value.load().tolist() == np.frombuffer(b"abcd", "f4").tolist()


HUGE = b"\x8a\x08" + struct.pack("<q", 2**62)
LAUGHS = b"(]" + b"".join(bytes([113, i]) + b"](" + bytes([104, i]) * 10 + b"e" for i in range(30)) + b"q\x1e1h\x1e."
COLLIDING = b"".join(b"\x8a\x09" + (i * (2**61 - 1)).to_bytes(9, "little") + b"N" for i in range(9))
ENCODING = b"X\xff\x00\x00\x00" + b"a" * 255 + b"q\x00" + b"c_codecs\nencode\nh\x00Vlatin1\n\x86R0" * 3000
TRICKS: dict[str, bytes] = {
    "GLOBAL eval": b"cbuiltins\neval\n(V1+1\ntR.",
    "STACK_GLOBAL": b"\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
    "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93)R.",
    "names that are no text": b"K\x01K\x02\x93.",
    "INST": b"(Vid\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nVid\no.",
    "OBJ of a known name": b"(cnumpy\nndarray\nK\x02o.",
    "NEWOBJ": b"cnumpy\nndarray\nK\x02\x85\x81.",
    "NEWOBJ_EX": b"cnumpy\nndarray\n)}\x92.",
    "PERSID": b"Pfile\n.",
    "BINPERSID": b"Vfile\nQ.",
    "EXT1": b"\x82\x01.",
    "EXT2": b"\x83\x01\x00.",
    "EXT4": b"\x84\x01\x00\x00\x00.",
    "NEXT_BUFFER": b"\x97.",
    "call of a value": b"Vos\n)R.",
    "call of a class": b"cnumpy\nndarray\nK\x02\x85R.",
    "BUILD of a dict": b"}}Va\nK\x01sb.",
    "BUILD of a list": b"]K\x01b.",
    "BUILD of an array with attributes": RECONSTRUCT + b"}V__class__\nK\x01sb.",
    "BUILD twice": RECONSTRUCT + state(b"K\x01\x85") + state(b"K\x01\x85") + b".",
    "append to an array": RECONSTRUCT + b"K\x01a.",
    "items of an array": RECONSTRUCT + b"K\x01K\x02s.",
    "an array without content": RECONSTRUCT + b".",
    "a bare name": b"cnumpy\nndarray\n.",
    "a type as value": b"cnumpy\ndtype\nVf4\n\x85R.",
    "an array of another class": b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nmemmap\nK\x00\x85C\x01b\x87R.",
    "another encoding": b"c_codecs\nencode\nVabc\nVrot13\n\x86R.",
    "bytes of a length": b"cbuiltins\nbytes\nJ\xff\xff\xff\x7f\x85R.",
    "a shape larger than the bytes": RECONSTRUCT + state(b"K\x64\x85") + b".",
    "a shape smaller than the bytes": RECONSTRUCT + state(b"K\x00\x85") + b".",
    "a huge shape": RECONSTRUCT + state(HUGE + HUGE + b"\x86") + b".",
    "a shape times nothing": RECONSTRUCT + state(b"K\x00" + HUGE + b"\x86", content=b"C\x00") + b".",
    "a negative shape": RECONSTRUCT + state(b"J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86") + b".",
    "a shape that is no tuple": RECONSTRUCT + state(b"K\x01") + b".",
    "twenty axes": RECONSTRUCT + state(b"(" + b"K\x01" * 20 + b"t") + b".",
    "objects in an array": RECONSTRUCT + state(b"K\x01\x85", code=b"O8", content=b"]Va\na") + b".",
    "objects behind a type of numbers": RECONSTRUCT + state(b"K\x01\x85", content=b"]Va\na") + b".",
    "a text of 40 GB": RECONSTRUCT + state(b"K\x01\x85", code=b"U9999999999") + b".",
    "BINBYTES8": b"\x8e" + struct.pack("<Q", 2**62) + b"abc.",
    "BINBYTES": b"B\xff\xff\xff\xffabc.",
    "BINUNICODE8": b"\x8d" + struct.pack("<Q", 2**63) + b"abc.",
    "BYTEARRAY8": b"\x96" + struct.pack("<Q", 2**40) + b"abc.",
    "BINSTRING": b"T\xff\xff\xff\x7fabc.",
    "a BINSTRING of negative length": b"T\xff\xff\xff\xffabc.",
    "FRAME": b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"N.",
    "LONG4": b"\x8b\xff\xff\xff\x7f\x01.",
    "a LONG4 of negative length": b"\x8b\xff\xff\xff\xff\x01.",
    "LONG1 of 255 bytes": b"\x8a\xff" + b"\x7f" * 255 + b".",
    "INT of a million digits": b"I" + b"9" * 10**6 + b"\n.",
    "LONG of a million digits": b"L" + b"9" * 10**6 + b"L\n.",
    "a place of a million digits": b"Np" + b"9" * 10**6 + b"\n.",
    "a line without end": b"V" + b"a" * 20_000_000,
    "no whole number": b"Iabc\n.",
    "no number": b"Fabc\n.",
    "a wrong escape": b"S'\\x'\n.",
    "a text without quotes": b"Sabc\n.",
    "a text that is no UTF-8": b"X\x02\x00\x00\x00\xff\xfe.",
    "an empty place of the memo": b"h\x05.",
    "POP of nothing": b"0.",
    "TUPLE without MARK": b"NNt.",
    "APPENDS below the MARK": b"](00e.",
    "a key without a value": b"(Va\nd.",
    "a list as key": b"}]Ns.",
    "keys that collide": b"}(" + COLLIDING + b"u.",
    "a list in itself": b"]q\x00h\x00a.",
    "a dict in itself": b"}q\x00Va\nh\x00s.",
    "lists 10^6 deep": b"]" * 10**6 + b"a" * (10**6 - 1) + b".",
    "tuples 10^6 deep": b")" + b"\x85" * 10**6 + b".",
    "dicts 10^5 deep": b"}K\x01" * 10**5 + b"N" + b"s" * 10**5 + b".",
    "billion laughs": LAUGHS,
    "marks by the million": b"(" * 10**6 + b"N.",
    "values by the million": b"N" * 5 * 10**6 + b".",
    "two values": b"NN.",
    "no value": b".",
    "an empty file": b"",
    "a protocol of the future": b"\x80\x06N.",
    "text": b"these are words\n",
    "an HTML page": b"<!DOCTYPE html><html>",
    "a zip": b"PK\x03\x04" + bytes(100),
    "zeros": bytes(1000),
}  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_ends_in_one_clear_error(tmp_path, monkeypatch, trick):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, TRICKS[trick])
    before = set(tmp_path.iterdir())
    with pytest.raises(DataError) as found:
        read_pickle(path)
    assert str(path) in str(found.value) and ", byte " in str(found.value) and len(str(found.value)) < 700
    assert set(tmp_path.iterdir()) == before


def test_all_tricks_together_stay_within_the_memory(tmp_path):
    """Under a limit of the operating system, in a process of its own."""
    for number, data in enumerate(TRICKS.values()):
        (tmp_path / f"{number}.pkl").write_bytes(data)
    code = (
        "import resource, sys, pathlib\n"
        "from c2vl_lab.data.readers.safe_pickle import read_pickle\n"
        "from c2vl_lab.errors import DataError\n"
        "used = int(pathlib.Path('/proc/self/statm').read_text().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    try:\n        read_pickle(path)\n"
        "    except DataError:\n        continue\n"
        "    sys.exit(path.name)\n"
    )
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc")
    answer = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-2000:]


def test_a_memo_of_huge_places_costs_nothing(tmp_path):
    """C's unpickler allocates a table up to the place that a file names."""
    assert read_pickle(written(tmp_path, b"Va\nr\xff\xff\xff\xffj\xff\xff\xff\xff\x86.")) == ("a", "a")


@pytest.mark.parametrize(
    "data", [b"}0" * 3000, b"(" + b"K\x01" * 20000 + b"l.", b"]0" * 3000, b"Nq\x000" * 3000, ENCODING]
)
def test_small_values_are_counted(tmp_path, monkeypatch, data):
    monkeypatch.setattr(pickle_machine, "MEMORY", 200_000)
    with pytest.raises(DataError, match="of memory"):
        read_pickle(written(tmp_path, data))


def test_operations_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(pickle_machine, "OPCODES", 1000)
    with pytest.raises(DataError, match="more than 1000 operations"):
        read_pickle(written(tmp_path, b"N0" * 1000 + b"N."))


def test_one_array_pointed_to_too_often_is_refused(tmp_path, monkeypatch):
    """Each walk over such a file would read the same bytes again and again."""
    array = np.zeros(300_000, np.float32)
    assert len(read_pickle(written(tmp_path, pickle.dumps([array] * 8)))) == 8
    with pytest.raises(DataError, match="repeated so often"):
        read_pickle(written(tmp_path, pickle.dumps([array] * 100)))
    monkeypatch.setattr(plain_tree, "WALK", 100)
    with pytest.raises(DataError, match="repeated so often"):
        read_pickle(written(tmp_path, pickle.dumps([["a"] * 10] * 50)))


def test_a_file_that_changed_after_it_was_looked_through_is_named(tmp_path):
    array = np.arange(5000)
    for protocol, data in ((2, b"\xff" * 10**6), (4, b"x"), (4, b"x" * 10**6)):
        path = written(tmp_path, pickle.dumps(array, protocol=protocol))
        value = read_pickle(path)
        path.write_bytes(data)
        if len(data) > 1 and protocol == 4:
            assert value.load().shape == (5000,)
            continue
        with pytest.raises(DataError, match=r"file\.pkl, byte \d+"):
            value.load()


def test_a_text_that_stands_for_too_few_bytes_is_named(tmp_path):
    """Whether a text written for bytes has as many characters as the shape wants is known when it is read."""
    honest_file = pickle.dumps(np.full(5000, 200, np.uint8), protocol=2)
    lie = honest_file.replace(b"M\x88\x13", b"M\x70\x17")  # 5000 -> 6000
    with pytest.raises(DataError, match="wants 6000 bytes, found 5000"):
        read_pickle(written(tmp_path, lie)).load()


def test_every_cut_of_an_honest_file_is_an_error(tmp_path):
    data = pickle.dumps({"a": [np.arange(3.0), "text"], "b": (1, 2.5)}, protocol=4)
    for length in range(len(data)):
        with pytest.raises(DataError):
            read_pickle(written(tmp_path, data[:length]))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_mutated_files_end_in_a_value_or_a_data_error(tmp_path, protocol):
    rng = np.random.default_rng(protocol)
    data = bytearray(pickle.dumps(honest(), protocol=protocol))
    for _ in range(150):
        copy = bytearray(data)
        for place in rng.integers(0, len(copy), size=int(rng.integers(1, 6))):
            copy[place] = rng.integers(256)
        try:
            loaded(read_pickle(written(tmp_path, bytes(copy))))
        except DataError as error:
            assert "file.pkl" in str(error)


def test_no_file(tmp_path):
    with pytest.raises(MissingError, match="none"):
        read_pickle(tmp_path / "none.pkl")
