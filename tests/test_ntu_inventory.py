"""What of NTU RGB+D is absent, and the arithmetic of the published counts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from c2vl_lab.data.protocols import NTU_SUBJECTS, RULES
from c2vl_lab.data.readers import ntu, ntu_sources
from c2vl_lab.data.readers.ntu_inventory import absent_names, inventory
from c2vl_lab.data.readers.ntu_missing import missing_names
from c2vl_lab.errors import ConfigError


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
