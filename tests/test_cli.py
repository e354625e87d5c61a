"""The command: bad input is one sentence and exit status 2, never a traceback."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from ntu_files import skeleton_text

from c2vl_lab.cli import main


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("bench", "dmo"), "There is no suite named 'dmo'. Did you mean 'demo'?"),
        (("bench", "nw-ucla", "--data", "nowhere"), "data_dir nowhere is no folder"),
        (("bench", "nw-ucla"), "(in a command: --data)"),
        (("bench", "demo", "--preset", "cpo"), "no preset of suite demo named 'cpo'. Did you mean 'cpu'?"),
        (("bench", "demo", "--only", "arm=ful"), "no run has arm=ful. Did you mean 'full'?"),
        (("bench", "demo", "--workers", "-1"), "--workers wants 1 or more"),
        (("run", "06_benchmrk"), "There is no notebook '06_benchmrk'"),
        (("run", "06_benchmark", "-p", "epoch", "3"), "unknown parameter 'epoch'. Did you mean 'epochs'?"),
        (("run", "06_benchmark", "-p", "epochs", "many"), "'epochs' wanted int, found 'many'"),
        (("run", "06_benchmark", "--parameters", "none.json"), "--parameters: there is no file none.json"),
        (("data", "nwucla"), "nwucla"),
        (("data", "utd-mhad", "--data", "nowhere"), "data_dir nowhere is no folder"),
        (("report", "nowhere"), "is no folder of a suite's runs"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(list(arguments)) == 2
    shown = capsys.readouterr()
    assert sentence in shown.err and shown.err.startswith("c2vl: ") and shown.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_a_truncated_zip_is_one_sentence(tmp_path, capsys):
    (tmp_path / "nw-ucla").mkdir()
    (tmp_path / "nw-ucla" / "all_sqe.zip").write_bytes(b"PK\x03\x04 cut")
    assert main(["bench", "nw-ucla", "--data", str(tmp_path), "--work", str(tmp_path / "work")]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and "all_sqe.zip" in shown.err and shown.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["nw-ucla"]


def test_a_parameters_file_must_hold_an_object(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for text, sentence in (("[1]", "found a list"), ("{,", "line 1: not valid JSON")):
        (tmp_path / "list.json").write_text(text)
        assert main(["run", "06_benchmark", "--parameters", "list.json"]) == 2
        shown = capsys.readouterr().err
        assert sentence in shown and shown.startswith("c2vl: ") and shown.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["list.json"]


def nan_text() -> str:
    return skeleton_text([[(7, np.full((25, 3), np.nan))]])


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("S001C001P001R001A001", skeleton_text([[(7, np.ones((25, 3)))]] * 3)[:900], "was cut: fetch it again"),
        ("S001C001P001R001A001", nan_text(), "no body frame that can be used"),
        ("S001C001P001R001A061", skeleton_text([[(7, np.ones((25, 3)))]]), "outside the protocol's classes 1 to 60"),
    ],
)
def test_a_bad_recording_is_one_sentence(file, text, sentence, tmp_path, monkeypatch, capsys):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / f"{file}.skeleton").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["data", "ntu60", "--data", "raw"]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and file in shown.err and sentence in shown.err
    assert shown.err.startswith("c2vl: ") and shown.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["raw"], "nothing is left behind"


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("teacher: open_clip:ViT-B-32:weights.pt", "there is no file weights.pt"),
        ("captions: texts.json", "captions=texts.json: there is no file texts.json"),
    ],
)
def test_an_absent_file_of_a_suite_is_one_sentence(setting, sentence, tmp_path, monkeypatch, capsys):
    suite = "name: own\ntitle: Own\ndataset: generated\ngrid: [{arm: full}]\npresets: {cpu: {epochs: 1}}\n"
    (tmp_path / "own.yml").write_text(suite + f"parameters: {{{setting}}}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "own.yml"]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and sentence in shown.err
    assert shown.err.startswith("c2vl: ") and shown.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["own.yml"], "nothing is left behind"


def test_help_of_a_notebook_lists_its_parameters(capsys):
    assert main(["run", "01_data", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "protocol: str" in shown and "which clip to look at" in shown


def test_suites_and_dry_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["suites"]) == 0
    assert "nw-ucla" in capsys.readouterr().out
    assert main(["bench", "demo", "--dry-run", "--only", "arm=full"]) == 0
    shown = capsys.readouterr().out
    assert "full-s0-" in shown and "untrained" not in shown and "07_report" in shown
    assert main(["bench", "nw-ucla", "--dry-run", "--only", "arm=full"]) == 0
    shown = capsys.readouterr().out
    assert "Runs: 5 to do" in shown and "Data: not looked at, for --data names no folder" in shown
    assert list(tmp_path.iterdir()) == []


def test_without_a_command_the_usage_is_shown():
    answer = subprocess.run([sys.executable, "-m", "c2vl_lab.cli"], capture_output=True, text=True)
    assert answer.returncode == 2 and "usage: c2vl" in answer.stderr
