"""A clip to look at: animated bodies in 3D, with play buttons and a slider that work in any browser."""

from __future__ import annotations

import math
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import ConfigError
from c2vl_lab.viz import theme
from c2vl_lab.viz.poses import SIDES, evenly, side_of, view, visible

MOST_FRAMES = 120  # more make the page heavy and the eye no wiser
SPEEDS = (0.25, 0.5, 1, 2)
REDRAW = 45.0  # milliseconds in which a slow machine still draws a frame; faster playing leaves frames out
EARLY = 6.0  # milliseconds: plotly waits for the screen's next refresh after the time is up
FAR_AWAY = 1e3  # metres
PASSES = 12  # times that a clip is played before it stops by itself


def clip_player(
    clip: Clip, layout: JointLayout, title: str = "", fps: float = 30.0, most_frames: int = MOST_FRAMES
) -> go.Figure:
    """The clip as an animated 3D skeleton with buttons for four speeds, pause, and a slider.

    Left limbs are blue, right limbs orange; a second body is paler, with a hollow head. A body vanishes where it was
    not tracked; the bars above the slider show where that is, the first body's on top. Where the set has tracking
    states, joints that the recorder guessed are ringed and lost ones crossed. The camera starts in front of the
    performer, or beside two people, y points up and all axes have one scale. The browser does all of it.

    Args:
        clip: ``xyz`` (T, M, V, 3) metres.
        layout: the joints of the clip.
        title: heading; the clip's name by default. Shown as text, never as markup.
        fps: frames a second of the recording.
        most_frames: longer clips are thinned out evenly to this many frames.

    Raises:
        ConfigError: ``fps`` is not above 0, or ``most_frames`` is under 1.
    """
    if fps <= 0 or most_frames < 1:
        raise ConfigError(f"Wanted fps above 0 and most_frames from 1, found {fps}, {most_frames}.")
    shown = evenly(len(clip.xyz), most_frames)
    bodies = [m for m in range(clip.xyz.shape[1]) if clip.present[:, m].any()] or [0]
    xyz = visible(clip)[:, bodies]
    moving = _moving(clip, layout, xyz, bodies, shown)
    pause = 1000 * len(clip.xyz) / len(shown) / fps
    return go.Figure(
        data=[
            *(go.Scatter3d(**_place(points[0]), **look, hoverinfo="skip") for points, look in moving),
            _floor(xyz),
        ],
        frames=[
            go.Frame(
                data=[go.Scatter3d(**_place(points[k])) for points, _ in moving],
                name=str(k),
                traces=list(range(len(moving))),
            )
            for k in range(len(shown))
        ],
        layout=_scene(clip, layout, xyz)
        | _controls(clip, shown, pause)
        | _gap_bars(np.isfinite(xyz[shown, :, layout.root]).all(axis=2))
        | {"title": {"text": escape(title or clip.name)}},
    )


Moving = tuple[np.ndarray, dict[str, Any]]  # (shown frames, points, 3) and how a trace of them looks


def _moving(clip: Clip, layout: JointLayout, xyz: np.ndarray, bodies: list[int], shown: list[int]) -> list[Moving]:
    """All traces that change from frame to frame: limbs, heads, joints that were guessed, bodies that are away."""
    poses = xyz[shown]
    traces = [limbs for order in range(len(bodies)) for limbs in _limbs(poses[:, order], layout, order)]
    if layout.has("head"):
        fill = [theme.MIDDLE, "#FFFFFF"]
        marker = {"size": 8, "color": [fill[min(m, 1)] for m in range(len(bodies))]}
        marker["line"] = {"width": 2, "color": theme.MIDDLE}
        look = {"mode": "markers", "marker": marker, "showlegend": False}
        traces.append((layout.point(poses, "head"), look))
    if clip.state is not None:
        traces += _guessed(poses, np.asarray(clip.state)[shown][:, bodies])
    places = _last_known(xyz[:, :, layout.root])[shown]
    for order, name in enumerate(_names(bodies)):
        away = np.isnan(poses[:, order, layout.root]).any(axis=1)
        if away.any():
            font = {"color": theme.MIDDLE, "size": 13}
            look = {"mode": "text", "text": [f"{name} not tracked"], "textfont": font, "showlegend": False}
            # outside the axes where there is nothing to say: plotly gives a text that begins as NaN another size
            traces.append((np.where(away[:, None], places[:, order], FAR_AWAY)[:, None], look))
    return traces


