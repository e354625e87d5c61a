"""Retrieval without near-duplicates, unseen classes and their splits: by slow loops, with known answers, on chance."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from c2vl_lab.errors import DataError, MissingError
from c2vl_lab.evaluate.class_splits import class_splits, drawn_splits
from c2vl_lab.evaluate.language import near_duplicates, own_ranks
from c2vl_lab.evaluate.rows import unit
from c2vl_lab.evaluate.unseen import by_prompts, harmonic_mean, ridge, unseen_classes


def test_ranks_without_near_duplicates_equal_the_loop():
    rng = np.random.default_rng(0)
    texts = unit(np.repeat(rng.normal(size=(10, 6)), 3, axis=0) + 0.05 * rng.normal(size=(30, 6)))
    queries = unit(texts + 0.4 * rng.normal(size=(30, 6)))
    alike = texts @ texts.T >= 0.9
    slow = [
        1 + sum(queries[i] @ texts[j] > queries[i] @ texts[i] for j in range(30) if j != i and not alike[i, j])
        for i in range(30)
    ]
    assert own_ranks(queries, texts, texts).tolist() == slow
    assert (own_ranks(queries, texts, texts) <= own_ranks(queries, texts)).all()
    assert near_duplicates(texts) == pytest.approx((alike.sum() - 30) / 30)


def test_equal_texts_are_one_text():
    same = np.ones((11, 3)) / np.sqrt(3)
    assert own_ranks(same, same).tolist() == [6.0] * 11 and own_ranks(same, same, same).tolist() == [1.0] * 11
    assert near_duplicates(same) == 10


def world(seed, clips=400, classes=20, noise=0.1):
    """Features that are a linear picture of the class texts, so that unseen classes can be told by their texts."""
    fixed = np.random.default_rng(7)
    texts, picture = unit(fixed.normal(size=(classes, 12))), fixed.normal(size=(12, 20))
    labels = np.arange(clips) % classes
    rows = texts[labels] @ picture + noise * np.random.default_rng(seed).normal(size=(clips, 20))
    return rows, labels, texts


def test_unseen_classes_are_told_by_their_texts():
    (train, labels, texts), (test, truth, _) = world(0), world(1)
    found = unseen_classes(train, labels, test, truth, texts, (2, 5))
    assert found.zero_shot > 0.9 and found.seen > 0.7 and found.unseen > 0.7 and found.clips == 40
    assert found.harmonic >= found.plain_harmonic and found.harmonic == harmonic_mean(found.seen, found.unseen)
    assert found == unseen_classes(train, labels, test, truth, texts, (2, 5))


def test_texts_that_say_nothing_give_chance():
    (train, labels, _), (test, truth, _) = world(0), world(1)
    scores = [
        unseen_classes(
            train, labels, test, truth, unit(np.random.default_rng(s).normal(size=(20, 12))), (2, 5)
        ).zero_shot
        for s in range(12)
    ]
    assert abs(np.mean(scores) - 0.5) < 0.25


def test_nothing_of_unseen_classes_or_of_the_test_part_is_learned_from():
    (train, labels, texts), (test, truth, _) = world(0, noise=1.0), world(1, noise=1.0)
    found = unseen_classes(train, labels, test, truth, texts, (2, 5))
    poisoned = train.copy()
    poisoned[np.isin(labels, (2, 5))] = 1e3
    assert unseen_classes(poisoned, labels, test, truth, texts, (2, 5)) == found
    other = unseen_classes(train, labels, test, np.sort(truth), texts, (2, 5))
    assert (other.strength, other.handicap) == (found.strength, found.handicap) and other.seen != found.seen
    with pytest.raises(DataError, match="test clips of both"):
        unseen_classes(train, labels, test[truth == 0], truth[truth == 0], texts, (2, 5))


def test_prompts_alone_are_the_nearest_text_by_the_loop():
    rng = np.random.default_rng(0)
    cosine, truth, unseen = rng.normal(size=(60, 6)), np.arange(60) % 6, (1, 4)
    found = by_prompts(cosine, truth, unseen)
    new = [i for i in range(60) if truth[i] in unseen]
    assert found.zero_shot == np.mean([max(unseen, key=lambda c: cosine[i, c]) == truth[i] for i in new])
    assert found.unseen == np.mean([int(cosine[i].argmax()) == truth[i] for i in new])
    assert found.seen == np.mean([int(cosine[i].argmax()) == truth[i] for i in range(60) if i not in new])
    assert found.harmonic == found.plain_harmonic == harmonic_mean(found.seen, found.unseen) and found.clips == 20


@pytest.mark.parametrize(("first", "second", "mean"), [(0.8, 0.4, 2 * 0.32 / 1.2), (0.0, 0.9, 0.0), (1.0, 1.0, 1.0)])
def test_harmonic_mean(first, second, mean):
    assert harmonic_mean(first, second) == pytest.approx(mean)


def store(dataset, classes, first=1):
    ids = list(range(first, first + classes))
    return SimpleNamespace(dataset=dataset, classes=[f"c{i}" for i in ids], class_ids=ids)


def test_published_splits_are_the_published_ones():
    found = {split.name: split.unseen for split in class_splits(store("ntu60", 60))}
    assert found["synse-5"] == (10, 11, 19, 26, 56) and len(found["synse-12"]) == 12 and len(found) == 5
    large = {split.name: len(split.unseen) for split in class_splits(store("ntu120", 120))}
    assert large == {"synse-10": 10, "synse-24": 24, "smie-1": 10, "smie-2": 10, "smie-3": 10}
    assert [len(split.unseen) for split in class_splits(store("pku1", 51))] == [5, 5, 5]


def test_every_class_is_unseen_once_in_drawn_splits():
    splits = class_splits(store("own", 27), seed=3)
    assert sorted(label for split in splits for label in split.unseen) == list(range(27)) and len(splits) == 5
    assert splits == drawn_splits(27, 3) != drawn_splits(27, 4)
    assert [len(split.unseen) for split in drawn_splits(4, 0)] == [2, 2]
    with pytest.raises(DataError, match="at least four classes"):
        drawn_splits(3, 0)


def test_ones_own_file_of_splits(tmp_path):
    path = tmp_path / "splits.csv"
    head = "dataset,name,unseen,source\n"
    path.write_text(head + "own,mine,11 14,me\nother,x,1 2,me\n")
    (split,) = class_splits(store("own", 6, first=10), path)
    assert (split.name, split.unseen, split.source) == ("mine", (1, 4), "me")
    for text, words in (
        (head + "own,mine,11 99,me\n", "line 2: '99' is no published class id"),
        (head + "own,mine,11,me\n", "line 2: wanted two unseen"),
        (head + "other,x,1 2,me\n", "has no split of own"),
        ("a,b\n1,2\n", "wanted the columns dataset, name"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            class_splits(store("own", 6, first=10), path)
    with pytest.raises(MissingError, match="no file of class splits"):
        class_splits(store("own", 6), tmp_path / "none.csv")


@pytest.mark.parametrize("shape", [(12, 40), (40, 12)])
def test_the_map_is_scikit_learns_ridge_whether_clips_or_features_are_fewer(shape):
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(size=shape), rng.normal(size=(shape[0], 5))
    wanted = Ridge(alpha=0.7, fit_intercept=False, solver="svd").fit(rows, targets).coef_.T
    np.testing.assert_allclose(ridge(rows, targets, 0.7), wanted, atol=1e-10)
