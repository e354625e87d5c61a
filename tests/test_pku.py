"""PKU-MMD: cutting, names, people in slots, labels, damaged rows, and the peers' defects."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from pku_files import only_clip, read_all, two_bodies, walking_body, write_video

from c2vl_lab.data.readers import pku
from c2vl_lab.data.readers.pku_classes import CLASS_IDS, PKU_CLASSES
from c2vl_lab.data.readers.pku_labels import parse_labels
from c2vl_lab.data.readers.slots import choose_slots, keep_in_slots
from c2vl_lab.errors import ConfigError

PART_1 = ("PKU_Skeleton_Renew", "Train_Label_PKU_final")
ONE = two_bodies(walking_body(0, frames=60))


# ----------------------------------------------------------------------------------------------- cutting and naming


def test_an_action_is_cut_from_its_frames_and_named_as_in_the_released_sentences(tmp_path):
    body = walking_body(0, frames=300)
    write_video(tmp_path, "A13N08-M", two_bodies(body), [(1, 1, 30), (48, 101, 180)])
    plan, reading = read_all(tmp_path)
    clip = reading.clips[1]
    assert [c.name for c in reading.clips] == ["A013N008V002C001L001", "A013N008V002C048L002"]
    assert (clip.setup, clip.subject, clip.camera, clip.trial) == (13, 8, 2, 2)
    assert plan.classes[clip.label] == "wear jacket" and plan.class_ids[clip.label] == 48
    assert list(clip.frames) == list(range(100, 180)) and clip.frames.dtype == np.int32
    np.testing.assert_allclose(clip.xyz[:, 0], body[100:180], atol=1e-6)
    assert clip.xyz.dtype == np.float32 and clip.xyz.shape[1] == 1 and clip.present.all()
    assert clip.source == "Skeleton/A13N08-M.txt, lines 101 to 180"


def test_the_two_ways_of_cutting_differ_by_exactly_one_frame(tmp_path):
    """The peers' "same" data sets: AimCLR takes both frames of a label, CMD and MAMP leave out the first."""
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 20), (2, 30, 60)])
    _, ours = read_all(tmp_path)
    plan, theirs = read_all(tmp_path, cut="start:end")
    for a, b in zip(ours.clips, theirs.clips, strict=True):
        assert list(a.frames[1:]) == list(b.frames) and len(a.xyz) == len(b.xyz) + 1
        np.testing.assert_array_equal(a.xyz[1:], b.xyz)
    assert [len(clip.xyz) for clip in ours.clips] == [20, 31]
    assert plan.notes["cut"].startswith("start:end") and pku.Options().cut == "start-1:end"


