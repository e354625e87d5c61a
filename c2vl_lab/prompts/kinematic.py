"""The kinematic captioner: 16 plain sentences a clip, from the joints alone, without labels.

Position k always speaks of the same aspect::

    1 posture            5-7  right arm: places, strokes, shape and rhythm     12-15 the four quarters of the clip
    2 locomotion, turns  8-10 left arm, likewise                               16    summary
    3 trunk              11   relation of the hands
    4 legs

These captions are our own stand-in for what a multimodal model says about a video: knowledge of kinematics in words.
The captioner reads no labels, and no sentence holds a verb or an object of a class name: it says where the body is and
how it moves. The writer of its rules did know the class lists, and compared wordings by labelled accuracy inside the
training splits of NW-UCLA and UTD-MHAD (never on their test parts): the captions are label-free, their rules are not
untouched by labels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.prompts.kinematic_arms import arm_sentences
from c2vl_lab.prompts.kinematic_general import general_sentences
from c2vl_lab.prompts.kinematic_hands import hands_sentence
from c2vl_lab.prompts.kinematic_measures import NEEDED, bodies_of
from c2vl_lab.prompts.kinematic_phases import phase_sentences, summary_sentence
from c2vl_lab.prompts.kinematic_trunk import legs_sentence, locomotion_sentence, posture_sentence, trunk_sentence

CAPTIONER_VERSION = "6"
SENTENCES = 16


def caption_clip(xyz: np.ndarray, present: np.ndarray, layout: JointLayout) -> list[str]:
    """The 16 sentences of one clip.

    Args:
        xyz: (T, M, V, 3) metres, y up; any camera, any place.
        present: (T, M) whether the recorder tracked the body in the frame.
        layout: joint layout. Where it lacks the limbs, trunk or head of a person, and anything that could stand for
            them (a hand, a robot, the upper body alone), the sentences are the plainer ones of ``kinematic_general``.
    """
    if not layout.has(*NEEDED):
        return general_sentences(xyz, present, layout)
    bodies = bodies_of(xyz, present, layout)
    if not bodies:
        return ["No person was tracked in this clip."] * SENTENCES
    body = bodies[0]
    other = bodies[1] if len(bodies) > 1 else None
    return [
        posture_sentence(body),
        locomotion_sentence(body),
        trunk_sentence(body),
        legs_sentence(body),
        *arm_sentences(body, "right"),
        *arm_sentences(body, "left"),
        hands_sentence(body),
        *phase_sentences(body, other),
        summary_sentence(body, other),
    ]


def caption_store(store: SkeletonStore, progress: Callable[[str], None] | None = None) -> dict[str, list[str]]:
    """Captions of every clip of a store, by clip name.

    Args:
        store: any skeleton store.
        progress: called now and then with a line on how far it is.
    """
    prompts = {}
    for index in range(len(store)):
        clip = store[index]
        prompts[clip.name] = caption_clip(clip.xyz, clip.present, store.layout)
        if progress is not None and ((index + 1) % 200 == 0 or index + 1 == len(store)):
            progress(f"captions: {index + 1} of {len(store)} clips")
    return prompts
