"""Skeletons between joint layouts: joints go by their names, one rule fills the rest, empty bodies stay empty."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest

from c2vl_lab.data.layouts import COCO17, H36M17, KINECT20, LAYOUTS, NTU25, SMPL22, layout_from_bones
from c2vl_lab.data.mapping import common_layout, joint_weights
from c2vl_lab.errors import ConfigError

# A standing body by hand: x to the person's right, y up.
PLACES = {
    "spine_base": (0, 1.0, 3),
    "spine_mid": (0, 1.1, 3),
    "spine_shoulder": (0, 1.5, 3),
    "neck": (0, 1.6, 3),
    "head": (0, 1.8, 3),
    "nose": (0, 1.75, 2.9),
}
for _side, _x in (("left", -1), ("right", 1)):
    for _part, _out, _high in (
        *(("ear", 0.08, 1.8), ("eye", 0.04, 1.78), ("clavicle", 0.1, 1.48), ("shoulder", 0.2, 1.4)),
        *(("elbow", 0.5, 1.4), ("wrist", 0.7, 1.3), ("hand", 0.8, 1.3), ("hand_tip", 0.9, 1.3), ("thumb", 0.8, 1.4)),
        *(("hip", 0.1, 0.9), ("knee", 0.12, 0.5), ("ankle", 0.12, 0.1), ("foot", 0.15, 0.0)),
    ):
        PLACES[f"{_side}_{_part}"] = (_x * _out, _high, 3)


def body(layout):
    """(V, 3) of the standing body."""
    return np.array([PLACES[joint] for joint in layout.joints], np.float32)


def mapped(source, target):
    return dict(zip(target.joints, joint_weights(source, target) @ body(source), strict=True))


def test_joints_of_one_name_go_over_unchanged_whatever_their_order():
    for source, target in ((NTU25, KINECT20), (KINECT20, KINECT20)):
        np.testing.assert_array_equal(joint_weights(source, target) @ body(source), body(target))
    found, wanted = joint_weights(KINECT20, NTU25) @ body(KINECT20), body(NTU25)
    shared = [joint in KINECT20.joints for joint in NTU25.joints]
    assert sum(shared) == 20
    np.testing.assert_array_equal(found[shared], wanted[shared])


def test_what_kinect_1_lacks_of_kinect_2_lies_between_or_on_its_neighbours():
    found = mapped(KINECT20, NTU25)
    np.testing.assert_allclose(found["neck"], [0, 1.65, 3])  # between shoulder centre and head
    for side in ("left", "right"):
        for part in ("hand_tip", "thumb"):
            np.testing.assert_array_equal(found[f"{side}_{part}"], np.float32(PLACES[f"{side}_hand"]))


def test_a_trunk_is_made_of_limbs():
    found = mapped(COCO17, KINECT20)
    np.testing.assert_allclose(found["spine_base"], [0, 0.9, 3], atol=1e-6)  # between the hips
    np.testing.assert_allclose(found["spine_shoulder"], [0, 1.4, 3], atol=1e-6)
    np.testing.assert_allclose(found["spine_mid"], [0, 1.15, 3], atol=1e-6)
    np.testing.assert_allclose(found["head"], [0, 1.8, 3], atol=1e-6)  # between the ears
    np.testing.assert_array_equal(found["left_hand"], np.float32(PLACES["left_wrist"]))
    np.testing.assert_array_equal(found["right_foot"], np.float32(PLACES["right_ankle"]))


def test_joints_that_cannot_be_had_are_all_named():
    with pytest.raises(ConfigError, match="kinect20 cannot be mapped to coco17: it has no joint for nose, left_eye, r"):
        joint_weights(KINECT20, COCO17)
    with pytest.raises(ConfigError, match="no joint for spine_1, spine_2, spine_3, and none between"):
        joint_weights(H36M17, SMPL22)


@pytest.mark.parametrize(("source", "target"), [(KINECT20, NTU25), (NTU25, KINECT20), (COCO17, NTU25), (SMPL22, NTU25)])
def test_empty_bodies_sides_and_motions_survive(source, target):
    weights = joint_weights(source, target)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    rng = np.random.default_rng(0)
    clip = rng.normal(size=(4, 2, len(source), 3)).astype(np.float32)
    clip[:, 1] = 0
    assert not (weights @ clip)[:, 1].any() and (weights @ clip)[:, 0].all()
    turned, moved = np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32), np.float32([1, 2, 3])
    np.testing.assert_allclose(
        weights @ (clip[:, :1] @ turned + moved), (weights @ clip[:, :1]) @ turned + moved, atol=1e-5
    )
    # a mirror image of the source is the mirror image of what is made of it
    np.testing.assert_allclose(
        weights @ clip[:, :, list(source.mirror)], (weights @ clip)[:, :, list(target.mirror)], atol=1e-6
    )


def test_sets_of_one_layout_keep_it_and_kinects_share_the_first_ones_joints():
    assert common_layout([KINECT20]) == common_layout([KINECT20, KINECT20]) == KINECT20
    assert common_layout([NTU25, NTU25]) == NTU25
    assert common_layout([KINECT20, NTU25]) == common_layout([NTU25, KINECT20]) == KINECT20


@pytest.mark.parametrize("layouts", [*combinations(LAYOUTS.values(), 2), *combinations(LAYOUTS.values(), 3)])
def test_a_common_layout_is_one_body_that_all_can_give(layouts):
    common = common_layout(layouts)
    assert len(set(common.joints)) == len(common) >= 12
    assert all(common_layout(order) == common for order in permutations(layouts))
    assert [j for j, parent in enumerate(common.parents) if j == parent] == [common.root]
    assert (common.hops() >= 0).all()  # in one piece
    for joint, twin in zip(common.joints, common.mirror, strict=True):
        swapped = joint.replace("left_", "R_").replace("right_", "left_").replace("R_", "right_")
        assert common.joints[twin] == swapped
    for layout in layouts:
        rows = joint_weights(layout, common)
        assert len(np.unique(rows, axis=0)) == len(common)  # no two joints on one place
        assert all(rows[i, layout.index(j)] == 1 for i, j in enumerate(common.joints) if j in layout.joints)


def test_made_up_places_come_only_where_the_body_would_fall_apart():
    common = common_layout([KINECT20, COCO17])
    made = [joint for joint in common.joints if joint not in COCO17.joints]
    assert set(made) == {"spine_base", "spine_mid", "spine_shoulder", "head"}
    assert not {"left_hand", "right_foot", "neck"} & set(common.joints)


def test_a_hand_and_a_person_have_nothing_in_common():
    hand = layout_from_bones("hand", {"palm": None, "thumb_1": "palm", "index_1": "palm", "ring_1": "palm"})
    with pytest.raises(ConfigError, match=r"hand, kinect20 share 0 joints \(none\); wanted at least half of the 4"):
        common_layout([KINECT20, hand])
