"""The runner's orders: tries again, stops with a checkpoint, several devices, places on GPUs. Runs are stand-ins."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from c2vl_lab.bench import runner
from c2vl_lab.bench.machine import Machine
from c2vl_lab.bench.runner import run_jobs
from c2vl_lab.bench.runs import Job, take_lock
from c2vl_lab.bench.states import state_of
from c2vl_lab.cli import _end_in_order
from c2vl_lab.logs import write_status

TWO = Machine(workers=2, threads=1)


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch):
    monkeypatch.setattr(runner, "COMMAND", (sys.executable, "-S", "-E", str(Path(__file__).with_name("toy_run.py"))))
    monkeypatch.setattr(runner, "POLL", 0.02)


def job(tmp_path: Path, arm: str, seed: int = 0, devices: int = 1) -> Job:
    folder = tmp_path / f"{arm}-{seed}"
    values = {"arm": arm, "seed": seed}
    return Job(folder.name, arm, tmp_path / "n.ipynb", values, folder, "results.json", "code", "data", devices=devices)


def starts(job: Job) -> list[str]:
    return (job.folder / "starts").read_text().split()


def test_a_failed_run_is_tried_again_and_what_it_left_is_kept(tmp_path):
    jobs, said = [job(tmp_path, "flaky1"), job(tmp_path, "flaky2"), job(tmp_path, "full")], []
    outcomes = run_jobs(jobs, TWO, said.append, retries=1)
    assert [outcome.status for outcome in outcomes] == ["complete", "failed", "complete"]
    assert outcomes[1].error == "c2vl: It broke." and [len(starts(each)) for each in jobs] == [2, 2, 1]
    assert (jobs[0].folder / "failed-1.txt").read_text() == "c2vl: It broke.\n"
    assert any("failed, tried again (1 of 1): flaky2-0: c2vl: It broke." in line for line in said)
    assert run_jobs(jobs, TWO, said.append)[1].status == "complete", "the next call tries once more"


def interrupt_when(path: Path):
    """A watcher that presses Ctrl-C once a file is there."""

    def watch(ended):
        if path.exists():
            raise KeyboardInterrupt

    return watch


def test_an_interrupt_waits_for_a_checkpoint(tmp_path):
    run, said = job(tmp_path, "listens"), []
    with pytest.raises(KeyboardInterrupt):
        run_jobs([run, job(tmp_path, "full", 1)], TWO, said.append, watch=interrupt_when(run.folder / "status.json"))
    assert (run.folder / "stopped").read_text() == "after a checkpoint"
    assert any("a checkpoint comes first: listens-0" in line for line in said)
    assert not (run.folder / "STOP").exists() and state_of(run).name == "unfinished"
    lock = take_lock(run)
    assert lock is not None
    lock.close()


def test_a_run_that_does_not_listen_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "ORDER", 0.2)
    monkeypatch.setattr(runner, "PATIENCE", 0.2)
    run = job(tmp_path, "deaf")
    with pytest.raises(KeyboardInterrupt):
        run_jobs([run], TWO, lambda line: None, watch=interrupt_when(run.folder / "status.json"))
    assert state_of(run).name == "unfinished" and not (run.folder / "STOP").exists()


def test_a_run_that_somebody_stops_is_not_tried_again(tmp_path):
    run = job(tmp_path, "listens")

    def press_stop(ended):
        if (run.folder / "status.json").exists():
            (run.folder / "STOP").touch()

    outcome = run_jobs([run], TWO, lambda line: None, retries=3, watch=press_stop)[0]
    assert (outcome.status, outcome.error) == ("failed", "c2vl: Stopped.") and len(starts(run)) == 1


def test_several_devices_train_before_the_notebook_measures(tmp_path):
    jobs = [job(tmp_path, "full", devices=2), job(tmp_path, "unlucky", devices=2)]
    outcomes = run_jobs(jobs, TWO, lambda line: None)
    assert [outcome.status for outcome in outcomes] == ["complete", "failed"]
    assert [(each.folder / "devices").read_text() for each in jobs] == ["2", "2"]
    assert len(starts(jobs[0])) == 1 and not (jobs[1].folder / "starts").exists()


def test_places_on_gpus_are_handed_out(tmp_path):
    jobs = [job(tmp_path, "full", seed) for seed in range(4)]
    run_jobs(jobs, Machine(4, 1, ("0", "1", "0", "1")), lambda line: None)
    assert sorted(starts(each)[0] for each in jobs) == ["0", "0", "1", "1"]
    pair = job(tmp_path, "full", 5)
    run_jobs([pair], Machine(1, 1, ("0,1",)), lambda line: None)
    hidden = job(tmp_path, "full", 6)
    run_jobs([hidden], Machine(1, 1, ("",)), lambda line: None)
    assert starts(pair) == ["0,1"] and (hidden.folder / "starts").read_text() == "\n"


def test_sigterm_asks_for_a_checkpoint_first(tmp_path, monkeypatch):
    """As a cluster sends it to all processes of a job; its warning, SIGUSR2, is for the job's first process alone."""
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}
    try:
        _end_in_order(str(tmp_path))
        os.kill(os.getpid(), signal.SIGUSR2)
        write_status(tmp_path, "running", epoch=1, epochs=2)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (tmp_path / "STOP").exists()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        write_status(tmp_path, "done", epoch=2, epochs=2)
        (tmp_path / "STOP").unlink()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert not (tmp_path / "STOP").exists()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
