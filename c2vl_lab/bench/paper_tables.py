"""Tables for a paper: methods in rows, evaluations or data sets in columns, as LaTeX with booktabs and as Markdown.

A table is made of blocks (what nothing was learned for, what learned without labels, three streams, the upper bound,
the literature). Inside a block, and never across blocks, the best mean is bold and the second underlined: the marks
say which number is the largest, not that a difference is shown; that is what results.md and comparisons.csv are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.bench.protocol_numbers import LINEAR, NEAREST, Number
from c2vl_lab.bench.published import SEMI
from c2vl_lab.bench.report_markdown import bar_free
from c2vl_lab.bench.report_tables import Section, precision_text
from c2vl_lab.bench.results import GROUPS

FILES = ("paper_tables.tex", "paper_tables.md")
STREAMS = "Three streams"
# Column heading, protocol, and how its measure begins; protocols that are not named here give their first measure.
COLUMNS = (
    ("Linear", "linear-own", "accuracy"),
    ("1-NN", "knn1", "accuracy"),
    ("1 %", "semi", "1 % of"),
    ("5 %", "semi", "5 % of"),
    ("10 %", "semi", "10 % of"),
    ("20 %", "semi", "20 % of"),
    ("Clusters", "cluster", "accuracy, matched on the test labels"),
    ("NMI", "cluster", "normalised mutual information"),
    ("R@1", "retrieval", "skeleton to text, R@1, all clips"),
    ("Unseen", "zero-shot", "map: unseen classes alone"),
)
DAMAGES = (
    ("none", "robust", "undamaged"),
    ("joints lost, 0.3", "robust", "joints lost, 0.3"),
    ("jitter, 0.1", "robust", "jitter, 0.1"),
    ("limb hidden, 0.5", "robust", "limb hidden, 0.5"),
    ("frames lost, 0.6", "robust", "frames lost, 0.6"),
    ("turned, 60", "robust", "turned, 60"),
)
WORDS = {
    "1 %": "1 % to 20 %: linear probes with that share of the labels",
    "Clusters": "clusters: k-means matched with the classes on the test labels, an upper bound",
    "NMI": "NMI: normalised mutual information",
    "R@1": "R@1: from a skeleton to its own sentences",
    "Unseen": "unseen: classes told by their names alone, by a map learned on the other classes",
}


@dataclass(frozen=True)
class Entry:
    """One number of a table: what decides its mark, and its text; ``value`` None where there is none."""

    value: float | None = None
    text: str = "–"


@dataclass(frozen=True)
class Block:
    """Rows that are compared with one another: a heading, and for each method its name and entries."""

    heading: str
    rows: list[tuple[str, list[Entry]]]

    def marks(self, column: int) -> tuple[float | None, float | None]:
        """Best and second value of a column, where methods differ in it; equal ones share a mark."""
        found = {value for _, entries in self.rows if (value := entries[column].value) is not None}
        values = sorted(found, reverse=True)
        return (values[0], values[1]) if len(values) > 1 else (None, None)


@dataclass(frozen=True)
class PaperTable:
    """A table: its name in ``\\label``, caption, columns, blocks and footnotes."""

    name: str
    caption: str
    columns: list[str]
    blocks: list[Block]
    notes: list[str]


def write_paper_tables(report_dir: Path, sections: Sequence[Section], beside: Sequence[dict[str, str]]) -> None:
    """Write ``paper_tables.tex`` and ``paper_tables.md`` into a report's folder.

    Args:
        report_dir: the folder.
        sections: of the report, one for each data set and protocol.
        beside: published numbers and ours, of :func:`c2vl_lab.bench.published.standings`.
    """
    tables = [table for number, section in enumerate(sections, 1) for table in own_tables(section, number)]
    tables += published_tables(beside)
    for name, text in zip(FILES, (latex(tables), in_markdown(tables)), strict=True):
        with atomic_path(report_dir / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def own_tables(section: Section, number: int = 1) -> list[PaperTable]:
    """Our arms on one data set: the evaluations, and damaged test clips where they were measured."""
    named = {protocol for _, protocol, _ in (*COLUMNS, *DAMAGES)} | {"linear", "knn"}
    more = {n.protocol: (n.title, n.protocol, n.measure) for n in reversed(section.numbers) if n.protocol not in named}
    seeds = sorted({len(runs) for runs in section.arms.values()})
    over = f"{seeds[0]} to {seeds[-1]} seeds" if len(seeds) > 1 else f"{seeds[0]} seeds" if seeds[0] > 1 else ""
    spread = f", mean ± sample standard deviation over {over}" if over else ", one seed"
    found = []
    for name, what, wanted in (
        ("results", "frozen features by several evaluations", (*COLUMNS, *reversed(more.values()))),
        ("damage", "linear probe of undamaged training clips on damaged test clips", DAMAGES),
    ):
        columns = [own for own in wanted if _numbers(section, own)]
        if not columns or (name == "damage" and len(columns) < 2):
            continue
        caption = f"{section.title}: {what}. Accuracy in %{spread}"
        notes = [WORDS[head] for head, _, _ in columns if head in WORDS] + _origin(section)
        blocks = _blocks(section, [_numbers(section, own) for own in columns])
        found.append(PaperTable(f"{name}-{number}", caption + ".", [head for head, _, _ in columns], blocks, notes))
    return found


def _numbers(section: Section, column: tuple[str, str, str]) -> dict[str, Number]:
    """Label to the arm's number of a column."""
    _, protocol, start = column
    title = {"linear-own": LINEAR, "knn1": NEAREST}.get(protocol)
    fits: Callable[[Number], bool] = lambda n: n.title == title if title else n.protocol == protocol  # noqa: E731
    return {n.label: n for n in section.numbers if fits(n) and n.measure.startswith(start)}


