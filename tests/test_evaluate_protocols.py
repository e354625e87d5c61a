"""Every protocol on whole runs: what results.json says, that a seed repeats it, that test labels only score."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, recall_score

from c2vl_lab.artifacts import read_json
from c2vl_lab.bench.results import find_runs, predictions, results_frame
from c2vl_lab.bench.statistics import compare_files
from c2vl_lab.config import replace
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import KINECT20
from c2vl_lab.data.writing import write_store
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.evaluate.outcome import class_record
from c2vl_lab.evaluate.protocols import PROTOCOLS, check_protocols, run_protocols
from c2vl_lab.evaluate.run import evaluate
from c2vl_lab.evaluate.typed_classes import typed_classes
from c2vl_lab.experiment import open_experiment, pretrain
from c2vl_lab.figures import protocol_dots
from c2vl_lab.run_config import RunConfig
from c2vl_lab.viz.tables import protocol_settings, protocol_table

CLASSES = ["wave", "kick", "sit", "jump", "throw", "bow"]
QUICK = "knn,semi,cluster,robust"
FROZEN = [name for name, own in PROTOCOLS.items() if not own.trains]


def store_of(path, test_labels=None, count=96, relabel=None):
    """Clips of performers with 12 each (odd ones train); every class has a pose of its own, with noise around it."""
    rng = np.random.default_rng(0)
    poses = np.random.default_rng(1).normal(size=(len(CLASSES), 1, 1, 20, 3))
    clips = []
    for number in range(count):
        label, subject = number % 6, number // 12 + 1
        xyz = (poses[label] + 0.5 * rng.normal(size=(12, 1, 20, 3))).astype(np.float32)
        if test_labels is not None and subject % 2 == 0:
            label = test_labels[label]
        label = relabel(subject, label) if relabel else label
        present, frames = np.ones((12, 1), bool), np.arange(12, dtype=np.int32)
        clips.append(Clip(f"clip{number:02d}", xyz, present, frames, label=label, subject=subject))
    return write_store(path, clips, dataset="own", layout=KINECT20, classes=CLASSES)


def run_of(folder, store, arm, protocols, **more):
    """Train and measure one arm; results, checkpoint and caches below ``folder``."""
    folder.mkdir(exist_ok=True)
    words = ["An arm is up.", "A leg swings.", "The hips sink.", "Both feet leave.", "An arm goes ahead.", "It bends."]
    texts = {name: [words[i % 6], f"It takes {i % 7} moments."] for i, name in enumerate(store.names)}
    (folder / "prompts.json").write_text(json.dumps(texts))
    small = {"epochs": 2, "batch_size": 12, "width": 16, "frames": 12, "effective_targets": 2.0, "device": "cpu"}
    places = {"dataset": str(store.path), "work_dir": str(folder / "work"), "captions": str(folder / "prompts.json")}
    config = RunConfig(**(small | places | {"arm": arm} | more))
    experiment = open_experiment(config)
    pretrain(experiment, folder / arm)
    return evaluate(experiment, folder / arm, protocols=protocols)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A run of the full method with every protocol."""
    folder = tmp_path_factory.mktemp("full")
    return folder, run_of(folder, store_of(folder / "store"), "full", "all")


def without_seconds(results):
    records = {n: {k: v for k, v in own.items() if k != "seconds"} for n, own in results["protocols"].items()}
    return records, results["metrics"]


def test_every_protocol_says_its_settings_numbers_and_classes(full):
    folder, results = full
    assert results == read_json(folder / "full" / "results.json") and list(results["protocols"]) == FROZEN
    for name, record in results["protocols"].items():
        assert record["settings"] and record["title"] and record["measures"]
        for measure in record["measures"]:
            assert measure["clips"] > 0 and measure["mean"] == pytest.approx(np.mean(measure["values"]))
            assert measure["unit"] == "rank" or -1 <= measure["mean"] <= 1
            assert (measure["spread"] is None) == (len(measure["values"]) == 1)
            if measure["low"] is not None:
                assert 0 <= measure["low"] <= measure["mean"] <= measure["high"] <= 1
        if name not in ("retrieval", "zero-shot"):
            matrix = np.array(record["confusion"])
            assert matrix.sum() <= 48 and set(record["per_class"]) == set(CLASSES)
            assert record["per_class"]["kick"] == matrix[1, 1] / 8


def test_predictions_behind_the_numbers_are_kept(full):
    folder, results = full
    table = pd.read_parquet(folder / "full" / "predictions.parquet")
    columns = [column for own in results["protocols"].values() for column in own["predictions"]]
    assert list(table) == ["name", "label", "linear", "knn1", *columns] and len(columns) > 40
    robust = results["protocols"]["robust"]["measures"][0]
    assert robust["mean"] == (table["label"] == table["robust_undamaged"]).mean() == results["metrics"]["linear"]
    semi = results["protocols"]["semi"]
    assert semi["measures"][2]["values"] == [(table["label"] == table[f"semi_10_{s}"]).mean() for s in range(5)]
    drawn = semi["drawn"]["10 %"]["3"]
    assert len(drawn) == 6 and not set(drawn) & set(table["name"]), "one training clip a class"


