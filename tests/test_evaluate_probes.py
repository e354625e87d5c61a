"""Probes, few labels and clustering: against slow formulas, on features with a known answer, on chance."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from c2vl_lab.errors import ConfigError, DataError
from c2vl_lab.evaluate.clustering import cluster, match_clusters
from c2vl_lab.evaluate.few_labels import draw_labelled, few_label_probes
from c2vl_lab.evaluate.neighbours import nearest_neighbours
from c2vl_lab.evaluate.probes import linear_probe
from c2vl_lab.evaluate.sgd_probe import SGD_PROBES, SGDSettings, descend, sgd_probe


def blobs(seed=0, clips=200, classes=5, spread=0.4, dim=8):
    """Clips around class centres, performers 0 to 4 alike in every class."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, dim))
    labels = np.arange(clips) % classes
    rows = centres[labels] + spread * rng.normal(size=(clips, dim))
    return rows.astype(np.float32), labels, np.arange(clips) // classes % 5


def slow_descent(rows, targets, classes, settings, rate, seed):
    """The same probe by torch's own layer, loss, gradient and optimiser, one learning rate at a time."""
    layer = torch.nn.Linear(rows.shape[1], classes)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.SGD(layer.parameters(), rate, momentum=settings.momentum)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(settings.drops), 0.1)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(settings.epochs):
        order = torch.randperm(len(rows), generator=generator)
        for start in range(0, len(rows), settings.batch_size):
            chosen = order[start : start + settings.batch_size]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(layer(rows[chosen]), targets[chosen]).backward()
            optimizer.step()
        schedule.step()
    return torch.cat([layer.weight.T, layer.bias[None]]).detach()


