"""Progress in a notebook: one line that the next one replaces."""

from __future__ import annotations

import sys

WIDTH = 110  # the longest line that a shorter one must cover


def same_line(line: str) -> None:
    """Show a progress line in the place of the one before.

    The lines end in a carriage return: a notebook's page shows the last one only, while a command that
    executes the notebook hears each of them.
    """
    sys.stdout.write(f"{line:<{WIDTH}}\r")
    sys.stdout.flush()
