"""A clip to look at: an animated body in 3D, and the same clip as a strip of poses for paper."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.data.clips import Clip
from c2vl_lab.errors import ConfigError
from c2vl_lab.viz import theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDES = {"left": theme.LEFT, "right": theme.RIGHT, "middle": theme.MIDDLE}
MOST_FRAMES = 120  # more make the page heavy and the eye no wiser


def clip_player(
    clip: Clip,
    layout: JointLayout,
    title: str = "",
    speed: float = 1.0,
    fps: float = 30.0,
    most_frames: int = MOST_FRAMES,
) -> go.Figure:
    """The clip as an animated 3D skeleton with a play button and a slider.

    Left limbs are orange, right limbs blue; a second body is paler. The camera starts in front of the
    performer, or beside two people, y points up and all axes have one scale.

    Args:
        clip: ``xyz`` (T, M, V, 3) metres.
        layout: the joints of the clip.
        title: heading; the clip's name by default. Shown as text, never as markup.
        speed: 1 plays at recording speed, 0.5 at half of it.
        fps: frames a second of the recording.
        most_frames: longer clips are thinned out evenly to this many frames.

    Raises:
        ConfigError: ``speed`` or ``fps`` is not above 0, or ``most_frames`` is under 1.
    """
    if speed <= 0 or fps <= 0 or most_frames < 1:
        raise ConfigError(f"Wanted speed and fps above 0 and most_frames from 1, found {speed}, {fps}, {most_frames}.")
    shown = _evenly(len(clip.xyz), most_frames)
    bodies = [m for m in range(clip.xyz.shape[1]) if clip.present[:, m].any()] or [0]
    xyz = _visible(clip)
    frames = [
        go.Frame(data=_limbs(xyz[t], layout, bodies), name=str(k), traces=list(range(len(bodies) * len(SIDES))))
        for k, t in enumerate(shown)
    ]
    pause = 1000 * len(clip.xyz) / len(shown) / fps / speed
    return go.Figure(
        data=[*_limbs(xyz[shown[0]], layout, bodies, legend=True), _floor(xyz)],
        frames=frames,
        layout=_scene(clip, layout, xyz)
        | _controls(clip, shown, pause)
        | {"title": {"text": escape(title or clip.name)}},
    )


def film_strip(clip: Clip, layout: JointLayout, frames: int = 8, title: str = "", note: str = "") -> Figure:
    """The clip as ``frames`` poses side by side, with the paths of hands and feet since the pose before.

    Args:
        clip: ``xyz`` (T, M, V, 3) metres.
        layout: the joints of the clip.
        frames: how many poses.
        title: heading; the clip's name by default.
        note: what has to be said about the data, for example :func:`c2vl_lab.viz.theme.origin_note`.
    """
    from matplotlib.figure import Figure

    shown = _evenly(len(clip.xyz), frames)
    right, up, _ = _view(clip, layout)
    xyz = _visible(clip)
    flat = np.stack([xyz @ right, xyz @ up], axis=-1)  # (T, M, V, 2)
    width = max(0.9, float(np.nanmax(flat[..., 0]) - np.nanmin(flat[..., 0])) * 0.9)
    figure = Figure(figsize=(theme.PAGE_WIDTH, 1.9), layout="constrained")
    axes = figure.subplots()
    before = 0
    for position, t in enumerate(shown):
        offset = np.array([position * width, 0.0])
        _draw_trails(axes, flat[before : t + 1] + offset, layout)
        _draw_pose(axes, flat[t] + offset, layout)
        below = (offset[0] + float(np.nanmean(flat[t, ..., 0])), float(np.nanmin(flat[..., 1])))
        axes.annotate(
            f"{clip.frames[t]}", below, xytext=(0, -6), textcoords="offset points", ha="center", va="top", fontsize=7
        )
        before = t
    axes.set_aspect("equal")
    axes.set_axis_off()
    heading = title or f"{clip.name}, frames below the poses"
    axes.set_title(f"{heading} ({note})" if note else heading, parse_math=False)
    return figure


def _evenly(length: int, most: int) -> list[int]:
    """At most ``most`` frame positions spread evenly from the first to the last."""
    return [int(t) for t in np.unique(np.linspace(0, length - 1, min(most, length)).round())]


def _visible(clip: Clip) -> np.ndarray:
    """(T, M, V, 3) with NaN where a body was not tracked, so that nothing is drawn there."""
    seen = np.asarray(clip.present, bool)
    if not seen.any():
        seen = np.ones_like(seen)
    return np.where(seen[:, :, None, None], clip.xyz, np.nan).astype(np.float32)


def _side(joint: str) -> str:
    """Which limb group a joint belongs to."""
    return next((side for side in ("left", "right") if joint.startswith(f"{side}_")), "middle")


def _limbs(pose: np.ndarray, layout: JointLayout, bodies: list[int], legend: bool = False) -> list[go.Scatter3d]:
    """Line traces of one frame's bodies (M, V, 3): bones joined by gaps, one trace for each body and side."""
    traces = []
    for order, body in enumerate(bodies):
        for side, color in SIDES.items():
            bones = [pair for pair in layout.bones if _side(layout.joints[pair[0]]) == side]
            points = np.full((len(bones), 3, 3), np.nan, np.float32)  # child, parent, gap
            points[:, :2] = pose[body][np.array(bones, int).reshape(-1, 2)]
            line = points.reshape(-1, 3)
            paint = color if order == 0 else theme.lighter(color)
            traces.append(
                go.Scatter3d(
                    x=line[:, 0],
                    y=line[:, 1],
                    z=line[:, 2],
                    mode="lines+markers",
                    line={"color": paint, "width": 7},
                    marker={"color": paint, "size": 3},
                    name=side if order == 0 else f"{side}, body {order + 1}",
                    showlegend=legend,
                    hoverinfo="skip",
                )
            )
    return traces


