"""Encoders trained on other sets, or on several: what enters, what never does, and what the results say of it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from c2vl_lab.bench.fingerprints import data_fingerprint
from c2vl_lab.config import replace
from c2vl_lab.data.datasets import store_from_arrays
from c2vl_lab.data.draws import balanced_order
from c2vl_lab.data.joined import Source, parse_sources
from c2vl_lab.data.layouts import COCO17, KINECT20, NTU25
from c2vl_lab.errors import ConfigError, DataError
from c2vl_lab.evaluate.run import evaluate
from c2vl_lab.experiment import load_learner, open_experiment, pretrain
from c2vl_lab.run_config import RunConfig
from c2vl_lab.teachers.feature_files import FeatureRows
from c2vl_lab.teachers.joined_features import join_features, levelled_to, place_means
from c2vl_lab.training.checkpoints import read_checkpoint

WORDS = ["The right hand rises above the head.", "The knees bend and the hips sink."]
CLASSES = ["raise a hand", "crouch"]
SIZES = {"kin": 16, "ntu": 24, "coco": 12}
LAYOUTS = {"kin": KINECT20, "ntu": NTU25, "coco": COCO17}


def pose(layout):
    """(V, 3) of a standing body: what is above lies above, left lies left."""
    heights = {"head": 1.7, "nose": 1.65, "eye": 1.7, "ear": 1.7, "neck": 1.55, "hip": 0.95, "knee": 0.5, "ankle": 0.1}
    heights |= {"foot": 0.0, "shoulder": 1.4, "elbow": 1.1, "mid": 1.2, "base": 1.0}
    rows = []
    for joint in layout.joints:
        side = -0.2 if joint.startswith("left") else 0.2 if joint.startswith("right") else 0.0
        rows.append([side, heights.get(joint.split("_")[-1], 0.85), 3.0])
    return np.array(rows)


def add_set(folder, name, change=None, names=None, dataset=""):
    """A small set: odd subjects train; "ntu" has a second body in some clips. Returns its store's folder."""
    rng, layout, count = np.random.default_rng(len(name)), LAYOUTS[name], SIZES[name]
    rows = range(count)
    table = pd.DataFrame({"name": names or [f"{name}{i:02d}" for i in rows], "label": [i // 2 % 2 for i in rows]})
    table["subject"] = [i % 2 + 2 * (i // 8) for i in rows]
    arrays = []
    for clip in rows:
        xyz = np.repeat(pose(layout)[None], 20, axis=0) + rng.normal(0, 0.02, (1, len(layout), 3))
        rise = np.sin(np.linspace(0, np.pi, 20))[:, None]
        moved = [j.startswith("right_wrist") or j == "right_elbow" for j in layout.joints]
        xyz[:, :, 1] += rise * (-0.4 * (pose(layout)[:, 1] > 0.6) if clip // 2 % 2 else 0.8 * np.array(moved))
        xyz = np.stack([xyz, xyz + 1], axis=1) if name == "ntu" and clip % 3 == 0 else xyz[:, None]
        arrays.append(xyz.astype(np.float32))
    if change:
        change(table, arrays)
    store_from_arrays(folder / name, arrays, table, layout, CLASSES, dataset or name)
    return str(folder / name)


def sentences(name):
    return {f"{name}{i:02d}": [WORDS[i // 2 % 2], f"The {name} sensor saw clip {i}."] for i in range(SIZES[name])}


def settings(folder, texts=None):
    """A tiny run on "kin", with sentences for all sets in one file."""
    texts = texts or {k: v for name in SIZES for k, v in sentences(name).items()}
    (folder / "prompts.json").write_text(json.dumps(texts))
    shared = {"captions": str(folder / "prompts.json"), "work_dir": str(folder / "work"), "device": "cpu"}
    return RunConfig(
        dataset=str(folder / "kin"), **shared, epochs=2, batch_size=8, width=16, frames=8, effective_targets=2.0
    )


def sets_of(folder, *names):
    return "+".join(f"{folder / name}:xsub" for name in names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("sets")
    for name in SIZES:
        add_set(made, name)
    return made


@pytest.fixture(scope="module")
def base(folder):
    return settings(folder)


def weights(config, run_dir, progress=None):
    pretrain(open_experiment(config), run_dir, progress)
    return read_checkpoint(run_dir)


def same(one, two):
    return one.keys() == two.keys() and all((one[name] == two[name]).all() for name in one)


def test_the_list_of_sets():
    text = "nw-ucla:xview+a+b/C:\\store:xsub-val2"
    assert parse_sources(text) == (Source("nw-ucla", "xview"), Source("a+b/C:\\store", "xsub-val2"))
    assert parse_sources("") == ()
    for wrong in ("nw-ucla", "nw-ucla:xview+", "nw-ucla:xview+utd-mhad", "+nw-ucla:"):
        with pytest.raises(ConfigError, match="wanted sets with their protocols, joined by"):
            RunConfig(pretrain_on=wrong)
    with pytest.raises(ConfigError, match="names utd 2 times"):
        parse_sources("utd:xsub+utd:xview")
    with pytest.raises(ConfigError, match="arm 'coordinates' is not trained"):
        RunConfig(pretrain_on="nw-ucla:xview", arm="coordinates")


def test_the_joined_set_holds_the_training_clips_of_all_in_shared_joints(folder, base):
    experiment = open_experiment(replace(base, pretrain_on=sets_of(folder, "kin", "ntu", "coco")))
    data = experiment.training_set()
    assert data.layout == experiment.layout and len(data.layout) == 16
    assert len(set(data.names)) == len(data.names) == len(data.clips) == len(data.concepts["language"]) == 26
    for name, own in zip(("kin", "ntu", "coco"), experiment.sources, strict=True):
        train = [n.removeprefix(f"{name}/") for n in data.names if n.startswith(f"{name}/")]
        assert train == [own.store.names[i] for i in np.flatnonzero(own.store.clips.subject % 2 == 1)]
    assert data.sets.tolist() == [0] * 8 + [1] * 12 + [2] * 6
    clips = data.clips[:]
    assert clips.shape == (26, 64, 2, 16, 3) == data.clips.shape and not clips[data.sets != 1, :, 1].any()
    ntu = experiment.sources[1]
    wrist = clips[data.sets == 1, :, :, data.layout.index("right_wrist")]
    np.testing.assert_array_equal(wrist, ntu.clips[ntu.split.train][:, :, :, NTU25.index("right_wrist")])
    assert (np.stack(list(data.clips)) == clips).all()
    assert clips[8:20, :, 1].any() and (data.clips[np.array([25, 8, 0])] == clips[[25, 8, 0]]).all()


def test_test_clips_of_no_set_reach_training(folder, base, tmp_path):
    """Coordinates, labels and sentences of all sets' test clips are changed; what is trained on stays the same."""

    def poison(table, arrays):
        for i in np.flatnonzero(table.subject % 2 == 0):
            arrays[i] = arrays[i][::-1] + np.float32(0.5) * (1 + i)
            table.loc[i, "label"] = 1 - table.label[i]

    for name in SIZES:
        add_set(tmp_path, name, poison)
    test = {f"{name}{i:02d}" for name in SIZES for i in range(0, SIZES[name], 2)}
    texts = {n: ["POISON", "POISON"] if n in test else t for s in SIZES for n, t in sentences(s).items()}
    every = {where: sets_of(where, *SIZES) for where in (folder, tmp_path)}
    for arm in ("full", "supervised"):
        clean = open_experiment(replace(base, arm=arm, pretrain_on=every[folder])).training_set()
        config = replace(settings(tmp_path, texts), arm=arm, pretrain_on=every[tmp_path])
        found = open_experiment(config).training_set()
        np.testing.assert_array_equal(found.clips[:], clean.clips[:])
        assert found.names == clean.names and found.taus == clean.taus
        assert all((found.concepts[m] == clean.concepts[m]).all() for m in clean.concepts)
        if arm == "supervised":
            assert found.classes == 6 and set(found.labels) == set(range(6)) and (found.labels == clean.labels).all()
        else:
            assert found.labels is None


def test_the_set_itself_as_its_only_source_trains_the_same_weights(folder, base, tmp_path):
    plain, _ = weights(base, tmp_path / "plain")
    named, card = weights(replace(base, pretrain_on=sets_of(folder, "kin")), tmp_path / "named")
    assert same(plain, named) and list(card["sets"]) == ["kin:xsub"]


@pytest.mark.parametrize("balance", [False, True])
def test_a_cut_run_on_several_sets_ends_with_the_same_weights(folder, base, tmp_path, balance):
    config = replace(base, pretrain_on=sets_of(folder, "kin", "ntu"), balance_sets=balance, checkpoint_every=1)
    whole, _ = weights(config, tmp_path / "whole")

    def cut(line):
        if line.startswith("epoch 1/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weights(config, tmp_path / "cut", cut)
    assert read_checkpoint(tmp_path / "cut")[1]["epoch"] == 1
    assert same(weights(config, tmp_path / "cut")[0], whole)


def test_one_encoder_is_measured_on_its_sets_and_on_another(folder, base, tmp_path):
    """The three sets have three layouts; the third is never trained on, and each result names what was."""
    joint = replace(base, pretrain_on=sets_of(folder, "kin", "ntu"))
    for name in ("kin", "ntu"):
        experiment = open_experiment(replace(joint, dataset=str(folder / name)))
        pretrain(experiment, tmp_path / "joint")
        result = evaluate(experiment, tmp_path / "joint")
        assert result["dataset"] == name and list(result["pretrained_on"]) == ["kin:xsub", "ntu:xsub"]
        assert result["metrics"]["linear"] > 0.7 and "zero_shot" in result["metrics"]
        assert "The encoder was trained on kin:xsub + ntu:xsub." in result["notes"]
    other = open_experiment(replace(joint, dataset=str(folder / "coco"), arm="supervised"))
    assert other.clips.shape[3] == len(other.layout) == 16
    pretrain(other, tmp_path / "other")
    result = evaluate(other, tmp_path / "other")
    assert result["split"]["test"] == 6 and "own_head" not in result["metrics"]
    assert "never on coco: frozen, only the probes saw its training part" in result["notes"][0]
    assert "trained on" in other.describe().index


def test_test_clips_of_the_measured_set_are_refused_among_what_is_trained_on(folder, base, tmp_path):
    train_val = replace(base, protocol="xsub-val1", pretrain_on=sets_of(folder, "kin"))
    with pytest.raises(DataError, match=r"4 training clips of kin, xsub are test clips of kin, xsub-val1 \(first: "):
        open_experiment(train_val)
    assert open_experiment(replace(train_val, protocol="xsub", pretrain_on=f"{folder / 'kin'}:xsub-val1")).sources
    # the same recordings under another name, with other clip names and parts
    change = lambda table, arrays: table.update({"subject": 1 - table.subject % 2})  # noqa: E731
    copy = add_set(tmp_path, "kin", change, [f"copy{i}" for i in range(16)], "mine")
    with pytest.raises(DataError, match="8 training clips of mine, xsub are test clips of kin, xsub"):
        open_experiment(replace(base, pretrain_on=f"{copy}:xsub"))


def test_sets_and_clips_that_cannot_be_told_apart_are_refused(folder, base, tmp_path):
    twin = add_set(tmp_path, "ntu", dataset="kin")
    with pytest.raises(ConfigError, match="both named 'kin'"):
        open_experiment(replace(base, pretrain_on=f"{sets_of(folder, 'kin')}+{twin}:xsub"))
    clash = add_set(tmp_path, "coco", names=[f"kin{i:02d}" for i in range(12)])
    config = replace(base, pretrain_on=f"{clash}:xsub")
    with pytest.raises(ConfigError, match="kin and coco both have a clip named 'kin00', so captions="):
        open_experiment(config)
    assert open_experiment(replace(config, arm="skeletonclr")).sources  # it asks no file


def test_class_texts_of_the_measured_set_are_refused_in_the_sources_sentences(folder, base, tmp_path):
    texts = {n: t for name in SIZES for n, t in sentences(name).items()}
    texts["ntu01"] = ["A quite special sentence.", "It moves."]
    config = settings(tmp_path, texts)
    (tmp_path / "classes.txt").write_text("raise a hand;A quite special sentence.\ncrouch;Both knees bend deeply.\n")
    told = replace(config, dataset=base.dataset, class_texts=str(tmp_path / "classes.txt"))
    with pytest.raises(DataError, match=r"clip 'ntu01', sentence 1: .* is a class-level text"):
        open_experiment(replace(told, pretrain_on=sets_of(folder, "ntu"))).training_set()


def test_a_checkpoint_and_a_suite_know_all_sets(folder, base, tmp_path):
    config = replace(base, pretrain_on=sets_of(folder, "kin", "ntu"))
    weights(config, tmp_path / "run")
    changed = add_set(tmp_path, "ntu", lambda table, arrays: arrays[1].__iadd__(np.float32(0.5)))
    other = replace(config, pretrain_on=f"{sets_of(folder, 'kin')}+{changed}:xsub")
    with pytest.raises(ConfigError, match=r"sets: ntu:xsub: \w+ -> \w+"):
        load_learner(open_experiment(other), tmp_path / "run")
    keys = {data_fingerprint({"dataset": c.dataset, "pretrain_on": c.pretrain_on}) for c in (base, config, other)}
    assert len(keys) == 3


def rows(features, key="k"):
    features = features.astype(np.float32)
    index = np.arange(features.shape[0] * features.shape[1]).reshape(features.shape[:2])
    return FeatureRows((features.reshape(-1, features.shape[2]),), index, key)


def test_levelling_takes_out_what_names_the_set_and_nothing_else():
    rng = np.random.default_rng(0)
    one, two = (rng.normal(size=(n, 3, 8)) * 0.2 + rng.normal(size=(1, 3, 8)) for n in (30, 50))
    two[4, 1] = np.nan
    joined, plain = (join_features([rows(one), rows(two)], level) for level in (True, False))
    assert joined.shape == plain.shape == (80, 3, 8) and joined.key != plain.key
    gap = [np.abs(np.nanmean(f[:30], axis=0) - np.nanmean(f[30:], axis=0)).max() for f in (joined, plain)]
    assert gap[0] < 0.02 < 0.3 < gap[1]
    unit = one / np.linalg.norm(one, axis=2, keepdims=True)
    np.testing.assert_allclose(np.diff(joined[:30], axis=0), np.diff(unit, axis=0), atol=1e-6)
    assert np.isnan(joined[34, 1]).all() and np.isfinite(joined[34, 0]).all()
    np.testing.assert_array_equal(joined[5, 1], joined[:][5, 1])
    np.testing.assert_array_equal(joined[np.array([40, 2]), :2], joined[:][[40, 2], :2])
    again = levelled_to(rows(one), rows(one), joined)  # a set among the sources lies where it was trained
    np.testing.assert_allclose(again[:], joined[:30], atol=1e-6)
    new = levelled_to(rows(two[:3] + 5), rows(two[:3] + 5), joined)
    np.testing.assert_allclose(new[:].mean(axis=0), joined.common, atol=1e-6)
    np.testing.assert_allclose(place_means(rows(one)), unit.mean(axis=0), atol=1e-6)
    with pytest.raises(DataError, match="as many features a clip in every set, found 2 of 8 dimensions and 3 of 8"):
        join_features([rows(one), rows(two[:, :2])], level=True)


def test_each_sets_texts_are_centred_on_their_own(folder, base):
    for each, low, high in ((True, 0.0, 0.2), (False, 0.3, 1.0)):
        config = replace(base, pretrain_on=sets_of(folder, "kin", "ntu"), center_each_set=each)
        data = open_experiment(config).training_set()
        found = data.concepts["language"]
        means = [np.linalg.norm(found[data.sets == number].mean(axis=0)) for number in (0, 1)]
        assert low <= min(means) and max(means) <= high, (each, means)


def test_balanced_batches_hold_every_set_alike():
    import torch

    sets = torch.tensor([0] * 40 + [1] * 10 + [2] * 16)
    order = balanced_order(3, 1, sets, 12)
    assert len(order) == 66 and (order == balanced_order(3, 1, sets, 12)).all()
    assert (order != balanced_order(3, 2, sets, 12)).any() and (order != balanced_order(4, 1, sets, 12)).any()
    for batch in order[:60].view(5, 12):
        assert torch.bincount(sets[batch]).tolist() == [4, 4, 4]
    for number, size in ((0, 22), (1, 10), (2, 16)):  # no clip again before all of its set were shown
        own = order[sets[order] == number][:size]
        assert len(own.unique()) == len(own)


@pytest.mark.parametrize(("sizes", "batch"), [((60, 7), 12), ((60, 9, 5), 13), ((50, 6), 12), ((90, 3, 8), 9)])
def test_no_clip_is_its_own_negative_in_a_balanced_batch(sizes, batch):
    """Every set has at least its share of a batch, and begins again in the middle of one."""
    import torch

    sets = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    for epoch in range(1, 30):
        order = balanced_order(0, epoch, sets, batch)
        for some in order.split(batch):
            assert len(some.unique()) == len(some)
        turns = -(-len(sets) // len(sizes))
        for number, size in enumerate(sizes):  # all of a set are shown before one is shown again
            own = order[sets[order] == number]
            assert len(own) in (turns, turns - 1)
            for shown in own[: len(own) // size * size].split(size):
                assert len(shown.unique()) == len(shown)


def test_a_set_smaller_than_its_share_of_a_batch_is_shown_again_as_late_as_can_be():
    import torch

    sets = torch.tensor([0] * 30 + [1] * 3)
    own = [clip for clip in balanced_order(0, 1, sets, 12).tolist() if clip >= 30]
    assert len(own) == 16 and all(len(set(own[i : i + 3])) == 3 for i in range(14))
