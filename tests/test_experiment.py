"""A run from a user's own recordings to results, and what may never leak into training."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from c2vl_lab.artifacts import read_json
from c2vl_lab.concepts import ConceptConfig, ConceptSpace
from c2vl_lab.config import replace, to_dict
from c2vl_lab.data.datasets import store_from_arrays
from c2vl_lab.data.layouts import KINECT20
from c2vl_lab.data.transforms import PrepareConfig
from c2vl_lab.errors import ConfigError, DataError, MissingError, StorageError
from c2vl_lab.evaluate.run import class_points, evaluate, joint_space
from c2vl_lab.experiment import load_config, load_learner, open_experiment, pretrain
from c2vl_lab.prompts.asking.answers import AnswerStore
from c2vl_lab.prompts.store import load_prompts
from c2vl_lab.run_config import ARMS, RunConfig
from c2vl_lab.teachers.offline import OfflineTeacher
from c2vl_lab.training.checkpoints import FILE, read_checkpoint
from c2vl_lab.training.settings import FitConfig

CLIPS, CLASSES = 40, 2


def recordings(seed=0):
    """Two actions: an arm goes up, or the body goes down; noise around a standing pose."""
    rng = np.random.default_rng(seed)
    heights = {"head": 1.7, "spine_shoulder": 1.45, "spine_mid": 1.2, "spine_base": 1.0}
    pose = np.zeros((20, 3))
    for joint in KINECT20.joints:
        side = -0.2 if joint.startswith("left") else 0.2 if joint.startswith("right") else 0.0
        part = joint.split("_")[-1]
        low = {"shoulder": 1.4, "elbow": 1.15, "wrist": 0.9, "hand": 0.85, "hip": 0.95, "knee": 0.5}.get(part, 0.1)
        pose[KINECT20.index(joint)] = [side, heights.get(joint, low), 3.0]
    arrays = []
    for clip in range(CLIPS):
        xyz = np.repeat(pose[None], int(rng.integers(20, 40)), axis=0) + rng.normal(0, 0.02, (1, 20, 3))
        rise = np.sin(np.linspace(0, np.pi, len(xyz)))
        if clip % CLASSES:
            xyz[:, :, 1] -= 0.4 * rise[:, None] * (pose[None, :, 1] > 0.6)
        else:
            for joint in ("right_elbow", "right_wrist", "right_hand"):
                xyz[:, KINECT20.index(joint), 1] += 0.8 * rise
        arrays.append(xyz.astype(np.float32))
    return arrays


def table_of():
    rows = range(CLIPS)
    return pd.DataFrame(
        {
            "name": [f"clip{i:02d}" for i in rows],
            "label": [i % CLASSES for i in rows],
            "subject": [i // 4 for i in rows],
        }
    )


def make(folder, arrays=None, table=None, prompts=None):
    """A store, a prompts file and the settings of a tiny run on them."""
    table = table_of() if table is None else table
    store_from_arrays(folder / "store", arrays or recordings(), table, KINECT20, ["raise a hand", "crouch"], "own")
    words = ["The right hand rises above the head.", "The knees bend and the hips sink."]
    texts = prompts or {n: [words[y], "The person stands still."] for n, y in zip(table.name, table.label, strict=True)}
    (folder / "prompts.json").write_text(json.dumps(texts))
    return RunConfig(
        dataset=str(folder / "store"),
        work_dir=str(folder / "work"),
        captions=str(folder / "prompts.json"),
        epochs=3,
        batch_size=10,
        width=16,
        frames=16,
        effective_targets=2.0,
        device="cpu",
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make(tmp_path_factory.mktemp("own"))


def trained(config, run_dir):
    experiment = open_experiment(config)
    pretrain(experiment, run_dir)
    return read_checkpoint(run_dir)


@pytest.mark.parametrize("arm", sorted(set(ARMS) - {"imported"}))  # that one: test_sharing.py
def test_every_arm_runs_to_results(base, tmp_path, arm):
    config = replace(base, arm=arm)
    experiment = open_experiment(config)
    pretrain(experiment, tmp_path)
    results = evaluate(experiment, tmp_path)
    assert results == read_json(tmp_path / "results.json")
    assert results["split"]["train"] == results["split"]["test"] == 20
    assert results["metrics"]["linear"] > 0.8 and 0 <= results["metrics"]["knn1"] <= 1
    assert np.sum(results["confusion"]) == 20
    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    names = [experiment.store.names[i] for i in experiment.split.test]
    assert list(predictions["name"]) == names
    assert (predictions.label == predictions.linear).mean() == pytest.approx(results["metrics"]["linear"])
    assert np.load(tmp_path / "features.npy").shape[0] == CLIPS
    language = arm in ("hard", "full")
    assert ("zero_shot" in results["metrics"]) == language == ("retrieval" in results["metrics"])
    assert results["stand_in_teacher"] == (arm in ("prompts", "hard", "full"))
    assert ("stand-in teacher" in experiment.note) == results["stand_in_teacher"] and "generated" not in experiment.note
    assert ("encoder" in results) == (arm not in ("coordinates", "prompts"))
    assert any("stands in" in note for note in results["notes"]) == results["stand_in_teacher"]


def test_joint_space_has_one_width_and_unit_points(base, tmp_path):
    experiment = open_experiment(base)
    pretrain(experiment, tmp_path)
    learner = load_learner(experiment, tmp_path)
    results = evaluate(experiment, tmp_path)
    points = joint_space(experiment, learner, np.load(tmp_path / "features.npy"))
    points["class prompt"] = class_points(experiment, learner)
    assert {rows.shape[1] for rows in points.values()} == {points["language"].shape[1]}
    assert points["class prompt"].shape[0] == CLASSES
    assert all(np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5) for rows in points.values())
    assert results["metrics"]["retrieval"]["skeleton_to_text"].keys() == {"R@1", "R@5", "R@10", "median_rank"}


@pytest.mark.parametrize("arm", ["full", "supervised"])
def test_nothing_of_the_test_part_reaches_training(base, tmp_path, arm):
    """Test clips, their sentences and labels are poisoned; the trained weights stay the same to the bit."""
    table = table_of()
    test = (table.subject % 2 == 0).to_numpy()
    words = ["The right hand rises above the head.", "The knees bend and the hips sink."]
    poison = {
        name: ["An unrelated sentence of a test clip.", "And another."] if t else [words[y], "The person stands still."]
        for name, y, t in zip(table.name, table.label, test, strict=True)
    }
    table.loc[test, "label"] = 1 - table.label[test]
    arrays = [a[::-1].copy() + 0.3 if t else a for a, t in zip(recordings(), test, strict=True)]
    clean, _ = trained(replace(base, arm=arm), tmp_path / "clean")
    poisoned, _ = trained(replace(make(tmp_path, arrays, table, poison), arm=arm), tmp_path / "poisoned")
    assert clean.keys() == poisoned.keys()
    assert all((clean[name] == poisoned[name]).all() for name in clean)


def test_the_training_set_never_touches_what_is_said_or_seen_of_test_clips(base, tmp_path, monkeypatch):
    """Sentences of test clips are not even handed to the teacher, and may be absent altogether."""
    table = table_of()
    test = set(table.name[table.subject % 2 == 0])
    texts = {n: ["POISON"] * 2 if n in test else [f"This is {n}.", "It moves."] for n in table.name}
    config = make(tmp_path, prompts=texts)
    heard = []
    encode = OfflineTeacher.encode_texts
    monkeypatch.setattr(OfflineTeacher, "encode_texts", lambda self, t: heard.extend(t) or encode(self, t))
    training = open_experiment(config).training_set()
    assert heard and "POISON" not in heard and not test & set(training.names)
    (tmp_path / "prompts.json").write_text(json.dumps({n: t for n, t in texts.items() if n not in test}))
    without = open_experiment(config).training_set()
    np.testing.assert_array_equal(without.concepts["language"], training.concepts["language"])
    assert without.key == training.key


def rich():
    """Sentences that differ at both places."""
    words = ["The right hand rises above the head.", "The knees bend and the hips sink."]
    more = ["The person walks ahead.", "A hand waves.", "He looks at the floor.", "Nothing else happens."]
    table = table_of()
    return {n: [words[y], more[i % 4]] for i, (n, y) in enumerate(zip(table.name, table.label, strict=True))}


def test_class_level_texts_serve_zero_shot_and_never_training(tmp_path):
    base = make(tmp_path, prompts=rich())
    texts = tmp_path / "gap.txt"
    texts.write_text("raise a hand;One arm moves far above the head.\ncrouch;Both knees bend deeply.\n")
    plain, told = open_experiment(base), open_experiment(replace(base, class_texts=str(texts)))
    assert told.training_set().key == plain.training_set().key
    pretrain(told, tmp_path / "run")
    learner = load_learner(told, tmp_path / "run")
    assert not np.allclose(class_points(told, learner), class_points(plain, learner), atol=1e-3)
    assert evaluate(told, tmp_path / "run")["metrics"]["zero_shot"] >= 0.5
    leaked = {n: ["Both knees bend deeply!", "It moves."] for n in table_of().name}
    with pytest.raises(DataError, match="is a class-level text"):
        open_experiment(replace(make(tmp_path, prompts=leaked), class_texts=str(texts))).training_set()


@pytest.mark.parametrize("pooling", ["mean", "attention", "subset"])
def test_every_pooling_runs_to_results(tmp_path, pooling):
    base = make(tmp_path, prompts=rich())
    experiment = open_experiment(replace(base, pooling=pooling))
    pretrain(experiment, tmp_path)
    assert evaluate(experiment, tmp_path)["metrics"]["linear"] > 0.8
    learner = load_learner(open_experiment(replace(base, pooling=pooling)), tmp_path)
    points = joint_space(experiment, learner, np.load(tmp_path / "features.npy"))
    assert np.isfinite(points["language"]).all()
    if pooling == "attention":  # what was learned takes part
        learner.pools["language"].start.data[1] += 5
        moved = joint_space(experiment, learner, np.load(tmp_path / "features.npy"))
        assert not np.allclose(points["language"], moved["language"], atol=1e-2)


def test_self_supervised_arms_never_see_labels(base, tmp_path):
    table = table_of()
    table["label"] = np.random.default_rng(3).permutation(table["label"].to_numpy())
    words = {n: read_json(base.captions)[n] for n in table.name}
    shuffled = make(tmp_path, table=table, prompts=words)
    for arm in ("skeletonclr", "hard", "full"):
        one, _ = trained(replace(base, arm=arm), tmp_path / f"{arm}-a")
        two, _ = trained(replace(shuffled, arm=arm), tmp_path / f"{arm}-b")
        assert all((one[name] == two[name]).all() for name in one), arm


def interrupt_after_one(line):
    if line.startswith("epoch 1/"):
        raise KeyboardInterrupt


def test_an_unfinished_run_is_not_measured(base, tmp_path):
    experiment = open_experiment(base)
    with pytest.raises(MissingError, match="No checkpoint"):
        evaluate(experiment, tmp_path)
    cut = open_experiment(replace(base, checkpoint_every=1))
    with pytest.raises(KeyboardInterrupt):
        pretrain(cut, tmp_path, interrupt_after_one)
    with pytest.raises(MissingError, match="epoch 1 of 3"):
        evaluate(cut, tmp_path)
    assert (tmp_path / FILE).exists() and not (tmp_path / "results.json").exists()
    assert load_config(tmp_path) == to_dict(cut.config), "an unfinished run says what it is, too"


def test_a_folder_that_cannot_be_is_one_sentence(base, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match=r"file.* cannot be made \(.*\)\. Check the run folder \(run_dir\)\."):
            pretrain(open_experiment(base), folder)
    (tmp_path / "config.json").mkdir()
    with pytest.raises(StorageError, match=r"config\.json cannot be written"):
        pretrain(open_experiment(base), tmp_path)


def test_a_refused_run_leaves_its_folder_as_it_was(base, tmp_path):
    trained(base, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    other = open_experiment(replace(base, lr=0.1))
    with pytest.raises(ConfigError, match=r"lr: 0.002 -> 0.1"):
        pretrain(other, tmp_path)
    with pytest.raises(ConfigError, match="other settings"):
        evaluate(other, tmp_path)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_rounding_in_the_concepts_does_not_refuse_a_checkpoint_but_other_texts_do(base, tmp_path, monkeypatch):
    """Another number of threads changes the PCA's last digits; notebook 05 may have more threads than a run had."""
    trained(base, tmp_path)
    exact = ConceptSpace.transform
    monkeypatch.setattr(ConceptSpace, "transform", lambda *a, **k: exact(*a, **k) * np.float32(1 + 3e-7))
    load_learner(open_experiment(base), tmp_path)
    other = make(tmp_path / "other", prompts={n: ["Something else.", n] for n in table_of().name})
    with pytest.raises(ConfigError, match="data"):
        load_learner(open_experiment(other), tmp_path)


