"""Normalisation and augmentation keep what the peers lose, and depend on nothing but their inputs."""

import numpy as np
import pytest
import torch

from c2vl_lab.data.augment import AugmentConfig, augment, rotations, whole_clip
from c2vl_lab.data.layouts import KINECT20, NTU25
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.transforms import PrepareConfig, fill_gaps, prepare_clip, resample


def rotate(xyz, degrees):
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    return (xyz @ matrix.T).astype(np.float32)


def standing(layout, frames=20, bodies=1, seed=0):
    """Random but plausible bodies: shoulders and hips apart, the spine upright."""
    rng = np.random.default_rng(seed)
    xyz = rng.normal(0, 0.05, (frames, bodies, len(layout), 3))
    heights = {"spine_base": 0.9, "spine_mid": 1.1, "spine_shoulder": 1.4, "head": 1.6}
    for joint, height in heights.items():
        xyz[:, :, layout.index(joint), 1] += height
    for part, height in (("shoulder", 1.4), ("hip", 0.9)):
        for side, x in (("left", -0.2), ("right", 0.2)):
            xyz[:, :, layout.index(f"{side}_{part}")] += [x, height, 0]
    return xyz.astype(np.float32)


def clip_of(xyz, present=None):
    present = np.ones(xyz.shape[:2], bool) if present is None else present
    return Clip("clip", xyz, present, np.arange(len(xyz)), 0)


def test_view_is_normalised_whatever_the_camera():
    xyz = standing(KINECT20)
    straight = prepare_clip(clip_of(xyz), KINECT20, PrepareConfig())
    turned = prepare_clip(clip_of(rotate(xyz, 73) + np.float32([1, 0.2, 3])), KINECT20, PrepareConfig())
    assert np.allclose(straight, turned, atol=1e-4)
    right, left = KINECT20.index("right_shoulder"), KINECT20.index("left_shoulder")
    assert (straight[:5, 0, right] - straight[:5, 0, left]).mean(axis=0)[0] > 0.5


def test_walking_turning_and_distance_survive():
    xyz = standing(NTU25, frames=40, bodies=2)
    xyz[:, 1] += np.float32([1.5, 0, 0])
    xyz[:, :, :, 0] += np.linspace(0, 2, 40, dtype=np.float32)[:, None, None]
    out = prepare_clip(clip_of(xyz), NTU25, PrepareConfig(scale=False, align=False))
    hip = NTU25.index("spine_base")
    walked = out[-1, 0, hip, 0] - out[0, 0, hip, 0]
    assert walked == pytest.approx(2.0, abs=0.3)
    assert np.median(np.abs(out[:, 1, hip, 0] - out[:, 0, hip, 0])) == pytest.approx(1.5, abs=0.2)


def test_a_gap_keeps_its_place_in_time():
    xyz = np.zeros((10, 1, 20, 3), np.float32)
    xyz[:, 0, :, 0] = np.arange(10)[:, None]
    present = np.ones((10, 1), bool)
    present[3:7] = False
    broken = xyz.copy()
    broken[3:7] = 0
    assert np.allclose(fill_gaps(broken, present), xyz)


def test_a_body_never_tracked_stays_zero():
    xyz = standing(NTU25, bodies=2)
    present = np.ones((20, 2), bool)
    present[:, 1] = False
    xyz[:, 1] = 0
    assert not prepare_clip(clip_of(xyz, present), NTU25, PrepareConfig())[:, 1].any()
    nothing = clip_of(np.zeros_like(xyz), np.zeros_like(present))
    assert not prepare_clip(nothing, NTU25, PrepareConfig()).any()


def test_resample_keeps_the_ends_and_takes_one_frame():
    xyz = np.arange(5, dtype=np.float32)[:, None]
    assert resample(xyz, 9)[[0, -1], 0].tolist() == [0.0, 4.0]
    assert resample(xyz[:1], 4)[:, 0].tolist() == [0.0] * 4


def test_augmentation_keeps_the_body_whole():
    clips = torch.from_numpy(np.stack([standing(KINECT20, frames=64, seed=s) for s in range(6)]))
    config = AugmentConfig(crop=1.0, size=0.2, noise=0.0)
    view = augment(clips, config, 64, torch.Generator().manual_seed(1))
    bones = torch.tensor(KINECT20.bones)

    def lengths(x):
        return (x[..., bones[:, 0], :] - x[..., bones[:, 1], :]).norm(dim=-1)

    ratio = lengths(view) / lengths(clips)
    assert torch.allclose(ratio, ratio[:, :1, :, :1].expand_as(ratio), atol=1e-3)  # one size per clip
    assert ratio.min() > 0.79 and ratio.max() < 1.21 and ratio.std() > 0.01


def test_augmentation_depends_on_the_generator_alone():
    clips = torch.randn(4, 64, 1, 20, 3)
    one = augment(clips, AugmentConfig(), 32, torch.Generator().manual_seed(3))
    torch.rand(7)
    assert torch.equal(one, augment(clips, AugmentConfig(), 32, torch.Generator().manual_seed(3)))
    assert not torch.equal(one, augment(clips, AugmentConfig(), 32, torch.Generator().manual_seed(4)))


def test_zero_bodies_stay_zero_under_augmentation():
    clips = torch.randn(3, 64, 2, 25, 3)
    clips[:, :, 1] = 0
    assert not augment(clips, AugmentConfig(), 32, torch.Generator().manual_seed(0))[:, :, 1].any()


def test_sensor_noise_is_slow_and_as_strong_as_it_says():
    clips = torch.ones(200, 64, 1, 20, 3)
    view = augment(clips, AugmentConfig(1.0, 0, 0, 0, noise=0.05), 64, torch.Generator().manual_seed(0)) - 1
    offset = view.mean(dim=1)
    assert 0.05 < float(offset.std()) < 0.075  # the lasting offset, and what is left of the drift's mean
    assert float(view.diff(dim=1).abs().mean()) < 0.01  # no flicker from frame to frame


def test_crops_cover_what_they_say():
    clips = torch.arange(64.0).view(1, 64, 1, 1, 1).expand(500, 64, 1, 20, 3)
    view = augment(clips.contiguous(), AugmentConfig(0.5, 0, 0, 0, 0), 32, torch.Generator().manual_seed(0))[
        :, :, 0, 0, 0
    ]
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


def test_test_time_view_is_the_whole_clip():
    clips = torch.arange(64.0).view(1, 64, 1, 1, 1).expand(2, 64, 1, 20, 3)
    view = whole_clip(clips, 32)[:, :, 0, 0, 0]
    assert view[0, 0] == 0 and view[0, -1] == 63 and torch.equal(view, whole_clip(clips, 32)[:, :, 0, 0, 0])
