"""Measure whole training steps, data included: ``python -m benchmarks.step`` on a machine with a GPU.

Views, encoder, heads, three-pair contrast with soft targets of the averaged encoder, gradients, AdamW and average, as
:func:`c2vl_lab.training.fit.fit` does them: clips a second are those of its own log, of the median epoch after the
first, in which kernels are chosen and compiled. Clips are generated, as many and as large as NTU RGB+D 60's training
part has, two body slots filled; sentences and pictures are random vectors. Without a GPU the same command runs a few
clips, which checks it and measures nothing that the targets speak of.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.measuring import Row, tell
from benchmarks.step_bounds import DEVICE, byte_bound, encoder_cost, flop_bound
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.errors import C2VLError
from c2vl_lab.logs import read_metrics
from c2vl_lab.objective import ObjectiveConfig
from c2vl_lab.training.fit import fit
from c2vl_lab.training.settings import FitConfig, TrainingSet, pick_device

NTU60_TRAINING, EPOCHS = 40_091, 300  # clips of the cross-subject training part; a usual length of training
TARGETS = {16: 25_000, 64: 9_000}  # clips/s on an H200, T=64, two bodies
AIMED = "as set by itself"  # what the targets speak of
ABLATIONS: dict[str, dict[str, str]] = {
    AIMED: {},
    "not compiled": {"compile": "off"},
    "CUDA graphs": {"compile": "graphs"},
    "clips prefetched": {"resident": "no"},
    "clips in float16": {"resident": "half"},
    "float32": {"precision": "float32"},
    "none of it": {"compile": "off", "resident": "no", "precision": "float32"},
}
ON_CPU = (AIMED, "clips prefetched", "clips in float16")  # nothing is compiled there


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        device: where.
        clips: in the training part.
        batches: batch sizes; the first is the one of the targets and of the ablations.
        widths: channels of the first block.
        frames: T.
        epochs: of each measure, the first of them a warm-up.
        ablations: names from :data:`ABLATIONS`.
    """

    device: str
    clips: int
    batches: tuple[int, ...]
    widths: tuple[int, ...] = (16, 64)
    frames: int = 64
    epochs: int = 4
    ablations: tuple[str, ...] = tuple(ABLATIONS)


def training_set(folder: Path, sizes: Sizes) -> TrainingSet:
    """Generated clips in a memory-mapped file: bodies that drift, shaken joints; and random unit vectors."""
    rng = np.random.default_rng(0)
    shape = (sizes.clips, sizes.frames, 2, len(NTU25), 3)
    clips = np.lib.format.open_memmap(folder / "clips.npy", "w+", np.float32, shape)
    for start in range(0, sizes.clips, 1024):
        part = clips[start : start + 1024]
        part[...] = rng.standard_normal(part.shape, np.float32)
        part += np.linspace(0, 1, sizes.frames, dtype=np.float32)[:, None, None, None]
    clips.flush()
    concepts = {}
    for modality in ("language", "vision"):
        rows = rng.standard_normal((sizes.clips, 256), np.float32)
        concepts[modality] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return TrainingSet(
        clips=np.load(folder / "clips.npy", mmap_mode="r"),
        names=[f"clip{i}" for i in range(sizes.clips)],
        layout=NTU25,
        concepts=concepts,
        taus=dict.fromkeys(concepts, 0.1),
        key="generated for a measurement",
    )


def config_of(width: int, batch: int, sizes: Sizes, changes: dict[str, str]) -> FitConfig:
    """The full method at its most costly: soft targets from the first step on."""
    return FitConfig(
        encoder="stgcn",
        width=width,
        frames=sizes.frames,
        epochs=sizes.epochs,
        batch_size=batch,
        checkpoint_every=sizes.epochs,
        objective=ObjectiveConfig(schedule="fixed"),
        **changes,
    )


def measure_one(config: FitConfig, data: TrainingSet, sizes: Sizes) -> tuple[float, float, list[str]]:
    """Clips a second, peak memory in bytes, and what training said before its first epoch."""
    said: list[str] = []
    on_a_gpu = sizes.device.startswith("cuda")
    if on_a_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        fit(config, data, Path(folder), sizes.device, said.append)
        rows = read_metrics(Path(folder) / "metrics.jsonl")
    peak = torch.cuda.max_memory_allocated() if on_a_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rates = [row["clips_per_second"] for row in rows[1:] or rows]
    return statistics.median(rates), peak, [line for line in said if not line.startswith("epoch ")]