def test_results_say_how_soft_the_targets_were(base, tmp_path):
    experiment = open_experiment(base)
    pretrain(experiment, tmp_path)
    targets = evaluate(experiment, tmp_path)["targets"]
    # half of a batch of 10 says the same sentences: no temperature can tell these clips apart
    assert targets["language"]["effective"] == pytest.approx(5.0, abs=0.5)
    assert targets["skeleton"]["tau"] == base.skeleton_tau and 1 <= targets["skeleton"]["effective"] <= 10


def test_vision_features_from_a_file(base, tmp_path):
    names = open_experiment(base).store.names
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "vision.npz", names=np.array(names), features=rng.normal(size=(CLIPS, 3, 7)).astype(np.float32))
    config = replace(base, teacher=f"features:{tmp_path / 'vision.npz'}", modalities="vision")
    experiment = open_experiment(config)
    assert experiment.features("vision").shape == (CLIPS, 3, 7)
    pretrain(experiment, tmp_path / "run")
    assert evaluate(experiment, tmp_path / "run")["stand_in_teacher"] is False


def test_clips_without_sentences_are_named(base, tmp_path):
    config = make(tmp_path)
    texts = read_json(config.captions)
    texts.pop("clip07")
    (tmp_path / "prompts.json").write_text(json.dumps(texts))
    with pytest.raises(MissingError, match="clip07"):
        open_experiment(config).training_set()


