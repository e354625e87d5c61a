"""Class scores of trained encoders on the test clips, kept beside the predictions so that streams can be fused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.errors import DataError

FILES = "scores-*.safetensors"


def compact(logits: np.ndarray) -> np.ndarray:
    """(m, C) logits less each clip's highest, as float16: what is nearly the highest keeps the most digits.

    A sum of such scores over streams puts the classes in the order of the sum of the logits, up to that rounding.
    """
    return (logits - logits.max(axis=1, keepdims=True)).astype(np.float16)


def scores_file(run_dir: Path, protocol: str) -> Path:
    """Where a run keeps the scores of a protocol."""
    return run_dir / FILES.replace("*", protocol)


def save_scores(path: Path, scores: Mapping[str, np.ndarray]) -> None:
    """Write (m, C) float16 scores by the name of their column of predictions; 2 bytes a clip and class each."""
    with atomic_path(path) as temporary:
        save_file({name: np.ascontiguousarray(rows) for name, rows in scores.items()}, temporary)


def load_scores(path: Path) -> dict[str, np.ndarray]:
    """What :func:`save_scores` wrote; nothing where there is no file.

    Raises:
        DataError: the file is damaged.
    """
    if not path.is_file():
        return {}
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: not readable ({error}). Remove it and measure the run again.") from error
