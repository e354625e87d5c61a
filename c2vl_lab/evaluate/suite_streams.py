"""The streams of a suite: where an arm was run on joints, bones and motion, its three runs fused, seed by seed.

Each fusion becomes a folder ``fused/<name>`` among the runs, with results and predictions in the form of a run's, so
that every table and paired test treats it as one more arm, whose name says what was fused. Scores are the logits of
three linear probes, added at the field's fixed weights; features are set one behind the other. Where the three runs
have measured a protocol that trains the encoder, the row of added scores has the sum of these encoders' logits too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from c2vl_lab.artifacts import atomic_folder, file_sha256, fingerprint, read_json, write_json
from c2vl_lab.bench.results import FUSED, Run, find_runs
from c2vl_lab.bench.suite import shapes_run
from c2vl_lab.data.copies import copies_of_training
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.protocols import Split, make_split
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.evaluate.fusion import STREAM_WEIGHTS, fuse_runs, in_run, stream_features
from c2vl_lab.evaluate.neighbours import nearest_neighbours
from c2vl_lab.evaluate.outcome import class_record
from c2vl_lab.evaluate.rows import share, unit
from c2vl_lab.evaluate.scores import FILES as SCORES
from c2vl_lab.evaluate.tuned_fusion import fuse_tuned

VERSION = 1  # raised when a fusion's numbers change
WAYS = {"scores added": "logits_added", "features joined": "features_joined"}
SHARED = [
    "format",
    "dataset",
    "generated",
    "fingerprint",
    "pretrained_on",
    "split",
    "stand_in_teacher",
    "teacher",
    "device",
]
SHARED += ["threads", "versions", "notes", "classes"]


def fuse_suite(
    runs_dir: str | Path, work_dir: str = "", data_dir: str = "", progress: Callable[[str], None] | None = None
) -> list[Path]:
    """Fuse the streams of a suite's complete runs; what was fused before of the same features stays as it is.

    Args:
        runs_dir: folder of the runs.
        work_dir: where the stores are; empty: where the runs had them.
        data_dir: folder of the published files, from which an absent store is made; empty: where the runs had them.
        progress: receives a line for each arm and seed.

    Returns:
        The folders of the fused rows; none where no arm was run on all three streams.

    Raises:
        MissingError: there is no run, or the recordings are not there any more.
        DataError: a run's features are not of these recordings.
    """
    runs_dir, say = Path(runs_dir), progress or (lambda line: None)
    opened: dict[tuple[str, str], tuple[SkeletonStore, Split]] = {}
    found = []
    for runs in _triples(find_runs(runs_dir)):
        folders = {way: runs_dir / FUSED / _name(runs["joint"], way) for way in WAYS}
        kept = [path for s in STREAM_WEIGHTS for path in (runs[s].path / "features.npy", *_scores(runs[s]))]
        inputs = fingerprint(VERSION, [file_sha256(path) for path in kept])
        found += list(folders.values())
        if all(_known(folder) == inputs for folder in folders.values()):
            continue
        joint = runs["joint"]
        say(f"fusing the streams of {joint.label}, seed {joint.parameters['seed']}")
        key = str(joint.parameters["dataset"]), str(joint.parameters["protocol"])
        if key not in opened:
            own = {name: str(joint.parameters.get(name, "")) for name in ("data_dir", "work_dir")}
            store = open_dataset(key[0], data_dir or own["data_dir"], work_dir or own["work_dir"], progress)
            opened[key] = store, make_split(store, key[1])
        with threadpool_limits(1):  # small problems: threads would wait for one another longer than they compute
            _fuse(runs, folders, inputs, *opened[key])
    return found


def _triples(runs: list[Run]) -> list[dict[str, Run]]:
    """Complete runs that differ in nothing but their stream, by stream, in the order of the runs."""
    groups: dict[str, dict[str, Run]] = {}
    for run in runs:
        stream = run.parameters.get("stream")
        if run.status == "complete" and stream in STREAM_WEIGHTS and run.results.get("encoder"):
            groups.setdefault(_key(run), {})[stream] = run
    return [group for group in groups.values() if set(group) == set(STREAM_WEIGHTS)]


def _key(run: Run) -> str:
    """The same for runs that differ in their stream alone."""
    own = {name: value for name, value in run.parameters.items() if shapes_run(name) and name != "stream"}
    return fingerprint(own, run.results.get("fingerprint", ""))[:8]


def _name(joint: Run, way: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", f"{joint.arm} {way}".lower())
    return f"{slug}-s{joint.parameters['seed']}-{_key(joint)}"


def _scores(run: Run) -> list[Path]:
    """The files of scores that a run keeps."""
    return sorted(run.path.glob(SCORES))


def _known(folder: Path) -> str:
    """What an earlier fusion was made from."""
    path = folder / "results.json"
    return str(read_json(path)["fused"]["inputs"]) if path.is_file() else ""


def _fuse(runs: dict[str, Run], folders: dict[str, Path], inputs: str, store: SkeletonStore, split: Split) -> None:
    """Fuse three runs and write a folder for each way."""
    joint, seed = runs["joint"], int(runs["joint"].parameters["seed"])
    outcome = fuse_runs(store, split, {stream: run.path for stream, run in runs.items()}, seed)
    place = {name: index for index, name in enumerate(store.names)}
    test = np.array([place[name] for name in outcome.kept["tested"]])
    copied = np.isin(test, split.test[copies_of_training(store, split)])
    tuned = fuse_tuned(store, split, {stream: run.path for stream, run in runs.items()})
    for way, folder in folders.items():
        predicted = {"linear": outcome.predicted[f"fused_{WAYS[way]}"]}
        if way == "features joined":
            predicted |= _neighbours(runs, store, split, test)
        card = _card(runs, way, store.labels[test], predicted, copied)
        records, columns = in_run(tuned if way == "scores added" else {}, store.labels[test], store.classes)
        card |= {"protocols": records} if records else {}
        card["fused"] = outcome.settings | {"way": way, "inputs": inputs}
        table = {"name": outcome.kept["tested"], "label": store.labels[test], **predicted, **columns}
        label = f"{joint.label}, three streams, {way}"
        with atomic_folder(folder) as temporary:
            pd.DataFrame(table).to_parquet(temporary / "predictions.parquet", index=False)
            write_json(temporary / "run.json", {"id": folder.name, "label": label, "parameters": card["config"]})
            write_json(temporary / "results.json", card)


def _neighbours(runs: dict[str, Run], store: SkeletonStore, split: Split, test: np.ndarray) -> dict[str, np.ndarray]:
    """Nearest neighbours among joined features, each stream centred and of unit length so that none outweighs."""
    streams = [stream_features(run.path, len(store)) for run in runs.values()]
    train = split.train[np.isfinite(np.concatenate(streams, axis=1)[split.train]).all(axis=1)]
    joined = np.concatenate([unit(rows - rows[train].mean(axis=0)) for rows in streams], axis=1)
    found = nearest_neighbours(joined[train], store.labels[train], joined[test])
    return {f"knn{k}": found[k] for k in (1, 5) if k in found}


def _card(
    runs: dict[str, Run], way: str, truth: np.ndarray, predicted: dict[str, np.ndarray], copied: np.ndarray
) -> dict[str, Any]:
    """``results.json`` of a fusion, in the form of a run's."""
    results = [run.results for run in runs.values()]
    first = runs["joint"]
    metrics = {name: share(own, truth) for name, own in predicted.items()}
    if copied.any() and not copied.all():
        metrics |= {
            f"{name}_distinct": share(own[~copied], truth[~copied])
            for name, own in predicted.items()
            if name in ("linear", "knn1")
        }
    seconds = {name: sum(own["seconds"][name] for own in results) for name in ("pretrain", "evaluate")}
    size = sum(own["encoder"]["parameters"] for own in results)
    return {
        **{name: first.results[name] for name in SHARED if name in first.results},
        "config": {**first.parameters, "stream": "three streams", "fusion": way},
        "encoder": {"name": f"{first.results['encoder']['name']}, three", "parameters": size},
        "seconds": seconds,
        "metrics": metrics,
        **class_record(first.results["classes"], truth, predicted["linear"]),
    }
