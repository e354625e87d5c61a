"""Two suites side by side: numbers by hand, tests where they can be asked, loud words where the data differ."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_report import Page, write_run

from c2vl_lab.bench.report import build_report
from c2vl_lab.bench.sides import read_side
from c2vl_lab.bench.two_suites import lonely, meetings, what_differs
from c2vl_lab.bench.two_suites_page import compare_suites, long_table, spent_words, table_texts
from c2vl_lab.cli import main
from c2vl_lab.cli_report import what_is_missing
from c2vl_lab.errors import ConfigError, MissingError

FULL, BASE, SUPERVISED = "Full method, language", "SkeletonCLR-style, no text", "Supervised (upper bound)"


def suite(root, wrong, base_seeds=2, **changes):
    """Five seeds of the full method with so many errors of 40, and some of a baseline with ten."""
    for seed in range(5):
        write_run(root / f"full-s{seed}", "full", seed, wrong, **changes)
    for seed in range(base_seeds):
        write_run(root / f"base-s{seed}", "skeletonclr", seed, 10, **changes)
    return root


@pytest.fixture
def sides(tmp_path):
    """A with 12 errors, B with 2 and twice the epochs; only B has a supervised arm."""
    a, b = suite(tmp_path / "a", 12), suite(tmp_path / "b", 2, config={"epochs": 6})
    write_run(b / "sup", "supervised", 0, 1)
    return a, b


@pytest.fixture
def no_figures(monkeypatch):
    """What takes most of a report's time, and says nothing here."""
    monkeypatch.setattr("c2vl_lab.bench.report.draw_section", lambda *about: {})


def probe(a, b):
    (meeting,) = meetings(read_side(a), read_side(b))
    table = next(table for table in meeting.tables if table.title == "Linear probe")
    return meeting, table, {pair.label: pair for pair in table.pairs}


def test_shared_rows_have_both_numbers_and_a_paired_test(sides):
    meeting, table, pairs = probe(*sides)
    full = pairs[FULL]
    assert (full.first.mean, full.second.mean) == pytest.approx((0.7, 0.95))
    assert full.difference == pytest.approx(10 / 40) == full.paired.difference
    assert full.verdict == "higher in B" and full.clips == 40 and full.paired.seeds == 5 and full.p < 0.01
    assert pairs[BASE].verdict == "not tested: 2 seeds on both sides, 5 wanted"
    assert [(side, number.label) for side, number in table.alone] == [("B", SUPERVISED)]
    assert meeting.settings == [("all shared rows", "epochs", "3", "6")] and meeting.warnings == []
    assert meeting.alone == [("B", SUPERVISED)]
    assert probe(*reversed(sides))[2][FULL].verdict == "lower in B"


def test_reports_give_the_same_as_their_runs(sides, tmp_path, no_figures):
    for name, runs in zip("ab", sides, strict=True):
        build_report(runs, tmp_path / "reports" / name, name)
    mine, _, pairs = probe(*(tmp_path / "reports" / name for name in "ab"))
    _, _, direct = probe(*sides)
    assert pairs[FULL].paired == direct[FULL].paired and pairs[FULL].verdict == "higher in B"
    assert mine.settings == [("all shared rows", "epochs", "3", "6")] and mine.warnings == []
    kept = pd.read_parquet(tmp_path / "reports" / "a" / "predictions.parquet")
    assert len(kept) == 40 and kept[f"Linear probe/0/{FULL}"].sum() == 28
    for name in ("predictions.parquet", "results.parquet"):  # as a repository keeps a report
        (tmp_path / "reports" / "a" / name).unlink()
    _, _, pairs = probe(*(tmp_path / "reports" / name for name in "ab"))
    assert pairs[FULL].verdict == "not tested: no predictions are kept in A"
    assert pairs[FULL].difference == pytest.approx(0.25)


