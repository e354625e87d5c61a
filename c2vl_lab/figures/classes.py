"""Figures about classes: which are taken for which, how well each is known, and what one run gains on another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Patch

from c2vl_lab.errors import DataError
from c2vl_lab.figures.canvas import PAGE, SMALLEST, Look, PaperFigure, numbers, painter
from c2vl_lab.figures.parts import (
    color_bar,
    legend_above,
    name_columns,
    name_rows,
    names_width,
    rows_height,
)
from c2vl_lab.viz import theme

GAIN, LOSS = "#0072B2", "#D55E00"
MOST_BARS = 40  # classes in the figure of gains


def confusion_matrix(counts: Any, classes: Sequence[str], look: Look = PAGE) -> PaperFigure:
    """Confusion matrix: rows are true classes and sum to 100 %, columns are predictions.

    Args:
        counts: (C, C) numbers of clips, true class by predicted class; of several seeds their sum.
        classes: C names.
        look: venue, columns, note.

    Raises:
        DataError: the matrix does not fit the classes.
    """
    matrix = np.asarray(counts)
    if matrix.shape != (len(classes), len(classes)):
        raise DataError(
            f"A confusion matrix of {len(classes)} classes is {len(classes)} x {len(classes)}, found {matrix.shape}."
        )
    return paint_confusion_matrix({"classes": list(classes), "counts": matrix}, look)


@painter
def paint_confusion_matrix(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Shades of blue for shares, with the numbers where a cell has room for them."""
    classes, share = data["classes"], shares(data["counts"])
    names = names_width(classes, look)
    side = max(0.8, look.width - names - (0.3 if look.columns == 1 else 0.95))
    if not look.height:
        side = min(side, 5.2)
    figure.tall(side + names + (0.6 if look.columns == 1 else 0.25))
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    cell = side / len(classes)
    if cell > 0.135:
        for row, column in zip(*np.nonzero(share >= 0.5), strict=True):
            ink = "white" if share[row, column] > 55 else "#1F2733"
            text = f"{share[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=7 if cell > 0.19 else SMALLEST, color=ink)
    name_columns(axes, classes, side)
    name_rows(axes, classes, side)
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[:].set_visible(False)
    color_bar(figure, image, axes, "% of the true class", shrink=0.8, pad=0.02, aspect=25)


def shares(counts: Any) -> np.ndarray:
    """(C, C) per cent of each row's sum; rows without a clip are 0."""
    matrix = numbers(counts)
    return 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)


def per_class(accuracies: Mapping[str, Mapping[str, float]], look: Look = PAGE) -> PaperFigure:
    """Accuracy per class, one mark for every arm, classes sorted by the first arm.

    Args:
        accuracies: arm to {class: accuracy from 0 to 1}.
        look: venue, columns, note.

    Raises:
        DataError: no arm was given.
    """
    if not accuracies:
        raise DataError("Accuracy per class wants at least one arm.")
    first = next(iter(accuracies.values()))
    order = sorted(first, key=lambda name: first[name])
    values = {arm: [100 * own.get(name, np.nan) for name in order] for arm, own in accuracies.items()}
    return paint_per_class({"classes": order, "accuracy in %": values}, look)


