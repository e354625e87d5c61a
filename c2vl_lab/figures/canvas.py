"""What all figures share: the width of a venue, one style, the data behind the figure, and where notes stand.

A figure is made in two steps. The first reads arrays or tables into plain values; the second draws from these values
alone. They travel with the figure and are written beside it, so the same picture can be drawn again from its file.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib.resources import files
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.figure import Figure

from c2vl_lab.errors import ConfigError, choose

SMALLEST = 6.0  # points; nothing on paper is smaller
DIGITS = 6  # significant ones that are kept of a number


@dataclass(frozen=True)
class Venue:
    """Widths of a venue's figures in inches: of one column, and of the whole text.

    Venues whose text has one column get the half of it, for two figures side by side.
    """

    column: float
    page: float


# Looked up in 2026 in the venues' own files; the half columns of venues with one column are our choice.
# CVPR, ICCV: cvpr.sty of github.com/cvpr-org/author-kit (commit 1a9acb7) sets \textwidth 6.875in and \columnsep
#   0.3125in, hence columns of 3.28; its sec/2_formatting.tex says 3 1/4, which is taken, since it fits both.
# ECCV: github.com/eccv24/paper-template wants Springer's llncs.cls, whose version 2.14 sets \textwidth 12.2cm.
# NeurIPS: neurips_2025.sty, "textwidth=5.5in" in its \newgeometry, read in copies that papers keep, since neurips.cc
#   itself could not be reached; the 2023 instructions say that the margins are those of former years.
# ICLR: iclr2026/iclr2026_conference.sty of github.com/ICLR/Master-Template (commit 067b60c), \textwidth 5.5 true in.
# TMM: IEEEtran.cls 1.8, \textwidth 43pc and \columnsep 1pc, hence columns of 21pc (12 points, 72.27 to the inch).
# TPAMI: the same class with its option compsoc, columns of 3.5in and 12bp between them; 7.16 of these 7.17 inches are
#   taken, the most that the IEEE author centre allows ("Size requirements for graphics").
VENUES = {
    "cvpr": Venue(3.25, 6.875),
    "iccv": Venue(3.25, 6.875),
    "eccv": Venue(2.3, 4.803),
    "neurips": Venue(2.65, 5.5),
    "iclr": Venue(2.65, 5.5),
    "tmm": Venue(3.487, 7.14),
    "tpami": Venue(3.5, 7.16),
    "page-light": Venue(3.3, 6.75),  # no venue: a report on a light screen, and on a dark one
    "page-dark": Venue(3.3, 6.75),
}


@dataclass(frozen=True)
class Look:
    """How a figure is set, whatever it shows.

    Attributes:
        venue: one of :data:`VENUES`; it gives the width.
        columns: 1 or 2; how much of the page's width the figure takes.
        height: inches; 0 leaves it to the figure.
        title: heading inside the figure; papers usually have none.
        note: what has to be said of data or teacher, see :func:`c2vl_lab.viz.theme.origin_note`.
        corner: whether the note stands in the figure's corner; without it the caption has to say it. The figure's
            file has it either way.
    """

    venue: str = "cvpr"
    columns: int = 2
    height: float = 0.0
    title: str = ""
    note: str = ""
    corner: bool = True

    def __post_init__(self) -> None:
        choose(self.venue, VENUES, "venue")
        if self.columns not in (1, 2):
            raise ConfigError(f"A figure takes 1 or 2 columns, found columns={self.columns}.")
        if not (self.height == 0 or 0.5 <= self.height <= 20):
            raise ConfigError(f"A figure is 0.5 to 20 inches high, or 0 to fit what it shows; found {self.height}.")

    @property
    def width(self) -> float:
        """Inches, exactly what the venue has."""
        venue = VENUES[self.venue]
        return venue.column if self.columns == 1 else venue.page

    @property
    def dark(self) -> bool:
        """Whether the figure stands on a dark page."""
        return self.venue == "page-dark"

    @property
    def ink(self) -> str:
        """Colour of text."""
        return {"page-dark": "#E6E9EE", "page-light": "#1F2733"}.get(self.venue, "#000000")


PAGE = Look()  # what a figure is set for where nothing is said


class PaperFigure(Figure):
    """A matplotlib figure that knows what it shows and keeps its style wherever it is drawn.

    Attributes:
        kind: name of the function that draws it.
        data: plain values; all that is drawn comes from them.
        look: how it is set.
    """

    def __init__(self, kind: str, data: dict[str, Any], look: Look) -> None:
        self.kind, self.data, self.look = kind, data, look
        with style(look):
            super().__init__(figsize=(look.width, look.height or 2.0), layout="constrained")

    def tall(self, height: float) -> None:
        """Set the height in inches that suits what is drawn, heading and corner come on top; the look's own wins."""
        around = 0.11 * len(self.corner) + 0.2 * bool(self.look.title)
        self.set_figheight(self.look.height or height + around)

    @property
    def corner(self) -> list[str]:
        """The lines of the lower left corner: remark and note."""
        note = f"Note: {self.look.note}." if self.look.note and self.look.corner else ""
        text = " ".join(part for part in (self.data.get("remark", ""), note) if part)
        return textwrap.wrap(text, int(self.look.width * (21 if self.look.venue.startswith("page-") else 27)))

    def draw(self, renderer: Any) -> None:
        """Draw in the figure's own style: ticks are made while drawing, and would take the style of the moment."""
        with style(self.look):
            super().draw(renderer)

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        """As in matplotlib, in the figure's own style: its fonts are embedded and its size is exact."""
        with style(self.look):
            super().savefig(*args, **kwargs)


