"""The concept space: cached features, fitted on training clips only, centred so that soft targets say something."""

import numpy as np
import pytest

from c2vl_lab.concepts import (
    CENTRINGS,
    ConceptConfig,
    ConceptSpace,
    choose_tau,
    effective_targets,
    image_features,
    target_warning,
    text_features,
)
from c2vl_lab.errors import ConfigError, DataError


class Counting:
    """A teacher that counts what it is asked; features follow from the content."""

    name, identity, stand_in, shared_space = "counting", "counting-1", True, False

    def __init__(self):
        self.texts, self.images = [], 0

    def encode_texts(self, texts):
        self.texts += texts
        return np.stack([np.random.default_rng(len(t) * 1000 + ord(t[0])).normal(size=6) for t in texts])

    def encode_images(self, images):
        self.images += len(images)
        return np.stack([image.reshape(-1, 3).mean(axis=0) for image in images])


class Folder:
    """Two pictures a clip, none for clip "c"."""

    kind, identity = "test", "test-1"

    def names(self):
        return {"a", "b", "d"}

    def pictures(self, name, count):
        return [np.full((2, 2, 3), ord(name) + index, np.uint8) for index in range(count)]


def cone(clips: int = 240, prompts: int = 4, classes: int = 8, seed: int = 0) -> np.ndarray:
    """Features as captions have them: a large common part, a small part of the class, some noise."""
    rng = np.random.default_rng(seed)
    common, parts = rng.normal(size=(1, prompts, 32)), rng.normal(size=(classes, prompts, 32))
    return (6 * common + parts[np.arange(clips) % classes] + 0.3 * rng.normal(size=(clips, prompts, 32))).astype("f4")


TRAIN = np.arange(0, 240, 2)


def test_each_distinct_sentence_is_encoded_once_then_cached(tmp_path):
    teacher, told = Counting(), []
    prompts = [["walks", "sits"], ["walks", "runs fast"], ["sits", "sits"]]
    features = text_features(prompts, teacher, tmp_path, told.append)
    assert features.shape == (3, 2, 6) and features.dtype == np.float32
    assert teacher.texts == ["sits", "walks", "runs fast"]  # by length, for little padding
    assert told == ["3/3 sentences"]
    np.testing.assert_array_equal(features[0, 0], features[1, 0])
    np.testing.assert_array_equal(features[0, 1], features[2, 1])
    again = text_features(prompts[::-1], teacher, tmp_path)
    assert len(teacher.texts) == 3
    np.testing.assert_array_equal(again[::-1], features)
    teacher.identity = "counting-2"
    text_features(prompts, teacher, tmp_path)
    assert len(teacher.texts) == 6


def test_unequal_prompt_counts_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"the same number of sentences .* found \[1, 2\]"):
        text_features([["a"], ["a", "b"]], Counting(), tmp_path)


def test_pictures_are_encoded_once_and_absent_ones_are_nan_and_reported(tmp_path):
    teacher, told = Counting(), []
    features = image_features(Folder(), ["d", "c", "a"], 2, teacher, tmp_path, told.append)
    assert features.shape == (3, 2, 3) and np.isnan(features[1]).all()
    assert features[0, 1].tolist() == [101.0] * 3 and features[2, 0].tolist() == [97.0] * 3
    assert told == ["1 of 3 clips have no pictures in test", "2/2 clips with pictures"]
    again = image_features(Folder(), ["a", "c", "d"], 2, teacher, tmp_path)
    assert teacher.images == 4
    np.testing.assert_array_equal(again[::-1], features)
    with pytest.raises(DataError, match="None of the 1 clips has pictures"):
        image_features(Folder(), ["c"], 2, teacher, tmp_path)


@pytest.mark.parametrize("pooling", ["mean", "ordered"])
@pytest.mark.parametrize("center", CENTRINGS)
def test_the_space_is_fitted_on_training_rows_only(pooling, center):
    features, config = cone(), ConceptConfig(pooling=pooling, center=center, components=16)
    poisoned = features.copy()
    poisoned[1::2] = 1e3 * np.random.default_rng(1).normal(size=poisoned[1::2].shape)
    clean = ConceptSpace.fit(features, TRAIN, config).transform(features)
    dirty = ConceptSpace.fit(poisoned, TRAIN, config).transform(poisoned)
    np.testing.assert_array_equal(clean[TRAIN], dirty[TRAIN])
    assert clean.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(clean, axis=1), 1, atol=1e-5)