def test_an_unknown_cut_names_the_near_miss(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'start:end'"):
        pku.find(tmp_path, pku.Options("start:ende"), "pku2")


def test_long_actions_are_not_cut_at_300_frames(tmp_path):
    """Defect 7: CMD cuts the clip at 300 frames but keeps the longer count, so its crops run into nothing."""
    write_video(tmp_path, "A01N01-L", two_bodies(walking_body(0, frames=520)), [(30, 11, 510)])
    clip = only_clip(tmp_path)
    assert len(clip.xyz) == len(clip.frames) == 500 and clip.frames[-1] == 509
    assert clip.present.all() and clip.xyz[-1].any()


def test_part_1_has_video_numbers_instead_of_scripts_and_performers(tmp_path):
    write_video(tmp_path, "0002-L", ONE, [(12, 1, 30)], PART_1)
    write_video(tmp_path, "1076-R", ONE, [(51, 1, 30)], PART_1)
    plan, reading = read_all(tmp_path, "pku1")
    assert [clip.name for clip in reading.clips] == ["A002N000V001C012L001", "A1076N000V003C051L001"]
    assert [(clip.setup, clip.subject, clip.camera) for clip in reading.clips] == [(2, 0, 1), (1076, 0, 3)]
    assert plan.class_ids == list(range(1, 52)) and plan.classes[reading.clips[0].label] == PKU_CLASSES[11]


def test_part_2_has_41_labels_with_their_published_ids(tmp_path):
    write_video(tmp_path, "A01N01-L", ONE, [])
    (tmp_path / "Label" / "A01N01-L.txt").write_text("13,1,30,2\n\n51,31,60,1\n")
    plan, reading = read_all(tmp_path)
    assert [clip.trial for clip in reading.clips] == [1, 2]  # rows, not lines
    assert len(plan.classes) == len(plan.class_ids) == 41 and 12 not in plan.class_ids
    assert [clip.label for clip in reading.clips] == [11, 40]
    assert [plan.classes[clip.label] for clip in reading.clips] == ["hand waving", "writing"]


def test_parts_hold_eight_videos_in_name_order(tmp_path):
    for number in range(1, 11):
        write_video(tmp_path, f"A{number:02d}N01-L", ONE, [(1, 1, 30)])
    plan, reading = read_all(tmp_path)
    assert [len(part.members) for part in plan.parts] == [8, 2]
    assert [clip.setup for clip in reading.clips] == list(range(1, 11))


# ----------------------------------------------------------------------------------------------- people in slots


def test_people_keep_their_slots_when_the_recorder_exchanges_them(tmp_path):
    """Peers take the bodies in file order (defect 2): one person would be in slot 0 for half of the clip."""
    first, second = walking_body(1, -0.6, 120, 0.2), walking_body(2, 0.6, 120)
    bodies = two_bodies(first, second)
    bodies[50:90] = bodies[50:90, ::-1]
    write_video(tmp_path, "0002-L", bodies, [(14, 1, 120)], PART_1)
    _, reading = read_all(tmp_path, "pku1")
    np.testing.assert_allclose(reading.clips[0].xyz, two_bodies(first, second), atol=1e-6)
    assert reading.counts["times the recorder exchanged the two bodies, put right"] == 2


def test_the_one_who_stays_keeps_the_slot_when_the_other_is_lost(tmp_path):
    """The recorder writes a lone body first, whoever it is; a loss keeps its place in time."""
    first, second = walking_body(1, -0.6, 120, 0.2), walking_body(2, 0.6, 120)
    bodies = two_bodies(first, second)
    bodies[40:80, 0], bodies[40:80, 1] = second[40:80], 0  # the first is lost, the second moves up
    bodies[100:, 1] = 0
    write_video(tmp_path, "0002-L", bodies, [(14, 1, 120)], PART_1)
    clip = only_clip(tmp_path, dataset="pku1")
    assert list(np.flatnonzero(~clip.present[:, 0])) == list(range(40, 80))
    np.testing.assert_allclose(clip.xyz[80:, 0], first[80:], atol=1e-6)
    np.testing.assert_allclose(clip.xyz[:100, 1], second[:100], atol=1e-6)
    assert not clip.present[100:, 1].any() and not clip.xyz[40:80, 0].any()


def test_slots_follow_two_people_through_random_exchanges_and_losses():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        people = two_bodies(walking_body(seed, -0.7, 400), walking_body(seed + 99, 0.7, 400)).astype(np.float32)
        there = np.ones((400, 2), bool)
        for start in rng.integers(1, 380, 12):
            there[start : start + rng.integers(1, 20), rng.integers(2)] = False
        raw, seen = np.zeros_like(people), np.zeros_like(there)
        turned = np.cumsum(rng.random(400) < 0.05) % 2
        turned[0] = 0
        for t in range(400):
            order = [body for body in ((0, 1), (1, 0))[turned[t]] if there[t, body]]
            for column, body in enumerate(order):
                raw[t, column], seen[t, column] = people[t, body], True
        xyz, present, _ = keep_in_slots(raw, seen)
        np.testing.assert_array_equal(present, there)
        np.testing.assert_array_equal(xyz, people * there[..., None, None])


def test_people_who_pass_one_another_are_not_exchanged():
    way = np.linspace(-1, 1, 90)[:, None, None] * [1.0, 0, 0]
    first, second = walking_body(1, 0, 90, 0.02) + way, walking_body(2, 0, 90, 0.02) - way + [0, 0, 0.4]
    bodies = two_bodies(first, second)
    xyz, _, swaps = keep_in_slots(bodies, np.ones((90, 2), bool))
    assert swaps == 0 and xyz is bodies


def test_a_lone_person_who_turns_up_elsewhere_stays_in_the_slot():
    body = walking_body(1, -1.0, 90)
    body[40:] += [2.0, 0, 0]
    bodies, present = two_bodies(body), np.zeros((90, 2), bool)
    present[:, 0] = True
    present[30:40] = False
    assert keep_in_slots(bodies, present)[2] == 0
    bodies[40:], present[40:] = bodies[40:, ::-1], [False, True]  # written as the second now
    xyz, seen, _ = keep_in_slots(bodies, present)
    np.testing.assert_array_equal(xyz[:, 0], body)
    assert list(np.flatnonzero(~seen[:, 0])) == list(range(30, 40)) and not seen[:, 1].any()


def test_who_moves_more_comes_first_and_ghosts_are_left_out_and_counted():
    calm, lively, shelf = walking_body(1, -1, 60, 0.01), walking_body(2, 1, 60, 0.3), walking_body(3, 0, 60, 0.3)
    shelf[..., 0] += np.linspace(-3, 3, 25)
    everywhere, counts = np.ones((60, 2), bool), Counter()
    assert choose_slots(two_bodies(calm, lively), everywhere, counts) == [1, 0] and not counts
    assert choose_slots(two_bodies(calm, shelf), everywhere, counts) == [0]
    flicker = everywhere.copy()
    flicker[11:, 1] = False
    assert choose_slots(two_bodies(calm, lively), flicker, counts) == [0]
    assert sum(counts.values()) == 2 and all("left out" in text for text in counts)
    assert choose_slots(two_bodies(shelf), everywhere & [True, False], counts) == [0]  # never the only body
    assert sum(counts.values()) == 2
    assert choose_slots(two_bodies(calm, lively)[:8], everywhere[:8], Counter()) == [1, 0]  # a clip of 8 frames


def test_ghosts_are_left_out_of_the_clips_that_are_read(tmp_path):
    body, shelf = walking_body(1, 0.0), walking_body(3, 1.0, movement=0.3)
    shelf[..., 0] += np.linspace(-3, 3, 25)
    flicker = np.zeros_like(body)
    flicker[60:65] = walking_body(2, -1.0)[60:65]
    write_video(tmp_path, "A01N01-L", two_bodies(body, shelf), [(1, 1, 50)])
    write_video(tmp_path, "A02N01-L", two_bodies(body, flicker), [(1, 51, 100)])
    _, reading = read_all(tmp_path)
    for clip, part in zip(reading.clips, (slice(0, 50), slice(50, 100)), strict=True):
        np.testing.assert_allclose(clip.xyz, body[part, None], atol=1e-6)
    assert reading.counts == {
        "bodies left out: wider than a person in most frames": 1,
        "bodies left out: tracked in fewer than 12 frames": 1,
    }


def test_single_broken_joints_are_filled_and_a_body_with_few_joints_is_lost_in_that_frame(tmp_path):
    left, right = walking_body(1, -0.6), walking_body(2, 0.6)
    bodies = two_bodies(left, right)
    bodies[10, 0, 3, 1], bodies[20, 1, 0, 0], bodies[30, 0, :13] = np.nan, 1e30, np.inf
    write_video(tmp_path, "A01N01-L", bodies, [(1, 1, 100)])
    _, reading = read_all(tmp_path)
    clip = reading.clips[0]
    slot = int(clip.xyz[0, 1, 0, 0] < clip.xyz[0, 0, 0, 0])  # the one at the left
    left[10, 3], right[20, 0], left[30] = (left[9, 3] + left[11, 3]) / 2, (right[19, 0] + right[21, 0]) / 2, 0
    np.testing.assert_allclose(clip.xyz[:, slot], left, atol=1e-5)
    np.testing.assert_allclose(clip.xyz[:, 1 - slot], right, atol=1e-5)
    assert np.argwhere(~clip.present).tolist() == [[30, slot]]
    assert reading.counts == {
        "joints filled: not a number or over 100 m away": 2,
        "body frames left out: fewer than half of the joints are known": 1,
    }


def test_broken_joints_do_not_hide_that_the_bodies_changed_places(tmp_path):
    left, right = walking_body(1, -0.6), walking_body(2, 0.6)
    bodies = two_bodies(left, right)
    bodies[40:, [0, 1]] = bodies[40:, [1, 0]]
    bodies[35:45, :, :6] = np.nan
    write_video(tmp_path, "A01N01-L", bodies, [(1, 1, 100)])
    _, reading = read_all(tmp_path)
    clip = reading.clips[0]
    slot = int(clip.xyz[0, 1, 0, 0] < clip.xyz[0, 0, 0, 0])
    np.testing.assert_allclose(clip.xyz[:, slot, 6:], left[:, 6:], atol=1e-5)
    assert np.isfinite(clip.xyz).all() and clip.present.all()
    assert (clip.xyz[:, slot, :6, 0] < clip.xyz[:, 1 - slot, :6, 0]).all()  # filled from the same person


# ----------------------------------------------------------------------------------------------- labels


def test_labels_beyond_the_video_are_cut_there_or_dropped_by_name(tmp_path):
    rows = [(1, 0, 20), (2, 50, 99), (3, 61, 90), (4, 0, 0), (5, 40, 31), (6, -5, -1)]
    write_video(tmp_path, "A01N01-L", ONE, rows)
    _, reading = read_all(tmp_path)
    assert [(clip.frames[0], clip.frames[-1]) for clip in reading.clips] == [(0, 19), (49, 59)]
    assert list(reading.dropped) == [f"A001N001V001C{i:03d}L{i:03d}" for i in (3, 4, 5, 6)]
    assert set(reading.dropped.values()) == {"its label names no span of the video's frames"}
    assert reading.counts == {"actions whose label reaches over an end of the video, cut there": 2}


def test_a_label_that_begins_and_ends_in_one_frame_names_that_frame(tmp_path):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 1), (2, 30, 30), (3, 60, 60)])
    assert [list(clip.frames) for clip in read_all(tmp_path)[1].clips] == [[0], [29], [59]]
    _, other = read_all(tmp_path, cut="start:end")  # leaves out the first frame, which is the only one
    assert not other.clips and set(other.dropped.values()) == {"its label names no span of the video's frames"}


