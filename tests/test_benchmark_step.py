"""The benchmark of whole steps at toy size; its bounds against torch's own counting and the planned figures."""

from __future__ import annotations

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import step
from benchmarks.step_bounds import byte_bound, encoder_cost, flop_bound
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.models.stgcn import STGCN


@pytest.mark.parametrize("width", [16, 64])
@pytest.mark.parametrize("frames", [50, 64])
def test_multiplications_are_those_that_torch_counts(width, frames):
    model = STGCN(NTU25, width).to("meta")
    with FlopCounterMode(display=False) as counted:
        features = model(torch.empty(1, 3, frames, 25, 2, device="meta"))
    forward = counted.get_total_flops()
    assert encoder_cost(width, frames).flops == pytest.approx(forward, rel=1e-3)
    with FlopCounterMode(display=False) as counted:
        features.sum().backward()
    assert counted.get_total_flops() == pytest.approx(2 * forward, rel=1e-2)  # hence PASSES


@pytest.mark.parametrize(("width", "by_flops", "by_bytes"), [(16, 173_000, 165_000), (64, 36_100, 50_200)])
def test_bounds_are_the_planned_ones(width, by_flops, by_bytes):
    """One view and no averaged encoder, T = 64; planned with a graph product after the mix, 2 to 3 % dearer."""
    assert flop_bound(width, 64, passes=3) == pytest.approx(by_flops, rel=0.05)
    assert byte_bound(width, 64, passes=3) == pytest.approx(by_bytes, rel=0.05)
    assert flop_bound(width, 64) < flop_bound(width, 64, passes=3)


def test_the_command_measures_every_ablation_and_says_what_is_open(tmp_path, capsys):
    answer = tmp_path / "rows.json"
    words = [
        "--device",
        "cpu",
        "--clips",
        "8",
        "--batch",
        "4,2",
        "--width",
        "4",
        "--frames",
        "8",
        "--json",
        str(answer),
    ]
    assert step.main(words) == 0
    rows = json.loads(answer.read_text())["rows"]
    assert [row["what"] for row in rows] == [
        *(f"width 4, batch 4, {name}" for name in step.ON_CPU), f"width 4, batch 2, {step.AIMED}",
    ]  # fmt: skip
    assert all(row["value"] > 0 and row["met"] is None and "FLOP bound" in row["remark"] for row in rows)
    assert "300 epochs of NTU-60 x-sub" in capsys.readouterr().out


def test_a_target_is_never_met_on_another_device():
    row = step._aimed_row("width 16", 1e9, 25_000, "cpu", "")
    assert row.met is None and "open" in row.target


def test_every_ablation_is_a_setting_and_unknown_ones_are_refused(tmp_path, capsys):
    sizes = step.Sizes("cpu", 8, (4,))
    assert len({step.config_of(16, 4, sizes, changes) for changes in step.ABLATIONS.values()}) == len(step.ABLATIONS)
    with pytest.raises(SystemExit):
        step.main(["--device", "cpu", "--only", "twice as fast"])


def test_a_measure_that_fails_is_a_row_of_its_own(monkeypatch):
    def fails(config, data, sizes):
        raise torch.OutOfMemoryError("no memory left\nmore words")

    monkeypatch.setattr(step, "measure_one", fails)
    rows = step.measure(step.Sizes("cpu", 8, (4,), (4,), 8, 2, ("float32",)))
    assert [(row.value, row.remark) for row in rows] == [(0.0, "failed: no memory left")]
