"""Writes small videos whose frames tell their number and where the people are, and clips that fit them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from ntu_files import standing_body

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.writing import write_store
from c2vl_lab.prompts.kinect import color_pixels

SIZE = (320, 180)  # width, height: a sixth of 1920 x 1080, as videos are often reduced
BITS = 10  # a frame's number is written as white and black squares along the upper edge
SQUARE = SIZE[0] // BITS


def numbered(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A grey frame with its number."""
    frame = np.full((size[1], size[0], 3), 90, np.uint8)
    square = size[0] // BITS
    for bit in range(BITS):
        frame[:square, bit * square : (bit + 1) * square] = 255 if index >> bit & 1 else 0
    return frame


def number_of(frame: np.ndarray) -> int:
    """The number that a frame shows, at any scale."""
    square = frame.shape[1] / BITS
    middle = [frame[round(square / 2), round((bit + 0.5) * square)].mean() for bit in range(BITS)]
    return sum(1 << bit for bit, value in enumerate(middle) if value > 128)


def write_video(
    path: Path,
    frames: int,
    draw: Callable[[int], np.ndarray] = numbered,
    codec: str = "mpeg4",
    gop: int = 12,
    b_frames: int = 0,
    rate: int = 30,
    turned: int = 0,
) -> Path:
    """Write ``draw(0)`` to ``draw(frames - 1)``; players turn them by ``turned`` degrees, counterclockwise."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        height, width = draw(0).shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, b_frames
        stream.bit_rate = 4_000_000
        if turned:
            stream.set_display_rotation(turned)
        for index in range(frames):
            for packet in stream.encode(av.VideoFrame.from_ndarray(draw(index), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def body(x: float = 0.0, frames: int = 20, seed: int = 0, z: float = 3.0) -> np.ndarray:
    """(frames, 25, 3): somebody who hardly moves, ``x`` metres beside the middle."""
    return standing_body(np.random.default_rng(seed), x, 0.02, frames) + [0, 0, z - 3.0]


def clip(name: str, bodies: list[np.ndarray], first: int = 0, color: bool = True, **fields) -> Clip:
    """A clip whose colour places are those of the typical Kinect v2, in pixels of 1920 x 1080."""
    xyz = np.stack(bodies, axis=1).astype(np.float32)
    present, frames = np.ones(xyz.shape[:2], bool), np.arange(first, first + len(xyz), dtype=np.int32)
    return Clip(name, xyz, present, frames, 0, color=color_pixels(xyz) if color else None, **fields)


def store_of(path: Path, clips: list[Clip], dataset: str = "ntu60") -> SkeletonStore:
    """A store of one class."""
    return write_store(path, clips, dataset=dataset, layout=NTU25, classes=["wave"])
