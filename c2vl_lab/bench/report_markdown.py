"""The report's tables as Markdown, to be committed or sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from c2vl_lab.bench.compared import RULE
from c2vl_lab.bench.report_protocols import class_gains, differences, protocol_tables
from c2vl_lab.bench.report_tables import Section
from c2vl_lab.bench.results import Run


def markdown(
    title: str,
    found: Sequence[Section],
    failed: Sequence[Run],
    command: str,
    beside: Sequence[dict[str, str]] = (),
) -> str:
    """The result tables as Markdown, to be committed or sent.

    Args:
        title: heading.
        found: one section for each data set and protocol.
        failed: runs that are not complete.
        command: what a reader types to get the same.
        beside: published numbers and ours, of :func:`c2vl_lab.bench.published.standings`.
    """
    lines = [f"# {title}", ""]
    for section in found:
        lines += [f"## {section.title}", "", *(f"- {term}: {text}" for term, text in section.facts), ""]
        lines += [
            "Accuracy on the test split in %, mean ± sample standard deviation over seeds, each seed in brackets.",
            "",
        ]
        lines += [f"| arm | encoder | {' | '.join(section.metrics)} |", "|---" * (2 + len(section.metrics)) + "|"]
        for row in section.rows:
            cells = [f"{c.text} ({c.seeds})" if c.seeds else "" for c in row.cells]
            lines.append("| " + " | ".join(bar_free(t) for t in (row.label, row.encoder, *cells)) + " |")
        lines.append("")
        if section.against:
            lines += [f"{bar_free(section.main)} against the other arms, linear probe, percentage points:", ""]
            lines += [
                "| against | difference | 95 % interval over clips | exact McNemar p, each seed | what is shown |",
                "|---|---|---|---|---|",
            ]
            for a in section.against:
                label = bar_free(f"{a.label} ({a.on})" if a.on else a.label)
                lines.append(f"| {label} | {a.difference} | {a.interval} | {bar_free(a.p_values)} | {a.verdict} |")
            lines += ["", RULE, ""]
        lines += protocol_markdown(section)
    if failed:
        lines += ["## Runs that are not complete", ""]
        lines += [f"- {run.path.name} ({run.label}): {run.status}. {run.error}".rstrip() for run in failed] + [""]
    if beside:
        lines += ["## Beside the literature", "", "Accuracy in %; ours in bold.", ""]
        lines += ["| method | evaluation | stream | data set | protocol | % | source |", "|---" * 7 + "|"]
        for own in beside:
            method = f"**{bar_free(own['method'])}**" if own["ours"] else bar_free(own["method"])
            cells = [bar_free(own[c]) for c in ("evaluation", "stream", "dataset", "protocol", "accuracy", "source")]
            lines.append("| " + " | ".join([method, *cells]) + " |")
        lines.append("")
    return "\n".join([*lines, f"Made by `{command}`." if command else ""]).rstrip() + "\n"


def bar_free(text: str) -> str:
    """Text for a Markdown table cell."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def protocol_markdown(section: Section) -> list[str]:
    """The protocols' tables of a section, the differences that matter most, and gains of classes, as lines."""
    lines: list[str] = []
    for table in protocol_tables(section):
        head = ["arm", "seeds", *table.measures]
        lines += [f"### {bar_free(table.title)}", "", *markdown_table(head, table.texts), ""]
        lines += [f"Not measured: {bar_free(reason)}: {bar_free(', '.join(arms))}." for reason, arms in table.absent]
        lines += [""] if table.absent else []
    rows = differences(section, headline=True)
    if rows:
        lines += ["### What is shown, by protocol", "", RULE, ""]
        lines += [*markdown_table(list(rows[0]), map(_values, rows)), ""]
    gains = class_gains(section)
    if gains:
        lines += [f"### Classes: {bar_free(section.main)} and its gain over other arms", ""]
        lines += ["Linear probe, % of the class's test clips, mean over seeds; gains in points.", ""]
        lines += [*markdown_table(list(gains[0]), map(_values, gains)), ""]
    return lines


def _values(row: dict[str, str]) -> list[str]:
    return list(row.values())


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    cells = [f"| {' | '.join(bar_free(text) for text in row)} |" for row in rows]
    return [f"| {' | '.join(map(bar_free, head))} |", "|---" * len(head) + "|", *cells]
