"""What figures are made of, read from finished run folders: confusions, accuracies per class, curves, gains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.bench.results import Run
from c2vl_lab.bench.statistics import bootstrap_interval
from c2vl_lab.errors import DataError, MissingError
from c2vl_lab.logs import METRICS, read_metrics
from c2vl_lab.viz import theme


def runs_of(runs: Sequence[Run], arm: str) -> list[Run]:
    """The complete runs of one arm, one a seed; an arm is known by its label or by its short name.

    Raises:
        MissingError: there is none; the sentence names those that there are.
    """
    complete = [run for run in runs if run.status == "complete"]
    found = [run for run in complete if run.label == arm] or [run for run in complete if run.arm == arm]
    if not found:
        known = ", ".join(dict.fromkeys(f"{run.label} ({run.arm})" for run in complete)) or "none is complete"
        raise MissingError(f"No complete run of an arm '{arm}' among these: {known}.")
    return [run for run in found if run.label == found[0].label]


def confusion(runs: Sequence[Run]) -> tuple[np.ndarray, list[str]]:
    """(C, C) clips of each true class by predicted class, linear probe, summed over the runs; and the C names.

    Raises:
        MissingError: no run kept one.
        DataError: the runs have different classes.
    """
    kept = [run for run in runs if "confusion" in run.results]
    if not kept:
        raise MissingError("None of these runs kept a confusion matrix; measure them with notebook 04_evaluate.")
    classes = kept[0].results["classes"]
    if any(run.results["classes"] != classes for run in kept):
        raise DataError(f"The runs of '{kept[0].label}' have different classes, so their confusions cannot be summed.")
    return np.sum([np.asarray(run.results["confusion"]) for run in kept], axis=0), list(classes)


def class_accuracies(runs: Sequence[Run]) -> dict[str, float]:
    """Accuracy of each class, linear probe, mean over the runs; empty where none was kept."""
    found = [run.results["per_class"] for run in runs if "per_class" in run.results]
    return {name: float(np.mean([f[name] for f in found if name in f])) for name in found[0]} if found else {}


def curves(runs: Sequence[Run]) -> list[list[dict[str, Any]]]:
    """The rows of each run's ``metrics.jsonl``; runs without one are left out."""
    return [rows for run in runs if (rows := read_metrics(run.path / METRICS))]


def gain_intervals(
    before: Sequence[Run], after: Sequence[Run], metric: str = "linear", seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Of each class the 95 % interval of what ``after`` gains on ``before``, -1 to 1, on the same test clips.

    Bootstrap over the class's clips of the difference between the means over seeds
    (:func:`c2vl_lab.bench.statistics.bootstrap_interval`): it covers the chance of the clips, not that of the seeds.

    Args:
        before, after: the runs of two arms, from ``predictions.parquet``.
        metric: ``linear`` or ``knn1``.
        seed: of the draws.

    Raises:
        DataError: the arms were tested on different clips.
    """
    first, second = (_right(runs, metric) for runs in (before, after))
    if not first.index.equals(second.index):
        raise DataError(f"'{before[0].label}' and '{after[0].label}' were tested on different clips.")
    classes = before[0].results["classes"]
    difference = second["right"] - first["right"]
    return {
        classes[label]: bootstrap_interval(difference[first["label"] == label].to_numpy(), seed=seed)
        for label in np.unique(first["label"])
    }


def _right(runs: Sequence[Run], metric: str) -> pd.DataFrame:
    """Index clip name; its label, and the share of the runs that were right about it."""
    tables = []
    for run in runs:
        table = pd.read_parquet(run.path / "predictions.parquet").set_index("name")
        if metric not in table:
            raise DataError(
                f"{run.path}/predictions.parquet: wanted a column {metric}, found {', '.join(table.columns)}."
            )
        tables.append(pd.DataFrame({"label": table["label"], "right": (table["label"] == table[metric]).astype(float)}))
    joined = pd.concat(tables).groupby(level=0, sort=True)
    if (joined["right"].count() != len(tables)).any():
        raise DataError(f"{runs[0].label}: its seeds were tested on different clips, so they cannot be pooled.")
    return pd.DataFrame({"label": joined["label"].first(), "right": joined["right"].mean()})


def origin(runs: Sequence[Run]) -> str:
    """What the runs' data and teacher are not, in words; empty when both are the real thing."""
    generated = any(run.results.get("generated") for run in runs)
    stand_in = any(run.results.get("stand_in_teacher") for run in runs)
    return theme.origin_note(generated, stand_in)
