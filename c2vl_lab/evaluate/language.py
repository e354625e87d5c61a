"""What the joint space can do with words: zero-shot classes and retrieval in both directions."""

from __future__ import annotations

import numpy as np

from c2vl_lab.errors import DataError

# Cosine of two clips' frozen, pooled and centred text features from which on the texts say nearly the same. TMR's 0.95
# is on scores from 0 to 1, which is this cosine; its text model is another. Equal texts have 1.
NEAR_DUPLICATE = 0.9
RECALLS = (1, 5, 10)
BLOCK = 1024  # queries at a time


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
    ranks = own_ranks(queries, gallery)
    return {**{f"R@{k}": float((ranks <= k).mean()) for k in RECALLS}, "median_rank": float(np.median(ranks))}


def own_ranks(
    queries: np.ndarray, gallery: np.ndarray, texts: np.ndarray | None = None, threshold: float = NEAR_DUPLICATE
) -> np.ndarray:
    """(N,) place of each query's own entry in its ranking of the gallery; 1 is best, equals count half a place each.

    Where many clips are described in nearly the same words no query can know which of them is its own. With ``texts``
    these others are taken out of a query's ranking: they count neither as found nor as ahead.

    Args:
        queries: (N, D) unit length; gallery: (N, D) unit length; row i belongs to row i.
        texts: (N, E) unit-length text features of the same clips, to know near-duplicates by; None: all clips count.
        threshold: cosine of two clips' texts from which on they are near-duplicates.

    Raises:
        DataError: the two sides have different sizes.
    """
    if queries.shape != gallery.shape:
        raise DataError(f"Retrieval wants two equal sides, found {queries.shape} and {gallery.shape}.")
    ranks = []
    for start in range(0, len(queries), BLOCK):
        own = np.arange(start, min(start + BLOCK, len(queries)))
        similarity = queries[own] @ gallery.T
        mark = similarity[np.arange(len(own)), own][:, None]
        counted = np.ones_like(similarity, bool) if texts is None else texts[own] @ texts.T < threshold
        counted[np.arange(len(own)), own] = False
        ahead = ((similarity > mark) & counted).sum(axis=1)
        equal = ((similarity == mark) & counted).sum(axis=1)
        ranks.append(1 + ahead + equal / 2)
    return np.concatenate(ranks)


def near_duplicates(texts: np.ndarray, threshold: float = NEAR_DUPLICATE) -> float:
    """Mean number of other clips whose text is within the threshold of a clip's own; texts: (N, E) unit length."""
    blocks = (texts[start : start + BLOCK] @ texts.T >= threshold for start in range(0, len(texts), BLOCK))
    return sum(int(block.sum()) for block in blocks) / len(texts) - 1