def test_rows_without_pictures_stay_nan_and_are_left_out_of_the_fit():
    features = cone()
    holes = features.copy()
    holes[[0, 7, 10], 1] = np.nan
    space = ConceptSpace.fit(holes, TRAIN)
    concepts = space.transform(holes)
    assert np.flatnonzero(np.isnan(concepts).any(axis=1)).tolist() == [0, 7, 10]
    kept = np.setdiff1d(TRAIN, [0, 10])
    np.testing.assert_array_equal(concepts[kept], ConceptSpace.fit(features, kept).transform(features)[kept])
    assert np.isfinite(effective_targets(concepts, 0.1, 64)) and np.isfinite(choose_tau(concepts, 3.0, 64))
    with pytest.raises(DataError, match="at least 2 training clips with features, found 0"):
        ConceptSpace.fit(np.full((5, 2, 3), np.nan), np.arange(5))


def test_mean_pooling_is_what_method_md_says():
    features = cone()
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)  # noqa: E731
    pooled = unit(unit(features.astype(float)).mean(axis=1))
    wanted = unit(pooled - pooled[TRAIN].mean(axis=0))
    got = ConceptSpace.fit(features, TRAIN, ConceptConfig(pooling="mean", center="clip")).transform(features)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_centred_places_by_hand():
    """What all clips say at a place goes; what is left has unit length, but grows fivefold at most."""
    features = cone()
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)  # noqa: E731
    each = unit(features.astype(float))
    left = each - each[TRAIN].mean(axis=0)
    left = left / np.maximum(np.linalg.norm(left, axis=-1, keepdims=True), 0.2)
    pooled = unit(left.mean(axis=1))
    wanted = unit(pooled - pooled[TRAIN].mean(axis=0))
    got = ConceptSpace.fit(features, TRAIN, ConceptConfig(pooling="mean", center="places")).transform(features)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_class_prompts_are_centred_on_their_own_mean_where_places_are():
    features = cone()
    space = ConceptSpace.fit(features, TRAIN, ConceptConfig(pooling="mean", center="places"))
    rng = np.random.default_rng(5)
    common = 3.0 * rng.normal(size=features.shape[2])  # all class prompts begin alike
    own = rng.normal(size=(6, 1, features.shape[2]))
    concepts = space.transform(common + own, ordered=False)
    cosines = concepts @ concepts.T
    assert cosines[~np.eye(6, dtype=bool)].max() < 0.6


def test_ordered_pooling_tells_the_order_and_the_mean_does_not():
    features = cone()
    turned = features[:, ::-1]
    for pooling, same in (("mean", True), ("ordered", False)):
        space = ConceptSpace.fit(features, TRAIN, ConceptConfig(pooling=pooling, center="clip"))
        assert np.allclose(space.transform(features), space.transform(turned), atol=1e-5) == same


def test_the_pca_keeps_geometry_with_all_components_and_repeats_itself():
    features = cone(clips=80)
    for center in ("clip", "none"):  # 128 numbers a clip, fewer rows; and the other way round
        for rows in (np.arange(40), np.arange(80)):
            config = ConceptConfig(pooling="ordered", components=10_000, center=center)
            first = ConceptSpace.fit(features[:, :2], rows, config)
            assert first.explained == pytest.approx(1.0)
            np.testing.assert_array_equal(
                first.transform(features[:, :2]),
                ConceptSpace.fit(features[:, :2], rows, config).transform(features[:, :2]),
            )
    unit = features / np.linalg.norm(features, axis=2, keepdims=True)
    flat = unit[:, :2].reshape(80, -1)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    plain = ConceptSpace.fit(
        features[:, :2], np.arange(80), ConceptConfig(pooling="ordered", components=10_000, center="none")
    )
    concepts = plain.transform(features[:, :2])
    np.testing.assert_allclose(concepts @ concepts.T, flat @ flat.T, atol=1e-5)


def test_large_sets_fit_on_evenly_spread_rows(monkeypatch):
    features, config = cone(), ConceptConfig(pooling="ordered", components=8, center="clip")
    monkeypatch.setattr("c2vl_lab.concepts.PCA_ROWS", 60)
    space = ConceptSpace.fit(features, TRAIN, config)
    inside = np.linspace(0, 119, 60).round().astype(int)
    poisoned = features.copy()
    poisoned[np.setdiff1d(TRAIN, TRAIN[inside])] *= -1
    np.testing.assert_array_equal(ConceptSpace.fit(poisoned, TRAIN, config)._axes, space._axes)
    poisoned[TRAIN[inside[5]]] *= -1
    assert not np.array_equal(ConceptSpace.fit(poisoned, TRAIN, config)._axes, space._axes)


