"""The command that trains on one device or several, and what a notebook starts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from test_experiment import make

from c2vl_lab.artifacts import read_json, write_json
from c2vl_lab.cli import main
from c2vl_lab.config import replace, to_dict
from c2vl_lab.errors import C2VLError, ConfigError
from c2vl_lab.launch import LOG, Launched, start, stop, wait
from c2vl_lab.logs import read_metrics, write_status
from c2vl_lab.run_config import RunConfig
from c2vl_lab.training.checkpoints import read_checkpoint
from c2vl_lab.training.stopping import StoppedError


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make(tmp_path_factory.mktemp("own"))


def as_settings(config):
    usual = to_dict(RunConfig())
    return [f"{name}={value}" for name, value in to_dict(config).items() if value != usual[name]]


def program(folder, text):
    """A run of a given program in place of torchrun."""
    log = folder / LOG
    log.write_text("an older run\n")
    with open(log, "ab") as stream:
        process = subprocess.Popen([sys.executable, "-uc", text], stdout=stream, stderr=subprocess.STDOUT)
    return Launched(process, log, len("an older run\n"))


def test_one_device_trains_here(base, tmp_path, capsys):
    assert main(["pretrain", "--run-dir", str(tmp_path), *as_settings(base)]) == 0
    said = capsys.readouterr().out
    assert "effective batch: 10 clips a step\n" in said and "epoch 3/3" in said
    assert to_dict(base) == read_json(tmp_path / "config.json")
    assert not (tmp_path / LOG).exists()


def test_settings_come_from_a_runs_file_of_parameters_too(base, tmp_path, capsys):
    """As a suite gives them, among a notebook's own; what is typed wins; an untrained arm starts nothing."""
    file, run = tmp_path / "parameters.json", tmp_path / "run"
    write_json(file, {**to_dict(base), "protocols": "semi", "run_dir": "elsewhere"})
    given = ["pretrain", "--run-dir", str(run), "--parameters", str(file)]
    assert main([*given, "epochs=1"]) == 0
    assert "epoch 1/1" in capsys.readouterr().out and read_json(run / "config.json") == {**to_dict(base), "epochs": 1}
    assert main([*given[:2], str(tmp_path / "b"), *given[3:], "arm=untrained", "--devices", "2"]) == 0
    assert not (tmp_path / "b" / LOG).exists()


@pytest.mark.slow
def test_two_devices_train_in_processes_of_their_own(base, tmp_path, capsys):
    config = replace(base, micro_batch=3, sync_norm=True)
    assert main(["pretrain", "--run-dir", str(tmp_path), "--devices", "2", *as_settings(config)]) == 0
    said = capsys.readouterr().out
    assert said.count("effective batch: 10 clips a step (5 on each of 2 processes; at most 3 through") == 1
    assert said.count("epoch 3/3") == 1 and "Warning" not in said
    log = (tmp_path / LOG).read_text()
    assert log.endswith(said) and "torchrun" in log.splitlines()[0]
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 3 and read_checkpoint(tmp_path)[1]["processes"] == 2
    assert read_json(tmp_path / "config.json") == to_dict(config)
    with pytest.raises(C2VLError, match=r"^[^(]*was trained with other settings \(fit: lr: 0.002 -> 0.1\)"):
        wait(start(replace(config, lr=0.1), tmp_path, 2), print)


def test_what_a_run_says_is_handed_on_and_its_end_is_told(tmp_path):
    lines: list[str] = []
    wait(program(tmp_path, "print('one'); print('c2vl: not an end'); print('two')"), lines.append)
    assert lines == ["one", "two"]
    text = "import sys; print('c2vl: (process 1) bad'); print('c2vl: bad'); print('trace'); sys.exit(1)"
    with pytest.raises(C2VLError, match=r"^bad$"):
        wait(program(tmp_path, text), lines.append)
    assert lines == ["one", "two"], "what follows a sentence is torchrun's own, at length"
    write_status(tmp_path, "stopped", error="Stopped in epoch 2.")
    text = "import sys; print('three'); print('c2vl: Stopped in epoch 2.'); print('Traceback'); sys.exit(1)"
    with pytest.raises(StoppedError, match=r"^Stopped in epoch 2\.$"):
        wait(program(tmp_path, text), lines.append)
    assert lines[2:] == ["three"]
    with pytest.raises(C2VLError, match=r"^worse$") as caught:
        wait(program(tmp_path, "import sys; print('c2vl: worse'); sys.exit(1)"), lines.append)
    assert not isinstance(caught.value, StoppedError), "the status is of the run before"
    with pytest.raises(C2VLError, match=r"ended with status 3; .*train.log says why"):
        wait(program(tmp_path, "import sys; sys.exit(3)"), lines.append)


def test_an_interrupt_ends_the_run_in_order(tmp_path):
    text = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *a: (print("in order"), sys.exit(0)))
print("ready")
time.sleep(300)
"""
    run = program(tmp_path, text)

    def interrupted(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait(run, interrupted)
    assert run.process.returncode == 0 and run.log.read_text().endswith("in order\n")


def test_a_run_that_does_not_listen_is_ended_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("c2vl_lab.launch.ROOM", 0.1)
    run = program(
        tmp_path, "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(300)"
    )
    while not run.log.read_text().endswith("deaf\n"):
        time.sleep(0.05)
    stop(run)
    assert run.process.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("devices", "device", "sentence"),
    [
        (0, "cpu", "devices wants 1 or more, found 0"),
        (2, "cuda", "torch sees no GPU"),
        (2, "cuda:1", "torch sees no GPU"),
    ],
)
def test_devices_that_are_not_there_are_refused(base, tmp_path, monkeypatch, devices, device, sentence):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=sentence):
        start(replace(base, device=device), tmp_path / "run", devices)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"found 0|torch sees 1 GPUs|is one GPU"):
        start(replace(base, device=device), tmp_path / "run", devices)
    assert not (tmp_path / "run").exists()


def test_bad_settings_are_one_sentence(tmp_path, capsys):
    run_dir = tmp_path / "run"
    for given, sentence in (("epoch=3", "Did you mean 'epochs'?"), ("accumulate=0", "accumulate at least 1")):
        assert main(["pretrain", "--run-dir", str(run_dir), given]) == 2
        shown = capsys.readouterr().err
        assert sentence in shown and shown.startswith("c2vl: ") and shown.count("\n") == 1
    assert not run_dir.exists()


def test_a_stopped_run_has_a_status_of_its_own(base, tmp_path, capsys, monkeypatch):
    def stopped(*given):
        raise StoppedError("Stopped in epoch 1 of 3.")

    monkeypatch.setattr("c2vl_lab.experiment.fit", stopped)
    assert main(["pretrain", "--run-dir", str(tmp_path), *as_settings(base)]) == 130
    assert capsys.readouterr().err == "c2vl: Stopped in epoch 1 of 3.\n"
