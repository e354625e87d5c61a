"""Two things that every protocol does with rows of features and with predictions."""

from __future__ import annotations

import numpy as np


def unit(rows: np.ndarray) -> np.ndarray:
    """(N, D) rows of unit length; a row of zeros stays zero."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def share(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Share of clips that were predicted right, 0 to 1."""
    return float((predicted == labels).mean())
