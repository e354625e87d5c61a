"""A clip as numbers for a player that draws on a page by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.viz import theme
from c2vl_lab.viz.poses import SIDES, evenly, side_of, view, visible

MOST_FRAMES = 150  # of a clip on a page


def clip_motion(clip: Clip, layout: JointLayout, fps: float = 30.0, most_frames: int = MOST_FRAMES) -> dict[str, Any]:
    """The clip for a page's player: whole millimetres to the right, up and towards the viewer, about its middle.

    Args:
        clip: ``xyz`` (T, M, V, 3) metres.
        layout: the joints of the clip.
        fps: frames a second of the recording.
        most_frames: longer clips are thinned out evenly to this many frames.

    Returns:
        Plain JSON values: ``poses`` (frames, bodies, 3 V), None where a body was not tracked; ``frames``, their true
        indices; ``bones`` (parent, child, side); ``paints``, ``head``, ``reach`` and ``floor`` in millimetres, ``fps``.
    """
    shown = evenly(len(clip.xyz), most_frames)
    axes = np.stack(view(clip, layout), axis=1)  # (3, 3): right, up, toward as columns
    turned = visible(clip) @ axes  # (T, M, V, 3)
    low, high = (f(turned.reshape(-1, 3), axis=0) for f in (np.nanmin, np.nanmax))
    flat = np.round(1000 * (turned[shown] - (low + high) / 2))
    reach = 1.15 * max(float(np.hypot(*(high - low)[[0, 2]])), float((high - low)[1]), 1e-3)
    sides = list(SIDES)
    colors = list(SIDES.values())
    return {
        "poses": [[_numbers(body) for body in frame] for frame in flat],
        "frames": [int(clip.frames[t]) for t in shown],
        "bones": [
            [int(parent), int(child), sides.index(side_of(layout.joints[child]))] for child, parent in layout.bones
        ],
        "paints": [colors, [theme.lighter(color) for color in colors]],
        "head": layout.joints.index("head") if "head" in layout.joints else -1,
        "reach": 1000 * reach,
        "floor": float(1000 * (low[1] - high[1]) / 2),
        "fps": fps * len(shown) / len(clip.xyz),
    }


def _numbers(body: np.ndarray) -> list[int | None] | None:
    """(V, 3) as one list; None for a body that was not tracked, and for each number that is none."""
    if not np.isfinite(body).any():
        return None
    return [int(value) if np.isfinite(value) else None for value in body.ravel()]
