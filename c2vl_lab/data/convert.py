"""From raw files to a store: parts read in parallel over the cores, written in order, resumed where it was killed."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import fingerprint, only_writer
from c2vl_lab.data.disk import storage_errors
from c2vl_lab.data.readers.sources import Part, PartReading, Plan, Progress
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.summary import many, unit_of
from c2vl_lab.data.writing import StoreWriter
from c2vl_lab.errors import DataError

PARTS_A_WORKER = 2  # fewer are not worth the start of a process
SHOWN_FAULTS = 10
Read = Callable[[Part, Any], PartReading]


def convert(
    name: str,
    plan: Plan,
    read: Read,
    path: Path,
    key: str,
    progress: Progress = None,
    workers: int = 0,
    skip_bad: bool = False,
) -> SkeletonStore:
    """Read all parts of a set into a store; the result does not depend on the workers, nor on interruptions.

    Args:
        name: the set's name in messages.
        plan: the parts in the order of the store, and what holds for all.
        read: reads one part; a picklable function.
        path: folder of the store; one that another process has written in the meantime is opened.
        key: identifies sources, options and reader; a conversion of the same key is gone on with.
        progress: told the speed, what is left and, at the end, what was read.
        workers: processes; 0: one a core. One reads in this process.
        skip_bad: leave out files that cannot be used; they are listed in the store's notes.

    Raises:
        DataError: files that cannot be used (the first ten are named), or no clip at all.
        StorageError: the disk is full or read-only; the same command goes on where it was.
    """
    with _folders_of(path), storage_errors(path), only_writer(path):
        if (path / "meta.json").exists():
            return SkeletonStore.open(path)
        # other parts than those of the journal, of the same sources, would put clips in twice or leave some out
        parts = fingerprint([repr(part) for part in plan.parts])
        writer = StoreWriter(path, plan.layout, len(plan.classes), plan.extras, f"{key} {parts}")
        try:
            todo = plan.parts[writer.parts :]
            tell = _Teller(name, plan.parts, writer, progress)
            for reading in _readings(todo, read, plan.context, _worker_count(workers, len(todo))):
                writer.append(reading)
                tell()
            if not writer.clips:  # nothing to go on with
                writer.discard()
            if writer.faults and not skip_bad:
                raise DataError(_fault_list(name, writer.faults))
            store = writer.finish(plan.dataset or name, plan.classes, plan.class_ids, notes=plan.notes)
        finally:
            writer.close()
    tell.end()
    return store


@contextmanager
def _folders_of(path: Path) -> Iterator[None]:
    """The folders above ``path``; those that were made for nothing are removed again."""
    new = [folder for folder in path.parents if not folder.exists()]
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        with suppress(OSError):  # the first that is not empty ends it
            for folder in new:
                folder.rmdir()


def available_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _worker_count(asked: int, parts: int) -> int:
    """As many processes as were asked for, or as have enough to do."""
    return min(asked, parts) if asked else min(available_cores(), parts // PARTS_A_WORKER)


def _readings(parts: list[Part], read: Read, context: Any, workers: int) -> Iterator[PartReading]:
    """The parts' readings in order; never more than two a worker are waiting in memory."""
    if workers <= 1:
        yield from (_read_one(read, part, context) for part in parts)
        return
    # spawn: a fork of a process with threads (a notebook, torch) may hang
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(read, context, os.getpid())
    )
    waiting: deque[Future[PartReading]] = deque()
    queue = iter(parts)
    try:
        for part in queue:
            with _main_hidden():
                waiting.append(pool.submit(_read_part, part))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            "A reading process was killed, most likely for want of memory. Run the same command with --workers 1: it "
            "goes on with the rest."
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Processes that are started meanwhile do not load the caller's script again: without a guard it would run."""
    main = sys.modules["__main__"]
    saved = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    for name in saved:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in saved.items():
            setattr(main, name, value)


_worker: dict[str, Any] = {}


def _start_worker(read: Read, context: Any, parent: int) -> None:
    """Keep what all parts share, and end with the parent, even one that was killed."""
    _worker.update(read=read, context=context)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _read_part(part: Part) -> PartReading:
    return _read_one(_worker["read"], part, _worker["context"])


def _read_one(read: Read, part: Part, context: Any) -> PartReading:
    """A part's reading; what the system refuses (a lost disk, no permission) stops the conversion and is not kept."""
    try:
        return read(part, context)
    except OSError as error:
        raise DataError(
            f"{error.filename or part.path}: cannot be read ({error.strerror or error}). Check the disk and the file's "
            f"permissions; the same command goes on with the rest."
        ) from error


def _fault_list(name: str, faults: dict[str, str]) -> str:
    """One error for all files that cannot be used."""
    sentences = list(faults.values())
    if len(sentences) == 1:
        return f"{sentences[0]} (To leave the {unit_of(faults)} out: skip_bad=True, or `c2vl data {name} --skip-bad`.)"
    shown = "\n  ".join(sentences[:SHOWN_FAULTS])
    more = f"\n  and {len(sentences) - SHOWN_FAULTS} more" if len(sentences) > SHOWN_FAULTS else ""
    return (
        f"{name}: {many(len(sentences), unit_of(faults))} cannot be used. Leave them out (skip_bad=True, `c2vl data "
        f"{name} --skip-bad`: the others are not read again), or repair them.\n  {shown}{more}"
    )


class _Teller:
    """Says now and then how far a conversion is, how fast, and what is left."""

    EVERY = 2.0  # seconds

    def __init__(self, name: str, parts: list[Part], writer: StoreWriter, progress: Progress):
        self._name, self._writer, self._progress = name, writer, progress
        self._sizes = [max(1, len(part.members)) for part in parts]
        self._total, self._before = sum(self._sizes), sum(self._sizes[: writer.parts])
        self._start = self._last = time.monotonic()
        self._files, self._bytes = writer.files, writer.bytes
        if progress and writer.parts:
            progress(f"{name}: going on after {self._before} of {many(self._total, 'file')}")

    def __call__(self) -> None:
        now = time.monotonic()
        done = sum(self._sizes[: self._writer.parts])
        if self._progress is None or now - self._last < self.EVERY:
            return
        self._last = now
        rate = max(done - self._before, 1) / (now - self._start)
        left = (self._total - done) / rate
        writer = self._writer
        out = f", {len(writer.dropped)} left out" if writer.dropped else ""
        out += f", {len(writer.faults)} cannot be used" if writer.faults else ""
        self._progress(
            f"{self._name}: {done}/{self._total} files, {rate:.0f} files/s, {_duration(left)} left; "
            f"{writer.clips} clips{out}"
        )

    def end(self) -> None:
        """The last line: what was read in which time."""
        if self._progress is None:
            return
        took = time.monotonic() - self._start
        files, size = self._writer.files - self._files, self._writer.bytes - self._bytes
        self._progress(
            f"{self._name}: read {many(files, 'file')} ({size / 1e6:.0f} MB) in {_duration(took)}, "
            f"{files / max(took, 1e-3):.0f} files/s; {many(self._writer.clips, 'clip')} kept"
        )


def _duration(seconds: float) -> str:
    """A time span for people."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 / 60:.0f} min"
