"""A clip as a strip of poses, for paper."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.viz import theme
from c2vl_lab.viz.poses import SIDES, evenly, side_of, view, visible


def film_strip(clip: Clip, layout: JointLayout, frames: int = 8, title: str = "", note: str = "") -> Figure:
    """The clip as ``frames`` poses side by side, with the paths of hands and feet since the pose before.

    Args:
        clip: ``xyz`` (T, M, V, 3) metres.
        layout: the joints of the clip.
        frames: how many poses.
        title: heading; the clip's name by default.
        note: what has to be said about the data, for example :func:`c2vl_lab.viz.theme.origin_note`.
    """
    shown = evenly(len(clip.xyz), frames)
    right, up, _ = view(clip, layout)
    xyz = visible(clip)
    flat = np.stack([xyz @ right, xyz @ up], axis=-1)  # (T, M, V, 2)
    several = np.isfinite(xyz).any(axis=(0, 2, 3)).sum() > 1
    reach, tall = (float(np.nanmax(flat[..., k]) - np.nanmin(flat[..., k])) for k in range(2))
    least = 0.9 * min(1.0, max(reach, tall))  # metres; a hand's poses stand nearer together than a person's
    # two people stay nearer to one another than to the next pose
    width = max(least, reach * (1.15 if several else 0.9))
    figure = Figure(figsize=(theme.PAGE_WIDTH, 1.9), layout="constrained")
    axes = figure.subplots()
    floor, middle = float(np.nanmin(flat[..., 1])), np.nanmean(flat, axis=(0, 1, 2))
    before = 0
    for position, t in enumerate(shown):
        offset = np.array([position * width, 0.0])
        _draw_trails(axes, flat[before : t + 1] + offset, layout)
        _draw_pose(axes, flat[t] + offset, layout)
        seen = np.isfinite(flat[t]).any()
        x = offset[0] + float(np.nanmean(flat[t, ..., 0]) if seen else middle[0])
        words: dict[str, Any] = {"ha": "center", "textcoords": "offset points", "fontsize": 7}
        axes.annotate(f"{clip.frames[t]}", (x, floor), xytext=(0, -6), va="top", **words)
        if not seen:
            axes.annotate("not\ntracked", (x, middle[1]), xytext=(0, 0), va="center", color=theme.QUIET, **words)
        before = t
    axes.set_aspect("equal")
    axes.set_axis_off()
    heading = title or f"{clip.name}, frames below the poses"
    axes.set_title(f"{heading} ({note})" if note else heading, parse_math=False)
    return figure


def _draw_pose(axes, pose: np.ndarray, layout: JointLayout) -> None:
    """Draw the bodies of one frame, (M, V, 2)."""
    for order, body in enumerate(pose):
        if np.isnan(body).all():
            continue
        paint = theme.lighter if order else str
        colors = [paint(SIDES[side_of(layout.joints[child])]) for child, _ in layout.bones]
        segments = [body[list(pair)] for pair in layout.bones]
        axes.add_collection(LineCollection(segments, colors=colors, linewidths=1.6, capstyle="round", zorder=3))
        axes.plot(*np.nanmax(body, axis=0), alpha=0)  # tells the axes how far the body reaches
        axes.plot(*np.nanmin(body, axis=0), alpha=0)
        head = layout.point(body, "head") if layout.has("head") else body[layout.root]
        axes.plot(*head, "o", color=paint(theme.MIDDLE), markersize=3.5, zorder=4)


def _draw_trails(axes, path: np.ndarray, layout: JointLayout) -> None:
    """Draw where hands and feet went, (t, M, V, 2), as faint lines; of another skeleton the ends of its limbs."""
    named = [tip for tip in ("left_hand", "right_hand", "left_foot", "right_foot") if layout.has(tip)]
    tips = named or [joint for index, joint in enumerate(layout.joints) if index not in layout.parents]
    for joint in tips:
        for order in range(path.shape[1]):
            line = layout.point(path[:, order], joint)
            color = theme.lighter(SIDES[side_of(joint)]) if order else SIDES[side_of(joint)]
            axes.plot(line[:, 0], line[:, 1], color=color, linewidth=0.8, alpha=0.45, zorder=1)
