"""Teacher features of every clip's sentences and pictures: computed once, cached by content, never whole in memory."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.errors import DataError
from c2vl_lab.teachers.feature_files import FeatureRows, banked_features
from c2vl_lab.teachers.protocol import ImagePreparer, PictureSource, Teacher, TextPreparer

Progress = Callable[[str], None] | None
SECONDS_BETWEEN_REPORTS = 3.0
THREADS = 16  # that decode, at most
BATCH = 128  # of a teacher that does not say its own


def text_features(
    prompts_per_clip: list[list[str]], teacher: Teacher, cache_dir: str | Path, progress: Progress = None
) -> FeatureRows:
    """Teacher features of every clip's sentences; each distinct sentence is encoded once, then cached.

    Args:
        prompts_per_clip: K sentences for each of N clips.
        teacher: encodes the sentences.
        cache_dir: folder of the cache; one folder a teacher, where only sentences that are new to it are encoded.
        progress: told "128/5049 sentences, 210/s, 23 s left" every few seconds.

    Returns:
        (N, K, D) float32, memory-mapped.

    Raises:
        DataError: no sentence at all, or clips with different numbers of sentences.
        StorageError: the disk is full; the next call goes on from there.
    """
    counts = sorted({len(prompts) for prompts in prompts_per_clip})
    if len(counts) != 1 or counts[0] == 0:
        raise DataError(
            f"Wanted the same number of sentences (at least 1) for every clip, found {counts or 'no clip'}."
        )
    # sorted by length, so that the sentences of one batch need little padding
    distinct = sorted({text for prompts in prompts_per_clip for text in prompts}, key=lambda text: (len(text), text))

    def blocks(missing: list[str], start: int) -> Iterator[np.ndarray]:
        tell = _reporter(progress, len(missing), "sentences", start)
        done = start
        for features in encoded_texts(missing[start:], teacher):
            yield features
            done += len(features)
            tell(done)

    folder = Path(cache_dir) / f"sentences-{fingerprint(teacher.identity)}"
    tables, row = banked_features(folder, distinct, 1, blocks, {"of": "sentences", **_about(teacher)})
    index = np.array([[row[text] for text in prompts] for prompts in prompts_per_clip])
    return FeatureRows(tables, index, fingerprint("texts", teacher.identity, *prompts_per_clip))


def image_features(
    source: PictureSource,
    names: list[str],
    count: int,
    teacher: Teacher,
    cache_dir: str | Path,
    progress: Progress = None,
) -> FeatureRows:
    """Teacher features of ``count`` pictures of every clip, cached; NaN rows for clips without pictures.

    Args:
        source: where pictures come from; threads decode and prepare them while the teacher works on batches that
            span clips.
        names: clip names, in the order of the result.
        count: pictures a clip.
        teacher: encodes the pictures.
        cache_dir: folder of the cache; one folder for source, count and teacher, where only new clips are encoded.
        progress: told "12/431 clips with pictures, ..." every few seconds.

    Returns:
        (N, count, D) float32, memory-mapped.

    Raises:
        DataError: none of the clips has pictures, or a picture file is damaged.
        StorageError: the disk is full; the next call goes on from there.
    """
    have = source.names()
    available = sorted(name for name in set(names) if name in have)
    if not available:
        raise DataError(f"None of the {len(names)} clips has pictures in {source.kind} ({source.identity}).")

    if progress is not None and len(available) < len(set(names)):
        progress(f"{len(set(names)) - len(available)} of {len(set(names))} clips have no pictures in {source.kind}")

    def blocks(missing: list[str], start: int) -> Iterator[np.ndarray]:
        tell = _reporter(progress, len(missing), "clips with pictures", start // count)
        done = start
        for features in encoded_pictures(source, missing, count, teacher, start):
            yield features
            done += len(features)
            tell(done // count)

    key = fingerprint(source.kind, source.identity, count, teacher.identity)
    card = {"of": "clips", "source": f"{source.kind} {source.identity}", **_about(teacher)}
    tables, row = banked_features(Path(cache_dir) / f"pictures-{key}", available, count, blocks, card)
    first = np.array([row.get(name, -1) for name in names])[:, None]
    index = np.where(first < 0, -1, first + np.arange(count))
    return FeatureRows(tables, index, fingerprint("pictures", key, names, [name in row for name in names]))


def encoded_texts(texts: list[str], teacher: Teacher) -> Iterator[np.ndarray]:
    """(n, D) features of the sentences, batch by batch; a thread tokenises the next batch meanwhile."""
    size = getattr(teacher, "batch_texts", BATCH)
    batches = (texts[first : first + size] for first in range(0, len(texts), size))
    if not isinstance(teacher, TextPreparer):
        yield from (teacher.encode_texts(batch) for batch in batches)
        return
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[Any]] = deque()
        for batch in batches:
            waiting.append(pool.submit(teacher.tokenize_texts, batch))
            if len(waiting) > 1:
                yield teacher.encode_tokens(waiting.popleft().result())
        while waiting:
            yield teacher.encode_tokens(waiting.popleft().result())


def encoded_pictures(
    source: PictureSource, names: list[str], count: int, teacher: Teacher, start: int = 0
) -> Iterator[np.ndarray]:
    """(n, D) features of the clips' pictures one after another, from picture ``start`` on, batch by batch.

    Threads decode and prepare clips ahead, one more joins the next batch, and the teacher's model has the calling
    thread for itself. A batch has pictures of several clips; a resumed run has the batches of an unbroken one.
    """
    own = teacher if isinstance(teacher, ImagePreparer) else _Plain(teacher)
    first, skip = divmod(start, count)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = min(THREADS, cores)

    def ready(name: str) -> list[Any]:
        return [own.prepare_image(image) for image in source.pictures(name, count)]

    pool, joiner = ThreadPoolExecutor(threads), ThreadPoolExecutor(1)
    ahead = 2 * threads + -(-own.batch_images // count)
    pictures = (one for clip in _ahead(pool, ready, names[first:], ahead) for one in clip)

    def batch() -> Any:
        together = list(islice(pictures, own.batch_images))
        return own.join_images(together) if together else None

    try:
        for _ in islice(pictures, skip):
            pass
        waiting = joiner.submit(batch)
        while (joined := waiting.result()) is not None:
            waiting = joiner.submit(batch)
            yield own.encode_joined(joined)
    finally:  # also where the reader stops or a picture is damaged
        for threads_of in (pool, joiner):
            threads_of.shutdown(wait=True, cancel_futures=True)


class _Plain:
    """A teacher that only knows :meth:`encode_images`."""

    def __init__(self, teacher: Teacher) -> None:
        self.batch_images = getattr(teacher, "batch_images", 32)
        self.encode_joined = teacher.encode_images

    def prepare_image(self, image: np.ndarray) -> np.ndarray:
        return image

    def join_images(self, prepared: list[Any]) -> list[Any]:
        return prepared


def _ahead(pool: ThreadPoolExecutor, work: Callable[[str], Any], names: list[str], most: int) -> Iterator[Any]:
    """``work`` of each name in order, ``most`` names ahead of the reader."""
    waiting: deque[Future[Any]] = deque()
    for name in names:
        waiting.append(pool.submit(work, name))
        if len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _about(teacher: Teacher) -> dict[str, Any]:
    """Who made the features, for their card."""
    device = getattr(teacher, "device", "")
    return {"teacher": teacher.name, "identity": teacher.identity, "stand_in": teacher.stand_in, "device": device}


def _reporter(progress: Progress, total: int, what: str, start: int = 0) -> Callable[[int], None]:
    """Tells ``progress`` at most every few seconds, and at the end."""
    begun = last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if progress is not None and (done == total or now - last > SECONDS_BETWEEN_REPORTS):
            rate = (done - start) / max(now - begun, 1e-6)
            left = f", {rate:.1f}/s, {(total - done) / rate:.0f} s left" if rate and done < total else ""
            progress(f"{done}/{total} {what}{left}")
            last = now

    return tell
