"""A control without a language model: every distinct sentence is a direction of its own, drawn by chance."""

from __future__ import annotations

import hashlib

import numpy as np

from c2vl_lab.errors import MissingError

DIMENSIONS = 384  # as many as the offline teacher's sentences have


class BagTeacher:
    """Knows which sentences are equal and nothing else: a random projection of a one-hot bag of sentences (our choice).

    What an encoder learns from this teacher it owes to the rules that wrote the sentences; what it learns beyond that
    from a language model it owes to the model. Zero-shot classification means nothing with it.
    """

    name = "bag of sentences (no language model)"
    identity = f"bag of sentences 1, {DIMENSIONS} dimensions"
    stand_in = True
    shared_space = False

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """(n, 384) float32 unit vectors, the same for the same sentence on every machine."""
        rows = np.empty((len(texts), DIMENSIONS), np.float32)
        for row, text in zip(rows, texts, strict=True):
            digest = hashlib.sha256(text.encode()).digest()
            drawn = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big"))).standard_normal(DIMENSIONS)
            row[:] = drawn / np.linalg.norm(drawn)
        return rows

    def encode_images(self, images: list[np.ndarray]) -> np.ndarray:
        """Always refused: it knows sentences only.

        Raises:
            MissingError: always.
        """
        raise MissingError("The teacher 'bag' knows sentences only. Take modalities=language, or another teacher.")
