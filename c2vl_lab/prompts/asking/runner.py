"""Ask a backend about every clip until all is answered, or it is known exactly what is not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import C2VLError, ConfigError
from c2vl_lab.prompts.asking.answers import AnswerStore, Missing, now
from c2vl_lab.prompts.asking.judging import fault_of
from c2vl_lab.prompts.asking.protocol import Answer, Backend, Request
from c2vl_lab.prompts.asking.series import Record, Series, media_of, series_of
from c2vl_lab.prompts.asking.templates import Question
from c2vl_lab.prompts.asking.threads import ahead
from c2vl_lab.teachers.protocol import PictureSource

Progress = Callable[[str], None]
Slot = tuple[str, int]  # clip, place
SPEAK_SECONDS = 2.0


@dataclass
class Outcome:
    """How a run of :func:`ask` ended.

    Attributes:
        series: where the answers are.
        wanted: sentences asked for, those of earlier runs included.
        asked: requests that got an answer in this run, good or not.
        rejected: how many of these were no good.
        reused: answers taken over from the same request elsewhere (short clips repeat pictures).
        seconds: how long it took.
        missing: what is not answered: (clip, place, reason), exactly.
    """

    series: Series
    wanted: int = 0
    asked: int = 0
    rejected: int = 0
    reused: int = 0
    seconds: float = 0.0
    missing: list[Missing] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every sentence is there."""
        return not self.missing


def ask(
    store: SkeletonStore,
    source: PictureSource | None,
    question: Question,
    backend: Backend,
    answers: AnswerStore,
    count: int = 16,
    shard: tuple[int, int] = (1, 1),
    attempts: int = 4,
    names: Sequence[str] | None = None,
    patience: int = 40,
    progress: Progress | None = None,
) -> Outcome:
    """Ask about every clip; what is answered already is not asked again.

    Every answer is on the disk before the next one is looked at, so a run may be killed at any time and started again
    with the same arguments. An answer that is no good is kept as rejected and asked for again with another seed.

    Args:
        store: the clips.
        source: their pictures; None for backends that look at none.
        question: what is asked about each picture.
        backend: who answers.
        answers: where the answers are kept.
        count: pictures, and so sentences, a clip.
        shard: (i, n): every n-th clip, from the i-th on; the n shards together are all clips, and may run at once.
        attempts: how often a sentence is asked for, earlier runs included.
        names: only these clips.
        patience: so many failures in a row (no answer at all, after the backend's own retries) end the run.
        progress: called now and then with a line on how far it is.

    Raises:
        ConfigError: a shard that cannot be, clips the store does not have, a count that the backend does not give.
        C2VLError: nothing can be asked at all; nothing that was answered is lost.
    """
    clips = _clips(store, names, shard)
    if backend.looks and source is None:
        raise ConfigError(f"The backend {backend.name} looks at pictures: name their source.")
    if backend.sentences not in (None, count):
        raise ConfigError(f"The backend {backend.name} gives {backend.sentences} sentences a clip, not {count}.")
    if count < 1 or attempts < 1:
        raise ConfigError(f"Wanted a count and attempts of at least 1, found {count} and {attempts}.")
    looked = source if backend.looks else None
    kind, identity = (looked.kind, looked.identity) if looked else ("", "")
    series = series_of(question, backend, kind, identity, count)
    answers.refresh(series)
    run = _Run(series, looked, backend, answers, attempts, patience, progress)
    try:
        run.go(clips)
    finally:
        answers.close()
    return run.finish(clips)


