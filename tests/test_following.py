"""Following a run from its files: what is shown, what the button does, what stands in its place outside Jupyter."""

import json
import os
import time

import numpy as np
import pytest
from training_sets import TINY, training_set

from c2vl_lab import figures
from c2vl_lab.config import replace
from c2vl_lab.logs import METRICS, read_metrics, write_status
from c2vl_lab.training import keeping
from c2vl_lab.training.fit import fit
from c2vl_lab.training.stopping import StoppedError
from c2vl_lab.viz.following import Follower, follow_run, status_line

EVIL = "</b><script>alert(1)</script>"


def rows(count):
    steady = {"alpha": 0.1, "kappa": 14.0, "lr": 0.01, "clips_per_second": 900.0, "seconds": 2.0, "seconds_left": 8.0}
    return [
        {"epoch": e, "loss": 2 / e, "one": 1.5 / e, "two": 0.5 / e, **steady, "skipped": 0} for e in range(1, count + 1)
    ]


def write(folder, table):
    (folder / METRICS).write_text("".join(json.dumps(row) + "\n" for row in table))


def shown(follower):
    return {trace.name: (list(trace.x), list(trace.y)) for trace in follower.curves.data}


def test_curves_grow_with_the_files(tmp_path):
    follower = Follower(tmp_path / "run")
    assert shown(follower) == {} and "Nothing trains here yet" in follower.head.value and follower.stop.disabled
    (tmp_path / "run").mkdir()
    write(tmp_path / "run", [])
    follower.refresh()
    assert shown(follower) == {}
    write(tmp_path / "run", rows(1))
    follower.refresh()
    assert set(shown(follower)) == {"loss", "one", "two", "alpha", "kappa", "lr", "clips_per_second"}
    table = rows(4)
    table[1]["knn1"], table[2]["loss"] = 0.25, None
    write(tmp_path / "run", table)
    follower.refresh()
    assert shown(follower)["loss"] == ([1, 2, 4], [2.0, 1.0, 0.5]) and shown(follower)["knn1"] == ([2], [25.0])
    before = [trace.uid for trace in follower.curves.data]
    write(tmp_path / "run", [*table, {**table[0], "epoch": 5}])
    follower.refresh()
    assert shown(follower)["two"][0] == [1, 2, 3, 4, 5] and [trace.uid for trace in follower.curves.data] == before
    axes = {trace.name: trace.xaxis for trace in follower.curves.data}
    assert axes["loss"] == axes["one"] == "x" and len(set(axes.values())) == 6


def test_the_line_says_how_it_is():
    about = {
        "epoch": 2,
        "epochs": 60,
        "step": 3,
        "batches": 9,
        "clips_per_second": 1234.5,
        "seconds_left": 5000,
        "error": "",
    }
    text = status_line({"state": "running", **about, "terms": {"loss": 1.23456}, "time": time.time()})
    for part in ("running", "epoch 2/60", "batch 3/9", "loss so far 1.2346", "1,234 clips/s", "83 min left"):
        assert part in text
    assert "silent" not in text and "silent for 5 min" in status_line({"state": "running", "time": time.time() - 300})
    assert "its process is gone" in status_line({"state": "killed", **about})
    text = status_line({"state": "failed", **about, "error": EVIL})
    assert "<script>" not in text and "&lt;script&gt;" in text
    assert "?/?" in status_line({"state": "done", "epoch": EVIL})


def test_the_button_ends_training(tmp_path, monkeypatch):
    """It writes the file that training looks for, whichever process trains."""
    monkeypatch.setattr(keeping, "EVERY", 0.0)
    follower = Follower(tmp_path)

    def press(line):
        if not line.startswith("epoch "):
            return
        follower.refresh()
        assert "This kernel trains: interrupt it" in follower.message.value and follower.stop.disabled
        assert len(follower.curves.data[0].x) == 1
        follower.stop.click()
        assert "Asked to stop" in follower.message.value

    with pytest.raises(StoppedError):
        fit(TINY, training_set(clips=16), tmp_path, "cpu", press)
    follower.refresh()
    assert "stopped" in follower.head.value and follower.stop.disabled and follower.message.value == ""
    fit(TINY, training_set(clips=16), tmp_path, "cpu")
    follower.refresh()
    assert "done" in follower.head.value and shown(follower)["loss"][0] == [1, 2, 3]


def test_the_button_is_for_runs_of_other_processes(tmp_path):
    follower = Follower(tmp_path)
    write_status(tmp_path, "running", epoch=1)
    about = json.loads((tmp_path / "status.json").read_text())
    (tmp_path / "status.json").write_text(json.dumps({**about, "pid": os.getppid()}))
    follower.refresh()
    assert not follower.stop.disabled and follower.message.value == ""
    follower.stop.click()
    assert (tmp_path / "STOP").is_file() and "Asked to stop" in follower.message.value
    follower.refresh()
    assert "Asked to stop" in follower.message.value, "it stays to be read"


def test_a_stop_that_cannot_be_written_or_meant_is_said(tmp_path, monkeypatch):
    follower = Follower(tmp_path / "nowhere" / "<b>")
    follower.ask_to_stop()
    assert "nothing to stop" in follower.message.value
    monkeypatch.setattr("c2vl_lab.viz.following.read_status", lambda folder: {"state": "running"})
    follower.ask_to_stop()
    assert "cannot be written: No such file" in follower.message.value and "<b>" not in follower.message.value


def test_it_looks_again_by_itself(tmp_path):
    follower = Follower(tmp_path)
    write_status(tmp_path, "running", epoch=7)
    looks = []
    refresh = follower.refresh

    def counted():
        refresh()
        looks.append(follower.head.value)
        if len(looks) == 3:
            follower.close()

    follower.refresh = counted
    follower.watch(pause=0.0)
    assert len(looks) == 3 and "epoch 7/" in looks[0]


def test_outside_jupyter_a_line_stands_in_its_place(tmp_path, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert "when the notebook is opened in Jupyter" in follow_run(tmp_path)._repr_html_()
    monkeypatch.setenv("JPY_SESSION_NAME", "x")
    assert isinstance(follow_run(tmp_path), Follower)


def test_the_static_twin_shows_the_same(tmp_path):
    config = replace(TINY, knn_every=2)
    data = training_set(clips=16, watch_labels=np.arange(16) % 2, watch_groups=np.arange(16) % 3)
    fit(config, data, tmp_path, "cpu")
    follower = Follower(tmp_path)
    figure = figures.training_curves(read_metrics(tmp_path / METRICS), figures.Look(title="$x"))
    figure.draw_without_rendering()
    drawn = {line.get_label(): list(line.get_ydata()) for axes in figure.axes for line in axes.lines}
    for name in drawn:
        np.testing.assert_allclose(drawn[name], shown(follower)[name][1], rtol=1e-5)
    assert drawn.keys() == shown(follower).keys() - {"clips_per_second"} and "knn1" in drawn
