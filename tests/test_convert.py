"""Conversions: the same bytes whatever the workers and the interruptions; faults collected; progress told."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ntu_files import skeleton_text, standing_body

from c2vl_lab.data import datasets, writing
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.convert import convert
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.layouts import KINECT20
from c2vl_lab.data.readers.sources import Part, PartReading, Plan
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import DataError, StorageError


def read(part: Part, context: dict) -> PartReading:
    """Three clips a part; the file 'bad' cannot be used, 'lost' cannot be opened, 'endless' takes too long."""
    time.sleep(600 if set(part.members) & set(context.get("endless", ())) else 0)
    reading = PartReading(files=len(part.members), bytes=100, counts=Counter({"bodies left out": 1}))
    for member in part.members:
        if member in context.get("bad", ()):
            reading.faults[member] = f"{member}, line 7: wanted a number, found 'x'."
            continue
        if member in context.get("lost", ()):
            raise PermissionError(errno.EACCES, "Permission denied", member)
        rng = np.random.default_rng(int(member[1:]))
        frames, bodies = int(rng.integers(4, 9)), int(rng.integers(1, 3))
        xyz = rng.normal(size=(frames, bodies, 20, 3)).astype(np.float32)
        present = np.ones((frames, bodies), bool)
        numbers = np.arange(frames, dtype=np.int32)
        reading.clips.append(Clip(member, xyz, present, numbers, label=0, source=f"{member}.txt"))
    return reading


def plan(parts: int = 12, **context) -> Plan:
    members = [tuple(f"n{3 * p + k}" for k in range(3)) for p in range(parts)]
    return Plan([Part("raw", names) for names in members], KINECT20, ["one"], context=context)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    path = tmp_path_factory.mktemp("straight") / "s"
    convert("x", plan(), read, path, "key", workers=1)
    return content(path)


def test_workers_do_not_change_a_byte(tmp_path, straight):
    store = convert("x", plan(), read, tmp_path / "s", "key", workers=2)
    assert content(tmp_path / "s") == straight
    assert store.names == [f"n{k}" for k in range(36)] and len(list(tmp_path.iterdir())) == 1
    assert store.meta["notes"]["counts"] == {"bodies left out": 12}
    assert store.meta["notes"]["read"] == {"files": 36, "bytes": 1200, "clips": 36}


CHILD = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_convert as t
if __name__ == "__main__":
    t.convert("x", t.plan(endless=("n27",)), t.read, Path({path!r}), "key", workers={workers})
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_conversion_goes_on_and_ends_in_the_same_bytes(tmp_path, straight, workers):
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(tests=str(Path(__file__).parent), path=str(tmp_path / "out" / "s"), workers=workers))
    journal = tmp_path / "out" / ".s.journal"
    for lines in (3, 6):  # killed twice, at moments of its own choosing
        child = subprocess.Popen([sys.executable, script])
        while not journal.exists() or journal.read_bytes().count(b"\n") < lines:
            assert child.poll() is None, "the conversion ended before it was killed"
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    told: list[str] = []
    assert not (tmp_path / "out" / "s").exists()
    convert("x", plan(), read, tmp_path / "out" / "s", "key", told.append, workers=1)
    assert content(tmp_path / "out" / "s") == straight
    done = int(re.search(r"going on after (\d+) of 36 files", told[0])[1])
    assert 15 <= done < 36, "what was complete is not read again"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["s"]


def test_what_a_kill_tore_is_cut_off(tmp_path, straight):
    """Half a part in the arrays, half a line in the journal: as after a kill between two writes."""
    with pytest.raises(DataError, match="Permission denied"):
        convert("x", plan(lost=("n18",)), read, tmp_path / "s", "key", workers=1)
    for name in ("xyz", "present", "frames"):
        with open(tmp_path / ".s.building" / f"{name}.npy", "ab") as stream:
            stream.write(b"torn" * 99)
    with open(tmp_path / ".s.journal", "ab") as stream:
        stream.write(b'{"rows": [{"name": "n18", ')
    convert("x", plan(), read, tmp_path / "s", "key", workers=1)
    assert content(tmp_path / "s") == straight


@pytest.mark.parametrize("step", range(12))
def test_a_disk_that_fills_up_at_any_step(tmp_path, straight, monkeypatch, step):
    """The old store stays usable, the sentence says what to do, and the same call goes on afterwards."""
    convert("x", plan(2), read, tmp_path / "s", "older", workers=1)
    old = content(tmp_path / "s")
    (tmp_path / "s").rename(tmp_path / "kept")
    left = [4 * step]
    real = writing.to_disk

    def full(stream):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(stream)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "to_disk", full)
        with pytest.raises(StorageError, match=r"The disk is full\. Free some space"):
            convert("x", plan(), read, tmp_path / "s", "key", workers=1)
    assert content(tmp_path / "kept") == old and not (tmp_path / "s").exists()
    convert("x", plan(), read, tmp_path / "s", "key", workers=1)
    assert content(tmp_path / "s") == straight


def test_a_journal_of_other_sources_is_not_gone_on_with(tmp_path, straight):
    with pytest.raises(DataError):
        convert("x", plan(lost=("n18",)), read, tmp_path / "s", "other sources", workers=1)
    told: list[str] = []
    convert("x", plan(), read, tmp_path / "s", "key", told.append, workers=1)
    assert content(tmp_path / "s") == straight and not any("going on" in line for line in told)


def test_all_faults_are_collected_and_can_be_left_out(tmp_path):
    broken = plan(bad=("n4", "n20"))
    with pytest.raises(DataError, match=r"x: 2 files cannot be used.*--skip-bad") as caught:
        convert("x", broken, read, tmp_path / "s", "key", workers=1)
    assert "n4, line 7" in str(caught.value) and "n20, line 7" in str(caught.value)
    store = convert("x", broken, read, tmp_path / "s", "key", workers=1, skip_bad=True)
    assert len(store) == 34 and list(store.meta["notes"]["faults"]) == ["n20", "n4"]


def test_more_than_ten_faults_are_counted(tmp_path):
    with pytest.raises(DataError, match=r"cannot be used(.|\n)*and 5 more"):
        convert("x", plan(bad=[f"n{k}" for k in range(15)]), read, tmp_path / "s", "key", workers=1)


def test_a_set_of_faults_alone_leaves_nothing_behind(tmp_path):
    with pytest.raises(DataError, match="n0, line 7"):
        convert("x", plan(1, bad=("n0", "n1", "n2")), read, tmp_path / "s", "key", workers=1)
    assert not list(tmp_path.iterdir())


def test_clips_that_a_store_cannot_hold_become_faults(tmp_path):
    def twice(part, context):
        reading = read(part, context)
        reading.clips.append(reading.clips[0])
        return reading

    store = convert("x", plan(2), twice, tmp_path / "s", "key", workers=1, skip_bad=True)
    assert store.names == [f"n{k}" for k in range(6)]
    assert "the clip name n0 occurs twice" in store.meta["notes"]["faults"]["n0.txt"]


def test_progress_tells_speed_and_what_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("c2vl_lab.data.convert._Teller.EVERY", 0.0)
    told: list[str] = []
    convert("x", plan(4), read, tmp_path / "s", "key", told.append, workers=1)
    assert re.fullmatch(r"x: 3/12 files, \d+ files/s, \d+ s left; 3 clips", told[0])
    assert re.fullmatch(r"x: read 12 files \(0 MB\) in \d+ s, \d+ files/s; 12 clips kept", told[-1])


def test_a_second_call_opens_the_store(tmp_path):
    convert("x", plan(2), read, tmp_path / "s", "key", workers=1)
    again = convert("x", plan(2, lost=("n0",)), read, tmp_path / "s", "key", workers=1)
    assert isinstance(again, SkeletonStore) and len(again) == 6


def test_a_folder_that_may_not_be_read_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "all_sqe.zip").write_bytes(b"PK")

    def refuse(path, *_args, **_kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("c2vl_lab.data.datasets.zip_index", refuse)
    with pytest.raises(DataError, match=r"nw-ucla: .*all_sqe.zip cannot be read \(Permission denied\)"):
        open_dataset("nw-ucla", tmp_path / "raw", tmp_path / "work")


UNGUARDED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_convert as t
print("once", flush=True)
print(len(t.convert("x", t.plan(), t.read, Path({path!r}), "key", workers=2)))
"""