class _Run:
    """One call of :func:`ask`."""

    def __init__(self, series, source, backend, answers, attempts, patience, progress):
        self.series: Series = series
        self.source: PictureSource | None = source
        self.backend: Backend = backend
        self.answers: AnswerStore = answers
        self.attempts: int = attempts
        self.patience: int = patience
        self.outcome = Outcome(series)
        self.failures: dict[Slot, str] = {}  # why there is no answer at all
        self.tries: dict[Slot, int] = {}  # failures of this run, which are not on the disk
        self.waiting: dict[tuple[str, int], list[Slot]] = {}  # (key, attempt) in flight: who waits for it
        self.in_a_row = 0
        self.given_up = False  # no new requests; what is in flight is waited for
        self.clock = _Clock(progress)

    def go(self, clips: list[str]) -> None:
        """Rounds until nothing is left to ask; a rejected answer is asked for again in the next round."""
        self.outcome.wanted = len(clips) * self.series.count
        while todo := self._todo(clips):
            left = sum(map(len, todo.values()))
            self.clock.begin(self.outcome.wanted, left, again=self.outcome.rejected)
            requests = self._requests(todo)
            for answer in self.backend.ask(requests):
                self._take(answer)
            if self.given_up:
                return

    def finish(self, clips: list[str]) -> Outcome:
        """The outcome, with the exact list of what is missing."""
        self.outcome.seconds = self.clock.seconds()
        for clip, place, reason in self.answers.missing(self.series, clips):
            known = self.failures.get((clip, place))
            if known is None and self.given_up:
                known = f"not asked: {self.patience} requests in a row had failed"
            self.outcome.missing.append((clip, place, known or reason))
        return self.outcome

    def _todo(self, clips: list[str]) -> dict[str, list[int]]:
        """What this round asks for."""
        todo: dict[str, list[int]] = {}
        for clip in clips:
            for place in range(self.series.count):
                if self.answers.accepted(self.series, clip, place) is None:
                    made = self.answers.attempts(self.series, clip, place)[1] + self.tries.get((clip, place), 0)
                    if made < self.attempts:
                        todo.setdefault(clip, []).append(place)
        return todo

    def _requests(self, todo: dict[str, list[int]]) -> Iterator[Request]:
        """The requests of a round, pictures made ahead; what is known already is taken over instead."""
        there = self.source.names() if self.source else set()
        for clip, pictures in ahead(lambda clip: (clip, self._pictures(clip, there)), todo):
            for place in todo[clip]:
                if self.given_up:
                    return
                if isinstance(pictures, str):
                    self._fail((clip, place), pictures, lasting=True)
                    continue
                image = pictures[place] if self.source else None
                media = media_of(image) if image is not None else f"{clip}#{place}"
                key = self.series.key(place, media)
                attempt = self.answers.attempts(self.series, clip, place)[0]
                if attempt == 0 and (known := self.answers.known(self.series, key)):
                    self._keep([(clip, place)], known._replace(seconds=0.0, attempt=0))
                    self.outcome.reused += 1
                    continue
                waiting = self.waiting.setdefault((key, attempt), [])
                waiting.append((clip, place))
                if len(waiting) == 1:
                    yield _Keyed(clip, place, self.series.asked(place), image, attempt, key=key, media=media)

    def _pictures(self, clip: str, there: set[str]) -> list[np.ndarray] | str:
        """The clip's pictures, or why there are none; runs in several threads."""
        if self.source is None:
            return []
        if clip not in there:
            return f"there are no {self.source.kind} pictures of this clip"
        try:
            return self.source.pictures(clip, self.series.count)
        except C2VLError as error:  # one damaged video is no reason to stop
            return f"its pictures cannot be had: {error}"

    def _take(self, answer: Answer) -> None:
        """Keep one answer, for all that wait for it."""
        request = answer.request
        if not isinstance(request, _Keyed):
            raise TypeError(f"backend {self.backend.name} gave back a request that was not asked")
        slots = self.waiting.pop((request.key, request.attempt))
        if answer.error:
            self.in_a_row += not answer.lasting
            self.given_up |= self.in_a_row >= self.patience
            for slot in slots:
                self._fail(slot, answer.error, answer.lasting)
            return
        self.in_a_row = 0
        fault = fault_of(answer.text, answer.finish)
        self.outcome.asked += 1
        self.outcome.rejected += bool(fault)
        self.outcome.reused += len(slots) - 1
        record = Record(
            request.key,
            request.clip,
            request.place,
            answer.text,
            answer.finish,
            round(answer.seconds, 3),
            request.attempt,
            fault,
            request.media,
            now(),
        )
        self._keep(slots, record)

    def _keep(self, slots: list[Slot], record: Record) -> None:
        """Write an answer for each sentence that it is for."""
        self.answers.add(self.series, [record._replace(clip=clip, place=place) for clip, place in slots])
        for slot in slots:
            self.failures.pop(slot, None)
            if not record.rejected:
                self.clock.step()

    def _fail(self, slot: Slot, reason: str, lasting: bool) -> None:
        self.failures[slot] = reason
        self.tries[slot] = self.attempts if lasting else self.tries.get(slot, 0) + 1


@dataclass(frozen=True)
class _Keyed(Request):
    """A request with what its answer is kept under."""

    key: str = ""
    media: str = ""


class _Clock:
    """Says how far the run is, how fast, and how long it will take."""

    def __init__(self, progress: Progress | None):
        self.progress = progress
        self.start = self.spoke = time.monotonic()
        self.wanted = self.done = self.steps = 0

    def begin(self, wanted: int, left: int, again: int) -> None:
        """A round begins."""
        self.wanted, self.done = wanted, wanted - left
        if self.progress:
            why = f" ({again} answers were no good so far)" if again else ""
            self.progress(f"asking: {self.done:,} of {wanted:,} sentences are there, {left:,} to ask for{why}")

    def step(self) -> None:
        """One good answer more."""
        self.done += 1
        self.steps += 1
        ended = self.done == self.wanted
        if self.progress and (ended or time.monotonic() - self.spoke > SPEAK_SECONDS):
            self.spoke = time.monotonic()
            rate = self.steps / max(self.seconds(), 1e-9)
            left = f", about {_duration((self.wanted - self.done) / rate)} left" if not ended else ""
            share = self.done / self.wanted
            self.progress(f"asking: {self.done:,} of {self.wanted:,} ({share:.1%}), {rate:.1f} a second{left}")

    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.start


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _clips(store: SkeletonStore, names: Sequence[str] | None, shard: tuple[int, int]) -> list[str]:
    """The clips of a shard, in the store's order."""
    number, of = shard
    if not 1 <= number <= of:
        raise ConfigError(f"--shard wants i/n with 1 <= i <= n, found {number}/{of}.")
    if names is not None and (strange := set(names) - set(store.names)):
        raise ConfigError(f"{store.dataset} has no clip '{min(strange)}' ({len(strange)} such names).")
    wanted = set(store.names if names is None else names)
    return [name for name in store.names if name in wanted][number - 1 :: of]
