"""Measure our ST-GCN on a processor against a plain one: ``python -m benchmarks.encoder``.

CPU time of one thread, both in one process and in turns, the median of the rounds' ratios. A training step is the
features of a batch, a symmetric contrast to given targets, the gradients and one step of SGD with momentum. Both
run in a process that keeps freed memory (:mod:`c2vl_lab.models.memory`). "As ordinarily launched": each in processes of
its own, in turns, ours with what ``fit`` sets (freed memory is kept), the plain one with the C library's own settings.
Data are generated, weights are random, nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Row, one_thread, paired, ratio, tell

one_thread()

import torch  # noqa: E402 - after the number of threads is set
import torch.nn.functional as F  # noqa: E402

from benchmarks.reference_stgcn import PlainSTGCN  # noqa: E402
from c2vl_lab.data.layouts import KINECT20, NTU25, JointLayout  # noqa: E402
from c2vl_lab.models.graph import spatial_partitions  # noqa: E402
from c2vl_lab.models.memory import OWN_SETTINGS, keep_freed_memory  # noqa: E402
from c2vl_lab.models.stgcn import STGCN  # noqa: E402

KINDS = ("training", "inference")
WHO = ("ours", "plain")


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        repeats: rounds of each pair.
        clips: in a batch.
        frames: lengths of clips.
        width: channels of the first block.
        dim: feature width.
        launches: pairs of processes for each kind of work, ours and the plain one's in turns; 0: none.
    """

    repeats: int = 7
    clips: int = 32
    frames: tuple[int, ...] = (50, 64)
    width: int = 16
    dim: int = 256
    launches: int = 3


@dataclass(frozen=True)
class Case:
    """A kind of batch; ``single`` is the share of clips whose second body is absent."""

    what: str
    layout: JointLayout
    bodies: int
    frames: int
    dropout: float = 0.5
    single: float = 0.0
    targets: tuple[float, float] = (2.3, 2.3)


def cases(sizes: Sizes) -> list[Case]:
    """What is measured."""
    first = sizes.frames[0]
    both = [Case(f"25 joints, 2 bodies, T={frames}", NTU25, 2, frames) for frames in sizes.frames]
    return [
        *both,
        Case(f"25 joints, all second bodies absent, T={first}", NTU25, 2, first, 0.0, 1.0, (3.0, 3.5)),
        Case(f"25 joints, 80 % second bodies absent, T={first}", NTU25, 2, first, 0.0, 0.8, (3.0, 3.5)),
        Case(f"20 joints (Kinect), 1 body, T={first}", KINECT20, 1, first, targets=(1.0, 1.0)),
    ]


