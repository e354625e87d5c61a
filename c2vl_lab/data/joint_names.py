"""Joint names as people write them, brought into one vocabulary: sides in front, one word for one place.

``LeftShoulder``, ``left shoulder``, ``l_shoulder``, ``shoulder_l``, ``LShoulder`` and ``mixamorig:LeftArm`` (where a
fore-arm is there too) all become ``left_shoulder``; ``Hips`` and ``pelvis`` become ``spine_base``. A name that is not
known is only written in the common form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from c2vl_lab.errors import ConfigError

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_SIDES = {"left": "left", "right": "right", "lft": "left", "rgt": "right", "l": "left", "r": "right"}
_TWIN = {"l": "r", "r": "l"}

# One place of the body under its other names, the likeliest first; of several in one layout the first is taken.
_MIDDLE = {
    "spine_base": "pelvis hips hip_center hip_centre center_hip mid_hip midhip hip_mid hip root sacrum",
    "spine_mid": "spine_middle mid_spine spine_navel navel spine belly abdomen torso lower_back",
    "spine_shoulder": "thorax shoulder_center shoulder_centre center_shoulder mid_shoulder shoulder_mid upper_spine",
    "neck": "neck_base neck_1",
    "head": "skull head_center head_centre",
    "head_top": "top_head head_end headtop",
}
_SIDED = {
    "shoulder": "upper_arm humerus",
    "elbow": "fore_arm forearm lower_arm radius",
    "hip": "up_leg upleg upper_leg thigh femur",
    "knee": "lower_leg lowleg shin calf tibia",
    "foot": "toe_base toes toe big_toe",
    "hand_tip": "handtip finger_tip fingers",
    "clavicle": "collar collar_bone",
}
# Motion capture names a joint after the bone that begins there: with a fore-arm, "arm" is the shoulder joint.
# (words that show it, the word that must be there, the word that must not, what becomes of which)
_BY_BONE: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("fore_arm forearm lower_arm", "arm", "", {"arm": "shoulder", "shoulder": "clavicle"}),
    ("up_leg upleg upper_leg thigh", "leg", "knee", {"leg": "knee"}),
    ("toe_base toes toe big_toe", "foot", "ankle", {"foot": "ankle"}),
)
_PARTS = {word for table in (_MIDDLE, _SIDED) for key, others in table.items() for word in (key, *others.split())}
_PARTS |= {"wrist", "hand", "ankle", "thumb", "nose", "eye", "ear", "arm", "leg", "heel"}


def canonical_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of a skeleton's joints in the common vocabulary, in the same order.

    Whether "l" is a side and what "arm" means is seen from the other names.

    Raises:
        ConfigError: a name without letters, or two names for one joint.
    """
    words = _without_prefix([_words(name) for name in names])
    known = {tuple(part) for part in words}
    sides, parts = [], []
    for own in words:
        side, rest = _side(own, known)
        sides.append(side)
        parts.append("_".join(rest))
    found = _renamed(sides, parts)
    for index, name in enumerate(found):
        if name in found[:index]:
            first = names[found.index(name)]
            raise ConfigError(
                f"The joints '{first}' and '{names[index]}' are both read as '{name}'. Rename one of them."
            )
    return tuple(found)


def _words(name: str) -> list[str]:
    """Lower-case words of a name, without a namespace such as ``mixamorig:``."""
    found = [word.lower() for word in _WORD.findall(name.rsplit(":", 1)[-1])]
    if not any(word.isalpha() for word in found):
        raise ConfigError(f"The joint name {name!r} has no letters. Wanted names such as 'left_shoulder'.")
    return found


def _without_prefix(words: list[list[str]]) -> list[list[str]]:
    """Drop first words that all names share (``bip_01``, ``joint``), where known parts of the body come out."""
    count = 0
    while all(len(own) > count + 1 and own[count] == words[0][count] not in _SIDES for own in words):
        count += 1
    short = [own[count:] for own in words]
    bare = {"_".join(word for word in own if word not in _SIDES) for own in short}
    return short if count and len(words) > 1 and bare & _PARTS else words


def _side(own: list[str], known: set[tuple[str, ...]]) -> tuple[str, list[str]]:
    """("left", "right" or "", the other words); a lone letter counts only where the other side's joint exists."""
    for place in (0, len(own) - 1):
        word, rest = own[place], own[:place] + own[place + 1 :]
        if word not in _SIDES or not rest:
            continue
        twin = (*own[:place], _TWIN.get(word, ""), *own[place + 1 :])
        if len(word) > 1 or twin in known:
            return _SIDES[word], rest
    first = own[0]
    for side in ("left", "right"):
        if first.startswith(side) and len(first) > len(side):
            return side, [first[len(side) :], *own[1:]]
    if first[0] in _TWIN and first[1:] in _PARTS and (_TWIN[first[0]] + first[1:], *own[1:]) in known:
        return _SIDES[first[0]], [first[1:], *own[1:]]
    return "", own


def _renamed(sides: list[str], parts: list[str]) -> list[str]:
    """Full names with synonyms replaced, as long as the better name is free."""
    there = set(zip(sides, parts, strict=True))
    for mark, needed, absent, changes in _BY_BONE:
        for side in ("left", "right"):
            marked = any((side, part) in there for part in mark.split())
            if marked and (side, needed) in there and (side, absent) not in there:
                parts = [changes.get(p, p) if s == side else p for s, p in zip(sides, parts, strict=True)]
    found = [f"{side}_{part}" if side else part for side, part in zip(sides, parts, strict=True)]
    for table, prefixes in ((_MIDDLE, ("",)), (_SIDED, ("left_", "right_"))):
        for prefix in prefixes:
            for target, others in table.items():
                candidates = [prefix + other for other in others.split() if prefix + other in found]
                if candidates and prefix + target not in found:
                    found[found.index(candidates[0])] = prefix + target
    return found
