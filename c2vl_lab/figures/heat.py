"""Heat maps: how alike the clips are in each modality, and the soft targets of a batch while training goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from c2vl_lab.errors import DataError
from c2vl_lab.figures.canvas import PAGE, SMALLEST, Look, PaperFigure, numbers, painter
from c2vl_lab.figures.parts import class_lines, class_spans, color_bar, name_columns, name_rows, names_width, shortened

MOST_CLIPS = 120  # rows of a matrix of similarities
LEAST = 0.85  # inches of a panel, before fewer stand side by side
SPAN = 24  # letters of a class's name
NAMED = 40  # rows up to which each has its name


def similarity_matrices(
    points: Mapping[str, np.ndarray],
    labels: np.ndarray,
    classes: Sequence[str],
    pairs: Sequence[tuple[str, str]] = (),
    look: Look = PAGE,
) -> PaperFigure:
    """Cosines between clips, sorted by class, one panel a modality (or a pair of them), all on one scale.

    Of more than :data:`MOST_CLIPS` clips as many are shown, spread evenly over each class.

    Args:
        points: modality to (N, D), of :func:`c2vl_lab.evaluate.run.joint_space`; D need only be the same inside a
            pair. Clips that are NaN in one of them are left out.
        labels: (N,) class indices.
        classes: names of the classes.
        pairs: modalities of rows and columns of each panel; none: each modality with itself.
        look: venue, columns, note.

    Raises:
        DataError: no clip is known in all modalities, or labels do not fit.
    """
    shown = list(pairs) or [(name, name) for name in points]
    used = {name: np.asarray(points[name], float) for pair in shown for name in pair}
    labels = np.asarray(labels)
    if any(len(rows) != len(labels) for rows in used.values()):
        raise DataError(
            f"{len(labels)} labels do not fit points of {', '.join(str(len(r)) for r in used.values())} clips."
        )
    known = np.logical_and.reduce([np.isfinite(rows).all(axis=1) for rows in used.values()])
    order = _evenly_by_class(np.flatnonzero(known), labels)
    if not len(order):
        raise DataError("No clip has a point in all of the modalities.")
    unit = {m: rows[order] / np.linalg.norm(rows[order], axis=1, keepdims=True) for m, rows in used.items()}
    panels = {a if a == b else f"{a} to {b}": (unit[a] @ unit[b].T).round(3) for a, b in shown}
    left = int(known.sum()) - len(order)
    remark = f"{len(order)} of {len(order) + left} clips, spread over the classes." if left else ""
    data = {"panels": panels, "labels": labels[order], "classes": list(classes), "remark": remark}
    return paint_similarity_matrices(data, look)


def _evenly_by_class(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Row numbers sorted by class, thinned evenly inside each class where there are too many."""
    order = rows[np.argsort(labels[rows], kind="stable")]
    if len(order) <= MOST_CLIPS:
        return order
    return order[np.linspace(0, len(order) - 1, MOST_CLIPS).round().astype(int)]


