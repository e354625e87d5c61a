"""The kinematic captioner as a backend: it looks at the joints, so no picture is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.prompts.asking.protocol import Answer, Request
from c2vl_lab.prompts.kinematic import CAPTIONER_VERSION, SENTENCES, caption_clip


class KinematicBackend:
    """Sentences from the joints of a store; the question plays no part."""

    name = "kinematic"
    looks = False
    sentences: int | None = SENTENCES

    def __init__(self, store: SkeletonStore):
        self._store = store
        self._at = {name: index for index, name in enumerate(store.names)}
        self.model, self.revision = "kinematic captioner", CAPTIONER_VERSION
        self.settings: dict[str, Any] = {"store": store.fingerprint}

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Each request's own place; a clip is captioned once for all its places in a row."""
        last, sentences = "", []
        for request in requests:
            if request.clip != last:
                clip = self._store[self._at[request.clip]]
                last, sentences = clip.name, caption_clip(clip.xyz, clip.present, self._store.layout)
            yield Answer(request, sentences[request.place])
