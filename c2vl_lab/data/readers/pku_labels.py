"""The small text files of PKU-MMD: which frames of a video show which action, and which videos train."""

from __future__ import annotations

import re
from dataclasses import dataclass

from c2vl_lab.errors import DataError

# video name -> groups; L, M and R are the left, middle and right camera
VIDEO = {
    "pku1": re.compile(r"(?P<setup>\d{1,4})-(?P<view>[LMR])", re.ASCII),
    "pku2": re.compile(r"A(?P<setup>\d{1,3})N(?P<subject>\d{1,3})-(?P<view>[LMR])", re.ASCII),
}
ROWS = 1000  # the longest published label file has about 30
WHOLE = re.compile(r"[+-]?\d{1,9}(\.0*)?", re.ASCII)


@dataclass(frozen=True)
class Instance:
    """One row of a label file.

    Attributes:
        row: its number among the rows, from 1; the L of clip names.
        action: published id.
        start, end: frames as they are written.
        line: line of the file, for messages.
    """

    row: int
    action: int
    start: int
    end: int
    line: int


def parse_labels(where: str, data: bytes, known: tuple[int, ...]) -> list[Instance]:
    """The rows ``action,start,end,confidence`` of a label file; the confidence may be lacking and is not used.

    Raises:
        DataError: a row that is none, an id outside ``known``, or too many rows; file and line are named.
    """
    found: list[Instance] = []
    for line, text in enumerate(data.decode("utf-8-sig", errors="replace").splitlines(), 1):
        words = text.replace(",", " ").split()
        if not words:
            continue
        if len(words) not in (3, 4) or not all(map(WHOLE.fullmatch, words[:3])):
            raise DataError(
                f"{where}, line {line}: wanted whole numbers action,start,end,confidence, found '{text.strip()[:60]}'."
            )
        action, start, end = (int(word.partition(".")[0]) for word in words[:3])
        if action not in known:
            raise DataError(
                f"{where}, line {line}: action {action} is none of the {len(known)} that this part of PKU-MMD has "
                f"(from {known[0]} to {known[-1]}). Check that these are the labels of this part."
            )
        found.append(Instance(len(found) + 1, action, start, end, line))
        if len(found) > ROWS:
            raise DataError(f"{where}, line {line}: more than {ROWS} rows. This is not the published label file.")
    return found


def parse_list(where: str, text: str, dataset: str) -> dict[str, str]:
    """Which videos a split file puts into the training and the test part.

    Published lists have a heading, the training videos in one line, another heading and the other videos in one line,
    separated by commas. Any line of video names belongs to the part of the heading before it, the first is training.

    Returns:
        Video name -> ``train`` or ``test``; empty where the file names no video of ``dataset``.

    Raises:
        DataError: a video in both parts, more than two parts, headings the other way round, or a word among names
            that is the name of no video.
    """
    parts: dict[str, str] = {}
    section, in_names, heading = -1, False, ""
    for line, content in enumerate(text.splitlines(), 1):
        names = [re.sub(r"\.(txt|skeleton|label)$", "", word) for word in content.replace(",", " ").split()]
        matches = [bool(VIDEO[dataset].fullmatch(name)) for name in names]
        if not any(matches):
            if names:
                in_names, heading = False, content.strip().lower()
            continue
        if not all(matches):
            odd = names[matches.index(False)]
            raise DataError(f"{where}, line {line}: wanted names of videos, found '{odd[:60]}' among them.")
        section += not in_names
        in_names = True
        if heading.startswith((("test", "valid"), "train")[min(section, 1)]):
            raise DataError(f"{where}, line {line}: wanted the training videos first, found '{heading[:60]}' above.")
        if section > 1:
            raise DataError(f"{where}, line {line}: wanted two lists, training videos and the others, found a third.")
        for name in names:
            if parts.setdefault(name, ("train", "test")[section]) != ("train", "test")[section]:
                raise DataError(f"{where}, line {line}: video {name} is in both parts.")
    return parts