def test_several_rates_at_once_are_each_what_torchs_optimiser_gives():
    rows, labels, _ = blobs(clips=50)
    settings = SGDSettings((0.1, 1.0), batch_size=16, epochs=6, drops=(3, 5))
    rows, targets = torch.from_numpy(rows), torch.from_numpy(labels)
    found = descend(rows, targets, 5, settings, settings.rates, seed=3)
    for own, rate in zip(found, settings.rates, strict=True):
        torch.testing.assert_close(own, slow_descent(rows, targets, 5, settings, rate, 3), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", sorted(SGD_PROBES))
def test_every_named_probe_separates_what_is_separable_and_not_shuffled_labels(name):
    (train, labels, groups), (test, truth, _) = blobs(0), blobs(1)
    found = sgd_probe(train, labels, groups, test, name)
    assert (found.predicted == truth).mean() > 0.95
    shuffled = np.random.default_rng(0).permutation(labels)
    assert (sgd_probe(train, shuffled, groups, test, name).predicted == truth).mean() < 0.45
    again = sgd_probe(train, labels, groups, test[:9] * 2 + 1, name)
    assert (found.setting, found.classifier.weights.tobytes()) == (again.setting, again.classifier.weights.tobytes())


def test_published_settings_are_the_published_ones():
    aimclr, cmd = SGD_PROBES["aimclr"], SGD_PROBES["cmd"]
    assert (aimclr.rates, aimclr.batch_size, aimclr.epochs, aimclr.drops) == ((3.0,), 128, 100, (80,))
    assert (cmd.rates, cmd.batch_size, cmd.epochs, cmd.drops) == ((0.1,), 64, 80, (50, 70))
    assert aimclr.momentum == cmd.momentum == 0.9 and not aimclr.standardise and not cmd.standardise


def test_the_chosen_rate_is_one_of_those_tried_and_comes_with_its_validation():
    (train, labels, groups), (test, truth, _) = blobs(0, spread=1.0), blobs(1, spread=1.0)
    found = sgd_probe(train, labels, groups, test)
    assert found.setting in SGD_PROBES["chosen"].rates and 0 < found.validation <= 1
    logistic = linear_probe(train, labels, groups, test)
    assert abs((found.predicted == truth).mean() - (logistic.predicted == truth).mean()) < 0.05
    with pytest.raises(ConfigError, match="Did you mean 'aimclr'"):
        sgd_probe(train, labels, groups, test, "aimcl")


def test_a_class_that_training_lacks_is_never_predicted_and_two_classes_work():
    train, labels, groups = blobs(classes=2, clips=40)
    labels = labels * 3 + 1  # classes 1 and 4
    for probe in (linear_probe(train, labels, groups, train), sgd_probe(train, labels, groups, train)):
        assert set(probe.predicted) == {1, 4} and (probe.predicted == labels).mean() > 0.95
        scores = probe.classifier.scores(train)
        assert scores.shape == (40, 5) and np.isneginf(scores[:, [0, 2, 3]]).all()


def test_the_logistic_classifier_gives_scikit_learns_probabilities():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    (train, labels, groups), (test, _, _) = blobs(0, spread=1.0), blobs(1, spread=1.0)
    found = linear_probe(train, labels, groups, test)
    scaler = StandardScaler().fit(train.astype(float))
    model = LogisticRegression(C=found.setting, max_iter=300, tol=1e-3).fit(scaler.transform(train), labels)
    logits = found.classifier.scores(test)
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(share, model.predict_proba(scaler.transform(test)), atol=1e-6)


def test_neighbours_by_groups_of_the_bank_equal_scikit_learn_with_and_without_centring():
    """A bank large enough that only the groups with the best tops are sorted, and not a multiple of a group."""
    from sklearn.neighbors import KNeighborsClassifier

    (train, labels, _), (test, _, _) = blobs(0, clips=4013, classes=7, spread=2.0), blobs(1, clips=300, spread=2.0)
    for centred in (True, False):
        mean = train.mean(axis=0) * centred
        for k, predicted in nearest_neighbours(train, labels, test, centred=centred).items():
            reference = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(train - mean, labels)
            assert (predicted == reference.predict(test - mean)).all(), (k, centred)


def test_labelled_clips_are_drawn_per_class_with_the_seed():
    labels = np.repeat([0, 1, 2], [100, 50, 3])
    drawn = draw_labelled(labels, 0.1, seed=5)
    assert np.bincount(labels[drawn]).tolist() == [10, 5, 1], "a share of each class, one clip at least"
    assert (drawn == draw_labelled(labels, 0.1, seed=5)).all() and len(set(drawn)) == 16
    assert set(drawn) != set(draw_labelled(labels, 0.1, seed=6))
    assert set(drawn) <= set(draw_labelled(labels, 0.2, seed=5))
    assert draw_labelled(labels, 1.0, 0).tolist() == list(range(153))
    with pytest.raises(ConfigError, match="at most 1"):
        draw_labelled(labels, 1.5, 0)


def test_few_label_probes_see_no_other_label():
    (train, labels, groups), (test, truth, _) = blobs(0), blobs(1)
    found = few_label_probes(train, labels, groups, test, shares=(0.05, 0.2), draws=3, seed=4)
    assert [(d.share, d.seed) for d in found] == [(s, n) for s in (0.05, 0.2) for n in (4, 5, 6)]
    assert np.mean([(d.predicted == truth).mean() for d in found]) > 0.85
    for draw in found:
        assert len(draw.labelled) == round(draw.share * 40) * 5
        probe = linear_probe(
            train[draw.labelled], labels[draw.labelled], groups[draw.labelled], test, draw.seed, 3, train
        )
        assert (probe.predicted == draw.predicted).all()


def test_clusters_are_matched_as_the_best_of_all_permutations():
    rng = np.random.default_rng(0)
    clusters, labels = rng.integers(4, size=90), rng.integers(4, size=90)
    best = max((np.array(p)[clusters] == labels).sum() for p in permutations(range(4)))
    assert (match_clusters(clusters, labels, 4, 4)[clusters] == labels).sum() == best
    assert sorted(match_clusters(np.array([0, 1, 2]), np.array([1, 1, 0]), 3, 2)) == [-1, 0, 1]


def test_clustering_finds_blobs_and_nothing_in_noise():
    (train, labels, _), (test, truth, _) = blobs(0, spread=0.1), blobs(1, spread=0.1)
    found = cluster(train, labels, test, truth, 5)
    assert (found.predicted == truth).all() and (found.matched == truth).all() and found.nmi == found.ari == 1
    noise = np.random.default_rng(1).normal(size=train.shape)
    chance = cluster(noise, labels, np.random.default_rng(2).normal(size=test.shape), truth, 5)
    assert abs(chance.ari) < 0.05 and chance.nmi < 0.1 and (chance.predicted == truth).mean() < 0.4
    with pytest.raises(DataError, match="more training clips than classes"):
        cluster(train[:5], labels[:5], test, truth, 5)


def test_test_labels_only_score_a_clustering():
    (train, labels, _), (test, truth, _) = blobs(0, spread=1.0), blobs(1, spread=1.0)
    one, other = (cluster(train, labels, test, own, 5) for own in (truth, np.sort(truth)))
    assert (one.predicted == other.predicted).all() and one.nmi != other.nmi
