"""How the measurements are taken and shown: CPU time of one thread, in alternating pairs, medians."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of the answer.

    Attributes:
        what: what was measured.
        value: ours.
        unit: of both values.
        reference: what it is measured against; empty: nothing.
        reference_value: theirs.
        ratio: how many times better ours is.
        target: of the issue, in words; empty: none.
        met: whether the target is met here.
        remark: what must be known to read the line.
    """

    what: str
    value: float
    unit: str
    reference: str = ""
    reference_value: float | None = None
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    remark: str = ""


def one_thread() -> None:
    """Keep every library to one thread; call it before NumPy and torch are loaded."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = "1"


def paired(tasks: list[Callable[[], Any]], repeats: int) -> list[list[float]]:
    """CPU seconds of every task in every round; the tasks take turns, so that a busy machine hits all alike."""
    for task in tasks:
        task()
    rounds = []
    for _ in range(repeats):
        times = []
        for task in tasks:
            start = time.process_time()
            task()
            times.append(time.process_time() - start)
        rounds.append(times)
    return [list(column) for column in zip(*rounds, strict=True)]


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Median over the rounds of their time over ours."""
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


def show(rows: list[Row]) -> str:
    """The rows as a table."""
    head = ("measure", "ours", "reference", "theirs", "ratio", "target", "")
    lines = [head]
    for row in rows:
        theirs = "" if row.reference_value is None else f"{_number(row.reference_value)} {row.unit}"
        times = "" if row.ratio is None else f"{row.ratio:.1f}x"
        met = {None: "", True: "met", False: "NOT MET"}[row.met]
        ours = f"{_number(row.value)} {row.unit}"
        lines.append((row.what, ours, row.reference, theirs, times, row.target, met))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    remarks = [f"  {row.what}: {row.remark}" for row in rows if row.remark]
    return "\n".join([*text, *(["", "Remarks", *remarks] if remarks else [])])


def _number(value: float) -> str:
    """Three figures are enough."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    import numpy
    import torch

    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "device": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "torch": torch.__version__,
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            return next(line.split(":", 1)[1].strip() for line in stream if line.startswith(("model name", "Model")))
    except (OSError, StopIteration):
        return platform.machine()


def tell(name: str, arguments: list[str] | None, rows: list[Row], more: dict[str, Any], path: Path | None) -> None:
    """Print the rows and what they hold for, and keep them in a file where one is named.

    Args:
        name: of the command, as in ``python -m benchmarks.NAME``.
        arguments: as the command got them; None: those of the process.
        rows: what was measured.
        more: what else the figures depend on.
        path: gets rows and circumstances as JSON; None: no file.
    """
    words = sys.argv[1:] if arguments is None else arguments
    command = " ".join([os.path.basename(sys.executable), "-m", f"benchmarks.{name}", *words])
    about = machine() | {"command": command, **more}
    print(show(rows))
    print("\n" + "\n".join(f"{key}: {value}" for key, value in about.items()))
    if path:
        kept = {"rows": [asdict(row) for row in rows], "about": about}
        path.write_text(json.dumps(kept, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item() if hasattr(value, "item") else str(value)
