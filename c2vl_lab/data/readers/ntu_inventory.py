"""What of NTU RGB+D is there and what is absent, judged by names alone.

Every performer of a setup did 60 actions twice before three cameras: 360 samples for each (setup, performer) pair,
actions 1 to 60 in setups 1 to 17 and actions 61 to 120 in setups 18 to 32. There are 158 pairs in the first part
(56,880 samples) and 160 in the second (together 114,480). These figures follow from the published numbers of samples;
the published training and test counts, together with the missing list, give whole pairs too, in every protocol.
Which performers belong to a setup is not published as a list, so a pair of which nothing is there has no name here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import product

import pandas as pd

from c2vl_lab.data.readers.ntu_missing import missing_names
from c2vl_lab.data.readers.ntu_sources import clip_numbers, stem
from c2vl_lab.errors import choose

CLASSES, SETUPS, PAIRS = {"ntu60": 60, "ntu120": 120}, {"ntu60": 17, "ntu120": 32}, {"ntu60": 158, "ntu120": 318}
FIRST_SETUPS = 17  # those of NTU RGB+D 60, with actions 1 to 60
CAMERAS, REPEATS, ACTIONS = 3, 2, 60
SAMPLES = CAMERAS * REPEATS * ACTIONS  # of a pair
NOT_FOUND, ALL = "pairs not found", "all"
Pair = tuple[int, int]  # setup, performer


def inventory(names: Iterable[str], dataset: str) -> pd.DataFrame:
    """A table of what is there and what is absent.

    Args:
        names: clip or file names: those of a store, or of the raw files, with or without the samples of the authors'
            missing list.
        dataset: ``ntu60`` or ``ntu120``.

    Returns:
        A row for each setup, one for the pairs of which nothing is there, and one of totals, whose ``expected`` is the
        published number of samples. Columns: ``setup``; ``performers`` of whom something is there; ``expected``
        samples of these performers; ``found`` of them; ``unusable``: not found, and in the authors' list of samples
        without usable skeletons; ``absent``: not found, and not in that list; ``unexpected``: names outside the set.
        In every row, expected = found + unusable + absent.

    Raises:
        ConfigError: another data set.
    """
    found, others = _by_pair(names, dataset)
    listed, _ = _by_pair(missing_names(CLASSES[dataset]), dataset)
    unusable = {pair: len(members - found.get(pair, set())) for pair, members in listed.items()}
    rows = []
    for setup in range(1, SETUPS[dataset] + 1):
        pairs = [pair for pair in found if pair[0] == setup]
        seen, unseen = sum(len(found[pair]) for pair in pairs), sum(unusable.get(pair, 0) for pair in pairs)
        rows.append(_row(setup, len(pairs), seen, unseen, others[setup]))
    elsewhere = sum(others.values()) - sum(row["unexpected"] for row in rows)
    unseen = sum(count for pair, count in unusable.items() if pair not in found)
    rows.append(_row(NOT_FOUND, max(0, PAIRS[dataset] - len(found)), 0, unseen, elsewhere))
    table = pd.DataFrame(rows)
    totals = table.drop(columns="setup").sum().to_dict()
    return pd.concat([table, pd.DataFrame([{"setup": ALL, **totals}])], ignore_index=True)


def absent_names(names: Iterable[str], dataset: str) -> list[str]:
    """The samples that are absent though others of the same setup and performer are there; without the missing list.

    Raises:
        ConfigError: another data set than ``ntu60`` and ``ntu120``.
    """
    found, _ = _by_pair(names, dataset)
    listed = missing_names(CLASSES[dataset])
    absent = (name for pair, members in found.items() for name in _samples(pair) if name not in members)
    return sorted(name for name in absent if name not in listed)


def _samples(pair: Pair) -> list[str]:
    """The 360 names of a setup and performer."""
    setup, performer = pair
    low = 1 if setup <= FIRST_SETUPS else 1 + ACTIONS
    takes = product(range(1, CAMERAS + 1), range(1, REPEATS + 1), range(low, low + ACTIONS))
    return [f"S{setup:03d}C{camera:03d}P{performer:03d}R{take:03d}A{action:03d}" for camera, take, action in takes]


def _row(setup: int | str, performers: int, found: int, unusable: int, unexpected: int) -> dict:
    expected = performers * SAMPLES
    return {
        "setup": setup,
        "performers": performers,
        "expected": expected,
        "found": found,
        "unusable": unusable,
        "absent": expected - found - unusable,
        "unexpected": unexpected,
    }


def _by_pair(names: Iterable[str], dataset: str) -> tuple[dict[Pair, set[str]], Counter[int]]:
    """The names that belong to the set by (setup, performer), and how many others there are by setup (0: no name)."""
    setups = choose(dataset, SETUPS, "NTU data set")
    pairs: dict[Pair, set[str]] = {}
    others: Counter[int] = Counter()
    for name in {stem(name) for name in names}:
        setup, camera, performer, repeat, action = clip_numbers(name) or (0, 0, 0, 0, 0)
        low = 0 if setup <= FIRST_SETUPS else ACTIONS
        inside = 1 <= camera <= CAMERAS and 1 <= repeat <= REPEATS and low < action <= low + ACTIONS
        if 1 <= setup <= setups and inside:
            pairs.setdefault((setup, performer), set()).add(name)
        else:
            others[setup] += 1
    return pairs, others
