"""What runs have measured by the field's protocols, arm by arm: each seed's value and the predictions behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.bench.results import Run, prediction_table
from c2vl_lab.bench.statistics import bootstrap_interval

LINEAR, NEAREST = "Linear probe", "1-NN"  # the headings of what every run has
FORMS = {"share": (100, ".1f"), "rank": (1, ".1f")}  # how a unit is written; the others as they are, three digits


@dataclass(frozen=True)
class Number:
    """One measure of one protocol of one arm, over its seeds.

    Attributes:
        protocol: short name of the protocol; ``title``: its heading.
        measure: what was measured, in words.
        label: the arm.
        unit: ``share``, ``index``, ``rank`` or ``count``.
        values: seed to value; of several draws of a seed their mean.
        right: (clips, seeds) share of a seed's draws that were right, by clip name and seed; None where the runs keep
            no predictions of it or were not tested on the same clips.
    """

    protocol: str
    title: str
    measure: str
    label: str
    unit: str
    values: dict[int, float]
    right: pd.DataFrame | None

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(np.mean(list(self.values.values())))

    @property
    def spread(self) -> float:
        """Sample standard deviation over the seeds; NaN for one."""
        return float(np.std(list(self.values.values()), ddof=1)) if len(self.values) > 1 else float("nan")

    @property
    def text(self) -> str:
        """``84.9 ± 0.8``, shares in %."""
        scale, form = FORMS.get(self.unit, (1, ".3f"))
        return f"{scale * self.mean:{form}}" + (f" ± {scale * self.spread:{form}}" if len(self.values) > 1 else "")

    @property
    def each(self) -> str:
        """The seeds' values."""
        scale, form = FORMS.get(self.unit, (1, ".3f"))
        return " ".join(f"{scale * value:{form}}" for value in self.values.values())

    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean by bootstrap over clips, where predictions are kept."""
        return None if self.right is None else bootstrap_interval(self.right.to_numpy())


def numbers_of(arms: Mapping[str, Sequence[Run]]) -> list[Number]:
    """Every measure of every protocol of some arms, measures in their order and arms side by side.

    Args:
        arms: label to the complete runs of its seeds.
    """
    found: dict[tuple[str, str], list[Number]] = {}
    for label, runs in arms.items():
        tables = {run.path: prediction_table(run) for run in runs}
        names = dict.fromkeys(name for run in runs for name in run.results.get("protocols", {}))
        for name in names:
            records = {run.path: run.results.get("protocols", {}).get(name, {}) for run in runs}
            kept = {path: kept_predictions(own, tables[path]) for path, own in records.items()}
            measures = dict.fromkeys(m["name"] for own in records.values() for m in own.get("measures", ()))
            for measure in measures:
                here = [run for run in runs if _of(records[run.path], measure)]
                behind = {run.seed: _right(tables[run.path], kept[run.path].get(measure, [])) for run in here}
                measured = {run.seed: _of(records[run.path], measure) for run in here}
                title = records[here[0].path]["title"]
                found.setdefault((name, measure), []).append(_number(label, name, title, measured, behind))
    order = list(dict.fromkeys(name for name, _ in found))
    keys = sorted(found, key=lambda key: order.index(key[0]))
    return [number for key in keys for number in found[key]]


def plain_numbers(arms: Mapping[str, Sequence[Run]]) -> list[Number]:
    """The probe and the neighbours that every run has, in the form of a protocol's numbers."""
    found = []
    for column, title in (("linear", LINEAR), ("knn1", NEAREST)):
        for label, runs in arms.items():
            values = {r.seed: r.results["metrics"][column] for r in runs if column in r.results.get("metrics", {})}
            behind: dict[int, pd.Series | None] = {}
            for run in runs:
                table = prediction_table(run)
                behind[run.seed] = _right(table, [column] if table is not None and column in table else [])
            if values:
                found.append(Number(column, title, "accuracy", label, "share", values, side_by_side(behind)))
    return found


def not_measured(arms: Mapping[str, Sequence[Run]]) -> dict[str, dict[str, str]]:
    """Protocol to the arms of which it cannot be asked, and why."""
    found: dict[str, dict[str, str]] = {}
    for label, runs in arms.items():
        for run in runs:
            for name, record in run.results.get("protocols", {}).items():
                if "not_run" in record:
                    found.setdefault(name, {})[label] = record["not_run"]
    return found


def kept_predictions(record: Mapping[str, Any], table: pd.DataFrame | None) -> dict[str, list[str]]:
    """Measure to the columns of predictions behind it: those whose accuracies are its values.

    Columns stand in the order of the measures, and some measures have none. From the back, because of two measures
    that agree by chance the later one is the one whose predictions are kept (clusters matched on training labels).
    """
    columns = [c for c in record.get("predictions", ()) if table is not None and c in table]
    if table is None or not columns:
        return {}
    shares = {column: float((table[column] == table["label"]).mean()) for column in columns}
    found = {}
    for measure in reversed(record.get("measures", ())):
        count = len(measure.get("values", ()))
        last = columns[-count:] if count else []
        if measure["unit"] == "share" and last and np.allclose([shares[c] for c in last], measure["values"], atol=1e-9):
            found[measure["name"]], columns = last, columns[:-count]
    return found


def _of(record: Mapping[str, Any], measure: str) -> dict[str, Any]:
    return next((own for own in record.get("measures", ()) if own["name"] == measure), {})


def _right(table: pd.DataFrame | None, columns: list[str]) -> pd.Series | None:
    """Share of a run's draws that were right, for each test clip by name."""
    if table is None or not columns:
        return None
    right = table[columns].eq(table["label"], axis=0).mean(axis=1)
    return pd.Series(right.to_numpy(), index=table["name"]).sort_index()


def _number(
    label: str, name: str, title: str, measured: dict[int, dict[str, Any]], behind: dict[int, pd.Series | None]
) -> Number:
    """One measure over the seeds that have it."""
    values = {seed: float(record["mean"]) for seed, record in measured.items()}
    first = next(iter(measured.values()))
    return Number(name, title, first["name"], label, first["unit"], values, side_by_side(behind))


def side_by_side(columns: Mapping[int, pd.Series | None]) -> pd.DataFrame | None:
    """(clips, seeds) of every seed's column; None where one is absent or has other clips."""
    kept = {seed: column for seed, column in columns.items() if column is not None}
    same = len({tuple(column.index) for column in kept.values()}) == 1
    return pd.DataFrame(kept) if same and len(kept) == len(columns) else None
