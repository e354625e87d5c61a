"""A store of the size of NTU RGB+D 120, generated: opening it, and a shuffled pass over it.

The number of clips, names, labels, subjects and lengths are those of the real set's size; coordinates are pieces of
one generated walk. ``scale`` shortens the clips, so that the disk holds it; the number of clips stays.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.raw_files import FIRST_ID, clip_name, moving_body
from c2vl_lab.artifacts import only_writer
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.readers.sources import PartReading
from c2vl_lab.data.store import ARRAYS, SkeletonStore
from c2vl_lab.data.writing import StoreWriter

CLIPS = 113_945  # NTU RGB+D 120 without the 535 samples of the missing list
CLASSES = 120
MEAN, LEAST, MOST = 83, 30, 300  # frames of a clip, roughly as in the real set
TWO_PEOPLE = 26  # of the 120 classes
BLOCK = 500

OPENING = """
import json, sys, time

def memory(field):  # of this process; getrusage would tell the peak of the one that started it
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) * 1024 for line in stream if line.startswith(field))

start = time.perf_counter()
from c2vl_lab.data.store import SkeletonStore
loaded, before = time.perf_counter(), memory("VmRSS")
begin = time.perf_counter()
store = SkeletonStore.open(sys.argv[1])
opened = time.perf_counter()
first = store[len(store) // 2]
print(json.dumps({"open": opened - begin, "clip": time.perf_counter() - opened, "imports": loaded - start,
                  "before": before, "after": memory("VmRSS"), "peak": memory("VmHWM")}))
"""


def big_store(work: Path, clips: int = CLIPS, scale: float = 0.1, seed: int = 0) -> SkeletonStore:
    """The generated store of ``clips`` clips, made on the first call and kept under ``work``."""
    path = work / f"ntu120-size-{clips}-{scale:g}-{seed}"
    if (path / "meta.json").exists():
        return SkeletonStore.open(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = _clips(clips, scale, seed)
    with only_writer(path):
        writer = StoreWriter(path, NTU25, CLASSES, ("state", "color"), resume=False)
        try:
            for start in range(0, clips, BLOCK):
                writer.append(PartReading(clips=[next(stream) for _ in range(min(BLOCK, clips - start))]))
            classes = [f"class {number + 1}" for number in range(CLASSES)]
            return writer.finish("ntu120", classes, list(range(1, CLASSES + 1)), generated=True)
        finally:
            writer.close()


def _clips(count: int, scale: float, seed: int) -> Iterator[Clip]:
    """Clips of the lengths and numbers of people of the real set; their coordinates are pieces of one walk."""
    rng = np.random.default_rng(seed)
    walk = moving_body(rng, 4000).astype(np.float32)
    lengths = np.clip(rng.gamma(6, MEAN / 6, count), LEAST, MOST)
    lengths = np.maximum(2, (lengths * scale).round()).astype(int)
    starts = rng.integers(0, len(walk) - 2 * MOST, count)
    for number in range(count):
        label = number % CLASSES
        people = 2 if label >= CLASSES - TWO_PEOPLE else 1
        frames = int(lengths[number])
        xyz = walk[starts[number] : starts[number] + people * frames].reshape(frames, people, 25, 3)
        present = np.ones((frames, people), bool)
        if number % 5 == 0:
            present[frames // 3 : frames // 2] = False
        xyz = xyz * present[:, :, None, None]
        name = clip_name(number, CLASSES)
        yield Clip(
            name=f"{name[:20]}_{number:06d}",
            xyz=xyz,
            present=present,
            frames=np.arange(frames, dtype=np.int32),
            label=label,
            subject=number % 106 + 1,
            camera=number % 3 + 1,
            setup=number % 32 + 1,
            trial=number % 2 + 1,
            source=f"nturgbd_skeletons_s018_to_s032.zip/nturgb+d_skeletons/{name}.skeleton",
            ids=tuple(str(FIRST_ID + person) for person in range(people)),
            state=np.full((frames, people, 25), 2, np.uint8),
            color=xyz[..., :2] * 500,
        )


def opening(path: Path) -> dict[str, float]:
    """Time and resident memory of opening a store in a fresh process: seconds and bytes."""
    answer = subprocess.run([sys.executable, "-c", OPENING, str(path)], capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


def dense_bytes(store: SkeletonStore, frames: int = 300, people: int = 2) -> int:
    """Bytes of the same clips as the peers hold them: one float32 array, padded to 300 frames and two people."""
    return len(store) * frames * people * len(store.layout) * 3 * 4


def drop_from_cache(path: Path) -> None:
    """Ask the system to forget the store's files; it does so only where no process has them mapped."""
    for file in path.glob("*.npy"):
        handle = os.open(file, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


@dataclass(frozen=True)
class Pass:
    """One pass over all clips: wall and processor seconds, and bytes of coordinates."""

    wall: float
    cpu: float
    size: int


def store_pass(path: Path, order: list[int], cold: bool) -> Pass:
    """Read every clip once in ``order`` through the package."""
    if cold:
        drop_from_cache(path)
    store = SkeletonStore.open(path)
    store[0]  # what is made once is made
    total = 0
    wall, cpu = time.perf_counter(), time.process_time()
    for index in order:
        total += np.array(store[index].xyz).nbytes  # a copy: the pages are really read
    return Pass(time.perf_counter() - wall, time.process_time() - cpu, total)


def plain_pass(path: Path, order: list[int], cold: bool) -> Pass:
    """The same bytes in the same order by the system's own call, with nothing around it."""
    offsets, sizes = _places(path)
    if cold:
        drop_from_cache(path)
    total = 0
    handle = os.open(path / "xyz.npy", os.O_RDONLY)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        for index in order:
            total += len(os.pread(handle, sizes[index], offsets[index]))
    finally:
        os.close(handle)
    return Pass(time.perf_counter() - wall, time.process_time() - cpu, total)


def _places(path: Path) -> tuple[list[int], list[int]]:
    """Offset and size of every clip's coordinates in their file."""
    store = SkeletonStore.open(path)
    width = np.dtype(ARRAYS["xyz"][0]).itemsize * int(np.prod(store.xyz.shape[1:]))
    header = (path / "xyz.npy").stat().st_size - store.xyz.nbytes
    return (header + store.row_starts * width).tolist(), (store.lengths * store.body_counts * width).tolist()
