"""What a dry run says: every kind of staleness by its name, and the time that is left by what earlier runs took."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from c2vl_lab.bench.cluster import Slurm
from c2vl_lab.bench.drive import BenchOptions, describe_plan, plan_suite
from c2vl_lab.bench.estimate import duration, earlier_runs, in_words, seconds_for
from c2vl_lab.bench.fingerprints import NO_TRAINING, code_fingerprint
from c2vl_lab.bench.notebooks import find_notebook
from c2vl_lab.bench.runs import Job, begin, is_complete, take_lock
from c2vl_lab.bench.states import State, state_of
from c2vl_lab.bench.suite import load_suite
from c2vl_lab.errors import MissingError
from c2vl_lab.logs import write_status

CELL = {"cell_type": "code", "source": "1", "execution_count": 1, "outputs": []}
FAILED = {"output_type": "error", "ename": "DataError", "evalue": "It broke."}


@pytest.fixture
def job(tmp_path) -> Job:
    """A run that is complete, with a checkpoint."""
    settings = {"epochs": 60, "lr": 0.1, "work_dir": "here"}
    made = Job("a", "A", tmp_path / "n.ipynb", settings, tmp_path / "a", "results.json", "c1", "d1", "t1")
    begin(made)
    executed(made)
    for name in ("checkpoint.safetensors", "results.json"):
        (made.folder / name).write_text("{}")
    return made


def executed(job: Job, **more) -> None:
    cell = CELL | {"metadata": {"papermill": {"status": "completed"}}} | more
    job.executed.write_text(json.dumps({"cells": [cell]}))


def changed(job: Job, **changes) -> Job:
    return dataclasses.replace(job, **changes)


@pytest.mark.parametrize(
    ("changes", "why", "kept"),
    [
        ({"parameters": {"epochs": 60, "lr": 0.2, "turn": 5}}, "other parameters: lr 0.1 -> 0.2, turn none -> 5", []),
        ({"code": "c2", "training": "t2"}, "other code", []),
        ({"code": "c2"}, "other code that measures; its training stays", ["checkpoint.safetensors"]),
        ({"data": "d2"}, "other data, captions, pictures or teacher", []),
        ({"data": "d2", "code": "c2", "training": "t2"}, "other code; other data, captions, pictures or teacher", []),
    ],
)
def test_each_kind_of_staleness_is_named_and_only_what_is_stale_is_done_again(job, changes, why, kept):
    assert state_of(job) == State("complete", done=1.0)
    stale = changed(job, **changes)
    state = state_of(stale)
    assert (state.name, state.why) == ("stale", why) and not is_complete(stale)
    begin(stale)
    left = {path.name for path in job.folder.iterdir()} - {"run.json", "parameters.json"}
    assert left == set(kept) and not is_complete(stale)


def test_a_cluster_says_when_the_code_changed_while_a_job_waited(job, tmp_path):
    """A job computes with the code that it finds; submitting it again and again would change nothing."""
    slurm = Slurm.__new__(Slurm)
    slurm.folder = tmp_path
    assert slurm._outcome(job, "1_0", 0, 1.0).status == "complete"
    other = slurm._outcome(changed(job, code="c2", training="t2"), "1_0", 0, 1.0)
    assert other.status == "failed" and "The code has changed since this command began" in other.error


def test_where_things_lie_makes_nothing_stale(job):
    moved = changed(job, parameters={**job.parameters, "work_dir": "there"}, label="other words")
    assert state_of(moved).name == "complete"


def test_cut_failed_running_and_new_runs_are_told_apart(job, tmp_path):
    assert state_of(changed(job, folder=tmp_path / "new")) == State("to do")
    begin(job)
    (job.folder / "results.json").unlink()
    write_status(job.folder, "stopped", epoch=15, epochs=60)
    executed(job, outputs=[FAILED | {"ename": "StoppedError", "evalue": "Stopped."}])
    assert state_of(job) == State("unfinished", "epoch 15 of 60", 0.25)
    write_status(job.folder, "failed", epoch=15, epochs=60)
    executed(job, outputs=[FAILED])
    assert state_of(job) == State("failed", "It broke.", 0.25)
    lock = take_lock(job)
    assert lock is not None and state_of(job) == State("running", "epoch 15 of 60", 0.25)
    lock.close()
    assert state_of(changed(job, always=True)).name == "to do"


def test_a_package_changed_outside_of_training_keeps_the_training(tmp_path):
    """The code that measures belongs to a result, not to a checkpoint."""
    package = tmp_path / "mini"
    files = {"__init__": "", "train": "X = 1", "evaluate/__init__": "", "evaluate/run": "Y = 1"}
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / f"{name}.py").write_text(text)
    book = tmp_path / "n.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("from mini import train\nfrom mini.evaluate import run")]), book)

    def keys() -> tuple[str, str]:
        return code_fingerprint(book, package), code_fingerprint(book, package, leave_out=NO_TRAINING)

    before = keys()
    (package / "evaluate" / "run.py").write_text("Y = 2")
    assert keys()[0] != before[0] and keys()[1] == before[1]
    (package / "train.py").write_text("X = 2")
    assert keys()[1] != before[1]


def test_a_cell_that_measures_belongs_to_no_checkpoint(tmp_path):
    """In 06_benchmark those are marked: asking for more protocols in another way trains nothing again."""
    book, changed = find_notebook("06_benchmark"), tmp_path / "06_benchmark.ipynb"

    def keys(cell: str = "", words: str = "") -> tuple[str, str]:
        cells = nbformat.read(book, 4)
        for own in cells.cells:
            own.source += words if own.id == cell else ""
        nbformat.write(cells, changed)
        return code_fingerprint(changed), code_fingerprint(changed, leave_out=NO_TRAINING)

    code, training = keys()
    measuring = [c.id for c in nbformat.read(book, 4).cells if "evaluate" in c.metadata.get("tags", [])]
    assert measuring == ["check", "eval", "confusion", "protocols"]
    for cell in measuring:
        now = keys(cell, "\nmore = 1")
        assert now[0] != code and now[1] == training, cell
    assert keys("parameters", '\nmore: str = ""  # more') == (code, training)
    assert keys("train", "\nmore = 1")[1] != training


def earlier(work: Path, name: str, seconds: tuple[float, float], train=1000, test=500, device="CPU (x)", **config):
    """The results of a run that took so many seconds to train and to measure."""
    folder = work / "runs" / "old" / name
    folder.mkdir(parents=True)
    usual = {"arm": "full", "encoder": "temporal", "width": 0, "frames": 32, "batch_size": 64, "precision": "auto"}
    usual |= {"micro_batch": 0, "modalities": "language", "stream": "joint", "pretrain_on": "", "epochs": 10, "seed": 0}
    usual |= {"dataset": "nw-ucla", "protocol": "xview", "lr": 0.002}
    found = {"config": usual | config, "split": {"train": train, "test": test}, "device": device}
    found["seconds"] = dict(zip(("pretrain", "evaluate"), seconds, strict=True))
    (folder / "results.json").write_text(json.dumps(found))
    return usual | config


@pytest.fixture
def benchmark(tmp_path) -> Job:
    book = tmp_path / "n.ipynb"
    text = 'arm: str = "full"  # a\nprecision: str = "auto"  # a\nmicro_batch: int = 0  # a\npretrain_on: str = ""  # a'
    cell = new_code_cell(text, metadata={"tags": ["parameters"]})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=[cell], metadata={"kernelspec": kernel}), book)
    return Job("a", "A", book, {}, tmp_path / "a", "results.json")


def test_an_estimate_takes_the_nearest_runs(benchmark, tmp_path):
    settings = earlier(tmp_path, "same-0", (100.0, 8.0))
    earlier(tmp_path, "same-1", (120.0, 12.0), seed=1)
    earlier(tmp_path, "other-rate", (900.0, 1.0), lr=0.1, epochs=30)
    earlier(tmp_path, "gpu", (5.0, 1.0), device="NVIDIA H200")
    (tmp_path / "runs" / "old" / "torn").mkdir()
    (tmp_path / "runs" / "old" / "torn" / "results.json").write_text("{")
    known, new = earlier_runs(tmp_path), State("to do")
    assert len(known) == 4

    def seconds(state=new, gpu=False, **changes):
        return seconds_for(changed(benchmark, parameters={**settings, **changes}), state, known, gpu)

    assert seconds(seed=7) == 110 + 10
    assert seconds(State("unfinished", "", 0.5)) == 55 + 10
    assert seconds(gpu=True) == 6
    # another rate at 20 epochs: three runs of this set and arm, scaled by their epochs
    assert seconds(lr=0.5, epochs=20) == pytest.approx((200 + 240 + 600) / 3 + 7)
    # another set, by the published number of clips: 40,091 train, 16,487 test
    ntu = seconds(dataset="ntu60", protocol="xsub", epochs=10)
    assert ntu == pytest.approx(40.091 * (100 + 120 + 300) / 3 + 56578 / 1500 * 7)
    assert seconds(dataset="pku2", protocol="xsub") is None, "how many clips PKU-MMD II has was never published"
    assert seconds(arm="supervised") is None and seconds(encoder="stgcn") is None


def test_an_estimate_in_words():
    assert in_words([], 2) == "" and in_words([None], 2) == "no earlier run tells how long"
    assert in_words([3600.0, 3600.0, None], 2) == (
        "about 60 min at 2 at once, by what earlier runs took; of 1 of them nothing is known"
    )
    assert in_words([7200.0, 60.0], 2).startswith("about 2.0 h"), "the longest run ends last"
    assert [duration(s) for s in (40, 600, 10000, 400000)] == ["40 s", "10 min", "2.8 h", "4.6 days"]


def test_a_dry_run_lists_states_and_time_and_starts_nothing(tmp_path):
    options = BenchOptions(work_dir=str(tmp_path), device="cpu", workers=2, settings=("epochs=15",))
    plan = plan_suite(load_suite("demo"), options)
    lines = describe_plan(plan)
    assert lines[-2] == "Runs: 12 to do" and lines[-1] == "Time left: no earlier run tells how long"
    assert not list(tmp_path.iterdir())
    done = plan.runs[4]
    begin(done)
    executed(done)
    (done.folder / "results.json").write_text("{}")
    stale = plan.runs[5]
    begin(changed(stale, data="other"))
    lines = describe_plan(plan)
    assert lines[-2] == "Runs: 1 complete, 1 stale, 10 to do"
    assert f"  stale       {stale.id}  ({stale.label}): other data, captions, pictures or teacher" in lines


def test_a_dry_run_needs_no_data_and_says_so(tmp_path):
    options = BenchOptions(work_dir=str(tmp_path), device="cpu", workers=2, dry_run=True)
    plan = plan_suite(load_suite("utd-mhad"), options)
    lines = describe_plan(plan)
    assert lines[-3].startswith("Data: not looked at, for --data names no folder")
    assert lines[-2] == f"Runs: {len(plan.runs)} to do" and not list(tmp_path.iterdir())
    done, stale = plan.runs[0], plan.runs[1]
    begin(changed(done, data="the files of that day"))
    executed(done)
    (done.folder / "results.json").write_text("{}")
    begin(changed(stale, code="other"))
    plan = plan_suite(load_suite("utd-mhad"), options)
    assert describe_plan(plan)[-2] == f"Runs: 1 complete, 1 stale, {len(plan.runs) - 2} to do"
    with pytest.raises(MissingError, match=r"data_dir is not set.*--data"):
        plan_suite(load_suite("utd-mhad"), BenchOptions(work_dir=str(tmp_path)))
    nowhere = BenchOptions(work_dir=str(tmp_path), dry_run=True, data_dir=str(tmp_path / "nowhere"))
    with pytest.raises(MissingError, match="nowhere is no folder"):
        plan_suite(load_suite("utd-mhad"), nowhere)
    captions = BenchOptions(work_dir=str(tmp_path), dry_run=True, settings=("captions=none.jsonl",))
    with pytest.raises(MissingError, match=r"captions=none.jsonl: there is no file"):
        plan_suite(load_suite("utd-mhad"), captions)
    assert describe_plan(plan_suite(load_suite("demo"), options))[-2].startswith("Runs:"), "generated clips are known"
    assert not plan_suite(load_suite("demo"), options).blind
