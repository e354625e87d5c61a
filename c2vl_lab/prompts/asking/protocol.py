"""What a backend is: it takes requests one by one and gives answers as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from c2vl_lab.errors import ConfigError


@dataclass(frozen=True)
class Sampling:
    """How a model writes its answers; part of every answer's key.

    Attributes:
        max_tokens: longest answer.
        temperature: 0 takes the likeliest word each time.
        seed: of the first attempt; attempt k has ``seed + k``.
        retry_temperature: least temperature of later attempts: at 0 a bad answer would come again word for word.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0
    retry_temperature: float = 0.7

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.temperature < 0 or self.retry_temperature < 0 or self.seed < 0:
            raise ConfigError(f"Sampling wants max_tokens >= 1 and nothing below 0, found {self}.")

        for name in ("temperature", "retry_temperature"):  # 0 and 0.0 are one setting, so they must have one key
            object.__setattr__(self, name, float(getattr(self, name)))

    def at(self, attempt: int) -> Sampling:
        """The sampling of an attempt: another seed, some temperature, and room for an answer that was cut."""
        if attempt == 0:
            return self
        return replace(
            self,
            seed=self.seed + attempt,
            temperature=max(self.temperature, self.retry_temperature),
            max_tokens=self.max_tokens * 2,
        )


@dataclass(frozen=True)
class Request:
    """One question about one picture.

    Attributes:
        clip: name of the clip.
        place: which picture of the clip, 0 is the first; also the place of the sentence.
        text: the question.
        image: (H, W, 3) uint8 RGB; None for backends that look at no pictures.
        attempt: 0 at first; raised when an answer was no good.
    """

    clip: str
    place: int
    text: str
    image: np.ndarray | None = None
    attempt: int = 0


@dataclass(frozen=True)
class Answer:
    """What came back for a request.

    Attributes:
        request: the request.
        text: the answer as it came.
        finish: why the model stopped: ``"stop"``, or ``"length"`` where the answer was cut.
        seconds: how long it took; for a batch, its share.
        error: why there is no answer (the server gave up, the picture is unusable); then the text says nothing.
        lasting: with an error: asking again is of no use, and it says nothing about the next request.
    """

    request: Request
    text: str = ""
    finish: str = "stop"
    seconds: float = 0.0
    error: str = ""
    lasting: bool = False


class Backend(Protocol):
    """A model, or what stands for one.

    Attributes:
        name: kind of backend, for tables and keys.
        model: the model's public name.
        revision: version or digest of its weights.
        settings: everything else that its answers depend on, plain values.
        looks: whether it wants pictures.
        sentences: how many sentences a clip gets, where the backend itself decides it; else None.
    """

    name: str
    model: str
    revision: str
    settings: dict[str, Any]
    looks: bool
    sentences: int | None

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Answers in any order, each as soon as it is there; requests are taken one by one, as they are needed.

        Raises:
            C2VLError: nothing can be asked at all (no such model, no permission).
        """
        ...