@painter
def paint_similarity_matrices(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Panels side by side from blue (opposite) over white to red-brown (alike), with one colour bar."""
    panels = {name: numbers(rows) for name, rows in data["panels"].items()}
    high = max(float(np.abs(rows[~np.eye(len(rows), dtype=bool)]).max(initial=0.01)) for rows in panels.values())
    scale = {"cmap": "PuOr_r", "vmin": -high, "vmax": high}
    _panels(figure, panels, data["labels"], data["classes"], scale, "cosine")


def soft_targets(
    stages: Any,
    names: Sequence[str],
    labels: Sequence[int] = (),
    look: Look = PAGE,
) -> PaperFigure:
    """Heat maps of a batch's soft targets: row i says which clips count as a match for clip i, and how much.

    The colours span what lies off the diagonal: a clip's share in itself is far larger and would hide the rest.

    Args:
        stages: (N, N) rows that sum to 1, or stage ("epoch 10") to such a matrix: one panel each, on one scale.
        names: N clip or class names, shown up to :data:`NAMED`; with ``labels`` the names of the classes.
        labels: (N,) class indices, sorted: lines stand between classes, and names beside them instead of beside rows.
        look: venue, columns, note.

    Raises:
        DataError: a matrix does not fit the names, or labels are not sorted.
    """
    given = stages if isinstance(stages, Mapping) else {"": stages}
    panels = {name: np.asarray(rows, float) for name, rows in given.items()}
    count = len(labels) if len(labels) else len(names)
    for rows in panels.values():
        if rows.shape != (count, count):
            raise DataError(f"Soft targets of {count} clips are a square matrix of that size, found {rows.shape}.")
    if len(labels) and (np.diff(labels) < 0).any():
        raise DataError("Soft targets with labels want the clips sorted by class; order rows and columns first.")
    data = {"panels": panels, "labels": list(labels), "classes" if len(labels) else "names": list(names)}
    data |= {"remark": "The diagonal lies beyond the scale."}
    return paint_soft_targets(data, look)


@painter
def paint_soft_targets(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Panels side by side on one scale whose end is the largest share of another clip."""
    panels = {name: numbers(rows) for name, rows in data["panels"].items()}
    high = max(float(rows[~np.eye(len(rows), dtype=bool)].max(initial=0.0)) for rows in panels.values())
    scale = {"cmap": "cividis", "vmin": 0, "vmax": max(high, 1e-6)}
    names, labels = data.get("classes") or data["names"], data["labels"]
    _panels(figure, panels, labels, names, scale, "target share", extend="max")


def _panels(
    figure: PaperFigure,
    panels: dict[str, np.ndarray],
    labels: Sequence[int],
    names: Sequence[str],
    scale: dict[str, Any],
    label: str,
    extend: str = "neither",
) -> None:
    """Square matrices in rows that fit the width, names at the left edge, one colour bar at the right."""
    look = figure.look
    span = min(SPAN, int(5 * look.width))
    single = not len(labels) and len(names) <= NAMED and len(panels) == 1
    beside = names_width(names, look) if single else 0.0
    beside = names_width([shortened(name, span) for name in names], look) if len(labels) else beside
    bar = 0.15 if look.columns == 1 else 0.65
    columns = min(len(panels), 2 if look.columns == 1 else 4)
    while columns > 1 and (look.width - beside - bar) / columns < LEAST:
        columns -= 1
    rows = -(-len(panels) // columns)
    side = min((look.width - beside - bar) / columns - 0.08, 4.8)
    figure.tall(
        rows * (side + (0.22 if any(panels) else 0.02))
        + (beside if single else 0.0)
        + (0.5 if look.columns == 1 else 0.2)
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    image = None
    for k, axes in enumerate(grid.flat):
        if k >= len(panels):
            axes.set_axis_off()
            continue
        heading, matrix = list(panels.items())[k]
        image = axes.imshow(matrix, rasterized=True, **scale)
        axes.set_title(shortened(heading, int(side / 0.055)))
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        if len(labels):
            class_lines(axes, labels, "#FFFFFF" if scale["cmap"] == "cividis" else "#000000")
            if k % columns == 0:
                _name_spans(axes, labels, [shortened(name, span) for name in names], side)
        elif single:
            name_columns(axes, names, side)
            name_rows(axes, names, side)
            axes.set_ylim(len(names) - 0.5, -0.5)
    color_bar(
        figure, image, list(grid.flat), label, shrink=0.85 if rows == 1 else 0.5, pad=0.01, extend=extend, aspect=22
    )


def _name_spans(axes: Any, labels: Sequence[int], names: Sequence[str], side: float) -> None:
    """Each class's name beside the middle of its rows; those without room for six points are left out."""
    last, places, shown = -np.inf, [], []
    for label, first, end in class_spans(labels):
        middle = (first + end - 1) / 2
        if (middle - last) * side / len(labels) >= 1.1 * SMALLEST / 72:
            places.append(middle)
            shown.append(names[label])
            last = middle
    axes.set_yticks(places, shown, fontsize=SMALLEST)
    axes.tick_params(axis="y", length=0)
