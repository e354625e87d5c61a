"""NTU RGB+D from its raw files: the text, the body slots, what is left out and why, and what is absent."""

from __future__ import annotations

import itertools
import pickle
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ntu_files import Bodies, color_places, joint_states, skeleton_text, standing_body, write_skeleton_file

from c2vl_lab.data.protocols import NTU_SUBJECTS, RULES
from c2vl_lab.data.readers import ntu, ntu_sources, ntu_text
from c2vl_lab.data.readers.ntu_inventory import absent_names, inventory
from c2vl_lab.data.readers.ntu_missing import missing_names
from c2vl_lab.data.readers.ntu_text import Skeleton, parse_skeleton
from c2vl_lab.data.readers.sources import PartReading
from c2vl_lab.errors import ConfigError, DataError, MissingError

A, B, C, D = (72057594037931101 + i for i in range(4))  # IDs that a float cannot tell apart
NAME = "S001C002P003R002A013"


def person(seed: int, x: float, movement: float = 0.1, frames: int = 100) -> np.ndarray:
    return standing_body(np.random.default_rng(seed), x, movement, frames)


def alone(frames: int = 20, seed: int = 1) -> list[Bodies]:
    return [[(A, joints)] for joints in person(seed, 0.0, frames=frames)]


def read_all(folder: Path, dataset: str = "ntu60", **options) -> PartReading:
    """All parts of a folder's recordings in one reading."""
    settings = ntu.Options(**options)
    plan = ntu.plan(ntu.find(folder, settings, dataset=dataset), settings, dataset=dataset)
    whole = PartReading()
    for part in plan.parts:
        reading = ntu.read(part, plan.context)
        whole.clips += reading.clips
        whole.counts.update(reading.counts)
        whole.dropped |= reading.dropped
        whole.faults |= reading.faults
        whole.files += reading.files
        whole.bytes += reading.bytes
    return whole


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


# ---- the text


def plain_read(data: bytes) -> list[tuple[int, str, list[list[float]]]]:
    """A slow reader to compare with: (frame, body ID, 25 lines of 12 numbers) of each body, line by line."""
    lines = iter(data.decode().split("\n"))
    rows = []
    for frame in range(int(next(lines))):
        for _ in range(int(next(lines))):
            body = next(lines).split()[0]
            joints = [[float(word) for word in next(lines).split()] for _ in range(int(next(lines)))]
            rows.append((frame, body, joints))
    return rows


def assert_as_plain(skeleton: Skeleton, data: bytes) -> None:
    rows = plain_read(data)
    values = np.array([joints for *_, joints in rows]).astype(np.float32)
    assert [(frame, str(skeleton.ids[body])) for frame, body in zip(skeleton.frame, skeleton.body, strict=True)] == [
        (frame, body) for frame, body, _ in rows
    ]
    for found, wanted in ((skeleton.xyz, values[..., :3]), (skeleton.color, values[..., 5:7])):
        assert found.dtype == np.float32 and found.shape == wanted.shape
        assert np.array_equal(np.isnan(found), np.isnan(wanted))
        np.testing.assert_array_max_ulp(np.nan_to_num(found), np.nan_to_num(wanted), maxulp=1)
    assert np.array_equal(skeleton.state, values[..., 11]) and skeleton.state.dtype == np.uint8


NUMBERS = ["0", "-0", "1", "-2.5", "1e-07", "-7.450581E-09", "3.402823e+38", "1E+2", "0.1234567", "123.45678901234567"]


def odd_numbers(seed: int) -> bytes:
    """Two frames of two bodies whose values are written in every way that occurs."""
    rng = np.random.default_rng(seed)
    lines = ["2"]
    for body in (A, B, B, A):
        if len(lines) in (1, 1 + 1 + 2 * 27):
            lines.append("2")
        lines += [f"{body} 0 1 1 1 1 0 -0.02 NaN 2", "25"]
        for _ in range(25):
            values = [f"{v:.7g}" for v in rng.normal(0, 10.0 ** rng.integers(-9, 4), 11)]
            values[rng.integers(11)] = str(rng.choice(NUMBERS))
            lines.append(" ".join([*values, str(rng.integers(3))]))
    return "\r\n".join([*lines, ""]).encode()


