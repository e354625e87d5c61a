"""Teacher features of several sets as one, with what tells the sets apart taken out if so wished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.errors import DataError
from c2vl_lab.teachers.feature_files import FeatureRows

BLOCK = 1024  # clips that are worked on at a time


@dataclass(frozen=True)
class LevelledRows(FeatureRows):
    """Features of unit length, moved so that all sets have the same mean at each place.

    What a set's texts say more often than another's (its actions apart: its length of clips, its sensor's noise) is
    an offset that names the set. A contrast of clips can be solved by it wherever the negatives are of another set.

    Attributes:
        shifts: (S, K, D) what is added to the features of each set.
        sets: (N,) which set each clip is of.
        common: (K, D) the mean that all sets have afterwards.
    """

    shifts: np.ndarray | None = None
    sets: np.ndarray | None = None
    common: np.ndarray | None = None

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, tuple):
            rows, rest = key[0], key[1:]
            return self[rows][rest if np.ndim(np.arange(len(self))[rows]) == 0 else (slice(None), *rest)]
        found = super().__getitem__(key)
        if self.shifts is None or self.sets is None:
            return found
        length = np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), 1e-12)
        return np.asarray(found / length + self.shifts[self.sets[key]], np.float32)


def place_means(features: FeatureRows) -> np.ndarray:
    """(K, D) float64 mean of the unit-length features at each place, of the clips that have features; else zero."""
    total, count = np.zeros(features.shape[1:]), 0
    for start in range(0, len(features), BLOCK):
        block = np.asarray(features[start : start + BLOCK], np.float64)
        block = block[np.isfinite(block).all(axis=(1, 2))]
        total += (block / np.maximum(np.linalg.norm(block, axis=-1, keepdims=True), 1e-12)).sum(axis=0)
        count += len(block)
    return total / max(count, 1)


def join_features(parts: Sequence[FeatureRows], level: bool) -> FeatureRows:
    """The sets' features one after another; a single set's are left as they are.

    Args:
        parts: (n, K, D) of each set's training clips.
        level: whether all sets are moved to the mean of all clips at each place.

    Raises:
        DataError: the sets have another number of features a clip, or of other dimensions.
    """
    if len(parts) == 1:
        return parts[0]
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        found = " and ".join(f"{count} of {width} dimensions" for count, width in sorted(shapes))
        raise DataError(f"pretrain_on: wanted as many features a clip in every set, found {found}.")
    starts = np.cumsum([0, *(sum(len(table) for table in part.tables) for part in parts)])
    index = np.concatenate([np.where(p.index < 0, -1, p.index + n) for p, n in zip(parts, starts, strict=False)])
    tables = tuple(table for part in parts for table in part.tables)
    key = fingerprint([part.key for part in parts], level)
    if not level:
        return FeatureRows(tables, index, key)
    counts = [len(part) for part in parts]
    means = np.stack([place_means(part) for part in parts])
    common = np.average(means, axis=0, weights=counts)
    shifts, sets = (common - means).astype(np.float32), np.repeat(np.arange(len(parts)), counts)
    return LevelledRows(tables, index, key, shifts, sets, common)


def levelled_to(features: FeatureRows, own: FeatureRows, wanted: FeatureRows) -> FeatureRows:
    """Features of one set's clips, moved as :func:`join_features` moves a set.

    Args:
        features: (N, K, D) of any clips of the set.
        own: (n, K, D) of its training clips, whose mean is subtracted.
        wanted: the features whose mean is added: those that the concept space is fitted on.
    """
    common = wanted.common if isinstance(wanted, LevelledRows) and wanted.common is not None else place_means(wanted)
    shift = (common - place_means(own)).astype(np.float32)[None]
    key = fingerprint(features.key, own.key, wanted.key)
    return LevelledRows(features.tables, features.index, key, shift, np.zeros(len(features), np.int64), common)
