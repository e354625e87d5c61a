"""Damage to any file, byte by byte, and to text files, line by line and word by word."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Rng = np.random.Generator
NOT_FINITE = ("nan", "NaN", "inf", "-inf", "1e400", "-1e999")
NO_NUMBERS = ("abc", "1..5", "--3", "0x10", "1,5", "\x00", "None", "1e", "#", "\\", '"', "'", "é", "\u2028")
ABSURD = ("-1", "0", "1", "2", "7", "26", "255", "65536", "2147483648", "9" * 20, "1e39", "-1e38", "1e-320")
ODD = ("9" * 5000, "0." + "3" * 400, "1_000", "٣", "1e5", "+1", "True", "1.0", "0" * 300 + "1")
LIMIT = 1_000_000  # characters of a huge line


@dataclass(frozen=True)
class Mutant:
    """A damaged file.

    Attributes:
        data: its bytes.
        what: the damage in words.
        line: the only line (from 1) at fault, where there is one that no reader may accept.
    """

    data: bytes
    what: str
    line: int | None = None


Mutation = Callable[[bytes, Rng], Mutant]


def flip_bits(data: bytes, rng: Rng) -> Mutant:
    """One to sixteen bits are turned over."""
    if not data:
        return Mutant(b"\x80", "one byte in an empty file")
    damaged = np.frombuffer(data, np.uint8).copy()
    for place in rng.integers(0, len(damaged), int(rng.integers(1, 17))):
        damaged[place] ^= 1 << int(rng.integers(8))
    return Mutant(damaged.tobytes(), "bits turned over")


def cut(data: bytes, rng: Rng) -> Mutant:
    """The end is missing."""
    return Mutant(data[: int(rng.integers(0, max(len(data), 1)))], "cut")


def cut_start(data: bytes, rng: Rng) -> Mutant:
    """The beginning is missing."""
    return Mutant(data[int(rng.integers(0, max(len(data), 1))) :], "beginning missing")


def empty(data: bytes, rng: Rng) -> Mutant:
    """Nothing is left."""
    del data, rng
    return Mutant(b"", "empty")


def _span(data: bytes, rng: Rng) -> tuple[int, int]:
    """A random piece of the file."""
    start = int(rng.integers(0, max(len(data), 1)))
    return start, start + int(rng.integers(1, 200))


def chunk_twice(data: bytes, rng: Rng) -> Mutant:
    """A piece occurs twice."""
    start, end = _span(data, rng)
    return Mutant(data[:end] + data[start:], "a piece twice")


def chunk_lost(data: bytes, rng: Rng) -> Mutant:
    """A piece is missing."""
    start, end = _span(data, rng)
    return Mutant(data[:start] + data[end:], "a piece missing")


def chunk_overwritten(data: bytes, rng: Rng) -> Mutant:
    """A piece is zero, 0xFF (no UTF-8) or random."""
    start, end = _span(data, rng)
    size = min(end, len(data)) - start
    filler = [bytes(size), b"\xff" * size, rng.bytes(size)][int(rng.integers(3))]
    return Mutant(data[:start] + filler + data[end:], "a piece overwritten")


def garbage_after(data: bytes, rng: Rng) -> Mutant:
    """Random bytes follow the end."""
    return Mutant(data + rng.bytes(int(rng.integers(1, 400))), "garbage after the end")


def only_garbage(data: bytes, rng: Rng) -> Mutant:
    """Nothing but random bytes."""
    del data
    return Mutant(rng.bytes(int(rng.integers(1, 4000))), "random bytes only")


BYTE_MUTATIONS: list[Mutation] = [
    flip_bits,
    flip_bits,
    cut,
    cut_start,
    empty,
    chunk_twice,
    chunk_lost,
    chunk_overwritten,
    garbage_after,
    only_garbage,
]


def _with_line(data: bytes, rng: Rng, change: Callable[[list[bytes], int], str], fatal: bool = False) -> Mutant:
    """Apply ``change(lines, index)`` to a line that is not empty."""
    lines = data.split(b"\n")
    filled = [i for i, line in enumerate(lines) if line.strip()] or [0]
    index = filled[int(rng.integers(len(filled)))]
    what = change(lines, index)
    return Mutant(b"\n".join(lines), f"line {index + 1}: {what}", index + 1 if fatal else None)


def _replace_word(line: bytes, word: str, rng: Rng) -> bytes:
    """One of a line's words (between blanks or commas) is replaced."""
    separator = b"," if b"," in line else b" "
    end = b"\r" if line.endswith(b"\r") else b""
    words = line.removesuffix(b"\r").split(separator)
    words[int(rng.integers(len(words)))] = word.encode()
    return separator.join(words) + end


