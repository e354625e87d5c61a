"""Training: same seed same weights, kill anywhere and go on, and what is refused."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from training_sets import SMALL, TINY, same, steady, training_set, weights

from c2vl_lab.config import replace
from c2vl_lab.data.draws import Draws, epoch_order
from c2vl_lab.errors import ConfigError
from c2vl_lab.logs import read_metrics
from c2vl_lab.objective import ObjectiveConfig
from c2vl_lab.training.build import build_learner, build_optimizer
from c2vl_lab.training.checkpoints import FILE
from c2vl_lab.training.fit import fit
from c2vl_lab.training.settings import pick_device
from c2vl_lab.training.stopping import StoppedError


@pytest.mark.parametrize("method", ["c2vl", "skeletonclr", "supervised"])
def test_same_seed_same_weights_and_another_seed_others(tmp_path, method):
    config = replace(SMALL, method=method, epochs=2)
    runs = [
        weights(fit(replace(config, seed=seed), training_set(), tmp_path / name, "cpu"))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


class Stop(Exception):
    pass


def stop_after(epoch):
    def progress(line):
        if line.startswith(f"epoch {epoch}/"):
            raise Stop

    return progress


@pytest.mark.parametrize("method", ["c2vl", "skeletonclr", "supervised"])
def test_a_cut_run_goes_on_to_the_same_weights(tmp_path, method):
    config = replace(SMALL, method=method)
    whole = weights(fit(config, training_set(), tmp_path / "whole", "cpu"))
    for cut in (1, 3, 5):  # between checkpoints: epochs 3 and 5 are lost and done again
        with pytest.raises(Stop):
            fit(config, training_set(), tmp_path / "cut", "cpu", stop_after(cut))
    assert same(whole, weights(fit(config, training_set(), tmp_path / "cut", "cpu")))
    rows = read_metrics(tmp_path / "cut" / "metrics.jsonl")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert steady(rows) == steady(read_metrics(tmp_path / "whole" / "metrics.jsonl"))


@pytest.mark.parametrize("method", ["c2vl", "skeletonclr", "supervised"])
def test_stopped_after_every_batch_it_ends_in_the_same_weights(tmp_path, method):
    config = replace(TINY, method=method, objective=ObjectiveConfig(two_view_weight=0.5))
    whole = weights(fit(config, training_set(clips=13), tmp_path / "whole", "cpu"))
    stops = 0
    while stops < 20:
        try:
            learner = fit(config, training_set(clips=13), tmp_path / "cut", "cpu", stop=lambda: True)
            break
        except StoppedError as error:
            stops += 1
            assert f"epoch {(stops) // 3 + 1} of 3, after batch {stops % 3} of 3" in str(error)
    assert stops == 8, "9 batches, one stop between any two"
    assert same(whole, weights(learner))
    logs = [read_metrics(tmp_path / run / "metrics.jsonl") for run in ("whole", "cut")]
    assert steady(logs[0]) == steady(logs[1]) and len(logs[0]) == 3


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_the_number_of_workers_that_make_views_changes_nothing(workers):
    """Training has no loading workers; were a batch's views made by several, they would be the same bits."""
    learner, data = build_learner(SMALL, training_set(), "cpu"), training_set()
    rows = epoch_order(0, 1, 24)[:16]
    clips = torch.from_numpy(data.clips)[rows]

    def look(part):
        return learner.look(clips[part], Draws(0, 1, rows[part]))["view"]

    with ThreadPoolExecutor(workers) as pool:
        parts = list(pool.map(look, torch.arange(16).tensor_split(workers)))
    assert torch.equal(torch.cat(parts), look(torch.arange(16)))


def test_weights_do_not_depend_on_how_the_clips_lie(tmp_path):
    """In memory in training order, or among others in a file on the disk."""
    data = training_set(clips=12)
    rows = np.array([31, 5, 7, 1, 30, 2, 19, 8, 9, 11, 12, 3])
    np.save(tmp_path / "all.npy", np.full((32, 64, 1, 20, 3), np.nan, np.float32))
    stored = np.load(tmp_path / "all.npy", mmap_mode="r+")
    stored[rows] = data.clips
    mapped = dataclasses.replace(data, clips=np.load(tmp_path / "all.npy", mmap_mode="r"), rows=rows)
    one, two = (fit(TINY, given, tmp_path / name, "cpu") for name, given in (("a", data), ("b", mapped)))
    assert same(weights(one), weights(two))


def test_training_learns_to_match(tmp_path):
    data = training_set(clips=16)
    config = replace(SMALL, epochs=40, batch_size=16, objective=ObjectiveConfig(alpha_max=0.0))
    fit(config, data, tmp_path, "cpu")
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert {"loss", "skeleton-language", "alpha", "kappa", "lr", "clips_per_second"} <= rows[0].keys()
    assert any((tmp_path / "tensorboard").iterdir())


