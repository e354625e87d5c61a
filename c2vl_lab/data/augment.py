"""Augmentation that keeps the body whole, batched on the device: time crop, turn, tilt, size, noise, mirror, shear.

A clip's random numbers depend on (seed, epoch, clip) alone (:mod:`~c2vl_lab.data.draws`): every epoch draws afresh, and
how clips are cut into batches, or spread over workers and devices, changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from c2vl_lab.data.draws import Draws
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import ConfigError

KNOTS = 6  # random values that the slow part of the sensor noise runs through


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
        flip: probability that a clip is mirrored: x changes its sign and left and right joints change places. Off by
            default, because the sentences of a clip name left and right, and would be wrong for its mirror image.
        shear: largest of the six off-diagonal entries of a shear matrix, as SkeletonCLR and AimCLR have it (0.5
            there). Off by default: it changes the lengths of bones.
    """

    crop: float = 0.5
    turn: float = 60.0
    tilt: float = 10.0
    size: float = 0.2
    noise: float = 0.05
    flip: float = 0.0
    shear: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.crop <= 1:
            raise ConfigError(f"crop must lie in 0..1 (0 excluded), found {self.crop}.")
        if not 0 <= self.flip <= 1:
            raise ConfigError(f"flip is a probability and must lie in 0..1, found {self.flip}.")


def augment(
    clips: Tensor,
    config: AugmentConfig,
    frames: int,
    draws: Draws,
    layout: JointLayout | None = None,
) -> Tensor:
    """One augmented view of a batch.

    Args:
        clips: (N, T, M, V, 3) normalised coordinates; zero bodies stay zero.
        config: strengths.
        frames: length of the view.
        draws: random numbers of these clips.
        layout: the joints; only a mirror image needs to know them.

    Returns:
        (N, frames, M, V, 3), of the clips' type.

    Raises:
        ConfigError: mirror images are wanted and no layout is given.
    """
    length = clips.shape[1]

    def uniform(low: float, high: float) -> Tensor:
        return draws.uniform(1, low, high)[:, 0].to(clips.dtype)

    share = uniform(config.crop, 1.0)
    start = uniform(0.0, 1.0) * (1 - share)
    grid = torch.linspace(0, 1, frames, device=clips.device, dtype=clips.dtype)
    positions = (start[:, None] + share[:, None] * grid) * (length - 1)
    turn, tilt = math.radians(config.turn), math.radians(config.tilt)
    rotation = rotations(uniform(-turn, turn), uniform(-tilt, tilt), uniform(-tilt, tilt))
    rotation = rotation * uniform(1 - config.size, 1 + config.size)[:, None, None]
    if config.shear:
        rotation = rotation @ shears(draws, config.shear).to(clips.dtype)
    noise = sensor_noise(clips, frames, config.noise, draws) if config.noise else None
    view = frames_at(clips, positions)
    if config.flip:
        if layout is None:
            raise ConfigError("flip wants the joint layout, to know which joints are left and right.")
        mirrored = (uniform(0.0, 1.0) < config.flip).nonzero()[:, 0]
        view[mirrored] = view[mirrored].index_select(3, torch.tensor(layout.mirror, device=view.device))
        rotation[mirrored, :, 0] *= -1  # x changes its sign before the rotation
    return rotated(view, rotation, noise)


def rotated(view: Tensor, matrices: Tensor, plus: Tensor | None = None) -> Tensor:
    """Every point of (N, F, M, V, 3) times its clip's matrix (N, 3, 3), plus another tensor of the view's shape.

    Several points at a time go through a block-diagonal matrix: a product with only three columns runs at a third of
    the speed on a CPU.
    """
    count = len(view)
    points = view[0].numel() // 3
    group = math.gcd(points, 4)
    blocks = matrices.new_zeros(count, group, 3, group, 3)
    blocks.diagonal(dim1=1, dim2=3).copy_(matrices.transpose(1, 2)[..., None].expand(-1, -1, -1, group))
    shape = (count, points // group, 3 * group)
    blocks = blocks.view(count, 3 * group, 3 * group)
    if plus is None:
        return torch.bmm(view.reshape(shape), blocks).view(view.shape)
    return torch.baddbmm(plus.reshape(shape), view.reshape(shape), blocks).view(view.shape)


def sensor_noise(clips: Tensor, frames: int, strength: float, draws: Draws) -> Tensor:
    """Noise for views of ``frames`` frames: a joint's lasting offset plus a slow drift between 6 random values.

    Args:
        clips: (N, T, M, V, 3); a body that is zero at start, middle and end is no body and gets none (a tracked body
            has no empty frames: gaps are filled before).
        frames: length of the views.
        strength: standard deviation of the offset and of the drift's values.
        draws: random numbers of these clips.

    Returns:
        (N, frames, M, V, 3).
    """
    count, length, *rest = clips.shape
    seen = (clips[:, [0, length // 2, length - 1]] != 0).any(dim=(1, 3, 4))  # (N, M)
    scale = strength * seen[:, :, None].to(clips.dtype).expand(-1, -1, rest[1] * 3).reshape(count, -1, 1)

    def normal(values: int) -> Tensor:
        return scale * draws.normal(math.prod(rest) * values).view(count, -1, values).to(clips.dtype)

    drift, offset = normal(KNOTS), normal(1)
    knots = torch.eye(KNOTS, device=clips.device, dtype=clips.dtype)[None]
    between = F.interpolate(knots, size=frames, mode="linear", align_corners=True)[0].T  # (frames, knots)
    noise = torch.baddbmm(offset.transpose(1, 2), between.expand(count, -1, -1), drift.transpose(1, 2))
    return noise.view(count, frames, *rest)


def frames_at(clips: Tensor, positions: Tensor) -> Tensor:
    """Values at fractional frame positions (N, F) of clips (N, T, M, V, 3), linear between frames."""
    count, length = clips.shape[:2]
    low = positions.floor().long().clamp(0, length - 1)
    high = (low + 1).clamp(max=length - 1)
    weight = positions - low
    first = torch.arange(count, device=clips.device)[:, None, None] * length
    # a weighted sum of two rows for each frame, without a copy of either
    rows = (torch.stack([low, high], dim=-1) + first).view(-1, 2)
    weights = torch.stack([1 - weight, weight], dim=-1).view(-1, 2)
    flat = clips.reshape(count * length, -1)
    return F.embedding_bag(rows, flat, mode="sum", per_sample_weights=weights).view(*positions.shape, *clips.shape[2:])


def whole_clip(clips: Tensor, frames: int) -> Tensor:
    """The deterministic view of test time: the whole clip at ``frames`` frames."""
    grid = torch.linspace(0, clips.shape[1] - 1, frames, device=clips.device, dtype=clips.dtype)
    return frames_at(clips, grid.expand(len(clips), -1))


def shears(draws: Draws, largest: float) -> Tensor:
    """(N, 3, 3) matrices with ones on the diagonal and, beside it, values evenly in -largest..largest."""
    matrix = draws.uniform(9, -largest, largest).view(-1, 3, 3)
    matrix.diagonal(dim1=1, dim2=2).fill_(1.0)
    return matrix


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
