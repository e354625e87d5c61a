"""What a protocol hands back: its settings, its numbers with their spread, and every prediction behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from c2vl_lab.bench.statistics import bootstrap_interval
from c2vl_lab.evaluate.probes import confusion_matrix


@dataclass(frozen=True)
class Measure:
    """One number of a protocol.

    Attributes:
        name: what was measured, in a few words.
        values: one a seed or draw, in their order; accuracies from 0 to 1.
        unit: ``share``, ``index`` (agreement, at most 1), ``rank`` or ``count``.
        low, high: 95 % interval of the mean by bootstrap over test clips; None where clips cannot be drawn again.
        clips: how many test clips the number is of.
    """

    name: str
    values: tuple[float, ...]
    clips: int
    unit: str = "share"
    low: float | None = None
    high: float | None = None

    def record(self) -> dict[str, Any]:
        """Plain values for ``results.json``; the spread is the sample standard deviation, None of a single value."""
        spread = float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None
        return {
            "name": self.name,
            "mean": float(np.mean(self.values)),
            "spread": spread,
            "values": list(self.values),
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
            "clips": self.clips,
        }


@dataclass(frozen=True)
class Outcome:
    """One protocol on one run.

    Attributes:
        settings: everything that the numbers depend on, in words and plain values.
        measures: the numbers.
        predicted: column name to (m,) predicted classes of the test clips, kept for paired tests; accuracy per class
            and confusion matrix are those of the first.
        kept: more that belongs into ``results.json``, such as the names of drawn clips.
    """

    settings: dict[str, Any]
    measures: list[Measure]
    predicted: dict[str, np.ndarray] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)

    def record(self, truth: np.ndarray, classes: list[str]) -> dict[str, Any]:
        """Plain values for ``results.json``; truth: (m,) labels of the test clips."""
        first = next(iter(self.predicted.items()), None)
        shown = {} if first is None else {"shown": first[0], **class_record(classes, truth, first[1])}
        measures = [measure.record() for measure in self.measures]
        columns = list(self.predicted)
        return {"settings": self.settings, "measures": measures, "predictions": columns, **shown, **self.kept}


def accuracy_measure(name: str, predicted: Sequence[np.ndarray], truth: np.ndarray) -> Measure:
    """Accuracy of one prediction a seed or draw, each (m,), with its interval over clips."""
    right = np.stack([own == truth for own in predicted], axis=1)
    low, high = bootstrap_interval(right)
    return Measure(name, tuple(map(float, right.mean(axis=0))), len(truth), low=low, high=high)


def class_record(classes: list[str], labels: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Confusion matrix, and accuracy of each class that the test part holds."""
    known = predicted >= 0  # a cluster that belongs to no class predicts none
    matrix = confusion_matrix(labels[known], predicted[known], len(classes))
    counts = np.bincount(labels, minlength=len(classes))
    shares = {name: float(matrix[i, i] / counts[i]) for i, name in enumerate(classes) if counts[i]}
    return {"confusion": matrix.tolist(), "per_class": shares}
