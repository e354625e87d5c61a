"""Damaged clips: what each kind does to a body, what it leaves alone, and that a seed says it all."""

from __future__ import annotations

import numpy as np
import pytest

from c2vl_lab.data.layouts import KINECT20, NTU25, layout_from_bones
from c2vl_lab.errors import ConfigError
from c2vl_lab.evaluate.robustness import BLOCK, DAMAGES, can_hide_limbs, damage, damaged_features

HAND = layout_from_bones("hand", {"wrist": None, "thumb": "wrist", "index_tip": "wrist"})


def clips(count=6, frames=20, bodies=2, layout=NTU25):
    """Random smooth bodies; the second body of even clips was never seen."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(count, frames, bodies, len(layout), 3)).cumsum(axis=1)
    steps[::2, :, 1:] = 0
    return steps.astype(np.float32)


@pytest.mark.parametrize("kind", list(DAMAGES))
def test_a_seed_says_it_all_and_absent_bodies_stay_absent(kind):
    whole, level = clips(), DAMAGES[kind][1][1]
    kept = whole.copy()
    found = damage(whole, kind, level, NTU25, seed=3)
    assert (whole == kept).all() and (found != whole).any() and np.isfinite(found).all()
    assert (found == damage(whole, kind, level, NTU25, seed=3)).all()
    assert (found != damage(whole, kind, level, NTU25, seed=4)).any()
    assert (found[2:] == damage(whole[2:], kind, level, NTU25, seed=3, first=2)).all(), "clip by clip"
    assert not found[::2, :, 1].any()
    with pytest.raises(ConfigError, match="no kind of damage named 'turnd'"):
        damage(whole, "turnd", 1.0, NTU25, 0)


@pytest.mark.parametrize("kind", ["joints lost", "jitter", "frames lost"])
def test_no_damage_at_level_zero(kind):
    np.testing.assert_allclose(damage(clips(), kind, 0.0, NTU25, 0), clips(), atol=1e-6)


def test_lost_joints_are_a_share_of_all_and_grow_with_the_level():
    low, high = (damage(clips(), "joints lost", level, NTU25, 0) for level in (0.2, 0.4))
    lost = [(~found[1].any(axis=(0, 1, 3))) for found in (low, high)]
    assert [own.sum() for own in lost] == [5, 10] and (lost[0] <= lost[1]).all()


def test_jitter_has_the_level_as_its_spread():
    shift = damage(clips(), "jitter", 0.1, NTU25, 0)[1] - clips()[1]
    assert shift.std() == pytest.approx(0.1, rel=0.05) and abs(shift.mean()) < 0.01


@pytest.mark.parametrize("layout", [NTU25, KINECT20], ids=lambda layout: layout.name)
def test_a_hidden_limb_lies_at_its_root_for_its_share_of_the_frames(layout):
    whole = clips(count=30, layout=layout)
    found = damage(whole, "limb hidden", 0.5, layout, 0)
    seen = set()
    for own, before in zip(found, whole, strict=True):
        moved = (own != before).any(axis=(1, 3))  # (T, V)
        frames, joints = moved.any(axis=1), moved.any(axis=0)
        assert frames.sum() == 10 and np.ptp(np.flatnonzero(frames)) == 9, "one run of half of the frames"
        names = {layout.joints[j] for j in np.flatnonzero(joints)}
        side = {name.split("_")[0] for name in names}
        limb = "arm" if any("wrist" in name for name in names) else "leg"
        assert len(side) == 1 and {"arm": 3, "leg": 3}[limb] <= len(names) <= 5
        seen |= {(side.pop(), limb)}
        root = layout.index(f"{next(iter(names)).split('_')[0]}_{'shoulder' if limb == 'arm' else 'hip'}")
        t = np.flatnonzero(frames)[0]
        assert (own[t, 0, np.flatnonzero(joints)] == before[t, 0, root]).all()
    assert len(seen) == 4


def test_lost_frames_are_filled_on_the_line_between_their_neighbours():
    line = np.linspace(0, 1, 21, dtype=np.float32)[None, :, None, None, None] * np.ones((1, 21, 1, 25, 3), np.float32)
    found = damage(line + 1, "frames lost", 0.6, NTU25, 0)[0, :, 0, 0, 0] - 1
    inner = (found > found.min()) & (found < found.max())
    np.testing.assert_allclose(found[inner], line[0, inner, 0, 0, 0], atol=1e-5)
    whole = clips(count=1, bodies=1)
    assert 0.2 < (damage(whole, "frames lost", 0.6, NTU25, 0) == whole).all(axis=(0, 2, 3, 4)).mean() <= 0.4


def test_a_turn_keeps_heights_and_lengths():
    whole, found = clips(), damage(clips(), "turned", 90.0, NTU25, 0)
    np.testing.assert_allclose(found[..., 1], whole[..., 1], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), np.linalg.norm(whole, axis=-1), rtol=1e-4, atol=1e-4)
    ways = {bool(np.allclose(own[..., 0], before[..., 2], atol=1e-4)) for own, before in zip(found, whole, strict=True)}
    assert ways == {True, False}, "to the left and to the right"


def test_a_hand_has_no_limbs_to_hide():
    assert can_hide_limbs(NTU25) and not can_hide_limbs(HAND)
    with pytest.raises(ConfigError, match="no arms and legs"):
        damage(clips(layout=HAND), "limb hidden", 0.5, HAND, 0)


def test_features_of_many_clips_are_those_of_all_at_once():
    whole = clips(count=BLOCK + 3, frames=3, bodies=1, layout=KINECT20)
    rows = np.arange(BLOCK + 3)[::-1]
    found = damaged_features(lambda part: part.reshape(len(part), -1), whole, rows, "jitter", 0.1, KINECT20, 0)
    assert (found == damage(whole[rows], "jitter", 0.1, KINECT20, 0).reshape(len(rows), -1)).all()
