"""The generator: deterministic, named as generated, bodies that hold together and do what their class says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.generated import GeneratedConfig, generate
from c2vl_lab.data.generated_actions import ACTIONS
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.errors import ConfigError

J = NTU25.index
CLEAN = GeneratedConfig(performers=2, noise=0.0)


@pytest.fixture(scope="module")
def clean():
    return generate(CLEAN)


def of(clips, action: str):
    chosen = [clip for clip in clips if clip.label == list(ACTIONS).index(action)]
    assert chosen
    return chosen


def hand_path(clip, joint: str) -> float:
    return float(np.linalg.norm(np.diff(clip.xyz[:, 0, J(joint)], axis=0), axis=1).sum())


def test_same_seed_same_clips_and_other_seed_others():
    settings = GeneratedConfig(performers=1)
    first, second = generate(settings), generate(settings)
    assert all(np.array_equal(a.xyz, b.xyz) and a.name == b.name for a, b in zip(first, second, strict=True))
    other = generate(dataclasses.replace(settings, seed=1))
    assert first[0].xyz.shape != other[0].xyz.shape or not np.array_equal(first[0].xyz, other[0].xyz)


def test_more_performers_leave_the_first_ones_as_they_were():
    one = {clip.name: clip.xyz for clip in generate(GeneratedConfig(performers=1))}
    two = {clip.name: clip.xyz for clip in generate(GeneratedConfig(performers=2))}
    assert all(np.array_equal(xyz, two[name]) for name, xyz in one.items()) and len(two) == 2 * len(one)


def test_the_store_is_named_as_generated(tmp_path):
    store = open_dataset("generated", work_dir=tmp_path, performers=2)
    assert store.generated and store.dataset == "generated" and "no recordings" in store.meta["notes"]["generated"]
    assert all(name.startswith("generated_") for name in store.names)
    assert len(store.classes) >= 12 and len(store) == len(store.classes) * 2 * 3
    assert store.layout.joints == NTU25.joints and store.bodies == 2
    assert set(store.clips["camera"]) == {1, 2, 3} and all(40 <= n <= 80 for n in store.clips["length"])
    assert any(not store[i].present.all() for i in range(len(store)))  # the recorder loses bodies
    two_people = {int(store.labels[i]) for i in range(len(store)) if store[i].present[:, 1:].any()}
    assert len(two_people) == 2


def test_bones_keep_their_length_without_noise(clean):
    for clip in clean[::5]:
        for child, parent in NTU25.bones:
            length = np.linalg.norm(clip.xyz[:, 0, child] - clip.xyz[:, 0, parent], axis=-1)
            assert np.ptp(length) < 0.02 + 0.02 * length.mean(), (clip.name, NTU25.joints[child])


def test_everyone_stands_on_the_floor_head_up(clean):
    for clip in clean:
        feet = clip.xyz[..., [J("left_foot"), J("right_foot")], 1]
        assert (clip.xyz[..., J("head"), 1] > feet.max(axis=-1) + 0.3).all(), clip.name
        floor = feet.min(axis=-1)
        assert np.ptp(floor) < 0.25, clip.name
    front = [clip for clip in clean if clip.camera == 2 and clip.xyz.shape[1] == 1]
    assert all(clip.xyz[0, 0, J("left_shoulder"), 0] < clip.xyz[0, 0, J("right_shoulder"), 0] for clip in front)


def test_actions_do_what_their_names_say(clean):
    for clip in of(clean, "wave with the right hand"):
        assert hand_path(clip, "right_wrist") > 2 * hand_path(clip, "left_wrist")
    for clip in of(clean, "wave with the left hand"):
        assert hand_path(clip, "left_wrist") > 2 * hand_path(clip, "right_wrist")
    for action, sign in (("sit down", -1), ("stand up", 1)):
        for clip in of(clean, action):
            assert sign * (clip.xyz[-1, 0, J("spine_base"), 1] - clip.xyz[0, 0, J("spine_base"), 1]) > 0.2
    for clip in of(clean, "kick with the right leg"):
        rise = clip.xyz[:, 0, J("right_ankle"), 1] - clip.xyz[:, 0, J("left_ankle"), 1]
        assert rise.max() > 0.15
    for clip in of(clean, "walk forward"):
        ends = clip.xyz[[0, -1], 0, J("spine_base")]
        assert np.linalg.norm(ends[1] - ends[0]) > 0.5
    for clip in of(clean, "pick something up from the floor"):
        hand = clip.xyz[:, 0, J("right_hand"), 1] - clip.xyz[:, 0, J("right_ankle"), 1]
        assert hand.min() < 0.45
    for clip in of(clean, "clap the hands"):
        gap = np.linalg.norm(clip.xyz[:, 0, J("left_hand")] - clip.xyz[:, 0, J("right_hand")], axis=1)
        assert gap.min() < 0.2
    for clip in of(clean, "shake hands with another person"):
        gap = np.linalg.norm(clip.xyz[:, 0, J("right_hand")] - clip.xyz[:, 1, J("right_hand")], axis=1)
        assert gap.min() < 0.25
    for clip in of(clean, "push another person"):
        apart = np.linalg.norm(clip.xyz[:, 0, J("spine_base")] - clip.xyz[:, 1, J("spine_base")], axis=1)
        assert apart[-1] > apart.min() + 0.1


def test_the_set_is_not_trivial():
    """Nearest neighbour on root-centred coordinates must leave room for learning."""
    clips = generate(GeneratedConfig())
    features = []
    for clip in clips:
        body = clip.xyz[:, 0][clip.present[:, 0]]
        body = body[np.linspace(0, len(body) - 1, 16).astype(int)]
        features.append((body - body[:1, :1]).ravel())
    rows, labels = np.array(features), np.array([clip.label for clip in clips])
    train = np.array([clip.subject % 2 == 1 for clip in clips])
    distance = ((rows[~train][:, None] - rows[train][None]) ** 2).sum(-1)
    accuracy = (labels[train][distance.argmin(1)] == labels[~train]).mean()
    assert 0.3 < accuracy < 0.9


@pytest.mark.parametrize("wrong", [{"performers": 0}, {"frames_min": 90}, {"noise": -1.0}, {"performer": 3}])
def test_wrong_settings_are_refused(tmp_path, wrong):
    with pytest.raises(ConfigError, match="generated"):
        open_dataset("generated", work_dir=tmp_path, **wrong)
    assert not (tmp_path / "stores").exists()
