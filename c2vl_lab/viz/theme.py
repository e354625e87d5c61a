"""How everything looks: one palette, one mark per modality, plotly that survives into HTML.

Colours are those of Okabe and Ito (2008) and Paul Tol's "muted" scheme, which stay apart for
colour-blind readers; every modality also has a mark of its own, so colour is never the only sign.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """How one modality is drawn: its title, colour, plotly symbol and matplotlib marker."""

    title: str
    color: str
    symbol: str
    marker: str


MARKS = {
    "skeleton": Mark("skeleton", "#0072B2", "circle", "o"),
    "language": Mark("language", "#D55E00", "diamond", "D"),
    "vision": Mark("vision", "#009E73", "square", "s"),
    "class prompt": Mark("class prompt", "#CC79A7", "star", "*"),
}
LEFT, RIGHT, MIDDLE = "#0072B2", "#D55E00", "#6B7280"  # limbs, as the body itself has them; as in rendered pictures
ACCENT, QUIET = "#0072B2", "#9AA3AE"

# Tol's muted scheme without its light grey, its indigo lighter for dark pages; repeated lighter and darker when
# there are more classes than hues.
_MUTED = ("#4B5FC4", "#CC6677", "#117733", "#DDCC77", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499")
_SHADES = (0.0, 0.45, -0.35)


def mark_of(modality: str) -> Mark:
    """The mark of a modality; one that is not known gets a grey triangle and its own name."""
    return MARKS.get(modality, Mark(modality, QUIET, "triangle-up", "^"))


def class_colors(count: int) -> list[str]:
    """``count`` colours as ``#rrggbb``; up to 9 differ for colour-blind readers, 27 for others, then they repeat."""
    return [_shade(_MUTED[i % 9], _SHADES[i // 9 % 3]) for i in range(count)]


def _shade(color: str, amount: float) -> str:
    """Mix ``#rrggbb`` with white (amount above 0) or black (below 0)."""
    parts = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    target = 255 if amount > 0 else 0
    return "#" + "".join(f"{round(p + (target - p) * abs(amount)):02x}" for p in parts)


def lighter(color: str) -> str:
    """A paler shade of ``#rrggbb``, for a second body or a background series."""
    return _shade(color, _SHADES[1])


def setup(interactive: bool | None = None) -> str:
    """Set plotly's renderer for a notebook, and let it show matplotlib's figures; returns the renderer's name.

    Jupyter draws plotly figures from their data alone. In every other kernel (papermill's, above all) the
    figure is stored with the library as well, or nbconvert would drop it from the page without a word.

    Args:
        interactive: True for a notebook that somebody looks at in Jupyter, False for one that becomes a
            page, None to find out: Jupyter's server names its sessions in JPY_SESSION_NAME.
    """
    import pandas as pd
    import plotly.io

    pd.set_option("display.max_colwidth", None)  # sentences are there to be read to their end
    if interactive is None:
        interactive = "JPY_SESSION_NAME" in os.environ
    plotly.io.renderers.default = "plotly_mimetype" if interactive else "plotly_mimetype+notebook"
    plotly.io.templates.default = "plotly_white"
    _show_figures()
    return plotly.io.renderers.default


def _show_figures() -> None:
    """Let a notebook draw a figure that is a cell's last value; outside a notebook there is nothing to do."""
    try:
        from IPython.core.getipython import get_ipython
        from IPython.core.pylabtools import select_figure_formats
    except ImportError:
        return
    if (shell := get_ipython()) is not None:
        select_figure_formats(shell, {"retina"})


def origin_note(generated: bool = False, stand_in_teacher: bool = False) -> str:
    """What has to be said beside a picture or a number: where its data and its teacher are not the real thing."""
    notes = ["generated clips, no recordings"] if generated else []
    notes += ["stand-in teacher, not the paper's vision-language model"] if stand_in_teacher else []
    return "; ".join(notes)
