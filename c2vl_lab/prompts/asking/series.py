"""What a set of answers belongs to: one question, one model, one source of pictures."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from c2vl_lab.artifacts import fingerprint, read_json, write_json
from c2vl_lab.config import from_dict, to_dict
from c2vl_lab.errors import DataError
from c2vl_lab.prompts.asking.protocol import Backend
from c2vl_lab.prompts.asking.templates import Question

CARD = "series.json"


@dataclass(frozen=True)
class Series:
    """One table of answers, clips x places.

    Attributes:
        question: name of the question.
        version: its version.
        text: its text.
        parts: the body parts that take turns, if any.
        backend: kind of backend.
        model: the model.
        revision: version or digest of its weights.
        settings: what else the answers depend on.
        pictures: kind of the pictures, empty where none were looked at.
        source: identity of the pictures.
        count: sentences a clip.
    """

    question: str
    version: str
    text: str
    parts: tuple[str, ...] = ()
    backend: str = ""
    model: str = ""
    revision: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    pictures: str = ""
    source: str = ""
    count: int = 16

    @cached_property
    def model_id(self) -> str:
        """Who answers, and how: two series that agree in it may use one another's answers."""
        return fingerprint(self.backend, self.model, self.revision, self.settings)

    @cached_property
    def id(self) -> str:
        """16 digits; names of things play no part in it."""
        return fingerprint(self.model_id, self.text, list(self.parts), self.source, self.count)

    @property
    def folder(self) -> str:
        """Name of its folder: readable, and unique by :attr:`id`."""
        word = re.sub(r"[^A-Za-z0-9.]+", "-", Path(self.model).name or self.backend).strip("-.")[:40]
        return f"{word or 'model'}-{self.id}"

    def asked(self, place: int) -> str:
        """What is asked about the picture at ``place``."""
        return Question(self.question, self.version, self.text, self.parts).at(place) if self.text else ""

    def key(self, place: int, media: str) -> str:
        """32 digits of SHA-256 over everything that the answer depends on.

        Args:
            place: which picture of the clip.
            media: :func:`media_of` the picture, or what stands for it.
        """
        parts = [self.backend, self.model, self.revision, self.settings, self.asked(place), media]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def describe(self) -> str:
        """One line for lists and errors."""
        seen = f" of {self.pictures} pictures" if self.pictures else ""
        revision = f" ({self.revision[:12]})" if self.revision else ""
        return f"{self.question}: {self.backend} {self.model}{revision}, {self.count} a clip{seen}"


class Record(NamedTuple):
    """One answer as it is kept.

    Attributes:
        key: what it depends on, see :meth:`Series.key`.
        clip: name of the clip.
        place: place of the sentence, 0 is the first.
        text: the answer as it came.
        finish: why the model stopped.
        seconds: how long it took.
        attempt: 0 is the first.
        rejected: why it is no good; empty where it is good.
        media: digest of the picture.
        time: when it came, UTC.
    """

    key: str
    clip: str
    place: int
    text: str
    finish: str = "stop"
    seconds: float = 0.0
    attempt: int = 0
    rejected: str = ""
    media: str = ""
    time: str = ""


def series_of(question: Question, backend: Backend, pictures: str, source: str, count: int) -> Series:
    """The series that a question to a backend about some pictures makes."""
    return Series(
        question.name,
        question.version,
        question.text,
        question.parts,
        backend.name,
        backend.model,
        backend.revision,
        dict(backend.settings),
        pictures,
        source,
        count,
    )


def media_of(image: np.ndarray) -> str:
    """16 digits that tell pictures apart by their pixels."""
    return fingerprint(image)


def write_card(folder: Path, series: Series) -> None:
    """Describe a series in its folder; several processes may do so at once."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / CARD).is_file():
        write_json(folder / CARD, to_dict(series))


def read_card(folder: Path) -> Series:
    """The series of a folder.

    Raises:
        DataError: the description is damaged.
    """
    values = read_json(folder / CARD)
    if not isinstance(values, dict):
        raise DataError(f"{folder / CARD}: wanted the description of a series, found {type(values).__name__}.")
    return from_dict(Series, values, where=str(folder / CARD))
