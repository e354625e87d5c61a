"""The concept explorer: two linked maps, search, the clicked clip, and a selection that Python holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from c2vl_lab.errors import C2VLError, ConfigError, near_miss
from c2vl_lab.explorer import handing, page
from c2vl_lab.explorer.aligned import Placer, save_projection
from c2vl_lab.explorer.cards import clip_card
from c2vl_lab.explorer.scatter_maps import OWN, ScatterMaps
from c2vl_lab.explorer.scene import hit_rows, map_of, scene_of
from c2vl_lab.explorer.space import CLASS_PROMPT, SKELETON, Finder, nearest
from c2vl_lab.explorer.state import SIDES, ExplorerState
from c2vl_lab.figures import Look, PaperFigure, joint_map
from c2vl_lab.viz.desk_editor import Editor
from c2vl_lab.viz.desk_tables import Line

COUNT = 20  # clips that a search finds
FIRST = 3  # of them that a saved page has players of


class ConceptExplorer(ExplorerState):
    """Two linked maps of a joint space and all that one does with them; arguments as in :class:`ExplorerState`.

    Attributes:
        found: what the last search found, as a table.
        view: what a notebook shows: the widget (below the maps of another engine), and the quality desk below it once
            it is asked for.
        scatter: the maps by jupyter-scatter; None where the explorer draws its own.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.found = pd.DataFrame({"clip": [], "name": [], "class": [], "score": []})
        self.scatter = None if self.engine == OWN else ScatterMaps(self)
        self._faces = (self.widget,) if self.scatter is None else (self.scatter.view, self.widget)
        self.view = widgets.VBox(self._faces)
        self._query: np.ndarray | None = None
        self._listen()

    def clear(self) -> None:
        """Select nothing and forget the search."""
        self.widget.selected = {"clips": [], "by": ""}
        self._show_hits("", [], [], None)

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
        at = self._placer(self._query[None])[0]
        return [[float(v) for v in at] if getattr(self.widget, side) == main else None for side in SIDES]

    @cached_property
    def _placer(self) -> Placer:
        """Places a search on the main view's map."""
        return Placer(self._main, self.maps[self.space.main])

    def _finder(self, what: str) -> Finder:
        if self.space.finder is None:
            raise ConfigError(f"This space cannot be searched by {what}: it was made without a run's encoders.")
        return self.space.finder

    def show_clip(self, clip: str | int) -> dict[str, Any]:
        """Open a clip, as a click does; returns what is shown of it.

        Raises:
            ConfigError: no such clip.
        """
        row = self.space.index_of(clip)
        self.widget.card = clip_card(self.space, row, self.fps)
        self.widget.focus = row
        return self.widget.card

    # what one does with a selection

    def save_selection(self, path: str | Path = "selection") -> Path:
        """Write the selected rows as CSV; a mere name becomes ``work_dir/selections/<name>.csv``.

        Raises:
            ConfigError: nothing is selected.
        """
        return self._done(handing.save_selection(self.space, self.selection, path), "The selection is in")

    def make_subset(self, name: str) -> Path:
        """Keep the selection as a named subset, which other notebooks take as ``subset``.

        Raises:
            ConfigError: nothing is selected, or the name cannot be a file's.
        """
        path = handing.make_subset(self.space, self.selection, name, self.widget.selected["by"])
        return self._done(path, "Other notebooks take it as subset =")

    def prompt_desk(self) -> Editor:
        """Open the quality desk on the selected clips, below the maps.

        Raises:
            ConfigError: nothing is selected, or there are no sentences.
        """
        editor = handing.prompt_editor(self.space, self.selection, self.fps)
        self.view.children = (*self._faces, editor.view)
        self.say(f"The quality desk below steps through the sentences of {len(self.selection):,} clips.")
        return editor

    def ask_again(
        self,
        backend: str = "",
        author: str = "",
        device: str = "auto",
        progress: Callable[[str], None] | None = None,
    ) -> pd.DataFrame:
        """Mark the selected clips' sentences to be asked for again; with a backend, ask at once.

        Raises:
            ConfigError: nothing is selected, or the backend is another model than the one that answered.
        """
        table, said = handing.ask_again(self.space, self.selection, backend, author, device, progress)
        self.say(said)
        return table

    def static(self) -> list[PaperFigure]:
        """The two maps as figures for paper."""
        clips = self.space.for_maps()
        views = dict.fromkeys(getattr(self.widget, side) for side in SIDES)
        color_by, link, note = self.widget.color_by, self.widget.links, self.space.note.rstrip(".")
        looks = {view: Look(title=f"Joint space, {view}", note=note) for view in views}
        return [joint_map(self.maps[view], clips, color_by, link, look) for view, look in looks.items()]

    def to_html(
        self, path: str | Path, clips: Iterable[str | int] | None = None, searches: Iterable[str] = (), title: str = ""
    ) -> Path:
        """Write the explorer as one file that needs neither Python nor a network.

        Args:
            path: the file.
            clips: the clips whose players go along; None: the selected ones, or one of each class, and the nearest few
                of every search by words.
            searches: texts that it can be searched by, beside the class prompts.
            title: heading.

        Returns:
            The path; each player adds some 100 kB.

        Raises:
            ConfigError: no such clip, or searches where the space cannot be searched by words.
        """
        rows = [self.space.index_of(clip) for clip in (self._shown_clips() if clips is None else clips)]
        kept = dict(self.widget.hits), self.found
        asked = {"words": self._prepare(searches, self.search)}
        if clips is None:
            rows = sorted({*rows, *(hit["clip"] for own in asked["words"].values() for hit in own["rows"][:FIRST])})
        asked |= {"clip": self._prepare(rows, self.search_clip)}
        if CLASS_PROMPT in self._main:
            asked["class"] = self._prepare(self.space.classes, self.search_class)
        self.widget.hits, self.found = kept
        cards = {row: clip_card(self.space, row, self.fps) | {"mirror": False} for row in rows}
        note = self.space.note[:1].upper() + self.space.note[1:]
        about = f"{len(self.space):,} clips, {len(rows)} with players. {note}"
        maps = {view: map_of(self.space, view, self.maps[view]) for view in self.maps}
        scene = scene_of(self.space, self.columns, self.maps)
        state = {name: getattr(self.widget, name) for name in page.SAVED}
        return page.write_page(path, title or "Concept explorer", about, scene, maps, state, cards, asked)

    def _prepare(self, texts: Iterable[Any], ask: Callable[[Any], Any]) -> dict[Any, dict[str, Any]]:
        """What the page would show after each search."""
        found = {}
        for text in texts:
            ask(text)
            found[text] = {**self.widget.hits, "places": [None, None]}  # the maps of a saved page may be others
        return found

    def save_maps(self, folder: str | Path) -> list[Path]:
        """Write every view's map, to be read by :func:`~c2vl_lab.explorer.aligned.load_projection`."""
        paths = [Path(folder) / f"{view.replace(' ', '-')}.npz" for view in self.maps]
        for path, projection in zip(paths, self.maps.values(), strict=True):
            save_projection(projection, path)
        return paths

    def _shown_clips(self) -> list[int]:
        """The selected clips, or the first of each class."""
        if len(self.selected):
            return [int(row) for row in self.selected]
        return self.space.table.drop_duplicates("class").index.tolist()

    def _done(self, path: Path, text: str) -> Path:
        self.say(f"{text} {path}")
        return path

    # between page and methods

    def _listen(self) -> None:
        heard = {
            "left": self._hear_view,
            "right": self._hear_view,
            "focus": self._hear_focus,
            "query": self._hear_query,
            "action": self._hear_action,
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

    def _hear_action(self, action: dict[str, Any]) -> None:
        name = str(action.get("value") or "selection")
        acts: dict[str, Callable[[], Any]] = {
            "save": lambda: self.save_selection(name),
            "subset": lambda: self.make_subset(name),
            "desk": self.prompt_desk,
            "ask": self.ask_again,
        }
        if action.get("name") in acts:
            acts[action["name"]]()

    def _ipython_display_(self) -> None:
        """The widget in Jupyter and Voilà; elsewhere, as in an executed report, its static twin."""
        from IPython.display import display

        if {"JPY_SESSION_NAME", "VOILA_REQUEST_URL"} & set(os.environ):
            display(self.view)
        else:
            display(Line("The explorer stands here when the notebook is opened in Jupyter; below are its two maps."))
            for figure in self.static():
                display(figure)
