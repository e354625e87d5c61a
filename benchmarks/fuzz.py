"""Attack every reader with damaged files: ``python -m benchmarks.fuzz --seed 0 --count 5000``.

Each case ends in a sound store or in one clear error that names the file; anything else is a violation: another
exception, more than 20 s, more than 2 GB, a file outside the work folder, code run from the input, something printed.
Cases run in a process of their own, which is watched from here and started anew after a violation.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fuzz_cases import Case, make_case, write_case
from benchmarks.fuzz_inputs import FORMATS

SECONDS = 20.0  # a case that takes longer hangs
START = 120.0  # seconds for the worker to load its packages
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Tally:
    """What became of one format's cases."""

    cases: int = 0
    stored: int = 0
    refused: int = 0
    violations: int = 0
    slowest: float = 0.0
    slowest_case: str = ""
    peak: int = 0
    found: list[dict[str, Any]] = field(default_factory=list)

    def add(self, label: str, answer: dict[str, Any]) -> None:
        """Count one answer."""
        self.cases += 1
        key = {"violation": "violations"}.get(answer["outcome"], answer["outcome"])
        setattr(self, key, getattr(self, key) + 1)
        if answer["seconds"] > self.slowest:
            self.slowest, self.slowest_case = answer["seconds"], label
        self.peak = max(self.peak, answer["peak"])
        if answer["outcome"] == "violation":
            self.found.append({"case": label, **answer})


class Worker:
    """The watched process; it is started when it is needed and again after it was stopped."""

    def __init__(self, scratch: Path):
        self._scratch = scratch
        self._process: subprocess.Popen[str] | None = None
        self._starts = 0

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request; a process that hangs or dies is an answer too."""
        if self._process is None:
            self._start()
        process = self._process
        assert process is not None and process.stdin is not None
        start = time.monotonic()
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = self._line(SECONDS)
        if line:
            return json.loads(line)
        code = process.poll()
        self.stop()
        if request.get("keep"):
            write_case(_case(request), Path(request["keep"]) / f"{request['format']}-{request['number']}")
        why = f"no answer within {SECONDS:.0f} s" if code is None else f"the process died (exit status {code})"
        return {
            "outcome": "violation",
            "why": why,
            "what": "; ".join(_case(request).what)[:500],
            "seconds": time.monotonic() - start,
            "peak": 0,
        }

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _start(self) -> None:
        self._starts += 1
        folder = self._scratch / f"worker{self._starts}"
        for name in ("home", "tmp", "run"):
            (folder / name).mkdir(parents=True)
        environment = os.environ | {
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": str(ROOT),
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fuzz_worker", str(folder / "run")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        if self._line(START).strip() != "ready":
            output = (folder / "run" / "output").read_text(errors="replace")
            self.stop()
            raise SystemExit(f"The fuzzer's worker did not start:\n{output[-3000:]}")

    def _line(self, seconds: float) -> str:
        """The next line of the process, or nothing."""
        assert self._process is not None and self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._process.stdout.readline() if ready else ""


def _case(request: dict[str, Any]) -> Case:
    """The case of a request, made again here."""
    form = next(form for form in FORMATS if form.name == request["format"])
    return make_case(form, request["seed"], request["number"])


@contextmanager
def worker() -> Iterator[Worker]:
    """A worker in a scratch folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="c2vl-fuzz-", ignore_cleanup_errors=True) as scratch:
        process = Worker(Path(scratch))
        try:
            yield process
        finally:
            process.stop()


def run(seed: int, names: list[str], numbers: range, keep: str = "", show: bool = False) -> dict[str, Tally]:
    """Run the cases ``numbers`` of every named format, format after format."""
    tallies = {name: Tally() for name in names}
    with worker() as process:
        for name in names:
            for number in numbers:
                answer = process.ask({"format": name, "seed": seed, "number": number, "keep": keep})
                tallies[name].add(f"{name}:{number}", answer)
                if answer["outcome"] == "violation":
                    process.stop()
                    print(f"VIOLATION {name}:{number}\n  damage: {answer['what']}\n  {answer['why']}", flush=True)
                elif show:
                    print(f"{name}:{number} {answer['outcome']}\n  damage: {answer['what']}\n  {answer['why']}")
            if not show:
                print(f"{name}: {_line(tallies[name])}", file=sys.stderr, flush=True)
    return tallies


def _line(tally: Tally) -> str:
    return f"{tally.cases} cases, {tally.stored} stored, {tally.refused} refused, {tally.violations} violations"


def table(tallies: dict[str, Tally]) -> str:
    """The outcome as a table."""
    head = ("format", "cases", "stored", "refused", "violations", "slowest", "in case", "peak MB")
    rows = [head]
    for name, t in tallies.items():
        numbers = (t.cases, t.stored, t.refused, t.violations)
        rows.append((name, *map(str, numbers), f"{t.slowest:.2f} s", t.slowest_case, f"{t.peak / 1e6:.0f}"))
    totals = [sum(getattr(t, key) for t in tallies.values()) for key in ("cases", "stored", "refused", "violations")]
    slowest = max(tallies.values(), key=lambda t: t.slowest)
    peak = max(t.peak for t in tallies.values())
    rows.append(("all", *map(str, totals), f"{slowest.slowest:.2f} s", slowest.slowest_case, f"{peak / 1e6:.0f}"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns 1 where there was a violation."""
    known = [form.name for form in FORMATS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=5000, help="cases over all formats together")
    parser.add_argument("--format", default="", help=f"some of {','.join(known)}")
    parser.add_argument("--case", default="", help="one case again, for example ntu:123")
    parser.add_argument("--keep", default="", help="folder in which the inputs of violations are kept")
    parser.add_argument("--show", action="store_true", help="print every case and its answer")
    given = parser.parse_args(arguments)
    names = given.format.split(",") if given.format else known
    each = -(-given.count // len(names))
    numbers = range(each)
    if given.case:
        name, _, number = given.case.partition(":")
        names, numbers = [name], range(int(number), int(number) + 1)
    unknown = sorted(set(names) - set(known))
    if unknown:
        parser.error(f"unknown formats {unknown}; known: {', '.join(known)}")
    start = time.monotonic()
    tallies = run(given.seed, names, numbers, given.keep, given.show or bool(given.case))
    took = time.monotonic() - start
    print(table(tallies))
    print(f"\nseed {given.seed}, {took:.0f} s; peak MB: resident memory of the worker, loaded packages included")
    for found in (found for tally in tallies.values() for found in tally.found):
        print(f"again: python -m benchmarks.fuzz --seed {given.seed} --case {found['case']} --keep DIR")
    return int(any(tally.violations for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
