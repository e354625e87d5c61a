"""A suite's table in a terminal, which moves while the runs do; where there is none, plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from c2vl_lab.bench.progress import ORDER, Row, clock, headline, suite_rows

if TYPE_CHECKING:
    from rich.table import Table

LOOK = 1.0  # seconds between two looks at the files
BAR = 12  # characters
COLORS = {"running": "cyan", "failed": "red", "waiting": "dim", "complete": "green"}


@dataclass(frozen=True)
class Screen:
    """What a command tells its user by.

    Attributes:
        say: gets a line.
        watch: to be called often; draws the table anew once a second.
    """

    say: Callable[[str], None]
    watch: Callable[[], None]


@contextmanager
def screen(folder: Path, say: Callable[[str], None], live: bool | None = None) -> Iterator[Screen]:
    """A table of a suite's runs below the lines that are said; lines alone where the output is no terminal.

    Args:
        folder: of the suite's runs.
        say: what says a line where there is no table.
        live: whether to show one; None: where the output is a terminal.
    """
    if not (sys.stdout.isatty() if live is None else live):
        yield Screen(say, lambda: None)
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    drawn = [0.0]
    with Live(console=console, auto_refresh=False, transient=True) as table:

        def watch() -> None:
            if time.monotonic() - drawn[0] >= LOOK:
                drawn[0] = time.monotonic()
                table.update(suite_table(suite_rows(folder), console.height - 4), refresh=True)

        yield Screen(lambda line: console.print(Text(line)), watch)


def suite_table(rows: list[Row], height: int = 40) -> Table:
    """The table: runs that run first, then failed, waiting and complete ones, as many as the screen holds."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=headline(rows), title_justify="left", box=None, pad_edge=False, expand=True)
    table.add_column("run", ratio=5, no_wrap=True, overflow="ellipsis")
    table.add_column("state", width=8)
    table.add_column("progress", width=BAR + 5, no_wrap=True)
    table.add_column("", ratio=4, no_wrap=True, overflow="ellipsis")
    for name, width in (("clips/s", 8), ("time", 8), ("left", 8)):
        table.add_column(name, width=width, justify="right")
    ranked = sorted(rows, key=lambda row: ORDER.index(row.state))
    for row in ranked[: max(1, height - 3)]:
        bar = (
            f"{'━' * round(BAR * row.share):<{BAR}} {100 * row.share:3.0f}%"
            if row.state == "running" and row.share
            else ""
        )
        cells = [row.label, row.state, bar, row.doing, f"{row.rate:,.0f}" if row.rate else ""]
        cells += [clock(row.seconds), clock(row.left)]
        table.add_row(*(Text(cell) for cell in cells), style=COLORS[row.state])
    hidden = len(rows) - max(1, height - 3)
    if hidden > 0:
        table.add_row(Text(f"... and {hidden} more"), style="dim")
    return table