SPELLINGS = {
    "as published": lambda text: text,
    "other line ends": lambda text: text.replace(b"\r\n", b"\n"),
    "no line end at the end": lambda text: text.rstrip(),
    "blank lines at the end": lambda text: text + b"\r\n \r\n",
    "trailing blanks": lambda text: text.replace(b"\r\n", b"  \r\n"),
    "two blanks": lambda text: text.replace(b" ", b"  ", 400),
    "tabs": lambda text: text.replace(b" ", b"\t"),
    "leading blanks": lambda text: text.replace(b"\n", b"\n  "),
    "plus signs": lambda text: text.replace(b" 0.", b" +0."),
    "states with a point": lambda text: text.replace(b" 2\r\n", b" 2.0\r\n"),
    "NaN and infinity": lambda text: text.replace(b" 1e-07 ", b" NaN ").replace(b" 1E+2 ", b" -inf "),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("seed", range(3))
def test_the_text_is_read_as_a_plain_reader_does(spelling, seed):
    data = SPELLINGS[spelling](odd_numbers(seed))
    assert_as_plain(parse_skeleton("x", data), data)


def test_regular_files_never_take_the_slow_path(monkeypatch):
    """Otherwise the reader were right, and as slow as the peers'."""

    def slow(*_):
        raise AssertionError("a line was read by itself")

    monkeypatch.setattr(ntu_text, "_joint_line", slow)
    for data in (odd_numbers(0), SPELLINGS["other line ends"](odd_numbers(1)), skeleton_text(alone()).encode()):
        assert_as_plain(parse_skeleton("x", data), data)


def test_frames_without_bodies_and_changing_orders_are_kept_as_they_are():
    one, two = person(1, -0.5, frames=4), person(2, 0.5, frames=4)
    data = skeleton_text([[], [(B, two[1]), (A, one[1])], [(A, one[2])], []]).encode()
    skeleton = parse_skeleton("x", data)
    assert_as_plain(skeleton, data)
    assert skeleton.frames == 4 and skeleton.ids == (B, A) and list(skeleton.frame) == [1, 1, 2]


def with_line(text: bytes, number: int, new: bytes) -> bytes:
    lines = text.split(b"\r\n")
    return b"\r\n".join([*lines[: number - 1], new, *lines[number:]])


GOOD = odd_numbers(0)
JOINT = b"0.1 0.2 3 1 1 1 1 0 0 0 0 2"
WRONG = {
    "empty": (b"", r"line 1: wanted the number of frames, found ''"),
    "binary": (bytes(range(256)) * 40, r"line 1: wanted the number of frames"),
    "zeros": (bytes(100_000), r"line 1: wanted the number of frames"),
    "frames negative": (with_line(GOOD, 1, b"-2"), r"line 1: wanted the number of frames, found '-2'"),
    "frames absurd": (with_line(GOOD, 1, b"1000000000"), r"line 1: wanted at most 5000 frames, found 1000000000"),
    "frames endless": (with_line(GOOD, 1, b"9" * 50_000), r"line 1: wanted the number of frames, found '9999"),
    "frames too many": (with_line(GOOD, 1, b"3"), r"wanted the number of bodies in frame 2 of 3 after line 111"),
    "frames too few": (with_line(GOOD, 1, b"1"), r"line 57: wanted the end after 1 frames, found more text"),
    "frames 1_0": (with_line(GOOD, 1, b"1_0"), r"line 1: wanted the number of frames, found '1_0'"),
    "bodies absurd": (with_line(GOOD, 2, b"1000000"), r"line 2: wanted 0 to 6 bodies, found 1000000"),
    "bodies negative": (with_line(GOOD, 2, b"-1"), r"line 2: wanted the number of bodies in frame 0 of 2, found '-1'"),
    "a body missing": (with_line(GOOD, 2, b"1"), r"line 30: wanted the number of bodies in frame 1 of 2, found '7205"),
    "body line": (with_line(GOOD, 3, b"1 2 3"), r"line 3: wanted 10 numbers of a body, its ID first, found '1 2 3'"),
    "body ID": (with_line(GOOD, 3, b"-7 0 1 1 1 1 0 0 0 2"), r"line 3: wanted 10 numbers of a body"),
    "body ID endless": (with_line(GOOD, 3, b"7" * 99 + b" 0 1 1 1 1 0 0 0 2"), r"line 3: wanted 10 numbers"),
    "20 joints": (with_line(GOOD, 4, b"20"), r"line 4: wanted 25 joints, found 20"),
    "many joints": (with_line(GOOD, 4, b"1000000000"), r"line 4: wanted 25 joints, found 1000000000"),
    "11 numbers": (with_line(GOOD, 9, JOINT[4:]), r"line 9: wanted 12 numbers of a joint, found 11"),
    "13 numbers": (with_line(GOOD, 9, JOINT + b" 1"), r"line 9: wanted 12 numbers of a joint, found 13"),
    "no numbers": (with_line(GOOD, 9, b""), r"line 9: wanted 12 numbers of a joint, found 0"),
    "word": (with_line(GOOD, 9, JOINT.replace(b"3", b"three")), r"line 9: wanted 12 numbers .*found '0.1 0.2 three"),
    "word not kept": (with_line(GOOD, 9, JOINT.replace(b" 0 0 0 0 ", b" 0 0 x 0 ")), r"line 9: wanted 12 numbers"),
    "two points": (with_line(GOOD, 9, JOINT.replace(b"0.1", b"0.1.1")), r"line 9: wanted 12 numbers of a joint, found"),
    "1_0": (
        with_line(GOOD, 9, JOINT.replace(b"3", b"1_0")),
        r"line 9: wanted 12 numbers .*found '0.1 0.2 1_",
    ),
    "comma": (with_line(GOOD, 9, JOINT.replace(b"0.1", b"0,1")), r"line 9: wanted 12 numbers of a joint, found '0,1"),
    "state 3": (with_line(GOOD, 9, JOINT[:-1] + b"3"), r"line 9: wanted a tracking state of 0, 1 or 2 .*found 3"),
    "state NaN": (with_line(GOOD, 9, JOINT[:-1] + b"nan"), r"line 9: wanted a tracking state of 0, 1 or 2 .*found nan"),
    "huge joint line": (with_line(GOOD, 9, b"1 " * 500_000), r"line 9: wanted at most 2000 characters, found 10000"),
    "huge body line": (with_line(GOOD, 3, b"1 " * 500_000), r"line 3: wanted at most 2000 characters, found 10000"),
    "shifted": (
        with_line(with_line(GOOD, 9, JOINT[4:]), 10, JOINT + b" 2"),
        r"line 9: wanted 12 numbers of a joint, found 11",
    ),
    "too many lines": (b"1\n" + b"0\n" * 500_000, r"line 165: wanted the end after 1 frames, found more text"),
    "one line end only": (GOOD.replace(b"\r\n", b"\r"), r"line 1: wanted the number of frames"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_text_is_one_sentence_with_its_line(case):
    data, sentence = WRONG[case]
    tracemalloc.start()
    with pytest.raises(DataError, match=rf"^file{sentence.join(('(: |, )', ''))}") as caught:
        parse_skeleton("file", data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(caught.value).isprintable() and len(str(caught.value)) < 250
    assert peak < 20e6  # bytes: what a file claims is not what is taken


def test_wherever_a_file_is_cut_it_is_refused():
    end = len(GOOD.rstrip())
    for length in [*range(0, end, 97), end - 1]:
        with pytest.raises(DataError, match=r"^x(: |, line )"):
            parse_skeleton("x", GOOD[:length])


def test_a_file_of_countless_ids_is_refused():
    """Following them would take hours; no recording has so many."""
    joints = person(1, 0.0, frames=1)[0]
    data = skeleton_text([[(A + 6 * t + i, joints) for i in range(6)] for t in range(20)]).encode()
    with pytest.raises(DataError, match="x: wanted at most 100 different body IDs, found 120"):
        parse_skeleton("x", data)


# ---- what a clip holds


def test_the_file_name_gives_setup_camera_subject_trial_and_label(tmp_path):
    clip, _ = read_one(tmp_path, alone())
    assert (clip.name, clip.setup, clip.camera, clip.subject, clip.trial, clip.label) == (NAME, 1, 2, 3, 2, 12)
    assert clip.source == str(tmp_path / f"{NAME}.skeleton") and clip.ids == (str(A),)


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


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("nan", "a joint is not a number"),
        ("-inf", "a joint is not a number"),
        ("1e39", "a joint is not a number"),
        ("-1e5", "a joint is over 100 m away"),
    ],
)
def test_a_body_frame_that_is_no_place_is_a_gap_in_its_place(tmp_path, bad, why):
    body = person(1, 0.0, frames=20)
    lines = skeleton_text([[(A, joints)] for joints in body]).splitlines()
    number = 1 + 5 * 28 + 3 + 12  # joint 12 of frame 5
    lines[number] = bad + lines[number][lines[number].index(" ") :]
    (tmp_path / f"{NAME}.skeleton").write_text("\n".join(lines))
    reading = read_all(tmp_path)
    clip = reading.clips[0]
    assert list(np.flatnonzero(~clip.present[:, 0])) == [5] and np.isfinite(clip.xyz).all() and not clip.xyz[5].any()
    np.testing.assert_allclose(clip.xyz[6:, 0], body[6:], atol=1e-5)
    assert reading.counts[f"body frames left out: {why}"] == 1 and not reading.faults


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


# ---- defects 1 to 3 of the peers (field.md, section 4), and body slots


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
    clip, _ = read_one(tmp_path, frames)
    assert as_tracked(clip, -0.6, first, list(range(30, 80))) and as_tracked(clip, 0.6, second, list(range(100)))


def test_the_person_who_moves_more_comes_first(tmp_path):
    calm, lively = person(1, -0.6, 0.02), person(2, 0.6, 0.5)
    clip, _ = read_one(tmp_path, [[(A, calm[t]), (B, lively[t])] for t in range(100)])
    np.testing.assert_allclose(clip.xyz[:, 0], lively, atol=1e-5)
    assert clip.ids == (str(B), str(A))


JOINED = "body IDs joined to one person: lost and found again"


def test_a_new_id_after_a_loss_at_the_same_place_is_the_same_person(tmp_path):
    body, other = person(1, -0.8, 0.2), person(2, 0.8, 0.1)
    frames = [([(A if t < 40 else C, body[t])] if not 40 <= t < 50 else []) + [(B, other[t])] for t in range(100)]
    clip, counts = read_one(tmp_path, frames)
    assert clip.xyz.shape[1] == 2 and as_tracked(clip, -0.8, body, [*range(40), *range(50, 100)])
    assert clip.ids == (f"{A}+{C}", str(B)) and counts[JOINED] == 1


def test_short_pieces_of_a_person_are_no_ghosts(tmp_path):
    """In a hug the recorder may lose a person every few frames; nothing of the person is thrown away."""
    body, other = person(1, -0.8, 0.2), person(2, 0.8, 0.1)
    frames = [[(A + 10 + t // 8, body[t]), (B, other[t])] for t in range(100)]
    clip, counts = read_one(tmp_path, frames)
    assert as_tracked(clip, -0.8, body, list(range(100))) and counts[JOINED] == 12
    assert not any("left out" in key for key in counts)


def test_two_people_lost_at_once_find_their_own_slots(tmp_path):
    """The first new ID would fit either; the other then decides."""
    left, right = person(1, -0.3, 0.02), person(2, 0.3, 0.01)
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


# ---- what is read, what is left out


def test_a_recording_without_any_body_is_dropped_with_its_reason(tmp_path):
    write_skeleton_file(tmp_path / "S001C001P001R001A002.skeleton", [[], []])
    write_skeleton_file(tmp_path / "S001C001P001R001A003.skeleton", [[(A, np.full((25, 3), 1e6))]])
    read_one(tmp_path, alone())
    reading = read_all(tmp_path)
    assert [clip.name for clip in reading.clips] == [NAME] and reading.files == 3
    assert reading.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert reading.dropped == {
        "S001C001P001R001A002": "no body in any frame",
        "S001C001P001R001A003": "no body frame that can be used",
    }


def test_the_authors_missing_list_is_applied_by_name(tmp_path):
    listed = "S001C002P005R002A008"
    assert listed in missing_names(60)
    for name in (NAME, listed, "S001C001P001R001A001"):
        write_skeleton_file(tmp_path / "deep" / f"{name}.skeleton", alone())
    (tmp_path / "missing.txt").write_text("Samples to leave out, of RGB+D 60:\nS001C001P001R001A001.skeleton\n")
    reading = read_all(tmp_path)
    assert [clip.name for clip in reading.clips] == [NAME] and reading.files == 1
    assert reading.dropped == {
        listed: "without a usable skeleton, by the authors' list",
        "S001C001P001R001A001": "named in missing.txt",
    }
    assert {clip.name for clip in read_all(tmp_path, missing=False).clips} == {NAME, listed}


def test_a_misspelled_name_in_missing_txt_is_named(tmp_path):
    write_skeleton_file(tmp_path / f"{NAME}.skeleton", alone())
    (tmp_path / "missing.txt").write_text("S001C001P001R001A001\nS001C001P001R01A002\n")
    with pytest.raises(DataError, match=r"missing.txt, line 2: .* found 'S001C001P001R01A002'"):
        read_all(tmp_path)
    (tmp_path / "missing.txt").write_text("nothing\n")
    with pytest.raises(DataError, match=r"missing.txt: .* found none"):
        read_all(tmp_path)


def test_files_of_the_later_setups_are_read_for_120_classes_only(tmp_path):
    later = "S020C001P050R001A061"
    for name in (NAME, later):
        write_skeleton_file(tmp_path / f"{name}.skeleton", alone())
    reading = read_all(tmp_path)
    assert [clip.name for clip in reading.clips] == [NAME] and not reading.faults
    assert reading.counts == {"files not read: of NTU RGB+D 120 only": 1}
    clips = read_all(tmp_path, "ntu120").clips
    assert [(clip.name, clip.label) for clip in clips] == [(NAME, 12), (later, 60)]


def test_a_fault_names_its_file_and_the_others_are_read(tmp_path):
    for name in (NAME, "S001C001P001R001A001", "S001C001P001R001A061", "walk"):
        write_skeleton_file(tmp_path / f"{name}.skeleton", alone())
    cut = tmp_path / "S001C001P001R001A001.skeleton"
    cut.write_bytes(cut.read_bytes()[:2000])
    reading = read_all(tmp_path)
    assert [clip.name for clip in reading.clips] == [NAME]
    sentences = {Path(where).stem: sentence for where, sentence in reading.faults.items()}
    assert set(sentences) == {"S001C001P001R001A001", "S001C001P001R001A061", "walk"}
    assert all(sentence.startswith(where) for where, sentence in reading.faults.items())
    assert "It was cut" in sentences["S001C001P001R001A001"] and "line 2" in sentences["S001C001P001R001A001"]
    assert "action 61 is outside the protocol's classes 1 to 60" in sentences["S001C001P001R001A061"]
    assert "wanted a name like S001C002P003R002A013.skeleton" in sentences["walk"]


def test_no_file_of_an_absurd_size_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(ntu_sources, "FILE_LIMIT", 1000)
    write_zip(tmp_path / "a.zip", {"S001C001P001R001A001": b"1\n0\n" + b" " * 2000})
    write_skeleton_file(tmp_path / f"{NAME}.skeleton", alone())
    reading = read_all(tmp_path)
    assert not reading.clips and reading.files == 0
    assert all("1000" in sentence for sentence in reading.faults.values()) and len(reading.faults) == 2


def write_zip(path: Path, members: dict[str, bytes], folder: str = "nturgb+d_skeletons") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{folder}/{name}.skeleton", data)
    return path


def test_the_published_zips_are_read_in_memory_and_opened_once(tmp_path, monkeypatch):
    text = skeleton_text(alone()).encode()
    first = [f"S001C001P001R001A{action:03d}" for action in range(1, 61)]
    later = [f"S018C001P008R001A{action:03d}" for action in range(61, 121)]
    write_zip(tmp_path / "nturgbd_skeletons_s001_to_s017.zip", dict.fromkeys(reversed(first), text))
    write_zip(tmp_path / "nturgbd_skeletons_s018_to_s032.zip", dict.fromkeys(later, text), "nturgb+d_skeletons120")
    opened: Counter[str] = Counter()

    class Counted(zipfile.ZipFile):
        def __init__(self, file, *args, **kwargs):
            opened[Path(file).name] += 1
            super().__init__(file, *args, **kwargs)

    monkeypatch.setattr(ntu, "FILES_A_PART", 4)
    monkeypatch.setattr(zipfile, "ZipFile", Counted)
    reading = read_all(tmp_path, "ntu120")
    assert [clip.name for clip in reading.clips] == first + later
    where = "nturgbd_skeletons_s001_to_s017.zip/nturgb+d_skeletons/S001C001P001R001A001.skeleton"
    assert reading.clips[0].source == where and reading.bytes == 120 * len(text)
    assert max(opened.values()) <= 5  # 15 parts each; to look, to plan, to check, and to read
    assert sorted(path.suffix for path in tmp_path.rglob("*")) == [".zip", ".zip"]  # nothing was unpacked


def test_a_damaged_member_is_a_fault_and_the_others_are_read(tmp_path):
    names = [f"S001C001P001R001A00{i}" for i in (1, 2, 3)]
    path = write_zip(tmp_path / "a.zip", {name: skeleton_text(alone(5, i)).encode() for i, name in enumerate(names)})
    with zipfile.ZipFile(path) as archive:
        start = archive.infolist()[1].header_offset
    data = bytearray(path.read_bytes())
    data[start + 300 : start + 400] = bytes(100)
    path.write_bytes(data)
    reading = read_all(tmp_path)
    assert [clip.name for clip in reading.clips] == [names[0], names[2]]
    assert "A002.skeleton is damaged" in reading.faults[f"a.zip/nturgb+d_skeletons/{names[1]}.skeleton"]


def test_a_cut_zip_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {NAME: skeleton_text(alone()).encode()})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"a.zip: wanted a complete zip"):
        read_all(tmp_path)


def test_a_zip_that_lies_unpacked_beside_is_not_read_again(tmp_path):
    frames = alone()
    write_skeleton_file(tmp_path / "unpacked.zip" / f"{NAME}.skeleton", frames)  # a folder, whatever it is called
    write_zip(tmp_path / "a.zip", {NAME: skeleton_text(frames).encode()})
    reading = read_all(tmp_path)
    assert [clip.source for clip in reading.clips] == [str(tmp_path / "unpacked.zip" / f"{NAME}.skeleton")]
    assert not reading.faults


def test_a_name_that_is_there_twice_is_a_fault_of_the_second(tmp_path):
    write_skeleton_file(tmp_path / "one" / f"{NAME}.skeleton", alone(20, 1))
    write_skeleton_file(tmp_path / "two" / f"{NAME}.skeleton", alone(20, 2))
    other = "S001C001P001R001A001"
    text = skeleton_text(alone()).encode()
    write_zip(tmp_path / "one" / "a.zip", {NAME: text, other: text})
    write_zip(tmp_path / "two" / "a.zip", {other: text})
    reading = read_all(tmp_path)
    assert [clip.name for clip in reading.clips] == [NAME, other]
    assert reading.clips[0].source == str(tmp_path / "one" / f"{NAME}.skeleton")
    assert len(reading.faults) == 3
    for sentence in reading.faults.values():
        assert "is there twice, first as " + str(tmp_path / "one") in sentence


def test_hidden_files_beside_the_recordings_are_none(tmp_path):
    write_zip(tmp_path / "a.zip", {NAME: skeleton_text(alone()).encode(), f"._{NAME}": b"\x00\x05\x16\x07"})
    assert len(read_all(tmp_path).clips) == 1 and not read_all(tmp_path).faults


def test_names_are_printed_in_one_line(tmp_path):
    (tmp_path / "wa\nlk.skeleton").write_bytes(b"")
    ((where, sentence),) = read_all(tmp_path).faults.items()
    assert "\n" not in where + sentence


def test_a_plan_looks_at_names_only(tmp_path):
    names = [f"S001C001P{p:03d}R001A{a:03d}" for p in range(1, 9) for a in range(1, 61)]
    for name in names:
        (tmp_path / f"{name}.skeleton").write_bytes(b"no recording")
    options = ntu.Options()
    sources = ntu.find(tmp_path, options, dataset="ntu60")
    plan = ntu.plan(sources, options, dataset="ntu60")
    assert [len(part.members) for part in plan.parts] == [200, 200, 80]
    assert [member for part in plan.parts for member in part.members] == [f"{name}.skeleton" for name in names]
    assert plan == ntu.plan(list(sources), options, dataset="ntu60")
    assert plan.class_ids == list(range(1, 61)) and plan.classes[12] == "tear up paper" and len(plan.classes) == 60
    assert plan.extras == ("state", "color") and plan.layout.name == "ntu25"
    part, context, read = pickle.loads(pickle.dumps((plan.parts[0], plan.context, ntu.read)))
    assert len(read(part, context).faults) == 200


def test_an_empty_folder_says_what_was_wanted(tmp_path):
    with pytest.raises(MissingError, match=r"ntu120: wanted .skeleton files, or zips of them, under .*found none"):
        ntu.find(tmp_path, ntu.Options(), dataset="ntu120")


# ---- the table of what is absent


def samples(pairs: list[tuple[int, int]]) -> list[str]:
    """The names of all samples of (setup, performer) pairs."""
    return [
        f"S{setup:03d}C{camera:03d}P{performer:03d}R{take:03d}A{action + 60 * (setup > 17):03d}"
        for setup, performer in pairs
        for camera, take, action in itertools.product((1, 2, 3), (1, 2), range(1, 61))
    ]


@pytest.mark.parametrize(("dataset", "setups", "pairs"), [("ntu60", 17, 158), ("ntu120", 32, 318)])
def test_the_published_counts_are_whole_setups_of_performers(dataset, setups, pairs):
    """Training and test counts plus the listed samples are multiples of 360: so many pairs there are, of each kind."""
    listed = [ntu_sources.clip_numbers(name) for name in missing_names(ntu.CLASSES[dataset])]
    columns = {"setup": 0, "camera": 1, "subject": 2}
    for rule in RULES[dataset].values():
        column = np.array([numbers[columns[rule.column]] for numbers in listed])
        inside = rule.in_train(column)
        whole = (rule.counts[0] + inside.sum(), rule.counts[1] + (~inside).sum())
        assert sum(whole) == 360 * pairs and all(count % 120 == 0 for count in whole)
    assert max(setup for setup, *_ in listed) <= setups and len(set(NTU_SUBJECTS)) == 53


def test_a_complete_set_has_nothing_absent():
    pairs = {(setup, subject) for setup, _, subject, *_ in map(ntu_sources.clip_numbers, missing_names(120))}
    spare = ((setup, 107 + number) for number in range(20) for setup in range(1, 33))  # performers nobody lists
    for setup, subject in spare:
        first = sum(s <= 17 for s, _ in pairs)
        if (first < 158) if setup <= 17 else (len(pairs) - first < 160):
            pairs.add((setup, subject))
    names = samples(sorted(pairs))
    last = inventory(names, "ntu120").iloc[-1].to_dict()
    counts = {"performers": 318, "expected": 114_480, "found": 114_480, "unusable": 0, "absent": 0, "unexpected": 0}
    assert last == {"setup": "all", **counts}
    stored = set(names) - missing_names(120)
    assert len(stored) == 113_945
    assert inventory(stored, "ntu120").iloc[-1].to_dict() == {**last, "found": 113_945, "unusable": 535}
    assert not absent_names(stored, "ntu120")


def test_absent_samples_are_counted_by_setup_and_named():
    names = samples([(1, 1), (1, 5), (3, 2), (20, 44)])
    gone = ["S001C001P001R001A001", "S001C001P001R001A002", "S020C003P044R002A120"]
    listed = {name for name in names if name in missing_names(120)}
    assert listed
    here = [name for name in names if name not in gone and name not in listed]
    table = inventory([f"{name}.skeleton" for name in [*here, "S001C001P001R001A099", "walk"]], "ntu120")
    rows = table.set_index("setup")
    assert list(rows.index) == [*range(1, 33), "pairs not found", "all"]
    assert rows.loc[1].to_dict() == {
        "performers": 2,
        "expected": 720,
        "found": 718 - sum(name.startswith("S001") for name in listed),
        "unusable": sum(name.startswith("S001") for name in listed),
        "absent": 2,
        "unexpected": 1,
    }
    assert rows.loc[20, "absent"] == 1 and rows.loc[2, "expected"] == 0
    assert rows.loc["pairs not found", "performers"] == 314 and rows.loc["pairs not found", "unexpected"] == 1
    assert rows.loc["all", "expected"] == 114_480 and rows.loc["all", "unusable"] == 535
    assert (table["expected"] == table["found"] + table["unusable"] + table["absent"]).all()
    assert absent_names(here, "ntu120") == gone
    assert absent_names(here, "ntu60") == gone[:2]
    assert inventory(here, "ntu60").iloc[-1]["unexpected"] == sum(name.startswith("S020") for name in here)
    with pytest.raises(ConfigError, match="ntu60"):
        inventory(here, "ntu61")