def test_an_action_in_which_nobody_is_seen_is_dropped_by_name(tmp_path):
    bodies = ONE.copy()
    bodies[20:40] = 0
    write_video(tmp_path, "A01N01-L", bodies, [(1, 21, 40), (2, 15, 50)])
    _, reading = read_all(tmp_path)
    assert reading.dropped == {"A001N001V001C001L001": "no body in any frame"}
    assert len(reading.clips[0].xyz) == 36 and reading.clips[0].present.sum() == 16  # the gap stays


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1,20,2\n12,30,40,2\n", r"Label.*A01N01-L.txt, line 2: action 12 is none of the 41"),
        ("52,1,20,2\n", "line 1: action 52 is none of the 41"),
        ("1,1,20,2\n\n1,two,40,2\n", "line 3: wanted whole numbers action,start,end,confidence, found '1,two,40,2'"),
        ("1,1,20,2\n1,30\n", "line 2: wanted whole numbers"),
        ("1,1,20.5,2\n", "line 1: wanted whole numbers"),
        ("1,1," + "9" * 5000 + ",2\n", "line 1: wanted whole numbers"),
        ("1,1,60,2\n" * 1001, "line 1001: more than 1000 rows"),
        ("1,1,60,2\n" * 9, "its actions last 531 frames, the video 60"),
    ],
)
def test_wrong_labels_are_a_fault_with_file_and_line(tmp_path, text, message):
    for video in ("A01N01-L", "A02N01-L"):
        write_video(tmp_path, video, ONE, [(1, 1, 30)])
    (tmp_path / "Label" / "A01N01-L.txt").write_text(text)
    _, reading = read_all(tmp_path)
    assert len(reading.faults) == 1 and re.search(message, next(iter(reading.faults.values())))
    assert [clip.setup for clip in reading.clips] == [2]  # the others are read all the same


