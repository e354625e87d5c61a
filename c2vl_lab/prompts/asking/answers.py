"""The store of answers: append-only, by content, readable by people, safe with many writing processes.

::

    answers/
      edits.jsonl                        corrections by people, a layer over the answers
      llava-1.5-7b-hf-3f9c.../           one series: a question, a model, a source of pictures
        series.json                      which
        answers-<time>-<process>.jsonl   one answer a line; each process has its own file
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import file_sha256
from c2vl_lab.errors import ConfigError, MissingError, near_miss
from c2vl_lab.prompts.asking.edits import Edits
from c2vl_lab.prompts.asking.judging import fault_of, tidy
from c2vl_lab.prompts.asking.lines import LineWriter
from c2vl_lab.prompts.asking.series import CARD, Record, Series, read_card, write_card
from c2vl_lab.prompts.asking.tables import Table
from c2vl_lab.prompts.store import load_prompts, save_prompts

Missing = tuple[str, int, str]  # clip, place, reason


class AnswerStore:
    """Answers of any number of series in one folder.

    Use it as a context, or call :meth:`close` when done, so that the last second's answers reach the disk.

    Attributes:
        folder: where it lies; made when the first answer is added.
        edits: the layer of corrections.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).expanduser()
        self.edits = Edits(self.folder / "edits.jsonl")
        self._tables: dict[str, Table] = {}
        self._writers: dict[str, LineWriter] = {}

    def __enter__(self) -> AnswerStore:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Bring all answers to the disk."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def all_series(self) -> list[Series]:
        """Every series that has been begun, in order of their folders.

        Raises:
            DataError: a description is damaged.
        """
        return [read_card(path.parent) for path in sorted(self.folder.glob(f"*/{CARD}"))]

    def find(self, **wanted: Any) -> Series:
        """The one series whose attributes agree: ``find(question="three-part", model="llava-1.5-7b-hf")``.

        Raises:
            ConfigError: no such attribute; or several series agree (they are listed).
            MissingError: none agrees.
        """
        for name in wanted:
            if name not in ("id", *Series.__dataclass_fields__):
                raise ConfigError(f"A series has no '{name}'. {near_miss(name, Series.__dataclass_fields__)}")
        known = self.all_series()
        found = [series for series in known if all(getattr(series, name) == wanted[name] for name in wanted)]
        if len(found) == 1:
            return found[0]
        lines = "".join(f"\n  {series.id}  {series.describe()}" for series in found or known) or " nothing"
        asked = ", ".join(f"{name}={value!r}" for name, value in wanted.items()) or "any series"
        if found:
            raise ConfigError(f"{self.folder}: {len(found)} series agree with {asked}; name one by id=:{lines}")
        raise MissingError(f"{self.folder}: no answers with {asked}. There is:{lines}")

    def add(self, series: Series, records: Iterable[Record]) -> None:
        """Append answers; when this returns they survive the end of the process.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        records = list(records)
        table, writer = self._table(series), self._writer(series)
        writer.write(record._asdict() for record in records)
        for record in records:
            table.take(record)
        table.read[writer.path.name] = writer.size

    def refresh(self, series: Series) -> None:
        """Read what other processes have appended since."""
        self.edits.refresh()
        self._table(series).refresh()

    def clips(self, series: Series) -> list[str]:
        """The clips that have at least one answer, good or not."""
        self.refresh(series)
        return list(self._table(series).slots)

    def records(self, series: Series, clip: str, place: int) -> list[Record]:
        """All answers for one sentence, good or not, in the order in which they were read."""
        return list(self._table(series).at(clip, place))

    def accepted(self, series: Series, clip: str, place: int) -> Record | None:
        """The model's good answer, the first one where there are several; None where there is none yet."""
        return self._good(series, clip, place, self.edits.state(series.id, clip, place).beyond)

    def attempts(self, series: Series, clip: str, place: int) -> tuple[int, int]:
        """(number of the next attempt, how many were rejected since the clip was last marked for asking)."""
        beyond = self.edits.state(series.id, clip, place).beyond
        made = [record.attempt for record in self._table(series).at(clip, place) if record.attempt >= beyond]
        return max(made, default=beyond - 1) + 1, len(set(made))

    def known(self, series: Series, key: str) -> Record | None:
        """A good answer of any series to the same request: same model, settings, question and picture."""
        for other in self._tables_like(series):
            if key in other.keys:
                return other.keys[key]
        return None

    def sentence(self, series: Series, clip: str, place: int) -> str | None:
        """The sentence as it is used, edits applied; None where it is missing or excluded."""
        edit = self.edits.state(series.id, clip, place)
        if edit.kind:
            return tidy(edit.text) if edit.kind == "replace" else None
        record = self._good(series, clip, place, edit.beyond)
        return None if record is None else tidy(record.text)

    def missing(self, series: Series, names: Sequence[str] | None = None) -> list[Missing]:
        """What has neither a good answer nor an edit: (clip, place, reason), exactly.

        Args:
            series: the series.
            names: the clips wanted; default: those that have at least one answer.
        """
        self.refresh(series)
        table, absent = self._table(series), []
        for clip in table.slots if names is None else names:
            for place in range(series.count):
                edit = self.edits.state(series.id, clip, place)
                if edit.kind or self._good(series, clip, place, edit.beyond) is not None:
                    continue
                tried = [record for record in table.at(clip, place) if record.attempt >= edit.beyond]
                last = f"rejected {len(tried)} times, at last: {tried[-1].rejected}" if tried else "not answered"
                absent.append((clip, place, last))
        return absent

    def to_prompts(
        self, names: Sequence[str] | None, series: Series, at_least: int | None = None
    ) -> dict[str, list[str]]:
        """Sentences as pre-training takes them, edits applied, ``series.count`` for each clip.

        Where a sentence is excluded, the nearest one of the same clip stands in its place, so that all clips have
        equally many (our choice).

        Args:
            names: the clips wanted, in this order; None for all that have answers.
            series: which answers.
            at_least: so many good sentences of a clip are enough, and the nearest stand for the missing ones;
                default: every place must have been answered.

        Raises:
            MissingError: sentences are missing; it says how many and names the first.
        """
        absent: dict[str, list[Missing]] = {}
        for entry in self.missing(series, names):
            absent.setdefault(entry[0], []).append(entry)
        prompts, short = {}, []
        for clip in self._table(series).slots if names is None else names:
            sentences = [self.sentence(series, clip, place) for place in range(series.count)]
            kept = sum(sentence is not None for sentence in sentences)
            if kept == 0 or (clip in absent and (at_least is None or kept < at_least)):
                short += absent.get(clip, [(clip, 0, "all its sentences are excluded")])
            else:
                prompts[clip] = _filled(sentences)
        if short:
            clips = len({clip for clip, _, _ in short})
            shown = "; ".join(f"{clip}, sentence {place + 1}: {reason}" for clip, place, reason in short[:3])
            raise MissingError(
                f"{self.folder}, {series.describe()}: {len(short)} sentences of {clips} clips are missing "
                f"({shown}{'; ...' if len(short) > 3 else ''}). Ask again, or replace them."
            )
        return prompts

    def replace(self, series: Series, clip: str, place: int, text: str, author: str = "", note: str = "") -> None:
        """Let a sentence of one's own stand in the answer's place.

        Raises:
            ConfigError: no such clip or place in the series, or a text that no model's answer could be either.
        """
        if fault := fault_of(text):
            raise ConfigError(f"Sentence {place + 1} of '{clip}' cannot be used: {fault}.")
        self._edit("replace", series, clip, place, text=text, author=author, note=note)

    def exclude(self, series: Series, clip: str, place: int | None, author: str = "", note: str = "") -> None:
        """Use a sentence no more; ``place`` None: all of the clip.

        Raises:
            ConfigError: no such clip or place in the series.
        """
        self._edit("exclude", series, clip, place, author=author, note=note)

    def restore(self, series: Series, clip: str, place: int | None, author: str = "", note: str = "") -> None:
        """Take back edits: the answer counts again as the model gave it; ``place`` None: all of the clip.

        A mark to ask again is taken back too as long as nothing has come of it; once there is a new good answer, that
        one counts.

        Raises:
            ConfigError: no such clip or place in the series.
        """
        self.refresh(series)
        places = range(series.count) if place is None else (place,)
        marked = [at for at in places if self.edits.state(series.id, clip, at).beyond]
        waiting = [at for at in marked if self.accepted(series, clip, at) is None]
        back = {at: self._last_good(series, clip, at) for at in waiting}
        together = len(back) == len(places) and len(set(back.values())) == 1
        beyond = next(iter(back.values())) if together else None
        self._edit("restore", series, clip, place, author=author, note=note, beyond=beyond)
        for at, attempt in {} if together else back.items():
            self._edit("restore", series, clip, at, author=author, note=note, beyond=attempt)

    def reask(self, series: Series, clips: Iterable[str], author: str = "", note: str = "") -> None:
        """Mark clips: their answers and edits count no more, and the next run asks again, with another seed.

        Raises:
            ConfigError: no such clip in the series.
        """
        self.refresh(series)
        for clip in clips:
            made = self._table(series).slots.get(clip, {})
            beyond = 1 + max((record.attempt for records in made.values() for record in records), default=-1)
            self._edit("reask", series, clip, None, beyond=beyond, author=author, note=note)

    def import_prompts(self, path: str | Path, question: str = "imported") -> Series:
        """Take in sentences in the published form ``{clip: [sentence, ...]}``, from ``.json`` or ``.zip``.

        Importing the same file again adds nothing.

        Raises:
            MissingError, DataError: see :func:`~c2vl_lab.prompts.store.load_prompts`.
        """
        prompts = load_prompts(path)
        count = len(next(iter(prompts.values())))
        name, digest = Path(path).name, file_sha256(Path(path))[:16]
        series = Series(question, "1", "", (), "replay", name, digest, {}, "", "", count)
        self.refresh(series)
        stamp = now()
        new = [
            Record(series.key(place, f"{clip}#{place}"), clip, place, text, time=stamp)
            for clip, sentences in prompts.items()
            for place, text in enumerate(sentences)
            if not self.records(series, clip, place)  # those that are to be asked again are here all the same
        ]
        self.add(series, new)
        return series

    def export_prompts(self, path: str | Path, series: Series, names: Sequence[str] | None = None) -> int:
        """Write sentences in the published form, edits applied.

        Returns:
            How many clips.

        Raises:
            MissingError: sentences are missing, see :meth:`to_prompts`.
            DataError: there is no clip.
        """
        prompts = self.to_prompts(names, series)
        save_prompts(path, prompts)
        return len(prompts)

    def _edit(self, kind: str, series: Series, clip: str, place: int | None, **more: Any) -> None:
        """Append an edit of something that is there."""
        self.refresh(series)
        if clip not in self._table(series).slots:
            raise ConfigError(f"{series.describe()}: there is no answer about a clip '{clip}'.")
        if place is not None and not 0 <= place < series.count:
            raise ConfigError(f"A clip has the places 0 to {series.count - 1}, found {place}.")
        said = {name: value for name, value in more.items() if value not in ("", None)}
        self.edits.add(kind, series.id, clip, place, **said)
        self.edits.refresh()

    def _good(self, series: Series, clip: str, place: int, beyond: int) -> Record | None:
        made = self._table(series).at(clip, place)
        return next((record for record in made if not record.rejected and record.attempt >= beyond), None)

    def _last_good(self, series: Series, clip: str, place: int) -> int:
        """Number of the last attempt that gave a good answer; 0 where none did."""
        made = self._table(series).at(clip, place)
        return max((record.attempt for record in made if not record.rejected), default=0)

    def _table(self, series: Series) -> Table:
        if series.id not in self._tables:
            self._tables[series.id] = Table(self.folder / series.folder)
            self._tables[series.id].refresh()
        return self._tables[series.id]

    def _tables_like(self, series: Series) -> list[Table]:
        """The tables whose answers come from the same model; the series' own first."""
        own = self._table(series)
        if own.alike is None:
            alike = [other for other in self.all_series() if other.model_id == series.model_id]
            own.alike = [own, *(self._table(other) for other in alike if other.id != series.id)]
        return own.alike

    def _writer(self, series: Series) -> LineWriter:
        writer = self._writers.get(series.id)
        if writer is None or not writer.is_mine():
            write_card(self.folder / series.folder, series)
            writer = self._writers[series.id] = LineWriter(self.folder / series.folder)
        return writer


def _filled(sentences: list[str | None]) -> list[str]:
    """Every gap filled with the nearest sentence, the earlier one of two."""
    have = [place for place, sentence in enumerate(sentences) if sentence is not None]
    nearest = [min(have, key=lambda place: (abs(place - at), place)) for at in range(len(sentences))]
    return [sentences[place] or "" for place in nearest]


def now() -> str:
    """The time of an answer, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
