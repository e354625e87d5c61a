"""Progress in a notebook: one line that the next one replaces."""

from __future__ import annotations

import re
import sys

BAR = 20  # characters
WIDTH = 110  # the longest line that a shorter one must cover


def same_line(line: str) -> None:
    """Show a progress line in the place of the one before.

    The lines end in a carriage return: a notebook's page shows the last one only, while a command that
    executes the notebook hears each of them.
    """
    sys.stdout.write(f"{with_bar(line):<{WIDTH}}\r")
    sys.stdout.flush()


def with_bar(line: str) -> str:
    """The line behind a bar, where it says how far something is ("epoch 12/60 ...", "128/5049 sentences")."""
    found = re.search(r"\b(\d+)/([1-9]\d*)\b", line)
    if not found:
        return line
    filled = round(BAR * min(1.0, int(found[1]) / int(found[2])))
    return f"[{'=' * filled}{' ' * (BAR - filled)}] {line}"
