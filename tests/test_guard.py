"""Batches whose loss or gradient is NaN: named and stopped at, or skipped without a trace."""

import json

import numpy as np
import pytest
import torch
from training_sets import SMALL, TINY, same, training_set, weights

from c2vl_lab.config import replace
from c2vl_lab.data.draws import epoch_order
from c2vl_lab.errors import C2VLError
from c2vl_lab.logs import read_metrics, read_status
from c2vl_lab.objective import ObjectiveConfig
from c2vl_lab.training.checkpoints import FILE
from c2vl_lab.training.fit import fit
from c2vl_lab.training.guard import MOST_IN_A_ROW, read_nan_batches
from c2vl_lab.training.stopping import StoppedError

METHODS = ("c2vl", "skeletonclr", "supervised")


def broken_set(clips=16, bad=(5,)):
    data = training_set(clips=clips)
    data.clips[list(bad)] = np.nan
    return data


def place_of(clip, config, count, epoch):
    """The batch, from 0, that holds a clip; None where the epoch leaves it out."""
    batch = epoch_order(config.seed, epoch, count).tolist().index(clip) // config.batch_size
    return batch if batch < count // config.batch_size else None


@pytest.mark.parametrize("method", METHODS)
def test_a_nan_loss_stops_and_names_all_clips_of_the_batch(tmp_path, method):
    config = replace(TINY, method=method)
    batch = place_of(5, config, 16, 1)
    with pytest.raises(C2VLError, match=rf"loss became nan in epoch 1, batch {batch + 1} \(clips .*on_nan='skip'"):
        fit(config, broken_set(), tmp_path, "cpu")
    (told,) = json.loads((tmp_path / "nan-batch.json").read_text())
    rows = epoch_order(0, 1, 16)[batch * 4 : batch * 4 + 4].tolist()
    assert told["clips"] == [f"clip{i}" for i in rows] and told["not_finite"] == ["clip5"]
    assert (told["epoch"], told["batch"], told["loss"]) == (1, batch + 1, "nan") and told["lr"] > 0
    assert told["terms"] and set(told["terms"].values()) == {"nan"}
    status = read_status(tmp_path)
    assert status["state"] == "failed" and "loss became nan" in status["error"]
    assert not (tmp_path / FILE).exists(), "nothing good was there to be kept"


def test_a_nan_gradient_of_a_finite_loss_stops_before_the_weights_are_broken(tmp_path):
    """A clip without any movement or extent, say, where a square root of 0 has no slope."""
    config = replace(TINY, method="supervised")

    class Slope(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * torch.nan

    def broken(module, given, out):
        return Slope.apply(out)

    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda module, given, out: broken(module, given, out) if type(module).__name__ == "Linear" else None
    )
    try:
        with pytest.raises(C2VLError, match="gradient of the loss became infinite or NaN in epoch 1, batch 1"):
            fit(config, training_set(clips=16), tmp_path, "cpu")
    finally:
        handle.remove()
    assert np.isfinite(read_nan_batches(tmp_path)[0]["loss"]) and not (tmp_path / FILE).exists()


@pytest.mark.parametrize("method", METHODS)
def test_a_skipped_batch_leaves_no_trace(tmp_path, method):
    """Weights, optimiser, running statistics and momentum model are those of a run that never met the batch."""
    config = replace(TINY, method=method, on_nan="skip", epochs=2, objective=ObjectiveConfig(two_view_weight=0.5))
    learner = fit(config, broken_set(), tmp_path / "skip", "cpu")
    assert all(torch.isfinite(value).all() for value in learner.state_dict().values())
    rows = read_metrics(tmp_path / "skip" / "metrics.jsonl")
    assert [row["skipped"] for row in rows] == [1, 1] and all(np.isfinite(row["loss"]) for row in rows)
    told = read_nan_batches(tmp_path / "skip")
    assert [(b["epoch"], b["batch"] - 1) for b in told] == [(e, place_of(5, config, 16, e)) for e in (1, 2)]
    assert same(weights(learner), weights(run_without(config, tmp_path / "without")))


def run_without(config, folder):
    """The same run on whole clips, with a loop that simply leaves the batches of clip 5 out."""
    import c2vl_lab.training.fit as module

    class Leaving(module._Run):
        def _step(self, rows, epoch, index):
            return None if 5 in rows.tolist() else super()._step(rows, epoch, index)

    before, module._Run = module._Run, Leaving
    try:
        return fit(config, training_set(clips=16), folder, "cpu")
    finally:
        module._Run = before


def test_stops_and_resumes_between_skipped_batches_change_nothing(tmp_path):
    config = replace(TINY, on_nan="skip")
    whole = fit(config, broken_set(bad=(5, 9)), tmp_path / "whole", "cpu")
    for _ in range(20):
        try:
            cut = fit(config, broken_set(bad=(5, 9)), tmp_path / "cut", "cpu", stop=lambda: True)
            break
        except StoppedError:
            continue
    assert same(weights(whole), weights(cut))
    assert read_nan_batches(tmp_path / "whole") == read_nan_batches(tmp_path / "cut")
    skipped = [[row["skipped"] for row in read_metrics(tmp_path / run / "metrics.jsonl")] for run in ("whole", "cut")]
    assert skipped[0] == skipped[1]


def test_too_many_in_a_row_stop_all_the_same(tmp_path):
    """Also over the ends of epochs; the log's loss is null where no batch was left."""
    config = replace(SMALL, method="supervised", batch_size=4, epochs=30, on_nan="skip")
    data = broken_set(12, range(12))
    with pytest.raises(C2VLError, match=f"epoch 7, batch 2 .*skipped batch {MOST_IN_A_ROW} in a row"):
        fit(config, data, tmp_path, "cpu")
    assert len(read_nan_batches(tmp_path)) == MOST_IN_A_ROW
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["loss"] for row in rows] == [None] * 6 and "NaN" not in (tmp_path / "metrics.jsonl").read_text()


def test_a_run_that_stopped_may_go_on_skipping(tmp_path):
    config = replace(TINY, method="supervised")
    for _ in range(2):
        with pytest.raises(C2VLError, match="loss became nan"):
            fit(config, broken_set(), tmp_path, "cpu")
    assert len(read_nan_batches(tmp_path)) == 1, "the same batch is told once"
    fit(replace(config, on_nan="skip"), broken_set(), tmp_path, "cpu")
    assert read_status(tmp_path)["state"] == "done"


def test_a_file_that_is_no_list_of_batches_is_written_anew(tmp_path):
    for text in ("", "{}", "[1, 2]", "["):
        (tmp_path / "nan-batch.json").write_text(text)
        assert read_nan_batches(tmp_path) == []
    assert read_nan_batches(tmp_path / "nowhere") == []
