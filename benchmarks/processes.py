"""Running a command in a fresh process while its memory and processor time are watched, with all its children."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

PAGE, TICK = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
EVERY = 0.02  # seconds between two looks


@dataclass
class Watched:
    """What a command took.

    Attributes:
        output: its standard output.
        peak: largest sum of the resident memory of all its processes, bytes (pages that they share count twice).
        largest: largest resident memory of any one of them.
        cpu: processor seconds of all of them.
        processes: how many were seen.
    """

    output: str
    peak: int
    largest: int
    cpu: float
    processes: int


def watched(command: list[str]) -> Watched:
    """Run a command to its end.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = largest = 0
    cpu: dict[int, float] = {}
    while process.poll() is None:
        resident = []
        for number in _family(process.pid):
            seen = _state(number)
            if seen:
                cpu[number] = seen[1]
                resident.append(seen[0])
        peak, largest = max(peak, sum(resident)), max([largest, *resident])
        time.sleep(EVERY)
    output, errors = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output, errors)
    return Watched(output, peak, largest, sum(cpu.values()), len(cpu))


def _family(number: int) -> list[int]:
    """A process and all below it."""
    family, queue = [], [number]
    while queue:
        family.append(queue.pop())
        for task in Path(f"/proc/{family[-1]}/task").glob("*/children"):
            try:
                queue += map(int, task.read_text().split())
            except OSError:  # it has just ended
                continue
    return family


def _state(number: int) -> tuple[int, float] | None:
    """Resident bytes and processor seconds of a process; None where it has ended."""
    try:
        resident = int(Path(f"/proc/{number}/statm").read_text().split()[1]) * PAGE
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):
        return None
    return resident, (int(fields[11]) + int(fields[12])) / TICK
