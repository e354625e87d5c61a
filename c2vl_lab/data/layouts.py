"""Joint layouts: which joints a skeleton has, how they hang together, which mirror which, and what stands for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from c2vl_lab.data.joint_names import canonical_names
from c2vl_lab.errors import ConfigError, choose, near_miss

# What stands for a place of the body where a layout has no joint of that name: the mean of the named joints, the first
# line that the layout has. Our choice; for the Kinect's layouts every place is a joint of its own.
STAND_INS: dict[str, tuple[tuple[str, ...], ...]] = {
    "spine_base": (("left_hip", "right_hip"),),
    "spine_shoulder": (("neck",), ("left_shoulder", "right_shoulder")),
    "head": (("left_ear", "right_ear"), ("nose",), ("left_eye", "right_eye"), ("head_top",)),
}
for _side in ("left", "right"):
    STAND_INS |= {
        f"{_side}_hand": ((f"{_side}_wrist",), (f"{_side}_hand_tip",)),
        f"{_side}_wrist": ((f"{_side}_hand",),),
        f"{_side}_ankle": ((f"{_side}_heel",), (f"{_side}_foot",)),
        f"{_side}_foot": ((f"{_side}_ankle",),),
    }


@dataclass(frozen=True)
class JointLayout:
    """A skeleton's joints in storage order.

    Attributes:
        name: short name, saved with every store.
        joints: joint names; the vocabulary is shared by all layouts, so that sets can be mapped by name.
        parents: for each joint the index of its bone's other end; the root points to itself.
        mirror: for each joint the index of its left/right twin (itself on the mid line).
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Position of a joint by name.

        Raises:
            ConfigError: the layout has no such joint.
        """
        if joint not in self.joints:
            raise ConfigError(f"Layout {self.name} has no joint '{joint}'. {near_miss(joint, self.joints)}")
        return self.joints.index(joint)

    def joints_at(self, place: str) -> tuple[int, ...]:
        """Indices of the joints whose mean is a place of the body: the joint itself, or what stands for it.

        Empty where the layout has neither (see :data:`STAND_INS`).
        """
        for names in ((place,), *STAND_INS.get(place, ())):
            if all(name in self.joints for name in names):
                return tuple(self.joints.index(name) for name in names)
        return ()

    def has(self, *places: str) -> bool:
        """Whether all these places of the body are known, by a joint or by what stands for it."""
        return all(self.joints_at(place) for place in places)

    def weights(self, place: str) -> np.ndarray:
        """(V,) float32 weights of the joints that make up a place of the body; their sum is 1.

        Raises:
            ConfigError: the layout has no joint for it.
        """
        found = self.joints_at(place)
        if not found:
            self.index(place)  # says which joints there are
        weights = np.zeros(len(self), np.float32)
        weights[list(found)] = 1 / len(found)
        return weights

    def point(self, xyz: np.ndarray, place: str) -> np.ndarray:
        """Position of a place of the body: (..., V, 3) -> (..., 3).

        Raises:
            ConfigError: the layout has no joint for it.
        """
        found = self.joints_at(place)
        if len(found) > 1:
            return xyz[..., list(found), :].mean(axis=-2)
        return xyz[..., found[0] if found else self.index(place), :]

    @property
    def origin(self) -> tuple[int, ...]:
        """Indices of the joints whose mean is a body's place: the hip centre, or the root where there is none."""
        return self.joints_at("spine_base") or (self.root,)

    def across(self) -> np.ndarray:
        """(V,) float32 weights that give the line to the person's right, from shoulders and hips.

        All zero for a layout without them (a hand, a robot): such a body has no side to turn to.
        """
        weights = np.zeros(len(self), np.float32)
        for part in ("shoulder", "hip"):
            if self.has(f"left_{part}", f"right_{part}"):
                weights += self.weights(f"right_{part}") - self.weights(f"left_{part}")
        return weights

    @property
    def root(self) -> int:
        """Index of the joint that is its own parent (the graph's centre)."""
        return next(j for j, parent in enumerate(self.parents) if parent == j)

    @property
    def bones(self) -> list[tuple[int, int]]:
        """(child, parent) index pairs, one for each joint but the root."""
        return [(child, parent) for child, parent in enumerate(self.parents) if child != parent]

    def hops(self) -> np.ndarray:
        """(V, V) number of bones between any two joints."""
        count = len(self)
        adjacency = np.eye(count, dtype=bool)
        for child, parent in self.bones:
            adjacency[child, parent] = adjacency[parent, child] = True
        distance = np.full((count, count), -1)
        reach = np.eye(count, dtype=bool)
        for step in range(count):
            distance[reach & (distance < 0)] = step
            reach = reach @ adjacency
        return distance


def layout_from_bones(name: str, bones: Mapping[str, str | None]) -> JointLayout:
    """A layout from ``{joint: parent joint}`` in storage order; the root's parent is None.

    Names may be written as one likes (``LShoulder``, ``left shoulder``, ``shoulder_l``): they are brought into the
    common vocabulary, and left/right twins are found by it (:mod:`c2vl_lab.data.joint_names`).

    Raises:
        ConfigError: a parent that is no joint, not exactly one root, a single joint, bones in a circle, or two names
            for one joint.
    """
    given = list(bones)
    roots = [j for j, parent in bones.items() if parent is None]
    if len(roots) != 1:
        raise ConfigError(f"Layout {name}: wanted one root joint (parent None), found {roots}.")
    if len(given) < 2:
        raise ConfigError(f"Layout {name}: wanted at least two joints, found {given}.")
    for joint, parent in bones.items():
        if parent is not None and parent not in bones:
            raise ConfigError(f"Layout {name}: the parent of '{joint}' is unknown. {near_miss(parent, given)}")
    parents = [given.index(parent or joint) for joint, parent in bones.items()]
    root = given.index(roots[0])
    for start in range(len(parents)):
        at = start
        for _ in parents:
            at = parents[at]
        if at != root:
            raise ConfigError(f"Layout {name}: the bones of '{given[start]}' run in a circle and never reach the root.")
    joints = canonical_names(given)
    twins = {"left": "right", "right": "left"}
    mirror = []
    for index, joint in enumerate(joints):
        side, _, part = joint.partition("_")
        twin = f"{twins.get(side, '')}_{part}"
        mirror.append(joints.index(twin) if twin in joints else index)
    return JointLayout(name, joints, tuple(parents), tuple(mirror))


