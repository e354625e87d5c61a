"""Joints that are not known are filled from the body itself: in time, at the ends, and where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest

from c2vl_lab.data.joint_gaps import fill_joints
from c2vl_lab.data.layouts import COCO17, NTU25, layout_from_bones

HAND, WRIST, ROOT = NTU25.index("left_hand"), NTU25.index("left_wrist"), NTU25.root
EVERYWHERE = np.ones((9, 2), bool)


def moving(frames=9, bodies=2, joints=25, seed=0, kind=np.float32):
    """(T, M, V, 3): every joint at its own constant speed, so that straight lines in time are the truth."""
    rng = np.random.default_rng(seed)
    start, speed = rng.normal(0, 1, (2, 1, bodies, joints, 3))
    return (start + speed * np.arange(frames)[:, None, None, None]).astype(kind)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_one_joint_costs_no_frame_and_lies_between_its_neighbours_in_time(bad, kind):
    truth = moving(kind=kind)
    xyz = truth.copy()
    xyz[3:5, 0, HAND, 1], xyz[6, 1, 0] = bad, bad
    given = xyz.copy()
    found, present, filled = fill_joints(xyz, EVERYWHERE, NTU25)
    np.testing.assert_array_equal(xyz, given)  # the caller's array stays
    np.testing.assert_allclose(found, truth, atol=0.02 if kind == np.float16 else 1e-5)
    known = np.isfinite(given).all(axis=-1)
    np.testing.assert_array_equal(found[known], truth[known])  # to the bit
    assert found.dtype == kind and present.all() and np.array_equal(filled, ~known) and filled.sum() == 3


def test_at_the_ends_the_nearest_known_place_is_held():
    xyz = moving()
    xyz[:2, 0, HAND], xyz[7:, 0, HAND] = np.nan, np.nan
    found, _, filled = fill_joints(xyz, EVERYWHERE, NTU25)
    assert (found[:2, 0, HAND] == xyz[2, 0, HAND]).all() and (found[7:, 0, HAND] == xyz[6, 0, HAND]).all()
    assert np.flatnonzero(filled[:, 0, HAND]).tolist() == [0, 1, 7, 8] and not filled[:, 1].any()


def test_a_gap_of_the_body_takes_its_time_and_gives_no_place():
    truth = moving()
    xyz, present = truth.copy(), EVERYWHERE.copy()
    xyz[2:5, 0], present[2:5, 0] = 0, False
    xyz[5, 0, HAND] = np.nan
    found, seen, filled = fill_joints(xyz, present, NTU25)
    np.testing.assert_allclose(found[5, 0, HAND], truth[5, 0, HAND], atol=1e-5)
    assert np.array_equal(seen, present) and not found[2:5, 0].any() and filled.sum() == 1


def test_a_joint_that_is_never_known_lies_at_its_bones_other_end_and_only_in_that_body():
    xyz = moving()
    xyz[:, 0, [HAND, WRIST]] = np.nan
    xyz[4, 0, NTU25.index("left_elbow")] = np.nan
    found, _, filled = fill_joints(xyz, EVERYWHERE, NTU25)
    elbow = found[:, 0, NTU25.index("left_elbow")]
    assert np.isfinite(found).all() and filled.sum() == 19
    assert (found[:, 0, HAND] == elbow).all() and (found[:, 0, WRIST] == elbow).all()
    assert (found[:, 1] == xyz[:, 1]).all()


@pytest.mark.parametrize("layout", [NTU25, COCO17, layout_from_bones("chain", {"c": "b", "b": "a", "a": None})])
def test_a_root_that_is_never_known_takes_the_place_of_a_neighbour(layout):
    xyz = moving(joints=len(layout))
    xyz[:, 1, layout.root] = np.nan
    found, present, _ = fill_joints(xyz, EVERYWHERE, layout)
    neighbours = np.flatnonzero(layout.hops()[layout.root] == 1)
    assert present.all() and any((found[:, 1, layout.root] == xyz[:, 1, joint]).all() for joint in neighbours)


def test_a_body_with_fewer_than_half_of_its_joints_is_not_tracked_in_that_frame():
    xyz = moving()
    xyz[3, 0, :13], xyz[4, 0, :12] = np.nan, np.nan
    xyz[6, 1] = np.inf
    found, present, filled = fill_joints(xyz, EVERYWHERE, NTU25)
    assert np.argwhere(~present).tolist() == [[3, 0], [6, 1]]
    assert not found[~present].any() and filled.sum(axis=2)[4, 0] == 12 and filled.sum() == 12
    np.testing.assert_allclose(found[4, 0], moving()[4, 0], atol=1e-5)  # frame 3 is not what it was filled from


def test_nobody_who_is_known_anywhere():
    xyz = np.full((4, 1, 25, 3), np.nan, np.float32)
    found, present, filled = fill_joints(xyz, np.ones((4, 1), bool), NTU25)
    assert not found.any() and not present.any() and not filled.any()


def test_finite_arrays_are_not_copied():
    xyz = moving()
    xyz[3] = 0
    found, present, filled = fill_joints(xyz, EVERYWHERE, NTU25)
    assert found is xyz and present is EVERYWHERE and filled.shape == (9, 2, 25) and not filled.any()