def _view(clip: Clip, layout: JointLayout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(right, up, toward the viewer) as unit vectors: in front of one performer, beside two."""
    up = np.array([0.0, 1.0, 0.0])
    xyz = _visible(clip)
    middle = np.array([_mean(xyz[:, m]) for m in range(xyz.shape[1])])
    if len(middle) > 1 and np.isfinite(middle[:2]).all():
        sideways = middle[1] - middle[0]
    else:
        shoulders = [
            layout.joints.index(f"{s}_shoulder") for s in ("left", "right") if f"{s}_shoulder" in layout.joints
        ]
        sideways = _mean(xyz[:, 0, shoulders[0]] - xyz[:, 0, shoulders[1]]) if len(shoulders) == 2 else -np.eye(3)[0]
    sideways = np.nan_to_num(sideways) * (1 - up)
    length = float(np.linalg.norm(sideways))
    right = sideways / length if length > 1e-6 else np.array([-1.0, 0.0, 0.0])
    return right, up, np.cross(right, up)


def _mean(points: np.ndarray) -> np.ndarray:
    """Mean over all but the last axis of what is not NaN; NaN when nothing is there."""
    flat = points.reshape(-1, 3)
    seen = flat[np.isfinite(flat).all(axis=1)]
    return seen.mean(axis=0, dtype=float) if len(seen) else np.full(3, np.nan)


def _scene(clip: Clip, layout: JointLayout, xyz: np.ndarray) -> dict:
    """Layout entries: equal axes that hold the whole clip, y up, the camera where one sees best."""
    low, high = (f(xyz.reshape(-1, 3), axis=0) for f in (np.nanmin, np.nanmax))
    span = np.maximum(high - low, 0.4) + 0.2
    center = (low + high) / 2
    ratio = 1.15 * span / span.max()
    right, up, toward = _view(clip, layout)
    eye = 1.3 * toward + 0.4 * right + 0.2 * up
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
        "height": 520,
        "margin": {"l": 0, "r": 0, "t": 48, "b": 0},
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1.0, "xanchor": "right"},
    }


def _floor(xyz: np.ndarray) -> go.Scatter3d:
    """A quiet grid of half metres under the lowest joint of the clip."""
    low, high = (f(xyz.reshape(-1, 3), axis=0) for f in (np.nanmin, np.nanmax))
    (x0, _, z0), (x1, _, z1) = np.floor(low * 2) / 2, np.ceil(high * 2) / 2
    gap = [[np.nan] * 3]
    lines = [[[x, low[1], z0], [x, low[1], z1], *gap] for x in np.arange(x0, x1 + 0.1, 0.5)]
    lines += [[[x0, low[1], z], [x1, low[1], z], *gap] for z in np.arange(z0, z1 + 0.1, 0.5)]
    grid = np.array(lines, np.float32).reshape(-1, 3)
    look = {"mode": "lines", "line": {"color": "#D5DAE1", "width": 1}, "hoverinfo": "skip", "showlegend": False}
    return go.Scatter3d(x=grid[:, 0], y=grid[:, 1], z=grid[:, 2], **look)


def _controls(clip: Clip, shown: list[int], pause: float) -> dict:
    """Layout entries: play and pause buttons and a slider that shows the true frame index."""
    play = {"frame": {"duration": pause, "redraw": True}, "fromcurrent": True, "transition": {"duration": 0}}
    stop = {"frame": {"duration": 0, "redraw": True}, "mode": "immediate", "transition": {"duration": 0}}
    buttons = [
        {"label": "Play", "method": "animate", "args": [None, play]},
        {"label": "Pause", "method": "animate", "args": [[None], stop]},
    ]
    steps = [{"label": str(clip.frames[t]), "method": "animate", "args": [[str(k)], stop]} for k, t in enumerate(shown)]
    place = {"y": 0, "yanchor": "top", "pad": {"t": 12, "b": 8, "l": 8, "r": 8}}
    return {
        "updatemenus": [
            place
            | {
                "type": "buttons",
                "direction": "left",
                "x": 0,
                "xanchor": "left",
                "showactive": False,
                "buttons": buttons,
            }
        ],
        "sliders": [
            place | {"x": 0.2, "len": 0.8, "steps": steps, "currentvalue": {"prefix": "frame ", "xanchor": "right"}}
        ],
    }


def _xyz(vector: np.ndarray) -> dict[str, float]:
    """A vector as plotly wants it."""
    return dict(zip("xyz", map(float, vector), strict=True))


def _draw_pose(axes, pose: np.ndarray, layout: JointLayout) -> None:
    """Draw the bodies of one frame, (M, V, 2)."""
    from matplotlib.collections import LineCollection

    for order, body in enumerate(pose):
        if np.isnan(body).all():
            continue
        paint = theme.lighter if order else str
        colors = [paint(SIDES[_side(layout.joints[child])]) for child, _ in layout.bones]
        segments = [body[list(pair)] for pair in layout.bones]
        axes.add_collection(LineCollection(segments, colors=colors, linewidths=1.6, capstyle="round", zorder=3))
        axes.plot(*np.nanmax(body, axis=0), alpha=0)  # tells the axes how far the body reaches
        axes.plot(*np.nanmin(body, axis=0), alpha=0)
        head = body[layout.joints.index("head")] if "head" in layout.joints else body[layout.root]
        axes.plot(*head, "o", color=paint(theme.MIDDLE), markersize=3.5, zorder=4)


def _draw_trails(axes, path: np.ndarray, layout: JointLayout) -> None:
    """Draw where hands and feet went, (t, M, V, 2), as faint lines."""
    for joint in ("left_hand", "right_hand", "left_foot", "right_foot"):
        if joint in layout.joints:
            for body in range(path.shape[1]):
                line = path[:, body, layout.joints.index(joint)]
                axes.plot(line[:, 0], line[:, 1], color=SIDES[_side(joint)], linewidth=0.8, alpha=0.45, zorder=1)
