"""Published numbers: each with its source, one's own beside them, and ours measured or with the command to run."""

from __future__ import annotations

import argparse

import pytest
from test_report import write_run

from c2vl_lab.bench.notebooks import check_parameters, find_notebook
from c2vl_lab.bench.published import COLUMNS, NAMES, command, published, standings
from c2vl_lab.bench.report import build_report
from c2vl_lab.bench.report_protocols import protocol_tables
from c2vl_lab.bench.report_tables import sections
from c2vl_lab.bench.results import find_runs
from c2vl_lab.bench.suite import expand, load_suite, with_settings
from c2vl_lab.cli_bench import add_bench
from c2vl_lab.errors import DataError, MissingError
from c2vl_lab.evaluate.protocols import check_wanted

HEAD = ",".join(COLUMNS) + "\n"


def test_every_number_has_a_source_and_stands_once():
    rows = published()
    assert all(list(row) == COLUMNS and row["source"] and 0 < float(row["accuracy"]) < 100 for row in rows)
    keys = [tuple(row[c] for c in COLUMNS[:5]) for row in rows]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("method", "evaluation", "stream", "dataset", "protocol", "accuracy"),
    [
        ("C²VL (the paper)", "linear", "joint", "NTU-60", "x-sub", 84.4),
        ("SkeletonCLR", "linear", "three streams", "NTU-60", "x-view", 79.8),
        ("S-JEPA", "semi-supervised, 1 %", "joint", "NTU-60", "x-view", 69.1),
        ("MAMP", "semi-supervised, 10 %", "joint", "NTU-60", "x-sub", 88.0),
        ("MAMP", "fine-tuned", "joint", "NTU-60", "x-view", 97.5),
        ("S-JEPA", "transfer from NTU-120", "joint", "PKU-MMD II", "x-sub", 74.2),
        ("ST-GCN", "supervised", "three streams", "NTU-60", "x-view", 91.4),
    ],
)
def test_numbers_of_the_notes_are_there(method, evaluation, stream, dataset, protocol, accuracy):
    wanted = dict(zip(COLUMNS[:5], (method, evaluation, stream, dataset, protocol), strict=True))
    (row,) = [row for row in published() if all(row[c] == value for c, value in wanted.items())]
    assert float(row["accuracy"]) == accuracy


