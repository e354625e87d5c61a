"""The measures of ``python -m benchmarks.data``, one function each."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.big_store import big_store, dense_bytes, opening, plain_pass, store_pass
from benchmarks.measuring import Row, paired, ratio
from benchmarks.processes import Watched, watched
from benchmarks.raw_files import moving_body, skeleton_bytes, write_recordings
from benchmarks.reference_readers import read_one_pass, read_per_value
from benchmarks.reference_transforms import prepare_per_clip, two_views
from c2vl_lab.data.augment import AugmentConfig, augment
from c2vl_lab.data.draws import Draws
from c2vl_lab.data.readers.ntu_text import parse_skeleton
from c2vl_lab.data.transforms import PrepareConfig, prepare

PARSE_TARGET, PREPARE_TARGET, VIEWS_TARGET = 6.0, 10_000, 12_000  # ms a file, clips/s, clips/s
OPEN_TARGET, MEMORY_TARGET = 1.0, 300e6  # s, bytes
PLAIN_THEN = 11.5  # ms: the plain one-pass reader on the machine on which the targets were set

CONVERT = """
import json, sys, time
from c2vl_lab.data.datasets import open_dataset
if __name__ == "__main__":  # the workers start by loading this text again
    start = time.perf_counter()
    store = open_dataset("ntu60", sys.argv[1], sys.argv[2], workers=int(sys.argv[3]))
    print(json.dumps({"clips": len(store), "seconds": time.perf_counter() - start}))
"""


def two_body_file(work: Path, frames: int, seed: int) -> Path:
    """The file that is parsed: two people, all frames, the raw format."""
    rng = np.random.default_rng(seed)
    path = work / f"S001C001P001R001A050-{frames}-{seed}.skeleton"
    path.write_bytes(skeleton_bytes([moving_body(rng, frames, x) for x in (-0.6, 0.6)], rng))
    return path


def parse(sizes: Any) -> list[Row]:
    """Parsing one file: all that it holds, against readers that keep coordinates only."""
    path = two_body_file(sizes.work, sizes.frames, sizes.seed)
    ours, per_value, one_pass = paired(
        [
            lambda: parse_skeleton(path.name, path.read_bytes()),
            lambda: read_per_value(path),
            lambda: read_one_pass(path),
        ],
        sizes.repeats,
    )
    mine = statistics.median(ours) * 1e3
    remark = (
        f"file of {path.stat().st_size / 1e3:.0f} kB, {sizes.frames} frames, two people, read and parsed; ours keeps "
        f"coordinates, colour places, tracking states and IDs and checks every value, the references keep coordinates; "
        f"where the target was set the plain reader took {PLAIN_THEN:g} ms, {PLAIN_THEN / PARSE_TARGET:.1f}x"
    )
    return [
        Row(
            "parse a .skeleton file", mine, "ms", name, statistics.median(theirs) * 1e3, ratio(ours, theirs),
            f"<= {PARSE_TARGET:g} ms", mine <= PARSE_TARGET, note,
        )
        for name, theirs, note in (("value by value", per_value, remark), ("plain one pass", one_pass, ""))
    ]  # fmt: skip


def _rated(
    what: str, clips: int, reference: str, theirs: list[float], ours: list[float], target: float, remark: str = ""
) -> Row:
    """A row of clips a second."""
    mine, other = clips / statistics.median(ours), clips / statistics.median(theirs)
    aim = f">= {target:,.0f}/s"
    return Row(what, mine, "clips/s", reference, other, ratio(ours, theirs), aim, mine >= target, remark)


def prepare_clips(sizes: Any) -> list[Row]:
    """Alignment and resampling of a store of full-length clips with gaps, against a loop over clips and frames."""
    store = big_store(sizes.work, sizes.clips, 1.0, sizes.seed)
    config = PrepareConfig(frames=64)
    rounds = max(3, sizes.repeats // 3)
    ours, theirs = paired([lambda: prepare(store, config), lambda: prepare_per_clip(store, 64)], rounds)
    remark = (
        f"{len(store)} clips of {store.lengths.mean():.0f} frames on average, "
        f"{(store.body_counts > 1).mean():.0%} with two people, a fifth with a gap; resampled to 64 frames. The "
        f"reference works on the clips' own frames; the public converters do so on 300 and are slower still"
    )
    return [_rated("align and resample", len(store), "clip by clip", theirs, ours, PREPARE_TARGET, remark)]


def augment_views(sizes: Any) -> list[Row]:
    """Two views of a batch, on the processor and on the device where there is one, against a feeder clip by clip."""
    rng = np.random.default_rng(sizes.seed)
    bodies = [np.stack([moving_body(rng, sizes.view, x) for x in (-0.6, 0.6)], 1) for _ in range(sizes.batch)]
    clips = np.stack(bodies).astype(np.float32)
    feeder = np.ascontiguousarray(clips.transpose(0, 4, 1, 3, 2))
    batch = torch.from_numpy(clips)
    config = AugmentConfig()

    def views() -> None:
        draws = Draws(sizes.seed, 1, torch.arange(len(batch)))
        for _ in range(2):
            augment(batch, config, sizes.view, draws)

    ours, theirs = paired([views, lambda: two_views(feeder, rng)], sizes.repeats)
    remark = (
        f"a batch of {sizes.batch}, {sizes.view} frames, two people, two views each: ours crops, turns, tilts, "
        f"resizes and adds sensor noise, the feeder crops and shears (float64)"
    )
    name = "two augmented views"
    rows = [_rated(name, sizes.batch, "feeder, clip by clip", theirs, ours, VIEWS_TARGET, remark)]
    if torch.cuda.is_available():
        took = [_on_device(clips, config, sizes) for _ in range(sizes.repeats)]
        device = torch.cuda.get_device_name(0)
        rows.append(_rated(f"{name}, GPU", sizes.batch, "feeder, clip by clip", theirs, took, VIEWS_TARGET, device))
    return rows


def _on_device(clips: np.ndarray, config: AugmentConfig, sizes: Any) -> float:
    """Wall seconds of two views on the GPU, the batch's way there included."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    batch = torch.from_numpy(clips).cuda()
    draws = Draws(sizes.seed, 1, torch.arange(len(batch), device="cuda"))
    for _ in range(2):
        augment(batch, config, sizes.view, draws)
    torch.cuda.synchronize()
    return time.perf_counter() - start


