"""Curves: training over the epochs with its spread over seeds, and the purity of neighbourhoods over their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator

from c2vl_lab.errors import DataError
from c2vl_lab.figures.canvas import PAGE, Look, PaperFigure, numbers, painter
from c2vl_lab.figures.parts import legend, legend_above, wrapped
from c2vl_lab.project import neighbour_purity
from c2vl_lab.viz import theme
from c2vl_lab.viz.log_columns import BESIDE, loss_terms

Rows = Sequence[Mapping[str, Any]]
LINES: tuple[Any, ...] = ("-", "--", "-.", ":")
SHOWN = ("alpha", "kappa", "lr", "knn1")  # beside the loss; the speed of a machine belongs into no paper
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#332288")


def training_curves(runs: Rows | Mapping[str, Sequence[Rows]], look: Look = PAGE) -> PaperFigure:
    """Loss over the epochs, and beside it, where a log has them, :data:`SHOWN`.

    Of one arm the loss is shown with all its terms; of several arms each is a colour and a dash of its own. Lines
    are means over seeds, bands reach one sample standard deviation to both sides.

    Args:
        runs: the rows of one ``metrics.jsonl``, or arm to its seeds, each the rows of such a file.
        look: venue, columns, note.

    Raises:
        DataError: no rows, or rows without ``epoch`` and ``loss``.
    """
    arms: Mapping[str, Sequence[Rows]] = runs if isinstance(runs, Mapping) else {"run": [runs]}
    tables = {arm: [pd.DataFrame(list(rows)) for rows in seeds] for arm, seeds in arms.items()}
    every = [table for seeds in tables.values() for table in seeds]
    if not every or any(not {"epoch", "loss"} <= set(table.columns) for table in every):
        raise DataError("Training curves want rows with 'epoch' and 'loss'; run the pre-training first.")
    terms = loss_terms(every[0]) if len(tables) == 1 else []
    beside = [name for name in SHOWN if any(name in table for table in every)]
    panels = [{"label": "loss", "lines": _lines(tables, {"loss": 1, **dict.fromkeys(terms, 1)})}]
    panels += [{"label": BESIDE[name][0], "lines": _lines(tables, {name: BESIDE[name][1]})} for name in beside]
    return paint_training_curves({"panels": panels, "arms": list(tables)}, look)


def _lines(tables: Mapping[str, Sequence[pd.DataFrame]], columns: Mapping[str, float]) -> list[dict[str, Any]]:
    """One line an arm and column: epochs, the seeds' values, their mean and sample standard deviation."""
    lines = []
    for arm, seeds in tables.items():
        for column, factor in columns.items():
            present = [factor * t.set_index("epoch")[column].astype(float).dropna() for t in seeds if column in t]
            if not present:
                continue
            joined = pd.concat(present, axis=1)
            spread = joined.std(axis=1, ddof=1)
            few = len(joined) < max(len(t) for t in seeds) or len(joined) == 1
            line: dict[str, Any] = {"arm": arm, "column": column, "epoch": joined.index.tolist(), "few": few}
            line |= {"mean": joined.mean(axis=1).tolist(), "std": spread.tolist(), "seeds": len(present)}
            lines.append(line)
    return lines


