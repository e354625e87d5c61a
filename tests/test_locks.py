"""One caller a folder: by the lock on one machine, by the lease between machines and without locks."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import time

import pytest

from c2vl_lab.bench import locks
from c2vl_lab.bench.locks import LEASE, LEASE_FILE, LOCK, is_taken, take_folder


@pytest.fixture
def no_locks(monkeypatch):
    """A file system that knows no locks."""

    def refuse(handle, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)


def lease_of(folder, host, pid=1, age=0.0):
    """Another caller's lease, touched so many seconds ago."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOCK).touch()
    (folder / LEASE_FILE).write_text(json.dumps({"token": "theirs", "host": host, "pid": pid}))
    then = time.time() - age
    os.utime(folder / LEASE_FILE, (then, then))


def test_a_folder_is_taken_once_and_given_back(tmp_path):
    lock = take_folder(tmp_path)
    assert lock is not None and is_taken(tmp_path)
    assert take_folder(tmp_path) is None
    lock.close()
    assert not is_taken(tmp_path) and not (tmp_path / LEASE_FILE).exists()
    again = take_folder(tmp_path)
    assert again is not None
    again.close()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_a_killed_callers_lease_counts_for_nothing_on_its_own_machine(tmp_path):
    lease_of(tmp_path, locks.socket.gethostname(), pid=os.getpid())
    assert not is_taken(tmp_path), "the system has given the lock back, so the lease is a dead one's"
    lock = take_folder(tmp_path)
    assert lock is not None
    lock.close()


@pytest.mark.parametrize("known", [True, False], ids=["locks", "no locks"])
def test_another_machines_lease_counts_while_it_is_touched(tmp_path, known, request):
    if not known:
        request.getfixturevalue("no_locks")
    lease_of(tmp_path, "elsewhere", age=LEASE - 60)
    assert is_taken(tmp_path) and take_folder(tmp_path) is None
    assert "theirs" in (tmp_path / LEASE_FILE).read_text()
    lease_of(tmp_path, "elsewhere", age=LEASE + 60)
    assert not is_taken(tmp_path)
    lock = take_folder(tmp_path)
    assert lock is not None and "theirs" not in (tmp_path / LEASE_FILE).read_text()
    lock.close()
    assert not list(tmp_path.glob(".now*")) and not list(tmp_path.glob(".lease*"))


def test_without_locks_a_living_process_of_this_machine_keeps_its_folder(tmp_path, no_locks):
    lock = take_folder(tmp_path)
    assert lock is not None and is_taken(tmp_path) and take_folder(tmp_path) is None
    lock.close()
    lease_of(tmp_path, locks.socket.gethostname(), pid=2**30)
    taken = take_folder(tmp_path)
    assert taken is not None
    taken.close()


def test_a_lease_is_touched_and_never_anothers(tmp_path, monkeypatch):
    lock = take_folder(tmp_path)
    assert lock is not None
    monkeypatch.setattr(locks, "BEAT", 0.0)
    os.utime(tmp_path / LEASE_FILE, (1, 1))
    lock.beat()
    assert (tmp_path / LEASE_FILE).stat().st_mtime > time.time() - 60
    lease_of(tmp_path, "elsewhere", age=1000)  # it was silent too long, and has lost the folder
    lock.beat()
    lock.close()
    assert "theirs" in (tmp_path / LEASE_FILE).read_text()
    assert (tmp_path / LEASE_FILE).stat().st_mtime < time.time() - 900


def compete(folder, start, results):
    """Try to take a folder whose holder is dead, with many others at once."""
    start.wait()
    lock = take_folder(folder)
    results.put(os.getpid() if lock else 0)
    start.wait()  # nobody gives it back before all have tried


def test_of_many_callers_one_gets_a_dead_ones_folder(tmp_path, no_locks):
    """Without locks, forked so that the stand-in for the file system is theirs too."""
    lease_of(tmp_path, "elsewhere", age=LEASE + 60)
    fork, count = multiprocessing.get_context("fork"), 8
    start, results = fork.Barrier(count), fork.Queue()
    callers = [fork.Process(target=compete, args=(tmp_path, start, results)) for _ in range(count)]
    for caller in callers:
        caller.start()
    winners = [pid for _ in callers if (pid := results.get(timeout=60))]
    for caller in callers:
        caller.join(60)
    assert len(winners) == 1
