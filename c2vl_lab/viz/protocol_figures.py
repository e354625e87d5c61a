"""All protocols of one run in one picture: a dot a number, a line for its interval, small dots for seeds or draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from c2vl_lab.errors import DataError
from c2vl_lab.viz import theme


def protocol_dots(records: Mapping[str, Mapping[str, Any]], title: str = "") -> Figure:
    """Every share of every protocol, one panel a protocol, from 0 to 100 %.

    Args:
        records: protocol name to what ``results.json`` keeps of it under ``protocols``; ranks and indices are left to
            the table.
        title: heading of the figure.

    Raises:
        DataError: no protocol was measured.
    """
    panels = {
        record["title"]: [m for m in record["measures"] if m["unit"] == "share"]
        for record in records.values()
        if any(m["unit"] == "share" for m in record.get("measures", ()))
    }
    if not panels:
        raise DataError("There is nothing to draw: no protocol was measured. Name some, for example protocols='all'.")
    sizes = [len(measures) + 1.5 for measures in panels.values()]
    figure = Figure(figsize=(theme.PAGE_WIDTH, 0.4 + 0.16 * sum(sizes)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=sizes)[:, 0]
    for own, (heading, measures) in zip(axes, panels.items(), strict=True):
        for place, measure in enumerate(measures):
            if measure["low"] is not None:
                own.hlines(
                    place, 100 * measure["low"], 100 * measure["high"], color=theme.QUIET, linewidth=2.5, zorder=1
                )
            if len(measure["values"]) > 1:
                each = [100 * value for value in measure["values"]]
                own.plot(each, [place] * len(each), "o", color=theme.ACCENT, markersize=2, alpha=0.6, zorder=2)
            own.plot(100 * measure["mean"], place, "o", color=theme.ACCENT, markersize=4.5, zorder=3)
        own.set_yticks(range(len(measures)), [m["name"] for m in measures], parse_math=False)
        own.set_title(heading, loc="left", fontsize="small", parse_math=False)
        own.set(xlim=(-1, 101), ylim=(len(measures) - 0.5, -0.5))
        own.grid(axis="x")
        own.tick_params(axis="y", length=0)
    axes[-1].set_xlabel("% on the test part; line: 95 % interval over test clips; small dots: seeds or draws")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize="medium", parse_math=False)
    return figure
