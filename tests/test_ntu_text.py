"""The text of NTU RGB+D's files: exact numbers, every spelling, and one sentence for whatever is wrong."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from ntu_files import A, B, alone, person, skeleton_text

from c2vl_lab.data.readers import ntu_text
from c2vl_lab.data.readers.ntu_text import Skeleton, parse_skeleton
from c2vl_lab.errors import DataError


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