@painter
def paint_per_class(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Marks on a line a class."""
    classes = data["classes"]
    values = {arm: numbers(own) for arm, own in data["accuracy in %"].items()}
    height = rows_height(len(classes))
    axes = figure.subplots()
    every = np.stack(list(values.values()))
    axes.hlines(range(len(classes)), every.min(axis=0), every.max(axis=0), color=theme.QUIET, linewidth=0.8, zorder=1)
    marks = list(theme.MARKS.values())
    drawn = []
    for k, own in enumerate(values.values()):
        mark = marks[k % len(marks)]
        # later ones are smaller, so that equal accuracies do not hide the first
        own_look: dict[str, Any] = {"color": mark.color, "markersize": max(2.5, 5.5 - 1.3 * k), "clip_on": False}
        drawn += axes.plot(own, range(len(classes)), mark.marker, linestyle="", **own_look)
    name_rows(axes, classes, height)
    axes.set(xlim=(0, 100), xlabel="accuracy on the test split, %")
    axes.grid(axis="x")
    figure.tall(height + 0.45 + legend_above(axes, drawn, list(values), look))


def class_gains(
    before: Mapping[str, float],
    after: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]] | None = None,
    names: tuple[str, str] = ("before", "after"),
    look: Look = PAGE,
) -> PaperFigure:
    """What each class gains from one run to another, largest gain first, in points of accuracy.

    Where there are more than :data:`MOST_BARS` classes those with the largest change are shown, and how many are
    not.

    Args:
        before: class to accuracy, 0 to 1.
        after: the same of the other run; classes of one run alone are left out.
        intervals: class to (low, high) of the gain, for example
            :func:`c2vl_lab.bench.run_figures.gain_intervals`; drawn as a line.
        names: of the two runs.
        look: venue, columns, note.

    Raises:
        DataError: the runs share no class.
    """
    both = [name for name in before if name in after]
    if not both:
        raise DataError("Gains per class want two runs with the same classes; these share none.")
    order = sorted(both, key=lambda name: before[name] - after[name])
    shown = set(sorted(both, key=lambda name: -abs(after[name] - before[name]))[:MOST_BARS])
    order = [name for name in order if name in shown]
    none = (np.nan, np.nan)
    data = {
        "runs": list(names),
        "classes": order,
        "before in %": [100 * before[name] for name in order],
        "after in %": [100 * after[name] for name in order],
        "interval in points": [[100 * edge for edge in (intervals or {}).get(name, none)] for name in order],
        "remark": f"{len(both) - len(order)} classes with smaller changes are not shown."
        if len(both) > len(order)
        else "",
    }
    return paint_class_gains(data, look)


@painter
def paint_class_gains(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Bars from 0, blue to the right for a gain, hatched orange to the left for a loss."""
    classes, gain = data["classes"], gains(data)
    low, high = numbers(data["interval in points"]).reshape(-1, 2).T
    height = rows_height(len(classes))
    axes = figure.subplots()
    rows = np.arange(len(classes))
    for sign, color, hatch in ((gain >= 0, GAIN, ""), (gain < 0, LOSS, "////")):
        axes.barh(rows[sign], gain[sign], 0.72, color=color, hatch=hatch, edgecolor="white", linewidth=0)
    known = np.isfinite(low)
    axes.hlines(rows[known], low[known], high[known], color=look.ink, linewidth=0.8)
    axes.axvline(0, color=look.ink, linewidth=0.6)
    reach = float(np.nanmax(np.abs([gain, np.nan_to_num(low), np.nan_to_num(high)]), initial=1.0))
    _write_gains(axes, gain, low, high, reach)
    name_rows(axes, classes, height)
    left = min(0.0, float(np.nanmin([gain, np.nan_to_num(low)])))
    right = max(0.0, float(np.nanmax([gain, np.nan_to_num(high)])))
    inner = look.width - names_width(classes, look) - 0.2  # inches, of which a number beside a bar takes a third
    room = (right - left or 1) * 0.33 / max(0.5, inner - 0.66)
    axes.set(xlim=(left - room if left < 0 else 0, right + room if right > 0 else 0))
    axes.set_xlabel("gain, points of accuracy")
    axes.grid(axis="x")
    keys = [Patch(color=GAIN), Patch(facecolor=LOSS, hatch="////", edgecolor="white", linewidth=0)]
    labels = [f"better with {name}" for name in reversed(data["runs"])]
    figure.tall(height + 0.45 + legend_above(axes, keys, labels, look))


def gains(data: dict[str, Any]) -> np.ndarray:
    """(C,) points of accuracy from before to after."""
    return numbers(data["after in %"]) - numbers(data["before in %"])


def _write_gains(axes: Any, gain: np.ndarray, low: np.ndarray, high: np.ndarray, reach: float) -> None:
    """The number beside each bar, beyond its interval."""
    for row, value in enumerate(gain):
        end = np.nanmax([value, high[row], 0]) if value >= 0 else np.nanmin([value, low[row], 0])
        side = 1 if value >= 0 else -1
        text = f"{value:+.1f}".replace("-", "\N{MINUS SIGN}") if abs(value) >= 0.05 else "0.0"
        place = (float(end) + side * 0.02 * reach, row)
        axes.text(*place, text, va="center", ha="left" if side > 0 else "right", fontsize=SMALLEST)
