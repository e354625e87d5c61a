"""Runs that are killed, and disks that are full: the weights of an unbroken run all the same, to the bit."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import killing
import kills
import pytest
from training_sets import same, steady, training_set

from c2vl_lab.config import replace
from c2vl_lab.logs import read_metrics, read_status
from c2vl_lab.training.checkpoints import FILE, read_checkpoint
from c2vl_lab.training.fit import fit

TESTS = Path(__file__).parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}


def python(*command, shell=()):
    """Start Python in a process of its own."""
    command = [*shell, sys.executable, *map(str, command)]
    return subprocess.Popen(command, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def assert_same_run(one, two):
    assert same(read_checkpoint(one)[0], read_checkpoint(two)[0])
    assert steady(read_metrics(one / "metrics.jsonl")) == steady(read_metrics(two / "metrics.jsonl"))


@pytest.mark.slow
def test_thirty_kills_end_in_the_weights_of_an_unbroken_run(tmp_path):
    """SIGKILL at random moments: three of starting processes, the others spread over training and its writing.

    On a slow machine the starting ones are hit while they import, on a fast one they kill themselves after an epoch;
    nothing here asks which.
    """
    draw = random.Random(0)
    for number in range(kills.STARTS):
        arguments = f"kills.Path({str(tmp_path / 'cut')!r}), until={kills.ROOM * (number + 1)}"
        process = python("-c", f"import kills; kills.train({arguments})")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0.0, 4.0))
        process.kill()
        assert process.wait() == -signal.SIGKILL, process.stderr.read()
    process = python(TESTS / "kills.py", tmp_path, 0)
    assert process.communicate(timeout=500)[1] == "" and process.returncode == 0
    told = json.loads((tmp_path / "kills.json").read_text())
    assert told["ends"] == {"whole": "exit 0", "cut": "exit 0"}
    assert [kill["end"] for kill in told["kills"]] == ["signal 9"] * kills.KILLS
    assert told["kills"][-1]["epoch"] < kills.SELDOM.epochs, "a kill came after the end of training"
    halves = {name for kill in told["kills"] for name in kill["left"]}
    assert len(halves) >= 5, "too few kills fell into the writing of a file"
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    assert [path.name for path in (tmp_path / "cut").glob(".*")] == [".training.lock"], "halves of files are left"
    assert read_status(tmp_path / "cut")["state"] == "done"


def test_a_process_to_be_killed_writes_often_enough(tmp_path, monkeypatch):
    """Every epoch holds the calls at which it kills itself, or it would do so after these and never while writing."""
    count = [0]
    for name in killing.CALLS:
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, call=call, **k: [call(*a, **k), count.append(1)][0])
    fit(replace(kills.OFTEN, epochs=kills.ROOM), training_set(clips=13), tmp_path, "cpu")
    assert len(count) > kills.COUNTED


def train_on_full_disks(*arguments, shell=()):
    """One process that forks one for each argument; what each told, and what went wrong."""
    process = python(TESTS / "full_disks.py", *arguments, shell=shell)
    out, err = process.communicate(timeout=500)
    return [json.loads(line) for line in out.splitlines()], err


def assert_kept(told, path):
    """One sentence: what cannot be written, why, what is kept and what to do."""
    text = told["error"]
    assert text.startswith(f"{path} cannot be written (") and "\n" not in text
    assert re.search(r"Free some space, or set|The file is larger than allowed here. Set", text)
    assert text.endswith("the last good checkpoint is kept (epoch 2), the same command goes on from there.")
    assert told["epoch"] == 2 and told["state"] == "failed"


@pytest.mark.slow
def test_files_that_cannot_grow(tmp_path):
    """A limit on the size of files, which tears the checkpoint in its middle, and a log on /dev/full."""
    ways = ("limit", "log")
    runs = [f"{tmp_path / how}={when}" for how in ways for when in (how, "again")]
    (whole, limit, limit_again, log, log_again), err = train_on_full_disks(f"{tmp_path / 'whole'}=plain", *runs)
    assert err == ""
    assert_kept(limit, tmp_path / "limit" / FILE)
    assert_kept(log, tmp_path / "log" / "metrics.jsonl")
    assert whole == limit_again == log_again == {"error": "", "epoch": 5, "state": "done"}
    for how in ways:
        assert_same_run(tmp_path / "whole", tmp_path / how)


@pytest.mark.slow
def test_a_file_system_that_is_really_full(tmp_path):
    """A disk of four megabytes (a tmpfs in a name space of its own), filled up after two epochs."""
    disk, saved, whole = tmp_path / "disk", tmp_path / "saved", tmp_path / "whole"
    disk.mkdir()
    inside = f'mount -t tmpfs -o size=4m tmpfs "{disk}" || exit 77; "$@" && cp -r "{disk}" "{saved}"'
    shell = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*shell, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system of his own")
    shutil.rmtree(saved)
    told, err = train_on_full_disks(f"{disk}=disk", f"{disk}=again", f"{whole}=plain", shell=shell)
    assert err == "" and "(No space left on device). The disk is full." in told[0]["error"]
    assert_kept(told[0], disk / (FILE if FILE in told[0]["error"] else "metrics.jsonl"))
    assert told[1] == told[2] == {"error": "", "epoch": 5, "state": "done"}
    assert_same_run(whole, saved)