@painter
def paint_training_curves(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """The loss in a large panel, the others around it."""
    panels, arms = data["panels"], data["arms"]
    places = _panel_axes(figure, len(panels) - 1, look)
    for axes, panel in zip(places, panels, strict=True):
        for order, line in enumerate(panel["lines"]):
            k = arms.index(line["arm"]) if len(arms) > 1 else order
            color = SERIES[k % len(SERIES)] if len(arms) > 1 or axes is places[0] else theme.MIDDLE
            _line(axes, line, color, LINES[k % len(LINES)], 1.3 if line["column"] in ("loss", *BESIDE) else 0.9)
        axes.set(xlabel="epoch")
        if axes is places[0]:
            axes.set_ylabel(panel["label"])
        else:
            axes.set_title(panel["label"], fontsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    names = arms if len(arms) > 1 else [line["column"] for line in panels[0]["lines"]]
    if len(names) > 1:
        keys = [Line2D([], [], color=SERIES[k % 6], linestyle=LINES[k % 4], linewidth=1.3) for k in range(len(names))]
        legend(places[0], keys, [wrapped(name, 0.45 * look.width, 7) for name in names])


def _panel_axes(figure: PaperFigure, beside: int, look: Look) -> list[Axes]:
    """The large panel, and the small ones: right of it, or under it where the figure has one column."""
    columns = 2 if look.columns == 1 else max(1, (beside + 1) // 2) if beside > 2 else beside
    rows = -(-beside // columns) if beside else 0
    if look.columns == 1:
        figure.tall(1.7 + 1.25 * rows)
        grid = figure.add_gridspec(rows + 1, 2, height_ratios=[1.5] + [1] * rows)
        return [figure.add_subplot(grid[0, :])] + [figure.add_subplot(grid[1 + k // 2, k % 2]) for k in range(beside)]
    figure.tall(1.55 * max(1, rows) + 0.5)
    grid = figure.add_gridspec(max(1, rows), columns + 1, width_ratios=[1.8] + [1] * columns)
    large = figure.add_subplot(grid[:, 0])
    return [large, *(figure.add_subplot(grid[k // columns, 1 + k % columns]) for k in range(beside))]


def _line(axes: Axes, line: dict[str, Any], color: str, dash: str, width: float) -> None:
    """A mean with its band; what was measured now and then gets dots."""
    mean, std = numbers(line["mean"]), np.nan_to_num(numbers(line["std"]))
    if std.any():
        axes.fill_between(line["epoch"], mean - std, mean + std, color=color, alpha=0.2, linewidth=0)
    mark = "o" if line["few"] else ""
    axes.plot(
        line["epoch"],
        mean,
        color=color,
        linestyle=dash,
        linewidth=width,
        marker=mark,
        markersize=2.5,
        label=line["column"],
    )


def purity_curves(
    features: Mapping[str, Sequence[np.ndarray]],
    labels: np.ndarray,
    neighbours: Sequence[int] = (1, 2, 5, 10, 20, 50),
    look: Look = PAGE,
) -> PaperFigure:
    """How many of a clip's k nearest neighbours show its own class, over k; by cosine, the clip itself left out.

    Lines are means over seeds, bands reach one sample standard deviation to both sides; the dotted line is what
    neighbours drawn at random would give.

    Args:
        features: arm to one (N, D) array a seed.
        labels: (N,) class indices.
        neighbours: the k; those of N or more are left out.
        look: venue, columns, note.

    Raises:
        DataError: nothing was given, or features and labels do not fit.
    """
    kept = [int(k) for k in neighbours if 1 <= k < len(labels)]
    if not features or not kept:
        raise DataError(f"Purity wants features and a k under the number of clips; found k = {list(neighbours)}.")
    arms = {arm: [neighbour_purity(own, labels, kept) for own in seeds] for arm, seeds in features.items()}
    counts = np.unique(np.asarray(labels), return_counts=True)[1]
    chance = float((counts * (counts - 1)).sum() / (len(labels) * (len(labels) - 1)))
    values = {arm: [[100 * share for share in own] for own in seeds] for arm, seeds in arms.items()}
    return paint_purity_curves({"k": kept, "purity in %": values, "chance in %": 100 * chance}, look)


@painter
def paint_purity_curves(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Purity over k, k on a logarithmic axis."""
    axes, marks = figure.subplots(), ("o", "D", "s", "^", "v", "P")
    keys = []
    for k, seeds in enumerate(data["purity in %"].values()):
        values, color = numbers(seeds), SERIES[k % len(SERIES)]
        mean = values.mean(axis=0)
        if len(values) > 1:
            std = values.std(axis=0, ddof=1)
            axes.fill_between(data["k"], mean - std, mean + std, color=color, alpha=0.2, linewidth=0)
        keys += axes.plot(data["k"], mean, color=color, linestyle=LINES[k % 4], marker=marks[k % 6], markersize=3)
    keys.append(axes.axhline(data["chance in %"], color=theme.MIDDLE, linestyle=":", linewidth=0.9))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(data["k"]))
    axes.xaxis.set_major_formatter(lambda value, place: f"{value:.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="neighbours k", ylabel="of the same class, %")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    above = legend_above(axes, keys, [*data["purity in %"], "at random"], look)
    figure.tall(above + (1.75 if look.columns == 1 else 2.1))