def test_the_flat_settings_have_the_defaults_of_their_parts():
    flat, parts = to_dict(RunConfig().fit_config()), to_dict(FitConfig())
    flat.pop("checkpoint_every"), parts.pop("checkpoint_every")
    assert flat["objective"].pop("kappa") == pytest.approx(parts["objective"].pop("kappa"), rel=1e-4)
    assert flat == parts
    assert RunConfig().concept_config() == ConceptConfig()
    assert RunConfig().prepare_config() == PrepareConfig()


def test_settings_are_checked_before_any_work():
    with pytest.raises(ConfigError, match="Did you mean 'supervised'"):
        RunConfig(arm="supervized")
    with pytest.raises(ConfigError, match="wants pictures"):
        RunConfig(modalities="language+vision")
    with pytest.raises(ConfigError, match="not trained"):
        RunConfig(arm="coordinates").fit_config()
    with pytest.raises((ConfigError, DataError, MissingError)):
        open_experiment(RunConfig(dataset="nw-ucla", data_dir="no/such/folder"))


def answered(folder, prompts):
    """The sentences as a series of answers, in a folder of answers."""
    answers = AnswerStore(folder)
    (folder / "in.json").write_text(json.dumps(prompts))
    return answers, answers.import_prompts(folder / "in.json")


