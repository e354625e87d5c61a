"""Joint layouts: names as people write them, twins, and what stands for a joint that is not there."""

import numpy as np
import pytest

from c2vl_lab.data.joint_names import canonical_names
from c2vl_lab.data.layouts import COCO17, H36M17, KINECT20, LAYOUTS, NTU25, SMPL22, known_layout, layout_from_bones
from c2vl_lab.errors import ConfigError

HAND = layout_from_bones("hand", {"wrist": None, "thumb": "wrist", "thumb tip": "thumb", "index": "wrist"})


@pytest.mark.parametrize(
    "written",
    [
        "LeftShoulder RightShoulder",
        "left_shoulder right_shoulder",
        "leftShoulder rightshoulder",
        "l_shoulder r_shoulder",
        "shoulder_l shoulder_r",
        "Shoulder.L Shoulder.R",
        "SHOULDER_LEFT SHOULDER_RIGHT",
        "LShoulder RShoulder",
        "lshoulder rshoulder",
        "joint-left-shoulder joint-right-shoulder",
        "Bip01_L_UpperArm Bip01_R_UpperArm",
    ],
)
def test_sides_are_found_however_they_are_written(written):
    assert canonical_names(written.split()) == ("left_shoulder", "right_shoulder")


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("left shoulder,right shoulder,mid hip", "left_shoulder right_shoulder spine_base"),
        (
            "Hip,RHip,RKnee,LHip,LKnee,Spine,Thorax",
            "spine_base right_hip right_knee left_hip left_knee spine_mid spine_shoulder",
        ),
        (
            "mixamorig:Hips,mixamorig:LeftShoulder,mixamorig:LeftArm,mixamorig:LeftForeArm,mixamorig:LeftUpLeg,"
            "mixamorig:LeftLeg,mixamorig:LeftFoot,mixamorig:LeftToeBase",
            "spine_base left_clavicle left_shoulder left_elbow left_hip left_knee left_ankle left_foot",
        ),
        (
            "root,lfemur,ltibia,lfoot,ltoes,rfemur,rtibia,rfoot,rtoes",
            "spine_base left_hip left_knee left_ankle left_foot right_hip right_knee right_ankle right_foot",
        ),
        ("pelvis,hips,spine1", "spine_base hips spine_1"),  # one of two names for one place is taken
        ("LeftFoot,LeftAnkle,LeftToe", "left_foot left_ankle left_toe"),
        ("wrist,ring_1,ring_2,little_1", "wrist ring_1 ring_2 little_1"),
        ("link_1,link_2,l_claw", "link_1 link_2 l_claw"),  # one claw only: "l" may mean anything
        ("leg,ear,rear,lear", "leg ear right_ear left_ear"),
    ],
)
def test_words_for_one_place_become_one_word(written, wanted):
    assert canonical_names(written.split(",")) == tuple(wanted.split())


def test_names_that_cannot_be_told_apart_are_refused():
    with pytest.raises(ConfigError, match=r"'LShoulder' and 'left_shoulder' are both read as 'left_shoulder'"):
        canonical_names(["LShoulder", "left_shoulder", "RShoulder"])
    with pytest.raises(ConfigError, match=r"'12' has no letters"):
        canonical_names(["head", "12"])


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_known_layouts_are_symmetric_trees_in_the_common_vocabulary(layout):
    assert known_layout(layout.name) is layout and canonical_names(layout.joints) == layout.joints
    for joint, twin in enumerate(layout.mirror):
        assert layout.mirror[twin] == joint and layout.parents[twin] == layout.mirror[layout.parents[joint]]
        assert (joint != twin) == layout.joints[joint].startswith(("left_", "right_"))
    assert (layout.hops() >= 0).all()


def test_known_layouts_have_the_published_number_and_order_of_joints():
    assert [len(layout) for layout in (KINECT20, NTU25, COCO17, H36M17, SMPL22)] == [20, 25, 17, 17, 22]
    assert COCO17.joints[:3] == ("nose", "left_eye", "right_eye") and COCO17.joints[-1] == "right_ankle"
    assert H36M17.joints[:2] == ("spine_base", "right_hip") and H36M17.joints[10] == "head"
    assert SMPL22.joints[:4] == ("spine_base", "left_hip", "right_hip", "spine_1") and SMPL22.joints[15] == "head"
    with pytest.raises(ConfigError, match="Did you mean 'coco17'"):
        known_layout("coco")


@pytest.mark.parametrize(
    ("bones", "sentence"),
    [
        ({"a": None, "b": None}, r"one root joint \(parent None\), found \['a', 'b'\]"),
        ({"a": None}, "at least two joints"),
        ({"head": None, "neck": "haed"}, "the parent of 'neck' is unknown. Did you mean 'head'"),
        ({"a": None, "b": "c", "c": "d", "d": "b"}, "the bones of 'b' run in a circle"),
    ],
)
def test_bones_that_are_no_tree_are_refused(bones, sentence):
    with pytest.raises(ConfigError, match=sentence):
        layout_from_bones("own", bones)


def test_own_bones_find_their_twins():
    layout = layout_from_bones("own", {"Pelvis": None, "LHip": "Pelvis", "RHip": "Pelvis", "Tail": "Pelvis"})
    assert layout.joints == ("spine_base", "left_hip", "right_hip", "tail")
    assert layout.mirror == (0, 2, 1, 3) and layout.parents == (0, 0, 0, 0)


def test_what_stands_for_a_missing_joint():
    xyz = np.random.default_rng(0).normal(size=(4, 17, 3))
    hips = [COCO17.index("left_hip"), COCO17.index("right_hip")]
    assert np.allclose(COCO17.point(xyz, "spine_base"), xyz[:, hips].mean(axis=1))
    assert np.allclose(np.einsum("v,tvc->tc", COCO17.weights("spine_base"), xyz), COCO17.point(xyz, "spine_base"))
    assert COCO17.joints_at("left_hand") == COCO17.joints_at("left_wrist") == (COCO17.index("left_wrist"),)
    assert COCO17.joints_at("head") == (COCO17.index("left_ear"), COCO17.index("right_ear"))
    assert SMPL22.joints_at("spine_shoulder") == (SMPL22.index("neck"),)
    for layout in (KINECT20, NTU25):  # every place is a joint of its own
        assert layout.joints_at("spine_base") == layout.origin == (0,)
    assert not HAND.has("spine_base") and HAND.origin == (HAND.root,)
    with pytest.raises(ConfigError, match="Layout hand has no joint 'spine_base'"):
        HAND.weights("spine_base")
    with pytest.raises(ConfigError, match="Layout hand has no joint 'head'"):
        HAND.point(np.zeros((4, 3)), "head")


def test_the_line_across_the_body_goes_to_the_right_and_is_nothing_for_a_hand():
    xyz = np.zeros((25, 3))
    for part in ("shoulder", "hip"):
        xyz[NTU25.index(f"right_{part}")], xyz[NTU25.index(f"left_{part}")] = [1, 0, 0.5], [-1, 0, 0.5]
    assert (NTU25.across() @ xyz).tolist() == [4, 0, 0]
    assert not HAND.across().any()
