"""Clips on paper: a film strip of poses with its sentence, and galleries of what a query retrieves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import FancyBboxPatch

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import DataError
from c2vl_lab.figures.canvas import PAGE, SMALLEST, Look, PaperFigure, numbers, painter
from c2vl_lab.figures.parts import shortened, wrapped
from c2vl_lab.viz import theme
from c2vl_lab.viz.poses import SIDES, evenly, side_of, view, visible

TRAIL = 60  # points of a path, at most
RIGHT, WRONG = ("#0072B2", "-"), ("#D55E00", "--")


def film_strip(
    clip: Clip,
    layout: JointLayout,
    sentence: str = "",
    frames: int = 8,
    look: Look = PAGE,
) -> PaperFigure:
    """The clip as poses side by side, with the paths of hands and feet since the pose before, and its sentence below.

    Left limbs are blue, right limbs orange, a second person paler; under each pose stands its frame.

    Args:
        clip: ``xyz`` (T, M, V, 3) metres.
        layout: the joints of the clip.
        sentence: a text of the clip, or "".
        frames: how many poses, at most.
        look: venue, columns, note; the heading is the clip's name where the look has no title.
    """
    shown = evenly(len(clip.xyz), frames)
    flat = _flat(clip, layout)  # (T, M, V, 2)
    several = np.isfinite(flat).any(axis=(0, 2, 3)).sum() > 1
    reach, tall = (float(np.nanmax(flat[..., k]) - np.nanmin(flat[..., k])) for k in range(2))
    least = 0.9 * min(1.0, max(reach, tall))  # metres; a hand's poses stand nearer together than a person's
    poses = []
    for before, t in zip([0, *shown[:-1]], shown, strict=True):
        poses.append({"frame": int(clip.frames[t]), **_pose(flat[t], flat[before : t + 1], layout)})
    data = {
        "clip": clip.name,
        "sentence": sentence,
        "bones": layout.bones,
        "sides": [side_of(layout.joints[child]) for child, _ in layout.bones],
        # two people stay nearer to one another than to the next pose
        "step": max(least, reach * (1.15 if several else 0.9), 0.05),
        "floor": float(np.nanmin(flat[..., 1])),
        "middle": np.nanmean(flat, axis=(0, 1, 2)),
        "tall": tall,
        "poses": poses,
    }
    return paint_film_strip(data, look)


@painter
def paint_film_strip(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Poses on one floor from left to right."""
    sentence = wrapped(data["sentence"], look.width - 0.15, 7)
    high = float(np.clip(data["tall"] / data["step"] / len(data["poses"]) * look.width, 0.6, 2.2)) + 0.3
    words_high = 0.125 * (sentence.count("\n") + 1) if sentence else 0.0
    figure.tall(high + words_high + (0 if look.title else 0.15))
    grid = figure.add_gridspec(2, 1, height_ratios=[high, words_high or 0.01])
    axes = figure.add_subplot(grid[0])
    if not look.title:
        axes.set_title(shortened(data["clip"], int(look.width * 16)))
    for position, pose in enumerate(data["poses"]):
        offset = np.array([position * data["step"], 0.0])
        joints = numbers(pose["joints"]) + offset
        _draw_pose(axes, pose, data, offset)
        seen = np.isfinite(joints).any()
        x = float(np.nanmean(joints[..., 0])) if seen else offset[0] + data["middle"][0]
        words: dict[str, Any] = {"ha": "center", "textcoords": "offset points", "fontsize": SMALLEST}
        axes.annotate(f"{pose['frame']}", (x, data["floor"]), xytext=(0, -5), va="top", **words)
        if not seen:
            words |= {"color": theme.QUIET}
            axes.annotate("not\ntracked", (x, data["middle"][1]), xytext=(0, 0), va="center", **words)
    axes.set_aspect("equal")
    axes.set_axis_off()
    if sentence:
        below = figure.add_subplot(grid[1])
        below.text(0, 1, sentence, va="top", ha="left", fontsize=7, style="italic")
        below.set_axis_off()


@dataclass(frozen=True)
class Hit:
    """One answer to a query: the clip, what stands below it, its similarity, and whether it counts as right."""

    clip: Clip
    label: str
    score: float
    right: bool