def word_replaced(data: bytes, rng: Rng) -> Mutant:
    """A word becomes something that is no finite number, absurd or odd."""
    group = [NOT_FINITE, NO_NUMBERS, ABSURD, ODD][int(rng.integers(4))]
    word = group[int(rng.integers(len(group)))]

    def change(lines: list[bytes], index: int) -> str:
        lines[index] = _replace_word(lines[index], word, rng)
        return f"a word is now {word[:30]!r}"

    return _with_line(data, rng, change)


def count_replaced(data: bytes, rng: Rng) -> Mutant:
    """A line that holds one whole number (a count) says something absurd."""
    lines = data.split(b"\n")
    counts = [i for i, line in enumerate(lines) if line.strip().isdigit()]
    if not counts:
        return word_replaced(data, rng)
    index = counts[int(rng.integers(len(counts)))] if rng.random() < 0.7 else counts[0]
    word = (ABSURD + NO_NUMBERS + ODD)[int(rng.integers(len(ABSURD + NO_NUMBERS + ODD)))]
    lines[index] = word.encode() + (b"\r" if lines[index].endswith(b"\r") else b"")
    return Mutant(b"\n".join(lines), f"line {index + 1}: count {word[:30]!r}")


def line_lost(data: bytes, rng: Rng) -> Mutant:
    """One to three lines are missing."""

    def change(lines: list[bytes], index: int) -> str:
        del lines[index : index + int(rng.integers(1, 4))]
        return "removed"

    return _with_line(data, rng, change)


def line_twice(data: bytes, rng: Rng) -> Mutant:
    """A line occurs twice."""

    def change(lines: list[bytes], index: int) -> str:
        lines.insert(index, lines[index])
        return "repeated"

    return _with_line(data, rng, change)


def lines_swapped(data: bytes, rng: Rng) -> Mutant:
    """Two lines have changed places."""

    def change(lines: list[bytes], index: int) -> str:
        other = int(rng.integers(len(lines)))
        lines[index], lines[other] = lines[other], lines[index]
        return f"swapped with line {other + 1}"

    return _with_line(data, rng, change)


def line_longer_or_shorter(data: bytes, rng: Rng) -> Mutant:
    """A line has a word more or a word less."""

    def change(lines: list[bytes], index: int) -> str:
        words = lines[index].rstrip(b"\r").split(b" ")
        if rng.random() < 0.5 and len(words) > 1:
            del words[int(rng.integers(len(words)))]
        else:
            words.insert(int(rng.integers(len(words) + 1)), b"1")
        lines[index] = b" ".join(words) + (b"\r" if lines[index].endswith(b"\r") else b"")
        return "a word more or less"

    return _with_line(data, rng, change)


