"""Tables for a paper: marks stay inside their block, sources and stand-ins have their note, LaTeX is well formed."""

from __future__ import annotations

import re

import pytest
from test_report import write_run
from test_report_protocols import write_measured

from c2vl_lab.bench.paper_tables import Block, Entry, PaperTable, in_markdown, latex, own_tables, published_tables, tex
from c2vl_lab.bench.published import standings
from c2vl_lab.bench.report import build_report
from c2vl_lab.bench.report_tables import sections
from c2vl_lab.bench.results import find_runs

COMMANDS = {"begin", "end", "centering", "small", "caption", "label", "toprule", "midrule", "bottomrule", "multicolumn"}
COMMANDS |= {"emph", "textbf", "underline", "smallskip", "footnotesize", "par", "pm", "usepackage", "resizebox"}


@pytest.fixture
def runs_dir(tmp_path):
    """Two self-supervised arms, an untrained encoder and a supervised one, two seeds each, few labels for two."""
    for seed in range(2):
        write_measured(tmp_path / f"full-s{seed}", "full", seed, (4, 6))
        write_measured(tmp_path / f"clr-s{seed}", "skeletonclr", seed, (12, 14))
        write_run(tmp_path / f"untrained-s{seed}", "untrained", seed, 20)
        write_run(tmp_path / f"supervised-s{seed}", "supervised", seed, 2)
    return tmp_path


def check_latex(text: str) -> None:
    """Braces and environments are balanced, rows have the columns that the head declares, commands are plain ones."""
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    bare = re.sub(r"\\[{}%&$#_]", "", body)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0 and bare.isascii()
    assert set(re.findall(r"\\([a-zA-Z]+)", bare)) <= COMMANDS
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", bare):
        assert kind == "begin" or opened.pop() == name
        opened += [name] if kind == "begin" else []
    assert not opened
    for columns, rows in re.findall(r"\\begin\{tabular\}\{l(c+)\}(.*?)\\end\{tabular\}", bare, re.DOTALL):
        lines = [line for line in rows.splitlines() if line.endswith("\\\\") and "multicolumn" not in line]
        assert lines and all(line.count("&") == len(columns) for line in lines)


def test_marks_stay_inside_their_block():
    blocks = [
        Block("A", [("one", [Entry(0.8, "80.0")]), ("two", [Entry(0.7, "70.0")]), ("three", [Entry(0.6, "60.0")])]),
        Block("B", [("four", [Entry(0.9, "90.0")])]),  # alone in its block: nothing to be better than
        Block("C", [("five", [Entry(0.5, "50.0")]), ("six", [Entry(0.5, "50.0")]), ("seven", [Entry(0.4, "40.0")])]),
        Block("D", [("eight", [Entry(0.5, "50.0")]), ("nine", [Entry(0.5, "50.0")]), ("ten", [Entry()])]),
    ]
    table = PaperTable("t", "Toy & more.", ["Linear"], blocks, ["a note"])
    text = in_markdown([table])
    for line in ("| one | **80.0** |", "| two | <u>70.0</u> |", "| three | 60.0 |", "| four | 90.0 |"):
        assert line in text
    assert "| five | **50.0** |" in text and "| six | **50.0** |" in text and "| seven | <u>40.0</u> |" in text
    assert "| eight | 50.0 |" in text and "| ten | – |" in text, "all are equal: none is the best"
    written = latex([table])
    check_latex(written)
    assert (
        "one & \\textbf{80.0} \\\\" in written and "two & \\underline{70.0}" in written and "Toy \\& more." in written
    )


def test_our_table_has_blocks_spread_and_notes(runs_dir):
    (table,) = own_tables(sections(find_runs(runs_dir))[0])
    assert [block.heading for block in table.blocks] == ["Reference points", "Self-supervised", "Upper bound"]
    assert table.columns == ["Linear", "1-NN", "5 %"]
    rows = dict(table.blocks[1].rows)
    assert [entry.text for entry in rows["Full method, language"]] == ["90.0 ± 0.0", "87.5 ± 0.0", "87.5 ± 0.0"]
    assert table.blocks[0].rows[0][1][2].value is None  # no few labels for the untrained encoder
    notes = " ".join(table.notes)
    assert "stand-in, not a vision-language model" in notes and "trained in float32 on a CPU" in notes
    assert "over 2 seeds" in table.caption
    check_latex(latex([table]))


def test_published_numbers_have_their_source_and_ours_a_command(runs_dir):
    tables = published_tables(standings(find_runs(runs_dir)))
    linear = tables[0]
    assert linear.columns[:2] == ["NTU-60 x-sub", "NTU-60 x-view"] and [b.heading for b in linear.blocks] == [
        "Published"
    ]
    rows = dict(linear.blocks[0].rows)
    key = re.fullmatch(r"84\.4 \((\w)\)", rows["C²VL (the paper)"][0].text)
    assert key and any(note.startswith(f"{key[1]}: as quoted by one community list") for note in linear.notes)
    assert any("needs the NTU licence: NTU-60 x-sub, NTU-60 x-view" in note for note in linear.notes)
    assert "NTU-60 x-sub, 10 %" in tables[-1].columns and len(tables) == 3
    assert "AimCLR, three streams" in dict(tables[-1].blocks[0].rows)
    check_latex(latex(tables))


def test_ones_own_published_number_stands_beside_ours(runs_dir, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "method,evaluation,stream,dataset,protocol,accuracy,source\nMine_1,linear,joint,toy,xsub,81.5,here\n"
    )
    tables = published_tables(standings(find_runs(runs_dir), path))
    ours = dict(tables[0].blocks[1].rows)
    assert tables[0].blocks[1].heading == "Here" and ours["Full method, language"][-1].text == "90.0 ± 0.0"
    assert "supervised" not in " ".join(ours).lower()


def test_the_report_writes_both_files(runs_dir, tmp_path):
    build_report(runs_dir, tmp_path / "report", "Toy")
    check_latex((tmp_path / "report" / "paper_tables.tex").read_text())
    assert "| *Self-supervised* |" in (tmp_path / "report" / "paper_tables.md").read_text()


def test_signs_that_latex_reads_are_written_out():
    assert tex("50 % of_a & {b} ± <c> C²VL") == r"50 \% of\_a \& \{b\} $\pm$ $<$c$>$ C$^2$VL"
