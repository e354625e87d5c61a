"""What a teacher is, and what it looks at: two small protocols that everything above depends on."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Teacher(Protocol):
    """A frozen model that turns sentences and pictures into features.

    Attributes:
        name: short name for tables and reports.
        identity: model and digest of its weights; part of every cache key.
        stand_in: True where this is not the paper's vision-language model; reports say so.
        shared_space: True where text and picture features live in one space, as CLIP's do.
    """

    name: str
    identity: str
    stand_in: bool
    shared_space: bool

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """(n, D) float32 features of ``n`` sentences."""
        ...

    def encode_images(self, images: list[np.ndarray]) -> np.ndarray:
        """(n, D) float32 features of ``n`` RGB pictures, uint8 (H, W, 3) each."""
        ...


@runtime_checkable
class ImagePreparer(Protocol):
    """A teacher whose pictures threads can make ready, so that its model never waits for a processor.

    Attributes:
        batch_images: pictures that the model takes at once on its device.
    """

    batch_images: int

    def prepare_image(self, image: np.ndarray) -> Any:
        """One RGB picture, uint8 (H, W, 3), as the model wants it: a tensor on the processor, or several by name."""
        ...

    def join_images(self, prepared: list[Any]) -> Any:
        """A batch of prepared pictures, still on the processor."""
        ...

    def encode_joined(self, batch: Any) -> np.ndarray:
        """(n, D) float32 features of a batch: the forward pass alone."""
        ...


@runtime_checkable
class TextPreparer(Protocol):
    """A teacher whose sentences a thread can tokenise while its model works on those before.

    Attributes:
        batch_texts: sentences that the model takes at once on its device.
    """

    batch_texts: int

    def tokenize_texts(self, texts: list[str]) -> Any:
        """A batch of tokens, still on the processor; sentences that pass the window are counted and reported."""
        ...

    def encode_tokens(self, tokens: Any) -> np.ndarray:
        """(n, D) float32 features of a batch: the forward pass alone."""
        ...


class PictureSource(Protocol):
    """Where the pictures of clips come from.

    Attributes:
        kind: short name for tables and reports.
        identity: what the pictures depend on (files, settings); part of every cache key.
    """

    kind: str
    identity: str

    def names(self) -> set[str]:
        """Clips that have pictures."""
        ...

    def pictures(self, name: str, count: int) -> list[np.ndarray]:
        """``count`` RGB pictures of a clip in order of time, uint8 (H, W, 3) each."""
        ...
