"""Two suites side by side as one offline HTML page, as Markdown and as CSV."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.bench.attempts import watt_hours
from c2vl_lab.bench.estimate import duration
from c2vl_lab.bench.machine import git_commit
from c2vl_lab.bench.pages import html_page
from c2vl_lab.bench.protocol_numbers import FORMS
from c2vl_lab.bench.report_markdown import bar_free, markdown_table
from c2vl_lab.bench.sides import Side, read_side
from c2vl_lab.bench.two_suites import RULE_OF_TWO, Measured, Meeting, Pair, lonely, meetings, what_differs

HEAD = ["arm", "A", "B", "B\u00a0−\u00a0A", "95 % over clips and seeds", "p (Holm)", "what is shown"]
SECONDS = ["arm", "pre-training, s: A", "B", "evaluation, s: A", "B"]
COLUMNS = ["section", "measure", "unit", "arm", "a_mean", "a_spread", "a_seeds", "b_mean", "b_spread", "b_seeds"]
COLUMNS += ["difference", "low", "high", "p_holm", "clips", "shown"]


def compare_suites(
    first: str | Path,
    second: str | Path,
    output: str | Path = "",
    command: str = "",
    same: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write ``index.html``, ``comparison.md`` and ``comparison.csv`` of two finished suites.

    Args:
        first, second: A and B, each a report's folder or that of a suite's runs. Run folders keep the predictions of
            every protocol, reports those of the linear probe and 1-NN.
        output: folder of the comparison; empty: ``reports/A-vs-B``.
        command: what a reader types to get the same.
        same: (arm of A, arm of B) to set side by side although names and settings differ.

    Returns:
        Path of ``index.html``.

    Raises:
        MissingError: one of the folders is neither.
        ConfigError: ``same`` names an arm that its side does not have.
    """
    a, b = read_side(first), read_side(second)
    target = Path(output or Path("reports") / f"{a.name}-vs-{b.name}")
    values = page_values(a, b, command, same)
    with atomic_path(target / "comparison.csv") as temporary:
        long_table(values["meetings"]).to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")
    with atomic_path(target / "comparison.md") as temporary:
        temporary.write_text(markdown(values), encoding="utf-8")
    with atomic_path(target / "index.html") as temporary:
        temporary.write_text(_render(values), encoding="utf-8")
    return target / "index.html"