def test_notebook_and_report_can_show_them(full):
    folder, results = full
    table = protocol_table(results["protocols"])
    assert set(table["protocol"]) == {PROTOCOLS[name].title for name in FROZEN}
    assert table["mean"].str.contains("±").any() and table["interval"].str.contains("to").any()
    assert set(protocol_settings(results["protocols"])["setting"]) >= {"aimclr", "draw", "bank", "caution"}
    assert len(protocol_dots(results["protocols"]).axes) == len(FROZEN)
    with pytest.raises(DataError, match="no protocol was measured"):
        protocol_dots({})
    runs = find_runs(folder)
    assert results_frame(runs)["linear"].item() == results["metrics"]["linear"]
    assert predictions(runs, "knn5_plain")[0].mean() == results["protocols"]["knn"]["measures"][1]["mean"]


def test_the_same_seed_gives_the_same_numbers_and_another_other_draws(full, tmp_path):
    _, first = full
    again = run_of(tmp_path, store_of(tmp_path / "store"), "full", "all")
    assert without_seconds(again) == without_seconds(first)
    other = run_of(tmp_path / "b", store_of(tmp_path / "b" / "store"), "coordinates", "semi", seed=1)
    assert list(other["protocols"]["semi"]["drawn"]["10 %"]) == ["1", "2", "3", "4", "5"]


def test_poisoned_test_labels_change_scores_and_nothing_else(full, tmp_path):
    """The same recordings with other labels on the test part: every prediction and every choice stays."""
    folder, clean = full
    poisoned = run_of(tmp_path, store_of(tmp_path / "store", test_labels=[1, 2, 3, 4, 5, 0]), "full", "all")
    tables = [pd.read_parquet(place / "full" / "predictions.parquet") for place in (folder, tmp_path)]
    pd.testing.assert_frame_equal(*(table.drop(columns="label") for table in tables))
    for name in FROZEN:
        pair = [results["protocols"][name] for results in (clean, poisoned)]
        settings = [json.loads(json.dumps(own["settings"])) for own in pair]
        assert settings[0] == settings[1], name
        assert pair[0].get("drawn") == pair[1].get("drawn")
        assert (pair[0]["measures"] == pair[1]["measures"]) == (name == "retrieval"), f"{name}: labels score"
    assert clean["probe"] == poisoned["probe"] and clean["metrics"]["linear"] > 0.8 > poisoned["metrics"]["linear"]


def test_labels_that_say_nothing_give_chance(tmp_path):
    """The training part's labels are drawn at random, the test part's are the true ones; chance is 1 in 6."""
    rng = np.random.default_rng(0)
    store = store_of(tmp_path / "store", relabel=lambda subject, label: int(rng.integers(6)) if subject % 2 else label)
    results = run_of(tmp_path, store, "coordinates", "linear,knn,semi,cluster")
    plain = {name: results["metrics"][name] for name in ("linear", "knn1", "knn5")}
    measured = {
        f"{name}, {measure['name']}": measure["mean"]
        for name, record in results["protocols"].items()
        for measure in record["measures"]
        if measure["unit"] == "share" and "matched on the test labels" not in measure["name"]
    }
    assert len(measured) == 3 + 8 + 4 + 1 and all(share < 0.4 for share in (plain | measured).values()), measured
    test = next(m for m in results["protocols"]["cluster"]["measures"] if "matched on the test labels" in m["name"])
    assert test["mean"] > 0.8, "what is matched on the test labels is told by them, whatever the training part says"


def test_accuracy_of_classes_and_confusions_are_scikit_learns():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, 60), rng.integers(0, 5, 60)
    record = class_record(list("abcde"), truth, predicted)
    np.testing.assert_array_equal(record["confusion"], confusion_matrix(truth, predicted, labels=range(5)))
    recall = recall_score(truth, predicted, labels=range(4), average=None)
    assert record["per_class"] == dict(zip("abcd", recall, strict=True)), "e is in no test clip"
    lost = np.where(predicted == 2, -1, predicted)  # clips of a cluster that belongs to no class
    record = class_record(list("abcde"), truth, lost)
    assert np.sum(record["confusion"]) == (predicted != 2).sum() and record["per_class"]["c"] == 0
    assert record["per_class"]["a"] == recall[0], "a clip that is told nothing counts as wrong"


def test_a_default_call_measures_no_protocol_and_keeps_what_was_measured(tmp_path):
    store = store_of(tmp_path / "store")
    assert "protocols" not in run_of(tmp_path, store, "coordinates", "")
    run_of(tmp_path, store, "coordinates", "knn")
    both = run_of(tmp_path, store, "coordinates", "cluster")
    assert list(both["protocols"]) == ["knn", "cluster"]
    kept = run_of(tmp_path, store, "coordinates", "")
    assert without_seconds(kept) == without_seconds(both)
    assert "knn5_plain" in pd.read_parquet(tmp_path / "coordinates" / "predictions.parquet")
    moved = store_of(tmp_path / "store", test_labels=[1, 2, 3, 4, 5, 0])
    assert "protocols" not in run_of(tmp_path, moved, "coordinates", ""), "other labels: measured again or not at all"


