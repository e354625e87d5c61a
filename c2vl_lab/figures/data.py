"""What a skeleton set holds, as figures for reports and papers."""

from __future__ import annotations

from typing import Any

import numpy as np

from c2vl_lab.data.checks import Measures
from c2vl_lab.data.protocols import Split
from c2vl_lab.data.store import SkeletonStore
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
from c2vl_lab.viz.data_pages import crossing, gap_table, part_counts, part_of

PARTS = {"train": theme.ACCENT, "test": "#E69F00", "neither": theme.QUIET}
BINS = 40


def lengths_histogram(store: SkeletonStore, split: Split, look: Look = PAGE) -> PaperFigure:
    """How many clips have how many frames, in the training and in the test part; each part sums to 100 %."""
    part, lengths = part_of(store, split), store.lengths
    bins = min(BINS, int(np.sqrt(len(lengths))))
    width = max(1, round(float(np.ptp(lengths)) / bins))  # whole frames, or bins would hold unequal numbers of lengths
    edges = np.arange(lengths.min(), lengths.max() + width + 1, width) - 0.5
    parts = {}
    for name in PARTS:
        mine = lengths[part == name]
        if len(mine):
            share = 100 * np.histogram(mine, edges)[0] / len(mine)
            parts[name] = {"% of the part": share, "clips": len(mine), "median": float(np.median(mine))}
    return paint_lengths_histogram({"edges": edges, "parts": parts}, look)


@painter
def paint_lengths_histogram(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Filled steps."""
    figure.tall(2.1)
    axes, keys, labels = figure.subplots(), [], []
    for name, own in data["parts"].items():
        axes.stairs(own["% of the part"], data["edges"], fill=True, alpha=0.35, color=PARTS[name])
        keys.append(axes.stairs(own["% of the part"], data["edges"], color=PARTS[name], linewidth=1.2))
        labels.append(f"{name}: {own['clips']:,} clips, median {own['median']:.0f} frames")
    axes.set(xlabel="frames a clip", ylabel="% of the part", xlim=(data["edges"][0], data["edges"][-1]))
    axes.set_ylim(bottom=0)
    legend_above(axes, keys, labels, look)


def class_balance(store: SkeletonStore, split: Split, look: Look = PAGE) -> PaperFigure:
    """Clips of each class, training and test part end to end."""
    table = part_counts(store, split, "class").drop(columns="all")
    parts = {str(name): table[name].tolist() for name in table.columns}
    return paint_class_balance({"classes": list(table.index), "clips": parts}, look)


@painter
def paint_class_balance(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Bars end to end."""
    classes, height = data["classes"], rows_height(len(data["classes"]))
    axes, keys = figure.subplots(), []
    left = np.zeros(len(classes))
    for name, counts in data["clips"].items():
        keys.append(axes.barh(range(len(classes)), counts, 0.8, left=left, color=PARTS[name], alpha=0.8))
        left += numbers(counts)
    name_rows(axes, classes, height)
    axes.set(xlabel="clips")
    axes.grid(axis="x")
    figure.tall(height + 0.45 + legend_above(axes, keys, list(data["clips"]), look))


def tracking_gaps(store: SkeletonStore, measures: Measures, column: str = "camera", look: Look = PAGE) -> PaperFigure:
    """Share of frames in which a body was not tracked, and share of bodies with an interruption, by class or camera.

    Raises:
        ConfigError: an unknown column.
    """
    table = gap_table(store, measures, column)
    names = [f"{value}" if column == "class" else f"{column} {value}" for value in table.index]
    columns = {name: table[name].tolist() for name in ("not tracked, %", "bodies with gaps, %")}
    return paint_tracking_gaps({"rows": names, **columns}, look)


@painter
def paint_tracking_gaps(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Two panels of bars, or a sentence where there is no gap at all."""
    if not any(data["not tracked, %"]):
        figure.tall(0.5)
        figure.text(0.01, 0.3, "Every body was tracked in every frame.", fontsize=8)
        return
    rows = len(data["rows"])
    height = rows_height(rows)
    figure.tall(height + 0.8)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, measure, color in (
        (left, "not tracked, %", theme.MIDDLE),
        (right, "bodies with gaps, %", theme.ACCENT),
    ):
        values = numbers(data[measure])
        axes.barh(range(rows), values, 0.8, color=color, alpha=0.8)
        axes.set(xlim=(0, max(1.0, 1.15 * float(values.max()))))
        for row, value in enumerate(values) if height / rows > 1.1 * SMALLEST / 72 else ():
            axes.text(value, row, f" {value:.1f}", va="center", fontsize=SMALLEST)
        axes.grid(axis="x")
    left.set(xlabel="frames without tracking, %")
    right.set(xlabel="bodies with a gap inside the clip, %")
    name_rows(left, data["rows"], height)
    right.tick_params(axis="y", length=0)


def crossing_map(store: SkeletonStore, rows: str = "subject", columns: str = "class", look: Look = PAGE) -> PaperFigure:
    """Clips for every pair of values of two columns as a heat map; a pair without clips is left white.

    Raises:
        ConfigError: an unknown column.
    """
    table = crossing(store, rows, columns)
    names = {rows: [str(v) for v in table.index], columns: [str(v) for v in table.columns]}
    return paint_crossing_map({"rows": rows, "columns": columns, "names": names, "clips": table.to_numpy()}, look)


@painter
def paint_crossing_map(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Shades of blue, with the counts where a cell has room for them."""
    counts = numbers(data["clips"])
    down, across = data["names"][data["rows"]], data["names"][data["columns"]]
    beside = names_width(down, look)
    under = names_width(across, look)
    width = look.width - beside - 1.0
    height = rows_height(len(down), 7.0)
    figure.tall(0.6 + under + max(height, 0.8))
    axes = figure.subplots()
    high = counts.max()
    image = axes.imshow(np.ma.masked_equal(counts, 0), cmap="Blues", vmin=0, aspect="auto")
    digits = len(f"{high:.0f}")
    if width / len(across) > digits * 0.055 + 0.02 and height / len(down) > 1.15 * SMALLEST / 72:
        for (row, column), value in np.ndenumerate(counts):
            ink = "white" if value > 0.6 * high else "#1F2733" if value else theme.QUIET
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=SMALLEST, color=ink)
    name_columns(axes, across, width)
    name_rows(axes, down, height)
    axes.set_ylim(len(down) - 0.5, -0.5)
    axes.set(ylabel=data["rows"], xlabel="" if data["columns"] == "class" else data["columns"])
    axes.spines[:].set_visible(False)
    color_bar(figure, image, axes, "clips", whole=True, shrink=0.8, pad=0.01)
