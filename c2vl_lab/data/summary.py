"""What a conversion read, dropped and why, in lines of text: the end of ``c2vl data`` and a page of notebook 01."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from c2vl_lab.data.store import SkeletonStore

NAMES = 3  # shown of each reason; the store's meta.json has them all
LONG = 240  # characters of a remark
OWN = ("read", "counts", "dropped", "faults")  # entries of the notes that are told in words of their own


def summary_lines(store: SkeletonStore) -> list[str]:
    """What was read, what is kept, what was dropped and why; one line a fact, indented where it belongs to the last.

    Args:
        store: any store; what its reader noted is in ``store.meta["notes"]``.
    """
    notes = store.meta.get("notes", {})
    lines = _read(notes.get("read", {}))
    frames = int(store.lengths.sum())
    people = int((store.body_counts > 1).sum())
    lines.append(
        f"kept {many(len(store), 'clip')} of {many(len(set(store.labels.tolist())), 'class', 'classes')} and "
        f"{_performers(store)}, {many(frames, 'frame')}; {many(people, 'clip')} "
        f"with more than one body; {len(store.layout)} joints ({store.layout.name})"
    )
    faults, dropped = notes.get("faults", {}), notes.get("dropped", {})
    lines += _named("could not use", unit_of(faults), faults)
    videos = {name: why for name, why in dropped.items() if str(why).startswith("video ")}
    lines += _named("left out", "clip", {name: why for name, why in dropped.items() if name not in videos})
    lines += _named("left out", "video", videos)
    if not notes.get("faults") and not notes.get("dropped"):
        lines.append("every clip and every file that was found is used")
    lines += [f"{what}: {count:,}" for what, count in notes.get("counts", {}).items()]
    lines += [f"{key}: {_short(value)}" for key, value in notes.items() if key not in OWN]
    return [line[:1].upper() + line[1:] for line in lines]


def _performers(store: SkeletonStore) -> str:
    """How many performers; 0 in the table stands for nobody that is known."""
    known = store.clips["subject"][store.clips["subject"] != 0].nunique()
    return many(known, "performer") if known else "performers not known"


def unit_of(faults: Mapping[str, str]) -> str:
    """What a reader's faults are of: ``file``, or ``annotation`` or ``row`` of one."""
    found = [re.search(r", (annotation|row)s? \d", name) for name in faults]
    words = {match[1] for match in found if match}
    return words.pop() if len(words) == 1 and all(found) else "file"


def _read(read: Mapping[str, Any]) -> list[str]:
    """How much was read; a store that was written from arrays has read no file."""
    if not read.get("files"):
        return []
    return [f"read {many(read['files'], 'file')}, {_size(read.get('bytes', 0))}"]


def _named(verb: str, what: str, reasons: Mapping[str, str]) -> list[str]:
    """``verb`` so many, then each reason with its count and the first names."""
    if not reasons:
        return []
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, why in reasons.items():
        by_reason[_without(name, str(why))].append(name)
    lines = [f"{verb} {many(len(reasons), what)}:"]
    for why, names in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        more = f" and {len(names) - NAMES:,} more" if len(names) > NAMES else ""
        one = f"    {names[0]}: {_short(why)}"
        lines.append(
            one if len(names) == 1 else f"    {len(names):,} x {_short(why)}: {', '.join(names[:NAMES])}{more}"
        )
    return lines


def _without(name: str, why: str) -> str:
    """A reason that begins with the file's name, without it: the same reason is then counted once."""
    return why.removeprefix(name).strip(":., ") or why


def many(count: int, one: str, more: str = "") -> str:
    """``1 clip``, ``2 clips``."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def _size(count: int) -> str:
    """Bytes for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= LONG else text[: LONG - 3] + "..."