def retrieval_gallery(
    queries: Sequence[str],
    answers: Sequence[Sequence[Hit]],
    layout: JointLayout,
    look: Look = PAGE,
) -> PaperFigure:
    """What sentences (or other queries in words) retrieve: one row a query, the best answer first.

    Each answer is the pose in the middle of its clip with the paths of hands and feet over the whole clip; a blue
    frame is a right answer, a dashed orange one a wrong one.

    Args:
        queries: the texts.
        answers: for each query its answers, equally many.
        layout: the joints of the clips.
        look: venue, columns, note.

    Raises:
        DataError: no query, or queries and answers that do not fit.
    """
    if not queries or len(queries) != len(answers) or len({len(own) for own in answers}) != 1 or not answers[0]:
        raise DataError(f"A gallery wants equally many answers for each query; found {len(queries)} queries.")
    rows = []
    for query, own in zip(queries, answers, strict=True):
        hits = []
        for hit in own:
            flat = _flat(hit.clip, layout)
            seen = np.flatnonzero(np.isfinite(flat).any(axis=(1, 2, 3)))
            about = {"clip": hit.clip.name, "label": hit.label, "score": hit.score, "right": hit.right}
            hits.append(about | _pose(flat[seen[len(seen) // 2]], flat, layout))
        rows.append({"query": query, "answers": hits})
    sides = [side_of(layout.joints[child]) for child, _ in layout.bones]
    return paint_retrieval_gallery({"rows": rows, "bones": layout.bones, "sides": sides}, look)


@painter
def paint_retrieval_gallery(figure: PaperFigure, data: dict[str, Any], look: Look) -> None:
    """Framed poses in rows, the words at their left, or above them where the figure has one column."""
    rows, beside = data["rows"], look.columns == 2
    count = len(rows[0]["answers"])
    words = 0.24 * look.width if beside else 0.0
    side = (look.width - words) / count
    texts = [wrapped(row["query"], (words or look.width) - 0.15, 7) for row in rows]
    lines = [0.01 if beside else 0.125 * (text.count("\n") + 1) for text in texts]
    each = min(side, 1.5) + 0.15
    figure.tall(sum(lines) + len(rows) * (each + 0.3))
    heights = [high for line in lines for high in (line, each)]
    grid = figure.add_gridspec(
        2 * len(rows), count + beside, height_ratios=heights, width_ratios=[words] * beside + [side] * count
    )
    for k, row in enumerate(rows):
        own = figure.add_subplot(grid[2 * k + 1, 0] if beside else grid[2 * k, :])
        own.text(0, 0.5, texts[k], va="center", ha="left", fontsize=7)
        own.set_axis_off()
        for place, hit in enumerate(row["answers"]):
            axes = figure.add_subplot(grid[2 * k + 1, place + beside])
            _draw_hit(axes, hit, data, side)


def _draw_hit(axes: Axes, hit: dict[str, Any], data: dict[str, Any], side: float) -> None:
    """One framed pose with its class and score."""
    _draw_pose(axes, hit, data, np.zeros(2))
    axes.set_aspect("equal", "datalim")
    axes.margins(0.12)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    color, dash = RIGHT if hit["right"] else WRONG
    box = FancyBboxPatch(
        (0, 0),
        1,
        1,
        boxstyle="square,pad=0",
        transform=axes.transAxes,
        fill=False,
        edgecolor=color,
        linestyle=dash,
        linewidth=0.9,
        clip_on=False,
    )
    axes.add_patch(box)
    letters = max(8, int(side / 0.04))
    label = wrapped(shortened(hit["label"], 2 * letters - 4), side, SMALLEST)
    axes.set_xlabel(f"{label}\n{hit['score']:.2f}", fontsize=SMALLEST, labelpad=2)


def _flat(clip: Clip, layout: JointLayout) -> np.ndarray:
    """(T, M, V, 2) as seen from the front; NaN where a body was not tracked."""
    right, up, _ = view(clip, layout)
    xyz = visible(clip)
    return np.stack([xyz @ right, xyz @ up], axis=-1)


def _pose(flat: np.ndarray, path: np.ndarray, layout: JointLayout) -> dict[str, Any]:
    """Joints and heads of one frame (M, V, 2), and the trails of the frames (t, M, V, 2) that lead to it."""
    heads = layout.point(flat, "head") if layout.has("head") else flat[:, layout.root]
    return {"joints": flat, "heads": heads, "trails": _trails(path, layout)}


def _trails(path: np.ndarray, layout: JointLayout) -> list[dict[str, Any]]:
    """Where hands and feet went, of (t, M, V, 2); of another skeleton the ends of its limbs."""
    named = [tip for tip in ("left_hand", "right_hand", "left_foot", "right_foot") if layout.has(tip)]
    tips = named or [joint for index, joint in enumerate(layout.joints) if index not in layout.parents]
    thin = path[evenly(len(path), TRAIL)]
    return [
        {"side": side_of(joint), "body": body, "path": layout.point(thin[:, body], joint)}
        for joint in tips
        for body in range(path.shape[1])
        if np.isfinite(thin[:, body]).any()
    ]


def _draw_pose(axes: Axes, pose: dict[str, Any], data: dict[str, Any], offset: np.ndarray) -> None:
    """Draw the bodies of one frame, and faint lines where their hands and feet went."""
    for trail in pose["trails"]:
        line = numbers(trail["path"]) + offset
        axes.plot(*line.T, color=_paint(trail["body"], trail["side"]), linewidth=0.7, alpha=0.5, zorder=1)
    for order, joints in enumerate(numbers(pose["joints"]) + offset):  # (V, 2)
        if np.isnan(joints).all():
            continue
        colors = [_paint(order, side) for side in data["sides"]]
        segments = [joints[list(pair)] for pair in data["bones"]]
        axes.add_collection(LineCollection(segments, colors=colors, linewidths=1.4, capstyle="round", zorder=3))
        axes.plot(*np.nanmax(joints, axis=0), alpha=0)  # tells the axes how far the body reaches
        axes.plot(*np.nanmin(joints, axis=0), alpha=0)
        head = numbers(pose["heads"])[order] + offset
        axes.plot(*head, "o", color=_paint(order, "middle"), markersize=3, zorder=4)


def _paint(body: int, side: str) -> str:
    """Colour of a limb; a second person is paler."""
    return theme.lighter(SIDES[side]) if body else SIDES[side]
