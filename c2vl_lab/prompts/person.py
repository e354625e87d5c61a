"""The person cut out of a video frame with the 2D skeleton drawn on it: the paper's vision prompt.

One square for the whole clip, around all people on all frames (our choice): steps across the scene and towards the
camera stay visible, nothing jitters, and both people of an interaction are always inside. On UTD-MHAD's depth video
such squares beat a square a frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.prompts.rendering import side_colour

STYLES = {
    "crop+overlay": "the square around the people, their skeletons drawn on it",
    "crop": "the square around the people",
    "overlay": "the whole frame, skeletons drawn on it",
    "full": "the whole frame",
}
VERSION = 1
CROP_SIDE = 336  # pixels; what the paper-like teacher, ViT-L/14@336px, looks at
FULL_SIDE = 672  # longer side of whole frames
MARGIN = 0.15  # added on each side, as a share of the longer side: joints end at the middle of the head, at the ankles
GLITCH = 2.0  # percent of a body's frames that may lie beyond each edge: joints fly about where tracking is lost
OVERSAMPLING = 2  # drawn twice as large and reduced: smooth lines
OUTLINES = ((245, 245, 245), (20, 20, 20))  # light under the first person's bones, dark under everybody else's
OPACITY = 0.85  # of the drawing; the person stays visible under it

Box = tuple[float, float, float]  # left, top, side; it may reach beyond the frame


def person_box(pixels: np.ndarray, width: int, height: int) -> Box:
    """The square around all bodies of a clip; around the whole frame where no joint is known.

    Args:
        pixels: (T, M, V, 2) places of joints in the frame, NaN where unknown.
        width, height: size of the frame; what lies beyond does not enlarge the square.
    """
    size = np.array([width, height])
    corners = []
    for body in np.moveaxis(np.clip(pixels, 0, size), 1, 0):
        known = body[np.isfinite(body).all(axis=-1).any(axis=-1)]  # frames with the body
        if len(known):
            corners.append(np.percentile(np.nanmin(known, axis=1), GLITCH, axis=0))
            corners.append(np.percentile(np.nanmax(known, axis=1), 100 - GLITCH, axis=0))
    return _square(np.array(corners) if corners else np.array([[0, 0], size]), MARGIN if corners else 0.0)


def boxes_box(boxes: list[np.ndarray], width: int, height: int) -> Box:
    """The square around all boxes that a detector gave for the frames of a clip.

    Args:
        boxes: for each frame (n, 4) left, top, right, bottom in pixels.
        width, height: size of the frame, which is the answer where there is no box.
    """
    corners = np.concatenate([np.asarray(some, float).reshape(-1, 2) for some in boxes] or [np.empty((0, 2))])
    if not len(corners):
        return _square(np.array([[0, 0], [width, height]]), 0.0)
    return _square(np.clip(corners, 0, [width, height]), MARGIN / 3)  # boxes hold the whole person, joints do not


def _square(corners: np.ndarray, margin: float) -> Box:
    low, high = corners.min(axis=0), corners.max(axis=0)
    side = max(float((high - low).max()) * (1 + 2 * margin), 8.0)
    left, top = (low + high) / 2 - side / 2
    return float(left), float(top), side


def draw_person(frame: np.ndarray, pixels: np.ndarray | None, box: Box, layout: JointLayout, style: str) -> np.ndarray:
    """One picture of the style.

    Args:
        frame: (H, W, 3) uint8.
        pixels: (M, V, 2) places of joints in this frame, NaN where unknown; None: nothing is drawn.
        box: see :func:`person_box`.
        layout: joint layout.
        style: one of :data:`STYLES`.

    Returns:
        uint8 (336, 336, 3) for crops, black beyond the frame; whole frames have a longer side of at most 672.
    """
    from PIL import Image

    height, width = frame.shape[:2]
    image = Image.fromarray(frame)
    if style.startswith("crop"):
        left, top, side = box
        scale = CROP_SIDE / side
        image = _cut(image, box).resize((CROP_SIDE, CROP_SIDE), Image.Resampling.BILINEAR)
    else:
        left, top, scale = 0.0, 0.0, min(1.0, FULL_SIDE / max(width, height))
        image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    if style.endswith("overlay") and pixels is not None:
        image = _overlaid(image, (pixels - [left, top]) * scale, layout)
    return np.asarray(image)


def _cut(image: Any, box: Box) -> Any:
    left, top, side = (round(value) for value in box)
    return image.crop((left, top, left + side, top + side))


def _overlaid(image: Any, points: np.ndarray, layout: JointLayout) -> Any:
    """The skeletons over an image; ``points`` (M, V, 2) in its pixels."""
    from PIL import Image, ImageDraw

    layer = Image.new("RGBA", (image.width * OVERSAMPLING, image.height * OVERSAMPLING))
    pen = ImageDraw.Draw(layer)
    for body, joints in enumerate(points * OVERSAMPLING):
        colours = [side_colour(name) for name in layout.joints]
        known = np.isfinite(joints).all(axis=-1)
        bones = [(child, parent) for child, parent in layout.bones if known[child] and known[parent]]
        for child, parent in bones:
            _line(pen, joints[parent], joints[child], OUTLINES[min(body, 1)], 5)
        for child, parent in bones:
            _line(pen, joints[parent], joints[child], colours[child], 3)
        for joint in np.flatnonzero(known):
            (x, y), radius = joints[joint], 2.5 * OVERSAMPLING
            pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colours[joint])
    layer = layer.resize(image.size, Image.Resampling.BOX)
    strength = layer.getchannel("A").point(lambda value: round(value * OPACITY))
    return Image.composite(layer.convert("RGB"), image, strength)


def _line(pen: Any, start: np.ndarray, end: np.ndarray, colour: tuple[int, int, int], width: int) -> None:
    pen.line([tuple(start), tuple(end)], fill=colour, width=width * OVERSAMPLING)