def huge_line(data: bytes, rng: Rng) -> Mutant:
    """A line of a million characters: digits, blanks, words, or one number repeated."""
    piece = [b"1", b" ", b"0.5 ", b"nan ", b"\t", b"x", b",", b"\xff", b"[", b'"'][int(rng.integers(10))]

    def change(lines: list[bytes], index: int) -> str:
        lines[index] = piece * (LIMIT // len(piece))
        return f"a million characters {piece!r}"

    return _with_line(data, rng, change)


def other_encoding(data: bytes, rng: Rng) -> Mutant:
    """The text in another encoding, with other line ends, with a byte order mark, or with empty lines between."""
    text = data.decode("utf-8", errors="replace")
    choices = {
        "UTF-16": text.encode("utf-16"),
        "byte order mark": b"\xef\xbb\xbf" + data,
        "line ends \\r": data.replace(b"\r\n", b"\n").replace(b"\n", b"\r"),
        "line ends \\n": data.replace(b"\r\n", b"\n"),
        "empty lines between": data.replace(b"\n", b"\n\r\n"),
        "blanks everywhere": data.replace(b" ", b"   ").replace(b"\n", b" \n"),
        "Latin-1 letters": data.replace(b"0", "é".encode("latin-1"), 3),
        "zero bytes between": bytes(b for c in data[:20000] for b in (c, 0)),
    }
    what = list(choices)[int(rng.integers(len(choices)))]
    return Mutant(choices[what], what)


def no_number(data: bytes, rng: Rng) -> Mutant:
    """A coordinate is no finite number: no reader may accept the line."""
    lines = data.split(b"\n")
    long = [i for i, line in enumerate(lines) if len(line.split()) in (3, 4, 12, 150)]
    if not long:
        return word_replaced(data, rng)
    index = long[int(rng.integers(len(long)))]
    word = [b"nan", b"inf", b"abc", b"1e400", b"0x1", b"1..2"][int(rng.integers(6))]
    words = lines[index].rstrip(b"\r").split()
    words[int(rng.integers(3))] = word
    lines[index] = b" ".join(words) + (b"\r" if lines[index].endswith(b"\r") else b"")
    return Mutant(b"\n".join(lines), f"line {index + 1}: coordinate {word.decode()}", index + 1)


TEXT_MUTATIONS: list[Mutation] = [
    word_replaced,
    word_replaced,
    word_replaced,
    count_replaced,
    count_replaced,
    no_number,
    no_number,
    line_lost,
    line_twice,
    lines_swapped,
    line_longer_or_shorter,
    huge_line,
    other_encoding,
]

NASTY_VALUES: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**70, 1.5, float("nan"), float("inf"), 1e308, "", "x", "../x", "nan", "é\u0000",
    "S001\ud800", "a\nb", "\x1b[2J", [], [[]], [None], {}, {"a": 1}, "9" * 5000, [1, [2, [3]]], "x" * 100_000,
    ["a"] * 1000, [0.0] * 3,
]  # fmt: skip


def json_value_replaced(data: bytes, rng: Rng) -> Mutant:
    """A value somewhere in a JSON file is another one, missing, or nested without end."""
    try:
        content = json.loads(data)
    except ValueError:
        return flip_bits(data, rng)
    if rng.random() < 0.1:
        depth = 100_000
        deep = [b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth][int(rng.integers(3))]
        return Mutant(deep, "JSON nested 100,000 deep")
    value = NASTY_VALUES[int(rng.integers(len(NASTY_VALUES)))]
    what = f"JSON value now {str(value)[:30]!r}"
    content, path = _replace_node(content, value, rng, drop=rng.random() < 0.2)
    return Mutant(json.dumps(content).encode(), f"{what} at {path}")


def _replace_node(content: Any, value: Any, rng: Rng, drop: bool) -> tuple[Any, str]:
    """Walk down at random and replace (or drop) what is there."""
    node, path = content, ""
    for _ in range(int(rng.integers(1, 6))):
        keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        if not keys:
            break
        key = keys[int(rng.integers(len(keys)))]
        path += f"/{key}"
        if isinstance(node[key], (dict, list)) and node[key] and rng.random() < 0.7:
            node = node[key]
            continue
        if drop:
            del node[key]
            return content, f"{path} (dropped)"
        node[key] = value
        return content, path
    return value, "/"


JSON_MUTATIONS: list[Mutation] = [json_value_replaced] * 4