def test_pretraining_takes_an_answer_series_with_its_edits(base, tmp_path):
    prompts = load_prompts(base.captions)
    (tmp_path / "a").mkdir()
    answers, series = answered(tmp_path / "a", prompts)
    from_file = open_experiment(base).training_set()
    config = replace(base, captions=f"answers:{tmp_path / 'a'}")
    same = open_experiment(config).training_set()
    assert same.key == from_file.key and np.array_equal(same.concepts["language"], from_file.concepts["language"])
    answers.replace(series, from_file.names[0], 0, "The person turns round and walks away.")
    edited = open_experiment(replace(config, captions=f"{config.captions}#{series.id[:6]}")).training_set()
    assert edited.key != same.key
    by_path = open_experiment(replace(config, captions=f"{config.captions}/{series.folder}")).training_set()
    assert by_path.key == edited.key
    answered(tmp_path / "a", {name: ["Something else."] for name in prompts})
    with pytest.raises(ConfigError, match=r"2 series of answers agree\. Name one of them:\n  answers:.*#"):
        open_experiment(config).training_set()
    with pytest.raises(MissingError, match=r"there is no folder 'nowhere'\. `c2vl ask`"):
        open_experiment(replace(base, captions="answers:nowhere"))
    (tmp_path / "answers").mkdir()
    with pytest.raises(MissingError, match=f"Did you mean 'answers:{tmp_path / 'answers'}'"):
        open_experiment(replace(base, captions=f"answers:{tmp_path / 'answer'}#12")).training_set()
    with pytest.raises(MissingError, match=r"begins with 'xyz'\. There is:\n  answers:.*#"):
        open_experiment(replace(config, captions=f"{config.captions}#xyz")).training_set()


