"""Reports over synthetic run folders: numbers by hand, failures listed, text escaped, no request to anybody."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from c2vl_lab.bench.report import build_report
from c2vl_lab.bench.report_tables import sections
from c2vl_lab.bench.results import ARMS as REPORTED
from c2vl_lab.bench.results import aggregate, find_runs, predictions, results_frame
from c2vl_lab.bench.statistics import bootstrap_interval, compare, mcnemar
from c2vl_lab.errors import DataError, MissingError
from c2vl_lab.run_config import ARMS as RUN_ARMS

EVIL = "<script>alert(1)</script>"
CLASSES = ["wave", EVIL]
LABELS = np.array([0] * 20 + [1] * 20)


def notebook(error: tuple[str, str] | None = None) -> dict:
    """An executed notebook of one cell."""
    outputs = [{"output_type": "error", "ename": error[0], "evalue": error[1], "traceback": []}] if error else []
    state = {"papermill": {"status": "failed" if error else "completed", "exception": bool(error)}}
    cell = {"cell_type": "code", "execution_count": 1, "metadata": state, "source": "1", "outputs": outputs}
    return {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def write_run(folder: Path, arm: str, seed: int, wrong: int, error: tuple[str, str] | None = None, **changes) -> None:
    """A run in which the linear probe errs on the first ``wrong`` of 40 test clips and 1-NN on one more."""
    folder.mkdir(parents=True)
    config = {"dataset": "toy", "arm": arm, "seed": seed, "modalities": "language", "epochs": 3, "work_dir": f"{seed}"}
    config |= changes.pop("config", {})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "executed.ipynb").write_text(json.dumps(notebook(error)))
    if error:
        return
    guess = {m: np.where(np.arange(40) < wrong + more, 1 - LABELS, LABELS) for m, more in (("linear", 0), ("knn1", 1))}
    names = [f"clip{i}" for i in range(40)]
    pd.DataFrame({"name": names, "label": LABELS, **guess}).to_parquet(folder / "predictions.parquet")
    results = {
        "format": 1,
        "config": config,
        "dataset": "toy",
        "generated": False,
        "stand_in_teacher": arm == "full",
        "teacher": "small",
        "fingerprint": "0123456789abcdef",
        "split": {"protocol": "xsub", "train": 1020, "test": 40, "rule": "odd performers train"},
        "encoder": {"name": "temporal", "parameters": 1_500_000},
        "device": "CPU",
        "versions": {"torch": "2.13.0"},
        "seconds": {"pretrain": 10.0 + seed, "evaluate": 2.0},
        "metrics": {"linear": 1 - wrong / 40, "knn1": 1 - (wrong + 1) / 40},
        "classes": CLASSES,
        "confusion": [[20 - wrong, wrong], [0, 20]],
        "per_class": {CLASSES[0]: 1 - wrong / 20, CLASSES[1]: 1.0},
        "notes": [],
    }
    (folder / "results.json").write_text(json.dumps(results | changes))
    rows = [{"epoch": e, "loss": 3.0 / e, "alpha": 0.1, "kappa": 14.0} for e in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def runs_dir(tmp_path) -> Path:
    """Three seeds of the full method (4, 6, 8 errors of 40), two of a baseline (10, 12), and a failed third."""
    root = tmp_path / "runs"
    for seed, wrong in enumerate((4, 6, 8)):
        write_run(root / f"full-s{seed}", "full", seed, wrong)
    for seed, wrong in enumerate((10, 12)):
        write_run(root / f"skeletonclr-s{seed}", "skeletonclr", seed, wrong)
    write_run(root / "skeletonclr-s2", "skeletonclr", 2, 0, error=("DataError", f"toy.zip: cut {EVIL}."))
    return root


def test_mean_spread_and_seeds_are_those_by_hand(runs_dir):
    table = aggregate(results_frame(find_runs(runs_dir))).set_index(["arm", "metric"])
    full = table.loc[("full", "linear")]
    assert full["values"] == pytest.approx([0.9, 0.85, 0.8]) and full["seeds"] == [0, 1, 2]
    assert full["mean"] == pytest.approx(0.85) and full["std"] == pytest.approx(0.05) and full["n"] == 3
    base = table.loc[("skeletonclr", "knn1")]
    assert base["mean"] == pytest.approx(0.7) and base["std"] == pytest.approx(0.05 / 2**0.5) and base["n"] == 2
    order = [run.arm for run in find_runs(runs_dir)]
    assert order == ["skeletonclr"] * 3 + ["full"] * 3


def test_one_seed_has_no_spread(tmp_path):
    write_run(tmp_path / "a", "full", 0, 4)
    assert np.isnan(aggregate(results_frame(find_runs(tmp_path)))["std"]).all()


def test_the_same_seed_twice_counts_once(tmp_path):
    for name in ("a", "b"):
        write_run(tmp_path / name, "full", 0, 4)
    assert set(aggregate(results_frame(find_runs(tmp_path)))["n"]) == {1}
    assert sections(find_runs(tmp_path))[0].rows[0].cells[0].text == "90.0"


def test_arms_of_one_name_are_kept_apart_by_what_differs(tmp_path):
    for k, epochs in enumerate((3, 3, 9)):
        write_run(tmp_path / str(k), "full", k, 4, config={"epochs": epochs})
    table = aggregate(results_frame(find_runs(tmp_path)))
    counts = dict(table[table["metric"] == "linear"].set_index("label")["n"])
    assert counts == {"Full method, language (epochs 3)": 2, "Full method, language (epochs 9)": 1}


def test_the_suites_own_list_counts(runs_dir):
    rows = [
        {"id": "full-s1", "label": "Full", "parameters": {"arm": "full", "seed": 1}, "status": "complete"},
        {"id": "full-s0", "label": "Full", "parameters": {"arm": "full", "seed": 0}, "status": "failed"},
        {"id": "absent", "label": "Hard", "parameters": {"arm": "hard", "seed": 0}, "status": "not run"},
    ]
    rows[1]["error"] = "It was ended by signal 9 (out of memory?)."
    (runs_dir / "suite.json").write_text(json.dumps({"format": 1, "runs": rows}))
    runs = find_runs(runs_dir)
    assert [(r.label, r.status) for r in runs] == [("Full", "complete"), ("Full", "failed"), ("Hard", "not run")]
    assert "signal 9" in runs[1].error and len(results_frame(runs)) == 1


def test_bootstrap_interval_is_near_the_normal_one_and_repeats():
    right = np.arange(400) < 320
    low, high = bootstrap_interval(right)
    half = 1.96 * (0.8 * 0.2 / 400) ** 0.5
    assert (low, high) == pytest.approx((0.8 - half, 0.8 + half), abs=0.005)
    assert (low, high) == bootstrap_interval(np.stack([right, right], 1))
    with pytest.raises(DataError, match="at least one clip"):
        bootstrap_interval(np.zeros(0))


def test_mcnemar_counts_only_clips_on_which_the_arms_differ():
    first = np.array([1] * 30 + [1] * 9 + [0] * 2 + [0] * 5, bool)
    second = np.array([1] * 30 + [0] * 9 + [1] * 2 + [0] * 5, bool)
    assert mcnemar(first, second) == (9, 2, pytest.approx(binomtest(2, 11, 0.5).pvalue))
    assert mcnemar(first, first) == (0, 0, 1.0)


def test_comparison_pairs_the_clips_and_the_seeds(runs_dir):
    arms = next(iter(sections(find_runs(runs_dir)))).arms
    full, base = (predictions(arms[k], "linear") for k in ("Full method, language", "SkeletonCLR-style, no text"))
    result = compare(full, base)
    assert result.difference == pytest.approx(0.85 - 0.725)
    assert result.low < result.difference < result.high
    assert result.only_first == (6, 6) and result.only_second == (0, 0)  # seed 2 has no partner
    with pytest.raises(DataError, match="different clips"):
        compare(full, base.iloc[1:])


def test_arms_with_fewer_test_clips_are_compared_on_the_common_ones(runs_dir, tmp_path):
    split = {"protocol": "xsub", "train": 1020, "test": 40, "tested": 30, "rule": "odd performers train"}
    for seed in (0, 1):
        folder = runs_dir / f"hard-s{seed}"
        write_run(folder, "hard", seed, 6, split=split, notes=["Tested on the 30 of 40 test clips that have pictures."])
        pd.read_parquet(folder / "predictions.parquet").iloc[:30].to_parquet(folder / "predictions.parquet")
    write_run(runs_dir / "prompts-s0", "prompts", 0, 6)
    others = pd.read_parquet(runs_dir / "prompts-s0" / "predictions.parquet")
    others.assign(name="other " + others["name"]).to_parquet(runs_dir / "prompts-s0" / "predictions.parquet")
    section = sections(find_runs(runs_dir))[0]
    against = {a.label.split(",")[0]: a for a in section.against}
    fewer, none, same = (against[k] for k in ("CLIP-style hard contrast", "Prompts alone", "SkeletonCLR-style"))
    assert fewer.on == "on the 30 test clips that both have, of 40 here and 30 there"
    assert fewer.values.difference == pytest.approx(6 / 30 - (4 + 6 + 8) / 90)
    assert none.on == "no common test clip" and none.values is None and same.on == ""
    row = next(row for row in section.rows if row.label == fewer.label)
    assert row.encoder.endswith("; on 30 of 40 test clips")
    build_report(runs_dir, tmp_path / "report", "Toy")
    html = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert fewer.on in html and none.on in html and html.count("Tested on the 30 of 40 test clips") == 1
    assert fewer.on in (tmp_path / "report" / "results.md").read_text(encoding="utf-8")


def test_every_arm_of_a_run_has_its_name_in_the_report():
    assert list(REPORTED) == list(RUN_ARMS)


class Page(HTMLParser):
    """Collects what a page would load, its links, scripts, and text outside scripts and styles."""

    def __init__(self, html: str):
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.scripts = 0
        self.text = ""
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.inside = tag
        self.scripts += tag == "script"
        self.links += [found["href"]] if tag == "a" else []
        self.loads += [v for k, v in attrs if k in ("src", "srcset", "data", "poster") or (k == "href" and tag != "a")]

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.text += data


def test_report_holds_everything_and_asks_nobody(runs_dir, tmp_path):
    target = tmp_path / "report"
    index = build_report(runs_dir, target, "Toy", "make bench SUITE=toy")
    html = index.read_text(encoding="utf-8")
    page = Page(html)
    assert all(load.startswith("data:") for load in page.loads) and len(page.loads) == 8  # 4 figures, light and dark
    assert "url(" not in html and "@import" not in html
    assert all((target / link).is_file() for link in page.links if not link.startswith("#"))
    assert page.scripts == 1 and EVIL not in html  # the page's own, and none out of class names and errors
    assert "85.0 ± 5.0" in page.text and "90.0 85.0 80.0" in page.text and "+12.5" in page.text
    assert "Toy (stand-in teacher)" in page.text and "generated" not in page.text
    assert f"toy.zip: cut {EVIL}." in page.text and "notebooks/skeletonclr-s2.ipynb" in page.links
    for fact in (
        "0123456789abcdef",
        "1,020 training and 40 test",
        "1,500,000 parameters",
        "torch 2.13.0",
        "make bench",
    ):
        assert fact in page.text
    names = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}
    assert {"results.csv", "results.parquet", "results.md", "manifest.json"} <= names
    kinds = ("pdf", "svg", "png", "data.json")
    assert {f"figures/{f}.{k}" for f in ("results", "confusion", "classes", "training") for k in kinds} <= names


def test_tables_beside_the_page_agree_with_it(runs_dir, tmp_path):
    target = tmp_path / "report"
    build_report(runs_dir, target, "Toy")
    rows = pd.read_csv(target / "results.csv")
    assert len(rows) == 5 and rows.groupby("arm")["linear"].mean()["full"] == pytest.approx(0.85)
    pd.testing.assert_frame_equal(rows, pd.read_parquet(target / "results.parquet"), check_dtype=False)
    text = (target / "results.md").read_text()
    assert "85.0 ± 5.0 (90.0 85.0 80.0)" in text and "skeletonclr-s2" in text and text.startswith("# Toy (stand-in")
    manifest = json.loads((target / "manifest.json").read_text())
    assert {r["status"] for r in manifest["runs"]} == {"complete", "failed"}
    assert manifest["fingerprints"] == ["0123456789abcdef"]


def test_generated_clips_are_in_title_notice_and_captions(tmp_path):
    write_run(tmp_path / "runs" / "a", "full", 0, 4, generated=True)
    html = build_report(tmp_path / "runs", tmp_path / "report", "Demo").read_text(encoding="utf-8")
    assert "<h1>Demo (generated clips, stand-in teacher)</h1>" in html
    assert html.count("enerated clips, no recordings") >= 5  # notice and each figure's caption


def test_map_and_examples_are_shown_inline_and_escaped(runs_dir, tmp_path):
    from PIL import Image

    shelf = runs_dir / "figures"
    shelf.mkdir()
    Image.new("RGB", (4, 4)).save(shelf / "joint_map.png")
    (shelf / "joint_map.json").write_text(json.dumps({"data": [{"hovertext": ["</script>" + EVIL]}], "layout": {}}))
    entry = {"name": "clip0", "class": EVIL, "sentences": [f"He waves. {EVIL}"], "strip": "joint_map.png"}
    (shelf / "examples.json").write_text(json.dumps([entry | {"pictures": "../../secret.png"}]))
    html = build_report(runs_dir, tmp_path / "report", "Toy").read_text(encoding="utf-8")
    assert EVIL not in html and "He waves. &lt;script&gt;" in html and "\\u003c/script>" in html
    assert html.count('id="joint-map"') == 1 and "Plotly.newPlot" in html
    assert all(load.startswith("data:") for load in Page(html).loads)


def test_a_report_of_failures_alone_still_opens(tmp_path):
    write_run(tmp_path / "runs" / "a", "full", 0, 0, error=("ValueError", "nan"))
    html = build_report(tmp_path / "runs", tmp_path / "report", "Toy").read_text(encoding="utf-8")
    assert "No run is complete" in html and "ValueError: nan" in html


def test_no_runs_is_one_sentence(tmp_path):
    with pytest.raises(MissingError, match="No folder"):
        build_report(tmp_path / "absent", tmp_path / "report", "Toy")
    with pytest.raises(MissingError, match="No run in"):
        build_report(tmp_path, tmp_path / "report", "Toy")
    assert not (tmp_path / "report").exists()
