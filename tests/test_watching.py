"""Watching a run: neighbours that no loss sees, the status file, and ways to ask for an end."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from training_sets import TINY, same, training_set, weights

from c2vl_lab.config import replace
from c2vl_lab.errors import ConfigError
from c2vl_lab.logs import METRICS, MetricLog, read_metrics, read_status, write_status
from c2vl_lab.training import keeping
from c2vl_lab.training.build import build_learner
from c2vl_lab.training.checkpoints import read_card
from c2vl_lab.training.fit import fit
from c2vl_lab.training.stopping import StoppedError, signals_as_stop
from c2vl_lab.training.watching import neighbour_accuracy


def watched(clips=16, seed=0, classes=2):
    rng = np.random.default_rng(seed)
    return {"watch_labels": rng.integers(0, classes, clips), "watch_groups": np.arange(clips) % 3}


@pytest.mark.parametrize("method", ["c2vl", "skeletonclr", "supervised"])
def test_what_training_is_watched_by_reaches_no_weight(tmp_path, method):
    """Poisoned labels and performers, or no watching at all: other curves, the same weights and the same checkpoint."""
    config = replace(TINY, method=method, knn_every=2)
    poison = {"watch_labels": np.arange(16), "watch_groups": None}
    runs, logs = [], []
    for name, more in (("plain", watched()), ("poison", poison), ("none", {})):
        runs.append(weights(fit(config, training_set(clips=16, **more), tmp_path / name, "cpu")))
        logs.append([row.get("knn1") for row in read_metrics(tmp_path / name / METRICS)])
    assert same(runs[0], runs[1]) and same(runs[0], runs[2])
    assert logs[1] == [None, 0.0, None] and logs[2] == [None] * 3
    assert logs[0][0] is logs[0][2] is None and 0 <= logs[0][1] <= 1
    unwatched = fit(replace(config, knn_every=0), training_set(clips=16, **watched()), tmp_path / "off", "cpu")
    assert same(runs[0], weights(unwatched))
    fit(config, training_set(clips=16, **poison), tmp_path / "plain", "cpu")  # the same data, says the card


class Corner:
    """An encoder whose features are the first joint's place, as a learner's."""

    def __new__(cls):
        learner = build_learner(replace(TINY, method="supervised"), training_set(), "cpu")
        learner.encode = lambda encoder, x: x[:, :, 0, 0, 0]
        return learner


def corners(points):
    clips = torch.zeros(len(points), 64, 1, 20, 3)
    clips[:, :, 0, 0] = torch.tensor(points)[:, None]
    return clips


def test_neighbours_are_sought_among_other_performers():
    """Each clip has a twin of its performer, who shows one action alone: the twin must not count."""
    angles = np.deg2rad([0, 5, 120, 125, 240, 245])
    points = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1).tolist()
    labels, people = np.array([0, 0, 1, 1, 2, 2]), np.array([7, 7, 8, 8, 9, 9])
    assert neighbour_accuracy(Corner(), corners(points), labels, people) == 0.0
    assert neighbour_accuracy(Corner(), corners(points), labels, None) == 1.0
    assert neighbour_accuracy(Corner(), corners(points), labels, np.zeros(6)) == 1.0
    assert neighbour_accuracy(Corner(), corners(points), labels, people[[0, 2, 4, 1, 3, 5]]) == 1.0


def test_neighbours_agree_with_a_plain_computation():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(600, 3)).astype(np.float32)
    labels, people = rng.integers(0, 4, 600), rng.integers(0, 5, 600)
    labels = np.where(rng.random(600) < 0.5, (points[:, 0] > 0).astype(int), labels)
    unit = points - points.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    similar = np.where(people[:, None] == people, -np.inf, unit @ unit.T)
    wanted = (labels[similar.argmax(axis=1)] == labels).mean()
    assert neighbour_accuracy(Corner(), corners(points.tolist()), labels, people) == pytest.approx(wanted, abs=0.004)


def test_clips_without_features_take_no_part_and_modes_stay():
    learner = Corner()
    points = [[1.0, 0, 0], [0.9, 0.1, 0], [float("nan"), 0, 0], [0, 1, 0], [0.1, 1, 0]]
    assert neighbour_accuracy(learner.train(), corners(points), np.array([0, 0, 0, 1, 1]), None) == 1.0
    assert learner.encoder.training
    neighbour_accuracy(learner.eval(), corners(points), np.array([0, 0, 0, 1, 1]), None)
    assert not learner.encoder.training
    assert np.isnan(neighbour_accuracy(learner, corners(points[:1]), np.array([0]), None))


def test_a_row_and_the_status_hold_all_that_is_followed(tmp_path):
    config = replace(TINY, knn_every=1)
    seen = []

    def look(line):
        seen.append(read_status(tmp_path))

    fit(config, training_set(clips=16, **watched()), tmp_path, "cpu", look)
    wanted = {"epoch", "loss", "skeleton-language", "alpha", "kappa", "lr", "clips_per_second", "seconds_left", "knn1"}
    rows = read_metrics(tmp_path / METRICS)
    assert all(wanted | {"skipped", "seconds"} == row.keys() for row in rows)
    assert rows[-1]["seconds_left"] == 0 < rows[0]["seconds_left"]
    assert all(s["state"] == "running" and s["pid"] == os.getpid() and s["batches"] == 4 for s in seen)
    last = read_status(tmp_path)
    assert (last["state"], last["epoch"], last["step"], last["seconds_left"]) == ("done", 3, 0, 0)
    assert set(last["terms"]) == {"loss", "skeleton-language"}, "of the last epoch, as its row"
    assert last["terms"] == {name: rows[-1][name] for name in last["terms"]}


def test_the_status_is_written_once_a_second_at_most(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        keeping, "write_status", lambda folder, state, **values: written.append((state, values["epoch"]))
    )
    monkeypatch.setattr(keeping, "EVERY", 1e9)
    fit(TINY, training_set(clips=16), tmp_path, "cpu")
    assert written == [("running", 0), ("done", 3)]
    written.clear()
    monkeypatch.setattr(keeping, "EVERY", 0.0)
    fit(replace(TINY, seed=1), training_set(clips=16), tmp_path / "other", "cpu")
    assert len(written) == 2 + 3 * (4 + 1)


def test_a_process_that_is_gone_was_killed(tmp_path):
    assert read_status(tmp_path) == {}
    write_status(tmp_path, "running", epoch=1)
    assert read_status(tmp_path)["state"] == "running"
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    about = json.loads((tmp_path / "status.json").read_text())
    for pid, host, state in ((child.pid, about["host"], "killed"), (child.pid, "elsewhere", "running")):
        (tmp_path / "status.json").write_text(json.dumps({**about, "pid": pid, "host": host}))
        assert read_status(tmp_path)["state"] == state
    for torn in ("", "[1]", '{"state": "run', '{"state": "running", "pid": "x", "host": "' + about["host"] + '"}'):
        (tmp_path / "status.json").write_text(torn)
        assert read_status(tmp_path).get("state") in (None, "killed")


def test_a_stop_file_ends_with_a_checkpoint_and_the_next_call_removes_it(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "EVERY", 0.0)
    whole = weights(fit(TINY, training_set(clips=16), tmp_path / "whole", "cpu"))
    folder = tmp_path / "cut"

    def ask(line):
        if line.startswith("epoch 1/"):
            (folder / "STOP").touch()

    with pytest.raises(StoppedError, match=r"Stopped in epoch 2 of 3, after batch 0 of 4; .*The same command goes on"):
        fit(TINY, training_set(clips=16), folder, "cpu", ask)
    status = read_status(folder)
    assert status["state"] == "stopped" and status["error"].startswith("Stopped in epoch 2")
    assert read_card(folder)["epoch"] == 1 and (folder / "STOP").exists()
    assert same(whole, weights(fit(TINY, training_set(clips=16), folder, "cpu")))
    assert not (folder / "STOP").exists()


def test_checkpoints_inside_a_long_epoch(tmp_path):
    """Every so many minutes, though the epoch is not done."""
    places = []

    def peek():
        card = read_card(tmp_path)
        places.append((card["epoch"], card["step"]))
        return len(places) == 6

    often = replace(TINY, checkpoint_minutes=1e-9, checkpoint_every=100)
    with pytest.raises(StoppedError):
        fit(often, training_set(clips=16), tmp_path, "cpu", stop=peek)
    assert places == [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_is_as_ever(number):
    before = signal.getsignal(number)
    heard = []
    signal.signal(number, lambda *_: heard.append(1))
    try:
        with signals_as_stop() as stop:
            assert not stop()
            signal.raise_signal(number)
            assert stop() and not heard
            signal.raise_signal(number)
            assert heard == [1]
        with signals_as_stop():
            pass
        signal.raise_signal(number)
        assert heard == [1, 1]
    finally:
        signal.signal(number, before)


def test_a_signal_of_the_other_kind_is_the_same_request_again():
    """A cluster's SIGTERM reaches the kernel, and so does the interrupt of the process that runs the notebook."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us deaf to it
    try:
        with signals_as_stop() as stop:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)  # would be a KeyboardInterrupt
            assert stop()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_one_of_several_processes_may_hear_the_signal_again(monkeypatch):
    """A job manager tells every process, and so does torchrun; the checkpoint is to be written all the same."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "one")
    before = signal.getsignal(signal.SIGTERM)
    with signals_as_stop() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop()
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_hear_no_signals():
    told = []

    def work():
        with signals_as_stop() as stop:
            told.append(stop())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told == [False]


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    def second(line):
        if line.startswith("epoch 3/"):  # what is done is returned, whoever asks
            return
        with pytest.raises(ConfigError, match="Another process trains in"):
            fit(TINY, training_set(clips=16), tmp_path, "cpu")
        assert read_status(tmp_path)["state"] == "running"

    fit(TINY, training_set(clips=16), tmp_path, "cpu", second)


def test_rows_survive_torn_lines_and_killed_rewriting(tmp_path):
    rows = "".join(json.dumps({"epoch": e, "loss": 0.5}) + "\n" for e in (1, 2, 3))
    (tmp_path / METRICS).write_bytes(rows.encode() + b'[1]\n"text"\n{"loss": 1}\n\xff\xfe{"epoch": 4, "lo')
    assert [row["epoch"] for row in read_metrics(tmp_path / METRICS)] == [1, 2, 3]
    log = MetricLog(tmp_path, keep_epochs=2)
    log.write({"epoch": 3, "loss": float("nan"), "lr": float("inf")})
    log.close()
    assert read_metrics(tmp_path / METRICS)[1:] == [{"epoch": 2, "loss": 0.5}, {"epoch": 3, "loss": None, "lr": None}]
    assert [path.name for path in tmp_path.glob(".*")] == []
