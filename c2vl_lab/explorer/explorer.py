"""The concept explorer: two linked maps, search, the clicked clip, and a selection that Python holds.

The widget's traits are the whole state. What a person does in the page sets a trait, and the same plain methods answer
that one can call in a cell; so everything can be driven, and tested, without a browser.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.errors import C2VLError, ConfigError, near_miss
from c2vl_lab.explorer.aligned import aligned_maps, place
from c2vl_lab.explorer.cards import clip_card
from c2vl_lab.explorer.columns import check_column, columns_of
from c2vl_lab.explorer.scene import hit_rows, map_of, scene_of
from c2vl_lab.explorer.space import CLASS_PROMPT, SKELETON, JointSpace, nearest
from c2vl_lab.explorer.widget import TOOLS, ExplorerWidget
from c2vl_lab.project import Projection

COUNT = 20  # clips that a search finds
SIDES = ("left", "right")


class ConceptExplorer:
    """Two linked maps of a joint space and all that one does with them.

    Args:
        space: clips and their points.
        left, right: views on the two maps; "": the first stage (or the main view) and the main view.
        method: how maps are made, see :data:`~c2vl_lab.project_methods.METHODS`.
        color_by: a column of the clips.
        seed, neighbours, min_dist: of the maps.
        cache: folder in which finished maps are kept; None: nowhere.
        fps: frames a second of the recordings.
        progress: receives a line for each map.

    Attributes:
        space: what is explored.
        maps: view to :class:`~c2vl_lab.project.Projection`, aligned to the main one.
        widget: the page's side; its traits are the state.
        found: what the last search found, as a table.

    Raises:
        ConfigError: an unknown view, method or column.
    """

    def __init__(
        self,
        space: JointSpace,
        left: str = "",
        right: str = "",
        method: str = "umap",
        color_by: str = "class",
        seed: int = 0,
        neighbours: int = 15,
        min_dist: float = 0.1,
        cache: Path | None = None,
        fps: float = 30.0,
        progress: Callable[[str], None] | None = None,
    ):
        self.space, self.fps = space, fps
        self.columns = columns_of(space.table, space.classes)
        check_column(color_by, self.columns)
        order = [space.main, *reversed([s for s in space.stages if s != space.main])]
        order += [view for view in space.views if view not in order]
        made = aligned_maps(space.views, order, method, seed, neighbours, min_dist, cache, progress)
        self.maps: dict[str, Projection] = {view: made[view] for view in space.views}
        self.found = pd.DataFrame({"clip": [], "name": [], "class": [], "score": []})
        first = space.stages[0] if space.stages else space.main
        views = {"left": self._view(left or first), "right": self._view(right or space.main)}
        self.widget = ExplorerWidget(
            scene=scene_of(space, self.columns, self.maps),
            maps=[self._map(view) for view in views.values()],
            shown=[space.modalities, space.modalities],
            color_by=color_by,
            **views,
        )
        self._listen()

    # what is selected

    @property
    def selected(self) -> np.ndarray:
        """(n,) rows of the selected clips."""
        return np.array(self.widget.selected["clips"], np.int64)

    @property
    def selection(self) -> pd.DataFrame:
        """The selected clips: their rows of the table of clips."""
        return self.space.table.iloc[self.selected].reset_index(drop=True)

    @property
    def told(self) -> str:
        """The count that stands beside the tools."""
        count = len(self.selected)
        return f"selected {count:,} of {len(self.space):,}" if count else "nothing selected yet"

    def select(self, clips: Iterable[str | int] | np.ndarray, by: str = "Python") -> pd.DataFrame:
        """Select clips by names, rows, or a mask over all; returns the selection.

        Raises:
            ConfigError: no such clip.
        """
        if isinstance(clips, np.ndarray) and clips.dtype == bool and len(clips) == len(self.space):
            clips = np.flatnonzero(clips)
        rows = sorted({self.space.index_of(clip) for clip in clips})
        self.widget.selected = {"clips": rows, "by": by}
        return self.selection

    def clear(self) -> None:
        """Select nothing and forget the search."""
        self.widget.selected = {"clips": [], "by": ""}
        self._show_hits("", [], [], None)

    # search

    def search(self, words: str, count: int = COUNT) -> pd.DataFrame:
        """The clips whose movement is nearest to a text in the main view, with scores (cosines); they light up.

        Raises:
            ConfigError: there is no text, or the space has no language to ask it in.
        """
        if not words.strip():
            raise ConfigError("A search wants some words, such as 'someone waving with both hands'.")
        return self._search(f"“{words}”", self._finder("words").words(words), count)

    def search_clip(self, clip: str | int, count: int = COUNT, mirrored: bool = False) -> pd.DataFrame:
        """The clips whose movement is nearest to this one's, or to its mirror image.

        Raises:
            ConfigError: no such clip, or it has no point.
        """
        row = self.space.index_of(clip)
        name = self.space.names[row]
        if mirrored:
            return self._search(f"mirror image of {name}", self._finder("a mirror image").mirror(row), count)
        query = self._main[SKELETON][row]
        if not np.isfinite(query).all():
            raise ConfigError(f"{name} has no point in '{self.space.main}', so nothing can be near it.")
        return self._search(f"like {name}", query, count, leave_out=row)

    def search_class(self, name: str, count: int = COUNT) -> pd.DataFrame:
        """The clips whose movement is nearest to a class prompt.

        Raises:
            ConfigError: no such class, or the space has no class prompts.
        """
        if CLASS_PROMPT not in self._main:
            raise ConfigError(f"The view '{self.space.main}' has no class prompts: its run learned no language.")
        if name not in self.space.classes:
            raise ConfigError(f"There is no class '{name}'. {near_miss(name, self.space.classes)}")
        query = self._main[CLASS_PROMPT][list(self.space.classes).index(name)]
        return self._search(f"class prompt: {name}", query, count)

    def _search(self, title: str, query: np.ndarray, count: int, leave_out: int = -1) -> pd.DataFrame:
        """Rank skeletons by cosine, show and return them."""
        if count < 1:
            raise ConfigError(f"A search wants a count of at least 1, found {count}.")
        rows, scores = nearest(query, self._main[SKELETON], count + (leave_out >= 0))
        kept = rows != leave_out
        self._show_hits(title, rows[kept][:count], scores[kept][:count], query)
        return self.found

    def _show_hits(self, title: str, rows: Any, scores: Any, query: np.ndarray | None) -> None:
        hits = hit_rows(self.space, rows, scores)
        self.found = pd.DataFrame(hits, columns=["clip", "name", "class", "score"])
        self._query = query
        self.widget.hits = {"title": title, "rows": hits, "places": self._query_places()}

    def _query_places(self) -> list[list[float] | None]:
        """Where what was searched for belongs on each map; None on a map of another space."""
        if self._query is None:
            return []
        main = self.space.main
        at = place(self._query[None], self._main, self.maps[main])[0]
        return [[float(v) for v in at] if getattr(self.widget, side) == main else None for side in SIDES]

    def _finder(self, what: str):
        if self.space.finder is None:
            raise ConfigError(f"This space cannot be searched by {what}: it was made without a run's encoders.")
        return self.space.finder

    # what is shown

    def show_clip(self, clip: str | int) -> dict[str, Any]:
        """Open a clip, as a click does; returns what is shown of it.

        Raises:
            ConfigError: no such clip.
        """
        row = self.space.index_of(clip)
        self.widget.card = clip_card(self.space, row, self.fps)
        self.widget.focus = row
        return self.widget.card

    def show_view(self, view: str, side: str = "left") -> None:
        """Put a view on the left or the right map; what the slider does.

        Raises:
            ConfigError: an unknown view or side.
        """
        if side not in SIDES:
            raise ConfigError(f"A map is left or right, found '{side}'.")
        self._view(view)
        setattr(self.widget, side, view)

    def show_modalities(self, *modalities: str, side: str = "") -> None:
        """Show these modalities alone, on one map or (without a side) on both.

        Raises:
            ConfigError: an unknown modality or side.
        """
        for modality in modalities:
            if modality not in self.space.modalities:
                raise ConfigError(f"No modality '{modality}'. {near_miss(modality, self.space.modalities)}")
        if side not in (*SIDES, ""):
            raise ConfigError(f"A map is left or right, found '{side}'.")
        kept = [m for m in self.space.modalities if m in modalities]
        self.widget.shown = [kept if side in (own, "") else self.widget.shown[k] for k, own in enumerate(SIDES)]

    def color(self, column: str) -> None:
        """Colour by a column.

        Raises:
            ConfigError: there is none of that name.
        """
        check_column(column, self.columns)
        self.widget.color_by = column

    def hide(self, column: str, *values: str) -> None:
        """Hide these categories of a column and no others of it; without values: hide none of it.

        Raises:
            ConfigError: an unknown column or category.
        """
        names = check_column(column, self.columns).names
        for value in values:
            if value not in names:
                raise ConfigError(f"'{column}' has no '{value}'. {near_miss(value, names)}")
        others = {name: hidden for name, hidden in self.widget.filters.items() if name != column}
        self.widget.filters = others | ({column: list(values)} if values else {})

    def only(self, column: str, *values: str) -> None:
        """Show these categories of a column alone.

        Raises:
            ConfigError: an unknown column or category.
        """
        names = check_column(column, self.columns).names
        self.hide(column, *values)  # refuses what there is not
        self.hide(column, *[name for name in names if name not in values])

    @property
    def visible(self) -> np.ndarray:
        """(N,) bool: the clips that no filter hides."""
        kept = np.ones(len(self.space), bool)
        for name, hidden in self.widget.filters.items():
            column = self.columns[name]
            kept &= ~np.isin(column.codes, [column.names.index(value) for value in hidden])
        return kept

    def use_tool(self, tool: str) -> None:
        """Take "pan", "lasso" or "box".

        Raises:
            ConfigError: another tool.
        """
        if tool not in TOOLS:
            raise ConfigError(f"There is no tool named '{tool}'. {near_miss(tool, TOOLS)}")
        self.widget.tool = tool

    def say(self, text: str, error: bool = False) -> None:
        """Say something in the bar of the page."""
        self.widget.message = {"text": text, "error": error}

    # between page and methods

    @property
    def _main(self) -> Mapping[str, np.ndarray]:
        return self.space.views[self.space.main]

    def _view(self, name: str) -> str:
        if name not in self.space.views:
            raise ConfigError(f"There is no view named '{name}'. {near_miss(name, self.space.views)}")
        return name

    def _map(self, view: str) -> dict[str, Any]:
        return map_of(self.space, view, self.maps[view])

    def _listen(self) -> None:
        self._query: np.ndarray | None = None
        heard = {
            "left": self._hear_view,
            "right": self._hear_view,
            "focus": self._hear_focus,
            "query": self._hear_query,
        }
        for trait, method in heard.items():
            self.widget.observe(lambda change, method=method: self._try(lambda: method(change["new"])), trait)

    def _try(self, act: Callable[[], Any]) -> None:
        """Do it, and say in the page what kept it from being done."""
        try:
            act()
        except C2VLError as error:
            self.say(str(error), error=True)

    def _hear_view(self, _: str) -> None:
        self.widget.maps = [self._map(self._view(getattr(self.widget, side))) for side in SIDES]
        self.widget.hits = {**self.widget.hits, "places": self._query_places()}

    def _hear_focus(self, clip: int) -> None:
        if clip >= 0 and self.widget.card.get("clip") != clip:
            self.show_clip(clip)

    def _hear_query(self, query: dict[str, Any]) -> None:
        kinds: dict[str, Callable[[Any], Any]] = {
            "words": self.search,
            "clip": self.search_clip,
            "mirror": lambda clip: self.search_clip(clip, mirrored=True),
            "class": self.search_class,
        }
        if query.get("kind") in kinds:
            kinds[query["kind"]](query["value"])

    def _ipython_display_(self) -> None:
        """The widget in Jupyter and Voilà; elsewhere, as in an executed report, its static twin."""
        from IPython.display import display

        if {"JPY_SESSION_NAME", "VOILA_REQUEST_URL"} & set(os.environ):
            display(self.widget)
