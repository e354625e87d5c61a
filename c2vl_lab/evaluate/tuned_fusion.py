"""Three streams as one where the encoders were trained on labels: their last-epoch scores, added at fixed weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from c2vl_lab.artifacts import read_json
from c2vl_lab.data.copies import copies_of_training
from c2vl_lab.data.protocols import Split
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import DataError
from c2vl_lab.evaluate.fusion import STREAM_WEIGHTS, Record, fused
from c2vl_lab.evaluate.outcome import Measure, Outcome, accuracy_measure
from c2vl_lab.evaluate.scores import load_scores, scores_file
from c2vl_lab.evaluate.tuned_protocols import BEST, COPIES_OUT

Scores = dict[str, np.ndarray]  # column of predictions to (m, C)
PROTOCOLS = ("finetune", "scratch", "semi-finetune", "semi-scratch")


def fuse_tuned(store: SkeletonStore, split: Split, runs: Mapping[str, Path]) -> dict[str, Record | Outcome]:
    """The protocols that train the encoder, of three streams together: seed by seed, or draw by draw.

    The three encoders were trained by the same settings, seeds and labelled clips. Their logits of the last epoch are
    added at 0.6, 0.6 and 0.4; nothing is trained or chosen here.

    Args:
        store: the recordings of the runs.
        split: their protocol's parts.
        runs: stream to run folder, of :func:`c2vl_lab.evaluate.fusion.stream_runs`.

    Returns:
        Protocol to its outcome; where not all three streams can be fused, to a record that says why. A protocol of
        which no run keeps scores is not among them.

    Raises:
        DataError: scores are damaged, or not those of the kept predictions.
    """
    found: dict[str, Record | Outcome] = {}
    measured = {stream: read_json(folder / "results.json").get("protocols", {}) for stream, folder in runs.items()}
    for name in PROTOCOLS:
        records = {stream: own[name] for stream, own in measured.items() if "measures" in own.get(name, {})}
        scores = {stream: load_scores(scores_file(runs[stream], name)) for stream in records}
        if not any(scores.values()):
            continue
        tables = {stream: pd.read_parquet(folder / "predictions.parquet") for stream, folder in runs.items()}
        if reason := _why_not(scores, records, tables):
            found[name] = {"title": next(iter(records.values()))["title"], "not_run": reason}
            continue
        for stream, folder in runs.items():
            _check(scores[stream], tables[stream], scores_file(folder, name))
        found[name] = _outcome(store, split, records["joint"], tables["joint"], scores)
    return found


def _why_not(
    scores: Mapping[str, Scores],
    records: Mapping[str, Record],
    tables: Mapping[str, pd.DataFrame],
) -> str:
    """Why streams cannot be fused, or nothing."""
    absent = [stream for stream in STREAM_WEIGHTS if not scores.get(stream)]
    if absent:
        return f"not fused: no scores of {' and '.join(absent)} were kept"
    for stream in STREAM_WEIGHTS:
        if records[stream]["settings"] != records["joint"]["settings"] or set(scores[stream]) != set(scores["joint"]):
            return f"not fused: joint and {stream} were trained by different settings or seeds"
        if list(tables[stream]["name"]) != list(tables["joint"]["name"]):
            return f"not fused: joint and {stream} were tested on different clips"
    return ""


def _check(scores: Scores, table: pd.DataFrame, path: Path) -> None:
    """Refuse scores of which the highest are not those of the kept predictions."""
    for column, rows in scores.items():
        known = column in table and len(rows) == len(table)
        if not known or (rows[np.arange(len(rows)), table[column]] < rows.max(axis=1)).any():
            raise DataError(f"{path}: its scores are not those of {column} in the run's predictions. Measure it again.")


def _outcome(
    store: SkeletonStore,
    split: Split,
    record: Record,
    table: pd.DataFrame,
    scores: Mapping[str, Scores],
) -> Outcome:
    """The measures of a run's record, of the fused predictions."""
    columns = list(record["predictions"])
    predicted = {c: fused({s: rows[c].astype(np.float32) for s, rows in scores.items()}) for c in columns}
    truth = table["label"].to_numpy()
    copies = {store.names[i] for i in split.test[copies_of_training(store, split)]}
    distinct = ~table["name"].isin(copies).to_numpy()
    measures: list[Measure] = []
    group: list[np.ndarray] = []
    for measure in record["measures"]:
        name = measure["name"]
        if name.endswith(BEST):
            continue  # a best epoch of three trainings is none of their sum
        if name.endswith(COPIES_OUT):
            measures.append(accuracy_measure(name, [own[distinct] for own in group], truth[distinct]))
            continue
        group, columns = [predicted[c] for c in columns[: len(measure["values"])]], columns[len(measure["values"]) :]
        measures.append(accuracy_measure(name, group, truth))
    how = "logits of the last epoch of three encoders, one a stream, added at the weights; nothing is chosen"
    settings = {"fused": how, "weights": dict(STREAM_WEIGHTS), **record["settings"]}
    kept: Record = {name: record[name] for name in ("title", "drawn") if name in record}
    return Outcome(settings, measures, predicted, kept)
