"""The table of one's own recordings: read from a file, and names of performers and cameras as numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from c2vl_lab.data.clips import printable
from c2vl_lab.errors import DataError, MissingError

NUMBERS = ("subject", "camera", "setup", "trial")
SHOWN = 60  # characters of a name in the notes
WANTED = (
    "Wanted a folder with table.csv (columns name, label, where known subject) and an array <name>.npy for each row."
)


def read_table(path: str | Path) -> pd.DataFrame:
    """A table of recordings from a ``.csv`` file.

    Raises:
        MissingError: there is no such file.
        DataError: it cannot be read, or lacks the columns ``name`` and ``label``.
    """
    if not Path(path).is_file():
        raise MissingError(f"There is no file {path}. {WANTED}")
    try:
        table = pd.read_csv(path)
    except (ValueError, OSError) as error:  # pandas' own errors, and those of decoding, are ValueErrors
        why = printable(str(error))[:300]
        raise DataError(f"{path}: wanted a table with commas between its columns ({why}).") from error
    if lacking := [column for column in ("name", "label") if column not in table.columns]:
        raise DataError(f"{path}: the table lacks the columns {lacking}. {WANTED}")
    return table


def numbered(table: pd.DataFrame, notes: dict[str, Any]) -> pd.DataFrame:
    """The table with texts in the columns of numbers replaced by numbers: their places in sorted order, from 1.

    Texts that are all digits become the numbers that they say. A column with an empty place is left as it is, for the
    row to be named later.

    Args:
        table: a row a clip.
        notes: told which text became which number.
    """
    for column in NUMBERS:
        values = table[column].tolist() if column in table.columns else []
        if not any(isinstance(value, str) for value in values):
            continue
        texts = [str(value).strip() for value in values if pd.api.types.is_scalar(value) and not pd.isna(value)]
        if len(texts) < len(values) or not all(texts):
            continue
        known = sorted(set(texts))
        if all(re.fullmatch(r"[0-9]{1,9}", text) for text in known):
            numbers = {text: int(text) for text in known}
        else:
            numbers = {text: place for place, text in enumerate(known, 1)}
            said = (f"{place} = {printable(text)[:SHOWN]}" for text, place in numbers.items())
            notes[f"numbers given to the texts of column {column}"] = ", ".join(said)
        table = table.assign(**{column: [numbers[text] for text in texts]})
    return table
