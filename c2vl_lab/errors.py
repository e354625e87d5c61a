"""The errors a researcher reads: what was wanted, what was found where, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 5000  # characters of a message


class C2VLError(Exception):
    """Root of every error that the package raises on purpose.

    Messages quote what files hold and how they are called. What a terminal or a text file cannot take (control
    characters, half characters) is written as an escape, and a message without end is cut.
    """

    def __init__(self, message: object = ""):
        text = str(message)
        if not text.replace("\n", "").isprintable():
            text = "".join(c if c == "\n" or c.isprintable() else ascii(c)[1:-1] for c in text[: 2 * LONGEST])
        super().__init__(text if len(text) <= LONGEST else f"{text[:LONGEST]} ... (the rest of the message is cut)")


class ConfigError(C2VLError):
    """A setting is unknown, misspelled or out of range."""


class DataError(C2VLError):
    """A recording, store or label cannot be used as it was found."""


class MissingError(C2VLError):
    """A file, folder, checkpoint or package that was asked for is not there."""


class StorageError(C2VLError):
    """A result cannot be written: the disk is full, the folder is read-only."""


def near_miss(name: str, known: Iterable[str]) -> str:
    """The tail of an "unknown name" sentence: the nearest known name, then all of them."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    hint = f"Did you mean '{close[0]}'? " if close else ""
    return f"{hint}Known: {', '.join(options)}."


def choose(name: str, table: dict, what: str):
    """``table[name]``, or a :class:`ConfigError` that names the near miss.

    Raises:
        ConfigError: ``name`` is no key of ``table``.
    """
    if name not in table:
        raise ConfigError(f"There is no {what} named '{name}'. {near_miss(name, table)}")
    return table[name]
