"""What the joint space can do with words: zero-shot classes and retrieval in both directions."""

from __future__ import annotations

import numpy as np

from c2vl_lab.errors import DataError


def zero_shot(skeleton: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Index of the nearest class prompt of each clip.

    Args:
        skeleton: (N, D) unit-length skeleton features in the language space.
        classes: (C, D) unit-length features of the class prompts in the same space.
    """
    return (skeleton @ classes.T).argmax(axis=1)


def retrieval(queries: np.ndarray, gallery: np.ndarray) -> dict[str, float]:
    """How well each query finds the gallery entry of the same index.

    Args:
        queries: (N, D) unit length; gallery: (N, D) unit length; row i belongs to row i.

    Returns:
        R@1, R@5, R@10 (shares of queries) and the median rank (1 is best); equals count half a place each.

    Raises:
        DataError: the two sides have different sizes.
    """
    if queries.shape != gallery.shape:
        raise DataError(f"Retrieval wants two equal sides, found {queries.shape} and {gallery.shape}.")
    similarity = queries @ gallery.T
    own = similarity.diagonal()[:, None]
    ahead = (similarity > own).sum(axis=1)
    equal = (similarity == own).sum(axis=1) - 1
    ranks = 1 + ahead + equal / 2
    found = {f"R@{k}": float((ranks <= k).mean()) for k in (1, 5, 10)}
    return {**found, "median_rank": float(np.median(ranks))}
