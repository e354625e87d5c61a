"""Streams of a suite: fused seed by seed into rows of the same tables, again only when a run's features changed."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from test_evaluate_protocols import store_of

from c2vl_lab.bench.report_tables import sections
from c2vl_lab.bench.results import find_runs
from c2vl_lab.data.protocols import make_split
from c2vl_lab.errors import DataError
from c2vl_lab.evaluate.probes import linear_probe
from c2vl_lab.evaluate.scores import compact, save_scores, scores_file
from c2vl_lab.evaluate.suite_streams import fuse_suite
from c2vl_lab.evaluate.tuned_protocols import BEST

STREAMS = ("joint", "bone", "motion")


@pytest.fixture
def suite(tmp_path):
    """Two seeds of an arm on three streams, each of which tells a third of the classes apart; and an arm on joints."""
    store, runs_dir = store_of(tmp_path / "store"), tmp_path / "runs"
    rows = [("full", stream, seed) for stream in STREAMS for seed in (0, 1)] + [("untrained", "joint", 0)]
    listed = [write_run(runs_dir, store, *row) for row in rows]
    (runs_dir / "suite.json").write_text(json.dumps({"runs": listed, "main": "Full"}))
    return store, runs_dir


def write_run(runs_dir, store, arm, stream, seed):
    """A folder as a run leaves it, and its line in the suite's list."""
    folder = runs_dir / f"{arm}-{stream}-s{seed}"
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, STREAMS.index(stream)])
    told = np.where(store.labels // 2 == STREAMS.index(stream), store.labels, -1)
    np.save(folder / "features.npy", (np.eye(7)[told] + 0.2 * rng.normal(size=(len(store), 7))).astype(np.float32))
    config = {"dataset": str(store.path), "protocol": "xsub", "arm": arm, "stream": stream, "seed": seed}
    split = make_split(store, "xsub")
    predictions = {"name": [store.names[i] for i in split.test], "label": store.labels[split.test]}
    pd.DataFrame(predictions | {"linear": 0, "knn1": 0}).to_parquet(folder / "predictions.parquet")
    results = {
        "config": config | {"work_dir": str(runs_dir)},
        "dataset": store.dataset,
        "fingerprint": store.fingerprint,
        "split": {"protocol": "xsub", "train": 48, "test": 48},
        "classes": store.classes,
        "encoder": {"name": "temporal", "parameters": 10},
        "seconds": {"pretrain": 1.0, "evaluate": 1.0},
        "metrics": {"linear": 0.5, "knn1": 0.5},
        "notes": [],
    }
    (folder / "results.json").write_text(json.dumps(results))
    label = ("Full" if arm == "full" else "Untrained") + ("" if stream == "joint" else f", {stream}")
    return {"id": folder.name, "label": label, "parameters": config, "status": "complete"}


def test_fused_streams_are_rows_of_the_tables(suite):
    _, runs_dir = suite
    folders = fuse_suite(runs_dir)
    assert len(folders) == 4  # two ways, two seeds
    section = sections(find_runs(runs_dir), "Full")[0]
    labels = [row.label for row in section.rows]
    ways = ["Full, three streams, features joined", "Full, three streams, scores added"]
    assert labels == ["Full", "Full, bone", "Full, motion", *ways, "Untrained"]
    assert sum(run.is_fused for run in find_runs(runs_dir)) == 4 and len(find_runs(runs_dir)) == 11
    assert section.main == "Full" and [len(section.arms[way]) for way in ways] == [2, 2]
    against = {row.label: row for row in section.against}
    assert set(ways) < set(against) and len(against[ways[1]].values.p_values) == 2  # paired, seed by seed


def test_a_fused_number_is_the_slow_one(suite):
    store, runs_dir = suite
    fuse_suite(runs_dir)
    run = next(run for run in find_runs(runs_dir) if "scores added" in run.label and run.parameters["seed"] == 1)
    split, labels = make_split(store, "xsub"), store.labels
    total = np.zeros((len(split.test), 6))
    for stream, weight in zip(STREAMS, (0.6, 0.6, 0.4), strict=True):
        rows = np.load(runs_dir / f"full-{stream}-s1" / "features.npy")
        groups = store.clips["subject"].to_numpy()[split.train]
        probe = linear_probe(rows[split.train], labels[split.train], groups, rows[split.test], seed=1)
        total += weight * probe.classifier.scores(rows[split.test])
    right = total.argmax(axis=1) == labels[split.test]
    assert run.results["metrics"]["linear"] == pytest.approx(right.mean())
    kept = pd.read_parquet(run.path / "predictions.parquet")
    assert (kept["linear"] == kept["label"]).mean() == pytest.approx(right.mean())
    assert run.results["encoder"]["parameters"] == 30 and run.results["fused"]["weights"]["motion"] == 0.4


def test_what_is_fused_already_is_kept_until_a_run_changes(suite, monkeypatch):
    store, runs_dir = suite
    first = fuse_suite(runs_dir)
    made = {folder: (folder / "results.json").stat().st_mtime_ns for folder in first}
    monkeypatch.setattr("c2vl_lab.evaluate.suite_streams.open_dataset", None)  # nothing is opened for nothing
    assert fuse_suite(runs_dir) == first
    monkeypatch.undo()
    np.save(runs_dir / "full-bone-s1" / "features.npy", np.random.default_rng(9).normal(size=(len(store), 7)))
    fuse_suite(runs_dir)
    again = {folder: (folder / "results.json").stat().st_mtime_ns for folder in first}
    assert [folder for folder in first if made[folder] != again[folder]] == first[2:]


def test_an_incomplete_stream_is_not_fused(suite):
    _, runs_dir = suite
    fuse_suite(runs_dir)
    card = json.loads((runs_dir / "suite.json").read_text())
    card["runs"][2]["status"] = "failed"  # bone, seed 0
    (runs_dir / "suite.json").write_text(json.dumps(card))
    assert len(fuse_suite(runs_dir)) == 2
    fused = [run for run in find_runs(runs_dir) if "three streams" in run.label]
    assert {run.parameters["seed"] for run in fused} == {1}


def test_features_of_other_recordings_are_refused(suite):
    _, runs_dir = suite
    np.save(runs_dir / "full-bone-s1" / "features.npy", np.zeros((3, 7), np.float32))
    with pytest.raises(DataError, match="wanted features of 96 clips"):
        fuse_suite(runs_dir)


def add_tuned(runs_dir, store, stream, seed, tuning="default", damage=0):
    """A fine-tuned encoder that is sure of a wrong class in its own third of the clips, and right in the others."""
    folder = runs_dir / f"full-{stream}-s{seed}"
    split = make_split(store, "xsub")
    truth, place = store.labels[split.test], STREAMS.index(stream)
    shown = np.where(np.arange(len(truth)) % 3 == place, (truth + 1) % 6, truth)
    scores = {f"finetune_{s}": compact(2 * np.eye(6)[(shown + damage) % 6] + 0.1 * s) for s in (seed, seed + 1)}
    save_scores(scores_file(folder, "finetune"), scores)
    table = pd.read_parquet(folder / "predictions.parquet").assign(**dict.fromkeys(scores, shown))
    table.to_parquet(folder / "predictions.parquet")
    results = json.loads((folder / "results.json").read_text())
    own = {"name": "all labels", "values": [0.6, 0.6], "mean": 0.6, "unit": "share"}
    best = own | {"name": f"all labels; {BEST}"}
    record = {"title": "Fine-tuned", "settings": {"settings": tuning, "seeds": [seed, seed + 1]}}
    results["protocols"] = {"finetune": record | {"measures": [own, best], "predictions": list(scores)}}
    (folder / "results.json").write_text(json.dumps(results))


def added(runs_dir, seed):
    return next(r for r in find_runs(runs_dir) if "scores added" in r.label and r.parameters["seed"] == seed)


def test_fine_tuned_encoders_are_fused_seed_by_seed_and_the_best_epochs_are_not(suite):
    store, runs_dir = suite
    fuse_suite(runs_dir)
    assert "protocols" not in added(runs_dir, 0).results
    for stream in STREAMS:
        add_tuned(runs_dir, store, stream, 0)
    fuse_suite(runs_dir)  # there are scores now, so it is done again
    run = added(runs_dir, 0)
    record = run.results["protocols"]["finetune"]
    (measure,) = record["measures"]
    assert measure["values"] == [1.0, 1.0] and measure["name"] == "all labels" and record["title"] == "Fine-tuned"
    assert record["settings"]["weights"] == {"joint": 0.6, "bone": 0.6, "motion": 0.4}
    assert record["settings"]["seeds"] == [0, 1] and "last epoch of three encoders" in record["settings"]["fused"]
    kept = pd.read_parquet(run.path / "predictions.parquet")
    assert (kept["finetune_0"] == kept["label"]).all() and (kept["finetune_1"] == kept["label"]).all()
    numbers = sections(find_runs(runs_dir), "Full")[0].numbers
    (number,) = [n for n in numbers if n.label == run.label and n.protocol == "finetune"]
    assert number.mean == 1.0 and number.right is not None
    joined = next(r for r in find_runs(runs_dir) if "features joined" in r.label)
    assert "protocols" not in joined.results


def test_fine_tuned_encoders_that_do_not_belong_together_are_not_fused(suite):
    store, runs_dir = suite
    for stream in STREAMS[:2]:
        add_tuned(runs_dir, store, stream, 0)
    fuse_suite(runs_dir)
    assert added(runs_dir, 0).results["protocols"]["finetune"]["not_run"] == "not fused: no scores of motion were kept"
    add_tuned(runs_dir, store, "motion", 0, tuning="cmd")
    fuse_suite(runs_dir)
    assert "motion were trained by different settings" in added(runs_dir, 0).results["protocols"]["finetune"]["not_run"]
    add_tuned(runs_dir, store, "motion", 0, damage=1)
    with pytest.raises(DataError, match="its scores are not those of finetune_0"):
        fuse_suite(runs_dir)
    scores_file(runs_dir / "full-motion-s0", "finetune").write_bytes(b"torn")
    with pytest.raises(DataError, match="not readable"):
        fuse_suite(runs_dir)
