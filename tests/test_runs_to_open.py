"""What a notebook opens: what is named, else what is there, else an example that is trained once and called one."""

from __future__ import annotations

import json

import pytest

from c2vl_lab.errors import MissingError
from c2vl_lab.evaluate import example_runs
from c2vl_lab.evaluate.runs_to_open import run_to_open, suite_to_open

CARD = {"suite": "demo", "title": "Demo", "preset": "cpu", "command": "c2vl bench demo", "runs": []}


@pytest.fixture
def trained(monkeypatch):
    """The names of the runs that were trained as examples, in their order; nothing is really trained."""
    found = []

    def measure(experiment, target, progress):
        target.mkdir(parents=True)
        (target / "results.json").write_text("{}")

    monkeypatch.setattr(example_runs, "open_dataset", lambda *rest, **options: type("Store", (), {"path": "store"}))
    monkeypatch.setattr(example_runs, "open_experiment", lambda config, progress: config)
    monkeypatch.setattr(example_runs, "pretrain", lambda config, target, progress: found.append(target.name))
    monkeypatch.setattr(example_runs, "evaluate", measure)
    return found


def run_in(folder, parameters=None):
    """The settings and results of a finished run."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(parameters or {"arm": "full", "seed": 0}))
    (folder / "results.json").write_text(json.dumps({"config": {"arm": "full", "seed": 0}}))
    return folder


def test_an_example_is_trained_once_and_called_one(tmp_path, trained):
    opened = run_to_open("", tmp_path)
    assert opened.path == tmp_path / "runs" / "example" / "full-s0" and trained == ["full-s0"]
    assert f"{tmp_path / 'runs' / 'single'} holds none" in opened.told
    assert "generated" in opened.told and "nothing of a method" in opened.told
    assert run_to_open("", tmp_path) == opened and trained == ["full-s0"]
    suite = suite_to_open("", tmp_path)
    assert suite.path == opened.path.parent and "generated" in suite.told and "3 arms with 2 seeds each" in suite.told
    assert len(trained) == len(set(trained)) == 6, "the one that was there is one of the six"
    assert suite_to_open("", tmp_path) == suite and len(trained) == 6


def test_what_a_notebook_or_the_demo_made_comes_first(tmp_path, trained):
    single = run_in(tmp_path / "runs" / "single")
    opened = run_to_open("", tmp_path)
    assert opened.path == single and "03_pretrain made" in opened.told
    demo = tmp_path / "runs" / "demo" / "cpu"
    run_in(demo / "full-s0-abc")
    (demo / "suite.json").write_text(json.dumps(CARD))
    suite = suite_to_open("", tmp_path)
    assert (suite.path, suite.title, suite.command) == (demo, "Demo (cpu preset)", "c2vl bench demo")
    assert suite.name == "demo-cpu" and "demo suite" in suite.told and trained == []


def test_what_is_named_is_opened_or_the_error_says_what_is_wanted(tmp_path, trained):
    for made in ("single", "mine/full"):
        run_in(tmp_path / "runs" / made)
    named = tmp_path / "runs" / "mine"
    opened = run_to_open(str(named / "full"), tmp_path)
    assert (opened.path, opened.told) == (named / "full", f"The run: {named / 'full'}")
    suite = suite_to_open(str(named), tmp_path)
    assert (suite.path, suite.title, suite.command, suite.name) == (named, "Runs in mine", "", "mine")
    with pytest.raises(MissingError, match="03_pretrain or `c2vl pretrain` makes one"):
        run_to_open(str(tmp_path / "nowhere"), tmp_path)
    with pytest.raises(MissingError, match=r"No folder .*nowhere"):
        suite_to_open(str(tmp_path / "nowhere"), tmp_path)
    assert trained == []


def test_what_notebook_03_did_not_finish_is_not_passed_over(tmp_path, trained):
    """An example in its place would be taken for it; whoever opens it says how far it is."""
    unfinished = tmp_path / "runs" / "single"
    unfinished.mkdir(parents=True)
    (unfinished / "config.json").write_text("{}")
    assert run_to_open("", tmp_path).path == unfinished and trained == []
