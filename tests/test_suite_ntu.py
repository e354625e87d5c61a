"""The suite of NTU-60 at toy size: raw files in the exact format, read, trained and measured as it stands."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from ntu_files import person, write_skeleton_file

from c2vl_lab.bench.drive import BenchOptions, plan_suite, run_plan
from c2vl_lab.bench.states import state_of
from c2vl_lab.bench.suite import load_suite
from c2vl_lab.config import from_dict
from c2vl_lab.evaluate.run import evaluate
from c2vl_lab.experiment import RunConfig, open_experiment, pretrain

TRAIN, TEST = (1, 2, 4), (3, 6)  # performers of NTU's cross-subject parts
CLASSES = {1: 0.02, 9: 0.1, 26: 0.3}  # class -> how much the body moves
TOY = ("teacher=bag", "epochs=1", "frames=16", "batch_size=6", "warmup_epochs=0")


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """Thirty recordings: five performers, three classes, twice each."""
    folder = tmp_path_factory.mktemp("data") / "ntu60"
    for number, (performer, (label, movement), again) in enumerate(
        (p, c, r) for p in (*TRAIN, *TEST) for c in CLASSES.items() for r in (1, 2)
    ):
        frames = [[(72057594037931101, joints)] for joints in person(number, 0.0, movement, frames=30)]
        write_skeleton_file(folder / f"S001C001P{performer:03d}R{again:03d}A{label:03d}.skeleton", frames)
    return folder.parent


def toy_plan(raw: Path, work: Path, *only: str, settings: tuple[str, ...] = TOY):
    suite = dataclasses.replace(load_suite("ntu60-xsub"), before=(), after=())
    options = BenchOptions(str(raw), "cpu", only, settings, workers=1, device="cpu", work_dir=str(work))
    return plan_suite(suite, options)


def test_every_arm_of_the_suite_runs_on_raw_files(raw, tmp_path):
    """As the notebook does it, without its process."""
    plan = toy_plan(raw, tmp_path, "seed=0")
    assert len(plan.runs) == 9
    for job in plan.runs:
        values = {name: value for name, value in job.parameters.items() if name not in ("run_dir", "protocols")}
        experiment = open_experiment(from_dict(RunConfig, values))
        pretrain(experiment, job.folder)
        found = evaluate(experiment, job.folder)
        assert (found["dataset"], found["split"]["protocol"]) == ("ntu60", "xsub")
        assert (found["split"]["train"], found["split"]["test"]) == (18, 12)
        assert 0 <= found["metrics"]["linear"] <= 1 and found["config"]["lr"] == 0.002
    streams = {job.parameters["stream"] for job in plan.runs if job.parameters["arm"] == "full"}
    assert streams == {"joint", "bone", "motion"}


@pytest.mark.slow
def test_the_suite_runs_by_its_command_and_is_stale_when_a_recording_changes(raw, tmp_path):
    only = ("arm=full", "stream=bone", "seed=1")
    plan = toy_plan(raw, tmp_path / "work", *only)
    outcomes = run_plan(plan, lambda line: None)
    assert [(outcome.status, outcome.error) for outcome in outcomes] == [("complete", "")]
    listed = json.loads((plan.folder / "suite.json").read_text())["runs"]
    assert len(listed) == 27 and [run["status"] for run in listed].count("complete") == 1
    trained = next(run for run in listed if run["status"] == "complete")
    assert trained["step"] == {"batch_size": 6, "accumulate": 1, "micro_batch": 0, "devices": 1}
    assert [o.status for o in run_plan(toy_plan(raw, tmp_path / "work", *only), lambda line: None)] == ["skipped"]
    changed = raw / "ntu60" / "S001C001P001R001A001.skeleton"
    changed.write_bytes(changed.read_bytes() + b"\r\n")
    state = state_of(toy_plan(raw, tmp_path / "work", *only).runs[0])
    assert (state.name, state.why) == ("stale", "other data, captions, pictures or teacher")