def _blocks(section: Section, columns: Sequence[dict[str, Number]]) -> list[Block]:
    """The arms by group, fused streams apart."""
    groups: dict[str, list[tuple[str, list[Entry]]]] = {}
    for label, runs in section.arms.items():
        entries = [_entry(column.get(label)) for column in columns]
        if any(entry.value is not None for entry in entries):
            group = GROUPS.get(runs[0].arm, "Self-supervised")
            fused = runs[0].is_fused and runs[0].arm != "supervised"
            groups.setdefault(STREAMS if fused else group, []).append((label, entries))
    order = [name for name in ("Reference points", "Self-supervised", STREAMS, "Upper bound") if name in groups]
    return [Block(name, groups[name]) for name in order]


def _entry(number: Number | None) -> Entry:
    return Entry() if number is None else Entry(number.mean, number.text)


def _origin(section: Section) -> list[str]:
    """What has to be known before a number is read: data, teacher, precision."""
    runs = [run for own in section.arms.values() for run in own]
    teachers = dict.fromkeys(str(r.results["teacher"]) for r in runs if r.results.get("stand_in_teacher"))
    found = ["Generated clips, no recordings"] if any(r.results.get("generated") for r in runs) else []
    found += [f"Teacher: {own}, a stand-in, not a vision-language model" for own in teachers]
    trained = dict.fromkeys(precision_text(run) for run in runs if run.results.get("encoder"))
    return found + [f"encoders {text}" for text in trained if text]


def published_tables(beside: Sequence[dict[str, str]]) -> list[PaperTable]:
    """The literature: linear probes by stream, then the other evaluations; ours in a block of their own, or not run."""
    groups: dict[str, list[dict[str, str]]] = {}
    for row in beside:
        linear = row["evaluation"] == "linear"
        groups.setdefault(f"linear, {row['stream']}" if linear else "other evaluations", []).append(row)
    return [_published(number, heading, rows) for number, (heading, rows) in enumerate(groups.items(), 1)]


def _published(number: int, heading: str, rows: list[dict[str, str]]) -> PaperTable:
    columns = list(dict.fromkeys(_column(row) for row in rows))
    theirs, ours = ([r for r in rows if bool(r["ours"]) is mine and r["accuracy"] != "–"] for mine in (False, True))
    keys = {source: chr(ord("a") + place) for place, source in enumerate(dict.fromkeys(r["source"] for r in theirs))}
    blocks = [Block("Published", _by_method(theirs, columns, keys))]
    blocks += [Block("Here", _by_method(ours, columns, {}))] if ours else []
    notes = [f"{key}: {source}" for source, key in keys.items()]
    absent = [row for row in rows if row["ours"] and row["accuracy"] == "–"]
    for why in dict.fromkeys(row["method"] for row in absent):
        sets = dict.fromkeys(f"{row['dataset']} {row['protocol']}" for row in absent if row["method"] == why)
        notes.append(f"Ours {why}: {', '.join(sets)}; the commands are in results.md")
    if any("frozen features" in row["evaluation"] for row in ours):
        notes.append("Ours with few labels are probes on frozen features, the published are fine-tuned")
    return PaperTable(f"published-{number}", f"Published accuracy in %: {heading}.", columns, blocks, notes)


