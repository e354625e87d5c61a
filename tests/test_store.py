"""The skeleton store: atomic, memory-mapped, names and true frames kept; one's own arrays."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from c2vl_lab.data import writing
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.datasets import open_dataset, store_from_arrays
from c2vl_lab.data.layouts import KINECT20, NTU25
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.writing import write_store
from c2vl_lab.errors import ConfigError, DataError, MissingError, StorageError


def clip(name: str, frames: int = 5, bodies: int = 1, value: float = 1.0, start: int = 0) -> Clip:
    return Clip(
        name=name,
        xyz=np.full((frames, bodies, 20, 3), value, np.float32),
        present=np.ones((frames, bodies), bool),
        frames=np.arange(start, start + frames, dtype=np.int32),
        label=0,
        subject=3,
        source=f"{name}.txt",
    )


def write(path, clips):
    return write_store(path, clips, dataset="test", layout=KINECT20, classes=["one"])


def test_names_frames_and_values_survive(tmp_path):
    written = [clip("b", 3, 1, 2.0, start=7), clip("a", 6, 2, 3.0)]
    store = write(tmp_path / "s", written)
    assert store.names == ["b", "a"] and store.bodies == 2
    for found, wanted in zip((store[0], store[1]), written, strict=True):
        assert found.name == wanted.name and found.source == wanted.source and found.subject == 3
        assert list(found.frames) == list(wanted.frames)
        np.testing.assert_array_equal(found.xyz, wanted.xyz)
    assert store.xyz.shape == (3 + 6 * 2, 20, 3), "a one-person clip pays for one person"


def test_ids_splits_states_and_colour_survive(tmp_path):
    rng = np.random.default_rng(0)
    more = {"state": rng.integers(0, 3, (5, 2, 20)).astype(np.uint8), "color": rng.normal(size=(5, 2, 20, 2))}
    first = replace(clip("a", bodies=2), ids=("11+12", "13"), splits={"xsub": "train", "xview": "test"}, **more)
    more["color"][0] = np.nan
    second = replace(clip("b", bodies=2), splits={"xsub": "test"}, **more)
    store = write(tmp_path / "s", [first, second])
    assert store[0].ids == ("11+12", "13") and store[1].ids == ()
    assert store[0].splits == {"xsub": "train", "xview": "test"} and store[1].splits == {"xsub": "test"}
    assert store.has("state") and store.has("color") and not write(tmp_path / "t", [clip("a")]).has("color")
    np.testing.assert_array_equal(store[1].state, second.state)
    np.testing.assert_array_equal(store[1].color, second.color.astype(np.float32))
    with pytest.raises(DataError, match="the other clips have state, color, this one has not"):
        write(tmp_path / "s", [first, clip("c", bodies=2)])
    with pytest.raises(DataError, match="this clip has state, color, the clips before it have not"):
        write(tmp_path / "s", [clip("c", bodies=2), first])


def test_the_fingerprint_does_not_depend_on_types(tmp_path):
    other = replace(clip("a"), xyz=clip("a").xyz.astype(np.float64), frames=clip("a").frames.astype(np.int64))
    assert write(tmp_path / "s", [other]).fingerprint == write(tmp_path / "t", [clip("a")]).fingerprint


def test_names_that_look_like_nothing_survive(tmp_path):
    names = ["NA", "null", "nan", 'quote"d, name', "ü"]
    assert write(tmp_path / "s", [clip(name) for name in names]).names == names


def test_a_row_of_the_table_stays_one_line(tmp_path):
    odd = replace(clip("a"), source="a.zip/x\r\n.txt")
    assert write(tmp_path / "s", [odd, clip("b")])[0].source == "a.zip/x??.txt"
    with pytest.raises(DataError, match="printable characters"):
        write(tmp_path / "s", [clip("a\rb")])


def test_reading_is_memory_mapped(tmp_path):
    store = write(tmp_path / "s", [clip("a"), clip("b")])
    part = store[1].xyz
    base = part
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap) and not part.flags.writeable and part.dtype == np.float32


def test_the_fingerprint_follows_the_content(tmp_path):
    first = write(tmp_path / "a", [clip("a")]).fingerprint
    assert write(tmp_path / "b", [clip("a")]).fingerprint == first
    assert write(tmp_path / "c", [clip("a", value=1.5)]).fingerprint != first
    assert write(tmp_path / "d", [clip("other")]).fingerprint != first


@pytest.mark.parametrize("where", ["to_disk", "write_text"])
def test_a_full_disk_leaves_the_old_store(tmp_path, monkeypatch, where):
    write(tmp_path / "s", [clip("old")])

    def fail(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, where, fail)
    with pytest.raises(StorageError, match=r"s: the store cannot be written \(No space left.*The disk is full"):
        write(tmp_path / "s", [clip("new")])
    assert SkeletonStore.open(tmp_path / "s").names == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_folder_that_may_not_be_written_to(tmp_path):
    """In a process without root's rights, for which no folder is read-only."""
    write(tmp_path / "s", [clip("old")])
    code = f"""
        import os, numpy as np
        os.chmod({str(tmp_path)!r}, 0o555)
        from c2vl_lab.data.clips import Clip
        from c2vl_lab.data.layouts import KINECT20
        from c2vl_lab.data.writing import write_store
        from c2vl_lab.errors import StorageError
        if os.getuid() == 0:
            os.setuid(65534)
        clip = Clip("new", np.ones((5, 1, 20, 3), np.float32), np.ones((5, 1), bool), np.arange(5), 0)
        try:
            write_store({str(tmp_path / "s")!r}, [clip], dataset="t", layout=KINECT20, classes=["one"])
        except StorageError as error:
            print(error)
        """
    for folder in tmp_path.parents:  # pytest's folders are closed to others
        if folder.stat().st_uid == os.getuid() and str(folder).startswith(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | 0o055)
    answer = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert "the store cannot be written (Permission denied). The folder may not be written to" in answer.stdout, answer
    os.chmod(tmp_path, 0o755)
    assert SkeletonStore.open(tmp_path / "s").names == ["old"]