def test_momentum_model_follows_slowly():
    learner = build_learner(SMALL, training_set(), "cpu")
    before = next(learner.slow_encoder.parameters()).clone()
    with torch.no_grad():
        next(learner.encoder.parameters()).add_(1.0)
    learner.after_step()
    moved = next(learner.slow_encoder.parameters()) - before
    assert torch.allclose(moved, torch.full_like(moved, 0.01), atol=1e-6)


def test_other_settings_in_the_same_folder_are_refused(tmp_path):
    fit(replace(SMALL, epochs=2), training_set(), tmp_path, "cpu")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(ConfigError, match=r"lr: 0.002 -> 0.1"):
        fit(replace(SMALL, epochs=2, lr=0.1), training_set(), tmp_path, "cpu")
    with pytest.raises(ConfigError, match=r"epochs: 2 -> 3; learning rate and soft targets follow"):
        fit(replace(SMALL, epochs=3), training_set(), tmp_path, "cpu")
    with pytest.raises(ConfigError, match="compile='graphs' keeps one pass"):
        replace(SMALL, compile="graphs", micro_batch=4)
    with pytest.raises(ConfigError, match="data"):
        fit(replace(SMALL, epochs=2), training_set(seed=5), tmp_path, "cpu")
    assert (tmp_path / FILE).read_bytes() == before


def test_a_run_goes_on_in_its_precision_and_is_read_in_any(tmp_path):
    """One that was trained on a GPU is opened on a processor by the same call."""
    given = replace(SMALL, epochs=2, precision="bfloat16"), training_set(), tmp_path, "cpu"
    with pytest.raises(StoppedError):
        fit(*given, stop=lambda: True)
    with pytest.raises(ConfigError, match=r"was trained in bfloat16, and is to go on in float32"):
        fit(replace(given[0], precision="float32"), *given[1:])
    whole, said = weights(fit(*given)), []
    assert same(whole, weights(fit(replace(given[0], precision="float32"), *given[1:], said.append)))
    assert said == ["nothing to train: all 2 epochs are done"]


@pytest.mark.parametrize("method", ["c2vl", "skeletonclr", "supervised"])
def test_only_the_encoder_runs_in_low_precision(method):
    """bfloat16 keeps three digits: enough for convolutions, not for the logits of a contrast."""
    learner = build_learner(replace(SMALL, method=method), training_set(), "cpu")
    seen = {}
    learner.encoder.register_forward_hook(lambda module, given, out: seen.update(encoder=out.dtype))
    learner.low_precision = True
    clips, rows = torch.randn(8, 64, 1, 20, 3), torch.arange(8)
    terms = learner.batch_terms(clips, rows, 0.9, 0, 1)
    assert seen["encoder"] == torch.bfloat16
    assert {term.dtype for term in terms.values()} == {torch.float32}
    assert all(torch.isfinite(term) for term in terms.values())
    if method == "c2vl":
        hidden = learner.encode(learner.encoder, torch.randn(8, 3, 16, 20, 1))
        skeleton, _ = learner.heads(hidden, {"language": learner.concepts["language"][rows]})
        assert skeleton["language"].dtype == torch.float32


def test_the_optional_two_view_term_adds_to_the_loss(tmp_path):
    config = replace(SMALL, epochs=2, objective=ObjectiveConfig(two_view_weight=0.5))
    learner = fit(config, training_set(), tmp_path, "cpu")
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert rows[0]["loss"] == pytest.approx(rows[0]["skeleton-language"] + rows[0]["two-view"], rel=1e-5)
    assert same(weights(learner), weights(fit(config, training_set(), tmp_path, "cpu")))  # saved and read back


def test_the_inverse_temperature_is_capped_and_not_decayed():
    learner = build_learner(SMALL, training_set(), "cpu")
    with torch.no_grad():
        learner.heads.log_kappa.fill_(9.0)
    learner.after_step()
    assert float(learner.heads.kappa.detach()) == pytest.approx(100.0)
    plain, free = build_optimizer(learner, SMALL).param_groups
    assert free["weight_decay"] == 0 and plain["weight_decay"] == SMALL.weight_decay
    assert any(p is learner.heads.log_kappa for p in free["params"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_an_error():
    with pytest.raises(ConfigError, match="sees no GPU"):
        pick_device("cuda")
    assert pick_device("auto") == "cpu"


def test_training_on_a_processor_keeps_freed_memory(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("c2vl_lab.training.fit.keep_freed_memory", lambda: told.append(1))
    fit(SMALL, training_set(), tmp_path, "cpu")
    assert told == [1]
