"""Joint layouts: which joints a skeleton has, how they hang together, which mirror which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c2vl_lab.errors import ConfigError, near_miss


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


def layout_from_bones(name: str, bones: dict[str, str | None]) -> JointLayout:
    """A layout from ``{joint: parent joint}`` in storage order; the root's parent is None.

    Left/right twins are found by the prefixes ``left_`` and ``right_``.

    Raises:
        ConfigError: a parent that is no joint, or not exactly one root.
    """
    joints = tuple(bones)
    roots = [j for j, parent in bones.items() if parent is None]
    if len(roots) != 1:
        raise ConfigError(f"Layout {name}: wanted one root joint (parent None), found {roots}.")
    parents, mirror = [], []
    for joint, parent in bones.items():
        if parent is not None and parent not in bones:
            raise ConfigError(f"Layout {name}: the parent of '{joint}' is unknown. {near_miss(parent, joints)}")
        parents.append(joints.index(parent or joint))
        twin = joint
        for side, other in (("left_", "right_"), ("right_", "left_")):
            if joint.startswith(side):
                twin = other + joint[len(side) :]
        mirror.append(joints.index(twin) if twin in joints else joints.index(joint))
    return JointLayout(name, joints, tuple(parents), tuple(mirror))


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