def _column(row: dict[str, str]) -> str:
    """Heading of the column that a published number, or ours beside it, stands in."""
    evaluation = row["evaluation"].removesuffix(", frozen features").removeprefix(SEMI)
    return f"{row['dataset']} {row['protocol']}" + ("" if evaluation == "linear" else f", {evaluation}")


def _by_method(
    rows: Iterable[dict[str, str]], columns: Sequence[str], keys: dict[str, str]
) -> list[tuple[str, list[Entry]]]:
    """One row a method, the key of its source behind each number."""
    found: dict[str, list[Entry]] = {}
    for row in rows:
        three = row["evaluation"] != "linear" and row["stream"] != "joint"
        method = row["method"] + (f", {row['stream']}" if three else "")
        entries = found.setdefault(method, [Entry() for _ in columns])
        key = f" ({keys[row['source']]})" if row["source"] in keys else ""
        value = float(row["accuracy"].split(" ")[0])
        entries[columns.index(_column(row))] = Entry(value, row["accuracy"] + key)
    return list(found.items())


def latex(tables: Sequence[PaperTable]) -> str:
    """The tables as LaTeX to be ``\\input``; wants the package booktabs and nothing else."""
    lines = ["% \\usepackage{booktabs}; wide tables fit with \\resizebox or a table* environment", ""]
    for table in tables:
        wide = 1 + len(table.columns)
        lines += ["\\begin{table}[t]", "\\centering\\small", f"\\caption{{{tex(table.caption)}}}"]
        lines += [f"\\label{{tab:{table.name}}}", f"\\begin{{tabular}}{{l{'c' * len(table.columns)}}}", "\\toprule"]
        lines += [" & ".join(["Method", *map(tex, table.columns)]) + " \\\\"]
        for block in table.blocks:
            lines += ["\\midrule", f"\\multicolumn{{{wide}}}{{l}}{{\\emph{{{tex(block.heading)}}}}} \\\\"]
            for method, entries in block.rows:
                cells = [_marked(block, i, e, tex, ("\\textbf{%s}", "\\underline{%s}")) for i, e in enumerate(entries)]
                lines.append(" & ".join([tex(method), *cells]) + " \\\\")
        lines += ["\\bottomrule", "\\end{tabular}"]
        if table.notes:
            lines += ["", f"\\smallskip{{\\footnotesize {tex('; '.join(table.notes))}.\\par}}"]
        lines += ["\\end{table}", ""]
    return "\n".join(lines)


def in_markdown(tables: Sequence[PaperTable]) -> str:
    """The tables as Markdown; bold is the best of a block, underlined the second."""
    lines: list[str] = []
    for table in tables:
        lines += [f"**{table.caption}**", "", f"| Method | {' | '.join(map(bar_free, table.columns))} |"]
        lines += ["|---" * (1 + len(table.columns)) + "|"]
        for block in table.blocks:
            lines.append(f"| *{bar_free(block.heading)}* |" + " |" * len(table.columns))
            for method, entries in block.rows:
                cells = [_marked(block, i, e, bar_free, ("**%s**", "<u>%s</u>")) for i, e in enumerate(entries)]
                lines.append(f"| {' | '.join([bar_free(method), *cells])} |")
        lines += ["", *([f"{bar_free('; '.join(table.notes))}.", ""] if table.notes else [])]
    return "\n".join(lines)


def _marked(block: Block, column: int, entry: Entry, clean: Callable[[str], str], marks: tuple[str, str]) -> str:
    """An entry's text, marked where it is the best or the second of its block."""
    best, second = block.marks(column)
    text = clean(entry.text)
    if entry.value is None:
        return text
    return marks[0] % text if entry.value == best else marks[1] % text if entry.value == second else text


TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--"}
TEX |= {"²": r"$^2$", "−": "$-$", "“": "``", "”": "''", "<": "$<$", ">": "$>$", "→": r"$\to$", "\u00a0": "~"}
TEX |= {sign: f"\\{sign}" for sign in "&%$#_{}"}


def tex(text: str) -> str:
    """Text with everything that LaTeX reads otherwise written out."""
    return "".join(TEX.get(sign, sign) for sign in text)
