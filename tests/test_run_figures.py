"""What figures are made of: numbers read from run folders, and one run opened for its joint space."""

from __future__ import annotations

import dataclasses
import json
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from test_report import CLASSES, write_run

from c2vl_lab.bench import run_figures
from c2vl_lab.bench.results import find_runs
from c2vl_lab.config import from_dict, replace
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.evaluate.run_points import open_run, sentence_hits
from c2vl_lab.evaluate.run_targets import target_stages
from c2vl_lab.evaluate.target_classes import shares, target_classes
from c2vl_lab.experiment import load_config, open_experiment, pretrain
from c2vl_lab.objective import alpha_at
from c2vl_lab.run_config import RunConfig
from c2vl_lab.training.states import kept_states, load_state


@pytest.fixture
def runs(tmp_path):
    """Two seeds of the full method (4 and 6 errors, all in the first of two classes of 20), one of a baseline (10)."""
    write_run(tmp_path / "a", "full", 0, 4)
    write_run(tmp_path / "b", "full", 1, 6)
    write_run(tmp_path / "c", "skeletonclr", 0, 10)
    return find_runs(tmp_path)


def test_arms_are_found_by_label_or_short_name(runs):
    full = run_figures.runs_of(runs, "full")
    assert [run.parameters["seed"] for run in full] == [0, 1]
    assert run_figures.runs_of(runs, full[0].label) == full
    with pytest.raises(MissingError, match=r"No complete run of an arm 'fulll' among these: .*\(skeletonclr\)"):
        run_figures.runs_of(runs, "fulll")


def test_confusions_are_summed_and_accuracies_averaged_over_seeds(runs):
    full = run_figures.runs_of(runs, "full")
    counts, classes = run_figures.confusion(full)
    assert counts.tolist() == [[30, 10], [0, 40]] and classes == CLASSES
    assert run_figures.class_accuracies(full) == pytest.approx({CLASSES[0]: 0.75, CLASSES[1]: 1.0})
    assert [len(rows) for rows in run_figures.curves(full)] == [3, 3]
    assert "stand-in teacher" in run_figures.origin(runs) and "generated" not in run_figures.origin(runs)


def test_gains_have_intervals_over_the_clips_of_their_class(runs):
    base, full = run_figures.runs_of(runs, "skeletonclr"), run_figures.runs_of(runs, "full")
    found = run_figures.gain_intervals(base, full)
    # of 20 clips 4 are gained by both seeds, 2 by one of them; the bootstrap's normal approximation:
    gain = np.array([1.0] * 4 + [0.5] * 2 + [0.0] * 14)
    low, high = found[CLASSES[0]]
    assert (low + high) / 2 == pytest.approx(gain.mean(), abs=0.03)
    assert high - low == pytest.approx(2 * 1.96 * gain.std() / 20**0.5, rel=0.15)
    assert found[CLASSES[1]] == (0, 0)


