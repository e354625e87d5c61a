"""What every picture of a clip needs: which frames, which bodies, seen from where."""

from __future__ import annotations

import numpy as np

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.viz import theme

SIDES = {"left": theme.LEFT, "right": theme.RIGHT, "middle": theme.MIDDLE}


def evenly(length: int, most: int) -> list[int]:
    """At most ``most`` frame positions spread evenly from the first to the last."""
    return [int(t) for t in np.unique(np.linspace(0, length - 1, min(most, length)).round())]


def visible(clip: Clip) -> np.ndarray:
    """(T, M, V, 3) with NaN where a body was not tracked, so that nothing is drawn there."""
    seen = np.asarray(clip.present, bool)
    if not seen.any():
        seen = np.ones_like(seen)
    return np.where(seen[:, :, None, None], clip.xyz, np.nan).astype(np.float32)


def side_of(joint: str) -> str:
    """Which limb group a joint belongs to."""
    return next((side for side in ("left", "right") if joint.startswith(f"{side}_")), "middle")


def view(clip: Clip, layout: JointLayout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(right, up, toward the viewer) as unit vectors: in front of one performer, beside two."""
    up = np.array([0.0, 1.0, 0.0])
    xyz = visible(clip)
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
