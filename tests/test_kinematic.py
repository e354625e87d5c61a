"""The kinematic captioner: what it says of bodies whose movement is known."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.layouts import KINECT20, NTU25, JointLayout
from c2vl_lab.data.readers.msr_action3d import CLASSES as MSR_CLASSES
from c2vl_lab.data.readers.nw_ucla import ACTIONS
from c2vl_lab.data.readers.utd_mhad import CLASSES as UTD_CLASSES
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.prompts.kinematic import SENTENCES, caption_clip, caption_store
from c2vl_lab.prompts.kinematic_measures import strokes, swings, winding

SHARED = Path(os.environ.get("C2VL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))

# Beginnings of the verbs and nouns of the class names of NW-UCLA, UTD-MHAD, MSR Action3D and the generated set.
STEMS = (
    r"draw|drew|circle|circular|triang|x(?![a-z])|wav|clap|throw|threw|swip|bowl|box|swing|swung|curl|serv|push|knock"
    r"|door|catch|caught|object|pick|jog|walk|lung|squat|stretch|carr(?=[iy])|don(?=s?\b|n)|doff|drop|trash|shoot|shot"
    r"|cross|basketball|baseball|tennis|golf|forehand|hammer|punch|tick|bend|kick|drink|drank|phone|answer|point|shak"
    r"|shook|someth|another"
)
PHRASES = r"(?:sit|sits|sat|sitting) down|(?:stand|stands|stood|standing) up|(?:sit|stand)s? to (?:sit|stand)"
CLASS_WORDS = re.compile(rf"\b(?:(?:{STEMS})\w*|{PHRASES})\b", re.IGNORECASE)
# What a class name shares with any description: body parts, sides, counts, sitting and standing as states.
PLAIN = set(
    re.findall(
        "[a-z]+",
        "arm arms hand hands foot leg chest person floor left right front forward side high horizontal clockwise "
        "counter up down out around place one two a an the in on to from with and sit stand",
    )
)

STANDING = {
    "spine_base": (0, 0.9, 0),
    "spine_mid": (0, 1.1, 0),
    "spine_shoulder": (0, 1.4, 0),
    "neck": (0, 1.45, 0),
    "head": (0, 1.6, 0),
    "shoulder": (0.18, 1.38, 0),
    "elbow": (0.24, 1.12, 0),
    "wrist": (0.25, 0.88, 0),
    "hand": (0.25, 0.8, 0),
    "hand_tip": (0.25, 0.73, 0),
    "thumb": (0.22, 0.78, -0.03),
    "hip": (0.09, 0.88, 0),
    "knee": (0.1, 0.48, 0),
    "ankle": (0.1, 0.08, 0),
    "foot": (0.1, 0.03, -0.1),
}


def figure(frames: int, layout: JointLayout = KINECT20) -> np.ndarray:
    """(T, 1, V, 3) of a person who stands and faces the camera, right side at +x."""
    pose = np.zeros((len(layout), 3))
    for place, joint in enumerate(layout.joints):
        side, _, name = joint.partition("_")
        paired = side in ("left", "right")
        pose[place] = STANDING[name if paired else joint]
        pose[place, 0] *= -1 if side == "left" else 1
    pose[:, 2] += 3.0
    return np.repeat(pose[None, None], frames, axis=0)


def move_arm(xyz: np.ndarray, layout: JointLayout, path: np.ndarray, side: str = "right") -> np.ndarray:
    """Put one hand on a (T, 3) path relative to the shoulder, wrist and elbow on the way there."""
    moved = xyz.copy()
    shoulder = moved[:, 0, layout.index(f"{side}_shoulder")]
    for joint, share in (("elbow", 0.5), ("wrist", 0.9), ("hand", 1.0), ("hand_tip", 1.1), ("thumb", 1.0)):
        if f"{side}_{joint}" in layout.joints:
            moved[:, 0, layout.index(f"{side}_{joint}")] = shoulder + share * path
    return moved


def raise_hand(frames: int = 60, layout: JointLayout = KINECT20, side: str = "right") -> np.ndarray:
    """A hand that goes from beside the thigh to above the head and back."""
    lift = np.sin(np.linspace(0, np.pi, frames))
    path = np.stack([np.full(frames, 0.05), -0.58 + 1.2 * lift, -0.05 - 0.3 * np.sin(np.pi * lift)], axis=1)
    path[:, 0] *= -1 if side == "left" else 1
    return move_arm(figure(frames, layout), layout, path, side)


def seen(xyz: np.ndarray) -> np.ndarray:
    return np.ones(xyz.shape[:2], bool)


def caption(xyz: np.ndarray, layout: JointLayout = KINECT20) -> list[str]:
    return caption_clip(xyz, seen(xyz), layout)


def swapped(text: str) -> str:
    """Left and right, clockwise and counter-clockwise exchanged."""
    pairs = {"left": "right", "right": "left", "counter-clockwise": "clockwise", "clockwise": "counter-clockwise"}
    return re.sub(r"\b(counter-clockwise|clockwise|left|right)\b", lambda m: pairs[m.group()], text)


def clauses(text: str) -> list[str]:
    """The parts of a sentence in any order: mirrored bodies may name the same things in another order."""
    return sorted(re.split(r", | and ", text.rstrip(".").lower()))


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> SkeletonStore:
    return open_dataset("generated", work_dir=tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def some(generated: SkeletonStore) -> list[int]:
    """Two clips of every action."""
    labels = generated.labels
    return [int(i) for label in np.unique(labels) for i in np.flatnonzero(labels == label)[:2]]


@pytest.mark.parametrize("layout", [KINECT20, NTU25], ids=lambda layout: layout.name)
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_raised_hand_is_above_the_head(layout: JointLayout, side: str) -> None:
    texts = caption(raise_hand(layout=layout, side=side), layout)
    other = "left" if side == "right" else "right"
    place = 4 if side == "right" else 7
    assert f"{side} hand" in texts[place] and "above the head" in texts[place]
    assert "moves up" in texts[place + 1] and "down" in texts[place + 1]
    assert f"mainly the {side} hand moves" in texts[10]
    assert f"the {side} arm moves most" in texts[15]
    assert "stays" in texts[7 if side == "right" else 4] and f"{other} arm rests" in " ".join(texts)
    assert "stands" in texts[0] and "stands on one spot" in texts[1]


def test_mirrored_bodies_swap_left_and_right(generated: SkeletonStore, some: list[int]) -> None:
    for index in some:
        clip = generated[index]
        mirror = np.asarray(clip.xyz)[:, :, generated.layout.mirror] * np.array([-1, 1, 1])
        texts = caption_clip(clip.xyz, clip.present, generated.layout)
        found = caption_clip(mirror, clip.present, generated.layout)
        wanted = [swapped(text) for text in texts]
        wanted[4:7], wanted[7:10] = wanted[7:10], wanted[4:7]
        for place in range(SENTENCES):
            assert clauses(found[place]) == clauses(wanted[place]), (clip.name, place + 1)
    assert any("left" in text for text in texts)


@pytest.mark.parametrize("degrees", [40, 170, 275])
def test_the_camera_does_not_matter(generated: SkeletonStore, some: list[int], degrees: float) -> None:
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    for index in some:
        clip = generated[index]
        moved = np.asarray(clip.xyz, np.float64) @ turn.T + np.array([0.7, -0.2, 1.5])
        assert caption_clip(moved, clip.present, generated.layout) == caption_clip(
            clip.xyz, clip.present, generated.layout
        )


def test_size_does_not_matter() -> None:
    assert caption(raise_hand()) == caption(raise_hand() * 1.25)


def test_loops_have_the_sense_that_the_person_sees() -> None:
    angle = np.linspace(0, 2 * np.pi, 60)
    # The person's right is +x here and the person looks along -z, so this runs from right over up to left.
    path = np.stack([0.3 * np.cos(angle), 0.3 * np.sin(angle), np.full(60, -0.35)], axis=1)
    there = caption(move_arm(figure(60), KINECT20, path))[6]
    back = caption(move_arm(figure(60), KINECT20, path[::-1]))[6]
    assert "counter-clockwise loop" in there and " clockwise loop" in back


def test_quick_repetition_is_counted() -> None:
    time = np.linspace(0, 1, 90)
    path = np.stack([0.2 * np.sin(2 * np.pi * 5 * time), np.full(90, 0.35), np.full(90, -0.2)], axis=1)
    text = caption(move_arm(figure(90), KINECT20, path))[6]
    assert "repeats a stroke sideways" in text and re.search("four times|five times", text)


def test_going_forward_and_sinking_are_seen() -> None:
    walk = figure(60)
    walk[:, 0, :, 2] -= np.linspace(0, 1.5, 60)[:, None]
    assert "step by step over the floor all the time" in caption(walk)[1] and "forward" in caption(walk)[1]
    low = figure(60)
    drop = np.clip(np.linspace(-0.2, 0.6, 60), 0, 0.45)[:, None]
    for joint in KINECT20.joints:
        if not joint.endswith(("ankle", "foot", "knee")):
            low[:, 0, KINECT20.index(joint), 1] -= drop[:, 0]
    assert (
        "stands at the start" in caption(low)[0] and "at sitting height with bent knees at the end" in caption(low)[0]
    )


def test_every_clip_has_sixteen_plain_short_sentences(generated: SkeletonStore) -> None:
    prompts = caption_store(generated)
    assert list(prompts) == generated.names
    for name, texts in prompts.items():
        assert len(texts) == SENTENCES, name
        for text in texts:
            assert text[0].isupper() and text.endswith(".") and len(text.split()) < 60, text
            assert "  " not in text and "nan" not in text.lower().split(), text
    assert prompts == caption_store(generated)


def named(prompts: dict[str, list[str]]) -> list[str]:
    """Sentences that hold a class word or phrase."""
    sentences = sorted({text for texts in prompts.values() for text in texts})
    return [text for text in sentences if CLASS_WORDS.search(text)]


@pytest.mark.parametrize(
    "text",
    [
        "The hand draws a circle.",
        "They swung.",
        "It keeps walking.",
        "A squatting person.",
        "It carries it.",
        "He sits down.",
        "She was standing up.",
        "The arms cross.",
        "The hand waved.",
        "The arm stretches out.",
    ],
)
def test_class_words_are_found_in_every_form(text: str) -> None:
    assert named({"clip": [text]}) == [text]
    assert not named({"clip": ["The person stands, the left hand across the body, the knees bent, as in sitting."]})


def test_every_word_of_a_class_name_is_judged() -> None:
    for classes in (UTD_CLASSES, tuple(ACTIONS.values()), MSR_CLASSES):
        for word in re.findall("[a-z]+", " ".join(classes).lower()):
            assert word in PLAIN or CLASS_WORDS.search(word), word


def test_no_class_is_named(generated: SkeletonStore) -> None:
    prompts = caption_store(generated)
    assert not named(prompts)
    text = " ".join(s for texts in prompts.values() for s in texts).lower()
    for word in re.findall("[a-z]+", " ".join(generated.classes).lower()):
        assert word in PLAIN or CLASS_WORDS.search(word), word
    for name in (name for name in generated.classes if " " in name):
        assert name not in text, name


@pytest.mark.real
@pytest.mark.parametrize("name", ["nw-ucla", "utd-mhad", "msr-action3d"])
def test_no_class_is_named_in_real_captions(name: str, tmp_path: Path) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"{SHARED / name} is not here")
    store = open_dataset(name, SHARED, tmp_path)
    prompts = {}
    for label in np.unique(store.labels):
        clips = np.flatnonzero(store.labels == label)
        for place in np.linspace(0, len(clips) - 1, 3).astype(int):
            clip = store[int(clips[place])]
            prompts[clip.name] = caption_clip(clip.xyz, clip.present, store.layout)
    assert len(prompts) == 3 * len(store.classes)
    assert not named(prompts)


def test_two_people_are_told_apart(generated: SkeletonStore) -> None:
    both = [i for i in range(len(generated)) if generated[i].present.any(axis=0).sum() > 1]
    assert both, "the generated set should hold clips of two people"
    texts = caption_clip(generated[both[0]].xyz, generated[both[0]].present, generated.layout)
    assert "two people" in texts[15] and "second person" in " ".join(texts[11:15])


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_the_shortest_clips_work(frames: int) -> None:
    texts = caption(raise_hand(60)[28 : 28 + frames])
    assert len(texts) == SENTENCES and "above the head" in texts[4]


def test_absent_frames_are_bridged() -> None:
    xyz = raise_hand(80)
    present = seen(xyz)
    gap = np.r_[0:6, 20:26, 50:58, 77:80]
    broken = xyz.copy()
    broken[gap] = 0
    present[gap] = False
    texts = caption_clip(broken, present, KINECT20)
    assert "above the head" in texts[4] and "stays" in texts[7] and "stands on one spot" in texts[1]
    nobody = caption_clip(np.zeros_like(xyz), np.zeros_like(present), KINECT20)
    assert len(nobody) == SENTENCES


def test_noise_of_a_sensor_is_no_movement() -> None:
    rng = np.random.default_rng(0)
    texts = caption(figure(60) + rng.normal(0, 0.01, figure(60).shape))
    assert "almost nothing moves" in texts[15] and "no clear stroke" in texts[5]


def test_measures_of_paths() -> None:
    wave = np.sin(np.linspace(0, 6 * np.pi, 200))
    assert swings(wave, 0.5) == 6 and swings(0.1 * wave, 0.5) == 0
    corner = np.array([[0, 0, 0], [0, 0.5, 0], [0, 1, 0], [0.5, 1, 0], [1, 1, 0]], float)
    assert np.allclose(strokes(corner, 0.3), [[0, 1, 0], [1, 0, 0]])
    angle = np.linspace(0, 2 * np.pi, 50)
    rounds, roundness = winding(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    assert rounds == pytest.approx(1) and roundness > 0.95
