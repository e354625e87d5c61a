"""The encoder benchmark at toy size: every case runs, and both sides do the same work."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from benchmarks import encoder

TOY = encoder.Sizes(repeats=1, clips=2, frames=(8,), width=4, dim=8, launches=0)
WORDS = ["--repeats", "1", "--clips", "2", "--frames", "8", "--width", "4", "--dim", "8"]


def test_every_case_gives_a_row_for_training_and_inference(tmp_path):
    rows = encoder.measure(TOY)
    assert len(rows) == 2 * len(encoder.cases(TOY))
    assert all(row.value > 0 and row.ratio and row.met is not None for row in rows)


@pytest.mark.parametrize("case", encoder.cases(TOY), ids=lambda case: case.what)
def test_both_sides_give_the_same_features(case):
    ours, plain = encoder.models(case, TOY)
    x = encoder.batch(case, TOY)
    torch.testing.assert_close(ours.eval()(x), plain.eval()(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize("who", encoder.WHO)
def test_one_alone_answers_with_its_seconds_and_only_ours_keeps_memory(who, capsys, monkeypatch):
    kept = []
    monkeypatch.setattr(encoder, "keep_freed_memory", lambda: kept.append(who))
    assert encoder.main(["--alone", f"{who}-inference", *WORDS]) == 0
    assert float(capsys.readouterr().out) > 0
    assert kept == (["ours"] if who == "ours" else [])


def test_processes_take_turns_and_their_ratios_are_paired(monkeypatch):
    seconds = iter([1, 3, 2, 8, 4, 8] + [1, 5, 1, 7, 1, 6])
    asked = []
    monkeypatch.setattr(encoder, "launched", lambda who, kind, sizes: asked.append((who, kind)) or next(seconds))
    training, inference = encoder.ordinary(replace(TOY, launches=3))
    assert (training.ratio, inference.ratio) == (3, 6)
    assert asked[:4] == [("ours", "training"), ("plain", "training")] * 2


def test_the_command_says_what_it_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(encoder, "launched", lambda who, kind, sizes: 1.0)
    answer = tmp_path / "rows.json"
    assert encoder.main([*WORDS, "--json", str(answer)]) == 0
    printed = capsys.readouterr().out
    for word in ("absent", "Kinect", "as ordinarily launched", "rounds: 1", "instructions"):
        assert word in printed
    assert json.loads(answer.read_text())["rows"]
