"""Answers out of a file, such as the one that the paper's authors released."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import file_sha256
from c2vl_lab.prompts.asking.protocol import Answer, Request
from c2vl_lab.prompts.store import load_prompts


class ReplayBackend:
    """The sentences of a prompts file, as if a model gave them; clips that it lacks have no answer."""

    name = "replay"
    looks = False

    def __init__(self, path: str | Path):
        """Read the file.

        Raises:
            MissingError, DataError: see :func:`~c2vl_lab.prompts.store.load_prompts`.
        """
        self._prompts = load_prompts(path)
        self.model, self.revision = Path(path).name, file_sha256(Path(path))[:16]
        self.settings: dict[str, Any] = {}
        self.sentences: int | None = len(next(iter(self._prompts.values())))

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Each request's own place in the file."""
        for request in requests:
            sentences = self._prompts.get(request.clip)
            if sentences is None:
                yield Answer(request, error=f"{self.model} has no sentences for this clip", lasting=True)
            else:
                yield Answer(request, sentences[request.place])