def test_label_rows_need_no_confidence_and_number_the_clips():
    rows = parse_labels("x", b"\xef\xbb\xbf1, 1, 20\r\n\r\n2 30 40.0 1\r\n", CLASS_IDS["pku2"])
    assert [(row.row, row.line, row.action, row.start, row.end) for row in rows] == [
        (1, 1, 1, 1, 20),
        (2, 3, 2, 30, 40),
    ]


def test_videos_without_labels_and_labels_without_videos_are_dropped_by_name(tmp_path):
    for video in ("A01N01-L", "A02N01-L", "A03N01-L"):
        write_video(tmp_path, video, ONE, [(1, 1, 30)])
    (tmp_path / "Label" / "A01N01-L.txt").unlink()
    (tmp_path / "Skeleton" / "A03N01-L.txt").unlink()
    _, reading = read_all(tmp_path)
    assert [clip.setup for clip in reading.clips] == [2]
    assert reading.dropped == {"A01N01-L": "video with no label file", "A03N01-L": "video with no skeleton file"}


# ----------------------------------------------------------------------------------------------- damaged skeletons


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [*lines[:30], lines[30].replace("3.", "x.", 1), *lines[31:]], r"line 31: .*could not convert"),
        (
            lambda lines: [*lines[:30], lines[30].rsplit(" ", 1)[0], *lines[31:]],
            "line 31: wanted 150 numbers, found 149",
        ),
        (lambda lines: [*lines[:30], lines[30] + " 1.0", *lines[31:]], "line 31: wanted 150 numbers, found 151"),
        (lambda lines: [*lines[:30], "", *lines[31:]], "line 31: wanted 150 numbers, found 0"),
        (lambda lines: [*lines[:-1], lines[-1][:70]], r"line 60: wanted 150 numbers.* cut: fetch it again"),
        (lambda lines: [*lines[:30], "1 " * 99999, *lines[31:]], "line 31: wanted 150 numbers, found a line of over"),
        (lambda lines: [], "an empty file"),
        (lambda lines: ["\n" * 1_000_001 + lines[0]], "found 1000002 lines"),
    ],
)
def test_wrong_rows_are_a_fault_with_file_and_line(tmp_path, damage, message):
    for video in ("A01N01-L", "A02N01-L"):
        write_video(tmp_path, video, ONE, [(1, 1, 30)])
    path = tmp_path / "Skeleton" / "A02N01-L.txt"
    path.write_text("\n".join(damage(path.read_text().rstrip().split("\n"))))
    _, reading = read_all(tmp_path)
    assert list(reading.faults) == [str(path)] and re.search(message, reading.faults[str(path)])
    assert [clip.setup for clip in reading.clips] == [1]


def test_a_file_far_larger_than_any_published_one_is_not_read(tmp_path, monkeypatch):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)])
    monkeypatch.setattr(pku, "VIDEO_LIMIT", 1000)
    _, reading = read_all(tmp_path)
    assert "wanted at most 1000 bytes" in next(iter(reading.faults.values()))


def test_rows_may_be_separated_by_commas_and_end_as_on_windows(tmp_path):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 60)])
    plain = only_clip(tmp_path)
    path = tmp_path / "Skeleton" / "A01N01-L.txt"
    path.write_bytes(path.read_bytes().replace(b"\n ", b"\n").strip().replace(b" ", b",").replace(b"\n", b"\r\n"))
    np.testing.assert_array_equal(only_clip(tmp_path).xyz, plain.xyz)
