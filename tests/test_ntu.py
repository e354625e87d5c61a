"""NTU RGB+D: what a clip holds, and who is in which body slot; the peers' defects 1 to 3."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ntu_files import (
    NAME,
    A,
    B,
    Bodies,
    C,
    D,
    alone,
    color_places,
    joint_states,
    person,
    read_all,
    skeleton_text,
    write_skeleton_file,
)

from c2vl_lab.data.layouts import NTU25


def read_one(tmp_path: Path, frames: list[Bodies], name: str = NAME):
    """The clip of one recording, and all that is said about it."""
    write_skeleton_file(tmp_path / f"{name}.skeleton", frames)
    reading = read_all(tmp_path)
    assert not reading.faults
    return reading.clips[0], reading.counts


def slot_at(clip, x: float) -> int:
    """The slot whose body stands about ``x`` when it is first seen."""
    first = [clip.xyz[np.argmax(clip.present[:, slot]), slot, 0, 0] for slot in range(clip.xyz.shape[1])]
    return int(np.argmin(np.abs(np.array(first) - x)))


def test_the_file_name_gives_setup_camera_subject_trial_and_label(tmp_path):
    clip, _ = read_one(tmp_path, alone())
    assert (clip.name, clip.setup, clip.camera, clip.subject, clip.trial, clip.label) == (NAME, 1, 2, 3, 2, 12)
    assert clip.source == f"{NAME}.skeleton" and clip.ids == (str(A),)


def test_coordinates_pixels_and_states_of_every_joint(tmp_path):
    body = person(1, 0.0)
    clip, counts = read_one(tmp_path, [[(A, body[t])] if t != 7 else [] for t in range(100)])
    rest = np.delete(np.arange(100), 7)
    np.testing.assert_allclose(clip.xyz[rest, 0], body[rest], atol=1e-5)
    np.testing.assert_allclose(clip.color[rest, 0], color_places(body[rest]), rtol=1e-5)
    assert (clip.state[rest, 0] == joint_states()).all()
    assert not clip.xyz[7].any() and not clip.state[7].any() and np.isnan(clip.color[7]).all()
    assert counts == {
        "frames without any body, kept in place": 1,
        "gaps: body frames between two tracked ones, kept in place": 1,
    }


def test_colour_places_that_are_no_number_are_unknown_and_the_body_stays(tmp_path):
    text = skeleton_text(alone(3)).splitlines()
    for line, bad in ((4, "NaN"), (5, "-Infinity"), (6, "1e99")):
        words = text[line].split()
        text[line] = " ".join([*words[:5], bad, *words[6:]])
    (tmp_path / f"{NAME}.skeleton").write_text("\n".join(text))
    reading = read_all(tmp_path)
    clip = reading.clips[0]
    assert clip.present.all() and np.isnan(clip.color[0, 0, :3]).all() and not np.isnan(clip.color[0, 0, 3:]).any()
    assert reading.counts == {"joints without a place in the colour image": 3}


FILLED = "joints filled: not a number or over 100 m away"


def spoiled(body: np.ndarray, joints: int, bad: str, frame: int = 5, first: int = 12) -> str:
    """The text of a body alone, x of some joints of a frame replaced."""
    lines = skeleton_text([[(A, row)] for row in body]).splitlines()
    start = 1 + frame * 28 + 3 + first
    for number in range(start, start + joints):
        lines[number] = bad + lines[number][lines[number].index(" ") :]
    return "\n".join(lines)


@pytest.mark.parametrize("bad", ["nan", "-inf", "1e39", "-1e5"])
def test_a_joint_that_is_no_place_costs_neither_its_frame_nor_the_clip(tmp_path, bad):
    body = person(1, 0.0, frames=20)
    (tmp_path / f"{NAME}.skeleton").write_text(spoiled(body, 1, bad))
    reading = read_all(tmp_path)
    clip, straight = reading.clips[0], body.copy()
    straight[5, 12] = (body[4, 12] + body[6, 12]) / 2
    assert clip.present.all() and clip.state[5, 0, 12] == 0
    np.testing.assert_allclose(clip.xyz[:, 0], straight, atol=1e-5)
    assert np.delete(clip.state[:, 0].ravel(), 5 * 25 + 12).tolist() == [*np.delete([*joint_states()] * 20, 137)]
    assert np.isfinite(clip.color[5]).all() and reading.counts == {FILLED: 1} and not reading.faults


def test_a_hand_that_is_lost_in_half_of_the_frames_and_one_that_is_never_seen(tmp_path):
    """The first lost 30 of 60 frames before; the second the clip."""
    body = person(1, 0.0, frames=60)
    body[::2, 7] = np.nan
    body[:, 22] = np.nan  # left thumb, whose bone leads to the hand
    with np.errstate(invalid="ignore"):
        clip, counts = read_one(tmp_path, [[(A, row)] for row in body])
    assert clip.present.all() and np.isfinite(clip.xyz).all() and counts[FILLED] == 90
    np.testing.assert_array_equal(clip.xyz[:, :, 22], clip.xyz[:, :, NTU25.parents[22]])
    assert not clip.state[::2, 0, 7].any() and not clip.state[:, 0, 22].any()


def test_a_joint_is_filled_over_a_change_of_the_recorders_id(tmp_path):
    body = person(1, 0.0, 0.01, frames=60)
    body[30:, 7] = np.nan  # never known under the second ID
    with np.errstate(invalid="ignore"):
        clip, _ = read_one(tmp_path, [[(A if t < 30 else B, body[t])] for t in range(60)])
    assert clip.ids == (f"{A}+{B}",)
    np.testing.assert_array_equal(clip.xyz[30:, 0, 7], np.repeat(clip.xyz[29:30, 0, 7], 30, axis=0))


@pytest.mark.parametrize(("joints", "lost"), [(12, []), (13, [5])])
def test_a_body_frame_with_fewer_than_half_of_its_joints_is_a_gap_in_its_place(tmp_path, joints, lost):
    body = person(1, 0.0, frames=20)
    (tmp_path / f"{NAME}.skeleton").write_text(spoiled(body, joints, "nan", first=0))
    reading = read_all(tmp_path)
    clip = reading.clips[0]
    assert list(np.flatnonzero(~clip.present[:, 0])) == lost and not clip.xyz[lost].any()
    np.testing.assert_allclose(clip.xyz[6:, 0], body[6:], atol=1e-5)
    assert reading.counts["body frames left out: fewer than half of the joints are known"] == len(lost)
    assert reading.counts[FILLED] == (0 if lost else 12) and not reading.faults


def test_a_body_at_the_origin_and_an_id_listed_twice_are_counted(tmp_path):
    body = person(1, 0.0, frames=20)
    frames = [[(A, body[t])] for t in range(20)]
    frames[3] = [(A, np.zeros((25, 3)))]
    frames[4] = [(A, body[4]), (A, body[4] + 1)]
    with np.errstate(invalid="ignore"):
        clip, counts = read_one(tmp_path, frames)
    assert list(np.flatnonzero(~clip.present[:, 0])) == [3]
    np.testing.assert_allclose(clip.xyz[4, 0], body[4], atol=1e-5)
    assert counts["body frames left out: all joints lie in the sensor"] == 1
    assert counts["body frames left out: the same ID twice in a frame"] == 1


# defects 1 to 3 of the peers (field.md, section 4), and body slots


def as_tracked(clip, x: float, truth: np.ndarray, tracked: list[int]) -> bool:
    """Whether the body about ``x`` lies in one slot, in its true frames, and nowhere else."""
    slot = slot_at(clip, x)
    alone = list(np.flatnonzero(clip.present[:, slot])) == tracked
    return alone and np.allclose(clip.xyz[tracked, slot], truth[tracked], atol=1e-5)


def test_a_tracking_gap_keeps_its_place_in_time(tmp_path):
    """Defect 1: peers write a body tracked in 0-19 and 60-99 to 0-59; defect 3: they then cut the end off."""
    first, second = person(1, -0.6, 0.3), person(2, 0.6)
    tracked = [*range(20), *range(60, 100)]
    clip, counts = read_one(
        tmp_path, [([(A, first[t])] if t in tracked else []) + [(B, second[t])] for t in range(100)]
    )
    assert len(clip.xyz) == 100 and list(clip.frames) == list(range(100))
    assert as_tracked(clip, -0.6, first, tracked) and as_tracked(clip, 0.6, second, list(range(100)))
    assert counts["gaps: body frames between two tracked ones, kept in place"] == 40
    slot = slot_at(clip, -0.6)
    assert np.allclose(clip.color[99, slot], color_places(first[99]), rtol=1e-5)
    # the peers' way, for which this test must fail: rows of a body one after the other, length by non-zero frames
    shifted = np.zeros_like(clip.xyz)
    shifted[:60, slot] = clip.xyz[tracked, slot]
    assert not np.allclose(shifted[tracked, slot], first[tracked], atol=1e-5)


def test_frames_without_any_body_stay(tmp_path):
    """Defect 3: a length that is the number of non-zero frames loses the end."""
    body = person(1, 0.0)
    tracked = [*range(5, 30), *range(40, 98)]
    clip, counts = read_one(tmp_path, [[(A, body[t])] if t in tracked else [] for t in range(100)])
    assert len(clip.xyz) == 100 and as_tracked(clip, 0.0, body, tracked)
    assert counts["frames without any body, kept in place"] == 17


def test_a_person_keeps_the_slot_when_the_recorder_swaps_the_order(tmp_path):
    """Defect 2: peers take bodies in file order."""
    first, second = person(1, -0.6, 0.3), person(2, 0.6)
    frames = [[(A, first[t]), (B, second[t])] if t < 50 else [(B, second[t]), (A, first[t])] for t in range(100)]
    clip, _ = read_one(tmp_path, frames)
    assert as_tracked(clip, -0.6, first, list(range(100))) and as_tracked(clip, 0.6, second, list(range(100)))
    assert clip.ids == (str(A), str(B))  # first the one who moves more
    in_file_order = np.array([frame[0][1] for frame in frames])
    assert not np.allclose(in_file_order, first, atol=1e-5)


def test_a_person_who_comes_later_keeps_the_slot(tmp_path):
    first, second = person(1, -0.6, 0.3), person(2, 0.6)
    frames = [[(B, second[t])] + ([(A, first[t])] if 30 <= t < 80 else []) for t in range(100)]
    clip, counts = read_one(tmp_path, frames)
    assert as_tracked(clip, -0.6, first, list(range(30, 80))) and as_tracked(clip, 0.6, second, list(range(100)))
    assert not counts  # before and after is no gap


def test_the_person_who_moves_more_comes_first(tmp_path):
    calm, lively = person(1, -0.6, 0.02), person(2, 0.6, 0.5)
    clip, _ = read_one(tmp_path, [[(A, calm[t]), (B, lively[t])] for t in range(100)])
    np.testing.assert_allclose(clip.xyz[:, 0], lively, atol=1e-5)
    assert clip.ids == (str(B), str(A))


JOINED = "body IDs joined to one person: lost and found again"


def test_a_new_id_after_a_loss_at_the_same_place_is_the_same_person(tmp_path):
    body, other = person(1, -0.8, 0.05), person(2, 0.8, 0.02)
    frames = [([(A if t < 40 else C, body[t])] if not 40 <= t < 50 else []) + [(B, other[t])] for t in range(100)]
    clip, counts = read_one(tmp_path, frames)
    assert clip.xyz.shape[1] == 2 and as_tracked(clip, -0.8, body, [*range(40), *range(50, 100)])
    assert clip.ids == (f"{A}+{C}", str(B)) and counts[JOINED] == 1


def test_short_pieces_of_a_person_are_no_ghosts(tmp_path):
    """In a hug the recorder may lose a person every few frames; nothing of the person is thrown away."""
    body, other = person(1, -0.8, 0.05), person(2, 0.8, 0.02)
    frames = [[(A + 10 + t // 8, body[t]), (B, other[t])] for t in range(100)]
    clip, counts = read_one(tmp_path, frames)
    assert as_tracked(clip, -0.8, body, list(range(100))) and counts[JOINED] == 12
    assert not any("left out" in key for key in counts)


def test_two_people_lost_at_once_find_their_own_slots(tmp_path):
    """The first new ID would fit either; the other then decides."""
    left, right = person(1, -0.3, 0.02), person(1, 0.3, 0.01)  # of one build, so that only places decide
    frames = []
    for t in range(100):
        new = [(C, right[t] - [0.25, 0, 0]), (D, left[t])]
        frames.append([(A, left[t]), (B, right[t])] if t < 40 else new if t >= 50 else [])
    clip, counts = read_one(tmp_path, frames)
    assert sorted(clip.ids) == [f"{A}+{D}", f"{B}+{C}"] and counts[JOINED] == 2


def test_a_new_id_far_away_is_someone_else(tmp_path):
    here, there = person(1, -1.5), person(2, 1.5)
    clip, counts = read_one(tmp_path, [[(A, here[t])] if t < 50 else [(B, there[t])] for t in range(100)])
    assert sorted(clip.ids) == [str(A), str(B)] and JOINED not in counts


def furniture(place: np.ndarray, frames: int = 100) -> np.ndarray:
    """(T, 25, 3) a wide, flat thing whose joint 0 lies at ``place``."""
    rng = np.random.default_rng(0)
    thing = np.column_stack([rng.uniform(-0.8, 0.8, 25), rng.uniform(-0.3, 0.0, 25), np.full(25, 0.2)])
    return np.broadcast_to(thing - thing[0] + place, (frames, 25, 3))


def sized(body: np.ndarray, torso: float, shoulders: float) -> np.ndarray:
    """The body with torso and shoulders of other sizes, in metres; its joint 0 stays where it is."""
    body = body.copy()
    body[:, 1], body[:, 20] = (body[:, 0] + [0, part * torso, 0] for part in (0.5, 1))
    body[:, 4], body[:, 8] = (body[:, 20] + [side * shoulders / 2, 0, 0] for side in (-1, 1))
    return body


@pytest.mark.parametrize("build", [None, (0.5, 0.35)])
def test_furniture_seen_before_the_person_is_no_piece_of_the_person(tmp_path, build):
    """Its 8 frames would turn the view of the whole clip, which is taken from where the person first stands."""
    body = person(1, 0.0)
    wide = furniture(body[8, 0] + [0.6, 0, 0.1])
    if build:  # of the person's very size
        body, wide = sized(body, *build), sized(wide, *build)
    clip, counts = read_one(tmp_path, [[(B, wide[t])] if t < 8 else [(A, body[t])] for t in range(100)])
    assert clip.ids == (str(A),) and as_tracked(clip, 0.0, body, list(range(8, 100)))
    assert JOINED not in counts and counts["bodies left out: tracked in fewer than 12 frames"] == 1


@pytest.mark.parametrize(
    ("torso", "shoulders", "same"),
    [(0.5, 0.35, True), (0.6, 0.35, True), (0.5, 0.29, True), (0.64, 0.35, False), (0.5, 0.27, False)],
)
def test_a_new_id_of_another_build_is_someone_else(tmp_path, torso, shoulders, same):
    here, there = sized(person(1, 0.0), 0.5, 0.35), sized(person(1, 0.3), torso, shoulders)
    clip, counts = read_one(tmp_path, [[(A, here[t])] if t < 50 else [(B, there[t])] for t in range(100)])
    assert (clip.ids == (f"{A}+{B}",)) == same and counts[JOINED] == same


@pytest.mark.parametrize(("away", "lost", "same"), [(1.4, 40, 1), (1.6, 40, 0), (2.5, 40, 0), (1.1, 5, 0)])
def test_a_long_loss_does_not_join_people_who_stand_far_apart(tmp_path, away, lost, same):
    here, there = person(1, 0.0, 0.001), person(1, away, 0.001)
    frames = [[(A, here[t])] if t < 40 else [(B, there[t])] if t >= 40 + lost else [] for t in range(100)]
    clip, counts = read_one(tmp_path, frames)
    assert (clip.xyz.shape[1] == 1) == same and counts[JOINED] == same


def test_ghost_bodies_are_left_out_and_counted(tmp_path):
    body, flicker, shelf = person(1, 0.0, 0.1), person(2, 1.0, 2.0), person(3, -1.0, 2.0)
    shelf[..., 0] += np.linspace(-3, 3, 25)
    frames = [[(A, body[t]), (B, shelf[t])] + ([(C, flicker[t])] if t < 11 else []) for t in range(100)]
    clip, counts = read_one(tmp_path, frames)
    assert clip.xyz.shape[1] == 1 and clip.ids == (str(A),)
    np.testing.assert_allclose(clip.xyz[:, 0], body, atol=1e-5)
    assert counts["bodies left out: tracked in fewer than 12 frames"] == 1
    assert counts["bodies left out: wider than a person in most frames"] == 1


def test_an_only_body_is_never_left_out(tmp_path):
    clip, counts = read_one(tmp_path, alone(8))
    assert clip.present.all() and not counts


def test_of_ghosts_only_the_liveliest_is_kept_and_the_others_are_counted(tmp_path):
    calm, lively = person(1, -0.6, 0.02, frames=8), person(2, 0.6, 0.5, frames=8)
    clip, counts = read_one(tmp_path, [[(A, calm[t]), (B, lively[t])] for t in range(8)])
    assert clip.ids == (str(B),)
    assert counts["bodies left out: tracked in fewer than 12 frames"] == 1
    assert counts["clips whose bodies all look like ghosts; the one that moves most was kept"] == 1


def test_a_third_person_is_counted(tmp_path):
    people = [person(i, 1.2 * i - 1.2, 0.1 * (3 - i)) for i in range(3)]
    clip, counts = read_one(tmp_path, [[(A + i, people[i][t]) for i in range(3)] for t in range(100)])
    assert clip.ids == (str(A), str(B)) and counts["bodies left out: more than two people"] == 1
