"""The concept map on paper: one map of all modalities, or two beside one another, such as before and after training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.errors import DataError
from c2vl_lab.figures.canvas import PAGE, SMALLEST, Look, PaperFigure, numbers, painter
from c2vl_lab.figures.parts import legend, shortened, text_width
from c2vl_lab.figures.saving import save
from c2vl_lab.project import Projection
from c2vl_lab.viz import maps, theme

MOST_NAMED = 30  # categories that still fit into a legend on paper


def joint_map(
    projection: Projection,
    clips: pd.DataFrame,
    color_by: str = "class",
    link: bool = True,
    look: Look = PAGE,
) -> PaperFigure:
    """All modalities on one map: a colour a category, a mark a modality; points are pixels, text is vector.

    Args:
        projection, clips, color_by, link: as in :func:`c2vl_lab.viz.maps.joint_map`, which is the map to look around
            in; a modality ``class prompt`` has one row for each class.
        look: venue, columns, note.

    Raises:
        ConfigError: no column ``color_by``, or a map of three dimensions.
        DataError: the projection and ``clips`` do not have the same number of rows.
    """
    panel = _panel(projection, clips, color_by, link)
    return paint_joint_map({"panels": {"": panel}, **_key(clips, color_by), "remark": projection.caption}, look)


def map_pair(
    projections: Mapping[str, Projection],
    clips: pd.DataFrame,
    color_by: str = "class",
    link: bool = True,
    look: Look = PAGE,
) -> PaperFigure:
    """Two maps of the same clips side by side, before and after training, say, with one legend.

    Args:
        projections: heading of the panel to its projection; the quality of each stands under it.
        clips, color_by, link, look: as in :func:`joint_map`.

    Raises:
        ConfigError, DataError: as in :func:`joint_map`; also where there are not two maps.
    """
    if len(projections) != 2:
        raise DataError(f"A pair of maps wants two projections, found {len(projections)}.")
    panels = {name: _panel(own, clips, color_by, link) for name, own in projections.items()}
    remark = " ".join(f"{name}: {own.caption}" for name, own in projections.items())
    return paint_joint_map({"panels": panels, **_key(clips, color_by), "remark": remark}, look)


def save_map(
    projection: Projection, clips: pd.DataFrame, folder: str | Path, title: str = "", look: Look = PAGE, **options: Any
) -> list[Path]:
    """Write the map for paper (:func:`~c2vl_lab.figures.saving.save`) and ``joint_map.json``, which a report shows.

    Args:
        projection, clips: as in :func:`joint_map`.
        folder: usually ``figures`` inside the folder of the runs.
        title: heading of the map in the report.
        look: venue, columns, note.
        options: ``color_by`` and ``link``.
    """
    target = Path(folder) / "joint_map.json"
    with atomic_path(target) as temporary:
        shown = maps.joint_map(projection, clips, title=title, note=look.note, **options)
        temporary.write_text(shown.to_json(), encoding="utf-8")
    return [target, *save(joint_map(projection, clips, look=look, **options), Path(folder) / "joint_map")]


def _key(clips: pd.DataFrame, color_by: str) -> dict[str, Any]:
    """What the colours mean: names of the categories, or the ends of a scale."""
    if maps.is_scale(clips, color_by):
        values = clips[color_by].to_numpy(float)
        return {"color by": color_by, "scale": [np.nanmin(values), np.nanmax(values)], "categories": []}
    return {"color by": color_by, "scale": [], "categories": sorted({str(v) for v in clips[color_by]})}


def _panel(projection: Projection, clips: pd.DataFrame, color_by: str, link: bool) -> dict[str, Any]:
    """Points of every modality with name and category (its number, or a measure), and lines between them."""
    tables = maps.map_tables(projection, clips, color_by)
    place = {name: k for k, name in enumerate(_key(clips, color_by)["categories"])}
    points = {}
    for modality, table in tables.items():
        value = [place.get(str(v), -1) for v in table["value"]] if place else table["shade"].tolist()
        names = table["name"].tolist()
        points[modality] = {"x": table["x"].tolist(), "y": table["y"].tolist(), "value": value, "name": names}
    lines = [maps.clip_pairs(projection, clips, m).reshape(-1, 4) for m in list(tables)[1:]] if link else []
    return {"points": points, "lines": np.concatenate(lines) if lines else []}


@painter
def paint_joint_map(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Panels above a legend of modalities and categories."""
    panels = data["panels"]
    modalities = list(dict.fromkeys(m for panel in panels.values() for m in panel["points"]))
    handles, labels = _entries(modalities, data)
    widest = max(text_width(label, SMALLEST) for label in labels) + 0.28
    columns = max(1, min(len(labels), int(look.width / widest)))
    rows = -(-len(labels) // columns)
    side = look.width / len(panels)
    high = min(side * (0.95 if look.columns == 1 else 0.8), 4.2) + (0.2 if len(panels) > 1 else 0)
    below = 0.125 * rows + 0.08
    figure.tall(high + below + 0.1)
    grid = figure.add_gridspec(2, len(panels), height_ratios=[high, below])
    shown = [figure.add_subplot(grid[0, k]) for k in range(len(panels))]
    for axes, (heading, panel) in zip(shown, panels.items(), strict=True):
        paint = _draw_panel(axes, panel, data)
        axes.set_title(heading)
    key = figure.add_subplot(grid[1, :])
    key.set_axis_off()
    look_of = {"loc": "center", "ncols": columns, "fontsize": SMALLEST, "labelspacing": 0.25, "columnspacing": 1.0}
    legend(key, handles, labels, borderaxespad=0, handletextpad=0.2, **look_of)
    if data["scale"]:
        bar = figure.colorbar(paint, ax=shown, shrink=0.7, pad=0.01, label=data["color by"])
        bar.outline.set_visible(False)  # type: ignore[operator]


def _draw_panel(axes: Axes, panel: dict[str, Any], data: dict[str, Any]) -> Any:
    """One map; returns the artist that knows the colour scale."""
    lines = numbers(panel["lines"]).reshape(-1, 2, 2)
    axes.add_collection(LineCollection(list(lines), colors=theme.QUIET, linewidths=0.25, alpha=0.3, rasterized=True))
    colors = theme.class_colors(len(data["categories"]))
    count = sum(len(own["x"]) for own in panel["points"].values())
    size = float(np.clip(3000 / max(count, 1), 1.2, 7))
    paint = None
    for modality, own in panel["points"].items():
        big = modality == "class prompt"
        options: dict[str, Any] = {"marker": theme.mark_of(modality).marker, "rasterized": True}
        options |= (
            {"s": 55, "linewidths": 0.5, "edgecolors": "black", "zorder": 3} if big else {"s": size, "linewidths": 0}
        )
        if data["scale"] and not big:  # class prompts are no clips and have no measure
            low, high = data["scale"]
            options |= {"c": numbers(own["value"]), "cmap": colormaps["cividis"], "vmin": low, "vmax": high}
        else:
            options["c"] = [theme.QUIET if k is None or data["scale"] or k < 0 else colors[k] for k in own["value"]]
        drawn = axes.scatter(own["x"], own["y"], alpha=1 if big else 0.8, **options)
        paint = paint if big else drawn
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_aspect("equal", "datalim")
    return paint


def _entries(modalities: list[str], data: dict[str, Any]) -> tuple[list[Line2D], list[str]]:
    """Handles and labels: a mark for each modality, then a colour for each category, if they are not too many."""
    look: dict[str, Any] = {"linestyle": "", "markersize": 4}
    handles = [Line2D([], [], marker=theme.mark_of(m).marker, color=theme.MIDDLE, **look) for m in modalities]
    labels = list(modalities)
    names = data["categories"]
    if len(names) <= MOST_NAMED:
        colors = theme.class_colors(len(names))
        handles += [Line2D([], [], marker="o", color=color, **look) for color in colors]
        labels += [shortened(name, 30) for name in names]
    return handles, labels
