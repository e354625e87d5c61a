"""The quality desk's hands: open a series of answers, correct single sentences, have clips asked about again.

Places count from 1 here, as in every table and window that people read; the store of answers counts from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import ConfigError, MissingError
from c2vl_lab.prompts.asking.answers import AnswerStore
from c2vl_lab.prompts.asking.captioner import KinematicBackend
from c2vl_lab.prompts.asking.looking import AGAIN, answer_table, edit_table
from c2vl_lab.prompts.asking.opening import ANSWERS, open_answers, open_backend
from c2vl_lab.prompts.asking.protocol import Backend, Sampling
from c2vl_lab.prompts.asking.replay import ReplayBackend
from c2vl_lab.prompts.asking.runner import ask
from c2vl_lab.prompts.asking.series import Series, series_of
from c2vl_lab.prompts.asking.templates import Question, load_question
from c2vl_lab.teachers.protocol import PictureSource

Progress = Callable[[str], None]
QUESTION = "three-part"  # the default of `c2vl ask`, so that both make one and the same series


@dataclass
class Desk:
    """One series of answers on the desk.

    Attributes:
        store: the clips.
        answers: the folder of answers; every correction goes into its layer of edits, nothing else is changed.
        series: which of its answers.
        given: the ``captions`` that the desk was opened with.
        pictures: what the clips look like, if there are pictures.
        count: pictures of a clip that are shown, where the answers do not say it.
    """

    store: SkeletonStore
    answers: AnswerStore
    series: Series
    given: str = "kinematic"
    pictures: PictureSource | None = None
    count: int = 4

    def __post_init__(self) -> None:
        answered = set(self.answers.clips(self.series))
        self.names = [name for name in self.store.names if name in answered]
        if not self.names:
            raise MissingError(
                f"{self.answers.folder}, {self.series.describe()}: no answer is about a clip of {self.store.dataset} "
                f"(its names look like {self.store.names[0]}). Choose answers that were given for this data set."
            )

    @property
    def captions(self) -> str:
        """What pre-training has to be given as ``captions`` so that it takes these sentences, edits included."""
        edited = bool(self.answers.edits.made(self.series.id))
        if not edited and not self.given.startswith(ANSWERS):
            return self.given
        return f"{ANSWERS}{self.answers.folder}#{self.series.id}"

    @property
    def pairing(self) -> str:
        """Why sentence k belongs to picture k, or "" where it does not.

        "asked": the model looked at these very pictures; "order": an imported file, and equally many pictures spread
        over the clip, as the published sentences were made.
        """
        if self.pictures is None:
            return ""
        if self.series.source:
            return "asked" if self.series.source == self.pictures.identity else ""
        imported = self.series.backend == ReplayBackend.name
        return "order" if imported and self.count == self.series.count else ""

    def describe(self) -> pd.DataFrame:
        """What lies on the desk, one fact a row."""
        table = self.table()
        whole = table["text"].notna().groupby(table["clip"]).all().sum()
        states = table["status"].value_counts().to_dict()
        series = self.series
        asked = {"question": f"{series.text} ({series.question}, version {series.version})"} if series.pictures else {}
        edits = self.answers.edits
        bad = {"passed over": f"{edits.bad:,} lines of {edits.path} that are no edits; mend them"} if edits.bad else {}
        rows = {
            "said by": f"{series.model} {series.revision[:12]}".strip(),
            **asked,
            "folder": str(self.answers.folder / self.series.folder),
            "clips": f"{len(self.names):,} of {len(self.store):,}, {whole:,} with all sentences",
            "sentences": "; ".join(f"{count:,} {status}" for status, count in states.items()),
            **bad,
            "pre-training takes them with": f'captions="{self.captions}"',
        }
        return pd.DataFrame({"value": rows})

    def table(self, clips: Iterable[str] | None = None) -> pd.DataFrame:
        """One row a sentence, see :func:`~c2vl_lab.prompts.asking.looking.answer_table`."""
        return answer_table(self.answers, self.series, self.names if clips is None else list(clips))

    def edits(self) -> pd.DataFrame:
        """Every edit that was made, see :func:`~c2vl_lab.prompts.asking.looking.edit_table`."""
        return edit_table(self.answers, self.series)

    def lacking(self) -> pd.DataFrame:
        """Places without a sentence: ``clip``, ``place``, ``sentence`` (the rejected answer, if any) and ``why``."""
        lacking = [(clip, place + 1) for clip, place, _ in self.answers.missing(self.series, self.names)]
        table = self.table(dict.fromkeys(clip for clip, _ in lacking)).set_index(["clip", "place"])
        rows = [(*key, table.loc[key, "answer"], table.loc[key, "status"]) for key in lacking]
        return pd.DataFrame(rows, columns=["clip", "place", "sentence", "why"])

    def prompts(self) -> dict[str, list[str]]:
        """Sentences as pre-training takes them, edits applied, of every clip that lacks none.

        Raises:
            MissingError: no clip has all its sentences.
        """
        whole = self._whole()
        if not whole:
            raise MissingError(
                f"{self.answers.folder}, {self.series.describe()}: no clip has all its sentences. Ask again: c2vl ask."
            )
        return self.answers.to_prompts(whole, self.series)

    def part(self, rows: Sequence[int] | np.ndarray) -> tuple[list[str], np.ndarray]:
        """Names and labels of those clips among ``rows`` of the store, the training part say, that lack no sentence."""
        whole = set(self._whole())
        kept = [int(row) for row in rows if self.store.names[row] in whole]
        return [self.store.names[row] for row in kept], self.store.labels[kept]

    def replace(self, clip: str, place: int, text: str, author: str = "", note: str = "") -> None:
        """Let a sentence of one's own stand at ``place`` (1 is the first).

        Raises:
            ConfigError: no such clip or place, or a text that no model's answer could be either.
        """
        self.answers.replace(self.series, clip, self._at(place), text, author, note)

    def exclude(self, clip: str, place: int | None = None, author: str = "", note: str = "") -> None:
        """Use a sentence no more, or none of the clip's; the nearest one of the clip stands in its place.

        Raises:
            ConfigError: no such clip or place.
        """
        self.answers.exclude(self.series, clip, None if place is None else self._at(place), author, note)

    def restore(self, clip: str, place: int | None = None, author: str = "", note: str = "") -> None:
        """Take edits back: the answer counts again as the model gave it. Without a place: all of the clip.

        A mark to ask again is taken back too, as long as nobody has answered anew.

        Raises:
            ConfigError: no such clip or place.
        """
        self.answers.restore(self.series, clip, None if place is None else self._at(place), author, note)

    def reask(self, clips: Iterable[str], author: str = "", note: str = "") -> None:
        """Mark clips: all their sentences are to be asked for again, by :meth:`ask_again` or ``c2vl ask``.

        Raises:
            ConfigError: no such clip.
        """
        self.answers.reask(self.series, [clips] if isinstance(clips, str) else clips, author, note)

    def marked(self) -> list[str]:
        """The clips that wait to be asked about again."""
        waiting = {clip for clip, _, _ in self.answers.missing(self.series, self.names)}
        states = self.answers.edits.state
        count = range(self.series.count)
        return [
            name
            for name in self.names
            if name in waiting and any(states(self.series.id, name, place).beyond for place in count)
        ]

    def ask_again(self, backend: str = "", device: str = "auto", progress: Progress | None = None) -> pd.DataFrame:
        """Ask about the marked clips, and about no others.

        Args:
            backend: who is asked, as ``c2vl ask --backend`` writes it; "" asks nobody and lists what waits.
            device: of a model in this process.
            progress: called now and then with a line on how far it is.

        Returns:
            One row a sentence: clip, place, ``before`` and, once asked, ``now``.

        Raises:
            ConfigError: these are imported sentences, or ``backend`` is another model, or looks at other pictures, than
                the one whose answers these are: its answers would not stand beside them.
        """
        clips = self.marked()
        before = self.table(clips)
        before = before[before["status"] == AGAIN][["clip", "place", "answer"]].rename(columns={"answer": "before"})
        if not backend or not clips:
            return before.reset_index(drop=True)
        question, asked = self._question(), self._backend(backend, device)
        looked = self.pictures if asked.looks else None
        self._check_same(question, asked, looked)
        ask(
            self.store,
            looked,
            question,
            asked,
            self.answers,
            self.series.count,
            names=clips,
            progress=progress,
        )
        now = self.table(clips)[["clip", "place", "text"]].rename(columns={"text": "now"})
        return before.merge(now, on=["clip", "place"])

    def _at(self, place: int) -> int:
        """The store's own number of a place."""
        number = isinstance(place, int | np.integer) and not isinstance(place, bool)  # a table's cell is of numpy
        if not number or not 1 <= place <= self.series.count:
            raise ConfigError(f"A clip has the places 1 to {self.series.count}, found {place!r}.")
        return int(place) - 1

    def _whole(self) -> list[str]:
        """The clips that lack no sentence and of which one at least is not excluded."""
        lacking = {clip for clip, _, _ in self.answers.missing(self.series, self.names)}
        places, said = range(self.series.count), self.answers.sentence
        return [
            name
            for name in self.names
            if name not in lacking and any(said(self.series, name, place) is not None for place in places)
        ]

    def _question(self) -> Question:
        if not self.series.text:
            raise ConfigError(
                f"{self.series.model}: imported sentences cannot be asked for again, as nobody knows the question. "
                "Replace or exclude them."
            )
        return Question(self.series.question, self.series.version, self.series.text, self.series.parts)

    def _backend(self, spec: str, device: str) -> Backend:
        """The backend with the settings that the answers were given with."""
        kept = {
            name: self.series.settings[name] for name in Sampling.__dataclass_fields__ if name in self.series.settings
        }
        sampling = Sampling(**kept) if kept else None
        server = spec.startswith("server:")
        model, revision = (self.series.model, self.series.revision) if server else ("", "")
        return open_backend(spec, self.store, sampling, model, revision, device=device)

    def _check_same(self, question: Question, backend: Backend, source: PictureSource | None) -> None:
        """Refuse a backend whose answers would begin another series."""
        if backend.looks and source is None:
            raise ConfigError(f"The backend {backend.name} looks at pictures: set pictures={self.series.pictures!r}.")
        kind, identity = (source.kind, source.identity) if source else ("", "")
        other = series_of(question, backend, kind, identity, self.series.count)
        if other.id == self.series.id:
            return
        fields = ("backend", "model", "revision", "settings", "source")
        differ = [name for name in fields if getattr(other, name) != getattr(self.series, name)]
        said = "; ".join(f"{name}: {getattr(self.series, name)!r}, not {getattr(other, name)!r}" for name in differ)
        raise ConfigError(f"These answers are by another model or of other pictures ({said}). Ask the same one again.")


