"""The encoder benchmark at toy size: every case runs, and both sides do the same work."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import encoder

TOY = encoder.Sizes(repeats=1, clips=2, frames=(8,), width=4, dim=8, ordinary=False)


def test_every_case_gives_a_row_for_training_and_inference(tmp_path):
    rows = encoder.measure(TOY)
    assert len(rows) == 2 * len(encoder.cases(TOY))
    assert all(row.value > 0 and row.ratio and row.met is not None for row in rows)


@pytest.mark.parametrize("case", encoder.cases(TOY), ids=lambda case: case.what)
def test_both_sides_give_the_same_features(case):
    ours, plain = encoder.models(case, TOY)
    x = encoder.batch(case, TOY)
    torch.testing.assert_close(ours.eval()(x), plain.eval()(x), rtol=0, atol=1e-4)


def test_the_plain_one_alone_answers_with_its_seconds(capsys):
    words = ["--plain", "inference", "--repeats", "1", "--clips", "2", "--frames", "8", "--width", "4", "--dim", "8"]
    assert encoder.main(words) == 0
    assert float(capsys.readouterr().out) > 0


def test_the_command_says_what_it_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(encoder, "ordinary", lambda kind, sizes: 1.0)
    answer = tmp_path / "rows.json"
    words = ["--repeats", "1", "--clips", "2", "--frames", "8", "--width", "4", "--dim", "8", "--json", str(answer)]
    assert encoder.main(words) == 0
    printed = capsys.readouterr().out
    for word in ("absent", "Kinect", "as ordinarily launched", "rounds: 1", "instructions"):
        assert word in printed
    assert json.loads(answer.read_text())["rows"]
