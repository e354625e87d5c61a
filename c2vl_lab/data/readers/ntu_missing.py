"""The samples of NTU RGB+D whose skeletons are missing or incomplete, by name, as the data set's authors list them."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def missing_names(classes: int) -> frozenset[str]:
    """Names (``S001C002P005R002A008``) to leave out: 302 for 60 classes, 535 for 120.

    Source: the list in the repository of the data set's authors (shahroudy/NTURGB-D).
    """
    lines = (Path(__file__).with_suffix(".txt")).read_text(encoding="utf-8").splitlines()
    names = (
        (sample, int(action))
        for line in lines
        if not line.startswith("#")
        for sample, *actions in [line.split()]
        for action in actions
    )
    return frozenset(f"{sample}A{action:03d}" for sample, action in names if action <= classes)
