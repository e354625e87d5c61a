"""Watch a suite in a notebook while it runs, from its files alone, whoever runs it and where."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path

import ipywidgets as widgets

from c2vl_lab.bench.progress import ORDER, Row, clock, headline, suite_rows
from c2vl_lab.viz.desk_tables import Line
from c2vl_lab.viz.live import LiveView

HEAD = ("run", "state", "", "", "clips/s", "time", "left")
RIGHT = "style='text-align:right;padding:1px 8px;white-space:nowrap'"
LEFT = "style='text-align:left;padding:1px 8px;max-width:24em;overflow:hidden;white-space:nowrap'"
COLORS = {"running": "#1f77b4", "failed": "#c0392b", "waiting": "#888888", "complete": "#2e8b57"}


class SuiteFollower(LiveView):
    """A live table of a suite's runs.

    Attributes:
        folder: of the suite's runs, as `c2vl bench --dry-run` names it; it need not be there yet.
        table: the widget that a notebook shows.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.table = widgets.HTML()
        super().__init__(self.table)
        self.refresh()

    def refresh(self) -> None:
        """Read the files and show what they say; sent to the browser only where something has changed."""
        rows = suite_rows(self.folder)
        text = table_html(rows) if rows else f"<em>No suite has been started in {escape(str(self.folder))} yet.</em>"
        if text != self.table.value:
            self.table.value = text


def follow_suite(folder: str | Path) -> SuiteFollower | Line:
    """A live table of a suite's runs in Jupyter; elsewhere, as in an executed report, a line in its place.

    Args:
        folder: of the suite's runs, ``work/runs/<suite>/<preset>``; the suite may begin later, and run anywhere.
    """
    if "JPY_SESSION_NAME" in os.environ:  # Jupyter's server names its sessions, see theme.setup
        return SuiteFollower(folder)
    rows = suite_rows(folder)
    return Line(headline(rows) if rows else f"No suite has been started in {folder} yet.")


def table_html(rows: list[Row]) -> str:
    """The rows as HTML: those that run first, then failed, waiting and complete ones."""
    ranked = sorted(rows, key=lambda row: ORDER.index(row.state))
    head = "".join(f"<th {LEFT if i < 4 else RIGHT}>{name}</th>" for i, name in enumerate(HEAD))
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in ranked)
    return (
        f"<b>{escape(headline(rows))}</b><table style='border-collapse:collapse;line-height:1.4'>{head}{body}</table>"
    )


def _cells(row: Row) -> str:
    """One row's cells."""
    share = f"{100 * row.share:.0f}%"
    bar = ""
    if row.state == "running" and row.share:
        fill = f"background:{COLORS['running']};width:{share};height:0.7em"
        bar = f"<div style='width:6em;background:#8884' title='{share}'><div style='{fill}'></div></div>"
    state = f"<span style='color:{COLORS[row.state]}'>{row.state}</span>"
    left = [f"<span title='{escape(row.id)}'>{escape(row.label)}</span>", state, bar]
    left.append(f"<span title='{escape(row.doing)}'>{escape(row.doing)}</span>")
    right = [f"{row.rate:,.0f}" if row.rate else "", clock(row.seconds), clock(row.left)]
    return "".join([f"<td {LEFT}>{c}</td>" for c in left] + [f"<td {RIGHT}>{c}</td>" for c in right])