def test_what_does_not_fit_is_refused(runs, tmp_path):
    full = run_figures.runs_of(runs, "full")
    table = pd.read_parquet(full[1].path / "predictions.parquet")
    with pytest.raises(DataError, match="wanted a column knn7"):
        run_figures.gain_intervals(full, full, "knn7")
    table.assign(name="other " + table["name"]).to_parquet(full[1].path / "predictions.parquet")
    with pytest.raises(DataError, match="tested on different clips"):
        run_figures.gain_intervals(full, full)
    full[1].results["classes"] = ["x", "y"]
    with pytest.raises(DataError, match="different classes"):
        run_figures.confusion(full)
    with pytest.raises(MissingError, match="04_evaluate"):
        run_figures.confusion([])


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A run of one epoch on generated clips; equal sentences are all that its teacher knows."""
    work = tmp_path_factory.mktemp("work")
    store = open_dataset("generated", work_dir=work, performers=2, frames_max=40)
    config = RunConfig(dataset=str(store.path), work_dir=str(work), teacher="bag", epochs=1, batch_size=16, knn_every=0)
    pretrain(open_experiment(config), work / "run")
    return open_run(work / "run", str(work)), work


def test_a_run_is_placed_before_and_after_training(opened):
    run, _ = opened
    count = len(run.experiment.store)
    for points in (run.points, run.points_before):
        assert list(points) == ["skeleton", "language", "class prompt"]
        assert len(points["skeleton"]) == count and len(points["class prompt"]) == len(run.experiment.store.classes)
        assert np.linalg.norm(points["skeleton"], axis=1) == pytest.approx(1, abs=1e-5)
    assert not np.allclose(run.features, run.features_before)
    assert "generated clips" in run.note and len(run.test(run.features)) == len(run.test_labels)


def test_soft_targets_begin_as_the_identity_and_follow_alpha(opened):
    run, _ = opened
    stages, labels = target_stages(run, (0.0, 0.6, 1.0), most=20)
    assert next(iter(stages)) == "alpha 0.00 (0 %)" and (np.diff(labels) >= 0).all() and len(labels) == 20
    first, middle, last = stages.values()
    assert np.array_equal(first, np.eye(20, dtype=first.dtype))
    assert last.sum(axis=1) == pytest.approx(1, abs=1e-5)
    ratio = alpha_at(0.6, run.learner.config) / run.learner.config.alpha_max
    off = ~np.eye(20, dtype=bool)
    np.testing.assert_allclose(middle[off], ratio * last[off], rtol=1e-4)
    with pytest.raises(ConfigError, match="no soft targets for 'vision'"):
        target_stages(run, modality="vision")


def test_soft_targets_of_a_run_with_states_are_those_of_its_epochs(opened):
    """At a kept epoch the model's share is that of the weights of then: by hand from the state's own tensors."""
    _, work = opened
    config = replace(from_dict(RunConfig, load_config(work / "run")), epochs=4, keep_every=1, alpha_max=1.0, gamma=0.5)
    pretrain(open_experiment(config), work / "states")
    run = open_run(work / "states", str(work))
    stages, labels = target_stages(run, (0.0, 0.5, 0.6, 1.0), most=20)
    assert [title.split(",")[0] for title in stages] == ["epoch 0", "epoch 2", "epoch 4"]
    first, middle, last = stages.values()
    assert np.array_equal(first, np.eye(20, dtype=first.dtype)) and len(labels) == 20
    assert middle.sum(axis=1) == pytest.approx(1, abs=1e-5)
    for epoch, other in ((2, middle), (1, None)):
        past = deepcopy(run.learner)
        load_state(kept_states(work / "states")[epoch], past)
        past.slow_encoder.load_state_dict(past.encoder.state_dict())
        past.slow_heads.load_state_dict(past.heads.state_dict())
        (work / f"no states {epoch}").mkdir()
        as_then = dataclasses.replace(run, learner=past, path=work / f"no states {epoch}")
        wanted, _ = target_stages(as_then, (0.5,), most=20)
        assert np.allclose(next(iter(wanted.values())), middle, atol=1e-6) == (other is middle)
    alone = dataclasses.replace(run, path=work / "nowhere")
    np.testing.assert_array_equal(target_stages(alone, (1.0,), most=20)[0]["alpha 1.00 (100 %)"], last)


def test_where_a_targets_mass_falls():
    target = np.array([[0.5, 0.3, 0.1, 0.1], [0.2, 0.6, 0.0, 0.2], [0.1, 0.1, 0.8, 0.0], [0.4, 0.0, 0.0, 0.6]])
    itself, same, other, chance = shares(target, np.array([0, 0, 1, 2]))
    assert np.allclose([itself, same, other], [2.5 / 4, 0.5 / 4, 1.0 / 4])
    assert np.isclose(chance, 2 / 4 / 3)


def test_soft_targets_of_a_teacher_that_knows_only_equal_sentences(opened):
    """The rows of each place by their own sums, from the targets that the figure shows."""
    run, _ = opened
    all_at_once = replace(run.experiment.config, batch_size=1000)  # one batch, whatever the draw
    whole = dataclasses.replace(run, experiment=dataclasses.replace(run.experiment, config=all_at_once))
    table = target_classes(whole, draws=1).set_index(["pair", "target"])
    assert np.allclose(table[["itself", "same class", "other classes"]].sum(axis=1), 1, atol=1e-5)
    mixed, labels = target_stages(run, (1.0,), most=1000)
    (rows,) = mixed.values()  # half hard, the rest half of each kind
    kinds = [table.loc[("skeleton-language", kind)] for kind in ("intra-modal", "inter-modal")]
    same = labels[:, None] == labels[None, :]
    np.fill_diagonal(same, False)
    wanted = [np.trace(rows) / len(rows), (rows * same).sum() / len(rows)]
    assert np.isclose(wanted[0], 0.5 + 0.25 * sum(kind["itself"] for kind in kinds), atol=1e-4)
    assert np.isclose(wanted[1], 0.25 * sum(kind["same class"] for kind in kinds), atol=1e-4)


def test_sentences_retrieve_the_nearest_skeletons_of_the_test_part(opened):
    run, _ = opened
    store, test = run.experiment.store, run.experiment.split.test
    texts, answers = sentence_hits(run, count=4, queries=2)
    prompts = run.experiment.prompts()
    for text, hits in zip(texts, answers, strict=True):
        told = [i for i in test if prompts[store.names[i]][-1] == text]  # several clips may be described alike
        best = [np.sort(run.points["skeleton"][test] @ run.points["language"][i])[::-1][:4] for i in told]
        assert any(np.allclose([hit.score for hit in hits], scores, atol=1e-5) for scores in best)
        assert all(hit.clip.name in {store.names[i] for i in test} for hit in hits)
        assert all(hit.label == store.classes[hit.clip.label] for hit in hits)


def test_an_arm_without_joint_space_is_refused(opened):
    _, work = opened
    (work / "plain").mkdir()
    (work / "plain" / "config.json").write_text(json.dumps({"arm": "coordinates"}))
    with pytest.raises(ConfigError, match="arm 'coordinates' has no joint space"):
        open_run(work / "plain", str(work))