def test_a_killed_write_leaves_the_old_store(tmp_path):
    write(tmp_path / "s", [clip("old")])
    script = textwrap.dedent(
        f"""
        import time, numpy as np
        from c2vl_lab.data import writing
        from c2vl_lab.data.layouts import KINECT20
        def wait(*a, **k):
            print("half way", flush=True)
            time.sleep(600)
        writing.write_text = wait
        clip = writing.Clip("new", np.ones((5, 1, 20, 3), np.float32), np.ones((5, 1), bool), np.arange(5), 0)
        writing.write_store({str(tmp_path / "s")!r}, [clip], dataset="t", layout=KINECT20, classes=["one"])
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "half way\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert SkeletonStore.open(tmp_path / "s").names == ["old"]
    write(tmp_path / "s", [clip("newer")])
    assert [path.name for path in tmp_path.iterdir()] == ["s"], "the next writer clears the killed one's files"


@pytest.mark.parametrize(
    ("clips", "sentence"),
    [
        ([], "no clip was read"),
        ([clip("a"), clip("a")], "a.txt: the clip name a occurs twice"),
        ([clip("a", value=float("nan"))], r"a.txt: joint 'spine_base' of body 0 is not finite in frame 0 \(100 such"),
    ],
)
def test_clips_that_would_damage_a_store_are_refused(tmp_path, clips, sentence):
    with pytest.raises(DataError, match=sentence):
        write(tmp_path / "s", clips)
    assert not list(tmp_path.iterdir())


def test_a_store_of_other_format_or_torn_array_is_refused(tmp_path):
    store = write(tmp_path / "s", [clip("a")])
    (store.path / "xyz.npy").write_bytes((store.path / "xyz.npy").read_bytes()[:100])
    with pytest.raises(DataError, match=r"xyz.npy: unreadable"):
        SkeletonStore.open(store.path)
    (store.path / "meta.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="wanted store format 2"):
        SkeletonStore.open(store.path)


def test_second_opening_does_not_read_the_sources_again(tmp_path):
    first = open_dataset("generated", work_dir=tmp_path, performers=1)
    stamp = (first.path / "xyz.npy").stat().st_mtime_ns
    time.sleep(0.01)
    second = open_dataset("generated", work_dir=tmp_path, performers=1)
    assert second.path == first.path and (second.path / "xyz.npy").stat().st_mtime_ns == stamp


def test_several_processes_may_make_one_store(tmp_path):
    code = textwrap.dedent(
        f"""
        import sys, time
        from c2vl_lab.data.datasets import open_dataset
        while time.time() < float(sys.argv[1]):  # all at once
            time.sleep(0.001)
        store = open_dataset("generated", work_dir={str(tmp_path)!r}, performers=1)
        print(store.fingerprint, len(store[0].xyz))
        """
    )
    command = [sys.executable, "-c", code, str(time.time() + 4)]
    callers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [caller.communicate(timeout=400) for caller in callers]
    assert [caller.returncode for caller in callers] == [0] * 4, answers
    assert len({out for out, _ in answers}) == 1
    left = list((tmp_path / "stores").iterdir())
    assert len(left) == 1, "no lock and no half-written or pushed-aside store is left"


def test_own_recordings(tmp_path):
    arrays = [np.ones((4, 25, 3)), np.ones((6, 2, 25, 3))]
    arrays[0][2] = 0  # one frame without a body
    table = pd.DataFrame({"name": ["x", "y"], "label": ["jump", "run"], "subject": [1, 2]})
    store = store_from_arrays(tmp_path / "mine", arrays, table, NTU25, ["run", "jump"], "mine")
    assert list(store.labels) == [1, 0] and not store.generated
    assert list(store[0].present[:, 0]) == [True, True, False, True]
    assert open_dataset(str(tmp_path / "mine")).names == ["x", "y"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"label": ["jump", "fly"]}, "clip y: label 'fly' is none of the classes"),
        ({"label": [0, 7]}, "label 7 is outside the protocol's 2 classes"),
        ({"subject": [1, 2.5]}, "clip y: .*subject.* whole number"),
    ],
)
def test_own_tables_are_checked(tmp_path, change, sentence):
    table = pd.DataFrame({"name": ["x", "y"], "label": [0, 1], "subject": [1, 2]} | change)
    arrays = [np.ones((4, 25, 3))] * 2
    with pytest.raises(DataError, match=sentence):
        store_from_arrays(tmp_path / "mine", arrays, table, NTU25, ["run", "jump"], "mine")
    assert not (tmp_path / "mine").exists()


def test_own_table_must_fit(tmp_path):
    with pytest.raises(DataError, match=r"lacks the columns \['label'\]"):
        store_from_arrays(tmp_path / "m", [np.ones((4, 25, 3))], pd.DataFrame({"name": ["x"]}), NTU25, ["a"], "m")
    with pytest.raises(DataError, match="1 rows and 2 arrays"):
        table = pd.DataFrame({"name": ["x"], "label": [0]})
        store_from_arrays(tmp_path / "m", [np.ones((4, 25, 3))] * 2, table, NTU25, ["a"], "m")


def test_unknown_set_and_absent_store_are_named(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'nw-ucla'"):
        open_dataset("nw-ucal", work_dir=tmp_path)
    with pytest.raises(MissingError, match="No skeleton store at"):
        open_dataset(str(tmp_path / "none"), work_dir=tmp_path)
