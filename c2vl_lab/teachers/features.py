"""Teacher features of every clip's sentences and pictures: computed once, cached by content."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from c2vl_lab.artifacts import cached_array, fingerprint
from c2vl_lab.errors import DataError
from c2vl_lab.teachers.protocol import PictureSource, Teacher

Progress = Callable[[str], None] | None
SECONDS_BETWEEN_REPORTS = 3.0


def text_features(
    prompts_per_clip: list[list[str]], teacher: Teacher, cache_dir: str | Path, progress: Progress = None
) -> np.ndarray:
    """Teacher features of every clip's sentences; each distinct sentence is encoded once, then cached.

    Args:
        prompts_per_clip: K sentences for each of N clips.
        teacher: encodes the sentences.
        cache_dir: folder of the cache; the key is the sentences and the teacher's identity.
        progress: told "128/5049 sentences" every few seconds.

    Returns:
        (N, K, D) float32.

    Raises:
        DataError: no sentence at all, or clips with different numbers of sentences.
    """
    counts = sorted({len(prompts) for prompts in prompts_per_clip})
    if len(counts) != 1 or counts[0] == 0:
        raise DataError(
            f"Wanted the same number of sentences (at least 1) for every clip, found {counts or 'no clip'}."
        )
    # sorted by length, so that the sentences of one batch need little padding
    distinct = sorted({text for prompts in prompts_per_clip for text in prompts}, key=lambda text: (len(text), text))

    def make() -> np.ndarray:
        tell = _reporter(progress, len(distinct), "sentences")
        parts = []
        for start in range(0, len(distinct), 128):
            parts.append(teacher.encode_texts(distinct[start : start + 128]))
            tell(min(start + 128, len(distinct)))
        return np.concatenate(parts).astype(np.float32)

    features = cached_array(Path(cache_dir), fingerprint("texts", teacher.identity, distinct), make)
    row = {text: index for index, text in enumerate(distinct)}
    return np.asarray(features)[[[row[text] for text in prompts] for prompts in prompts_per_clip]]


def image_features(
    source: PictureSource,
    names: list[str],
    count: int,
    teacher: Teacher,
    cache_dir: str | Path,
    progress: Progress = None,
) -> np.ndarray:
    """Teacher features of ``count`` pictures of every clip, cached; NaN rows for clips without pictures.

    Args:
        source: where pictures come from; decoded by threads while the teacher works.
        names: clip names, in the order of the result.
        count: pictures a clip.
        teacher: encodes the pictures.
        cache_dir: folder of the cache; the key is source, clips, count and the teacher's identity.
        progress: told "12/431 clips with pictures" every few seconds.

    Returns:
        (N, count, D) float32.

    Raises:
        DataError: none of the clips has pictures, or a picture file is damaged.
    """
    have = source.names()
    available = sorted(name for name in set(names) if name in have)
    if not available:
        raise DataError(f"None of the {len(names)} clips has pictures in {source.kind} ({source.identity}).")

    if progress is not None and len(available) < len(set(names)):
        progress(f"{len(set(names)) - len(available)} of {len(set(names))} clips have no pictures in {source.kind}")

    def make() -> np.ndarray:
        tell = _reporter(progress, len(available), "clips with pictures")
        parts = []
        for done, pictures in enumerate(_decoded(source, available, count), 1):
            parts.append(teacher.encode_images(pictures))
            tell(done)
        return np.stack(parts).astype(np.float32)

    key = fingerprint("pictures", source.kind, source.identity, available, count, teacher.identity)
    features = cached_array(Path(cache_dir), key, make)
    result = np.full((len(names), *features.shape[1:]), np.nan, np.float32)
    row = {name: index for index, name in enumerate(available)}
    for index, name in enumerate(names):
        if name in row:
            result[index] = features[row[name]]
    return result


def _decoded(source: PictureSource, names: list[str], count: int) -> Iterator[list[np.ndarray]]:
    """Pictures of each clip in order, a few clips ahead of the reader."""
    threads = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[list[np.ndarray]]] = deque()
        for name in names:
            waiting.append(pool.submit(source.pictures, name, count))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _reporter(progress: Progress, total: int, what: str) -> Callable[[int], None]:
    """Tells ``progress`` at most every few seconds, and at the end."""
    last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        if progress is not None and (done == total or time.monotonic() - last > SECONDS_BETWEEN_REPORTS):
            progress(f"{done}/{total} {what}")
            last = time.monotonic()

    return tell
