"""Protocols in a report: numbers over seeds, intervals from kept predictions, and what may be said of two arms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_report import LABELS, write_run

from c2vl_lab.bench.compared import FROM_SCRATCH, compare_arms, compare_starts
from c2vl_lab.bench.protocol_numbers import Number, kept_predictions, numbers_of
from c2vl_lab.bench.report import build_report
from c2vl_lab.bench.report_protocols import class_gains, differences, protocol_tables
from c2vl_lab.bench.report_tables import precision_text, sections
from c2vl_lab.bench.results import find_runs
from c2vl_lab.bench.statistics import bootstrap_interval, holm, paired
from c2vl_lab.errors import DataError


def guesses(wrong: int) -> np.ndarray:
    """Predictions of 40 clips of which the first ``wrong`` are wrong."""
    return np.where(np.arange(40) < wrong, 1 - LABELS, LABELS)


def write_measured(folder, arm: str, seed: int, wrong: tuple[int, int], **more) -> None:
    """A run with the protocol "semi" of two draws, a measure without predictions, and a protocol not asked for."""
    shares = [1 - count / 40 for count in wrong]
    measures = [
        {"name": "recall", "unit": "share", "mean": 0.25, "values": [0.25]},
        {"name": "5 % of the labels", "unit": "share", "mean": float(np.mean(shares)), "values": shares},
        {"name": "median rank", "unit": "rank", "mean": 3.0 + seed, "values": [3.0 + seed]},
    ]
    columns = [f"semi_5_{seed}", f"semi_5_{seed + 1}"]
    records = {
        "semi": {"title": "Few labels", "measures": measures, "predictions": columns},
        "retrieval": {"title": "Retrieval", "not_run": "it has no language"},
    }
    write_run(folder, arm, seed, 4, protocols=records, **more)
    table = pd.read_parquet(folder / "predictions.parquet")
    for column, count in zip(columns, wrong, strict=True):
        table[column] = guesses(count)
    table.to_parquet(folder / "predictions.parquet")


@pytest.fixture
def runs_dir(tmp_path):
    """Five seeds of the full method with 4 and 6 errors, of a baseline with 12 and 14, and three of another."""
    for seed in range(5):
        write_measured(tmp_path / f"full-s{seed}", "full", seed, (4 + seed % 2, 6))
        write_measured(tmp_path / f"clr-s{seed}", "skeletonclr", seed, (12, 14))
    for seed in range(3):
        write_measured(tmp_path / f"byol-s{seed}", "byol", seed, (12, 14))
    return tmp_path


def test_a_protocols_numbers_are_those_by_hand(runs_dir):
    section = sections(find_runs(runs_dir))[0]
    numbers = {(n.measure, n.label): n for n in section.numbers}
    own = numbers["5 % of the labels", section.main]
    values = [1 - np.mean([4 + seed % 2, 6]) / 40 for seed in range(5)]
    assert list(own.values.values()) == pytest.approx(values) and list(own.values) == [0, 1, 2, 3, 4]
    assert own.text == f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f}"
    right = np.mean([[(guesses(4 + s % 2) == LABELS), (guesses(6) == LABELS)] for s in range(5)], axis=(0, 1))
    assert own.interval() == pytest.approx(bootstrap_interval(np.sort(right)), abs=1e-9)
    assert numbers["recall", section.main].interval() is None  # no prediction is behind it
    assert numbers["median rank", section.main].text == "5.0 ± 1.6"


def test_predictions_are_found_by_what_they_score_and_from_the_back():
    table = pd.DataFrame({"label": LABELS, "a": guesses(4), "b": guesses(4), "c": guesses(9)})
    shares = {name: float((table[name] == LABELS).mean()) for name in "abc"}
    measures = [
        {"name": "matched on test labels", "unit": "share", "values": [shares["a"], shares["b"]]},
        {"name": "matched on training labels", "unit": "share", "values": [shares["a"], shares["b"]]},
        {"name": "other", "unit": "share", "values": [shares["c"]]},
        {"name": "index", "unit": "index", "values": [0.5]},
    ]
    record = {"measures": measures, "predictions": ["a", "b", "c"]}
    assert kept_predictions(record, table) == {"other": ["c"], "matched on training labels": ["a", "b"]}
    assert kept_predictions(record, None) == {}


def test_tables_hold_every_arm_and_say_what_was_not_measured(runs_dir):
    section = sections(find_runs(runs_dir))[0]
    tables = {table.title: table for table in protocol_tables(section)}
    assert list(tables) == ["Few labels"]  # retrieval was measured of none
    assert [(label, seeds) for label, seeds, _ in tables["Few labels"].rows] == [
        ("SkeletonCLR-style, no text", "5"), ("BYOL-style, no text", "3"), (section.main, "5")]  # fmt: skip
    assert tables["Few labels"].measures == ["recall", "5 % of the labels", "median rank"]


def test_higher_wants_five_seeds_and_a_paired_test(runs_dir):
    section = sections(find_runs(runs_dir))[0]
    rows = {(r["measure"], r["against"]): r for r in differences(section)}
    clr, byol = "SkeletonCLR-style, no text", "BYOL-style, no text"
    assert rows["5 % of the labels", clr]["what is shown"] == "higher"
    assert rows["5 % of the labels", byol]["what is shown"] == "not shown: 3 seeds"
    assert rows["accuracy", clr]["what is shown"] == "not shown"  # equal linear probes
    assert rows["5 % of the labels", clr]["difference"] == "+19.5"  # 13 errors against 5.2, of 40
    assert {a.label: a.verdict for a in section.against} == {clr: "not shown", byol: "not shown: 3 seeds"}


def test_a_lucky_seed_is_not_a_difference():
    """One of five seeds is 30 points better and the others equal: over clips alone that would count as shown."""
    gain = np.zeros((200, 5))
    gain[:60, 0] = 1
    found = paired(gain)
    assert bootstrap_interval(gain)[0] > 0 and found.low == 0 and found.p > 0.3
    assert found.difference == pytest.approx(0.06) and found.seeds == 5
    rng = np.random.default_rng(0)
    sure = (rng.uniform(size=(200, 5)) < 0.3).astype(float)
    assert paired(sure).p == 1 / 5000 and paired(-sure).high < 0
    with pytest.raises(DataError, match="at least one clip"):
        paired(np.zeros((0, 3)))


def test_the_interval_agrees_with_drawing_clip_by_clip():
    rng = np.random.default_rng(1)
    gain = rng.integers(-1, 2, size=(80, 4)).astype(float)
    slow = [gain[rng.integers(80, size=80)][:, rng.integers(4, size=4)].mean() for _ in range(4000)]
    assert [paired(gain).low, paired(gain).high] == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.012)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1, 1] and holm([]) == []


def test_many_arms_make_one_difference_harder_to_show():
    rng = np.random.default_rng(0)
    base = pd.DataFrame(rng.uniform(size=(300, 5)) < 0.5, index=[f"c{i}" for i in range(300)]).astype(float)
    better = base.copy()
    better.iloc[:14] = 1.0
    arms = {"main": better, "base": base} | {f"same {i}": better.copy() for i in range(60)}
    numbers = [Number("x", "X", "m", k, "share", dict.fromkeys(range(5), 0.5), v) for k, v in arms.items()]
    alone, many = compare_arms(numbers[:2], ["main"]), compare_arms(numbers, ["main"])
    assert alone[0].verdict == "higher" and alone[0].paired == many[0].paired
    assert many[0].p == pytest.approx(min(61 * alone[0].p, 1))


def test_fine_tuned_is_set_against_from_scratch_of_the_same_labels():
    rng = np.random.default_rng(0)
    scratch = pd.DataFrame(rng.uniform(size=(200, 5)) < 0.5, index=[f"c{i}" for i in range(200)]).astype(float)
    better, same = scratch.copy(), scratch.copy()
    better.iloc[:40] = 1.0

    def number(protocol, measure, right):
        return Number(protocol, protocol, measure, "main", "share", dict.fromkeys(range(5), 0.5), right)

    numbers = [number("semi-finetune", "5 %", better), number("semi-scratch", "5 %", scratch)]
    numbers += [number("semi-finetune", "10 %", same), number("semi-scratch", "10 %", scratch)]
    numbers += [number("finetune", "all", better), number("semi", "5 %", scratch)]  # without a partner
    few, more = compare_starts(numbers)
    assert (few.measure, few.second, few.verdict) == ("5 %", FROM_SCRATCH, "higher")
    assert few.paired.difference == pytest.approx((better - scratch).to_numpy().mean())
    assert (more.measure, more.verdict, more.paired.difference) == ("10 %", "not shown", 0)
    assert few.p == pytest.approx(2 * few.paired.p)


def test_class_gains_are_differences_of_means(runs_dir):
    write_run(runs_dir / "aim", "aimclr", 0, 12)
    section = sections(find_runs(runs_dir))[0]
    rows = class_gains(section)
    assert [row["over AimCLR-style, no text"] for row in rows] == ["+40.0", "+0.0"]
    assert rows[0][section.main] == "80.0"


def test_the_report_writes_them_and_says_on_what_precision(runs_dir, tmp_path):
    build_report(runs_dir, tmp_path / "report", "Toy")
    told = (tmp_path / "report" / "results.md").read_text()
    assert "### Few labels" in told and "| higher |" in told and "not shown: 3 seeds" in told
    assert "trained in float32 on a CPU, features in float32" in told
    table = pd.read_csv(tmp_path / "report" / "protocols.csv")
    few = table[table["measure"] == "5 % of the labels"]
    assert len(few) == 3 and few["low"].notna().all() and set(few["seeds"]) == {3, 5}
    said = pd.read_csv(tmp_path / "report" / "comparisons.csv")
    assert {"higher", "not shown", "not shown: 3 seeds"} == set(said["what is shown"])
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Few labels: 3 arms" in page and "comparisons on kept predictions" in page


@pytest.mark.parametrize(
    ("precision", "device", "text"),
    [
        ("bfloat16", "CPU (x86_64)", "bfloat16 on a CPU"),
        ("auto", "CPU", "float32 on a CPU"),
        ("auto", "H200", "bfloat16,"),
    ],
)
def test_precision_is_named(runs_dir, precision, device, text):
    run = next(run for run in find_runs(runs_dir) if run.arm == "full")
    run.parameters["precision"] = precision
    run.results["device"] = device
    assert precision_text(run).startswith(f"trained in {text}")


def test_arms_without_protocols_have_none(tmp_path):
    write_run(tmp_path / "a", "full", 0, 4)
    section = sections(find_runs(tmp_path))[0]
    assert numbers_of(section.arms) == [] and protocol_tables(section) == [] and class_gains(section) == []
