"""Accuracies as pictures: bars of every arm of an ablation, and dots for all protocols of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.errors import DataError
from c2vl_lab.figures.canvas import PAGE, SMALLEST, Look, PaperFigure, numbers, painter
from c2vl_lab.figures.parts import legend_above, shortened, wrapped
from c2vl_lab.viz import theme
from c2vl_lab.viz.log_columns import METRIC_TITLES

BARS = (("#0072B2", ""), ("#E69F00", "////"), ("#009E73", "...."), ("#CC79A7", "xxxx"))


def ablation_bars(table: pd.DataFrame, metrics: Sequence[str] = ("linear", "knn1"), look: Look = PAGE) -> PaperFigure:
    """Accuracy of every arm: mean as a bar, sample standard deviation over seeds as a whisker, each seed as a dot.

    Args:
        table: rows of :func:`c2vl_lab.bench.results.aggregate`: columns ``label``, ``metric``, ``mean``, ``std`` (NaN
            of a single seed) and ``values``, accuracies from 0 to 1. Arms keep their order.
        metrics: which metrics, one colour each.
        look: venue, columns, note.

    Raises:
        DataError: the table holds none of the metrics.
    """
    shown = [m for m in metrics if len(table) and (table["metric"] == m).any()]
    if not shown:
        raise DataError(f"There is nothing to draw: no result holds one of {', '.join(metrics)}.")
    labels = list(dict.fromkeys(table["label"]))
    bars = {}
    for metric in shown:
        rows = table[table["metric"] == metric]
        bars[metric] = {
            "arm": [labels.index(label) for label in rows["label"]],
            "mean in %": (100 * rows["mean"]).tolist(),
            "std in %": (100 * rows["std"]).tolist(),
            "seeds in %": [[100 * value for value in values] for values in rows["values"]],
        }
    return paint_ablation_bars({"arms": labels, "bars": bars}, look)


@painter
def paint_ablation_bars(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Horizontal bars, arms from top to bottom."""
    arms, bars = data["arms"], data["bars"]
    labels = [wrapped(arm, 0.38 * look.width, 7) for arm in arms]
    each = max(0.14 * (len(bars) + 0.7), 0.125 * max(label.count("\n") + 1 for label in labels) + 0.08)
    axes, height, keys = figure.subplots(), 0.8 / len(bars), []
    for order, own in enumerate(bars.values()):
        place = np.array(own["arm"]) + (order - (len(bars) - 1) / 2) * height
        mean, std = numbers(own["mean in %"]), np.nan_to_num(numbers(own["std in %"]))
        color, hatch = BARS[order % len(BARS)]
        keys.append(axes.barh(place, mean, height * 0.9, color=color, hatch=hatch, edgecolor="white", linewidth=0))
        seen = std > 0
        axes.errorbar(
            mean[seen],
            place[seen],
            xerr=std[seen],
            fmt="none",
            ecolor=look.ink,
            elinewidth=0.8,
            capsize=1.5,
            capthick=0.8,
        )
        for y, values in zip(place, own["seeds in %"], strict=True):
            if len(values) > 1:
                dot: dict[str, Any] = {
                    "markersize": 2.2,
                    "color": "white",
                    "markeredgecolor": look.ink,
                    "markeredgewidth": 0.4,
                }
                axes.plot(values, np.full(len(values), y), "o", **dot)
        for y, m, end in zip(place, mean, np.maximum(mean + std, [max(v) for v in own["seeds in %"]]), strict=True):
            away: dict[str, Any] = {"xytext": (3, 0), "textcoords": "offset points"}
            axes.annotate(f"{m:.1f}", (end, y), va="center", fontsize=SMALLEST, **away)
    axes.set_yticks(range(len(arms)), labels)
    axes.set_ylim(len(arms) - 0.45, -0.55)
    axes.set(xlim=(0, 100 + 28 / (0.58 * look.width - 0.28)), xlabel="accuracy on the test split, %")
    axes.set_xticks(range(0, 101, 20))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    names = [METRIC_TITLES.get(metric, metric) for metric in bars]
    figure.tall(min(0.45 + each * len(arms), 8.0) + legend_above(axes, keys, names, look))


def protocol_dots(records: Mapping[str, Mapping[str, Any]], look: Look = PAGE) -> PaperFigure:
    """Every share of every protocol, one panel a protocol, from 0 to 100 %.

    A dot is a number, a line its 95 % interval, small dots are seeds or draws.

    Args:
        records: protocol name to what ``results.json`` keeps of it under ``protocols``; ranks and indices are left to
            the table.
        look: venue, columns, note.

    Raises:
        DataError: no protocol was measured.
    """
    panels = {
        record["title"]: [m for m in record["measures"] if m["unit"] == "share"]
        for record in records.values()
        if any(m["unit"] == "share" for m in record.get("measures", ()))
    }
    if not panels:
        raise DataError("There is nothing to draw: no protocol was measured. Name some, for example protocols='all'.")
    kept = ("name", "mean", "low", "high", "values")
    return paint_protocol_dots(
        {"panels": {t: [{k: m[k] for k in kept} for m in own] for t, own in panels.items()}}, look
    )


@painter
def paint_protocol_dots(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Panels under one another on one axis."""
    panels = data["panels"]
    sizes = [len(measures) + 1.5 for measures in panels.values()]
    figure.tall(0.4 + 0.16 * sum(sizes))
    places = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=sizes)[:, 0]
    for axes, (heading, measures) in zip(places, panels.items(), strict=True):
        for row, measure in enumerate(measures):
            if measure["low"] is not None:
                axes.hlines(
                    row, 100 * measure["low"], 100 * measure["high"], color=theme.QUIET, linewidth=2.5, zorder=1
                )
            if len(measure["values"]) > 1:
                each = [100 * value for value in measure["values"]]
                axes.plot(each, [row] * len(each), "o", color=theme.ACCENT, markersize=2, alpha=0.6, zorder=2)
            axes.plot(100 * measure["mean"], row, "o", color=theme.ACCENT, markersize=4.5, zorder=3)
        axes.set_yticks(range(len(measures)), [shortened(m["name"], 44) for m in measures])
        axes.set_title(heading, loc="left")
        axes.set(xlim=(-1, 101), ylim=(len(measures) - 0.5, -0.5))
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
    places[-1].set_xlabel("% on the test part; line: 95 % interval over test clips; small dots: seeds or draws")
