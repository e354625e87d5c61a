"""The maps of more than 100,000 points: two jupyter-scatter maps that follow the explorer's state and change it.

jupyter-scatter draws millions of points, all as discs: modalities are told apart by showing them one at a time, not by
marks, and no lines join them. Search, legend, slider, count and clip stay those of the explorer's own page.
"""

from __future__ import annotations

import importlib.util
import time
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from c2vl_lab.errors import MissingError, choose
from c2vl_lab.explorer.scene import places_of, points_of
from c2vl_lab.explorer.space import CLASS_PROMPT
from c2vl_lab.viz import theme

if TYPE_CHECKING:
    from c2vl_lab.explorer.state import ExplorerState

MOST_POINTS = 100_000  # up to which the explorer draws its own maps unless it is told otherwise
OWN, SCATTER = "own", "jupyter-scatter"
ENGINES = {
    "auto": f"{SCATTER} beyond {MOST_POINTS:,} points",
    OWN: "marks for modalities",
    SCATTER: "millions of discs",
}
WANTED = 'pip install -c constraints.txt "jupyter-scatter"'
HEIGHT = 420  # pixels; a map is about as wide beside a notebook on a laptop, and what is wider than high is not cut
SIZES = {"plain": 3.0, "found": 9.0, CLASS_PROMPT: 14.0}
MARGIN = 1.06  # of the square that a map shows, so that no point is cut by its edge
MOUSE = {"pan": "panZoom", "lasso": "lasso", "box": "lasso"}
LASSO = {"lasso": "freeform", "box": "rectangle"}
NOTHING = np.zeros(0, np.int64)
LIGHT, DARK = (1.0, 1.0, 1.0, 1.0), (0.08, 0.094, 0.118, 1.0)  # behind the points


def choose_engine(wanted: str, points: int) -> tuple[str, str]:
    """What draws maps of so many points, and what to say about it in the page.

    Args:
        wanted: "auto", "own" or "jupyter-scatter".
        points: of one map, all modalities together.

    Raises:
        ConfigError: another name.
        MissingError: jupyter-scatter is wanted by name and not installed.
    """
    choose(wanted, ENGINES, "map engine")
    there = importlib.util.find_spec("jscatter") is not None
    if wanted == SCATTER and not there:
        raise MissingError(f"Maps by jupyter-scatter want its package: {WANTED}")
    if wanted == OWN or (wanted == "auto" and points <= MOST_POINTS):
        return OWN, ""
    if there:
        return SCATTER, ""
    return OWN, f"A map here has {points:,} points; beyond {MOST_POINTS:,} jupyter-scatter moves more freely: {WANTED}"


