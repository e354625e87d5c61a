"""Augmentation keeps the body whole, equals a plain formula, and depends on nothing but its draws."""

import dataclasses

import numpy as np
import pytest
import torch
from test_transforms import standing

from c2vl_lab.data.augment import AugmentConfig, augment, frames_at, rotations, whole_clip
from c2vl_lab.data.draws import Draws
from c2vl_lab.data.layouts import KINECT20, NTU25
from c2vl_lab.errors import ConfigError

STILL = AugmentConfig(crop=1.0, turn=0.0, tilt=0.0, size=0.0, noise=0.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draws(count, seed=0):
    return Draws(seed, 1, torch.arange(count))


def plain_views(clips, config, frames, source):
    """What ``augment`` says, clip by clip and step by step, from the same draws."""
    count, length, bodies, joints, _ = clips.shape

    def uniform(low, high):
        return source.uniform(1, low, high)[:, 0]

    share = uniform(config.crop, 1.0)
    start = uniform(0.0, 1.0) * (1 - share)
    turn, tilt = np.radians(config.turn), np.radians(config.tilt)
    angles = [uniform(-a, a) for a in (turn, tilt, tilt)]
    sizes = uniform(1 - config.size, 1 + config.size)
    drifts = config.noise * source.normal(bodies * joints * 3 * 6).view(count, -1, 6)
    offsets = config.noise * source.normal(bodies * joints * 3)
    views = []
    for i, clip in enumerate(clips.double().numpy()):
        at = (float(start[i]) + float(share[i]) * np.linspace(0, 1, frames)) * (length - 1)
        rows = clip.reshape(length, -1)
        view = np.stack([np.interp(at, np.arange(length), column) for column in rows.T], axis=1)
        view = view.reshape(frames, bodies, joints, 3) @ rotations(*(a[i : i + 1] for a in angles))[0].numpy().T
        knots = np.linspace(0, 1, 6)
        drift = [np.interp(np.linspace(0, 1, frames), knots, line) for line in drifts[i].numpy()]
        noise = (np.stack(drift, axis=1) + offsets[i].numpy()).reshape(view.shape)
        noise = noise * clip.any(axis=(0, 2, 3))[None, :, None, None]
        views.append(view * float(sizes[i]) + noise)
    return np.stack(views)


@pytest.mark.parametrize("frames", [50, 7])
@pytest.mark.parametrize("joints", [25, 17])  # 17 joints: the points of a view are no multiple of four
def test_a_batch_equals_the_plain_formula(frames, joints):
    clips = 0.1 * torch.randn(5, 64, 2, joints, 3, generator=generator(1)).cumsum(dim=1)
    clips[1:3, :, 1] = 0
    config = AugmentConfig()
    view = augment(clips, config, frames, draws(5, 2))
    assert view.dtype == torch.float32
    np.testing.assert_allclose(view.numpy(), plain_views(clips, config, frames, draws(5, 2)), atol=1e-5)


def test_augmentation_keeps_the_body_whole():
    clips = torch.from_numpy(np.stack([standing(KINECT20, frames=64, seed=s) for s in range(6)]))
    config = AugmentConfig(crop=1.0, size=0.2, noise=0.0)
    view = augment(clips, config, 64, draws(6, 1))
    bones = torch.tensor(KINECT20.bones)

    def lengths(x):
        return (x[..., bones[:, 0], :] - x[..., bones[:, 1], :]).norm(dim=-1)

    ratio = lengths(view) / lengths(clips)
    assert torch.allclose(ratio, ratio[:, :1, :, :1].expand_as(ratio), atol=1e-3)  # one size per clip
    assert ratio.min() > 0.79 and ratio.max() < 1.21 and ratio.std() > 0.01


def test_augmentation_depends_on_seed_epoch_and_clip_alone():
    clips = torch.randn(4, 64, 1, 20, 3)
    one = augment(clips, AugmentConfig(flip=0.5), 32, draws(4, 3), KINECT20)
    torch.rand(7)
    assert torch.equal(one, augment(clips, AugmentConfig(flip=0.5), 32, draws(4, 3), KINECT20))
    assert not torch.equal(one, augment(clips, AugmentConfig(flip=0.5), 32, draws(4, 4), KINECT20))
    assert not torch.equal(one, augment(clips, AugmentConfig(flip=0.5), 32, Draws(3, 2, torch.arange(4)), KINECT20))
    back = torch.tensor([3, 1])  # in other company and another order
    again = augment(clips[back], AugmentConfig(flip=0.5), 32, Draws(3, 1, back), KINECT20)
    assert torch.allclose(again, one[back], atol=1e-6)


def test_zero_bodies_stay_zero_under_augmentation():
    clips = torch.randn(3, 64, 2, 25, 3)
    clips[:, :, 1] = 0
    view = augment(clips, AugmentConfig(), 32, draws(3))
    assert not view[:, :, 1].any() and view[:, :, 0].any()


def test_sensor_noise_is_slow_and_as_strong_as_it_says():
    clips = torch.ones(200, 64, 1, 20, 3)
    view = augment(clips, dataclasses.replace(STILL, noise=0.05), 64, draws(200)) - 1
    offset = view.mean(dim=1)
    assert 0.05 < float(offset.std()) < 0.075  # the lasting offset, and what is left of the drift's mean
    assert float(view.diff(dim=1).abs().mean()) < 0.01  # no flicker from frame to frame
    assert abs(float(view.mean())) < 0.002


def test_crops_cover_what_they_say():
    clips = torch.arange(64.0).view(1, 64, 1, 1, 1).expand(500, 64, 1, 20, 3)
    view = augment(clips.contiguous(), dataclasses.replace(STILL, crop=0.5), 32, draws(500))[:, :, 0, 0, 0]
    share = (view[:, -1] - view[:, 0]) / 63
    assert 0.5 <= share.min() < 0.55 and 0.95 < share.max() <= 1
    assert view.min() < 1 and view.max() > 62


def test_rotations_are_rotations_and_turn_about_the_vertical():
    angles = torch.tensor([0.3, -1.0])
    matrices = rotations(angles, angles / 2, angles / 3)
    assert torch.allclose(matrices @ matrices.transpose(1, 2), torch.eye(3).expand(2, 3, 3), atol=1e-6)
    assert torch.allclose(torch.linalg.det(matrices), torch.ones(2))
    turn = rotations(angles, torch.zeros(2), torch.zeros(2))
    assert torch.allclose(turn @ torch.tensor([0.0, 1, 0]), torch.tensor([[0.0, 1, 0]] * 2))


def test_a_mirror_image_changes_sides_and_joints_and_happens_as_often_as_it_says():
    clips = torch.randn(400, 16, 1, 25, 3, generator=generator(5))
    view = augment(clips, dataclasses.replace(STILL, flip=0.25), 16, draws(400), NTU25)
    left, right = NTU25.index("left_hand"), NTU25.index("right_hand")
    mirrored = torch.isclose(view[:, :, 0, left, 0], -clips[:, :, 0, right, 0], atol=1e-5).all(dim=1)
    assert torch.allclose(view[~mirrored], clips[~mirrored], atol=1e-5)
    assert torch.allclose(view[mirrored][..., 1:], clips[mirrored][:, :, :, list(NTU25.mirror)][..., 1:], atol=1e-5)
    assert 0.18 < float(mirrored.float().mean()) < 0.32


def test_a_turned_mirror_image_is_the_mirror_image_turned():
    """The mirror stands on the person's mid plane, before the view is turned away from it."""
    clips = torch.randn(8, 16, 1, 25, 3, generator=generator(5))
    flipped = clips[:, :, :, list(NTU25.mirror)] * torch.tensor([-1.0, 1, 1])
    config = dataclasses.replace(STILL, turn=80.0, tilt=20.0)
    one = augment(clips, dataclasses.replace(config, flip=1.0), 16, draws(8), NTU25)
    assert torch.allclose(one, augment(flipped, config, 16, draws(8)), atol=1e-5)


def test_settings_are_checked():
    with pytest.raises(ConfigError, match=r"flip is a probability .* found 1.5"):
        AugmentConfig(flip=1.5)
    with pytest.raises(ConfigError, match="flip wants the joint layout"):
        augment(torch.randn(2, 8, 1, 25, 3), AugmentConfig(flip=0.5), 8, draws(2))


def test_test_time_view_is_the_whole_clip():
    clips = torch.arange(64.0).view(1, 64, 1, 1, 1).expand(2, 64, 1, 20, 3)
    view = whole_clip(clips, 32)[:, :, 0, 0, 0]
    assert view[0, 0] == 0 and view[0, -1] == 63 and torch.equal(view, whole_clip(clips, 32)[:, :, 0, 0, 0])


def test_frames_between_frames_are_linear():
    clips = torch.randn(3, 9, 2, 5, 3, generator=generator(4))
    at = torch.tensor([[0.0, 2.25, 7.5, 8.0]]).expand(3, -1)
    wanted = [clips[:, 0], 0.75 * clips[:, 2] + 0.25 * clips[:, 3], 0.5 * (clips[:, 7] + clips[:, 8]), clips[:, 8]]
    assert torch.allclose(frames_at(clips, at), torch.stack(wanted, dim=1), atol=1e-6)
