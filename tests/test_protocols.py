"""Protocol splits: rules, published counts, validation splits, and refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from c2vl_lab.data.datasets import store_from_arrays
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.protocols import NTU_SUBJECTS, RULES, make_split, protocols_of
from c2vl_lab.errors import ConfigError, DataError


@pytest.fixture
def make(tmp_path):
    """Build a store of one-frame clips from subject, camera and setup columns."""

    def build(dataset: str, **columns: list[int]):
        count = len(next(iter(columns.values())))
        table = pd.DataFrame({"name": [f"clip{i}" for i in range(count)], "label": 0, **columns})
        arrays = [np.ones((1, 25, 3))] * count
        return store_from_arrays(tmp_path / dataset, arrays, table, NTU25, ["one"], dataset)

    return build


def test_own_recordings_split_by_odd_subjects_and_by_camera_1(make):
    store = make("mine", subject=[1, 2, 3, 4], camera=[1, 2, 3, 1])
    assert protocols_of(store) == ["xsub", "xview"]
    split = make_split(store, "xsub")
    assert list(split.train) == [0, 2] and list(split.test) == [1, 3] and "odd subjects train" in split.rule
    view = make_split(store, "xview")
    assert list(view.train) == [1, 2] and list(view.test) == [0, 3]


def test_ntu_rules(make):
    store = make("ntu60", subject=[1, 3, 38, 40], camera=[1, 2, 3, 1])
    assert list(make_split(store, "xsub").train) == [0, 2]
    assert list(make_split(store, "xview").test) == [0, 3]
    sets = make("ntu120", setup=[1, 2, 31, 32], subject=[103, 100, 1, 106])
    assert list(make_split(sets, "xset").train) == [1, 3]
    assert list(make_split(sets, "xsub").train) == [0, 1, 2]
    assert len(set(NTU_SUBJECTS)) == 53 and sum(RULES["ntu120"]["xsub"].counts) == 113_945


def test_validation_split_stays_inside_the_training_part(make):
    store = make("nw-ucla", camera=[1, 1, 2, 3, 3])
    outer = make_split(store, "xview")
    inner = make_split(store, "xview-val2")
    assert list(inner.train) == [0, 1] and list(inner.test) == [2]
    assert set(inner.train) | set(inner.test) == set(outer.train)
    assert "camera 2 held out" in inner.rule


def test_an_incomplete_set_says_so_and_a_complete_one_must_give_the_published_counts(make, monkeypatch):
    store = make("nw-ucla", camera=[1, 2, 3])
    assert "3 of 1484" in make_split(store, "xview").rule
    import dataclasses

    rule = dataclasses.replace(RULES["nw-ucla"]["xview"], total=3, counts=(1, 2))
    monkeypatch.setitem(RULES["nw-ucla"], "xview", rule)
    with pytest.raises(DataError, match=r"wanted the published 1 training and 2 test.*found 2 and 1"):
        make_split(store, "xview")


def test_more_clips_than_published_is_not_called_incomplete(make, monkeypatch):
    import dataclasses

    for dataset, protocol in (("ntu60", "xsub"), ("nw-ucla", "xview")):
        monkeypatch.setitem(RULES[dataset], protocol, dataclasses.replace(RULES[dataset][protocol], total=2))
    rule = make_split(make("ntu60", subject=[1, 2, 3]), "xsub").rule
    assert "3 clips, more than the published 2" in rule and "missing.txt" in rule and "incomplete" not in rule
    rule = make_split(make("nw-ucla", camera=[1, 2, 3]), "xview").rule
    assert "3 clips, more than the published 2)" in rule and "missing.txt" not in rule


def test_unknown_protocol_names_the_near_miss(make):
    store = make("mine", subject=[1, 2])
    with pytest.raises(ConfigError, match="Did you mean 'xsub'"):
        make_split(store, "xsubj")


def test_a_validation_part_that_does_not_exist_is_refused(make):
    store = make("mine", subject=[1, 2, 3])
    with pytest.raises(ConfigError, match="-val1 to -val2"):
        make_split(store, "xsub-val3")


def test_an_empty_part_is_refused(make):
    store = make("mine", subject=[1, 3])
    with pytest.raises(DataError, match="2 training and 0 test clips"):
        make_split(store, "xsub")
    with pytest.raises(DataError, match="0 training and 1 test"):
        make_split(make("other", subject=[1, 2]), "xsub-val1")
