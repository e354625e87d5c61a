"""A suite in a real Slurm: an array, a job that is killed, a node that is drained, a requeue, a cancelled job.

``make test-cluster`` installs Slurm where it may and runs these; elsewhere they are skipped, for they take minutes.
The runs are notebooks of a few lines.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
import time
from pathlib import Path

import nbformat
import psutil
import pytest
import slurm_cluster
from nbformat.v4 import new_code_cell, new_notebook
from slurm_cluster import ask

from c2vl_lab.bench.drive import BenchOptions, Plan, plan_suite, run_plan
from c2vl_lab.bench.suite import Suite
from c2vl_lab.errors import C2VLError

pytest.importorskip("submitit", reason="submitit is not installed: pip install '.[cluster]'")
WHY_NOT = slurm_cluster.why_not() if os.environ.get("C2VL_TEST_CLUSTER") else "these are run by make test-cluster"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

STEPS = 150
PARAMETERS = """run_dir: str = "run"  # folder
dataset: str = "generated"  # any
work_dir: str = "work"  # any
device: str = "auto"  # any
seed: int = 0  # a number
arm: str = "quick"  # quick, bad, or the name of what befalls it"""
# a stand-in for training: a step is a fiftieth of a second, a checkpoint the number of steps
BODY = f"""import json, os, pathlib, time
from c2vl_lab.errors import DataError
from c2vl_lab.logs import STOP, write_status
from c2vl_lab.training.stopping import StoppedError, signals_as_stop
folder, done = pathlib.Path(run_dir), 0
if (folder / "checkpoint").exists():
    done = int((folder / "checkpoint").read_text())
with open(folder / "starts.txt", "a") as stream:
    stream.write(f"{{done}} {{os.environ.get('SLURMD_NODENAME')}} {{os.environ.get('CUDA_VISIBLE_DEVICES')}}\\n")
if arm == "bad":
    raise DataError("Wanted a good arm, found a bad one.")
with signals_as_stop() as asked:
    while arm != "quick" and done < {STEPS}:
        time.sleep(0.1)
        done += 1
        write_status(folder, "running", epoch=done, epochs={STEPS})
        if done % 5 == 0:
            (folder / "checkpoint").write_text(str(done))
        if asked() or (folder / STOP).exists():
            time.sleep(1)
            for name in ("checkpoint", "in-order.txt"):
                (folder / name).write_text(str(done))
            (folder / STOP).unlink(missing_ok=True)
            write_status(folder, "stopped", epoch=done, epochs={STEPS})
            raise StoppedError("Stopped.")
write_status(folder, "done", epoch=done, epochs={STEPS})
(folder / "results.json").write_text(json.dumps({{"steps": done}}))"""


@pytest.fixture(scope="module")
def slurm():
    with slurm_cluster.cluster() as folder:
        yield folder


def plan_of(tmp_path: Path, *arms: str) -> Plan:
    book = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})
    book.cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), new_code_cell(BODY)]
    nbformat.write(book, tmp_path / "tiny.ipynb")
    grid = tuple({"arm": arm, "label": arm} for arm in arms)
    suite = Suite("tiny", "Tiny", "generated", grid, {"cpu": {}}, seeds=(0,), notebook=str(tmp_path / "tiny.ipynb"))
    resources = {"devices": 1, "cpus": 1, "hours": 0.5, "partition": "debug", "sbatch": {"comment": "a test"}}
    return plan_suite(suite, BenchOptions(work_dir=str(tmp_path / "work"), resources=resources))


class Drive(threading.Thread):
    """``c2vl bench --cluster slurm`` beside the test."""

    def __init__(self, plan: Plan):
        super().__init__(daemon=True)
        from c2vl_lab.bench.cluster import Slurm

        self.plan, self.said, self.outcomes, self.error = plan, [], [], None
        self.slurm = Slurm(plan, self.said.append)
        self.start()

    def run(self) -> None:
        try:
            self.outcomes = run_plan(self.plan, self.said.append, execute=self.slurm.execute)
        except BaseException as error:
            self.error = error

    def ended(self) -> dict[str, tuple[str, str]]:
        self.join(600)
        assert not self.is_alive() and self.error is None, (self.error, self.said)
        return {outcome.job.label: (outcome.status, outcome.error) for outcome in self.outcomes}

    def folder(self, arm: str) -> Path:
        return next(job.folder for job in self.plan.runs if job.label == arm)

    def number(self, arm: str) -> str:
        """The run's Slurm job."""
        return json.loads(self.slurm.book.read_text())[self.folder(arm).name]