def _limbs(body: np.ndarray, layout: JointLayout, order: int) -> list[Moving]:
    """One body (frames, V, 3) as three traces, one for each side; within a trace the chains are parted by gaps."""
    traces = []
    for side, color in SIDES.items():
        line = np.array(_chains(layout, side), int)
        points = np.where((line >= 0)[:, None], body[:, line], np.nan)
        paint = _paint(color, order)
        look = {
            "mode": "lines+markers",
            "line": {"color": paint, "width": 7},
            "marker": {"color": paint, "size": 3},
            "name": side if order == 0 else f"{side}, body {order + 1}",
            "showlegend": side != "middle",
        }
        traces.append((points, look))
    return traces


def _chains(layout: JointLayout, side: str) -> list[int]:
    """Joints to be joined by a line, -1 where it is interrupted: every bone of the side once, few interruptions."""
    hops = layout.hops()[layout.root]
    chains: list[list[int]] = []
    for child, parent in sorted(layout.bones, key=lambda bone: hops[bone[0]]):
        if side_of(layout.joints[child]) != side:
            continue
        chain = next((c for c in chains if c[-1] == parent), None)
        if chain is None:
            chains.append(chain := [parent])
        chain.append(child)
    return [joint for chain in chains for joint in (*chain, -1)]


def _guessed(poses: np.ndarray, state: np.ndarray) -> list[Moving]:
    """Rings round joints that the recorder inferred and crosses on those that it lost, (frames, M, V) states."""
    flat, states = poses.reshape(len(poses), -1, 3), state.reshape(len(state), -1)
    signs = ((1, "inferred joint", "circle-open", 5), (0, "lost joint", "x", 8))
    traces = []
    for value, name, symbol, size in signs:
        hit = (states == value) & np.isfinite(flat).all(axis=2)
        if hit.any():
            marker = {"symbol": symbol, "size": size, "color": "#1F2733"}
            traces.append((np.where(hit[..., None], flat, np.nan), {"mode": "markers", "marker": marker, "name": name}))
    return traces


def _last_known(path: np.ndarray) -> np.ndarray:
    """(T, M, 3) with NaN replaced by the last known place, before the first one by the first."""
    filled = path.copy()
    for body in range(path.shape[1]):
        known = np.flatnonzero(np.isfinite(path[:, body]).all(axis=1))
        if len(known):
            latest = np.searchsorted(known, np.arange(len(path)), side="right") - 1
            filled[:, body] = path[known[np.maximum(latest, 0)], body]
    return filled


def _names(bodies: list[int]) -> list[str]:
    """How bodies are called beside the player."""
    return [f"body {order + 1}" for order in range(len(bodies))] if len(bodies) > 1 else ["body"]


def _paint(color: str, order: int) -> str:
    """The colour of the first body, or a paler one."""
    return color if order == 0 else theme.lighter(color)


def _place(points: np.ndarray) -> dict[str, np.ndarray]:
    """(n, 3) points as plotly wants them."""
    return {axis: points[:, k].astype(np.float32) for k, axis in enumerate("xyz")}


def _scene(clip: Clip, layout: JointLayout, xyz: np.ndarray) -> dict:
    """Layout entries: equal axes that hold the whole clip, y up, the camera where one sees best."""
    low, high = (f(xyz.reshape(-1, 3), axis=0) for f in (np.nanmin, np.nanmax))
    unit = min(1.0, float((high - low).max())) or 1.0  # metres; a hand fills the scene as a person does
    span = np.maximum(high - low, 0.4 * unit) + 0.2 * unit
    center = (low + high) / 2
    ratio = 1.15 * span / span.max()
    right, up, toward = view(clip, layout)
    eye = 1.5 * toward + 0.45 * right + 0.22 * up
    ranges = [
        {"visible": False, "range": [float(c - s / 2), float(c + s / 2)]} for c, s in zip(center, span, strict=True)
    ]
    return {
        "scene": {
            **dict(zip(("xaxis", "yaxis", "zaxis"), ranges, strict=True)),
            "aspectmode": "manual",
            "aspectratio": dict(zip("xyz", map(float, ratio), strict=True)),
            "camera": {"up": _xyz(up), "eye": _xyz(eye)},
        },
        "template": "plotly_white",
        "height": 600,
        "margin": {"l": 24, "r": 24, "t": 56, "b": 144},
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1.0, "xanchor": "right"},
    }


