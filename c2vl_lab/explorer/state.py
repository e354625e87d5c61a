"""The explorer's state, as Python reads and sets it: selection, views, colours, filters.

The widget's traits are the whole state. What a person does in the page sets a trait, and all that one can do there is a
plain method, here or in :mod:`c2vl_lab.explorer.explorer`; so all of it can be driven, and tested, without a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.data.subsets import load_subset
from c2vl_lab.errors import ConfigError, near_miss
from c2vl_lab.explorer.aligned import aligned_maps
from c2vl_lab.explorer.columns import check_column, columns_of
from c2vl_lab.explorer.scatter_maps import OWN, choose_engine
from c2vl_lab.explorer.scene import map_of, points_of, scene_of
from c2vl_lab.explorer.space import JointSpace
from c2vl_lab.explorer.widget import TOOLS, ExplorerWidget
from c2vl_lab.project import Projection

SIDES = ("left", "right")


class ExplorerState:
    """Two linked maps and what is shown and selected on them.

    Args:
        space: clips and their points.
        left, right: views on the two maps; "": the first stage (or the main view) and the main view.
        method: how maps are made, see :data:`~c2vl_lab.project_methods.METHODS`.
        color_by: a column of the clips.
        seed, neighbours, min_dist: of the maps.
        cache: folder in which finished maps are kept; None: nowhere.
        fps: frames a second of the recordings.
        engine: what draws the maps: "own" (marks for modalities, comfortable up to 100,000 points), "jupyter-scatter"
            (millions of discs), or "auto": jupyter-scatter beyond 100,000 points of a map where it is installed.
        progress: receives a line for each map.

    Attributes:
        space: what is explored.
        columns: what one can colour and filter by.
        engine: what draws the maps.
        maps: view to :class:`~c2vl_lab.project.Projection`, aligned to the main one.
        widget: the page's side; its traits are the state.

    Raises:
        ConfigError: an unknown view, method, column or engine.
        MissingError: the engine or the method wants a package that is not installed.
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
        engine: str = "auto",
        progress: Callable[[str], None] | None = None,
    ):
        self.space, self.fps = space, fps
        self.columns = columns_of(space.table, space.classes)
        check_column(color_by, self.columns)
        self.engine, advice = choose_engine(engine, len(points_of(space)[0]))
        order = [space.main, *reversed([s for s in space.stages if s != space.main])]
        order += [view for view in space.views if view not in order]
        made = aligned_maps(space.views, order, method, seed, neighbours, min_dist, cache, progress)
        self.maps: dict[str, Projection] = {view: made[view] for view in space.views}
        first = space.stages[0] if space.stages else space.main
        views = {"left": self._view(left or first), "right": self._view(right or space.main)}
        self.widget = ExplorerWidget(
            scene=scene_of(space, self.columns, self.maps, self.engine != OWN),
            message={"text": advice, "error": False},
            maps=[self._map(view) for view in views.values()],
            shown=[space.modalities, space.modalities],
            color_by=color_by,
            **views,
        )

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

    def take_subset(self, path: str | Path) -> pd.DataFrame:
        """Select the clips of a named subset.

        Raises:
            ConfigError: the space has no recordings behind it.
            MissingError, DataError: there is no such file, or its clips are of another set.
        """
        if self.space.store is None:
            raise ConfigError("A subset is of a store of recordings, and this space was made without one.")
        subset = load_subset(path, self.space.store)
        return self.select([self.space.store.names[row] for row in subset.rows], f"subset {subset.name}")

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

    @property
    def _main(self) -> Mapping[str, np.ndarray]:
        return self.space.views[self.space.main]

    def _view(self, name: str) -> str:
        if name not in self.space.views:
            raise ConfigError(f"There is no view named '{name}'. {near_miss(name, self.space.views)}")
        return name

    def _map(self, view: str) -> dict[str, Any]:
        return map_of(self.space, view, self.maps[view], self.engine != OWN)
