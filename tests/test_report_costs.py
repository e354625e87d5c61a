"""What a report says of costs, how each row is made again, and the report on paper."""

from __future__ import annotations

import datetime
import json
import shlex
import shutil
import subprocess

import pytest
from test_report import Page, write_run

from c2vl_lab.bench.attempts import Attempt
from c2vl_lab.bench.pages import checkout
from c2vl_lab.bench.published import beside_section
from c2vl_lab.bench.report import build_report
from c2vl_lab.bench.report_costs import costs, row_commands
from c2vl_lab.bench.report_pdf import typeset
from c2vl_lab.bench.results import find_runs
from c2vl_lab.bench.suite import expand, load_suite, picks, suite_names
from c2vl_lab.cli import _parser

TRAP = "*bold* #panic() $x$ @cite ]"  # what Typst would act on, were it read as markup
COMMAND = "c2vl bench toy --data DATA --only arm=full --workers 2"


@pytest.fixture
def runs_dir(tmp_path):
    """Two seeds of the full method, measured by counters; one baseline of before; a failed and a missing run."""
    root = tmp_path / "runs"
    for seed in (0, 1):
        write_run(root / f"full-s{seed}", "full", seed, 4)
        attempt = Attempt(root / f"full-s{seed}", [])
        attempt.add({"CPU package-0": 3600.0 * (1 + seed)})
        attempt.write()
    write_run(root / "base", "skeletonclr", 0, 10)
    write_run(root / "bad", "hard", 0, 0, error=("DataError", f"toy.zip: cut {TRAP}"))
    rows = [
        {"id": name, "label": label, "parameters": {"arm": arm, "seed": 0}, "status": status, "only": [f"arm={arm}"]}
        for name, label, arm, status in (
            ("full-s0", "Full", "full", "complete"),
            ("full-s1", "Full", "full", "complete"),
            ("base", "Base", "skeletonclr", "complete"),
            ("bad", f"Hard {TRAP}", "hard", "failed"),
            ("gone", "Later", "byol", "not run"),
        )
    ]
    card = {"suite": "toy", "preset": "cpu", "title": "Toy", "command": COMMAND, "main": "Full", "runs": rows}
    (root / "suite.json").write_text(json.dumps(card))
    return root


def test_every_arm_of_every_suite_is_picked_alone():
    for name in suite_names():
        suite = load_suite(name)
        specs = expand(suite)
        for spec in specs[:: len(suite.seeds)]:  # seeds are innermost
            found = expand(suite, only=picks(specs, spec))
            assert [own.parameters | {"seed": 0} for own in found] == [spec.parameters | {"seed": 0}] * len(suite.seeds)


def test_each_row_has_a_command_that_the_package_takes(runs_dir, tmp_path):
    found = dict(row_commands(find_runs(runs_dir), COMMAND))
    assert found["Base"] == "c2vl bench toy --data DATA --workers 2 --only arm=skeletonclr"
    assert list(found) == ["Full", "Base", f"Hard {TRAP}", "Later"]
    assert _parser().parse_args(shlex.split(found["Base"])[1:]).only == ["arm=skeletonclr"]
    assert row_commands(find_runs(runs_dir), "make bench SUITE=toy") == []


def test_wall_time_and_energy_are_summed_and_said(runs_dir, tmp_path):
    found = costs(find_runs(runs_dir))
    full, base = found.rows
    assert full["energy"] == "1.5 Wh" and base["energy"] == "not known" and base["wall time, s"] == "12.0"
    assert found.total.counted == 2 and "3 Wh (CPU package-0 3 Wh; of 2 of 3 runs)" in found.sentence
    build_report(runs_dir, tmp_path / "report", "Toy", COMMAND)
    manifest = json.loads((tmp_path / "report" / "manifest.json").read_text())
    assert manifest["spent"]["energy_joules"] == 3 * 3600 and manifest["spent"]["wall_seconds"] >= 12
    assert "others included" in manifest["spent"]["energy_counts"] and manifest["seeds"] == [0, 1]
    assert (manifest["suite"], manifest["preset"], manifest["devices"]) == ("toy", "cpu", ["CPU"])
    base = next(run for run in manifest["runs"] if run["run"] == "base")
    assert base["spent"]["energy_joules"] is None and "not measured" in base["spent"]["energy_not_known"]
    assert base["command"].endswith("--only arm=skeletonclr") and base["fingerprint"] == "0123456789abcdef"
    assert "spent" not in next(run for run in manifest["runs"] if run["run"] == "gone")
    text = Page((tmp_path / "report" / "index.html").read_text()).text
    assert "the work of others included" in text and "of 2 of 3 runs" in text
    assert "--workers 2 --only arm=skeletonclr" in text and "Each row by itself" in text
    policy = (
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'"
    )
    assert f'content="{policy}"' in (tmp_path / "report" / "index.html").read_text(), "it asks nobody for anything"
    line = checkout(manifest["commit"])
    assert line in text
    said = paper(tmp_path / "report" / "report.pdf")
    assert line.split("  #")[0] in said, "which code made it stands beside its command"
    for words in (
        "90.0 ± 0.0",
        "0123456789abcdef",
        "Hard *bold* #panic()",
        "not run",
        "--only arm=skeletonclr",
        "1.5 Wh",
    ):
        assert words in said, words


def test_a_commit_becomes_the_line_that_brings_it_back():
    assert checkout("0123456789ab") == "git checkout 0123456789ab"
    said = "git checkout 0123456789ab  # the report was made with uncommitted changes"
    assert checkout("0123456789ab with uncommitted changes") == said
    assert checkout("") == ""


def paper(path) -> str:
    """The words of a PDF in the order of reading."""
    if shutil.which("pdftotext") is None:
        pytest.skip("wants pdftotext (poppler-utils)")
    shown = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True).stdout
    return " ".join(shown.split())


def test_the_same_values_give_the_same_pdf(tmp_path):
    values = {"title": TRAP, "made": "", "note": "", "rule": "", "sections": [], "map": None, "rest": []}
    values |= {"costs": {"names": ["arm"], "rows": [], "sentence": "", "shared": ""}, "command": "", "commands": []}
    made = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    one, other = (typeset("report_pdf.typ", values | {"notes": [TRAP]}, tmp_path, made) for _ in range(2))
    assert one == other and one.startswith(b"%PDF")
    (tmp_path / "a.pdf").write_bytes(one)
    assert paper(tmp_path / "a.pdf").count(TRAP) >= 3  # title, foot and note, as they are


def test_published_numbers_stand_beside_their_own_set():
    row = {"dataset": "NTU-60", "protocol": "x-sub", "accuracy": "80.0", "ours": ""}
    ours, absent = row | {"ours": "yes"}, row | {"ours": "yes", "accuracy": "–"}
    rows = [row, ours, absent, row | {"protocol": "x-view"}]
    assert beside_section("ntu60, xsub", rows) == [row, ours]
    assert beside_section("ntu60, xset", rows) == [] and beside_section("ntu60, xsub", [ours]) == []
