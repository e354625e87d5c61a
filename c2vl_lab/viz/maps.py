"""The concept map to look around in; :mod:`c2vl_lab.figures.maps` has it for paper."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from c2vl_lab.errors import ConfigError, DataError, near_miss
from c2vl_lab.project import Projection
from c2vl_lab.viz import theme


def joint_map(
    projection: Projection,
    clips: pd.DataFrame,
    color_by: str = "class",
    link: bool = True,
    title: str = "",
    note: str = "",
) -> go.Figure:
    """An interactive scatter of all modalities: one colour a category, one mark a modality.

    The legend switches categories, the buttons switch modalities. Whatever comes from data (names,
    classes, sentences) is shown as text, never as markup.

    Args:
        projection: of :func:`c2vl_lab.project.project_joint`, on two dimensions.
        clips: one row a clip in the order of the projection, with ``name`` and the ``color_by`` column;
            ``class`` and ``sentence`` are shown on hover where there are such columns. A ``class prompt``
            modality has one row for each class instead, in the order of ``clips.attrs["classes"]``.
        color_by: column that chooses the colour; a column of floats gets a colour scale.
        link: join the modalities of one clip by a thin line.
        title: heading of the figure.
        note: what has to be said about data or teacher, see :func:`c2vl_lab.viz.theme.origin_note`.

    Raises:
        ConfigError: no column ``color_by``, or a map of three dimensions.
        DataError: the projection and ``clips`` do not have the same number of rows.
    """
    tables = map_tables(projection, clips, color_by)
    lines = _links(projection, clips) if link else []
    traces: list[Any] = [*lines]
    owners = ["link"] * len(lines)
    for modality, table in tables.items():
        found = (_scale_traces if is_scale(clips, color_by) else _category_traces)(modality, table)
        traces += found
        owners += [modality] * len(found)
    keys = [_mark_key(modality) for modality in tables]
    keys += [] if is_scale(clips, color_by) else _category_keys(clips[color_by])
    traces += keys
    owners += ["key"] * len(keys)
    return go.Figure(data=traces, layout=_layout(list(tables), owners, title, _caption(projection, note)))


def map_tables(projection: Projection, clips: pd.DataFrame, color_by: str) -> dict[str, pd.DataFrame]:
    """Modality to a table of points with x, y, hover text and colour; rows without a place are dropped."""
    if color_by not in clips:
        raise ConfigError(f"The clips have no column '{color_by}' to colour by. {near_miss(color_by, map(str, clips))}")
    tables = {}
    colors = {} if is_scale(clips, color_by) else named_colors(clips[color_by])
    for modality, places in projection.coordinates.items():
        if places.shape[1] != 2:
            raise ConfigError(f"A concept map has 2 dimensions, the projection has {places.shape[1]}.")
        rows = clips
        if modality == "class prompt":
            names = list(clips.attrs.get("classes", []))
            rows = pd.DataFrame({"name": names, "class": names}).reindex(columns=list({"name", "class", color_by}))
        if len(rows) != len(places):
            raise DataError(f"The map has {len(places)} {modality} points, but {len(rows)} rows describe them.")
        value = rows[color_by]
        table = pd.DataFrame({"x": places[:, 0], "y": places[:, 1], "value": value.to_numpy()})
        table["text"] = [_hover(modality, row) for row in rows.to_dict("records")]
        table["name"] = rows["name"].astype(str).to_numpy() if "name" in rows else ""
        if colors:
            table["color"] = [colors.get(str(v), theme.QUIET) for v in value]
        else:
            table["shade"] = pd.to_numeric(table["value"])
        tables[modality] = table[np.isfinite(places).all(axis=1)]
    return tables


def _caption(projection: Projection, note: str) -> str:
    """The line under a map: method, quality, and what is not the real thing."""
    return projection.caption + (f" Note: {note}." if note else "")


def is_scale(clips: pd.DataFrame, column: str) -> bool:
    """Whether a column is a measure (a colour scale) rather than a set of categories."""
    return pd.api.types.is_float_dtype(clips[column])


def named_colors(values: pd.Series) -> dict[str, str]:
    """Category name to colour, in order of appearance in the sorted column."""
    names = sorted({str(v) for v in values})
    return dict(zip(names, theme.class_colors(len(names)), strict=True))


def _hover(modality: str, row: dict[Any, Any]) -> str:
    """Hover text of one point; everything that comes from data is escaped."""
    parts = [f"<b>{escape(str(row.get('name', '')))}</b> ({modality})"]
    if "class" in row:
        parts.append(escape(str(row["class"])))
    if isinstance(row.get("sentence"), str):
        parts += [escape(line) for line in textwrap.wrap(row["sentence"], 60, max_lines=4, placeholder=" …")]
    return "<br>".join(parts)


def _category_traces(modality: str, table: pd.DataFrame) -> list[go.Scattergl]:
    """One trace for every category of one modality; the legend entry belongs to the first modality."""
    return [
        go.Scattergl(
            x=part["x"].to_numpy(),
            y=part["y"].to_numpy(),
            mode="markers",
            marker=_marker(modality) | {"color": part["color"].iloc[0]},
            name=escape(str(value)),
            legendgroup=escape(str(value)),
            showlegend=False,
            hovertext=part["text"].tolist(),
            hoverinfo="text",
        )
        for value, part in table.groupby("value", sort=True)
    ]


def _scale_traces(modality: str, table: pd.DataFrame) -> list[go.Scattergl]:
    """One trace for one modality, coloured by a measure on the maps' common scale."""
    return [
        go.Scattergl(
            x=table["x"].to_numpy(),
            y=table["y"].to_numpy(),
            mode="markers",
            marker=_marker(modality) | {"color": table["shade"].to_numpy(), "coloraxis": "coloraxis"},
            name=modality,
            showlegend=False,
            hovertext=table["text"].tolist(),
            hoverinfo="text",
        )
    ]