def test_missing_answers_of_a_training_clip_are_named(base, tmp_path):
    prompts = load_prompts(base.captions)
    experiment = open_experiment(base)
    gone = experiment.store.names[experiment.split.train[3]]
    answered(tmp_path, {name: texts for name, texts in prompts.items() if name != gone})
    with pytest.raises(MissingError, match=f"2 sentences of 1 clips are missing .{gone}, sentence 1: not answered"):
        open_experiment(replace(base, captions=f"answers:{tmp_path}")).training_set()


def test_chosen_sentences_alone_are_learned_from(base):
    prompts = {name: texts[:1] for name, texts in load_prompts(base.captions).items()}
    first = Path(base.work_dir) / "first.json"
    first.write_text(json.dumps(prompts))
    chosen, alone = open_experiment(replace(base, sentences="1")), open_experiment(replace(base, captions=str(first)))
    assert chosen.training_set().key == alone.training_set().key != open_experiment(base).training_set().key
    assert np.array_equal(chosen.concepts("language"), alone.concepts("language"))
    assert chosen.features("language").shape[1] == 1
    turned = open_experiment(replace(base, sentences="2,1")).features("language")[:]
    assert np.array_equal(turned, open_experiment(base).features("language")[:][:, ::-1])
    with pytest.raises(ConfigError, match="has 2 sentences a clip"):
        open_experiment(replace(base, sentences="3"))  # at once, before anything is prepared
    open_experiment(replace(base, sentences="3", arm="untrained"))  # which looks at no sentence


@pytest.mark.parametrize("text", ["", "0", "1,1", "1;2", "-1", "one", "1,,2", "1.5", "9" * 5000])
def test_places_of_sentences_are_numbers_from_one(text):
    with pytest.raises(ConfigError, match="from 1, each once"):
        RunConfig(sentences=text)


def test_a_regression_gets_the_training_clips_places_and_runs_to_results(base, tmp_path):
    config = replace(base, arm="full", regression_weight=8.0, contrast_weight=0.1)
    assert config.fit_config().objective.regression_weight == 8.0
    assert config.fit_config().objective.contrast_weight == 0.1
    experiment = open_experiment(config)
    train = experiment.split.train
    places = experiment.training_set().places["language"]
    assert places.shape[:2] == (len(train), 2) and not places[:, 1].any()  # the second sentence is the same everywhere
    assert not open_experiment(replace(config, regression_weight=0.0)).training_set().places
    pretrain(experiment, tmp_path)
    assert "zero_shot" in evaluate(experiment, tmp_path)["metrics"]