def _floor(xyz: np.ndarray) -> go.Scatter3d:
    """A quiet grid of half metres (of tenths for a hand) under the lowest joint of the clip."""
    low, high = (f(xyz.reshape(-1, 3), axis=0) for f in (np.nanmin, np.nanmax))
    step = 0.5 if float((high - low).max()) > 0.6 else 0.1
    (x0, _, z0), (x1, _, z1) = np.floor(low / step) * step, np.ceil(high / step) * step
    gap = [[np.nan] * 3]
    lines = [[[x, low[1], z0], [x, low[1], z1], *gap] for x in np.arange(x0, x1 + step / 5, step)]
    lines += [[[x0, low[1], z], [x1, low[1], z], *gap] for z in np.arange(z0, z1 + step / 5, step)]
    grid = np.array(lines, np.float32).reshape(-1, 3)
    look = {"mode": "lines", "line": {"color": "#D5DAE1", "width": 1}, "hoverinfo": "skip", "showlegend": False}
    return go.Scatter3d(x=grid[:, 0], y=grid[:, 1], z=grid[:, 2], **look)


def _controls(clip: Clip, shown: list[int], pause: float) -> dict:
    """Layout entries: a button for each speed, pause, and a slider that shows the true frame index.

    Args:
        pause: milliseconds between two shown frames at the speed of the recording.
    """
    still = {"frame": {"duration": 0, "redraw": True}, "mode": "immediate", "transition": {"duration": 0}}
    buttons = [
        {"label": f"Play {speed:g}\u00d7", "method": "animate", "args": _play(len(shown), pause / speed)}
        for speed in SPEEDS
    ]
    buttons.append({"label": "Pause", "method": "animate", "args": [[None], still]})
    steps = [
        {"label": str(clip.frames[t]), "method": "animate", "args": [[str(k)], still]} for k, t in enumerate(shown)
    ]
    row = {"type": "buttons", "direction": "left", "x": 0, "xanchor": "left", "showactive": False, "buttons": buttons}
    # the slider's own insets are 10 pixels wide; without them it is as wide as the bars above it
    slider = {"x": 0, "len": 1, "steps": steps, "pad": {"t": 18, "b": 0, "l": -10, "r": -10}}
    return {
        "updatemenus": [row | {"y": 0, "yanchor": "top", "pad": {"t": 104}}],
        "sliders": [slider | {"y": 0, "yanchor": "top", "currentvalue": {"prefix": "frame ", "xanchor": "right"}}],
    }


def _play(count: int, pause: float) -> list[Any]:
    """Arguments that play ``count`` frames over and over from the one that is shown, ``pause`` ms for each.

    Where a frame would get less time than a machine needs to draw it, only every second or third is played. Each of
    the passes begins one frame later than the one before, so that every frame is in one and playing can begin there.
    """
    stride = max(1, math.ceil(REDRAW / pause))
    passes = [[str(k) for k in range(first, count, stride)] for first in range(min(stride, count))]
    names = [name for one in passes for name in one] * max(1, PASSES // len(passes))
    frame = {"duration": max(pause * stride - EARLY, 1.0), "redraw": True}
    return [names, {"frame": frame, "fromcurrent": True, "mode": "immediate", "transition": {"duration": 0}}]


def _gap_bars(present: np.ndarray) -> dict:
    """Layout entries: bars above the slider where a body (shown frames, M) was not tracked, one row a body."""
    bars: list[dict] = []
    last = max(len(present) - 1, 1)
    for body in range(present.shape[1]):
        edge = np.diff(np.concatenate([[1], present[:, body], [1]]).astype(int))
        for start, end in zip(np.flatnonzero(edge < 0), np.flatnonzero(edge > 0), strict=True):
            x0, x1 = max(start - 0.5, 0) / last, min(end - 0.5, last) / last
            top = -4 - 7 * body
            bars.append(
                {"type": "rect", "xref": "paper", "yref": "paper", "x0": float(x0), "x1": float(x1)}
                | {"ysizemode": "pixel", "yanchor": 0, "y0": top, "y1": top - 5, "line": {"width": 0}}
                | {"fillcolor": _paint(theme.MIDDLE, body)}
            )
    if not bars:
        return {}
    note = {"text": "grey bars: not tracked", "font": {"color": theme.MIDDLE, "size": 12}, "showarrow": False}
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": 0, "xanchor": "left", "yanchor": "top", "yshift": -22}
    return {"shapes": bars, "annotations": [note | place]}


def _xyz(vector: np.ndarray) -> dict[str, float]:
    """A vector as plotly wants it."""
    return dict(zip("xyz", map(float, vector), strict=True))
