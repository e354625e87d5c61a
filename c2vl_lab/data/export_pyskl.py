"""A store as the annotation ``.pkl`` that PYSKL and MMAction2 read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.data.export_common import Export, export_errors, published_labels, seen_bodies, told
from c2vl_lab.data.pickle_writer import PickleWriter
from c2vl_lab.data.protocols import make_split, protocols_of
from c2vl_lab.data.readers.pyskl import MADE_BY
from c2vl_lab.data.readers.sources import Progress
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import C2VLError, ConfigError

DTYPES = ("float32", "float16")


def export_pyskl(store: SkeletonStore, path: str | Path, dtype: str = "float32", progress: Progress = None) -> Export:
    """Write ``dict(made_by=..., split={xsub_train: [names], ...}, annotations=[...])`` with all the store's protocols.

    An annotation has ``frame_dir`` (the clip's name), ``label`` (published class id - 1), ``total_frames`` and
    ``keypoint`` (M, T, V, 3) in the store's coordinates, without the frames in which nobody is seen, as PYSKL's own
    converter leaves them out. Python's ``pickle`` reads the file under NumPy 1 and 2.

    Args:
        store: any store; PYSKL's graphs know the 25 joints of NTU RGB+D.
        path: the ``.pkl``; an older file stays until the new one is complete.
        dtype: ``float32``, or ``float16`` as in PYSKL's own files, which is off by up to 2 mm at 2 to 4 m.
        progress: told how far it is.

    Raises:
        ConfigError: an unknown dtype.
        StorageError: the file cannot be written.
    """
    path = Path(path)
    if dtype not in DTYPES:
        raise ConfigError(f"dtype: wanted one of {', '.join(DTYPES)}, found '{dtype}'.")
    done = Export(path)
    splits = _splits(store, done)
    with export_errors(path), atomic_path(path) as temporary, open(temporary, "wb") as stream:
        writer = PickleWriter(stream)
        writer.record(
            [
                ("made_by", lambda: writer.plain(MADE_BY)),
                ("split", lambda: writer.record(_lists(writer, splits))),
                ("annotations", lambda: writer.items(_annotations(writer, store, np.dtype(dtype), done, progress))),
            ]
        )
        writer.end()
    return done


def _splits(store: SkeletonStore, done: Export) -> dict[str, list[str]]:
    """Clip names of each part of each protocol; a protocol that the store cannot serve is counted."""
    splits = {}
    for protocol in protocols_of(store):
        try:
            split = make_split(store, protocol)
        except C2VLError:
            done.counts[f"protocols left out, since the store has not both parts: {protocol}"] += 1
            continue
        for part, indices in (("train", split.train), ("val", split.test)):
            splits[f"{protocol}_{part}"] = [store.names[index] for index in indices]
            done.clips[f"{protocol}_{part}"] = len(indices)
    return splits


def _lists(writer: PickleWriter, splits: dict[str, list[str]]) -> Iterator[tuple[str, Callable[[], None]]]:
    for key, names in splits.items():
        yield key, partial(writer.items, [partial(writer.plain, name) for name in names])


def _annotations(
    writer: PickleWriter, store: SkeletonStore, dtype: np.dtype, done: Export, progress: Progress
) -> Iterator[Callable[[], None]]:
    """What writes each clip, in store order."""
    labels = published_labels(store)
    for index, name in enumerate(store.names):
        keypoint = seen_bodies(store[index], done.counts).transpose(1, 0, 2, 3).astype(dtype)  # (M, T, V, 3)
        fields = [
            ("frame_dir", partial(writer.plain, name)),
            ("label", partial(writer.plain, int(labels[index]))),
            ("total_frames", partial(writer.plain, keypoint.shape[1])),
            ("keypoint", partial(writer.array, keypoint)),
        ]
        yield partial(writer.record, fields)
        told(progress, "pyskl", index + 1, len(store))
