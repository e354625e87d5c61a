"""PKU-MMD: cutting, names, people in slots, labels, split files, folder layouts, and the peers' defects."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from pku_files import label_rows, skeleton_rows, split_text, two_bodies, walking_body, write_video

from c2vl_lab.data.readers import pku
from c2vl_lab.data.readers.pku_classes import CLASS_IDS, PKU_CLASSES
from c2vl_lab.data.readers.pku_labels import parse_labels, parse_list
from c2vl_lab.data.readers.slots import choose_slots, keep_in_slots
from c2vl_lab.data.readers.sources import PartReading
from c2vl_lab.errors import ConfigError, DataError, MissingError

SHARED = Path(os.environ.get("C2VL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
PART_1 = ("PKU_Skeleton_Renew", "Train_Label_PKU_final")
ONE = two_bodies(walking_body(0, frames=60))


def read_all(root: Path, dataset: str = "pku2", cut: str = "start-1:end"):
    """Everything that the reader makes of a folder, as one reading."""
    options = pku.Options(cut)
    plan = pku.plan(pku.find(root, options, dataset), options, dataset)
    whole = PartReading()
    for part in plan.parts:
        reading = pku.read(part, plan.context)
        whole.clips += reading.clips
        whole.counts += reading.counts
        whole.dropped |= reading.dropped
        whole.faults |= reading.faults
    return plan, whole


def only_clip(root: Path, **options):
    _, reading = read_all(root, **options)
    assert not reading.faults and len(reading.clips) == 1
    return reading.clips[0]


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


def test_a_body_with_broken_joints_counts_as_lost_in_that_frame(tmp_path):
    bodies = two_bodies(walking_body(1, -0.6), walking_body(2, 0.6))
    bodies[10, 0, 3, 1], bodies[20, 1, 0, 0] = np.nan, 1e30
    write_video(tmp_path, "A01N01-L", bodies, [(1, 1, 100)])
    _, reading = read_all(tmp_path)
    clip = reading.clips[0]
    slot = int(clip.xyz[0, 1, 0, 0] < clip.xyz[0, 0, 0, 0])  # the one at the left
    assert list(np.flatnonzero(~clip.present[:, slot])) == [10] and list(
        np.flatnonzero(~clip.present[:, 1 - slot])
    ) == [20]
    assert np.isfinite(clip.xyz).all() and not clip.xyz[10, slot].any()
    assert sum(n for text, n in reading.counts.items() if "not finite" in text) == 2


# ----------------------------------------------------------------------------------------------- labels


def test_labels_beyond_the_video_are_cut_there_or_dropped_by_name(tmp_path):
    rows = [(1, 0, 20), (2, 50, 99), (3, 61, 90), (4, 30, 30), (5, 40, 31), (6, -5, -1)]
    write_video(tmp_path, "A01N01-L", ONE, rows)
    _, reading = read_all(tmp_path)
    assert [(clip.frames[0], clip.frames[-1]) for clip in reading.clips] == [(0, 19), (49, 59)]
    assert list(reading.dropped) == [f"A001N001V001C{i:03d}L{i:03d}" for i in (3, 4, 5, 6)]
    assert set(reading.dropped.values()) == {"its label names no span of the video's frames"}
    assert reading.counts == {"actions whose label reaches over an end of the video, cut there": 2}


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


# ----------------------------------------------------------------------------------------------- folders and archives


def names_of(root: Path, dataset: str = "pku2") -> list[str]:
    return [clip.name for clip in read_all(root, dataset)[1].clips]


@pytest.mark.parametrize(
    "folders", [PART_1, ("skeleton", "label"), ("v2/Data/Skeleton_v2", "v2/x y"), ("train/s", "s")]
)
def test_folders_are_told_apart_by_what_is_in_them(tmp_path, folders):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)], folders)
    assert names_of(tmp_path) == ["A001N001V001C001L001"]


def test_both_parts_may_lie_in_one_folder(tmp_path):
    write_video(tmp_path / "v1", "0002-L", ONE, [(12, 1, 30)], PART_1)
    write_video(tmp_path / "v2", "A01N01-L", ONE, [(1, 1, 30)])
    assert names_of(tmp_path, "pku1") == ["A002N000V001C012L001"]
    assert names_of(tmp_path, "pku2") == ["A001N001V001C001L001"]


def test_one_folder_for_both_kinds_needs_two_suffixes(tmp_path):
    (tmp_path / "A01N01-L.skeleton").write_text(skeleton_rows(ONE))
    (tmp_path / "A01N01-L.label").write_text(label_rows([(1, 1, 30)]))
    assert names_of(tmp_path) == ["A001N001V001C001L001"]


@pytest.mark.parametrize("archives", [("Skeleton.zip", "Label.zip"), ("all.zip", "all.zip")])
def test_zips_are_read_in_place_and_give_the_same_clips(tmp_path, archives):
    write_video(tmp_path / "raw", "A01N01-L", ONE, [(1, 1, 30)])
    (tmp_path / "raw" / "cross_subject_v2.txt").write_text(split_text(["A01N01-L"], []))
    plain = only_clip(tmp_path / "raw")
    zipped = tmp_path / "zipped"
    zipped.mkdir()
    for archive, folder in zip(archives, ("Skeleton", "Label"), strict=True):
        with zipfile.ZipFile(zipped / archive, "a", zipfile.ZIP_DEFLATED) as stream:
            stream.write(tmp_path / "raw" / folder / "A01N01-L.txt", f"{folder}/A01N01-L.txt")
            if folder == "Label":
                stream.write(tmp_path / "raw" / "cross_subject_v2.txt", "Split/cross_subject_v2.txt")
    clip = only_clip(zipped)
    np.testing.assert_array_equal(clip.xyz, plain.xyz)
    assert (clip.name, clip.splits) == (plain.name, plain.splits) and clip.splits == {"xsub": "train"}
    assert clip.source == f"{archives[0]}/Skeleton/A01N01-L.txt, lines 1 to 30"
    assert sorted(path.name for path in zipped.iterdir()) == sorted(set(archives))  # nothing is unpacked


def test_an_unpacked_folder_goes_before_the_zip_that_it_came_from(tmp_path):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)])
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as stream:
        for folder in ("Skeleton", "Label"):
            stream.write(tmp_path / folder / "A01N01-L.txt", f"{folder}/A01N01-L.txt")
        stream.writestr("Split/cross_view_v2.txt", split_text(["A01N01-R"], ["A01N01-L"]))
    clip = only_clip(tmp_path)
    assert clip.source.startswith("Skeleton/") and clip.splits == {"xview": "test"}  # the list is only in the zip


def test_a_damaged_member_is_a_fault_and_a_cut_zip_is_refused(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as stream:
        for video in ("A01N01-L", "A02N01-L"):
            stream.writestr(f"Skeleton/{video}.txt", skeleton_rows(ONE))
            stream.writestr(f"Label/{video}.txt", label_rows([(1, 1, 30)]))
    content = bytearray(path.read_bytes())
    content[content.index(b"Skeleton/A02N01-L.txt") + 50_000] ^= 1
    path.write_bytes(content)
    _, reading = read_all(tmp_path)
    assert [clip.setup for clip in reading.clips] == [1]
    assert "A02N01-L.txt is damaged" in next(iter(reading.faults.values()))
    path.write_bytes(content[:-40])
    with pytest.raises(DataError, match=r"all\.zip: wanted a complete zip"):
        read_all(tmp_path)


def test_the_same_video_in_two_folders_is_refused_with_both_named(tmp_path):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)])
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)], ("normalised", "Label"))
    with pytest.raises(
        DataError, match=r"skeletons of video A01N01-L are both .*Skeleton.*A01N01-L.txt and .*normalised.*A01N01-L.txt"
    ):
        read_all(tmp_path)


def test_one_damaged_file_does_not_change_what_a_folder_is(tmp_path):
    for script in (1, 2, 3):
        write_video(tmp_path, f"A{script:02d}N01-L", ONE, [(1, 1, 30)])
    (tmp_path / "Label" / "A01N01-L.txt").write_text("0.5 " * 150)
    (tmp_path / "Skeleton" / "A02N01-L.txt").write_text("1,1,30,2")
    _, reading = read_all(tmp_path)
    assert [clip.setup for clip in reading.clips] == [3] and len(reading.faults) == 2


@pytest.mark.parametrize("name", ["Label/A01N01-L.txt", "cross_view_v2.txt"])
def test_pipes_and_broken_links_are_refused_and_do_not_hang(tmp_path, name):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)])
    (tmp_path / name).unlink(missing_ok=True)
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes here")
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=f"{name}: wanted a file, found a broken link, a pipe or a device"):
        read_all(tmp_path)


def test_skeletons_may_be_split_over_folders(tmp_path):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)], ("s/train", "l"))
    write_video(tmp_path, "A02N01-L", ONE, [(1, 1, 30)], ("s/test", "l"))
    assert names_of(tmp_path) == ["A001N001V001C001L001", "A002N001V001C001L001"]


def test_what_is_missing_is_said_with_what_was_found(tmp_path):
    with pytest.raises(MissingError, match=r"pku2: wanted skeletons .*150 numbers a row.* found none"):
        read_all(tmp_path)
    (tmp_path / "Skeleton_v2.7z").write_bytes(b"7z")
    with pytest.raises(MissingError, match=r"7z archives cannot be read: unpack Skeleton_v2\.7z there"):
        read_all(tmp_path)
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)])
    (tmp_path / "Label" / "A01N01-L.txt").write_text("0.1 0.2 0.3 0.4 0.5\n")
    with pytest.raises(
        MissingError, match=r"wanted labels .* found .*Label \(5 numbers in the first line of .*A01N01-L.txt\)"
    ):
        read_all(tmp_path)
    with pytest.raises(MissingError, match="wanted skeletons"):
        read_all(tmp_path, "pku1")


def test_circles_of_links_do_not_hang(tmp_path):
    write_video(tmp_path / "raw", "A01N01-L", ONE, [(1, 1, 30)])
    try:
        (tmp_path / "raw" / "again").symlink_to(tmp_path / "raw", target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    assert len(names_of(tmp_path)) == 1


# ----------------------------------------------------------------------------------------------- split files


def test_split_files_decide_the_part_of_each_clip(tmp_path):
    for video in ("0002-L", "0002-M", "0003-L", "0004-L"):
        write_video(tmp_path, video, ONE, [(12, 1, 30)], PART_1)
    (tmp_path / "cross-subject.txt").write_text(split_text(["0002-L", "0002-M", "0999-R"], ["0003-L"]))
    (tmp_path / "cross-view.txt").write_text(split_text(["0002-M"], ["0002-L", "0003-L", "0004-L"]))
    (tmp_path / "cross_subject_v2.txt").write_text(split_text(["A01N01-L"], []))  # the other part's list
    plan, reading = read_all(tmp_path, "pku1")
    assert {clip.name[1:12]: clip.splits for clip in reading.clips} == {
        "002N000V001": {"xsub": "train", "xview": "test"},
        "002N000V002": {"xsub": "train", "xview": "train"},
        "003N000V001": {"xsub": "test", "xview": "test"},
        "004N000V001": {"xview": "test"},
    }
    assert "3 training videos, 1 others; it names 3 of the 4" in plan.notes["split file for xsub"]


def test_a_list_of_training_videos_only_leaves_the_others_to_the_test_part(tmp_path):
    for video in ("A01N01-L", "A02N01-L"):
        write_video(tmp_path, video, ONE, [(1, 1, 30)])
    (tmp_path / "cross_subject_v2.txt").write_text("Training videos:\nA01N01-L\n")
    _, reading = read_all(tmp_path)
    assert [clip.splits for clip in reading.clips] == [{"xsub": "train"}, {"xsub": "test"}]


def test_a_split_file_may_break_its_lines_and_end_with_a_comma():
    text = "Training\nA01N01-L, A01N01-M,\nA01N02-L.txt\n\nTest videos:\nA02N01-L,\n"
    parts = parse_list("x", text, "pku2")
    assert parts == {"A01N01-L": "train", "A01N01-M": "train", "A01N02-L": "train", "A02N01-L": "test"}
    assert parse_list("x", text, "pku1") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("T\nA01N01-L\nV\nA01N01-L\n", "line 4: video A01N01-L is in both parts"),
        ("T\nA01N01-L, A01N0\n", "line 2: wanted names of videos, found 'A01N0' among them"),
        ("T\nA01N01-L\nV\nA02N01-L\nX\nA03N01-L\n", "line 6: wanted two lists"),
        ("Test\nA01N01-L\nTraining\nA02N01-L\n", "line 2: wanted the training videos first, found 'test' above"),
    ],
)
def test_wrong_split_files_are_refused_with_file_and_line(tmp_path, text, message):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)])
    (tmp_path / "cross_view_v2.txt").write_text(text)
    with pytest.raises(DataError, match=f"cross_view_v2.txt, {message}"):
        read_all(tmp_path)


def test_two_different_lists_for_one_protocol_are_refused(tmp_path):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)])
    (tmp_path / "cross_view_v2.txt").write_text(split_text(["A01N01-L"], ["A01N01-R"]))
    (tmp_path / "Split").mkdir()
    (tmp_path / "Split" / "cross-view.txt").write_text(split_text(["A01N01-R"], ["A01N01-L"]))
    with pytest.raises(DataError, match=r"different lists for xview"):
        read_all(tmp_path)


# ----------------------------------------------------------------------------------------------- released sentences


@pytest.mark.real
def test_clip_names_are_those_of_the_released_sentences(tmp_path):
    """Raw files made from the released names (class C and row L of each video) give exactly these names."""
    archive = SHARED / "c2vl-pku-captions" / "pkuv2_language.zip"
    if not archive.is_file():
        pytest.skip(f"{archive} is not here")
    with zipfile.ZipFile(archive) as stream:
        released = set(json.loads(stream.read(stream.namelist()[0])))
    videos: dict[str, dict[int, int]] = defaultdict(dict)
    for name in released:
        script, performer, view, action, row = map(int, re.fullmatch(r"A(\d+)N(\d+)V(\d+)C(\d+)L(\d+)", name).groups())
        videos[f"A{script:02d}N{performer:02d}-{'LMR'[view - 1]}"][row] = action
    assert len(videos) == 1009 and {i for rows in videos.values() for i in rows.values()} == set(CLASS_IDS["pku2"])
    chosen = sorted(videos)[::100]
    for video in chosen:
        rows = [(videos[video][row], 5 * row, 5 * row + 5) for row in sorted(videos[video])]
        write_video(tmp_path, video, ONE, rows)
    names = names_of(tmp_path)
    wanted = {name for name in released if any(_video_of(name) == video for video in chosen)}
    assert set(names) == wanted and len(names) == len(wanted) > 50


def _video_of(name: str) -> str:
    return f"A{name[2:4]}N{name[6:8]}-{'LMR'[int(name[9:12]) - 1]}"
