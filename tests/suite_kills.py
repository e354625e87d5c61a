"""A suite that is killed again and again, and one that is not: ``python suite_kills.py FOLDER KILLS SEED [real]``.

Callers are forked from this process, the runs are ``toy_run.py``; with ``real`` they are the demo's own runs instead,
which takes an hour on two cores. Writes what happened to ``FOLDER/kills.json``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import nbformat
import psutil
from killing import die_at_call, end, fork
from nbformat.v4 import new_code_cell, new_notebook

from c2vl_lab.bench import runner
from c2vl_lab.bench.drive import BenchOptions, Plan, plan_suite, run_plan
from c2vl_lab.bench.runs import is_complete
from c2vl_lab.bench.suite import Suite, load_suite

TOY = (sys.executable, "-S", "-E", str(Path(__file__).with_name("toy_run.py")))
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
PARAMETERS = """dataset: str = "generated"  # any
arm: str = "full"  # any
seed: int = 0  # any"""


def toy_plan(folder: Path) -> Plan:
    """Three arms with three seeds, of a notebook that nobody executes."""
    cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    folder.mkdir(parents=True, exist_ok=True)
    book = folder.parent / "toy.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=KERNEL), book)
    arms = tuple({"arm": arm, "label": arm} for arm in ("hard", "full", "supervised"))
    suite = Suite("toy", "Toy", "generated", arms, {"cpu": {}}, notebook=str(book))
    return plan_suite(suite, BenchOptions(work_dir=str(folder), workers=2))


def real_plan(folder: Path) -> Plan:
    """The demo's runs, of three epochs."""
    suite = dataclasses.replace(load_suite("demo"), before=(), after=(), presets={"cpu": {"epochs": 3}})
    return plan_suite(suite, BenchOptions(work_dir=str(folder), workers=2))


def of_version(plan: Plan, version: int) -> Plan:
    """The same plan as of other code, so that everything is stale."""
    runs = [dataclasses.replace(job, code=f"version {version}", training="") for job in plan.runs]
    return dataclasses.replace(plan, runs=runs, all_runs=runs)


def call(plan: Plan, prepare=lambda: None, alone: bool = False) -> int:
    """One caller in a process of its own; its number. One that is let alone must see no run fail."""

    def action() -> None:
        prepare()
        outcomes = run_plan(plan, lambda line: None)
        bad = [outcome.error for outcome in outcomes if outcome.status == "failed"]
        assert not (bad and alone), bad

    return fork(action)


def kill(draw: random.Random, plan: Plan, longest: float) -> dict[str, str]:
    """One caller and its death: at a moment of writing, alone, or with the runs that it has started."""
    way = draw.choice(["writing", "caller", "runs", "all"])
    if way == "writing":
        number, before = draw.randint(1, 12), draw.random() < 0.5
        pid = call(plan, lambda: die_at_call(number, before))
        time.sleep(longest)
    else:
        pid = call(plan)
        time.sleep(draw.uniform(0.0, longest))
    runs = psutil.Process(pid).children(recursive=True)
    if way in ("runs", "all"):
        for process in runs:
            process.kill()
        time.sleep(0.05 if way == "runs" else 0.0)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return {"way": way, "end": end(pid), "runs": len(runs)}


def main(folder: Path, kills: int, seed: int, real: bool) -> None:
    """An unbroken suite, and one that is killed; where that is complete before its last kill, its code has changed."""
    draw, version, told = random.Random(seed), 0, []
    if not real:
        runner.COMMAND, runner.POLL, runner.LOOK = TOY, 0.02, 0.05
    make = real_plan if real else toy_plan
    whole, cut = make(folder / "whole"), make(folder / "cut")
    begun = time.monotonic()
    ends = [end(call(of_version(whole, 0), alone=True))]
    longest = (time.monotonic() - begun) / 5  # a caller's life, whatever this machine's speed
    for _ in range(kills):
        plan = of_version(cut, version)
        if all(is_complete(job) for job in plan.runs):
            version += 1
            plan = of_version(cut, version)
        told.append({**kill(draw, plan, longest), "version": version})
    ends.append(end(call(of_version(cut, version), alone=True)))
    (folder / "kills.json").write_text(json.dumps({"ends": ends, "kills": told, "version": version}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), "real" in sys.argv[4:])
