"""Extreme views (AimCLR-style): changes beyond what a body does, on top of the normal augmentation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from c2vl_lab.data.augment import rotated, rotations, shears
from c2vl_lab.data.draws import Draws
from c2vl_lab.data.layouts import JointLayout

# The published strengths (AimCLR, arXiv 2112.03590), where nothing else is said.
SHEAR = 0.5  # largest off-diagonal entry
TURN, TILT = 30.0, 1.0  # degrees, 0 to this: about one axis drawn at random, and about the other two
CHANCE = 0.5  # of each change but shear and rotation
NOISE = 0.02  # standard deviation, in torso lengths; 0.01 m there
REACH = 7  # frames of the blur on either side, a kernel of 15
BLUR = (0.1, 2.0)  # its standard deviation, in frames, evenly between these


def extreme_view(view: Tensor, draws: Draws, layout: JointLayout) -> Tensor:
    """Shear, rotate, mirror, reverse, blur, add noise to and flatten a batch of views.

    The eighth change, the temporal crop, is the normal augmentation's. Unlike the published code the mirror image
    changes the sign of x where left and right joints change places.

    Args:
        view: (N, F, M, V, 3) normally augmented coordinates; bodies that are zero stay zero.
        draws: random numbers of these clips.
        layout: the joints, for the mirror image.

    Returns:
        (N, F, M, V, 3), of the view's type.
    """
    count, frames = view.shape[:2]
    present = (view != 0).any(dim=4).any(dim=3).any(dim=1)[:, None, :, None, None]

    def happens() -> Tensor:
        return draws.uniform(1)[:, 0] < CHANCE

    mirrored, backward, blurred, noisy, flat = (happens().view(-1, 1, 1, 1, 1) for _ in range(5))
    image = view[:, :, :, list(layout.mirror)] * view.new_tensor([-1.0, 1.0, 1.0])
    view = torch.where(mirrored, image, view)
    view = rotated(view, (_rotation(draws) @ shears(draws, SHEAR)).to(view.dtype))
    view = torch.where(backward, view.flip(1), view)
    smooth = torch.bmm(
        blur_weights(draws.uniform(1, *BLUR)[:, 0], frames).to(view.dtype), view.reshape(count, frames, -1)
    )
    view = torch.where(blurred, smooth.view_as(view), view)
    noise = draws.normal(view[0].numel()).view_as(view).to(view.dtype)
    view = view + NOISE * noise * (noisy & present)
    axis = torch.arange(3, device=view.device) == (3 * draws.uniform(1)).long()
    return view.masked_fill(flat & axis[:, None, None, None, :], 0.0)


def _rotation(draws: Draws) -> Tensor:
    """(N, 3, 3), a large turn about one axis and small ones about the others."""
    large = torch.arange(3, device=draws.clips.device) == (3 * draws.uniform(1)).long()
    angles = draws.uniform(3) * torch.where(large, math.radians(TURN), math.radians(TILT))
    return rotations(*angles.unbind(dim=1))


def blur_weights(sigma: Tensor, frames: int) -> Tensor:
    """(N, frames, frames) rows of Gaussian weights over the 15 frames around each frame; at the ends fewer.

    Args:
        sigma: (N,) standard deviations, in frames.
        frames: length of the view.
    """
    at = torch.arange(frames, device=sigma.device)
    apart = (at[:, None] - at[None, :]).abs()
    weights = torch.exp(-0.5 * (apart / sigma[:, None, None]) ** 2) * (apart <= REACH)
    return weights / weights.sum(dim=2, keepdim=True)
