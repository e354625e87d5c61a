"""A suite as its watchers see it: in a terminal, in a notebook, and as lines where there is neither."""

from __future__ import annotations

import json
import os
import time

import pytest

from c2vl_lab.bench.following import SuiteFollower, follow_suite
from c2vl_lab.bench.locks import take_folder
from c2vl_lab.bench.progress import clock, headline, suite_rows, time_left
from c2vl_lab.bench.screen import screen, suite_table
from c2vl_lab.logs import write_status

EVIL = "</b><script>alert(1)</script>"


def run(folder, name, status, label="Full method", **files):
    """A run's folder and its entry in the suite's list."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / name / file.replace("_", ".")).write_text(text)
    about = {"seed": int(name[-1])}
    return {
        "id": name,
        "label": label,
        "parameters": about,
        "status": status,
        "error": "It broke." if status == "failed" else "",
    }


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def suite(tmp_path):
    """Four runs: complete after 100 s, training, opening its data, failed; and two that wait."""
    rows = [run(tmp_path, "a-s0", "complete", run_json="{}", results_json="{}")]
    age(tmp_path / "a-s0" / "run.json", 500)
    age(tmp_path / "a-s0" / "results.json", 400)
    rows += [run(tmp_path, "a-s1", "not run", run_json="{}"), run(tmp_path, "b-s0", "not run", EVIL, run_json="{}")]
    (tmp_path / "b-s0" / "log.txt").write_text("one\n[cell 3/18] Open   the data\n\n")
    age(tmp_path / "a-s1" / "run.json", 60)
    write_status(tmp_path / "a-s1", "running", epoch=6, epochs=20, step=5, batches=10, clips_per_second=812.4,
                 seconds_left=70.0)  # fmt: skip
    rows += [run(tmp_path, "c-s0", "failed"), run(tmp_path, "d-s0", "not run"), run(tmp_path, "e-s0", "not run")]
    (tmp_path / "suite.json").write_text(json.dumps({"runs": rows}))
    locks = [take_folder(tmp_path / name) for name in ("a-s1", "b-s0")]
    yield tmp_path
    for lock in locks:
        lock.close()


def test_rows_say_how_far_every_run_is(suite):
    rows = {row.id: row for row in suite_rows(suite)}
    assert [row.state for row in rows.values()] == [
        "complete", "running", "running", "failed", "waiting", "waiting",
    ]  # fmt: skip
    assert rows["a-s0"].seconds == pytest.approx(100, abs=1)
    trains = rows["a-s1"]
    assert (trains.doing, trains.share, trains.rate, trains.left) == ("epoch 6/20", 0.325, 812.4, 70.0)
    assert trains.seconds == pytest.approx(60, abs=5)
    assert rows["b-s0"].doing == "[cell 3/18] Open the data" and rows["c-s0"].doing == "It broke."


def test_the_time_left_is_that_of_runs_like_those_that_have_ended(suite):
    """Two run, 40 s (the training says 70) and 100 s to go; two more of 100 s wait: (70 + 100 + 200) / 2."""
    rows = suite_rows(suite)
    assert time_left(rows) == pytest.approx(185, abs=6)
    assert headline(rows).startswith("1 of 6 complete, 2 running, 1 failed, 2 waiting; about 3:0")
    assert time_left([row for row in rows if row.state != "complete"]) is None
    assert (clock(59), clock(3661), clock(None)) == ("0:59", "1:01:01", "")


def test_an_earlier_attempts_status_is_not_taken_for_this_one(suite):
    (suite / "b-s0" / "status.json").write_text((suite / "a-s1" / "status.json").read_text())
    age(suite / "b-s0" / "run.json", -30)  # begun after that status was written
    assert {row.id: row.doing for row in suite_rows(suite)}["b-s0"] == "[cell 3/18] Open the data"


def test_no_suite_and_torn_files_are_no_errors(tmp_path):
    assert suite_rows(tmp_path) == [] == suite_rows(tmp_path / "none")
    for text in ("{", "[]", '{"runs": [{"id": 1}]}', '{"runs": 3}'):
        (tmp_path / "suite.json").write_text(text)
        assert suite_rows(tmp_path) == []


def test_the_table_in_a_terminal(suite):
    from rich.console import Console

    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(suite_table(suite_rows(suite), 6))
    text = console.export_text()
    lines = text.splitlines()
    assert lines[0].startswith("1 of 6 complete")
    assert (
        "Full method, seed 1" in text and "epoch 6/20" in text and " 32%" in text and "812" in text and "1:10" in text
    )
    assert [word for line in lines for word in ("running", "failed") if f" {word} " in line] == [
        "running", "running", "failed",
    ]  # fmt: skip
    assert "... and 3 more" in text and EVIL in text


def test_where_there_is_no_terminal_lines_are_said(suite, capsys):
    said: list[str] = []
    with screen(suite, said.append) as shown:
        shown.say("one")
        shown.watch()
    assert said == ["one"] and capsys.readouterr().out == ""
    with screen(suite, said.append, live=True) as shown:
        shown.say("[bold]two")
        shown.watch()
    assert said == ["one"] and "[bold]two" in capsys.readouterr().out


def test_the_table_in_a_notebook(suite, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "a notebook")
    follower = follow_suite(suite)
    assert isinstance(follower, SuiteFollower)
    text = follower.table.value
    assert "<script>" not in text and "&lt;script&gt;" in text and "epoch 6/20" in text and "width:32%" in text
    listed = json.loads((suite / "suite.json").read_text())
    listed["runs"][4]["status"] = "failed"
    (suite / "suite.json").write_text(json.dumps(listed))
    follower.refresh()
    assert "2 failed" in follower.table.value
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert follow_suite(suite).text.startswith("1 of 6 complete")
    assert "No suite has been started" in follow_suite(suite / "none").text