def known_layout(name: str) -> JointLayout:
    """One of :data:`LAYOUTS` by name: kinect20, ntu25, coco17, h36m17, smpl22.

    Raises:
        ConfigError: unknown name; the near miss is named.
    """
    return choose(name, LAYOUTS, "known joint layout")


# NTU RGB+D, Kinect v2, the order of the .skeleton files; the root is joint 21 (1-based), as in the field's graphs.
NTU25 = layout_from_bones(
    "ntu25",
    {
        "spine_base": "spine_mid",
        "spine_mid": "spine_shoulder",
        "neck": "spine_shoulder",
        "head": "neck",
        "left_shoulder": "spine_shoulder",
        "left_elbow": "left_shoulder",
        "left_wrist": "left_elbow",
        "left_hand": "left_wrist",
        "right_shoulder": "spine_shoulder",
        "right_elbow": "right_shoulder",
        "right_wrist": "right_elbow",
        "right_hand": "right_wrist",
        "left_hip": "spine_base",
        "left_knee": "left_hip",
        "left_ankle": "left_knee",
        "left_foot": "left_ankle",
        "right_hip": "spine_base",
        "right_knee": "right_hip",
        "right_ankle": "right_knee",
        "right_foot": "right_ankle",
        "spine_shoulder": None,
        "left_hand_tip": "left_thumb",
        "left_thumb": "left_hand",
        "right_hand_tip": "right_thumb",
        "right_thumb": "right_hand",
    },
)

# Kinect v1 SDK order (NW-UCLA as published; UTD-MHAD and MSR-Action3D are re-ordered into it by their readers).
KINECT20 = layout_from_bones(
    "kinect20",
    {
        "spine_base": "spine_mid",
        "spine_mid": "spine_shoulder",
        "spine_shoulder": None,
        "head": "spine_shoulder",
        "left_shoulder": "spine_shoulder",
        "left_elbow": "left_shoulder",
        "left_wrist": "left_elbow",
        "left_hand": "left_wrist",
        "right_shoulder": "spine_shoulder",
        "right_elbow": "right_shoulder",
        "right_wrist": "right_elbow",
        "right_hand": "right_wrist",
        "left_hip": "spine_base",
        "left_knee": "left_hip",
        "left_ankle": "left_knee",
        "left_foot": "left_ankle",
        "right_hip": "spine_base",
        "right_knee": "right_hip",
        "right_ankle": "right_knee",
        "right_foot": "right_ankle",
    },
)


def _bones(text: str) -> dict[str, str | None]:
    """``joint:parent`` words as a dictionary; the root has no parent."""
    pairs = (word.partition(":") for word in text.split())
    return {joint: parent or None for joint, _, parent in pairs}


# COCO's 17 keypoints in their order, for 3D poses in this form. The bones are ours: a tree with the nose as its root.
COCO17 = layout_from_bones(
    "coco17",
    _bones(
        "nose left_eye:nose right_eye:nose left_ear:left_eye right_ear:right_eye left_shoulder:nose "
        "right_shoulder:nose left_elbow:left_shoulder right_elbow:right_shoulder left_wrist:left_elbow "
        "right_wrist:right_elbow left_hip:left_shoulder right_hip:right_shoulder left_knee:left_hip "
        "right_knee:right_hip left_ankle:left_knee right_ankle:right_knee"
    ),
)

# Human3.6M in the 17 joints that pose estimators report; "thorax" lies between the shoulders, "foot" is the ankle.
H36M17 = layout_from_bones(
    "h36m17",
    _bones(
        "spine_base right_hip:spine_base right_knee:right_hip right_ankle:right_knee left_hip:spine_base "
        "left_knee:left_hip left_ankle:left_knee spine_mid:spine_base spine_shoulder:spine_mid "
        "nose:spine_shoulder head:nose left_shoulder:spine_shoulder left_elbow:left_shoulder "
        "left_wrist:left_elbow right_shoulder:spine_shoulder right_elbow:right_shoulder right_wrist:right_elbow"
    ),
)

# SMPL's 22 body joints (without the two hands).
SMPL22 = layout_from_bones(
    "smpl22",
    _bones(
        "pelvis left_hip:pelvis right_hip:pelvis spine_1:pelvis left_knee:left_hip right_knee:right_hip "
        "spine_2:spine_1 left_ankle:left_knee right_ankle:right_knee spine_3:spine_2 left_foot:left_ankle "
        "right_foot:right_ankle neck:spine_3 left_collar:spine_3 right_collar:spine_3 head:neck "
        "left_shoulder:left_collar right_shoulder:right_collar left_elbow:left_shoulder "
        "right_elbow:right_shoulder left_wrist:left_elbow right_wrist:right_elbow"
    ),
)

LAYOUTS = {layout.name: layout for layout in (KINECT20, NTU25, COCO17, H36M17, SMPL22)}
