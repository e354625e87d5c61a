"""An incomplete NTU set: which setups, how many samples, which names; a complete one says nothing."""

from __future__ import annotations

import numpy as np
import pytest
from ntu_files import skeleton_text, standing_body

from c2vl_lab.cli import main
from c2vl_lab.data.absent import _ranges, absent_lines, absent_table
from c2vl_lab.data.datasets import open_dataset

GOOD = skeleton_text([[(7, joints)] for joints in standing_body(np.random.default_rng(0), frames=12)])


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in ("S001C001P001R001A001", "S001C002P001R001A001", "S003C001P002R001A001"):
        (folder / f"{name}.skeleton").write_text(GOOD)
    (folder / "S001C003P001R001A001.skeleton").write_text(GOOD[:900])  # damaged
    (folder / "S001C003P001R001A002.skeleton").write_text(skeleton_text([[], []]))  # nobody in it
    return folder


def test_files_that_are_there_are_not_absent(raw, tmp_path):
    table = absent_table(open_dataset("ntu60", raw, tmp_path / "w", skip_bad=True)).set_index("setup")
    assert table.loc[1, "found"] == 4 and table.loc[1, "absent"] + table.loc[1, "unusable"] == 356
    assert table.loc[2, "performers"] == 0 and table.loc["pairs not found", "performers"] == 156


def test_the_command_shows_the_table_and_keeps_the_names(raw, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "ntu60", "--data", "raw", "--skip-bad"]) == 0
    shown = capsys.readouterr().out
    assert "nothing of setups 2, 4 to 17" in shown and "156 of the published pairs" in shown
    names = (tmp_path / "work" / "absent-ntu60.txt").read_text().split()
    assert "S001C001P001R001A002" in names and "S001C003P001R001A001" not in names
    assert len(names) == len(set(names)) and all(name[:4] in ("S001", "S003") for name in names)


def test_other_sets_have_no_table(tmp_path):
    store = open_dataset("generated", work_dir=tmp_path, performers=1)
    assert absent_table(store).empty and absent_lines(store, tmp_path) == []


def test_ranges():
    assert _ranges([2, 4, 5, 6, 9]) == "2, 4 to 6, 9"
