"""Augmentation that keeps the body whole, batched on the device: time crop, turn, tilt, size, sensor noise.

Draws come from one generator, so that a batch depends on (seed, epoch, step) alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from c2vl_lab.errors import ConfigError


@dataclass(frozen=True)
class AugmentConfig:
    """Strength of the augmentation (our choice; the paper argues against breaking the body).

    Attributes:
        crop: shortest share of the clip that a temporal crop keeps.
        turn: largest rotation about the vertical, degrees.
        tilt: largest rotation about the two horizontal axes, degrees.
        size: largest relative change of size.
        noise: standard deviation, in torso lengths, of each of the two parts of the sensor noise: an offset that a
            joint keeps through the clip (another camera guesses it elsewhere) and a slow drift. About 2 cm.
    """

    crop: float = 0.5
    turn: float = 60.0
    tilt: float = 10.0
    size: float = 0.2
    noise: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.crop <= 1:
            raise ConfigError(f"crop must lie in 0..1 (0 excluded), found {self.crop}.")


def augment(clips: Tensor, config: AugmentConfig, frames: int, generator: torch.Generator) -> Tensor:
    """One augmented view of a batch.

    Args:
        clips: (N, T, M, V, 3) normalised coordinates; zero bodies stay zero.
        config: strengths.
        frames: length of the view.
        generator: random source on the clips' device.

    Returns:
        (N, frames, M, V, 3).
    """
    count, length = clips.shape[:2]

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator, device=clips.device, dtype=clips.dtype)

    share = uniform(config.crop, 1.0)
    start = uniform(0.0, 1.0) * (1 - share)
    grid = torch.linspace(0, 1, frames, device=clips.device, dtype=clips.dtype)
    positions = (start[:, None] + share[:, None] * grid) * (length - 1)
    turn, tilt = math.radians(config.turn), math.radians(config.tilt)
    rotation = rotations(uniform(-turn, turn), uniform(-tilt, tilt), uniform(-tilt, tilt))
    rotation = rotation * uniform(1 - config.size, 1 + config.size)[:, None, None]
    view = frames_at(clips, positions)
    view = torch.einsum("ntmvc,ndc->ntmvd", view, rotation)
    return view if config.noise == 0 else view + sensor_noise(view, config.noise, generator)


def sensor_noise(view: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """A joint's lasting offset plus a slow drift between 6 random values; (N, T, M, V, 3); zero bodies get none."""
    count, frames, *rest = view.shape

    def normal(*shape: int) -> Tensor:
        return strength * torch.randn(*shape, generator=generator, device=view.device, dtype=view.dtype)

    drift = F.interpolate(normal(count, math.prod(rest), 6), size=frames, mode="linear", align_corners=True)
    noise = normal(count, 1, *rest) + drift.transpose(1, 2).reshape(view.shape)
    return noise * (view != 0).any(dim=(1, 3, 4), keepdim=True)


def frames_at(clips: Tensor, positions: Tensor) -> Tensor:
    """Values at fractional frame positions (N, F) of clips (N, T, M, V, 3), linear between frames."""
    low = positions.floor().long().clamp(0, clips.shape[1] - 1)
    high = (low + 1).clamp(max=clips.shape[1] - 1)
    weight = (positions - low)[:, :, None, None, None]
    rows = torch.arange(len(clips), device=clips.device)[:, None]
    return torch.lerp(clips[rows, low], clips[rows, high], weight)


def whole_clip(clips: Tensor, frames: int) -> Tensor:
    """The deterministic view of test time: the whole clip at ``frames`` frames."""
    grid = torch.linspace(0, clips.shape[1] - 1, frames, device=clips.device, dtype=clips.dtype)
    return frames_at(clips, grid.expand(len(clips), -1))


def rotations(turn: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """(N, 3, 3) matrices: turn about the vertical y, then pitch about x and roll about z; radians, each (N,)."""

    def about(axis: int, angle: Tensor) -> Tensor:
        matrix = torch.zeros(len(angle), 3, 3, device=angle.device, dtype=angle.dtype)
        a, b = [i for i in range(3) if i != axis]
        matrix[:, axis, axis] = 1
        matrix[:, a, a] = matrix[:, b, b] = angle.cos()
        sign = -1.0 if axis == 1 else 1.0
        matrix[:, a, b] = -sign * angle.sin()
        matrix[:, b, a] = sign * angle.sin()
        return matrix

    return about(2, roll) @ about(0, pitch) @ about(1, turn)