@pytest.mark.parametrize("pooling", ["mean", "ordered"])
def test_blocks_of_clips_give_the_space_of_the_whole(monkeypatch, pooling):
    features = cone()
    features[[0, 7, 10], 1] = np.nan
    config = ConceptConfig(pooling=pooling, components=8)
    whole = ConceptSpace.fit(features, TRAIN, config).transform(features)
    monkeypatch.setattr("c2vl_lab.concepts.BLOCK", 7 * 4 * 32)
    np.testing.assert_allclose(ConceptSpace.fit(features, TRAIN, config).transform(features), whole, atol=1e-6)


def test_large_features_are_worked_on_in_parts(monkeypatch):
    """NTU RGB+D 120 with 16 features of 768 numbers has 5.6 GB; never more than a block of it is asked for."""
    asked = []

    class OnDisk:
        shape, features = (240, 4, 32), cone()

        def __len__(self):
            return 240

        def __getitem__(self, rows):
            asked.append(len(rows))
            return self.features[rows]

    monkeypatch.setattr("c2vl_lab.concepts.BLOCK", 10 * 4 * 32)
    config = ConceptConfig(pooling="mean")
    ConceptSpace.fit(OnDisk(), TRAIN, config).transform(OnDisk())
    assert max(asked) == 10


def test_class_prompts_of_another_count_stand_at_every_position():
    features = cone()
    space = ConceptSpace.fit(features, TRAIN, ConceptConfig(pooling="ordered", center="clip"))
    prompts = features[:8, :3]
    got = space.transform(prompts)
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)  # noqa: E731
    wanted = space.transform(np.repeat(unit(unit(prompts).mean(axis=1, keepdims=True)), 4, axis=1))
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    shuffled = space.transform(features[:8, ::-1], ordered=False)
    np.testing.assert_allclose(space.transform(features[:8], ordered=False), shuffled, atol=1e-5)
    with pytest.raises(DataError, match="Wanted features of 32 dimensions, found 31"):
        space.transform(features[:, :, :31])


def test_centring_makes_soft_targets_informative():
    features = cone()
    counts = {}
    for center in ("clip", "none"):
        config = ConceptConfig(pooling="mean", center=center)
        concepts = ConceptSpace.fit(features, TRAIN, config).transform(features)[TRAIN]
        counts[center] = effective_targets(concepts, 0.07, 64)
    assert counts["none"] > 50 and counts["clip"] < 25
    assert "nearly uniform" in target_warning(counts["none"], 64)
    assert target_warning(counts["clip"], 64) == ""
    assert "one-hot" in target_warning(1.01, 64)


def test_effective_targets_know_their_two_ends():
    features = np.eye(32, dtype=np.float32)
    assert effective_targets(features, 0.01, 32) == pytest.approx(1.0, abs=1e-3)
    assert effective_targets(features, 1e4, 32) == pytest.approx(32.0, rel=1e-3)
    assert effective_targets(features, 1e4, 16) == pytest.approx(16.0, rel=1e-3)


@pytest.mark.parametrize("wanted", [1.5, 3.0, 20.0])
def test_choose_tau_meets_its_target(wanted):
    # every clip has its own direction: identical clips would share a target at any temperature
    features = np.random.default_rng(2).normal(size=(200, 24)) + 2 * np.repeat(
        np.random.default_rng(3).normal(size=(20, 24)), 10, axis=0
    )
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    tau = choose_tau(features, wanted, 64)
    assert effective_targets(features, tau, 64) == pytest.approx(wanted, rel=1e-3)


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match=r"no pooling named 'max'\. Known: mean, ordered, attention, subset"):
        ConceptConfig(pooling="max")
    with pytest.raises(ConfigError, match="subset: 5 of 4 features a clip"):
        ConceptSpace.fit(cone(), TRAIN, ConceptConfig(pooling="subset", subset=5))
    with pytest.raises(ConfigError, match="components: wanted at least 1"):
        ConceptConfig(pooling="ordered", components=0)
    with pytest.raises(ConfigError, match="more than 1 and less than the batch of 64"):
        choose_tau(np.eye(100), 64.0, 64)