def test_a_script_without_a_main_guard_may_use_workers(tmp_path):
    """Processes that load the script again would wait for the lock that the script itself holds."""
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED.format(tests=str(Path(__file__).parent), path=str(tmp_path / "s")))
    answer = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=400)
    assert answer.stdout.split() == ["once", "36"], answer.stderr


def stopped(path: Path, **context) -> None:
    """A conversion that ended after six parts."""
    with pytest.raises(DataError):
        convert("x", plan(lost=("n18",), **context), read, path, "key", workers=1)


def test_other_parts_of_the_same_sources_are_read_from_the_start(tmp_path, straight):
    stopped(tmp_path / "s")
    whole = plan()
    other = Plan([*whole.parts[6:], *whole.parts[:6]], KINECT20, ["one"], context={})
    store = convert("x", other, read, tmp_path / "s", "key", workers=1)
    assert sorted(store.names) == sorted(f"n{k}" for k in range(36))


@pytest.mark.parametrize("harm", ["shorter", "gone", "no folder"])
def test_a_journal_without_its_data_is_not_believed(tmp_path, straight, harm):
    stopped(tmp_path / "s")
    folder = tmp_path / ".s.building"
    if harm == "shorter":
        os.truncate(folder / "xyz.npy", 500)
    elif harm == "gone":
        (folder / "present.npy").unlink()
    else:
        shutil.rmtree(folder)
    convert("x", plan(), read, tmp_path / "s", "key", workers=1)
    assert content(tmp_path / "s") == straight


