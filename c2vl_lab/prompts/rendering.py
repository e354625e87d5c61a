"""Rendered skeletons: a stick figure for each frame where a set has no pictures.

The figure is view-normalised, its limbs are coloured by side, and a faint trail shows where hands, feet and
head have just been. Drawn from the same joints that the encoder sees: no second sensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.transforms import PrepareConfig, prepare_clip
from c2vl_lab.errors import MissingError
from c2vl_lab.prompts.frames import SIDE, spread

VERSION = 1
FRAMES = 64  # the clip is resampled to it; the trail is a quarter of that
TRAIL = 16
OVERSAMPLING = 2  # drawn twice as large and reduced: smooth lines
YAW, PITCH = 30.0, 10.0  # degrees; a little from the side and above, so that reaching forwards shows
BACKGROUND = (250, 250, 248)
COLOURS = {"left": (38, 110, 178), "right": (214, 88, 38), "": (92, 96, 104)}
SECOND_BODY = 0.45  # how far a second person's colours go towards the background


class RenderedPictures:
    """Stick figures of every clip of a store."""

    kind = "rendered"

    def __init__(self, store: SkeletonStore):
        self._store = store
        self._rows = {name: index for index, name in enumerate(store.names)}
        self.identity = f"rendered-{VERSION} {fingerprint(store.fingerprint, FRAMES, TRAIL, YAW, PITCH, SIDE)}"

    def names(self) -> set[str]:
        """Every clip of the store."""
        return set(self._rows)

    def pictures(self, name: str, count: int) -> list[np.ndarray]:
        """``count`` pictures spread over the clip, uint8 (224, 224, 3).

        Raises:
            MissingError: no clip of that name.
        """
        if name not in self._rows:
            raise MissingError(f"{self._store.path}: has no clip named '{name}' to render.")
        clip = self._store[self._rows[name]]
        xyz = prepare_clip(clip, self._store.layout, PrepareConfig(frames=FRAMES))
        shown = clip.present.any(axis=0)
        return render(xyz[:, shown if shown.any() else slice(0, 1)], self._store.layout, spread(FRAMES, count))


def render(xyz: np.ndarray, layout: JointLayout, frames: np.ndarray) -> list[np.ndarray]:
    """Pictures of chosen frames.

    Args:
        xyz: (T, M, V, 3) view-normalised coordinates, y up, the person's right towards +x.
        layout: joint layout.
        frames: indices of the frames to draw.

    Returns:
        One uint8 (224, 224, 3) a frame; all share one scale.
    """
    pixels = _project(xyz)
    return [_draw(pixels, layout, int(frame)) for frame in frames]


def _project(xyz: np.ndarray) -> np.ndarray:
    """(T, M, V, 2) pixel positions, one square window for the whole clip."""
    yaw, pitch = np.deg2rad([YAW, PITCH])
    x, y, z = xyz[..., 0], xyz[..., 1], xyz[..., 2]
    # as a camera sees somebody who faces it: the person's right side is on the left of the picture
    across = -(np.cos(yaw) * x + np.sin(yaw) * z)
    towards = np.cos(yaw) * z - np.sin(yaw) * x
    down = -(np.cos(pitch) * y + np.sin(pitch) * towards)
    flat = np.stack([across, down], axis=-1)
    low, high = flat.min(axis=(0, 1, 2)), flat.max(axis=(0, 1, 2))
    extent = max(float((high - low).max()), 1e-3) * 1.2
    return (flat - (low + high) / 2 + extent / 2) / extent * SIDE * OVERSAMPLING


def _draw(pixels: np.ndarray, layout: JointLayout, frame: int) -> np.ndarray:
    """One frame: the trail first, then the figure over it."""
    from PIL import Image, ImageDraw

    side = SIDE * OVERSAMPLING
    image = Image.new("RGB", (side, side), BACKGROUND)
    pen = ImageDraw.Draw(image)
    ends = [joint for joint in range(len(layout)) if joint not in layout.parents]
    for body in range(pixels.shape[1]):
        fade = SECOND_BODY if body else 0.0
        for joint in ends:
            _trail(pen, pixels[max(0, frame - TRAIL) : frame + 1, body, joint], side_colour(layout.joints[joint], fade))
    for body in range(pixels.shape[1]):
        fade = SECOND_BODY if body else 0.0
        points = [tuple(point) for point in pixels[frame, body].tolist()]
        for child, parent in layout.bones:
            colour = side_colour(layout.joints[child], fade)
            pen.line([points[parent], points[child]], fill=colour, width=5 * OVERSAMPLING)
        for joint in ends:
            _dot(pen, points[joint], side_colour(layout.joints[joint], fade), 5 * OVERSAMPLING)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


def _trail(pen: Any, path: np.ndarray, colour: tuple[int, int, int]) -> None:
    """The last positions of one joint, fading into the past."""
    for age in range(len(path) - 1):
        strength = 0.55 * (age + 1) / len(path)
        pen.line([tuple(path[age]), tuple(path[age + 1])], fill=_mixed(colour, 1 - strength), width=2 * OVERSAMPLING)


def _dot(pen: Any, point: tuple[float, ...], colour: tuple[int, int, int], radius: int) -> None:
    x, y = point
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def side_colour(joint: str, fade: float = 0.0) -> tuple[int, int, int]:
    """Colour by side, read from the joint's name, and moved towards the background by ``fade``."""
    side = joint.split("_")[0]
    return _mixed(COLOURS.get(side, COLOURS[""]), fade)


def _mixed(colour: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    """``colour`` moved towards the background by ``share``."""
    red, green, blue = (round(c + (b - c) * share) for c, b in zip(colour, BACKGROUND, strict=True))
    return red, green, blue
