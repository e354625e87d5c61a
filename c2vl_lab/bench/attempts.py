"""What making a run took: wall time, energy and the commit of every attempt, kept in the run's folder.

A run that was stopped and went on has several attempts; they count together, as long as the run stays the same one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import read_json, write_json
from c2vl_lab.bench.machine import git_commit
from c2vl_lab.errors import C2VLError

MADE = "made.json"
KEEP = 30.0  # seconds between two writes: what a kill can lose
SHARED = (
    "Counted is all that the processor packages and GPUs used while a run was done, the work of others included; runs "
    "side by side share it equally."
)


class Attempt:
    """One process's work on a run, measured while it goes on and written beside it."""

    def __init__(self, folder: Path, unknown: Sequence[str]):
        self.folder, self.begun, self.kept = folder, time.monotonic(), time.monotonic()
        self.earlier = _attempts(folder)
        self.joules: dict[str, float] = {}
        self.unknown, self.commit = list(unknown), git_commit()
        self.write()  # a caller that is killed leaves the runs that it has begun to end by themselves

    def add(self, joules: Mapping[str, float]) -> None:
        """Add what the counters counted; written now and then."""
        for name, value in joules.items():
            self.joules[name] = self.joules.get(name, 0.0) + value
        if time.monotonic() - self.kept >= KEEP:
            self.write()

    def write(self) -> None:
        """``made.json`` with this attempt behind the earlier ones; a full disk stops no run for it."""
        self.kept = time.monotonic()
        own = {"seconds": round(self.kept - self.begun, 3), "commit": self.commit, "unknown": self.unknown}
        own["joules"] = {name: round(value, 3) for name, value in self.joules.items()}
        with contextlib.suppress(OSError):
            write_json(self.folder / MADE, {"format": 1, "attempts": [*self.earlier, own]})


@dataclass(frozen=True)
class Spent:
    """What a run took, or several runs together.

    Attributes:
        runs: how many.
        seconds: of wall time of each, added; of runs without ``made.json`` what their results name.
        joules: counter to what it counted.
        counted: of how many runs every counter was read; ``unknown``: what was not, in sentences.
        commits: of the code, in order of appearance.
    """

    runs: int = 0
    seconds: float = 0.0
    joules: dict[str, float] = field(default_factory=dict)
    counted: int = 0
    unknown: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()

    @property
    def energy(self) -> float | None:
        """Joules of all counters; None where none was read."""
        return sum(self.joules.values()) if self.joules else None

    def in_words(self) -> str:
        """``0.31 kWh (CPU package-0 0.25 kWh, GPU 0 0.06 kWh)``, or ``not known (why)``."""
        if self.energy is None:
            return f"not known ({'; '.join(self.unknown) or 'not measured when the runs were made'})"
        each = ", ".join(f"{name} {watt_hours(value)}" for name, value in self.joules.items())
        part = f"; of {self.counted} of {self.runs} runs" if self.counted < self.runs else ""
        rest = f"; not known: {'; '.join(self.unknown)}" if self.unknown else ""
        return f"{watt_hours(self.energy)} ({each}{part}{rest})"


def spent(folder: Path, seconds: float = 0.0) -> Spent:
    """What a run took.

    Args:
        folder: of the run.
        seconds: that its results name, for runs of before.
    """
    attempts = _attempts(folder)
    if not attempts:
        return Spent(1, seconds)
    joules: dict[str, float] = {}
    for attempt in attempts:
        for name, value in attempt["joules"].items():
            joules[name] = joules.get(name, 0.0) + value
    unknown = tuple(dict.fromkeys(text for attempt in attempts for text in attempt["unknown"]))
    commits = tuple(dict.fromkeys(attempt["commit"] for attempt in attempts if attempt["commit"]))
    counted = all(attempt["joules"] for attempt in attempts)
    return Spent(1, sum(attempt["seconds"] for attempt in attempts), joules, int(counted), unknown, commits)


def together(parts: Sequence[Spent]) -> Spent:
    """Several runs' costs added."""
    joules: dict[str, float] = {}
    for part in parts:
        for name, value in part.joules.items():
            joules[name] = joules.get(name, 0.0) + value
    return Spent(
        sum(part.runs for part in parts),
        sum(part.seconds for part in parts),
        joules,
        sum(part.counted for part in parts),
        tuple(dict.fromkeys(text for part in parts for text in part.unknown)),
        tuple(dict.fromkeys(text for part in parts for text in part.commits)),
    )


def watt_hours(joules: float) -> str:
    """Energy as people pay for it: ``12.3 Wh``, ``4.56 kWh``."""
    hours = joules / 3600
    return f"{hours / 1000:.3g} kWh" if hours >= 1000 else f"{hours:.3g} Wh"


def _attempts(folder: Path) -> list[dict[str, Any]]:
    """The attempts that a folder tells of."""
    try:
        found = read_json(folder / MADE)["attempts"]
        return [{"joules": {}, "unknown": [], "commit": "", "seconds": 0.0, **attempt} for attempt in found]
    except (OSError, C2VLError, KeyError, TypeError):
        return []