def test_a_stopped_conversion_of_other_sources_is_left_alone(tmp_path):
    stopped(tmp_path / "x-other")
    convert("x", plan(), read, tmp_path / "x-new", "key", workers=1)
    told: list[str] = []
    convert("x", plan(), read, tmp_path / "x-other", "key", told.append, workers=1)
    assert any("going on after 18 of 36" in line for line in told)


def test_a_folder_of_stores_that_may_not_be_written_to(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("c2vl_lab.artifacts.fcntl.flock", refuse)
    with pytest.raises(StorageError, match="may not be written to"):
        convert("x", plan(), read, tmp_path / "s", "key", workers=1)


def test_a_newer_reader_makes_a_new_store(tmp_path, monkeypatch):
    (tmp_path / "raw").mkdir()
    body = skeleton_text([[(7, joints)] for joints in standing_body(np.random.default_rng(0), frames=20)])
    (tmp_path / "raw" / "S001C001P001R001A001.skeleton").write_text(body)
    first = open_dataset("ntu60", tmp_path / "raw", tmp_path / "work")
    monkeypatch.setitem(datasets.DATASETS, "ntu60", replace(datasets.DATASETS["ntu60"], version=999))
    assert open_dataset("ntu60", tmp_path / "raw", tmp_path / "work").path != first.path


def test_a_store_with_files_left_out_says_so(tmp_path):
    (tmp_path / "raw").mkdir()
    body = skeleton_text([[(7, joints)] for joints in standing_body(np.random.default_rng(0), frames=20)])
    (tmp_path / "raw" / "S001C001P001R001A001.skeleton").write_text(body)
    (tmp_path / "raw" / "S001C001P001R001A002.skeleton").write_text(body[:900])
    open_dataset("ntu60", tmp_path / "raw", tmp_path / "work", skip_bad=True)
    told: list[str] = []
    assert len(open_dataset("ntu60", tmp_path / "raw", tmp_path / "work", told.append)) == 1
    assert told == ["ntu60: this store was made without 1 file that cannot be used (--skip-bad)"]
