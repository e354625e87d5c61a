"""Distillation by regression: targets and loss against slow formulas, and what of the network it moves."""

from dataclasses import replace as swapped

import numpy as np
import pytest
import torch
from training_sets import SMALL, same, training_set, weights

from c2vl_lab.config import replace
from c2vl_lab.errors import ConfigError, DataError
from c2vl_lab.logs import read_metrics
from c2vl_lab.objective import ObjectiveConfig
from c2vl_lab.regression import PromptRegression, place_targets
from c2vl_lab.training.build import build_learner
from c2vl_lab.training.fit import fit


def features(clips=24, places=3, width=10, seed=0):
    return np.random.default_rng(seed).normal(size=(clips, places, width)).astype(np.float32)


def regressing(weight=1.0, contrast=1.0):
    data = swapped(training_set(), places={"language": place_targets(features())})
    return replace(SMALL, objective=ObjectiveConfig(regression_weight=weight, contrast_weight=contrast)), data


def test_targets_are_each_place_s_own_principal_components():
    raw = features()
    found = place_targets(raw, size=4)
    assert found.shape == (24, 3, 4) and found.dtype == np.float32
    for place in range(3):
        rows = np.stack([clip[place] / np.linalg.norm(clip[place]) for clip in raw.astype(np.float64)])
        rows = rows - rows.mean(axis=0)
        left, values, _ = np.linalg.svd(rows, full_matrices=False)
        kept = left[:, :4] * values[:4]
        kept = kept / np.linalg.norm(kept, axis=1, keepdims=True)
        # the sign of an axis is free, cosines between clips are not
        np.testing.assert_allclose(found[:, place] @ found[:, place].T, kept @ kept.T, atol=1e-5)


def test_all_components_keep_every_cosine_and_a_dull_place_is_zero():
    raw = features()
    raw[:, 1] = raw[0, 1]
    found = place_targets(raw)
    assert found.shape == (24, 3, 10) and not found[:, 1].any()
    unit = raw[:, 2] / np.linalg.norm(raw[:, 2], axis=1, keepdims=True)
    unit = unit - unit.mean(axis=0)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    np.testing.assert_allclose(found[:, 2] @ found[:, 2].T, unit @ unit.T, atol=1e-5)


def test_the_loss_is_the_mean_of_one_minus_the_cosine():
    torch.manual_seed(0)
    targets = torch.from_numpy(place_targets(features(), size=4))
    regression, hidden, rows = PromptRegression(6, targets), torch.randn(5, 6), torch.tensor([3, 0, 7, 7, 20])
    predicted = (hidden @ regression.head.weight.T + regression.head.bias).detach().numpy()
    losses = []
    for clip, row in enumerate(rows.tolist()):
        for place in range(3):
            guess, wanted = predicted[clip, place * 4 : place * 4 + 4], targets[row, place].numpy()
            losses.append(1 - guess @ wanted / np.linalg.norm(guess) / np.linalg.norm(wanted))
    assert float(regression(hidden, rows).detach()) == pytest.approx(np.mean(losses), rel=1e-5)


def test_weights_scale_the_terms_and_a_contrast_of_no_weight_moves_nothing():
    rows, clips = torch.arange(8), torch.from_numpy(training_set().clips[:8])

    def terms_of(weight, contrast):
        learner = build_learner(*regressing(weight, contrast), "cpu")
        return learner, learner.batch_terms(clips, rows, 0.5, 0, 1)

    _, one = terms_of(1.0, 1.0)
    learner, other = terms_of(4.0, 0.0)
    assert one.keys() == other.keys() == {"skeleton-language", "regression of language"}
    assert float(other["regression of language"].detach()) == pytest.approx(
        4 * float(one["regression of language"].detach()), rel=1e-5
    )
    assert float(other["skeleton-language"].detach()) == 0
    sum(other.values()).backward()
    assert not any(p.grad.any() for p in learner.heads.parameters())
    assert any(p.grad.any() for p in learner.encoder.parameters())


def test_training_lowers_the_regression_and_a_finished_run_is_read_back(tmp_path):
    config, data = regressing(8.0, 0.1)
    learner = fit(replace(config, epochs=30), data, tmp_path, "cpu")
    losses = [row["regression of language"] for row in read_metrics(tmp_path / "metrics.jsonl")]
    assert losses[-1] < 0.9 * losses[0]
    assert same(weights(learner), weights(fit(replace(config, epochs=30), data, tmp_path, "cpu")))
    other = swapped(data, places={"language": place_targets(features(seed=1))})
    with pytest.raises(ConfigError, match="other clips, sentences, pictures or teacher"):
        fit(replace(config, epochs=30), other, tmp_path, "cpu")


def test_what_cannot_be_regressed_is_refused():
    with pytest.raises(DataError, match="at least 2 training clips"):
        place_targets(features(clips=1))
    broken = features()
    broken[3, 1, 0] = np.nan
    with pytest.raises(DataError, match="place 2"):
        place_targets(broken)
    config, _ = regressing()
    with pytest.raises(DataError, match="places"):
        build_learner(config, training_set(), "cpu")
    with pytest.raises(ConfigError, match="must not be negative"):
        ObjectiveConfig(regression_weight=-1.0)
