"""Small parts that several figures share: names along an axis, legends, colour bars, the classes of a sorted matrix."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from c2vl_lab.figures.canvas import PAGE, SMALLEST, Look, PaperFigure

ROW = 0.155  # inches of a row with a name


def legend(axes: Axes, handles: Sequence[Any], labels: Sequence[str], **options: Any) -> None:
    """A legend that shows every label as it is written; matplotlib leaves out those that begin with "_"."""
    made = axes.legend(handles, [f"{k}" for k in range(len(labels))], **options)
    for text, label in zip(made.get_texts(), labels, strict=True):
        text.set_text(label)


def legend_above(axes: Axes, handles: Sequence[Any], labels: Sequence[str], look: Look) -> float:
    """A legend over the axes, in as many columns as the figure has room for; long labels are broken into lines.

    Returns:
        Inches that it takes.
    """
    room = 0.95 * look.width if look.columns == 1 else 0.7 * look.width
    lines = [wrapped(label, room - 0.45, 7) for label in labels]
    columns = int(np.clip(room // (0.4 + max(text_width(line, 7) for line in lines)), 1, len(labels)))
    # in one column it may reach over the names at the left
    side = {"loc": "lower right", "bbox_to_anchor": (1, 1.0)} if look.columns == 1 else {}
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0)} | side
    legend(axes, handles, lines, ncols=columns, borderaxespad=0.2, **place)
    longest = max(line.count("\n") + 1 for line in lines)
    return 0.05 + 0.13 * longest * -(-len(lines) // columns)


def shortened(text: str, most: int) -> str:
    """The text, or its beginning with an ellipsis where it is longer than there is room for."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def text_width(text: str, size: float) -> float:
    """Roughly how wide a text is, in inches: a bit less than half its size a letter."""
    return 0.46 * size / 72 * max(map(len, text.split("\n")), default=0)


def wrapped(text: str, width: float, size: float) -> str:
    """The text in lines that fit into so many inches."""
    return "\n".join(textwrap.wrap(text, max(8, int(width / (0.46 * size / 72)))))


def axis_name(name: str, look: Look) -> str:
    """A name as it stands beside an axis; the figure's file has it whole."""
    return shortened(name, min(44, int(8 * look.width)))


def names_width(names: Sequence[str], look: Look) -> float:
    """Inches that names beside an axis take."""
    return max((text_width(axis_name(name, look), 7) for name in names), default=0.0)


def rows_height(count: int, most: float = 8.0) -> float:
    """Inches of so many rows with names; rows grow thinner where they would leave the page."""
    return min(ROW * count, most)


def name_rows(axes: Axes, names: Sequence[str], height: float) -> None:
    """Names down the left side, the first on top; every second (third, ...) where there is no room for all.

    Args:
        axes: gets the names at 0, 1, ... of its y axis.
        names: one a row.
        height: inches that the rows take.
    """
    places, shown, size = _fitting(names, height, axes)
    axes.set_yticks(places, shown, fontsize=size)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def name_columns(axes: Axes, names: Sequence[str], width: float) -> None:
    """Names under the axes, turned where they are longer than their columns are wide."""
    places, shown, size = _fitting(names, width, axes)
    room = width / max(1, len(names)) * (places.step if len(places) > 1 else 1)
    turn = 90 if max((text_width(name, size) for name in shown), default=0) > room else 0
    axes.set_xticks(places, shown, fontsize=size, rotation=turn)
    axes.tick_params(axis="x", length=0)


def _fitting(names: Sequence[str], room: float, axes: Axes) -> tuple[range, list[str], float]:
    """(places, names, size in points) that fit into so many inches."""
    each = room / max(1, len(names))
    step = max(1, int(np.ceil(1.12 * SMALLEST / 72 / each - 1e-9)))
    size = 7.0 if each * step >= 1.12 * 7 / 72 else SMALLEST
    places = range(0, len(names), step)
    return places, [axis_name(names[k], getattr(axes.figure, "look", PAGE)) for k in places], size


def color_bar(figure: PaperFigure, image: Any, axes: Any, label: str, whole: bool = False, **options: Any) -> None:
    """A colour bar without a frame, with few ticks; above the axes where the figure has one column."""
    ticks = MaxNLocator(4 if whole else 5, integer=whole)
    options |= {"location": "top", "shrink": 1.0, "pad": 0.02} if figure.look.columns == 1 else {}
    bar = figure.colorbar(image, ax=axes, label=label, ticks=ticks, **options)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.tick_params(length=2, pad=1.5)


def class_spans(labels: Sequence[int]) -> list[tuple[int, int, int]]:
    """(class, first, end) of each run of equal labels in a sorted list."""
    marks = np.flatnonzero(np.diff(np.asarray(labels))) + 1
    edges = [0, *marks.tolist(), len(labels)]
    return [(int(labels[a]), a, b) for a, b in pairwise(edges) if b > a]


def class_lines(axes: Axes, labels: Sequence[int], color: str) -> None:
    """Thin lines between the classes of a sorted square matrix."""
    for _, first, _ in class_spans(labels)[1:]:
        for line in (axes.axhline, axes.axvline):
            line(first - 0.5, color=color, linewidth=0.3, alpha=0.5)