class ScatterMaps:
    """Two linked maps of an explorer.

    Args:
        state: the explorer; its widget's traits are followed, and a lasso here sets them as its own maps would.

    Attributes:
        sides: the left and the right ``jscatter.Scatter``.
        view: both beside one another, for a notebook.
    """

    def __init__(self, state: ExplorerState):
        self.state = state
        self.kind, self.owner = points_of(state.space)
        self._told = [NOTHING, NOTHING]  # rows that each map was told to select; what it repeats is no person's doing
        self._shown = [np.zeros(len(self.owner), bool)] * 2
        self.sides = [self._made(side) for side in range(2)]
        self._color()
        self._filter()
        self._size()
        self._tool()  # before the page hears of the maps: a busy one may miss what comes while it draws them first
        self._listen()
        self._background()
        self._select()
        faces = [scatter.show(["full_screen", "reset"]) for scatter in self.sides]
        self.view = widgets.GridBox(faces, layout={"grid_template_columns": "1fr 1fr", "grid_gap": "8px"})

    def _made(self, side: int) -> Any:
        """One map, before it is coloured."""
        import jscatter

        places, across, up = self._places(side)
        table = pd.DataFrame({"x": places[:, 0], "y": places[:, 1]})
        options = {"height": HEIGHT, "axes": False, "legend": False, "tooltip": False, "zoom_on_selection": False}
        return jscatter.Scatter("x", "y", table, x_scale=across, y_scale=up, **options)

    def _places(self, side: int) -> tuple[np.ndarray, tuple[float, float], tuple[float, float]]:
        """(P, 2) places, 0 where a point has none, and the ranges of a square that holds them all."""
        places = self._of(side)
        low, high = np.nanmin(places, axis=0), np.nanmax(places, axis=0)
        middle, reach = (low + high) / 2, MARGIN * float((high - low).max()) / 2 or 1.0
        across, up = ((float(m) - reach, float(m) + reach) for m in middle)
        return np.nan_to_num(places, nan=0.0), across, up

    # what the maps take from the state

    def _listen(self) -> None:
        widget = self.state.widget
        for traits, act in (
            (["left", "right"], self._move),
            (["color_by"], self._color),
            (["filters", "shown"], self._filter),
            (["hits"], self._size),
            (["selected"], self._select),
            (["tool"], self._tool),
            (["dark"], self._background),
        ):
            widget.observe(lambda _, act=act: act(), traits)
        for side, scatter in enumerate(self.sides):
            scatter.widget.observe(lambda change, side=side: self._hear(change["new"], side), "selection")
            scatter.widget.observe(lambda change: self._hover(change["new"]), "hovering")

    def _move(self) -> None:
        """Take other views; what has no point there is not shown."""
        for side, scatter in enumerate(self.sides):
            places, across, up = self._places(side)
            scatter.widget.prevent_filter_reset = True
            scatter.xy(places[:, 0], places[:, 1], across, up)
        self._filter()

    def _color(self) -> None:
        by = self.state.widget.color_by
        column, prompts = self.state.columns[by], self.owner < 0
        codes = column.codes[np.maximum(self.owner, 0)].astype(np.int64)
        codes[prompts] = -1 - self.owner[prompts] if by in ("class", "predicted") else len(column.names)
        used, codes = np.unique(codes, return_inverse=True)
        colors = [*column.colors, theme.QUIET]
        values = pd.Categorical.from_codes(codes, pd.Index([str(code) for code in used]))
        for scatter in self.sides:
            scatter.color(by=values, map=[colors[code] for code in used])

    def _size(self) -> None:
        """Found skeletons are larger, class prompts largest."""
        found = [row["clip"] for row in self.state.widget.hits["rows"]]
        codes = (np.isin(self.owner, found) & (self.kind == 0)).astype(int)
        codes[self.owner < 0] = 2
        used, codes = np.unique(codes, return_inverse=True)
        names = [list(SIZES)[code] for code in used]
        for scatter in self.sides:
            scatter.size(by=pd.Categorical.from_codes(codes, pd.Index(names)), map=[SIZES[name] for name in names])

    def _filter(self) -> None:
        """Hide what filters, switched off modalities and views leave out."""
        clips = np.append(self.state.visible, True)  # the last for class prompts
        hidden = set(self.state.widget.filters.get("class", ()))
        kept = np.array([name not in hidden for name in self.state.space.classes])
        prompts = self.owner < 0
        for side, scatter in enumerate(self.sides):
            own = np.array([m in self.state.widget.shown[side] for m in self.state.space.modalities])
            shown = own[self.kind] & clips[np.where(prompts, -1, self.owner)] & np.isfinite(self._of(side)).all(axis=1)
            shown[prompts] &= kept[-1 - self.owner[prompts]]
            self._shown[side] = shown
            scatter.filter(None if shown.all() else np.flatnonzero(shown))
        self._select()

    def _of(self, side: int) -> np.ndarray:
        """(P, 2) places on a map's view, NaN where a point has none."""
        view = (self.state.widget.left, self.state.widget.right)[side]
        return places_of(self.state.space, self.state.maps[view])

    def _select(self) -> None:
        """Light up every shown point of the selected clips."""
        chosen = np.zeros(len(self.state.space) + 1, bool)
        chosen[self.state.selected] = True
        for side, scatter in enumerate(self.sides):
            rows = np.flatnonzero(chosen[np.maximum(self.owner, -1)] & self._shown[side])
            self._told[side] = rows
            scatter.selection(rows if len(rows) else None)

    def _tool(self) -> None:
        tool = self.state.widget.tool
        for scatter in self.sides:
            if tool in LASSO:
                scatter.lasso(type=LASSO[tool])
            scatter.mouse(MOUSE[tool])

    def _background(self) -> None:
        """The ground alone: by jupyter-scatter's own method axes and legend get a colour too and so appear."""
        for scatter in self.sides:
            scatter.widget.background_color = DARK if self.state.widget.dark else LIGHT

    # what a person does on the maps

    def _hear(self, rows: Any, side: int) -> None:
        """A lasso, a box, a click or a double click; what a map repeats of what it was told is none of them."""
        rows = np.sort(np.asarray(NOTHING if rows is None else rows, np.int64))
        if np.array_equal(rows, self._told[side]):
            return
        owners = np.unique(self.owner[rows])
        self._told[side] = rows
        name = ("left", "right")[side]
        self.state.widget.selected = {"clips": owners[owners >= 0].tolist(), "by": f"{SCATTER}, {name} map"}
        if len(rows) == 1 and owners[0] >= 0:
            self.state.widget.focus = int(owners[0])
        elif len(rows) == 1:
            asked = self.state.space.classes[-1 - owners[0]]
            self.state.widget.query = {"kind": "class", "value": asked, "id": time.time_ns()}

    def _hover(self, row: Any) -> None:
        """Say what is under the pointer."""
        if row is None or not 0 <= int(row) < len(self.owner):
            self.state.widget.pointed = ""
            return
        owner, space = int(self.owner[int(row)]), self.state.space
        if owner < 0:
            self.state.widget.pointed = f"class prompt: {space.classes[-1 - owner]}"
        else:
            kind = space.modalities[int(self.kind[int(row)])]
            self.state.widget.pointed = f"{space.names[owner]} ({kind}); class: {space.table['class'].iloc[owner]}"
