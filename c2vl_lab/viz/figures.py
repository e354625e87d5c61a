"""Figures for paper and report, drawn by matplotlib: vector text, one column wide, the same bytes every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.errors import DataError
from c2vl_lab.viz import theme

METRIC_TITLES = {
    "linear": "linear probe",
    "knn1": "1-NN",
    "knn5": "5-NN",
    "knn10": "10-NN",
    "knn20": "20-NN",
    "linear_distinct": "linear, copies left out",
    "knn1_distinct": "1-NN, copies left out",
    "zero_shot": "zero-shot",
    "text_to_skeleton": "text to skeleton, R@1",
    "skeleton_to_text": "skeleton to text, R@1",
}
NOT_A_LOSS = (
    *("epoch", "step", "loss", "alpha", "kappa", "lr", "clips_per_second", "seconds", "seconds_left", "time"),
    *("skipped", "knn1"),
)
BESIDE = {  # what is drawn beside the loss, where a log has it: label and factor
    "alpha": ("alpha (soft targets)", 1),
    "kappa": ("kappa (logit scale)", 1),
    "lr": ("learning rate", 1),
    "knn1": ("1-NN in training, %", 100),
    "clips_per_second": ("clips a second", 1),
}


def save_figure(figure: Figure, path: str | Path) -> list[Path]:
    """Write ``path`` as PDF and PNG; the same figure gives the same bytes.

    Args:
        figure: any matplotlib figure.
        path: target; its suffix, if any, is replaced by ``.pdf`` and ``.png``.
    """
    base = Path(path)
    base = base.with_suffix("") if base.suffix in (".pdf", ".png") else base
    metadata: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None, "ModDate": None}, "png": {"Software": None}}
    written = []
    for kind, about in metadata.items():
        target = base.with_name(f"{base.name}.{kind}")
        with atomic_path(target) as temporary:
            figure.savefig(temporary, format=kind, metadata=about)
        written.append(target)
    return written


def training_curves(
    runs: Sequence[Mapping[str, float]] | Mapping[str, Sequence[Mapping[str, float]]], title: str = ""
) -> Figure:
    """Loss with all its terms over the epochs, and beside it what goes with it: :data:`BESIDE`.

    Args:
        runs: the rows of one ``metrics.jsonl``, or run name (a seed, say) to rows. With several runs each
            is a faint line and their mean a strong one.
        title: heading of the figure.

    Raises:
        DataError: no rows, or rows without ``epoch`` and ``loss``.
    """
    named = dict(runs) if isinstance(runs, Mapping) else {"run": list(runs)}
    tables = [pd.DataFrame(list(rows)) for rows in named.values()]
    if not tables or any(not {"epoch", "loss"} <= set(t.columns) for t in tables):
        raise DataError("Training curves want rows with 'epoch' and 'loss'; run the pre-training first.")
    terms = loss_terms(tables[0])
    beside = [name for name in BESIDE if name in tables[0]]
    figure = Figure(figsize=(theme.PAGE_WIDTH, 3.6 if len(beside) > 2 else 2.3), layout="constrained")
    first, others = _curve_panels(figure, len(beside))
    _curve(first, tables, "loss", theme.ACCENT)
    palette = theme.class_colors(len(terms))
    for term, color in zip(terms, palette, strict=True):
        _curve(first, tables, term, color, width=1.0)
    first.set(xlabel="epoch", ylabel="loss")
    if terms:
        first.legend()
    for axes, name in zip(others, beside, strict=True):
        label, factor = BESIDE[name]
        _curve(axes, tables, name, theme.MIDDLE, factor=factor)
        axes.set(xlabel="epoch", ylabel=label)
    for axes in (first, *others):
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    _heading(figure, title)
    return figure


def loss_terms(table: pd.DataFrame) -> list[str]:
    """The columns of a log that are terms of the loss; none where a single term is the loss itself."""
    terms = [str(c) for c in table if c not in NOT_A_LOSS and pd.api.types.is_numeric_dtype(table[c])]
    return terms if len(terms) > 1 else []


def _curve_panels(figure: Figure, beside: int) -> tuple[Axes, list[Axes]]:
    """A large panel at the left, and smaller ones right of it: in two rows where there are more than two."""
    if beside <= 2:
        panels = figure.subplots(1, 1 + beside, squeeze=False, width_ratios=[2] + [1] * beside)[0]
        return panels[0], list(panels[1:])
    columns = (beside + 1) // 2
    grid = figure.add_gridspec(2, columns + 1, width_ratios=[1.7] + [1] * columns)
    places = [grid[k // columns, 1 + k % columns] for k in range(beside)]
    return figure.add_subplot(grid[:, 0]), [figure.add_subplot(place) for place in places]


def results_bars(table: pd.DataFrame, metrics: Sequence[str] = ("linear", "knn1"), title: str = "") -> Figure:
    """Accuracy of every arm: mean as a bar, spread over seeds as a whisker, each seed as a dot.

    Args:
        table: rows of :func:`c2vl_lab.bench.results.aggregate`: columns ``label``, ``metric``, ``mean``,
            ``std`` (NaN for a single seed) and ``values``, accuracies from 0 to 1. Arms keep their order.
        metrics: which metrics, one colour each.
        title: heading of the figure.

    Raises:
        DataError: the table holds none of the metrics.
    """
    shown = [m for m in metrics if (table["metric"] == m).any()]
    if not shown:
        raise DataError(f"There is nothing to draw: no result holds one of {', '.join(metrics)}.")
    labels = list(dict.fromkeys(table["label"]))
    figure = Figure(figsize=(theme.PAGE_WIDTH, 0.5 + 0.17 * len(labels) * (len(shown) + 0.8)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(shown)
    colors, ink = (theme.ACCENT, "#E69F00", "#009E73", "#CC79A7"), rcParams["text.color"]
    for order, metric in enumerate(shown):
        rows = table[table["metric"] == metric].set_index("label")
        place = np.array([labels.index(label) + (order - (len(shown) - 1) / 2) * height for label in rows.index])
        mean, std = 100 * rows["mean"].to_numpy(float), 100 * rows["std"].fillna(0).to_numpy(float)
        color = colors[order % len(colors)]
        axes.barh(place, mean, height * 0.88, color=color, alpha=0.75, label=METRIC_TITLES.get(metric, metric))
        whisker = std > 0
        axes.errorbar(mean[whisker], place[whisker], xerr=std[whisker], fmt="none", ecolor=ink, elinewidth=1, capsize=2)
        for y, values in zip(place, rows["values"], strict=True):
            axes.plot(100 * np.asarray(values), np.full(len(values), y), "o", markersize=1.8, color=ink, alpha=0.7)
        for y, m, s in zip(place, mean, std, strict=True):
            axes.text(m + s + 1.2, y, f"{m:.1f}", va="center", fontsize=6.5)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.invert_yaxis()
    axes.set(xlim=(0, 108), xlabel="accuracy on the test split, %")
    axes.set_xticks(range(0, 101, 20))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(shown), borderaxespad=0.2)
    _heading(figure, title)
    return figure


def confusion_matrix(counts: Any, classes: Sequence[str], title: str = "") -> Figure:
    """Confusion matrix: rows are true classes and sum to 100 %, columns are predictions.

    Args:
        counts: (C, C) numbers of clips, true class by predicted class.
        classes: C names.
        title: heading of the figure.

    Raises:
        DataError: the matrix does not fit the classes.
    """
    matrix = np.asarray(counts, float)
    count = len(classes)
    if matrix.shape != (count, count):
        raise DataError(f"A confusion matrix of {count} classes is {count} x {count}, found {matrix.shape}.")
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    width = float(np.clip(1.6 + 0.25 * count, 3.25, theme.PAGE_WIDTH))
    figure = Figure(figsize=(width + 0.5, width), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    if count <= 30:
        for row, column in zip(*np.nonzero(share >= 0.5), strict=True):
            ink = "white" if share[row, column] > 55 else "#1F2733"
            size = 6 if count <= 15 else 4.5
            axes.text(column, row, f"{share[row, column]:.0f}", ha="center", va="center", fontsize=size, color=ink)
    size = 7 if count <= 30 else 4
    axes.set_xticks(range(count), classes, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(range(count), classes, fontsize=size, parse_math=False)
    axes.tick_params(length=0)
    axes.set(xlabel="predicted", ylabel="true")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, label="% of the true class")
    bar.outline.set_visible(False)
    _heading(figure, title)
    return figure


def per_class(accuracies: Mapping[str, Mapping[str, float]], title: str = "") -> Figure:
    """Accuracy per class, one dot for every arm, classes sorted by the first arm.

    Args:
        accuracies: arm to {class: accuracy from 0 to 1}.
        title: heading of the figure.

    Raises:
        DataError: no arm was given.
    """
    if not accuracies:
        raise DataError("Accuracy per class wants at least one arm.")
    first = next(iter(accuracies.values()))
    order = sorted(first, key=lambda name: first[name])
    figure = Figure(figsize=(theme.PAGE_WIDTH, 0.7 + 0.16 * len(order)), layout="constrained")
    axes = figure.subplots()
    lows = [min(100 * a.get(c, np.nan) for a in accuracies.values()) for c in order]
    highs = [max(100 * a.get(c, np.nan) for a in accuracies.values()) for c in order]
    axes.hlines(range(len(order)), lows, highs, color=theme.QUIET, linewidth=1, zorder=1)
    marks = list(theme.MARKS.values())
    for k, (arm, values) in enumerate(accuracies.items()):
        mark = marks[k % len(marks)]
        points = [100 * values.get(c, np.nan) for c in order]
        axes.plot(points, range(len(order)), mark.marker, color=mark.color, markersize=4.5, label=arm, zorder=2)
    axes.set_yticks(range(len(order)), order, parse_math=False)
    axes.set(xlim=(-2, 102), xlabel="accuracy on the test split, %")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2)
    _heading(figure, title)
    return figure


def soft_targets(targets: Any, names: Sequence[str], title: str = "") -> Figure:
    """Heat map of a batch's soft targets: row i says which clips count as a match for clip i, and how much.

    The colours span what lies off the diagonal: a clip's share in itself is far larger and would hide the rest.

    Args:
        targets: (N, N) rows that sum to 1.
        names: N clip or class names; left away above 40.
        title: heading of the figure.

    Raises:
        DataError: the matrix does not fit the names.
    """
    matrix = np.asarray(targets, float)
    if matrix.shape != (len(names), len(names)):
        raise DataError(f"Soft targets of {len(names)} clips are a square matrix of that size, found {matrix.shape}.")
    figure = Figure(figsize=(theme.COLUMN_WIDTH * 1.5, theme.COLUMN_WIDTH * 1.25), layout="constrained")
    axes = figure.subplots()
    others = matrix[~np.eye(len(matrix), dtype=bool)]
    image = axes.imshow(matrix, cmap="cividis", vmin=0, vmax=max(others.max(initial=0.0), 1e-6))
    if len(names) <= 40:
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=5, parse_math=False)
        axes.set_yticks(range(len(names)), names, fontsize=5, parse_math=False)
    else:
        axes.set(xticks=[], yticks=[])
    axes.tick_params(length=0)
    label = "target probability (diagonal: beyond the scale)"
    bar = figure.colorbar(image, ax=axes, shrink=0.8, extend="max", label=label)
    bar.outline.set_visible(False)
    _heading(figure, title)
    return figure


def _curve(
    axes: Axes, tables: list[pd.DataFrame], column: str, color: str, width: float = 1.6, factor: float = 1
) -> None:
    """Draw a column of several runs: each run faint, their mean strong. What was measured now and then gets dots."""
    present = [factor * t.set_index("epoch")[column].astype(float).dropna() for t in tables if column in t]
    if len(present) > 1:
        for run in present:
            axes.plot(run.index, run, color=color, linewidth=0.6, alpha=0.45)
    mean = pd.concat(present, axis=1).mean(axis=1)
    mark = "o" if len(mean) < max(map(len, tables)) or len(mean) == 1 else ""
    axes.plot(mean.index, mean, color=color, linewidth=width, marker=mark, markersize=3, label=column)


def _heading(figure: Figure, title: str) -> None:
    """A title at the left edge; clip names and notes may hold dollar signs."""
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize="medium", parse_math=False)
