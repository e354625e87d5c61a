"""The live editor of the quality desk: choose a clip, see it move, correct its sentences.

All that buttons do is methods of the desk, so the same corrections can be made by plain calls in a cell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import ipywidgets as widgets
import pandas as pd

from c2vl_lab.errors import C2VLError
from c2vl_lab.prompts.asking.desk import Desk
from c2vl_lab.viz.desk import clip_page
from c2vl_lab.viz.desk_tables import Line

MOST_CLIPS = 300  # in the list of clips; a search makes it shorter
LINE = 110  # characters of a sentence in the list


class Editor:
    """Buttons and fields for one desk.

    Attributes:
        desk: what is edited.
        flagged: headings to tables with the columns ``clip`` and ``place``, through which one may step.
        view: the widget that a notebook shows.
    """

    def __init__(
        self,
        desk: Desk,
        flagged: Mapping[str, pd.DataFrame] | None = None,
        author: str = "",
        first: str = "",
        fps: float = 30.0,
    ):
        self.desk, self.fps = desk, fps
        self.flagged = {name: table for name, table in (flagged or {}).items() if len(table)}
        self._remarks = remarks(self.flagged)
        self._steps = dict.fromkeys(self.flagged, -1)
        self._clip, self._busy = "", False
        self._make_fields(author)
        self.view = self._arrange()
        self._listen()
        self._try(self._list_clips)
        if first:
            self._try(lambda: self.show(first))

    @property
    def clip(self) -> str:
        """The clip that is shown."""
        return self._clip

    @property
    def place(self) -> int:
        """The sentence that is edited; 1 is the first."""
        return self.sentences.value or 1

    def _ipython_display_(self) -> None:
        """Show the buttons in a notebook."""
        from IPython.display import display

        display(self.view)

    def show(self, clip: str, place: int = 1) -> None:
        """Bring a clip to the desk, and one of its sentences into the field."""
        self._clip = clip
        if clip not in self.clips.options:
            self._busy = True
            self.clips.options = (clip, *self.clips.options)
            self._busy = False
        if self.clips.value != clip:
            self._busy = True
            self.clips.value = clip
            self._busy = False
        self._list_sentences(place)
        self.page.value = ""
        self.page.value = clip_page(self.desk, clip, self._remarks.get(clip), self.fps)._repr_html_()

    def _make_fields(self, author: str) -> None:
        """Every widget that one can touch."""
        wide = widgets.Layout(width="auto", flex="1 1 auto")
        self.search = widgets.Text(placeholder="part of a name or class", description="Search", continuous_update=False)
        self.clips = widgets.Dropdown(description="Clip", layout=wide)
        self.back, self.forth = _button("Previous"), _button("Next clip")
        headings = [(f"{name} ({len(table):,})", name) for name, table in self.flagged.items()]
        self.kind = widgets.Dropdown(options=headings, description="Flagged")
        self.jump = _button("Next flagged", disabled=not self.flagged)
        self.page = widgets.HTML()
        self.sentences = widgets.Select(rows=min(self.desk.series.count, 16), layout=widgets.Layout(width="auto"))
        self.text = widgets.Textarea(rows=3, description="Sentence", layout=widgets.Layout(width="auto"))
        self.author = widgets.Text(value=author, description="Author", placeholder="your name")
        self.note = widgets.Text(description="Note", placeholder="why", layout=wide)
        self.replace = _button("Replace", "success")
        self.exclude, self.restore = _button("Exclude"), _button("Restore")
        self.exclude_all, self.restore_all = _button("Exclude all of clip"), _button("Restore all of clip")
        self.again = _button("Ask clip again", "warning")
        self.message = widgets.HTML()

    def _arrange(self) -> widgets.Widget:
        row = widgets.HBox
        return widgets.VBox(
            [
                row([self.search, self.clips, self.back, self.forth]),
                row([self.kind, self.jump]),
                self.page,
                self.sentences,
                self.text,
                row([self.author, self.note]),
                row([self.replace, self.exclude, self.restore, self.exclude_all, self.restore_all, self.again]),
                self.message,
            ]
        )

    def _listen(self) -> None:
        """What follows from each touch."""
        self.search.observe(lambda _: self._try(self._list_clips), "value")
        self.clips.observe(lambda _: self._heard(self._choose), "value")
        self.sentences.observe(lambda _: self._heard(self._fill), "value")
        desk, who = self.desk, self._who
        actions: list[tuple[widgets.Button, Callable[[], Any]]] = [
            (self.back, lambda: self._walk(-1)),
            (self.forth, lambda: self._walk(1)),
            (self.jump, self._next_flagged),
            (
                self.replace,
                self._edit(lambda: desk.replace(self.clip, self.place, self.text.value, **who()), "replaced"),
            ),
            (self.exclude, self._edit(lambda: desk.exclude(self.clip, self.place, **who()), "excluded")),
            (self.restore, self._edit(lambda: desk.restore(self.clip, self.place, **who()), "restored")),
            (self.exclude_all, self._edit(lambda: desk.exclude(self.clip, None, **who()), "excluded", whole=True)),
            (self.restore_all, self._edit(lambda: desk.restore(self.clip, None, **who()), "restored", whole=True)),
            (self.again, self._edit(lambda: desk.reask(self.clip, **who()), "marked to be asked again", whole=True)),
        ]
        for button, action in actions:
            button.on_click(lambda _, action=action: self._try(action))

    def _heard(self, action: Callable[[], Any]) -> None:
        """Follow a choice that a person made; choices that the editor itself makes are left alone."""
        if not self._busy:
            self._try(action)

    def _try(self, action: Callable[[], Any]) -> None:
        """Do something; what cannot be done is said below the buttons."""
        self.message.value = ""
        try:
            action()
        except C2VLError as error:
            self._say(str(error), "#9b1c1c")

    def _say(self, text: str, color: str = "#1f5f3a") -> None:
        self.message.value = f'<span style="color:{color}">{escape(text)}</span>'

    def _who(self) -> dict[str, str]:
        return {"author": self.author.value.strip(), "note": self.note.value.strip()}

    def _edit(self, change: Callable[[], None], done: str, whole: bool = False) -> Callable[[], None]:
        """A change of a sentence or of a whole clip, and what is said of it."""

        def action() -> None:
            clip, place = self.clip, self.place
            change()
            self.note.value = ""
            for edited in [*self._remarks.get(clip, {})] if whole else [place]:
                self._remarks.get(clip, {}).pop(edited, None)  # they were about another sentence
            self.show(clip, place)
            what = f"all sentences of {clip}" if whole else f"{clip}, sentence {place}"
            self._say(f"{what}: {done}. Edits are kept in {self.desk.answers.edits.path}")

        return action

    def _list_clips(self) -> None:
        """The clips whose name or class holds what is searched for."""
        store, word = self.desk.store, self.search.value.strip().lower()
        classes = dict(zip(store.names, store.labels, strict=True))
        found = [n for n in self.desk.names if word in n.lower() or word in store.classes[classes[n]].lower()]
        self._busy = True
        self.clips.options = found[:MOST_CLIPS]
        self._busy = False
        if not found:
            self._say(f"No clip's name or class holds '{self.search.value}'.", "#9b1c1c")
            return
        if len(found) > MOST_CLIPS:
            self._say(f"The list holds the first {MOST_CLIPS} of {len(found):,} clips; search to find others.")
        self.show(found[0])

    def _choose(self) -> None:
        if self.clips.value:
            self.show(self.clips.value)

    def _walk(self, step: int) -> None:
        """The next clip, or the one before, of the list."""
        options = list(self.clips.options)
        if options:
            self.show(options[(options.index(self.clip) + step) % len(options)])

    def _next_flagged(self) -> None:
        """The next sentence of the chosen list; after the last comes the first."""
        table = self.flagged[self.kind.value]
        at = self._steps[self.kind.value] = (self._steps[self.kind.value] + 1) % len(table)
        row = table.iloc[at]
        self.show(row["clip"], int(row["place"]))
        self._say(f"{self.kind.value}, {at + 1} of {len(table):,}: {row.get('why', '')}".rstrip(": "))

    def _list_sentences(self, place: int) -> None:
        rows = self.desk.table([self.clip]).to_dict("records")
        self._rows = {row["place"]: row for row in rows}
        options = [(_line(row), row["place"]) for row in rows]
        self._busy = True
        self.sentences.options = options
        self.sentences.value = place
        self._busy = False
        self._fill()

    def _fill(self) -> None:
        """The chosen sentence in the field."""
        row = self._rows[self.place]
        self.text.value = str(row["text"] if row["text"] is not None else row["answer"] or "")


def show_editor(
    desk: Desk,
    flagged: Mapping[str, pd.DataFrame] | None = None,
    author: str = "",
    first: str = "",
    fps: float = 30.0,
) -> Editor | Line:
    """The editor in Jupyter; elsewhere, as in an executed report, a line in its place.

    Args:
        desk: what is edited.
        flagged: headings to tables with ``clip`` and ``place``, through which one may step.
        author: who edits.
        first: the clip to begin with; "": the first.
        fps: frames a second of the recordings.
    """
    if "JPY_SESSION_NAME" in os.environ:  # Jupyter's server names its sessions, see theme.setup
        return Editor(desk, flagged, author, first, fps)
    return Line("The editor stands here when the notebook is opened in Jupyter.")


def remarks(flagged: Mapping[str, pd.DataFrame]) -> dict[str, dict[int, list[str]]]:
    """What the flags say of each sentence: clip to place to remarks."""
    found: dict[str, dict[int, list[str]]] = {}
    for name, table in flagged.items():
        for row in table.to_dict("records"):
            remark = f"{name}: {row['why']}" if row.get("why") else name
            found.setdefault(row["clip"], {}).setdefault(int(row["place"]), []).append(remark)
    return found


def _button(label: str, style: str = "", disabled: bool = False) -> widgets.Button:
    return widgets.Button(
        description=label, button_style=style, disabled=disabled, layout=widgets.Layout(width="max-content")
    )


def _line(row: Mapping[Any, Any]) -> str:
    """A sentence in the list: number, how it stands, its beginning."""
    text = str(row["text"] if row["text"] is not None else row["answer"] or "")
    short = text if len(text) <= LINE else text[: LINE - 3] + "..."
    stands = "" if row["status"] == "answered" else f"[{row['status']}] "
    return f"{row['place']:>2}  {stands}{short}"
