"""Skeletons from one joint layout to another, by joint names; and the layout that several sets have in common.

The rule, all of it our choice (the field transfers between sets of one layout only). A joint of the wanted layout is

1. the joint of that name;
2. else what stands for that place of the body (:data:`~c2vl_lab.data.layouts.STAND_INS`: the hip centre is the middle
   of the hips, a hand is the wrist, ...);
3. else the middle of the two named places between which it lies (:data:`BETWEEN`);
4. else the joint on which it is put (:data:`UPON`: a finger tip on its hand);

and a layout that has none of these cannot be mapped. Left stays left. Every joint is a weighted mean of joints of the
same body and frame, so a body that is zero (not tracked) stays zero, and turning, moving or scaling a clip before the
mapping or after it gives the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import ConfigError

BETWEEN = {"spine_mid": ("spine_base", "spine_shoulder"), "neck": ("spine_shoulder", "head")}
UPON: dict[str, str] = {}
for _side in ("left", "right"):
    BETWEEN[f"{_side}_clavicle"] = ("spine_shoulder", f"{_side}_shoulder")
    UPON |= {f"{_side}_hand_tip": f"{_side}_hand", f"{_side}_thumb": f"{_side}_hand"}
# Places that a common layout keeps though a set has no joint of the name: without them a body falls into limbs.
TRUNK = ("spine_base", "spine_mid", "spine_shoulder", "head")


def joint_weights(source: JointLayout, target: JointLayout) -> np.ndarray:
    """(V_target, V_source) float32 weights that make each joint of a layout from those of another; rows sum to 1.

    ``weights @ xyz`` maps coordinates (..., V_source, 3).

    Raises:
        ConfigError: joints of ``target`` that ``source`` cannot give; all are named.
    """
    rows = [_weights(source, joint) for joint in target.joints]
    absent = [joint for joint, row in zip(target.joints, rows, strict=True) if row is None]
    if absent:
        raise ConfigError(
            f"A skeleton of layout {source.name} cannot be mapped to {target.name}: it has no joint for "
            f"{', '.join(absent)}, and none between which they lie. Map both to the joints that they share "
            "(common_layout)."
        )
    return np.stack([row for row in rows if row is not None])


def common_layout(layouts: Sequence[JointLayout]) -> JointLayout:
    """The layout to which skeletons of all these layouts can be mapped without two joints on one place.

    It holds the joints that all have by name, and the places of :data:`TRUNK` that all can give. Neither made-up necks
    nor hands put on wrists: they say nothing, and would tell the sets apart. Order and bones are those of the given
    layout that keeps the most joints (of several the one with the fewest in all, then by name); a joint whose parent
    is not kept hangs on the next that is. So the order of ``layouts`` changes nothing, and one layout is its own.

    Raises:
        ConfigError: fewer joints are shared than half of the smallest layout has.
    """
    kept = {layout.name: [joint for joint in layout.joints if _shared(joint, layout, layouts)] for layout in layouts}
    reference = min(layouts, key=lambda layout: (-len(kept[layout.name]), len(layout), layout.name))
    joints = kept[reference.name]
    smallest = min(layouts, key=len)
    if 2 * len(joints) < len(smallest):
        names = ", ".join(sorted({layout.name for layout in layouts}))
        raise ConfigError(
            f"The layouts {names} share {len(joints)} joints ({', '.join(joints) or 'none'}); wanted at least half of "
            f"the {len(smallest)} of {smallest.name}. Train on sets whose bodies have the same parts and joint names."
        )
    return reference if len(joints) == len(reference) else _reduced(reference, joints, layouts)


def _weights(layout: JointLayout, joint: str) -> np.ndarray | None:
    """(V,) weights of a layout's joints that make up a joint by the module's rule; None where there is none."""
    if layout.has(joint):
        return layout.weights(joint)
    ends = BETWEEN.get(joint, ())
    if ends and layout.has(*ends):
        return sum((layout.weights(end) for end in ends), np.zeros(len(layout), np.float32)) / np.float32(len(ends))
    upon = UPON.get(joint, "")
    return layout.weights(upon) if upon and layout.has(upon) else None


def _shared(joint: str, reference: JointLayout, layouts: Sequence[JointLayout]) -> bool:
    """Whether all layouts have the joint by name, or it is of the trunk and all can give it a place of its own."""
    for layout in layouts:
        if joint in layout.joints:
            continue
        row = _weights(layout, joint) if joint in TRUNK else None
        if row is None:
            return False
        used = np.flatnonzero(row)
        if len(used) == 1 and layout.joints[used[0]] in reference.joints:  # two joints on one place
            return False
    return True


def _reduced(reference: JointLayout, joints: list[str], layouts: Sequence[JointLayout]) -> JointLayout:
    """The reference with some of its joints: bones go to the next kept joint on the way to the root."""
    places = [reference.index(joint) for joint in joints]
    hops = reference.hops()[reference.root]
    root = min(places, key=lambda place: (hops[place], place))
    parents = []
    for place in places:
        parent = reference.parents[place]
        while parent not in places and parent != reference.root:
            parent = reference.parents[parent]
        parents.append(places.index(parent if parent in places and place != root else root))
    twins = [reference.mirror[place] for place in places]
    mirror = [places.index(twin) if twin in places else own for own, twin in enumerate(twins)]
    names = " and ".join(sorted({layout.name for layout in layouts}))
    return JointLayout(f"common{len(joints)} of {names}", tuple(joints), tuple(parents), tuple(mirror))
