"""What a skeleton set holds, as figures for reports and papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from c2vl_lab.data.checks import Measures
from c2vl_lab.data.protocols import Split
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.viz import theme
from c2vl_lab.viz.data_pages import crossing, gap_table, part_counts, part_of

PARTS = {"train": theme.ACCENT, "test": "#E69F00", "neither": theme.QUIET}
BINS = 40
MANY = 60  # rows or columns from which on names are printed small


def lengths_histogram(store: SkeletonStore, split: Split, title: str = "") -> Figure:
    """How many clips have how many frames, in the training and in the test part; each part sums to 100 %."""
    figure = Figure(figsize=(theme.PAGE_WIDTH, 2.1), layout="constrained")
    axes = figure.subplots()
    part, lengths = part_of(store, split), store.lengths
    bins = min(BINS, int(np.sqrt(len(lengths))))
    width = max(1, round(float(np.ptp(lengths)) / bins))  # whole frames, or bins would hold unequal numbers of lengths
    edges = (np.arange(lengths.min(), lengths.max() + width + 1, width) - 0.5).tolist()
    for name in PARTS:
        mine = lengths[part == name]
        if len(mine):
            weights = np.full(len(mine), 100 / len(mine))
            label = f"{name}: {len(mine):,} clips, median {np.median(mine):.0f} frames"
            axes.hist(mine, edges, weights=weights, histtype="stepfilled", alpha=0.35, color=PARTS[name])
            axes.hist(mine, edges, weights=weights, histtype="step", color=PARTS[name], linewidth=1.2, label=label)
    axes.set(xlabel="frames a clip", ylabel="% of the part", xlim=(edges[0], edges[-1]))
    axes.legend()
    return _titled(figure, title)


def class_balance(store: SkeletonStore, split: Split, title: str = "") -> Figure:
    """Clips of each class, training and test part end to end."""
    table = part_counts(store, split, "class").drop(columns="all")
    figure = Figure(figsize=(theme.PAGE_WIDTH, _height(len(table))), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(table))
    for name in table.columns:
        axes.barh(range(len(table)), table[name], 0.8, left=left, color=PARTS[name], alpha=0.8, label=name)
        left += table[name].to_numpy()
    _class_axis(axes, table.index)
    axes.set(xlabel="clips")
    axes.grid(axis="x")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2)
    return _titled(figure, title)


def tracking_gaps(store: SkeletonStore, measures: Measures, column: str = "camera", title: str = "") -> Figure:
    """Share of frames in which a body was not tracked, and share of bodies with an interruption, by class or camera.

    Raises:
        ConfigError: an unknown column.
    """
    table = gap_table(store, measures, column)
    if not table["not tracked, %"].any():
        figure = Figure(figsize=(theme.PAGE_WIDTH, 0.5), layout="constrained")
        figure.text(0.01, 0.3, "Every body was tracked in every frame.", fontsize=8)
        return _titled(figure, title)
    figure = Figure(figsize=(theme.PAGE_WIDTH, _height(len(table))), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = [f"{value}" if column == "class" else f"{column} {value}" for value in table.index]
    for axes, measure, color in (
        (left, "not tracked, %", theme.MIDDLE),
        (right, "bodies with gaps, %", theme.ACCENT),
    ):
        values = table[measure]
        axes.barh(range(len(table)), values, 0.8, color=color, alpha=0.8)
        axes.set(xlim=(0, max(1.0, 1.15 * float(values.max()))))
        for row, value in enumerate(values):
            axes.text(value, row, f" {value:.1f}", va="center", fontsize=6 if len(table) <= MANY else 4)
        axes.grid(axis="x")
    left.set(xlabel="frames without tracking, %")
    right.set(xlabel="bodies with a gap inside the clip, %")
    _class_axis(left, names)
    right.tick_params(axis="y", length=0)
    return _titled(figure, title)


def crossing_map(store: SkeletonStore, rows: str = "subject", columns: str = "class", title: str = "") -> Figure:
    """Clips for every pair of values of two columns as a heat map; a pair without clips is left white.

    Raises:
        ConfigError: an unknown column.
    """
    table = crossing(store, rows, columns)
    names = 0.07 * max(len(str(name)) for name in table.columns) if columns == "class" else 0.2
    height = 0.9 + min(names, 2.2) + min(0.17, 7 / len(table)) * len(table)
    figure = Figure(figsize=(theme.PAGE_WIDTH, height), layout="constrained")
    axes = figure.subplots()
    counts = np.ma.masked_equal(table.to_numpy(), 0)
    image = axes.imshow(counts, cmap="Blues", vmin=0, aspect="auto")
    if table.size <= 1200:
        _numbers(axes, table)
    _ticks(axes.xaxis, list(table.columns), columns == "class")
    _ticks(axes.yaxis, list(table.index), False)
    axes.set(ylabel=rows, xlabel="" if columns == "class" else columns)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, label="clips", pad=0.01, ticks=MaxNLocator(4, integer=True))
    bar.outline.set_visible(False)  # type: ignore[operator]
    return _titled(figure, title)


def _numbers(axes: Any, table: pd.DataFrame) -> None:
    """The counts inside the cells."""
    high = table.to_numpy().max()
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        ink = "white" if value > 0.6 * high else rcParams["text.color"] if value else theme.QUIET
        axes.text(column, row, str(value), ha="center", va="center", fontsize=5, color=ink)


def _ticks(axis: Any, names: list, turned: bool) -> None:
    """All names where there is room, else every second, fifth, ..."""
    step = max(1, -(-len(names) // MANY))
    places = range(0, len(names), step)
    size = 6 if len(names) <= MANY / 2 else 4.5
    axis.set_ticks(places, [str(names[k]) for k in places], fontsize=size, parse_math=False)
    for label in axis.get_ticklabels() if turned else ():
        label.set_rotation(90)


def _height(rows: int) -> float:
    """Inches of a figure with so many rows of bars."""
    return 0.8 + (0.17 if rows <= MANY else 0.09) * rows


def _class_axis(axes: Any, names: Any) -> None:
    """Names down the left side, the first on top."""
    size = 7 if len(names) <= MANY else 4.5
    axes.set_yticks(range(len(names)), list(names), fontsize=size, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _titled(figure: Figure, title: str) -> Figure:
    """A title at the left edge; names may hold dollar signs."""
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize="medium", parse_math=False)
    return figure
