"""The benchmark of the probes at toy size: every measure runs, and both sides do the same work."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import torch

from benchmarks import probes

TOY = ["--clips", "200", "--queries", "10", "--dim", "8", "--classes", "3", "--repeats", "1", "--epochs", "1"]


def test_the_command_says_what_it_measured(tmp_path, capsys):
    answer = tmp_path / "rows.json"
    assert probes.main([*TOY, "--json", str(answer)]) == 0
    printed = capsys.readouterr().out
    for words in (
        "scikit-learn, once a k",
        "100.00 % of the answers are the same",
        "probe 'chosen' whole",
        "rounds: 1",
    ):
        assert words in printed
    rows = json.loads(answer.read_text())["rows"]
    assert len(rows) == 2 + 4 + 2 and all(row["value"] > 0 for row in rows)
    assert probes.main([*TOY, "--only", "neighbours"]) == 0 and "probe" not in capsys.readouterr().out.split("\n\n")[0]


def test_the_features_are_drawn_by_the_seed():
    sizes = probes.Sizes(clips=20, dim=4, classes=3)
    (one, labels), (two, _), (other, _) = (probes.features(sizes, 20, seed) for seed in (0, 0, 1))
    assert (one == two).all() and (one != other).any() and one.dtype == np.float32 and set(labels) <= {0, 1, 2}


def test_the_plain_descent_learns_what_ours_learns():
    sizes = probes.Sizes(clips=300, dim=8, classes=3)
    rows, labels = probes.features(sizes, 300, 0)
    rows, targets = torch.from_numpy(rows) / 20, torch.from_numpy(labels)  # small enough for the rate to settle
    settings = replace(probes.SGD_PROBES["cmd"], drops=())
    plain = probes.plain_descent(rows, targets, 3, settings, settings.epochs)
    torch.manual_seed(0)
    layer = plain()
    ours = probes.descend(rows, targets, 3, settings, settings.rates, 0)[0]
    agree = (layer(rows).argmax(1) == (rows @ ours[:-1] + ours[-1]).argmax(1)).float().mean()
    assert agree > 0.85
