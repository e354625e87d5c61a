"""The errors a researcher reads: what was wanted, what was found where, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class C2VLError(Exception):
    """Root of every error that the package raises on purpose."""


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