def open_desk(
    store: SkeletonStore,
    captions: str = "kinematic",
    answers: str | Path = "",
    work_dir: str | Path = "work",
    pictures: PictureSource | None = None,
    count: int = 4,
    progress: Progress | None = None,
) -> Desk:
    """The answers that ``captions`` names, on the desk.

    Args:
        store: the clips.
        captions: "kinematic": what the kinematic captioner says, asked for where it is missing; "answers:FOLDER" or
            "answers:FOLDER#ID": what is there; else a prompts file, which is imported.
        answers: folder in which answers are kept; "": ``work_dir/answers/<data set>``.
        work_dir: see ``answers``.
        pictures: of the clips, if there are any.
        count: pictures of a clip to show, where the answers do not say it.
        progress: called now and then with a line on how far it is.

    Raises:
        ConfigError: ``answers`` is given though ``captions`` names a folder of its own.
        MissingError: no such folder or file, or its answers are about other clips.
    """
    if captions.startswith(ANSWERS):
        if answers:
            raise ConfigError(f"captions='{captions}' names its own folder; leave answers='{answers}' away.")
        kept, series = open_answers(captions)
        return Desk(store, kept, series, captions, pictures, count)
    kept = AnswerStore(answers or Path(work_dir) / "answers" / store.dataset)
    if captions == "kinematic":
        series = _caption(store, kept, progress)
    else:
        series = kept.import_prompts(captions)
        kept.close()
    return Desk(store, kept, series, captions, pictures, count)


def _caption(store: SkeletonStore, answers: AnswerStore, progress: Progress | None) -> Series:
    """The kinematic captioner's answers; clips that it never spoke of are captioned, none is asked about twice."""
    question, backend = load_question(QUESTION), KinematicBackend(store)
    series = series_of(question, backend, "", "", backend.sentences or 0)
    answers.refresh(series)
    there = set(answers.clips(series))
    fresh = [name for name in store.names if name not in there or _torn(answers, series, name)]
    if fresh:
        ask(store, None, question, backend, answers, series.count, names=fresh, progress=progress)
    return series


def _torn(answers: AnswerStore, series: Series, clip: str) -> bool:
    """Whether a clip was left half answered by a run that was killed; places marked by a person do not count."""
    places = range(series.count)
    return any(not answers.records(series, clip, place) for place in places)