Painter = Callable[[PaperFigure, dict[str, Any], Look], None]
PAINTERS: dict[str, Callable[[Any, Look], PaperFigure]] = {}


def painter(paint: Painter) -> Callable[[Any, Look], PaperFigure]:
    """Make ``paint(figure, data, look)`` a function of values and look, known by its name without ``paint_``."""
    kind = paint.__name__.removeprefix("paint_")

    @wraps(paint)
    def made(values: Any, look: Look) -> PaperFigure:
        figure = PaperFigure(kind, plain(values), look)
        with style(look):
            paint(figure, figure.data, look)
            if look.title:
                figure.suptitle(look.title, x=0.01, ha="left")
            if lines := figure.corner:
                figure.supxlabel(
                    "\n".join(lines), fontsize=SMALLEST, x=0.01, ha="left", color=mpl.rcParams["text.color"]
                )
        return figure

    PAINTERS[kind] = made
    return made


@contextmanager
def style(look: Look) -> Iterator[None]:
    """matplotlib's settings for a look, inside the block."""
    with mpl.rc_context():
        matplotlib.style.use(str(files("c2vl_lab.figures") / "figures.mplstyle"))
        if look.venue.startswith("page-"):
            mpl.rcParams.update(_screen(look))
        yield


def _screen(look: Look) -> dict[Any, Any]:
    """What differs on a screen: no background, a sans-serif face, colours of the page."""
    line = "#4A5362" if look.dark else "#C9D0D9"
    changes: dict[Any, Any] = dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none")
    changes |= {"font.family": ["DejaVu Sans"], "axes.edgecolor": line, "grid.color": line}
    inked = ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.labelcolor", "ytick.labelcolor")
    return changes | dict.fromkeys(inked, look.ink) | {"xtick.color": line, "ytick.color": line}


def plain(value: Any) -> Any:
    """Values that JSON has: lists, dicts, texts and numbers; floats with six digits, NaN as None."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(own) for key, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(own) for own in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int)) else str(value)


def numbers(values: Any) -> np.ndarray:
    """Plain values as an array of floats, None as NaN."""
    return np.array(values, dtype=float)