def open_store(sizes: Any) -> list[Row]:
    """Opening a store of NTU RGB+D 120's size in a fresh process, and a shuffled pass over it."""
    store = big_store(sizes.work, sizes.stored, sizes.scale, sizes.seed)
    path, clips, frames, dense = store.path, len(store), int(store.lengths.sum()), dense_bytes(store)
    del store  # a mapped file stays in the page cache
    found = [opening(path) for _ in range(max(1, min(5, sizes.repeats)))]
    seconds, imports, before = (statistics.median(one[key] for one in found) for key in ("open", "imports", "before"))
    peak = max(one["peak"] for one in found)
    size = sum(file.stat().st_size for file in path.glob("*.npy"))
    about = (
        f"{clips:,} clips, {frames:,} frames, {size / 1e9:.2f} GB of arrays on disk (lengths times {sizes.scale:g}); "
        f"wall time of the call; loading the packages takes {imports:.2f} s"
    )
    kept = (
        f"peak of a fresh process that opens it and takes a clip; {before / 1e6:.0f} MB of it are the packages. Theirs "
        f"is computed: float32 (N, 300 frames, 2 people, 25 joints, 3), as the peers hold it"
    )
    return [
        Row("open a large store", seconds, "s", target="< 1 s", met=seconds < OPEN_TARGET, remark=about),
        Row("memory of opening it", peak / 1e6, "MB", "dense array", dense / 1e6, dense / peak, "< 300 MB",
            peak < MEMORY_TARGET, kept),
        _passes(path, clips, sizes, cold=True),
        _passes(path, clips, sizes, cold=False),
    ]  # fmt: skip


def _passes(path: Path, clips: int, sizes: Any, cold: bool) -> Row:
    """A shuffled pass over a store, from the disk (as far as the system forgets) or from the page cache."""
    order = np.random.default_rng(sizes.seed).permutation(clips).tolist()
    rounds = [(plain_pass(path, order, cold), store_pass(path, order, cold)) for _ in range(3)]
    plain, ours = statistics.median(p.wall for p, _ in rounds), statistics.median(o.wall for _, o in rounds)
    cpu, size = statistics.median(o.cpu for _, o in rounds), rounds[0][1].size
    remark = (
        f"wall time; {size / 1e6 / ours:,.0f} MB/s against {size / 1e6 / plain:,.0f} MB/s of plain reads of the same "
        f"bytes in the same order; {cpu / ours:.0%} of ours on the processor, {cpu / clips * 1e6:.1f} us a clip"
    )
    if cold:
        remark += "; files were dropped from the page cache before each pass (posix_fadvise)"
    name = f"shuffled pass, {'from disk' if cold else 'cached'}"
    return Row(name, clips / ours, "clips/s", "os.pread alone", clips / plain, plain / ours, remark=remark)


def convert_files(sizes: Any) -> list[Row]:
    """A conversion of many files in a fresh process, with one and with two workers."""
    folder = sizes.work / f"raw-{sizes.files}-{sizes.frames}-{sizes.seed}"
    paths = write_recordings(folder, sizes.files, sizes.frames, sizes.seed)
    size = sum(path.stat().st_size for path in paths)
    rows, one = [], 0.0
    for workers in (1, 2):
        seconds, seen = _conversion(folder, sizes.work / f"converted-{workers}", workers)
        rate = sizes.files / seconds
        one = one or rate
        remark = (
            f"{sizes.files} files, {size / 1e6:.0f} MB, wall time, start of the workers and writing included; "
            f"{seen.cpu / sizes.files * 1e3:.1f} ms of processor a file in all, packages' loading included; peak "
            f"{seen.peak / 1e6:.0f} MB of all {seen.processes} processes, {seen.largest / 1e6:.0f} MB of the largest"
        )
        name = f"convert, {workers} worker{'s' * (workers > 1)}"
        if workers == 1:
            rows.append(Row(name, rate, "files/s", remark=remark))
        else:
            rows.append(Row(name, rate, "files/s", "one worker", one, rate / one, remark=remark))
    return rows


def _conversion(folder: Path, work: Path, workers: int) -> tuple[float, Watched]:
    """One conversion from scratch in a fresh process: its wall seconds and what it took."""
    shutil.rmtree(work, ignore_errors=True)
    script = work.with_suffix(".py")
    script.write_text(CONVERT, encoding="utf-8")
    try:
        seen = watched([sys.executable, str(script), str(folder), str(work), str(workers)])
    finally:
        script.unlink()
        shutil.rmtree(work, ignore_errors=True)
    return json.loads(seen.output)["seconds"], seen