def test_ones_own_file_stands_behind_the_packages(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(HEAD + "Mine,linear,joint,toy,xsub,81.5,my thesis\n")
    *old, mine = published(path)
    assert old == published() and (mine["method"], mine["accuracy"], mine["source"]) == ("Mine", "81.5", "my thesis")
    for text, words in (
        ("a,b\n1,2\n", "line 2: wanted the columns method, evaluation"),
        (HEAD + "Mine,linear,joint,toy,xsub,0.815x,me\n", "line 2: wanted an accuracy from 0 to 100"),
        (HEAD + "Mine,linear,joint,toy,xsub,81.5,\n", "and its source"),
        (HEAD + "Mine,linear\n", "line 2: wanted the columns"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            published(path)
    with pytest.raises(MissingError, match="no file of published numbers"):
        published(tmp_path / "none.csv")


def test_ours_stand_under_the_published_ones_measured_or_with_the_command(tmp_path):
    few = [{"name": "1 % of the labels (2 clips)", "mean": 0.5, "unit": "share"}]
    semi = {"semi": {"title": "Few labels", "measures": few}}
    tuned = {"measures": [{"name": "fine-tuned", "mean": 0.7}]}
    semi["finetune"] = {"title": "Fine-tuned", "measures": [{"name": "all labels", "mean": 0.9, "unit": "share"}]}
    semi["transfer"] = {"title": "Transfer", "measures": [], "targets": {"pku2:xsub": tuned}}
    for seed, wrong in enumerate((4, 6)):
        write_run(tmp_path / f"full-s{seed}", "full", seed, wrong, dataset="ntu60", protocols=semi)
    write_run(tmp_path / "bone", "full", 0, 20, dataset="ntu60", config={"stream": "bone"})
    write_run(tmp_path / "sup", "supervised", 0, 2, dataset="ntu60")
    rows = [row for row in standings(find_runs(tmp_path)) if row["ours"]]
    by = {(r["evaluation"], r["stream"], r["dataset"], r["protocol"]): r for r in rows}
    linear = by[("linear", "joint", "NTU-60", "x-sub")]
    assert linear["accuracy"] == "87.5 ± 3.5" and linear["source"] == "2 seeds, here"
    assert by[("semi-supervised, 1 %, frozen features", "joint", "NTU-60", "x-sub")]["accuracy"] == "50.0 ± 0.0"
    like = by[("semi-supervised, 1 %", "joint", "NTU-60", "x-sub")]
    assert like["accuracy"] == "–" and like["source"].endswith("--set protocols=semi-finetune")
    assert by[("fine-tuned", "joint", "NTU-60", "x-sub")]["accuracy"] == "90.0 ± 0.0"
    assert by[("transfer from NTU-60", "joint", "PKU-MMD II", "x-sub")]["accuracy"] == "70.0 ± 0.0"
    carried = by[("transfer from NTU-120", "joint", "PKU-MMD II", "x-sub")]
    assert carried["accuracy"] == "–" and "--only pretrain_on=ntu120:xsub" in carried["source"]
    absent = by[("linear", "joint", "PKU-MMD II", "x-sub")]
    assert absent["method"] == "not run: needs the PKU-MMD licence" and absent["accuracy"] == "–"
    view = by[("linear", "three streams", "NTU-60", "x-view")]
    assert view["method"] == "not run: needs the NTU licence"
    assert view["source"] == "c2vl bench ntu60-xview --data DIR --only arm=full", "its report fuses the streams"


def test_what_a_suite_trains_elsewhere_or_from_scratch_stands_in_its_place(tmp_path):
    """The suite "transfer" measures the target itself; from scratch is the same beside every arm and counted once."""
    tuned = {"finetune": {"measures": [{"name": "all labels", "mean": 0.6}]}}
    elsewhere = {"dataset": "pku2", "protocols": tuned, "pretrained_on": {"ntu60:xsub": "00"}}
    write_run(tmp_path / "full", "full", 0, 4, **elsewhere)
    write_run(tmp_path / "own", "hard", 0, 4, dataset="pku2", protocols=tuned)
    scratch = {"scratch": {"measures": [{"name": "all labels", "mean": 0.8}]}}
    for arm in ("full", "hard"):
        for seed in (0, 1):
            three = {"dataset": "ntu60", "protocols": scratch, "config": {"stream": "three streams"}}
            write_run(tmp_path / f"{arm}{seed}", arm, seed, 4, **three)
    rows = [row for row in standings(find_runs(tmp_path)) if row["ours"] and row["accuracy"] != "–"]
    found = {(r["evaluation"], r["stream"]): r for r in rows if not r["evaluation"].startswith("linear")}
    assert found["transfer from NTU-60", "joint"]["accuracy"] == "60.0"
    own = found["supervised", "three streams"]
    assert (own["method"], own["accuracy"], own["source"]) == ("Supervised from scratch", "80.0 ± 0.0", "2 seeds, here")
    assert ("transfer from NTU-120", "joint") not in found and len(found) == 2


PLACES = {(r["evaluation"], r["stream"], r["dataset"], r["protocol"]) for r in published()}
MORE = {("linear", "bone", "NTU-60", "x-sub"), ("supervised", "bone", "NTU-60", "x-sub")}
MORE |= {(e, s, "utd-mhad", "xsub") for e in ("linear", "fine-tuned", "supervised") for s in ("joint", "three streams")}
MORE |= {("transfer from NTU-60", s, d, "xsub") for s in ("bone", "three streams") for d in ("utd-mhad", "PKU-MMD II")}


@pytest.mark.parametrize("place", sorted(PLACES | MORE), ids=" ".join)
def test_the_command_is_one_that_the_package_takes(place):
    """A shipped suite has the runs that it picks, the notebook the parameters that it sets, protocols are known."""
    evaluation, stream, dataset, protocol = place
    told = command(evaluation, stream, NAMES.get(dataset, dataset), protocol.replace("-", ""))
    one_stream = told.removeprefix("streams that were carried to another set are not fused; for one of them: ")
    first, *rest = one_stream.split("; ")
    parser = argparse.ArgumentParser()
    add_bench(parser)
    for words in [first, *rest]:
        if words == "c2vl fuse JOINT_RUN BONE_RUN MOTION_RUN":
            continue
        assert words.startswith("c2vl bench ")
        options = parser.parse_args(words.split()[2:])
        notebook = find_notebook("06_benchmark")
        settings = check_parameters(notebook, dict(text.split("=", 1) for text in options.settings))
        check_wanted(*(str(settings.get(name, "")) for name in ("protocols", "tuning", "transfer_to")))
        runs = expand(with_settings(load_suite(options.suite), settings), options.preset, tuple(options.only))
        data = {str(run.parameters["dataset"]) for run in runs}
        source = evaluation.partition("transfer from ")[2]
        assert data == {NAMES.get(dataset, dataset)} or data == {NAMES.get(source, source)}
        arms = {str(run.parameters["arm"]) for run in runs}
        assert arms == ({"supervised"} if evaluation == "supervised" and stream == "joint" else {"full"})
        streams = {str(run.parameters.get("stream", "joint")) for run in runs}
        assert len(streams) == (3 if stream == "three streams" and not rest and told == one_stream else 1)
    if (dataset, "linear") in {("NTU-60", evaluation), ("NTU-120", evaluation), ("PKU-MMD II", evaluation)}:
        assert first.split()[2].startswith(("ntu60-", "ntu120-", "pkummd-2"))


def test_the_commands_by_name():
    assert command("fine-tuned", "three streams", "ntu60", "xsub") == (
        "c2vl bench ntu60-xsub --data DIR --only arm=full --set protocols=finetune"
    )
    assert command("semi-supervised, 1 %", "joint", "ntu60", "xview") == (
        "c2vl bench semi --data DIR --only arm=full --only protocol=xview --set protocols=semi-finetune"
    )
    assert command("transfer from NTU-60", "joint", "pku2", "xsub") == (
        "c2vl bench transfer --data DIR --only arm=full --only pretrain_on=ntu60:xsub --set protocols=finetune"
    )
    assert command("linear", "joint", "ntu120", "xset").startswith("c2vl bench ntu120-xset --data DIR")
    assert command("clustering", "joint", "ntu60", "xsub") == "this package has no command for it"


def test_the_report_shows_both(tmp_path):
    write_run(tmp_path / "runs" / "full", "full", 0, 4)
    path = tmp_path / "mine.csv"
    path.write_text(HEAD + "Mine <b>,linear,joint,toy,xsub,81.5,my thesis\n")
    names = build_report(tmp_path / "runs", tmp_path / "report", "Toy").read_text()
    assert "The field's protocols" not in names, "nothing was measured"
    page = build_report(tmp_path / "runs", tmp_path / "report", "Toy", published=path).read_text()
    assert "Mine &lt;b&gt;" in page and "my thesis" in page and "not run: needs the NTU licence" in page
    assert f"{len(published()) + 1} published numbers" in page
    told = (tmp_path / "report" / "results.md").read_text()
    assert (
        "## Beside the literature" in told
        and "| **Full method, language** | linear | joint | toy | xsub | 90.0 |" in told
    )


def test_the_report_shows_protocols_with_mean_and_spread_over_the_runs(tmp_path):
    for seed, (share, rank) in enumerate(((0.5, 3.0), (0.6, 4.0))):
        measures = [
            {"name": "k = 1 <i>", "unit": "share", "mean": share},
            {"name": "median rank", "unit": "rank", "mean": rank},
        ]
        records = {"knn": {"title": "Neighbours", "measures": measures}, "semi": {"title": "Few", "not_run": "why"}}
        write_run(tmp_path / "runs" / f"s{seed}", "full", seed, 4, protocols=records)
    write_run(tmp_path / "runs" / "base", "skeletonclr", 0, 4, protocols={"knn": records["knn"]})
    (section,) = sections(find_runs(tmp_path / "runs"))
    (table,) = protocol_tables(section)
    rows = [(m, *row[:1], row[2][i].text, row[1]) for i, m in enumerate(table.measures) for row in table.rows]
    base, full = "SkeletonCLR-style, no text", "Full method, language"
    assert rows == [
        ("k = 1 <i>", base, "60.0", "1"),
        ("k = 1 <i>", full, "55.0 ± 7.1", "2"),
        ("median rank", base, "4.0", "1"),
        ("median rank", full, "3.5 ± 0.7", "2"),
    ]
    page = build_report(tmp_path / "runs", tmp_path / "report", "Toy").read_text()
    assert "The field's protocols" in page and "k = 1 &lt;i&gt;" in page
