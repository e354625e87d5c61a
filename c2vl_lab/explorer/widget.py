"""The explorer's face in a browser: an anywidget whose traits are the whole state."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import anywidget
import traitlets

SCRIPTS = ("card.js", "marks.js", "plane.js", "elsewhere.js", "skeleton.js", "explorer.js")
STYLE = "explorer.css"
TOOLS = ("pan", "lasso", "box")


@cache
def script() -> str:
    """The whole script as one module."""
    folder = files("c2vl_lab.explorer") / "web"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)


@cache
def style() -> str:
    """The style sheet."""
    return (files("c2vl_lab.explorer") / "web" / STYLE).read_text(encoding="utf-8")


class ExplorerWidget(anywidget.AnyWidget):
    """State that Python and the page share; either may set it.

    Attributes:
        scene: what never changes: clips, modalities, columns, names of views.
        maps: left and right map: view, coordinates, caption.
        left, right: views that are shown.
        shown: modalities of the left and of the right map.
        selected: ``clips`` (rows) and ``by``, how they were selected.
        focus: row of the clicked clip; -1: none.
        card: what is shown of it.
        query, hits: what is searched for and what was found.
        color_by, filters: colours, and hidden categories by column.
        links, tool: lines between modalities; "pan", "lasso" or "box".
        message: what is said in the bar.
        action: a button that was pressed.
        pointed: what is under the pointer, where another engine draws the maps.
        dark: whether the page is dark, where another engine draws the maps.
    """

    _esm = script()
    _css = style()

    scene = traitlets.Dict().tag(sync=True)
    maps: Any = traitlets.List().tag(sync=True)
    left = traitlets.Unicode().tag(sync=True)
    right = traitlets.Unicode().tag(sync=True)
    shown: Any = traitlets.List().tag(sync=True)
    selected: Any = traitlets.Dict({"clips": [], "by": ""}).tag(sync=True)
    focus = traitlets.Int(-1).tag(sync=True)
    card = traitlets.Dict({}).tag(sync=True)
    query = traitlets.Dict({}).tag(sync=True)
    hits: Any = traitlets.Dict({"title": "", "rows": [], "places": []}).tag(sync=True)
    color_by = traitlets.Unicode("class").tag(sync=True)
    filters = traitlets.Dict({}).tag(sync=True)
    links = traitlets.Bool(True).tag(sync=True)
    tool = traitlets.Enum(TOOLS, "lasso").tag(sync=True)
    message: Any = traitlets.Dict({"text": "", "error": False}).tag(sync=True)
    action = traitlets.Dict({}).tag(sync=True)
    pointed = traitlets.Unicode("").tag(sync=True)
    dark = traitlets.Bool(False).tag(sync=True)
