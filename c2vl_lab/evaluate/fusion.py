"""Three streams as one: finished runs on joints, bones and motion, class scores added or features joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.artifacts import atomic_path, read_json, write_json
from c2vl_lab.data.protocols import Split
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.evaluate.outcome import Measure, Outcome, accuracy_measure
from c2vl_lab.evaluate.probes import linear_probe

# The field's fixed weights (AimCLR's and CTR-GCN's ensembles). None are searched, least of all on test labels.
STREAM_WEIGHTS = {"joint": 0.6, "bone": 0.6, "motion": 0.4}
Record = dict[str, Any]
SAME = ("dataset", "protocol", "seed", "arm")  # what three runs must share


def stream_runs(run_dirs: Sequence[str | Path]) -> dict[str, Path]:
    """The folders of three finished runs by their stream: joint, bone, motion.

    Raises:
        MissingError: a folder holds no finished run.
        ConfigError: not one run of each stream, or runs of another set, protocol, seed or arm.
    """
    cards = {}
    for folder in map(Path, run_dirs):
        if not (folder / "results.json").is_file() or not (folder / "features.npy").is_file():
            raise MissingError(f"{folder} is no finished run (no results.json or features.npy). Evaluate it first.")
        cards[folder] = read_json(folder / "results.json")
    first = next(iter(cards), None)
    for folder, card in cards.items():
        for name, one, other in zip(SAME, _shared(cards[first]), _shared(card), strict=True) if first else ():
            if one != other:
                raise ConfigError(
                    f"Streams are fused of one set, protocol, seed and arm; {name} is {one} in {first} and {other} in "
                    f"{folder}."
                )
    found = {str(card["config"]["stream"]): folder for folder, card in cards.items()}
    if len(cards) != len(STREAM_WEIGHTS) or set(found) != set(STREAM_WEIGHTS):
        streams = ", ".join(str(card["config"]["stream"]) for card in cards.values()) or "none"
        raise ConfigError(f"Fusion wants one run each of {', '.join(STREAM_WEIGHTS)}, found {streams}.")
    return {stream: found[stream] for stream in STREAM_WEIGHTS}


def fuse_runs(store: SkeletonStore, split: Split, runs: Mapping[str, Path], seed: int) -> Outcome:
    """Linear probes of three streams, alone and fused in three ways.

    Each stream has a probe of its own (logistic regression, chosen inside the training part). Fused are their logits,
    as AimCLR and CTR-GCN add them, and their probabilities, at the fixed weights 0.6, 0.6 and 0.4; and a probe is
    trained on the three features one behind the other.

    Args:
        store: the recordings of the runs.
        split: their protocol's parts.
        runs: stream to run folder, of :func:`stream_runs`.
        seed: of the probes' folds.

    Raises:
        DataError: a run's features are not of this store.
    """
    features = {stream: stream_features(folder, len(store)) for stream, folder in runs.items()}
    joined = np.concatenate(list(features.values()), axis=1)
    train, test = (part[np.isfinite(joined[part]).all(axis=1)] for part in (split.train, split.test))
    labels, groups = store.labels[train], store.clips["subject"].to_numpy()[train]
    parts = {**features, "features joined": joined}
    probes = {
        name: linear_probe(rows[train], labels, groups, rows[test], seed=seed).classifier
        for name, rows in parts.items()
    }
    logits = {name: probes[name].scores(rows[test]) for name, rows in features.items()}
    predicted = {name: probes[name].predict(rows[test]) for name, rows in parts.items()}
    predicted["logits added"] = fused(logits)
    predicted["probabilities added"] = fused({name: _softmax(rows) for name, rows in logits.items()})
    truth = store.labels[test]
    measures: list[Measure] = [accuracy_measure(name, [own], truth) for name, own in predicted.items()]
    settings = {
        "weights": dict(STREAM_WEIGHTS),
        "probe": "logistic regression on frozen features, its strength chosen inside the training part",
        "fused": "logits or probabilities of three probes, added at the weights; or one probe on three features joined",
        "runs": {stream: folder.name for stream, folder in runs.items()},
        "seed": seed,
    }
    shown = {"logits added": predicted["logits added"], **predicted}  # whose classes and confusions are shown
    columns = {f"fused_{name.replace(' ', '_')}": own for name, own in shown.items()}
    return Outcome(settings, measures, columns, {"tested": [store.names[i] for i in test]})


def fused(scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """(m,) classes of the weighted sum of three streams' (m, C) scores."""
    return sum(STREAM_WEIGHTS[stream] * rows for stream, rows in scores.items()).argmax(axis=1)  # type: ignore[union-attr]


def save_fusion(
    outcome: Outcome,
    store: SkeletonStore,
    output: str | Path,
    tuned: Mapping[str, Record | Outcome] | None = None,
) -> dict[str, Any]:
    """Write ``fusion.json`` and, for paired tests, ``predictions.parquet`` into a folder; the content of the former.

    Args:
        outcome: of :func:`fuse_runs`.
        store: the recordings.
        output: the folder.
        tuned: of :func:`c2vl_lab.evaluate.tuned_fusion.fuse_tuned`; under ``protocols``, as in a run's results.
    """
    output = Path(output)
    names = outcome.kept["tested"]
    rows = [store.names.index(name) for name in names]
    truth = store.labels[rows]
    record = {"title": "Three streams", **outcome.record(truth, store.classes)}
    records, columns = in_run(tuned or {}, truth, store.classes)
    record |= {"protocols": records} if records else {}
    with atomic_path(output / "predictions.parquet") as temporary:
        table = {"name": names, "label": truth, **outcome.predicted, **columns}
        pd.DataFrame(table).to_parquet(temporary, index=False)
    write_json(output / "fusion.json", record)
    return record


def in_run(
    tuned: Mapping[str, Record | Outcome], truth: np.ndarray, classes: list[str]
) -> tuple[Record, dict[str, np.ndarray]]:
    """Fused protocols in the form of a run's: records for ``results.json``, and columns of predictions."""
    records: Record = {}
    columns: dict[str, np.ndarray] = {}
    for name, own in tuned.items():
        records[name] = own.record(truth, classes) if isinstance(own, Outcome) else own
        columns |= own.predicted if isinstance(own, Outcome) else {}
    return records, columns


def _shared(card: dict[str, Any]) -> tuple[Any, ...]:
    """What must be the same, in the order of :data:`SAME`; a data set is known by its fingerprint too."""
    config = card["config"]
    return f"{card['dataset']} {card['fingerprint']}", config["protocol"], config["seed"], config["arm"]


def stream_features(folder: Path, count: int) -> np.ndarray:
    """(count, D) features that a run has left of all clips.

    Raises:
        DataError: the file cannot be read, or holds features of another number of clips.
    """
    try:
        rows = np.load(folder / "features.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{folder / 'features.npy'}: not readable ({error}). Evaluate the run again.") from error
    if rows.ndim != 2 or len(rows) != count:
        raise DataError(f"{folder / 'features.npy'}: wanted features of {count} clips, found the shape {rows.shape}.")
    return rows


def _softmax(logits: np.ndarray) -> np.ndarray:
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    return share / share.sum(axis=1, keepdims=True)
