"""Three streams: fused at the fixed weights, refused where they do not belong together, and the two commands."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from test_evaluate_protocols import run_of, store_of

from c2vl_lab.cli import main
from c2vl_lab.data.protocols import make_split
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.evaluate.fusion import STREAM_WEIGHTS, fuse_runs, fused, save_fusion, stream_runs

FACTOR = {"joint": 0.6, "bone": 0.6, "motion": 0.4}


def finished(folder, stream, features, **changes):
    """A folder as an evaluated run leaves it."""
    folder.mkdir(parents=True)
    config = {"protocol": "xsub", "seed": 0, "arm": "full", "stream": stream} | changes
    card = {"dataset": "own", "fingerprint": config.pop("fingerprint", "00"), "config": config}
    (folder / "results.json").write_text(json.dumps(card))
    np.save(folder / "features.npy", features)
    return folder


@pytest.fixture
def streams(tmp_path):
    """A store, and three runs of it whose features each tell a third of the classes apart."""
    store = store_of(tmp_path / "store")
    rng = np.random.default_rng(0)
    runs = []
    for number, stream in enumerate(STREAM_WEIGHTS):
        told = np.where(store.labels // 2 == number, store.labels, -1)
        features = np.eye(7)[told] + 0.2 * rng.normal(size=(96, 7))
        runs.append(finished(tmp_path / stream, stream, features.astype(np.float32)))
    return store, runs


def test_the_weights_are_the_fields_and_the_sum_is_the_loops():
    assert STREAM_WEIGHTS == {"joint": 0.6, "bone": 0.6, "motion": 0.4}
    scores = {name: np.random.default_rng(k).normal(size=(9, 4)) for k, name in enumerate(STREAM_WEIGHTS)}
    slow = [
        int(np.argmax([0.6 * scores["joint"][i, c] + 0.6 * scores["bone"][i, c] + 0.4 * scores["motion"][i, c]
                       for c in range(4)]))
        for i in range(9)
    ]  # fmt: skip
    assert fused(scores).tolist() == slow


def test_streams_that_complete_one_another_are_worth_more_together(streams, tmp_path):
    store, runs = streams
    found = stream_runs(runs[::-1])
    assert list(found) == ["joint", "bone", "motion"]
    outcome = fuse_runs(store, make_split(store, "xsub"), found, seed=0)
    means = {measure.name: measure.values[0] for measure in outcome.measures}
    alone = max(means[stream] for stream in STREAM_WEIGHTS)
    for way in ("logits added", "probabilities added", "features joined"):
        assert means[way] > alone + 0.1
    assert outcome.settings["weights"] == STREAM_WEIGHTS and "logits or probabilities" in outcome.settings["fused"]
    record = save_fusion(outcome, store, tmp_path / "fused")
    table = pd.read_parquet(tmp_path / "fused" / "predictions.parquet")
    assert (table["label"] == table["fused_logits_added"]).mean() == means["logits added"]
    assert record["shown"] == "fused_logits_added" and len(table) == 48
    assert json.loads((tmp_path / "fused" / "fusion.json").read_text()) == record


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, "seed is 0 in .*joint and 1 in .*motion"),
        ({"protocol": "xview"}, "protocol is xsub in"),
        ({"fingerprint": "ff"}, "dataset is own 00 in .* and own ff in"),
        ({"arm": "hard"}, "arm is full in .* and hard in"),
        ({"stream": "bone"}, "one run each of joint, bone, motion, found joint, bone, bone"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(streams, tmp_path, changes, words):
    _, runs = streams
    other = finished(tmp_path / "other-motion", **({"stream": "motion", "features": np.zeros((96, 3))} | changes))
    with pytest.raises(ConfigError, match=words):
        stream_runs([*runs[:2], other])


def test_two_streams_unfinished_runs_and_foreign_features_are_refused(streams, tmp_path):
    store, runs = streams
    with pytest.raises(ConfigError, match="found joint, bone"):
        stream_runs(runs[:2])
    with pytest.raises(MissingError, match="no finished run"):
        stream_runs([*runs[:2], tmp_path / "nowhere"])
    np.save(runs[2] / "features.npy", np.zeros((5, 3), np.float32))
    with pytest.raises(DataError, match=r"wanted features of 96 clips, found the shape \(5, 3\)"):
        fuse_runs(store, make_split(store, "xsub"), stream_runs(runs), 0)
    (runs[2] / "features.npy").write_bytes(b"torn")
    with pytest.raises(DataError, match="not readable"):
        fuse_runs(store, make_split(store, "xsub"), stream_runs(runs), 0)


def test_the_commands_measure_compare_and_fuse(tmp_path, capsys):
    store = store_of(tmp_path / "store")
    for stream in STREAM_WEIGHTS:
        run_of(tmp_path / stream, store, "untrained", "", stream=stream, work_dir=str(tmp_path / "work"))
    tuning = ["--tuning", "epochs=2 least_steps=0 batch_size=12 seeds=1 draws=2 augmentation=none", "--device", "cpu"]
    runs = [str(tmp_path / stream / "untrained") for stream in STREAM_WEIGHTS]
    assert main(["evaluate", runs[0], "--protocols", "knn", "--against", runs[1], "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    for words in ("k = 5, plain cosine", "majority vote", "linear probe", "McNemar p"):
        assert words in shown
    assert main(["evaluate", *runs, "--protocols", "finetune,semi-finetune", *tuning]) == 0
    capsys.readouterr()
    assert main(["fuse", *runs, "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "probabilities added" in shown and "logits of the last epoch of three encoders" in shown
    made = tmp_path / "joint" / "untrained-fused"
    records = json.loads((made / "fusion.json").read_text())["protocols"]
    table = pd.read_parquet(made / "predictions.parquet")
    for name, count in (("finetune", 1), ("semi-finetune", 8)):
        scores = {
            stream: load_file(tmp_path / stream / "untrained" / f"scores-{name}.safetensors") for stream in FACTOR
        }
        assert len(records[name]["predictions"]) == count == len(scores["joint"])
        for column in records[name]["predictions"]:
            slow = [
                max(range(6), key=lambda c: sum(FACTOR[s] * float(scores[s][column][i, c]) for s in FACTOR))
                for i in range(len(table))
            ]
            assert table[column].tolist() == slow
    few = records["semi-finetune"]
    values = [v for measure in few["measures"] for v in measure["values"]]
    assert values == [(table[column] == table["label"]).mean() for column in few["predictions"]]
    assert len(few["measures"]) == 4 and few["drawn"]["5 %"].keys() == {"0", "1"}
    for words, sentence in (
        (["evaluate", runs[0], "--protocols", "kn"], "Did you mean 'knn'"),
        (["evaluate", str(tmp_path / "no")], "No config.json in"),
        (["evaluate", runs[0], "--protocols", "", "--against", str(tmp_path)], "keeps no predictions"),
        (["fuse", *runs[:2]], "one run each of joint, bone, motion"),
    ):
        assert main(words) == 2
        assert sentence in capsys.readouterr().err