def test_clips_are_paired_by_their_names(sides, tmp_path):
    """The same clips in another order are the same clips: B's errors stay on the first two."""
    for seed in range(5):
        path = sides[1] / f"full-s{seed}" / "predictions.parquet"
        pd.read_parquet(path).iloc[::-1].to_parquet(path)
    gain = probe(*sides)[2][FULL].paired
    slow = (np.arange(40) >= 2).astype(float) - (np.arange(40) >= 12)
    drawn = np.random.default_rng(0).choice(slow, (4000, 40)).mean(axis=1)  # the seeds are equal
    assert [gain.low, gain.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.026)


def test_other_data_are_said_loudly_and_not_tested(sides, tmp_path):
    for path in sides[1].rglob("results.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "f" * 16}))
    meeting, _, pairs = probe(*sides)
    assert "fingerprints differ (0123456789abcdef and ffffffffffffffff)" in meeting.warnings[0]
    assert pairs[FULL].verdict == "not tested: the data differ" and pairs[FULL].paired is None
    page = compare_suites(*sides, tmp_path / "out").read_text()
    assert "<strong>Warning:</strong> The data&#39;s fingerprints differ" in page
    told = (tmp_path / "out" / "comparison.md").read_text()
    assert "**Warning.** The data's fingerprints differ" in told and "| data fingerprints |" in told


def test_another_protocol_has_no_difference(tmp_path):
    split = {"protocol": "xview", "train": 9, "test": 40, "rule": "camera 1 tests"}
    a, b = suite(tmp_path / "a", 12), suite(tmp_path / "b", 2, split=split)
    (meeting,) = meetings(read_side(a), read_side(b))
    assert meeting.title == "A: toy, xsub, B: toy, xview" and "cannot be set against" in meeting.warnings[0]
    row = table_texts(meeting.tables[0])[0]
    assert row[1:4] == ["75.0 ± 0.0", "75.0 ± 0.0", "–"] and "other data, or by another protocol" in row[6]
    assert long_table([meeting])["difference"].isna().all()
    write_run(tmp_path / "b" / "more", "full", 0, 2, split=split | {"protocol": "xset"})
    one, other = read_side(a), read_side(b)
    assert meetings(one, other) == [] and len(lonely(one, other)) == 3  # which would belong to which?


def test_arms_of_two_names_meet_by_their_settings(tmp_path):
    a, b = suite(tmp_path / "a", 12), suite(tmp_path / "b", 2)
    rows = [{"id": f"full-s{s}", "label": "Ours", "status": "complete", "parameters": {}} for s in range(5)]
    card = {"format": 1, "suite": "toy", "preset": "cpu", "title": "Toy", "command": "c2vl bench toy", "runs": rows}
    (b / "suite.json").write_text(json.dumps(card))
    _, _, pairs = probe(a, b)
    assert pairs[f"{FULL} (A), Ours (B)"].verdict == "higher in B"
    assert ("command", "not recorded", "c2vl bench toy") in what_differs(read_side(a), read_side(b))


def test_arms_are_set_side_by_side_as_told(sides):
    a, b = (read_side(side) for side in sides)
    (meeting,) = meetings(a, b, [(BASE, FULL)])
    linear = next(table for table in meeting.tables if table.title == "Linear probe")
    (pair,) = linear.pairs  # A's full method has lost its namesake to the told pair, and B's baseline likewise
    assert pair.label == f"{BASE} (A), {FULL} (B)" and pair.difference == pytest.approx(0.95 - 0.75)
    assert (f"{BASE} (A), {FULL} (B)", "arm", "skeletonclr", "full") in meeting.settings
    assert sorted(meeting.alone) == [("A", FULL), ("B", BASE), ("B", SUPERVISED)]
    with pytest.raises(ConfigError, match=f"B has no arm 'Fool'.*It has: .*{SUPERVISED[:10]}"):
        meetings(a, b, [(FULL, "Fool")])


def test_many_rows_make_one_difference_harder_to_show(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    for side, wrong in ((a, 6), (b, 1)):
        suite(side, wrong, base_seeds=0)
        for number in range(9):
            for seed in range(5):
                write_run(side / f"{number}-{seed}", "hard", seed, 10, config={"width": number})
    _, table, pairs = probe(a, b)
    assert len(table.pairs) == 10 and pairs[FULL].p == pytest.approx(min(1, 10 * pairs[FULL].paired.p))


def test_the_page_is_one_offline_file_with_escaped_words(sides, tmp_path, monkeypatch, capsys):
    evil = "<script>alert(1)</script>"
    card = {"format": 1, "suite": "toy", "preset": "cpu", "title": evil, "command": "x", "main": "", "runs": []}
    rows = [
        {"id": f"full-s{s}", "label": f"Full {evil}", "status": "complete", "parameters": {"arm": "full"}}
        for s in range(5)
    ]
    rows.append({"id": "gone", "label": "Hard", "status": "failed", "error": "out of memory", "parameters": {}})
    for side in sides:
        (side / "suite.json").write_text(json.dumps(card | {"runs": rows}))
    monkeypatch.chdir(tmp_path)
    assert main(["report", "--compare", str(sides[0]), str(sides[1])]) == 0
    html = (tmp_path / "reports" / "toy-cpu-vs-toy-cpu" / "index.html").read_text()
    page = Page(html)
    assert evil not in html and page.scripts == 1 and page.loads == [] and "@import" not in html and "url(" not in html
    assert f"A: {evil} (cpu preset) (stand-in teacher)" in page.text
    assert "out of memory" in page.text and "+25.0" in page.text and "higher in B (40 clips, 5 seeds)" in page.text
    assert str(tmp_path) not in html and f"c2vl report --compare {tmp_path.name}/a {tmp_path.name}/b" in page.text
    table = pd.read_csv(tmp_path / "reports" / "toy-cpu-vs-toy-cpu" / "comparison.csv")
    row = table[table["measure"] == "Linear probe"].iloc[0]
    assert row["difference"] == pytest.approx(0.25) and row["low"] < 0.25 < row["high"] and row["clips"] == 40


def test_costs_stand_side_by_side(sides):
    (meeting,) = meetings(read_side(sides[0]), read_side(sides[1]))
    assert (FULL, 12.0, 12.0, 2.0, 2.0) in meeting.seconds  # mean of 10 to 14 s, and 2 s


def test_what_all_took_is_a_sentence_where_it_is_not_recorded_too(sides):
    a = read_side(sides[0])
    assert spent_words(replace(a, spent={})) == "wall time not recorded, energy not known"
    known = replace(a, spent={"wall_seconds": 7200.0, "energy_joules": 3600.0})
    assert spent_words(known) == "2.0 h of wall time in sum, energy 1 Wh"


def test_what_is_no_suite_is_one_sentence(tmp_path, sides, monkeypatch, capsys):
    with pytest.raises(MissingError, match="There is no folder"):
        read_side(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingError, match="No run in"):
        read_side(tmp_path / "empty")
    monkeypatch.chdir(tmp_path)
    for words in (["report"], ["report", "demo", "--compare", "a", "b"]):
        assert main(words) == 2 and "c2vl report wants a suite" in capsys.readouterr().err


def test_a_suite_is_reported_by_its_name_and_what_is_missing_is_said(sides, tmp_path, no_figures, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for preset in ("cpu", "full"):
        shutil.copytree(sides[0], tmp_path / "work" / "runs" / "toy" / preset)
        rows = [{"id": f"full-s{s}", "label": FULL, "status": "complete", "parameters": {}} for s in range(5)]
        rows += [{"id": f"h{s}", "label": "Hard", "status": "not run", "error": "", "parameters": {}} for s in (0, 1)]
        card = {"suite": "toy", "preset": preset, "title": "Toy", "command": "c2vl bench toy", "runs": rows}
        (tmp_path / "work" / "runs" / "toy" / preset / "suite.json").write_text(json.dumps(card))
    assert main(["report", "toy"]) == 2 and "presets cpu, full. Name one: --preset" in capsys.readouterr().err
    assert main(["report", "toy", "--preset", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "5 of 7 runs are complete" in shown and "Missing (2 not run):" in shown and "Hard: 2 of 2" in shown
    assert "Runs that are not complete" in (tmp_path / "reports" / "toy-cpu" / "index.html").read_text()
    assert what_is_missing({"runs": rows[:5]}) == []
