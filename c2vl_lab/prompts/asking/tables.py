"""The answers of one series in memory, read from the files of all its processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from c2vl_lab.errors import DataError
from c2vl_lab.prompts.asking.lines import read_lines
from c2vl_lab.prompts.asking.series import Record


class Table:
    """The answers of one series in memory: clip to place to records, in the order in which they were written.

    Attributes:
        slots: clip to place to records.
        keys: the first good answer of each key.
        read: file name to bytes read.
        alike: tables whose answers come from the same model, itself first; None until somebody asks.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.slots: dict[str, dict[int, list[Record]]] = {}
        self.keys: dict[str, Record] = {}
        self.read: dict[str, int] = {}
        self.alike: list[Table] | None = None

    def at(self, clip: str, place: int) -> list[Record]:
        """All answers for one sentence, good or not."""
        return self.slots.get(clip, {}).get(place, [])

    def take(self, record: Record) -> None:
        """Take in one answer."""
        self.slots.setdefault(record.clip, {}).setdefault(record.place, []).append(record)
        if not record.rejected:
            self.keys.setdefault(record.key, record)

    def refresh(self) -> None:
        """Read what is new in the files, also by other processes.

        Raises:
            DataError: lines that are no answers; the sentence names the file.
        """
        for path in sorted(self.folder.glob("answers-*.jsonl")):
            start = self.read.get(path.name, 0)
            if path.stat().st_size <= start:
                continue
            values, self.read[path.name], bad = read_lines(path, start)
            for value in values:
                record = _record(value)
                bad += record is None
                if record is not None:
                    self.take(record)
            if bad:
                raise DataError(
                    f"{path}: {bad} lines are no answers (was the file edited?). Mend or remove these lines: "
                    "what is not answered will be asked again."
                )


def _record(value: dict[str, Any]) -> Record | None:
    """A line as an answer, or None where it has another form."""
    try:
        record = Record(**value)
    except TypeError:
        return None
    texts = (record.key, record.clip, record.text, record.finish, record.rejected)
    numbers = (record.place, record.attempt)
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        return None
    return record._replace(clip=sys.intern(record.clip), finish=sys.intern(record.finish))
