"""Probes and retrieval against scikit-learn, slow loops, and features with a known answer."""

import numpy as np
import pytest

from c2vl_lab.errors import ConfigError, DataError
from c2vl_lab.evaluate.language import retrieval, zero_shot
from c2vl_lab.evaluate.neighbours import nearest_neighbours
from c2vl_lab.evaluate.probes import confusion_matrix, linear_probe


def blobs(seed=0, clips=120, classes=4, spread=0.3, dim=8):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, dim))
    labels = np.arange(clips) % classes
    return (centres[labels] + spread * rng.normal(size=(clips, dim))).astype(np.float32), labels


def test_probe_separates_what_is_separable_and_not_shuffled_labels():
    (train, labels), (test, truth) = blobs(0), blobs(1)
    groups = np.arange(len(train)) // 4 % 5
    assert (linear_probe(train, labels, groups, test).predicted == truth).mean() > 0.97
    shuffled = np.random.default_rng(0).permutation(labels)
    assert (linear_probe(train, shuffled, groups, test).predicted == truth).mean() < 0.5


def test_probe_depends_on_seed_alone_and_not_on_the_test_part():
    (train, labels), (test, _) = blobs(0, spread=1.5), blobs(1, spread=1.5)
    groups = np.arange(len(train)) // 4 % 5
    one = linear_probe(train, labels, groups, test, seed=2)
    two = linear_probe(train, labels, groups, test, seed=2)
    half = linear_probe(train, labels, groups, test[:7] * 3 + 1, seed=2)
    assert (one.predicted == two.predicted).all()
    assert (one.setting, one.validation) == (half.setting, half.validation)


def test_probe_of_one_class_or_nan_is_refused():
    train, labels = blobs()
    with pytest.raises(DataError, match="two classes"):
        linear_probe(train, labels * 0, labels, train)
    train[3] = np.nan
    with pytest.raises(DataError, match="not finite"):
        linear_probe(train, labels, labels, train)


def test_neighbours_equal_scikit_learn():
    from sklearn.neighbors import KNeighborsClassifier

    (train, labels), (test, _) = blobs(0, spread=1.0, clips=150), blobs(1, spread=1.0)
    mean = train.mean(axis=0)
    ours = nearest_neighbours(train, labels, test)
    assert sorted(ours) == [1, 5, 10, 20]
    for k, predicted in ours.items():
        reference = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(train - mean, labels)
        assert (predicted == reference.predict(test - mean)).all(), k


def test_neighbours_leave_out_k_beyond_the_bank():
    train, labels = blobs(clips=8)
    assert sorted(nearest_neighbours(train, labels, train)) == [1, 5]
    with pytest.raises(ConfigError, match="only 8 clips"):
        nearest_neighbours(train, labels, train, (20,))


def test_confusion_counts():
    matrix = confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_retrieval_equals_the_loop():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(30, 5)), rng.normal(size=(30, 5))
    b = 0.6 * a + b
    a, b = a / np.linalg.norm(a, axis=1)[:, None], b / np.linalg.norm(b, axis=1)[:, None]
    ranks = []
    for i in range(30):
        scores = [float(a[i] @ b[j]) for j in range(30)]
        ranks.append(1 + sum(s > scores[i] for s in scores))
    found = retrieval(a, b)
    assert found["R@5"] == pytest.approx(np.mean([r <= 5 for r in ranks]))
    assert found["median_rank"] == np.median(ranks)
    assert retrieval(a, a)["R@1"] == 1.0
    with pytest.raises(DataError):
        retrieval(a, b[:5])


def test_retrieval_of_equal_texts_is_not_flattered():
    """When every gallery entry is the same, a query cannot know its own: the rank is in the middle."""
    same = np.ones((11, 3)) / np.sqrt(3)
    found = retrieval(same, same)
    assert found["median_rank"] == 6.0 and found["R@1"] == 0.0


def test_zero_shot_takes_the_nearest_class():
    classes = np.eye(3)
    assert zero_shot(np.array([[0.1, 0.9, 0], [0.9, 0, 0.2]]), classes).tolist() == [1, 0]
