"""Training: same seed same weights, kill anywhere and go on, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from c2vl_lab.config import replace
from c2vl_lab.data.layouts import KINECT20
from c2vl_lab.errors import C2VLError, ConfigError, DataError, MissingError
from c2vl_lab.logs import read_metrics
from c2vl_lab.objective import ObjectiveConfig
from c2vl_lab.training.build import build_learner, build_optimizer
from c2vl_lab.training.checkpoints import FILE, read_checkpoint, restore, save_checkpoint
from c2vl_lab.training.fit import fit
from c2vl_lab.training.settings import FitConfig, TrainingSet, pick_device

SMALL = FitConfig(width=16, epochs=6, batch_size=8, frames=16, checkpoint_every=2)


def training_set(seed=0, clips=24):
    rng = np.random.default_rng(seed)
    unit = rng.normal(size=(clips, 12)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return TrainingSet(
        clips=rng.normal(size=(clips, 64, 1, 20, 3)).astype(np.float32),
        names=[f"clip{i}" for i in range(clips)],
        layout=KINECT20,
        concepts={"language": unit},
        taus={"language": 0.1},
        labels=rng.integers(0, 3, clips),
        classes=3,
    )


def weights(learner):
    return {name: value.clone() for name, value in learner.state_dict().items()}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


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
    losses = [row["loss"] for row in read_metrics(tmp_path / "whole" / "metrics.jsonl")]
    assert [row["loss"] for row in rows] == losses


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from test_pretrain import SMALL, training_set
from c2vl_lab.config import replace
from c2vl_lab.training.fit import fit
print("start", flush=True)
fit(replace(SMALL, epochs=40, checkpoint_every=1), training_set(), {run!r}, "cpu")
print("done", flush=True)
"""


@pytest.mark.slow
def test_killed_processes_end_in_the_weights_of_an_unbroken_run(tmp_path):
    """SIGKILL at moments spread over training, writing of checkpoints included."""
    tests = str(Path(__file__).parent)

    def start(run):
        code = SCRIPT.format(tests=tests, run=str(run))
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    unbroken = start(tmp_path / "whole")
    assert unbroken.wait(120) == 0
    rng = np.random.default_rng(0)
    kills = 0
    for _ in range(4):
        process = start(tmp_path / "cut")
        process.stdout.readline()  # imports are over
        time.sleep(float(rng.uniform(0.05, 0.8)))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert start(tmp_path / "cut").wait(120) == 0
    assert kills >= 2
    one, two = read_checkpoint(tmp_path / "whole")[0], read_checkpoint(tmp_path / "cut")[0]
    assert same(one, two)


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
    with pytest.raises(ConfigError, match="data"):
        fit(replace(SMALL, epochs=2), training_set(seed=5), tmp_path, "cpu")
    assert (tmp_path / FILE).read_bytes() == before


def test_a_nan_loss_stops_and_names_clips(tmp_path):
    data = training_set()
    data.clips[3] = np.nan
    with pytest.raises(C2VLError, match=r"loss became nan in epoch 1.*clip"):
        fit(replace(SMALL, batch_size=24), data, tmp_path, "cpu")


def test_checkpoints_that_are_torn_foreign_or_absent(tmp_path):
    learner = build_learner(SMALL, training_set(), "cpu")
    with pytest.raises(MissingError, match="No checkpoint"):
        read_checkpoint(tmp_path)
    save_checkpoint(tmp_path, learner, None, {"epoch": 1})
    assert json.loads((tmp_path / "checkpoint.json").read_text()) == {"epoch": 1}
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="not a readable safetensors"):
        read_checkpoint(tmp_path)
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / FILE)
    with pytest.raises(DataError, match="another program"):
        read_checkpoint(tmp_path)
    other = build_learner(replace(SMALL, width=24), training_set(), "cpu")
    save_checkpoint(tmp_path, other, None, {"epoch": 1})
    with pytest.raises(DataError, match="does not fit"):
        restore(read_checkpoint(tmp_path)[0], learner, None)


def test_a_failed_write_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    learner = build_learner(SMALL, training_set(), "cpu")
    save_checkpoint(tmp_path, learner, None, {"epoch": 1})
    monkeypatch.setattr(
        "c2vl_lab.training.checkpoints.save_file", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(tmp_path, learner, None, {"epoch": 2})
    assert read_checkpoint(tmp_path)[1] == {"epoch": 1}
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


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