def starts(folder: Path) -> list[tuple[int, str, str]]:
    """(steps that were done, node, GPUs) of every start."""
    rows = [line.split() for line in (folder / "starts.txt").read_text().splitlines()]
    return [(int(done), node, gpu) for done, node, gpu in rows]


def until(condition, drive=None, seconds: float = 400.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited too long"
        assert drive is None or drive.error is None, (drive.error, drive.said)
        time.sleep(0.1)
    return found


def trains(folder: Path) -> bool:
    """Whether the run is past some steps."""
    path = folder / "checkpoint"
    return path.exists() and int(path.read_text() or 0) >= 10


def test_a_suite_survives_what_a_cluster_does_to_it(slurm, tmp_path):
    """Four runs at once: one quick, one that fails, one whose processes are killed, one whose node is drained."""
    drive = Drive(plan_of(tmp_path, "quick", "bad", "killed", "drained"))
    killed, drained = drive.folder("killed"), drive.folder("drained")

    until(lambda: trains(killed), drive)
    for process in psutil.process_iter(["cmdline", "environ"]):
        own = (process.info["environ"] or {}).get("SLURM_ARRAY_TASK_ID")
        if own == drive.number("killed").split("_")[1] and "python" in " ".join(process.info["cmdline"] or ()):
            os.kill(process.pid, signal.SIGKILL)

    until(lambda: trains(drained))
    node = starts(drained)[0][1]
    ask("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    ask("scancel", "--signal=USR2", drive.number("drained"))  # what Slurm sends before a time limit or a pre-emption
    until(lambda: len(starts(drained)) > 1)
    ask("scontrol", "update", f"nodename={node}", "state=resume")

    ended = drive.ended()
    assert ended["quick"] == ended["killed"] == ended["drained"] == ("complete", "")
    assert ended["bad"] == ("failed", "Wanted a good arm, found a bad one.")
    assert [json.loads((path / "results.json").read_text())["steps"] for path in (killed, drained)] == [STEPS, STEPS]
    before, after = starts(drained)
    assert after[0] == int((drained / "in-order.txt").read_text()), "the requeued run has not stopped in order"
    assert before[0] == 0 and after[0] >= 10 and {before[1], after[1]} == set(slurm_cluster.NODES)
    first, *_, last = starts(killed)
    assert first[0] == 0 and last[0] >= 10
    assert any("cut, submitted again (1 of 5): killed" in line for line in drive.said)
    assert not any("submitted again" in line and "drained" in line for line in drive.said), "Slurm itself requeued it"
    assert {gpu for _, _, gpu in starts(killed) + starts(drained)} <= {"0", "1"}
    listed = json.loads((drive.plan.folder / "suite.json").read_text())["runs"]
    assert [run["status"] for run in listed] == ["complete", "failed", "complete", "complete"]

    again = Drive(drive.plan)
    ended = again.ended()
    assert [ended[arm][0] for arm in ("quick", "bad", "killed", "drained")] == [
        "skipped", "failed", "skipped", "skipped",
    ]  # fmt: skip
    assert len(starts(drive.folder("quick"))) == 1


def test_two_callers_share_the_queue_and_a_cancelled_run_goes_on_at_the_next_call(slurm, tmp_path):
    plan = plan_of(tmp_path, "cancelled")
    one = Drive(plan)
    folder = one.folder("cancelled")
    until(lambda: trains(folder), one)
    two = Drive(plan)
    until(lambda: any("in the queue already: cancelled" in line for line in two.said))
    ask("scancel", one.number("cancelled"))
    for drive in (one, two):
        status, error = drive.ended()["cancelled"]
        assert status == "failed" and "was cancelled; the same command goes on" in error
    stopped = int((folder / "in-order.txt").read_text())
    assert Drive(plan).ended()["cancelled"] == ("complete", "")
    assert [done for done, _, _ in starts(folder)] == [0, stopped]


def test_what_sbatch_refuses_is_one_sentence(slurm, tmp_path):
    plan = plan_of(tmp_path, "quick")
    plan = dataclasses.replace(plan, resources=dataclasses.replace(plan.resources, partition="none"))
    from c2vl_lab.bench.cluster import Slurm

    with pytest.raises(C2VLError, match=r"sbatch refused the runs: .*invalid partition"):
        run_plan(plan, lambda line: None, execute=Slurm(plan, lambda line: None).execute)
    assert not plan.runs[0].folder.exists()