def test_what_another_process_measures_meanwhile_is_kept(tmp_path, monkeypatch):
    store = store_of(tmp_path / "store")
    run_of(tmp_path, store, "coordinates", "knn")
    calls = []

    def meanwhile(subject, names, say):
        calls.append(names)
        if names == ("semi",):  # while this one measures, another ends
            run_of(tmp_path, store, "coordinates", "cluster")
        return run_protocols(subject, names, say)

    monkeypatch.setattr("c2vl_lab.evaluate.run.run_protocols", meanwhile)
    both = run_of(tmp_path, store, "coordinates", "semi")
    assert calls == [("semi",), ("cluster",)] and list(both["protocols"]) == ["knn", "semi", "cluster"]
    columns = pd.read_parquet(tmp_path / "coordinates" / "predictions.parquet").columns
    assert {"knn5_plain", "semi_5_0", "cluster_0"} <= set(columns)


@pytest.mark.parametrize("arm", ["coordinates", "untrained", "skeletonclr"])
def test_arms_without_language_are_measured_too(tmp_path, arm):
    records = run_of(tmp_path, store_of(tmp_path / "store"), arm, QUICK)["protocols"]
    assert list(records) == QUICK.split(",") and all(own["measures"] for own in records.values())
    assert len(records["robust"]["measures"]) == 16


def test_what_does_not_apply_says_why(tmp_path):
    store = store_of(tmp_path / "store")
    prompts = run_of(tmp_path, store, "prompts", "robust,retrieval")["protocols"]
    assert "none of skeletons" in prompts["robust"]["not_run"] and "joint space" in prompts["retrieval"]["not_run"]
    supervised = run_of(tmp_path, store, "supervised", "semi,zero-shot")["protocols"]
    assert all("trained with all labels" in own["not_run"] for own in supervised.values())
    assert (protocol_table(supervised)["measure"] == "not run").all()


def test_what_was_measured_is_not_measured_again_for_a_suite(full, monkeypatch):
    folder, results = full
    experiment = open_experiment(replace(RunConfig(), **results["config"]))
    measured: list[tuple[str, ...]] = []

    def count(subject, names, say):
        measured.append(names)
        return run_protocols(subject, names, say)

    monkeypatch.setattr("c2vl_lab.evaluate.run.run_protocols", count)
    assert (
        evaluate(experiment, folder / "full", protocols="knn,cluster", again=False)["protocols"] == results["protocols"]
    )
    evaluate(experiment, folder / "full", protocols="knn")
    assert measured == [(), ("knn",)]


def test_protocols_by_name():
    assert check_protocols("all") == tuple(FROZEN) and check_protocols("") == ()
    assert check_protocols(" knn, semi,knn") == ("knn", "semi")
    with pytest.raises(ConfigError, match="Did you mean 'semi'"):
        check_protocols("semmi")


def test_typed_classes_split_the_test_clips_of_each_class(full, tmp_path):
    folder, results = full
    experiment = open_experiment(replace(RunConfig(), **results["config"]))
    table = typed_classes(experiment, folder / "full", "a hand waves; a foot kicks ;a hand waves")
    assert list(table.columns) == ["a hand waves", "a foot kicks", "clips"] and list(table.index) == CLASSES
    assert (table["clips"] == 8).all() and np.allclose(table.iloc[:, :2].sum(axis=1), 100, atol=0.2)
    with pytest.raises(ConfigError, match="two class names or more"):
        typed_classes(experiment, folder / "full", "wave")
    with pytest.raises(MissingError, match="Evaluate the run first"):
        typed_classes(experiment, tmp_path, "a; b")


def test_two_runs_are_compared_on_every_prediction_that_both_keep(tmp_path):
    truth = np.array([0, 1] * 20)
    one, other = truth.copy(), truth.copy()
    one[:4], other[:10] = 1 - one[:4], 1 - other[:10]
    names = [f"c{i}" for i in range(40)]
    pd.DataFrame({"name": names, "label": truth, "linear": one, "x": one}).to_parquet(tmp_path / "a")
    reverse = pd.DataFrame({"name": names, "label": truth, "linear": other, "y": one})[::-1]
    reverse.to_parquet(tmp_path / "b")
    found = compare_files(tmp_path / "a", tmp_path / "b")
    assert list(found) == ["linear"] and found["linear"].difference == pytest.approx(6 / 40)
    assert (found["linear"].only_first, found["linear"].only_second) == ((6,), (0,))
    assert found["linear"].p_values[0] == pytest.approx(2 * 0.5**6)
    reverse.assign(label=0).to_parquet(tmp_path / "b")
    with pytest.raises(DataError, match="same labels"):
        compare_files(tmp_path / "a", tmp_path / "b")
