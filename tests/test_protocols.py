"""Protocol splits: rules, published counts, validation splits, and refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pku_files import split_text, two_bodies, walking_body, write_video

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.datasets import open_dataset, store_from_arrays
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.protocols import NTU_SUBJECTS, RULES, make_split, protocols_of
from c2vl_lab.data.writing import write_store
from c2vl_lab.errors import ConfigError, DataError, MissingError


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
    # the published cross-subject list of NTU RGB+D 120 (Liu et al., TPAMI 2020, 53 of 106 subjects), written out anew
    published = """1 2 4 5 8 9 13 14 15 16 17 18 19 25 27 28 31 34 35 38 45 46 47 49 50 52 53 54 55 56 57 58 59 70 74 78
        80 81 82 83 84 85 86 89 91 92 93 94 95 97 98 100 103"""
    assert list(NTU_SUBJECTS) == list(map(int, published.split())) and len(NTU_SUBJECTS) == 53
    assert RULES["ntu120"]["xsub"].train == NTU_SUBJECTS and RULES["ntu60"]["xsub"].train == NTU_SUBJECTS[:20]
    assert sum(RULES["ntu120"]["xsub"].counts) == 113_945


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


# ----------------------------------------------------------------------------------------------- published lists


@pytest.fixture
def listed(tmp_path):
    """Build a store of one-frame clips from (splits, subject, camera, setup, source) each."""

    def build(dataset: str, rows: list[dict]):
        clips = [
            Clip(
                name=f"clip{i}",
                xyz=np.ones((1, 1, 25, 3), np.float32),
                present=np.ones((1, 1), bool),
                frames=np.zeros(1, np.int32),
                label=0,
                **row,
            )
            for i, row in enumerate(rows)
        ]
        return write_store(tmp_path / dataset, clips, dataset=dataset, layout=NTU25, classes=["one"])

    return build


def in_part(part: str, **columns) -> dict:
    return {"splits": {"xsub": part} if part else {}, **columns}


def test_a_list_goes_before_the_rule_and_may_leave_clips_out(listed):
    store = listed("mine", [in_part("test", subject=1), in_part("train", subject=2), in_part("", subject=3)])
    split = make_split(store, "xsub")
    assert list(split.train) == [1] and list(split.test) == [0]
    assert "published list" in split.rule and "1 of 3 clips in neither part" in split.rule
    assert protocols_of(store) == ["xsub", "xview"]


def test_a_protocol_that_only_a_list_has_is_found(listed):
    store = listed("mine", [{"splits": {"fold1": part}} for part in ("train", "test", "train")])
    assert protocols_of(store) == ["xsub", "xview", "fold1"]
    assert list(make_split(store, "fold1").train) == [0, 2]
    assert list(make_split(store, "fold1-val2").test) == [2]  # two recordings are two groups at most
    with pytest.raises(ConfigError, match="Did you mean 'fold1'"):
        make_split(store, "fold")


def test_published_counts_hold_for_lists_too(listed, monkeypatch):
    import dataclasses

    rule = dataclasses.replace(RULES["nw-ucla"]["xview"], total=2, counts=(2, 0))
    monkeypatch.setitem(RULES["nw-ucla"], "xview", rule)
    store = listed("nw-ucla", [{"splits": {"xview": part}, "camera": 1} for part in ("train", "test")])
    with pytest.raises(DataError, match="wanted the published 2 training and 0 test clips, found 1 and 1"):
        make_split(store, "xview")


def test_a_missing_list_is_named(listed):
    for dataset, protocol, file in (("pku1", "xsub", "cross-subject.txt"), ("pku2", "xview-val1", "cross_view_v2.txt")):
        store = listed(dataset, [{"subject": 1}, {"subject": 2}])
        assert protocols_of(store) == ["xsub", "xview"]
        with pytest.raises(MissingError, match=f"{dataset}, {protocol[:4]}.*wanted the published {file}"):
            make_split(store, protocol)


def test_a_rule_about_a_column_that_is_not_known(listed):
    store = listed("mine", [{"subject": 1}, {"subject": 2}])
    assert list(make_split(store, "xsub").train) == [0]
    with pytest.raises(DataError, match="cameras are unknown in this store"):
        make_split(store, "xview")


def test_validation_of_a_list_holds_out_a_subject_where_they_are_known(listed):
    store = listed("pku2", [in_part("train", subject=s) for s in (3, 3, 5)] + [in_part("test", subject=4)])
    split = make_split(store, "xsub-val1")
    assert list(split.test) == [0, 1] and list(split.train) == [2] and "subject 3 held out" in split.rule


def test_validation_without_known_subjects_holds_out_neighbouring_recordings(listed):
    """PKU-MMD I: no performers; a video's three views, and videos beside it, must not train and validate at once."""
    rows = [in_part("train", setup=video, camera=view) for video in range(2, 24, 2) for view in (1, 2, 3)]
    rows += [in_part("test", setup=video) for video in (3, 99)] + [in_part("", setup=5)]
    store = listed("pku1", rows)
    whole = set(make_split(store, "xsub").train)
    setups, seen = store.clips["setup"].to_numpy(), []
    for k in range(1, 6):
        split = make_split(store, f"xsub-val{k}")
        assert not set(setups[split.train]) & set(setups[split.test])
        assert set(split.train) | set(split.test) == whole and len(split.test) in (6, 9)
        held = np.unique(setups[split.test])
        assert list(np.diff(held)) == [2] * (len(held) - 1)  # neighbours
        seen += list(split.test)
    assert sorted(seen) == sorted(whole) and "group 5 of 5 of the recordings held out" in split.rule
    with pytest.raises(ConfigError, match="-val1 to -val5"):
        make_split(store, "xsub-val6")


def test_recordings_without_numbers_are_told_apart_by_their_files(listed):
    rows = [in_part("train", source=f"video{i}.txt, lines {j} to {j + 9}") for i in range(5) for j in (1, 11)]
    store = listed("pku1", [*rows, in_part("test")])
    assert list(make_split(store, "xsub-val2").test) == [2, 3]


def test_pku_clips_get_their_parts_from_the_files_beside_them(tmp_path):
    """From raw files to a protocol, the way a user goes."""
    body = two_bodies(walking_body(0, frames=40))
    for video in ("A01N01-L", "A01N02-R", "A01N03-M"):
        write_video(tmp_path / "raw", video, body, [(1, 1, 20), (51, 21, 40)])
    (tmp_path / "raw" / "cross_subject_v2.txt").write_text(split_text(["A01N01-L", "A01N03-M"], ["A01N02-R"]))
    store = open_dataset("pku2", tmp_path / "raw", tmp_path / "work", workers=1)
    split = make_split(store, "xsub")
    assert [store.names[i] for i in split.test] == ["A001N002V003C001L001", "A001N002V003C051L002"]
    assert "cross_subject_v2.txt" in split.rule
    assert store.class_ids[store.labels[-1]] == 51 and len(store.classes) == 41
    assert [store.names[i] for i in make_split(store, "xsub-val2").test] == [
        "A001N003V002C001L001",
        "A001N003V002C051L002",
    ]
    with pytest.raises(MissingError, match=r"cross_view_v2\.txt"):
        make_split(store, "xview")
    other = open_dataset("pku2", tmp_path / "raw", tmp_path / "work", workers=1, cut="start:end")
    assert other.path != store.path and list(other.lengths) == list(store.lengths - 1)
