"""Corrections by a person: a layer over the answers, in one file that is only ever appended to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

from c2vl_lab.prompts.asking.lines import append_shared, read_lines

KINDS = ("replace", "exclude", "restore", "reask")


class State(NamedTuple):
    """What the edits say of one sentence.

    Attributes:
        kind: ``"replace"``, ``"exclude"`` or ``""``.
        text: the new sentence where replaced.
        beyond: answers of attempts below this one are not used: they were to be asked again.
        note: author and remark of the last edit.
    """

    kind: str = ""
    text: str = ""
    beyond: int = 0
    note: str = ""


class Edits:
    """The edits of a folder of answers, in the order in which they were made; the last word counts.

    Each line names series, clip, place (none: all places of the clip), author, note and time. Answers themselves are
    never changed: restoring takes the answer again as the model gave it.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self.bad = 0
        self._read = 0
        self._made: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._in_order: list[dict[str, Any]] = []

    def add(self, kind: str, series: str, clip: str, place: int | None, **more: Any) -> None:
        """Append one edit.

        Args:
            kind: one of ``KINDS``.
            series: id of the series.
            clip: name of the clip.
            place: place of the sentence; None for all of the clip.
            more: ``text`` (replace), ``beyond`` (reask, and a restore that takes a reask back), ``author``, ``note``.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        append_shared(self.path, {"edit": kind, "series": series, "clip": clip, "place": place, **more, "time": stamp})

    def refresh(self) -> None:
        """Read what was appended since, also by others."""
        if not self.path.is_file():
            return
        records, self._read, bad = read_lines(self.path, self._read)
        self.bad += bad
        for record in records:
            if _usable(record):
                self._made.setdefault((record["series"], record["clip"]), []).append(record)
                self._in_order.append(record)
            else:
                self.bad += 1

    def made(self, series: str) -> list[dict[str, Any]]:
        """All edits of a series in the order in which they were made."""
        return [edit for edit in self._in_order if edit["series"] == series]

    def state(self, series: str, clip: str, place: int) -> State:
        """What they say of one sentence."""
        made = self._made.get((series, clip))
        if not made:
            return State()
        kind, text, beyond, note = "", "", 0, ""
        for edit in made:
            if edit["place"] not in (None, place):
                continue
            kind = edit["edit"] if edit["edit"] in ("replace", "exclude") else ""
            text = edit.get("text", "") if kind == "replace" else ""
            given = edit.get("beyond", beyond)
            beyond = given if edit["edit"] == "restore" else max(beyond, given)
            note = ": ".join(filter(None, (edit.get("author", ""), edit.get("note", ""))))
        return State(kind, text, beyond, note)


def _usable(edit: dict[str, Any]) -> bool:
    """Whether a line has the form of an edit; a replacement wants its text."""
    texts = [edit.get("series"), edit.get("clip"), edit.get("text", ""), edit.get("author", ""), edit.get("note", "")]
    numbers = [edit.get("place") or 0, edit.get("beyond", 0)]
    return (
        edit.get("edit") in KINDS
        and "place" in edit
        and (edit["edit"] != "replace" or bool(edit.get("text")))
        and all(isinstance(text, str) for text in texts)
        and all(isinstance(number, int) for number in numbers)
    )