def models(case: Case, sizes: Sizes) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Ours and the plain one with the same weights."""
    torch.manual_seed(0)
    ours = STGCN(case.layout, sizes.width, sizes.dim, case.dropout)
    plain = PlainSTGCN(torch.from_numpy(spatial_partitions(case.layout)), sizes.width, sizes.dim, case.dropout)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def batch(case: Case, sizes: Sizes) -> torch.Tensor:
    """Random clips; the second bodies of the first ones are absent."""
    x = torch.randn(
        sizes.clips, 3, case.frames, len(case.layout), case.bodies, generator=torch.Generator().manual_seed(1)
    )
    if case.bodies > 1:
        x[: round(case.single * sizes.clips), ..., 1:] = 0
    return x


def training(model: torch.nn.Module, x: torch.Tensor, dim: int) -> Callable[[], None]:
    """One step at a time."""
    targets = F.normalize(torch.randn(len(x), dim, generator=torch.Generator().manual_seed(2)), dim=1)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    own = torch.arange(len(x))

    def step() -> None:
        model.train()
        optimizer.zero_grad()
        likeness = F.normalize(model(x), dim=1) @ targets.t() / 0.1
        (F.cross_entropy(likeness, own) + F.cross_entropy(likeness.t(), own)).backward()
        optimizer.step()

    return step


def inference(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """Features of the batch."""

    def run() -> None:
        model.eval()
        with torch.inference_mode():
            model(x)

    return run


def measure(sizes: Sizes) -> list[Row]:
    """One row for each case in training and inference; then both in processes of their own."""
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = []
    for case in cases(sizes):
        print(f"measuring {case.what} ...", file=sys.stderr, flush=True)
        both, x = models(case, sizes), batch(case, sizes)
        for kind, target in zip(KINDS, case.targets, strict=True):
            tasks = [task(kind, model, x, sizes) for model in both]
            times = paired(tasks, sizes.repeats)
            rows.append(_row(f"{kind}, {case.what}", *times, target, sizes, f"plain, dropout {case.dropout:g}"))
    return rows + ordinary(sizes)


def task(kind: str, model: torch.nn.Module, x: torch.Tensor, sizes: Sizes) -> Callable[[], None]:
    """What is timed."""
    return training(model, x, sizes.dim) if kind == "training" else inference(model, x)


def _row(what: str, ours: list[float], theirs: list[float], target: float, sizes: Sizes, reference: str) -> Row:
    times = ratio(ours, theirs)
    each = [statistics.median(seconds) * 1e3 / sizes.clips for seconds in (ours, theirs)]
    return Row(what, each[0], "ms/clip", reference, each[1], times, f">= {target:g}x", times >= target)


def ordinary(sizes: Sizes) -> list[Row]:
    """Both as they are ordinarily launched: pairs of processes of one kind of work, one after the other."""
    if not sizes.launches:
        return []
    rows = []
    for kind in KINDS:
        print(f"measuring {kind} in processes of its own ...", file=sys.stderr, flush=True)
        rounds = [[launched(who, kind, sizes) for who in WHO] for _ in range(sizes.launches)]
        times = [list(seconds) for seconds in zip(*rounds, strict=True)]
        rows.append(_row(f"{kind}, {cases(sizes)[0].what}", *times, 3.0, sizes, "plain, as ordinarily launched"))
    return rows


def launched(who: str, kind: str, sizes: Sizes) -> float:
    """CPU seconds in a new process with the C library's own settings."""
    numbers = {"repeats": sizes.repeats, "clips": sizes.clips, "width": sizes.width, "dim": sizes.dim}
    words = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
    command = [sys.executable, "-m", "benchmarks.encoder", "--alone", f"{who}-{kind}", "--frames", str(sizes.frames[0])]
    without = {name: value for name, value in os.environ.items() if name not in OWN_SETTINGS}
    answer = subprocess.run([*command, *words], env=without, capture_output=True, text=True, check=True)
    return float(answer.stdout.split()[-1])


def _alone(who: str, kind: str, sizes: Sizes) -> float:
    """Median CPU seconds in this process, ours with what ``fit`` sets first."""
    torch.set_num_threads(1)
    if who == "ours":
        keep_freed_memory()
    case = cases(sizes)[0]
    model = models(case, sizes)[WHO.index(who)]
    return statistics.median(paired([task(kind, model, batch(case, sizes), sizes)], sizes.repeats)[0])


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    known = Sizes()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoder", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=known.repeats, help="rounds of each pair")
    parser.add_argument("--clips", type=int, default=known.clips, help="in a batch")
    parser.add_argument("--frames", default=",".join(map(str, known.frames)), help="lengths of clips")
    parser.add_argument("--width", type=int, default=known.width, help="16 (1/4) or 64 (full)")
    parser.add_argument("--dim", type=int, default=known.dim)
    parser.add_argument("--launches", type=int, default=known.launches, help="pairs of processes of their own; 0: none")
    alone = [f"{who}-{kind}" for who in WHO for kind in KINDS]
    parser.add_argument("--alone", choices=alone, help="only the CPU seconds of one, of one kind of work")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    given = parser.parse_args(arguments)
    frames = tuple(int(length) for length in given.frames.split(","))
    sizes = Sizes(given.repeats, given.clips, frames, given.width, given.dim, given.launches)
    if given.alone:
        print(_alone(*given.alone.split("-"), sizes))
        return 0
    rows = measure(sizes)
    more = {
        "processor's instructions": torch.backends.cpu.get_cpu_capability(),
        "clips in a batch": sizes.clips,
        "rounds": sizes.repeats,
        "launches": sizes.launches,
    }
    tell("encoder", arguments, rows, more, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