def page_values(a: Side, b: Side, command: str = "", same: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """What page and Markdown show."""
    met = meetings(a, b, same)
    return {
        "a": a,
        "b": b,
        "title": f"A: {a.title}. B: {b.title}",
        "made": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": git_commit(),
        "command": command,
        "meetings": met,
        "warnings": [text for meeting in met for text in meeting.warnings],
        "differs": what_differs(a, b),
        "lonely": lonely(a, b),
        "rest": [(name, *run) for name, side in (("A", a), ("B", b)) for run in side.rest],
        "spent": [(name, spent_words(side)) for name, side in (("A", a), ("B", b))],
        "rule": RULE_OF_TWO,
    }


def spent_words(side: Side) -> str:
    """Wall time and energy of a side in words."""
    took, joules = side.spent.get("wall_seconds"), side.spent.get("energy_joules")
    energy = watt_hours(joules) if joules is not None else "not known"
    return f"{f'{duration(took)} of wall time in sum' if took else 'wall time not recorded'}, energy {energy}"


def row_texts(pair: Pair) -> list[str]:
    """A pair as the texts of :data:`HEAD`."""
    scale, form = FORMS.get(pair.first.unit, (1, ".3f"))
    interval, p, verdict = "–", "–", pair.verdict
    if pair.paired is not None:
        interval = f"{_signed(scale * pair.paired.low, form)} to {_signed(scale * pair.paired.high, form)}"
        p = "< 0.001" if pair.p < 0.001 else f"{pair.p:.3f}"
        verdict += f" ({pair.clips:,} clips, {pair.paired.seeds} seeds)"
    difference = _signed(scale * pair.difference, form) if pair.is_difference else "–"
    return [pair.label, pair.first.text, pair.second.text, difference, interval, p, verdict]


def table_texts(table: Measured) -> list[list[str]]:
    """All rows of a measure as texts of :data:`HEAD`, those of one side alone last."""
    alone = [
        [number.label, *((number.text, "–") if side == "A" else ("–", number.text)), "–", "–", "–", f"only in {side}"]
        for side, number in table.alone
    ]
    return [*map(row_texts, table.pairs), *alone]


def seconds_texts(meeting: Meeting) -> list[list[str]]:
    """Costs of the shared arms as texts of :data:`SECONDS`."""
    return [[label, *(f"{value:.1f}" if value else "–" for value in times)] for label, *times in meeting.seconds]


def long_table(met: list[Meeting]) -> pd.DataFrame:
    """Everything as one table: a row an arm and measure, those of one side too. Shares are 0 to 1."""
    rows = []
    for meeting in met:
        for table in meeting.tables:
            about = {"section": meeting.title, "measure": table.title, "unit": table.unit}
            rows += [about | _row(pair) for pair in table.pairs]
            for side, number in table.alone:
                own = {"mean": number.mean, "spread": number.spread, "seeds": len(number.values)}
                named = {f"{side.lower()}_{name}": value for name, value in own.items()}
                rows.append(about | {"arm": number.label, "shown": f"only in {side}"} | named)
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(pair: Pair) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": pair.label, "shown": pair.verdict}
    for side, number in (("a", pair.first), ("b", pair.second)):
        row |= {f"{side}_mean": number.mean, f"{side}_spread": number.spread, f"{side}_seeds": len(number.values)}
    if pair.is_difference:
        row["difference"] = pair.difference
    if pair.paired is not None:
        row |= {"low": pair.paired.low, "high": pair.paired.high, "p_holm": pair.p, "clips": pair.clips}
    return row


def markdown(values: dict[str, Any]) -> str:
    """The comparison as Markdown."""
    lines = ["# Two suites side by side", "", f"- A: {values['a'].title}", f"- B: {values['b'].title}", ""]
    lines += [f"**Warning.** {bar_free(text)}" + "\n" for text in values["warnings"]]
    lines += (
        ["## What differs", "", *markdown_table(["", "A", "B"], values["differs"]), ""] if values["differs"] else []
    )
    for meeting in values["meetings"]:
        lines += [f"## {bar_free(meeting.title)}", ""]
        if meeting.settings:
            lines += [*markdown_table(["rows", "setting", "A", "B"], meeting.settings), ""]
        for table in meeting.tables:
            lines += [f"### {bar_free(table.title)}", "", *markdown_table(HEAD, table_texts(table)), ""]
        lines += ["### Costs, mean seconds of a run", "", *markdown_table(SECONDS, seconds_texts(meeting)), ""]
    if values["meetings"]:
        lines += [values["rule"], ""]
    lines += [f"Only {name} has {title}." + "\n" for name, title in values["lonely"]]
    lines += [f"{name}: {text}." + "\n" for name, text in values["spent"]]
    if values["rest"]:
        lines += ["## Runs that are not complete", ""]
        lines += [*markdown_table(["side", "run", "arm", "state", "why"], values["rest"]), ""]
    lines += [f"Made by `{values['command']}`."] if values["command"] else []
    return "\n".join(lines).rstrip() + "\n"


def _signed(value: float, form: str) -> str:
    return f"{value:+{form}}".replace("-", "−")


def _render(values: dict[str, Any]) -> str:
    """The page; every value from data is escaped by the template."""
    texts = {"head": HEAD, "rows": table_texts, "seconds": SECONDS, "seconds_rows": seconds_texts}
    return html_page("two_suites_page.html", values | texts)
