"""The probe of texts sees what is in the features and nothing else, on performers that it has not seen."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from c2vl_lab.errors import DataError
from c2vl_lab.evaluate import text_probe
from c2vl_lab.evaluate.probes import linear_probe
from c2vl_lab.evaluate.text_probe import what_texts_tell

CLASSES, PERFORMERS, CAMERAS = 4, 6, 2


def store_of(table: pd.DataFrame):
    """What the probe reads of a store."""

    class Store(SimpleNamespace):
        def __len__(self) -> int:
            return len(self.clips)

    return Store(clips=table, classes=[f"action {k}" for k in range(int(table["label"].max()) + 1)])


def clips(classes: int = CLASSES, performers: int = PERFORMERS, cameras: int = CAMERAS, repeats: int = 3):
    grid = np.stack(np.meshgrid(range(classes), range(performers), range(cameras), range(repeats)), -1).reshape(-1, 4)
    return pd.DataFrame(grid, columns=["label", "subject", "camera", "trial"]).assign(subject=lambda t: t.subject + 10)


def features_of(table: pd.DataFrame, *columns: str) -> np.ndarray:
    """Features that tell the named columns, and noise."""
    rng = np.random.default_rng(0)
    parts = [np.eye(20)[table[column]][:, :16] for column in columns] + [rng.normal(size=(len(table), 8))]
    return np.concatenate(parts, axis=1) + rng.normal(scale=0.1, size=(len(table), 16 * len(columns) + 8))


def told(*columns: str) -> pd.DataFrame:
    table = clips()
    return what_texts_tell(features_of(table, *columns), store_of(table), np.arange(len(table))).set_index("what")


def test_what_is_in_the_features_is_told_and_what_is_not_stays_at_chance():
    found = told("label")
    assert list(found.reset_index().columns) == ["what", "accuracy", "spread", "chance", "folds"]
    assert found.loc["class", "accuracy"] > 0.95
    assert found.loc["performer", "accuracy"] < 1 / PERFORMERS + 0.12
    assert abs(found.loc["camera", "accuracy"] - 0.5) < 0.2
    assert found["chance"].to_dict() == pytest.approx({"class": 0.25, "performer": 1 / 6, "camera": 0.5})
    assert told("subject").loc["performer", "accuracy"] > 0.95
    assert told("camera").loc["camera", "accuracy"] > 0.95


def test_what_only_a_known_performer_would_tell_is_not_told():
    """Every performer says each class in an own way: a split that shares performers would score high."""
    table = clips(performers=5, repeats=6)
    own = pd.DataFrame({"label": table["label"], "way": 3 * (table["subject"] - 10) + table["label"]})
    features = np.eye(64)[own["way"]] + np.random.default_rng(0).normal(scale=0.01, size=(len(table), 64))
    shuffled = np.random.default_rng(1).permutation(5 * 4).reshape(5, 4)  # a code for each performer and class
    features[:, :20] += 3 * np.eye(20)[shuffled[table["subject"] - 10, table["label"]]]
    found = what_texts_tell(features, store_of(table), np.arange(len(table))).set_index("what")
    assert found.loc["class", "accuracy"] < 0.6


@pytest.fixture
def probes(monkeypatch):
    """The folds that the probe is asked for, as (trained on, tested on) features; it answers at random."""
    seen = []

    def spy(train, labels, groups, test, seed=0, folds=3):
        seen.append((train[:, 0].astype(int), test[:, 0].astype(int)))
        return SimpleNamespace(predicted=np.full(len(test), labels[0]))

    monkeypatch.setattr(text_probe, "linear_probe", spy)
    return seen


def test_folds_share_no_performer_and_no_clip_outside_rows_is_seen(probes):
    table = clips(performers=7)
    rows = np.flatnonzero(table["subject"] != 12)
    numbered = np.arange(len(table), dtype=float)[:, None]
    found = what_texts_tell(numbered, store_of(table), rows).set_index("what")
    assert len(probes) == 5 + 4 + 5  # class by performers, performer by the four classes, camera by performers
    for number, (fit, held) in enumerate(probes):
        column = "label" if 5 <= number < 9 else "subject"
        assert not set(table[column].iloc[fit]) & set(table[column].iloc[held])
        assert set(fit) | set(held) == set(rows)
    assert sorted(np.concatenate([held for _, held in probes[:5]])) == list(rows)
    assert found.loc["class", "folds"] == "5 folds, whole performers held out"
    assert found.loc["performer", "folds"] == "4 folds, whole classes held out"


def test_one_performer_is_held_out_by_camera_and_one_of_all_by_clip(probes):
    table = clips(performers=1, cameras=3)
    found = what_texts_tell(np.zeros((len(table), 1)), store_of(table), np.arange(len(table)))
    assert found[["what", "folds"]].values.tolist() == [
        ["class", "3 folds, whole cameras held out"],
        ["camera", "4 folds, whole classes held out"],
    ]
    table = clips(performers=1, cameras=1)
    found = what_texts_tell(np.zeros((len(table), 1)), store_of(table), np.arange(len(table)))
    assert found[["what", "folds"]].values.tolist() == [["class", "5 folds, single clips held out"]]


@pytest.mark.parametrize("performers", [2, 3, 4])
def test_a_camera_of_each_performer_is_told_in_unseen_classes(performers):
    """Whoever is held out takes the camera along, so that holding performers out would tell nothing or fail."""
    table = clips(performers=performers, cameras=1, repeats=12).assign(camera=lambda t: t.subject)
    features = features_of(table.assign(subject=table.subject - 10), "label", "subject")
    found = what_texts_tell(features, store_of(table), np.arange(len(table))).set_index("what")
    assert found.loc["camera", "folds"] == "4 folds, whole classes held out"
    assert found.loc["class", "folds"] == f"{performers} folds, whole performers held out"
    assert found.loc["camera", "accuracy"] > 0.9


@pytest.mark.parametrize(("performers", "repeats"), [(2, 1), (2, 2), (3, 1), (1, 2)])
def test_a_handful_of_clips_is_told_of_too(performers, repeats):
    table = clips(performers=performers, cameras=1, repeats=repeats)
    found = what_texts_tell(features_of(table, "label"), store_of(table), np.arange(len(table))).set_index("what")
    assert 0 <= found.loc["class", "accuracy"] <= 1 and found.attrs["by_class"]["clips"].sum() == len(table)


def test_a_camera_that_only_one_performer_has_is_told_where_it_can_be():
    table = clips().assign(camera=lambda t: (t.subject > 10).astype(int))
    found = what_texts_tell(features_of(table, "camera"), store_of(table), np.arange(len(table))).set_index("what")
    assert found.loc["camera", "folds"] == "4 folds, whole classes held out"
    assert found.loc["camera", "accuracy"] > 0.95


def test_the_probe_chooses_its_strength_on_whole_performers_too(monkeypatch):
    table, given = clips(), []
    real = text_probe.linear_probe
    monkeypatch.setattr(text_probe, "linear_probe", lambda *a, **k: given.append(len(set(a[2]))) or real(*a, **k))
    what_texts_tell(features_of(table, "label"), store_of(table), np.arange(len(table)))
    assert sorted(given[:5]) == [4, 5, 5, 5, 5], "performers left to fit, not clips"


def test_a_fold_with_one_class_left_has_no_say_in_the_strength():
    """Without the third group nothing but class 1 is left, so that this fold cannot be fitted."""
    groups = np.repeat([0, 1, 2], 6)
    labels = np.where(groups == 2, np.arange(18) % 2, 1)
    features = np.stack([labels + 0.01 * np.arange(18), np.ones(18)], axis=1)
    assert set(linear_probe(features, labels, groups, features).predicted) <= {0, 1}


def test_classes_come_best_first_with_what_they_are_taken_for():
    """Actions 2 and 3 look alike; the others are told."""
    table = clips()
    alike = table.assign(label=table["label"].clip(upper=2))
    by_class = what_texts_tell(features_of(alike, "label"), store_of(table), np.arange(len(table))).attrs["by_class"]
    assert list(by_class.columns) == ["class", "accuracy", "clips", "most confused with"]
    assert by_class["class"].tolist()[:2] == ["action 0", "action 1"]
    assert by_class["accuracy"].tolist()[:2] == [1.0, 1.0]
    assert set(by_class["clips"]) == {PERFORMERS * CAMERAS * 3}
    worst = by_class.set_index("class").loc["action 3"]
    assert worst["accuracy"] < 0.8
    assert worst["most confused with"] == "action 2"
    assert by_class["accuracy"].is_monotonic_decreasing


def test_it_is_the_same_every_time():
    first, second = told("label"), told("label")
    pd.testing.assert_frame_equal(first, second)


def test_what_cannot_be_told_is_refused_in_words():
    table = clips()
    store = store_of(table)
    with pytest.raises(DataError, match="3 for 144 clips"):
        what_texts_tell(np.zeros((3, 2)), store, [0, 1])
    with pytest.raises(DataError, match="not finite"):
        what_texts_tell(np.full((len(table), 2), np.nan), store, [0, 1])
    one = clips(1, 1, 1)
    with pytest.raises(DataError, match="nothing to tell"):
        what_texts_tell(np.zeros((len(one), 2)), store_of(one), np.arange(len(one)))
