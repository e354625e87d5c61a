"""Pooling in each step: attention that learns, subsets that are drawn anew, both resumable to the same weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from test_pretrain import SMALL, Stop, same, stop_after, training_set, weights

from c2vl_lab.concepts import ConceptConfig, ConceptSpace
from c2vl_lab.config import replace
from c2vl_lab.data.draws import Draws
from c2vl_lab.models.pooling import AttentionPooling, SubsetPooling
from c2vl_lab.teachers.feature_files import FeatureRows
from c2vl_lab.training.build import build_learner
from c2vl_lab.training.checkpoints import read_checkpoint
from c2vl_lab.training.fit import fit

CLIPS, PROMPTS, WIDTH = 24, 5, 12


def features(seed=0):
    rng = np.random.default_rng(seed)
    table = (2 * rng.normal(size=(1, WIDTH)) + rng.normal(size=(CLIPS * PROMPTS, WIDTH))).astype(np.float32)
    return FeatureRows((table,), np.arange(CLIPS * PROMPTS).reshape(CLIPS, PROMPTS), "key")


def data(pooling, subset=0, center="places"):
    rows = features()
    space = ConceptSpace.fit(rows, np.arange(CLIPS), ConceptConfig(pooling, center=center, subset=subset))
    concepts = {"language": space.transform(rows)}
    return dataclasses.replace(training_set(), concepts=concepts, pooled={"language": space.each_step(rows)})


def terms(learner, data, seed, progress=0.5):
    """Loss terms without dropout: only the draws differ."""
    learner.eval()
    clips, rows = torch.from_numpy(data.clips), torch.arange(CLIPS)
    return learner.batch_terms(clips, rows, progress, seed, 1)["skeleton-language"]


@pytest.mark.parametrize("center", ["places", "clip", "none"])
@pytest.mark.parametrize("pooling", ["attention", "subset"])
def test_untrained_attention_and_all_of_a_subset_are_the_mean_concept(pooling, center):
    """The torch side does what the concept space does in NumPy, whatever is centred."""
    given = data(pooling, center=center)
    learner = build_learner(replace(SMALL, method="c2vl"), given, "cpu")
    pooled = learner.pools["language"](torch.from_numpy(features()[:])).detach().numpy()
    np.testing.assert_allclose(pooled, given.concepts["language"], atol=1e-5)
    mean = ConceptSpace.fit(features(), np.arange(CLIPS), ConceptConfig("mean", center=center)).transform(features())
    np.testing.assert_allclose(given.concepts["language"], mean, atol=1e-6)


def test_a_subset_is_the_mean_of_that_many_features_drawn_without_return():
    pool = SubsetPooling(None, torch.zeros(WIDTH), 2)
    draws = Draws(0, 1, torch.arange(CLIPS))
    drawn = [pool.weights(torch.from_numpy(features()[:]), draws) for _ in range(40)]
    for shares in drawn:
        assert ((shares > 0).sum(dim=1) == 2).all() and torch.allclose(shares.sum(dim=1), torch.ones(CLIPS))
    assert not torch.equal(drawn[0], drawn[1])
    assert len({tuple(row.tolist()) for row in drawn[0]}) > 3  # each clip draws for itself
    often = torch.stack(drawn).gt(0).float().mean(dim=(0, 1))
    assert ((often - 2 / PROMPTS).abs() < 0.06).all()


def test_attention_finds_the_place_that_tells_the_clip_apart():
    rng = torch.Generator().manual_seed(1)
    clips = torch.nn.functional.normalize(torch.randn(30, WIDTH, generator=rng), dim=1)
    each = 0.5 * torch.randn(30, PROMPTS, WIDTH, generator=rng)
    each[:, 3] = clips
    pool = AttentionPooling(None, torch.zeros(WIDTH), PROMPTS)
    optimizer = torch.optim.Adam(pool.parameters(), 0.05)
    for _ in range(150):
        loss = torch.nn.functional.cross_entropy(10 * pool(each) @ clips.T, torch.arange(30))
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    assert pool.weights(torch.nn.functional.normalize(each, dim=2), None).mean(dim=0).argmax() == 3
    assert pool.query.abs().sum() > 0


def test_only_subsets_depend_on_the_draw_and_soft_targets_do_not():
    fixed, drawn = data("attention"), data("subset", subset=1)
    learners = {name: build_learner(SMALL, d, "cpu") for name, d in (("attention", fixed), ("subset", drawn))}
    for learner in learners.values():
        learner.views = lambda clips, draws: clips[:, :16, 0].permute(0, 3, 1, 2).unsqueeze(-1)
    assert terms(learners["attention"], fixed, 1) == terms(learners["attention"], fixed, 2)
    assert terms(learners["subset"], drawn, 1) == terms(learners["subset"], drawn, 1)
    assert terms(learners["subset"], drawn, 1) != terms(learners["subset"], drawn, 2)
    seen = []
    learners["subset"].contrast.register_forward_pre_hook(lambda _, given: seen.append(given[2]["language"]))
    terms(learners["subset"], drawn, 1)
    np.testing.assert_array_equal(seen[0].numpy(), drawn.concepts["language"])


@pytest.mark.parametrize("pooling", ["attention", "subset"])
def test_a_cut_run_goes_on_to_the_same_weights(tmp_path, pooling):
    config = replace(SMALL, method="c2vl", epochs=4)
    whole = weights(fit(config, data(pooling), tmp_path / "whole", "cpu"))
    for cut in (1, 3):
        with pytest.raises(Stop):
            fit(config, data(pooling), tmp_path / "cut", "cpu", stop_after(cut))
    assert same(whole, weights(fit(config, data(pooling), tmp_path / "cut", "cpu")))
    stored, _ = read_checkpoint(tmp_path / "whole")
    learned = {name for name in stored if "pools" in name and name.startswith("model.")}
    if pooling == "attention":
        assert {"model.pools.language.query", "model.slow_pools.language.query"} <= learned
        query, slow = stored["model.pools.language.query"], stored["model.slow_pools.language.query"]
        assert query.abs().sum() > 0 and slow.abs().sum() > 0 and not torch.equal(query, slow)
    else:
        assert not learned


def test_another_size_of_the_subset_is_another_training_set(tmp_path):
    from c2vl_lab.errors import ConfigError

    config = replace(SMALL, method="c2vl", epochs=1)
    fit(config, data("subset", subset=2), tmp_path, "cpu")
    with pytest.raises(ConfigError, match="data"):
        fit(config, data("subset", subset=3), tmp_path, "cpu")