def _marker(modality: str) -> dict[str, Any]:
    """Symbol and size of a modality's points."""
    big = modality == "class prompt"
    line = {"width": 1 if big else 0, "color": "white"}
    return {"symbol": theme.mark_of(modality).symbol, "size": 15 if big else 6, "opacity": 0.85, "line": line}


def _mark_key(modality: str) -> go.Scatter:
    """A legend entry that explains a modality's mark."""
    marker = {"symbol": theme.mark_of(modality).symbol, "size": 9, "color": theme.QUIET}
    return go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=modality, hoverinfo="skip")


def _category_keys(values: pd.Series) -> list[go.Scatter]:
    """A legend entry for every category; a click on it switches the category in all modalities."""
    return [
        go.Scatter(
            x=[None],
            y=[None],
            mode="markers",
            marker={"color": color, "size": 9},
            name=escape(name),
            legendgroup=escape(name),
            hoverinfo="skip",
        )
        for name, color in named_colors(values).items()
    ]


def clip_pairs(projection: Projection, clips: pd.DataFrame, modality: str) -> np.ndarray:
    """(n, 2, 2) from the first modality's point of each clip to its point of ``modality``."""
    first = next(iter(projection.coordinates.values()))
    other = projection.coordinates[modality]
    if len(first) != len(clips) or len(other) != len(clips):
        return np.zeros((0, 2, 2), np.float32)
    both = np.stack([first, other], axis=1)
    return both[np.isfinite(both).all(axis=(1, 2))]


def _links(projection: Projection, clips: pd.DataFrame) -> list[go.Scattergl]:
    """Thin lines between the modalities of one clip, as a single trace with gaps."""
    names = list(projection.coordinates)[1:]
    pairs = (
        np.concatenate([clip_pairs(projection, clips, m) for m in names]) if names else np.zeros((0, 2, 2), np.float32)
    )
    if not len(pairs):
        return []
    line = np.full((len(pairs), 3, 2), np.nan, np.float32)
    line[:, :2] = pairs
    look = {"mode": "lines", "line": {"color": theme.QUIET, "width": 0.5}, "opacity": 0.25, "hoverinfo": "skip"}
    return [go.Scattergl(x=line[..., 0].ravel(), y=line[..., 1].ravel(), name="same clip", **look)]


def _layout(modalities: Sequence[str], owners: Sequence[str], title: str, caption: str) -> dict[str, Any]:
    """Layout with buttons that choose modalities and a caption under the map."""
    buttons = [{"label": "all", "method": "restyle", "args": [{"visible": True}]}]
    for modality in modalities if len(modalities) > 1 else ():
        seen = [owner in (modality, "key") for owner in owners]
        buttons.append({"label": modality, "method": "restyle", "args": [{"visible": seen}]})
    plain = {"showticklabels": False, "showgrid": False, "zeroline": False}
    wrapped = "<br>".join(escape(line) for line in textwrap.wrap(caption, 125))
    note = {"text": wrapped, "xref": "paper", "yref": "paper", "x": 0, "y": -0.02, "showarrow": False}
    note |= {"xanchor": "left", "yanchor": "top", "align": "left", "font": {"size": 11}}
    menu = {"type": "buttons", "direction": "right", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"}
    return {
        "template": "plotly_white",
        "title": {"text": escape(title), "x": 0.01, "y": 0.98, "yanchor": "top", "font": {"size": 15}},
        "height": 640,
        "margin": {"l": 16, "r": 16, "t": 76, "b": 64},
        "xaxis": plain,
        "yaxis": plain | {"scaleanchor": "x"},
        "legend": {"font": {"size": 11}, "tracegroupgap": 0},
        "coloraxis": {"colorscale": "Cividis"},
        "dragmode": "pan",
        "annotations": [note],
        "updatemenus": [menu | {"buttons": buttons, "pad": {"b": 4}, "active": 0}],
    }
