"""What the writers of other repositories' layouts share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.readers.sources import Progress
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import StorageError

BODIES = 2
TOLD_EVERY = 2000  # clips


@dataclass
class Export:
    """What was written.

    Attributes:
        path: the file.
        names: the list of clip names beside it, where the layout itself has none.
        clips: clips of each part or split.
        counts: what the layout changed or cannot hold, and how often.
    """

    path: Path
    names: Path | None = None
    clips: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


def seen_bodies(clip: Clip, counts: Counter[str]) -> np.ndarray:
    """The clip without frames in which nobody is seen: (T', M', V, 3), at most the first two people.

    Absent bodies are zero. ``counts`` is told what was left out.
    """
    slots = np.flatnonzero(clip.present.any(axis=0))
    if len(slots) > BODIES:
        counts[f"bodies left out: more than {BODIES} in a clip"] += len(slots) - BODIES
    slots = slots[:BODIES]
    frames = clip.present[:, slots].any(axis=1)
    if not frames.all():
        counts["frames left out: nobody is seen"] += int((~frames).sum())
    there = clip.present[frames][:, slots]
    return np.where(there[:, :, None, None], clip.xyz[frames][:, slots], np.float32(0))


def published_labels(store: SkeletonStore) -> np.ndarray:
    """(N,) the published class id of each clip, from 0: what the other repositories call the label."""
    return np.asarray(store.class_ids, np.int64)[store.labels] - 1


def told(progress: Progress, layout: str, done: int, total: int) -> None:
    """Say now and then how far an export is."""
    if progress and (done % TOLD_EVERY == 0 or done == total):
        progress(f"{layout}: {done}/{total} clips written")


@contextmanager
def export_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about writing into a sentence with a remedy.

    Raises:
        StorageError: instead of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written ({error.strerror or error}). Free some space or write to another folder. "
            f"Whatever file was there before is as it was."
        ) from error
