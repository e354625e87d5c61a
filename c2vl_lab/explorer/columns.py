"""Columns of the table of clips as categories with colours: what maps are coloured and filtered by."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from c2vl_lab.errors import ConfigError, near_miss
from c2vl_lab.viz import theme

MOST = 400  # categories of a column that one can still colour by
UNKNOWN = "not known"
FIXED = {"right": "#0072B2", "wrong": "#D55E00", "train": "#88CCEE", "test": "#882255", UNKNOWN: theme.QUIET}
BINS = 5
RAMP = ("#3B4CC0", "#7B8FD9", "#B4B9C9", "#E0A063", "#B40426")  # low to high, apart for colour-blind readers


@dataclass(frozen=True)
class Column:
    """A column as categories.

    Attributes:
        names: the categories, in the order of the legend.
        colors: one ``#rrggbb`` for each.
        codes: (N,) which category each clip is of.
    """

    names: list[str]
    colors: list[str]
    codes: np.ndarray


def columns_of(table: pd.DataFrame, classes: Sequence[str]) -> dict[str, Column]:
    """All columns but the name, as categories; a column with too many different values is left out."""
    found = {}
    for name in table.columns:
        if name == "name":
            continue
        column = class_column(table["class"], classes) if name == "class" else column_of(table[name])
        if column is not None:
            found[str(name)] = column
    if "predicted" in found:
        found["predicted"] = class_column(table["predicted"], classes)
    return found


def class_column(values: pd.Series, classes: Sequence[str]) -> Column:
    """A column of class names in the order of their labels, so that a class has one colour everywhere."""
    names = list(classes)
    places = {name: code for code, name in enumerate(names)}
    words = [UNKNOWN if pd.isna(value) else str(value) for value in values]
    strangers = sorted({word for word in words if word not in places})
    places |= {word: len(names) + k for k, word in enumerate(strangers)}
    colors = theme.class_colors(len(names)) + [theme.QUIET] * len(strangers)
    return Column(names + strangers, colors, np.array([places[word] for word in words], np.int16))


def column_of(values: pd.Series) -> Column | None:
    """Any column; floats become five steps between the least and the largest. None: too many categories.

    A pandas Categorical keeps its order, any other column is sorted.
    """
    if pd.api.types.is_float_dtype(values):
        return _steps(values.to_numpy(float))
    words = [UNKNOWN if pd.isna(value) else _word(value) for value in values]
    names = sorted(set(words), key=_by_numbers)
    if isinstance(values.dtype, pd.CategoricalDtype):
        order = [_word(value) for value in values.cat.categories]
        names = sorted(names, key=lambda name: order.index(name) if name in order else len(order))
    if len(names) > MOST:
        return None
    colors = [FIXED.get(name, color) for name, color in zip(names, theme.class_colors(len(names)), strict=True)]
    places = {name: code for code, name in enumerate(names)}
    return Column(names, colors, np.array([places[word] for word in words], np.int16))


def check_column(name: str, columns: dict[str, Column]) -> Column:
    """The column of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in columns:
        raise ConfigError(f"The clips have no column '{name}' to colour or filter by. {near_miss(name, columns)}")
    return columns[name]


def _word(value: object) -> str:
    return {True: "right", False: "wrong"}[bool(value)] if isinstance(value, (bool, np.bool_)) else str(value)


def _steps(values: np.ndarray) -> Column:
    """A measure in five equal steps."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if low >= 0 and high <= 1:  # a share
        low, high = 0.0, 1.0
    edges = np.linspace(low, high, BINS + 1)
    names = [f"{a:.3g} to {b:.3g}" for a, b in itertools.pairwise(edges)]
    codes = np.clip(np.searchsorted(edges, np.nan_to_num(values), side="right") - 1, 0, BINS - 1)
    if len(known) == len(values):
        return Column(names, list(RAMP), codes.astype(np.int16))
    codes[~np.isfinite(values)] = BINS
    return Column([*names, UNKNOWN], [*RAMP, FIXED[UNKNOWN]], codes.astype(np.int16))


def _by_numbers(word: str) -> tuple[bool, list[tuple[int, str]]]:
    """For sorting: 2 before 10, what is not known last."""
    parts = re.split(r"([0-9]+)", word)
    return word == UNKNOWN, [(int(p), "") if p.isdecimal() and p.isascii() else (-1, p) for p in parts]
