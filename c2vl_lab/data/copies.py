"""Test clips that are a training clip under another name: recognising them is memory, not generalisation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from c2vl_lab.data.protocols import Split
from c2vl_lab.data.store import SkeletonStore


def copies_of_training(store: SkeletonStore, split: Split) -> np.ndarray:
    """(m,) bool: test clips with exactly the coordinates of a training clip.

    The published NW-UCLA archive holds 95 of them among 464 cross-view test clips: all test clips of two classes.
    """
    known = set(clip_digests(store, split.train))
    return np.array([digest in known for digest in clip_digests(store, split.test)], bool)


def clip_digests(store: SkeletonStore, indices: Iterable[int]) -> list[bytes]:
    """A digest of each clip's coordinates as they are stored."""
    return [_digest(store, index) for index in indices]


def _digest(store: SkeletonStore, index: int) -> bytes:
    start, count = int(store.row_starts[index]), int(store.lengths[index] * store.body_counts[index])
    digest = hashlib.blake2b(digest_size=16, person=count.to_bytes(8, "little"))
    digest.update(np.ascontiguousarray(store.xyz[start : start + count]).data)
    return digest.digest()
