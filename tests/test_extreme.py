"""Extreme views: each change as often and as strong as it says, bodies that are not there stay away."""

import math

import numpy as np
import pytest
import torch

from c2vl_lab.data.augment import AugmentConfig, augment, shears
from c2vl_lab.data.draws import Draws
from c2vl_lab.data.extreme import BLUR, NOISE, REACH, blur_weights, extreme_view
from c2vl_lab.data.layouts import KINECT20, NTU25


def draws(count, seed=0):
    return Draws(seed, 1, torch.arange(count))


def clips(count=60, frames=24, bodies=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, frames, bodies, 20, 3, generator=generator).cumsum(dim=1)


def matched(view, image):
    """Of each clip the relative error of the best matrix from one to the other: 0 where only a matrix lies between."""
    errors = []
    for v, i in zip(view.double().reshape(len(view), -1, 3), image.double().reshape(len(image), -1, 3), strict=True):
        found = torch.linalg.lstsq(i, v).solution
        errors.append(float((i @ found - v).norm() / v.norm()))
    return np.array(errors)


def test_every_change_happens_in_about_half_of_the_clips():
    """A view is its clip times a matrix exactly where none of the changes but shear and rotation happened."""
    start = clips(400, bodies=1)
    view = extreme_view(start, draws(400), KINECT20)
    flat = (view == 0).all(dim=1).all(dim=1).all(dim=1)  # (N, 3)
    assert 0.4 < float(flat.any(dim=1).float().mean()) < 0.6 and int(flat.sum(dim=1).max()) == 1
    assert (flat.float().mean(dim=0) > 0.1).all()  # every axis
    image = start[:, :, :, list(KINECT20.mirror)]
    plain, back = matched(view, start) < 1e-5, matched(view, start.flip(1)) < 1e-5
    mirrored, both = matched(view, image) < 1e-5, matched(view, image.flip(1)) < 1e-5
    for share in (plain, back, mirrored, both):  # each of the four: neither noise nor blur, 1/4, times 1/4
        assert 0.02 < share.mean() < 0.12
    assert not (plain & back).any() and not (plain & mirrored).any()


def test_a_mirror_image_changes_the_sign_of_x_where_sides_change_places():
    start = clips(300, bodies=1)
    view = extreme_view(start, draws(300), KINECT20)
    wanted = start[:, :, :, list(KINECT20.mirror)] * torch.tensor([-1.0, 1, 1])
    seen = 0
    for v, w in zip(view.double().reshape(300, -1, 3), wanted.double().reshape(300, -1, 3), strict=True):
        matrix = torch.linalg.lstsq(w, v).solution
        if (w @ matrix - v).norm() < 1e-4 * v.norm() and v.any(dim=0).all():
            assert torch.linalg.det(matrix) > 0 and (matrix - torch.eye(3)).abs().max() < 1.3
            seen += 1
    assert seen > 3


def test_extreme_views_depend_on_seed_epoch_and_clip_alone():
    start = clips(5)
    view = extreme_view(start, draws(5), KINECT20)
    assert view.shape == start.shape and view.dtype == start.dtype and torch.isfinite(view).all()
    assert torch.equal(view, extreme_view(start, draws(5), KINECT20))
    assert not torch.equal(view, extreme_view(start, draws(5, seed=1), KINECT20))
    some = torch.tensor([3, 1])
    assert torch.allclose(extreme_view(start[some], Draws(0, 1, some), KINECT20), view[some], atol=1e-5)


def test_a_body_that_is_not_there_stays_away():
    start = clips(50)
    start[:, :, 1] = 0
    view = extreme_view(start, draws(50), KINECT20)
    assert not view[:, :, 1].any() and view[:, :, 0].flatten(1).any(dim=1).all()


def test_noise_is_as_strong_as_it_says():
    start = torch.ones(300, 16, 1, 25, 3)
    view = extreme_view(start, draws(300), NTU25)
    spread = view.std(dim=(1, 2, 3)).max(dim=1).values
    noisy = spread > 1e-4
    assert 0.4 < float(noisy.float().mean()) < 0.6
    assert float(spread[noisy].mean()) == pytest.approx(NOISE, rel=0.1)


def test_blur_weights_equal_the_loop():
    sigma = torch.tensor([BLUR[0], 0.9, BLUR[1]])
    found = blur_weights(sigma, 20)
    for n, s in enumerate(sigma.tolist()):
        for t in range(20):
            row = [math.exp(-((t - u) ** 2) / (2 * s * s)) if abs(t - u) <= REACH else 0.0 for u in range(20)]
            np.testing.assert_allclose(found[n, t].numpy(), np.array(row) / sum(row), atol=1e-6)


def test_shear_leaves_the_diagonal_and_is_off_by_default():
    matrices = shears(draws(500), 0.5)
    assert (matrices.diagonal(dim1=1, dim2=2) == 1).all()
    beside = matrices[:, ~torch.eye(3, dtype=torch.bool)]
    assert 0.49 < float(beside.abs().max()) <= 0.5 and abs(float(beside.mean())) < 0.03
    start = clips(4)
    still = AugmentConfig(crop=1.0, turn=0.0, tilt=0.0, size=0.0, noise=0.0)
    sheared = augment(start, AugmentConfig(1.0, 0.0, 0.0, 0.0, 0.0, shear=0.5), 24, draws(4))
    assert torch.allclose(augment(start, still, 24, draws(4)), start, atol=1e-4)
    assert (matched(sheared, start) < 1e-5).all() and not torch.allclose(sheared, start, atol=0.1)