def measure(sizes: Sizes) -> list[Row]:
    """A row for each width and batch size, and for each ablation at the first batch size."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        data = training_set(Path(folder), sizes)
        size = data.clips.nbytes / 1e9
        print(f"{sizes.clips:,} clips, {size:.2f} GB, in {time.perf_counter() - start:.0f} s", file=sys.stderr)
        for width in sizes.widths:
            first = 0.0
            for batch in sizes.batches:
                aimed = batch == sizes.batches[0]
                for name in sizes.ablations if aimed else sizes.ablations[:1]:
                    what = f"width {width}, batch {batch}, {name}"
                    print(f"measuring {what} ...", file=sys.stderr, flush=True)
                    config = config_of(width, batch, sizes, ABLATIONS[name])
                    try:
                        rate, peak, said = measure_one(config, data, sizes)
                    except (C2VLError, torch.OutOfMemoryError) as error:
                        rows.append(Row(what, 0.0, "clips/s", remark=f"failed: {str(error).splitlines()[0]}"))
                        continue
                    first = first or rate
                    remark = _remark(rate, width, sizes, peak, said)
                    if aimed and name == AIMED and sizes.frames == 64 and width in TARGETS:
                        rows.append(_aimed_row(what, rate, TARGETS[width], sizes.device, remark))
                    else:
                        rows.append(
                            Row(
                                what,
                                rate,
                                "clips/s",
                                f"batch {sizes.batches[0]}, {sizes.ablations[0]}",
                                first,
                                rate / first,
                                remark=remark,
                            )
                        )
    return rows


def _remark(rate: float, width: int, sizes: Sizes, peak: float, said: list[str]) -> str:
    """What a rate is of the bounds, and what it would mean for a training."""
    by_flops, by_bytes = flop_bound(width, sizes.frames), byte_bound(width, sizes.frames)
    return (
        f"{rate / by_flops:.2%} of an {DEVICE}'s FLOP bound of {by_flops:,.0f}, {rate / by_bytes:.2%} of its bytes "
        f"bound of {by_bytes:,.0f}; peak memory {peak / 1e9:.2f} GB; {EPOCHS} epochs of NTU-60 x-sub would take "
        f"{_hours(EPOCHS * NTU60_TRAINING / rate)}{''.join('; ' + line for line in said)}"
    )


def _aimed_row(what: str, rate: float, target: int, device: str, remark: str) -> Row:
    """A measure that has a target: met or not only on the device that the target names."""
    there = device.startswith("cuda") and DEVICE in torch.cuda.get_device_name()
    aim = f">= {target:,}/s on an {DEVICE}" + ("" if there else ": open, none is here")
    return Row(
        what, rate, "clips/s", "target", float(target), rate / target, aim, rate >= target if there else None, remark
    )


def _hours(seconds: float) -> str:
    """A duration for people."""
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--clips", type=int, default=0, help="in the training part; 0: NTU-60's on a GPU, else 64")
    parser.add_argument("--batch", default="", help="batch sizes, the targets' first; 512,128 on a GPU, else 32")
    parser.add_argument("--width", default="16,64", help="channels of the first block")
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=0, help="of each measure; 0: 4 on a GPU, else 2")
    parser.add_argument("--only", default="", help=f"ablations, of: {', '.join(ABLATIONS)}")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    given = parser.parse_args(arguments)
    device = pick_device(given.device)
    small = not device.startswith("cuda")
    numbers = lambda text: tuple(int(part) for part in text.split(","))  # noqa: E731
    sizes = Sizes(
        device,
        given.clips or (64 if small else NTU60_TRAINING),
        numbers(given.batch or ("32" if small else "512,128")),
        numbers(given.width),
        given.frames,
        given.epochs or (2 if small else 4),
        tuple(given.only.split(",")) if given.only else ON_CPU if small else tuple(ABLATIONS),
    )
    if unknown := [name for name in sizes.ablations if name not in ABLATIONS]:
        parser.error(f"no such ablation: {', '.join(unknown)}")
    if device == "cpu":
        torch.set_num_threads(1)
    rows = measure(sizes)
    more: dict[str, object] = {"training clips": sizes.clips, "frames": sizes.frames, "epochs": sizes.epochs}
    for width in sizes.widths:
        cost = encoder_cost(width, sizes.frames)
        more[f"forward pass at width {width}"] = f"{cost.flops / 1e9:.2f} GFLOP, {cost.elements / 1e6:.1f} M elements"
    tell("step", arguments, rows, more, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
