"""Which frames of a clip become pictures, and which square of them."""

from __future__ import annotations

import numpy as np

SIDE = 224  # pixels; what CLIP and EfficientNet look at


def spread(frames: int, count: int) -> np.ndarray:
    """(count,) frame indices: the middles of ``count`` equal parts of the clip; short clips repeat frames."""
    return np.minimum((np.arange(count) + 0.5) * frames / count, frames - 1).astype(int)


def square_box(mask: np.ndarray, margin: float = 0.05) -> tuple[int, int, int]:
    """The square around a mask: (top, left, side) in pixels; it may reach beyond the picture.

    Args:
        mask: (H, W) bool; rows and columns with fewer than three pixels are taken for noise.
        margin: added on each side, as a share of the longer side.
    """
    rows, columns = (np.flatnonzero(mask.sum(axis=axis) >= 3) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return 0, 0, max(mask.shape)
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    side = max(round(max(bottom - top, right - left) * (1 + 2 * margin)), 1)
    return (int(top + bottom) - side) // 2, (int(left + right) - side) // 2, side
