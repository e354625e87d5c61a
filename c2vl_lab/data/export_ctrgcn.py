"""A store as the ``.npz`` that CTR-GCN, MAMP and their relatives read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.export_common import BODIES, Export, export_errors, published_labels, seen_bodies, told
from c2vl_lab.data.protocols import COLUMN_OF, OWN_RULES, RULES, make_split
from c2vl_lab.data.readers.imports_common import JOINTS, NTU_NAME
from c2vl_lab.data.readers.sources import Progress
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import ConfigError

FRAMES, WIDTH = 300, BODIES * JOINTS * 3
SPINE = 1  # joint 2
REPEATED = ("ntu120",)  # where CTR-GCN's script writes a lonely body into both places; else zeros
STAMP = (1980, 1, 1, 0, 0, 0)  # of every member, so that the same store gives the same bytes


def export_ctrgcn(store: SkeletonStore, path: str | Path, protocol: str, progress: Progress = None) -> Export:
    """Write ``x_train`` (N, 300, 150) float32, ``y_train`` one-hot, ``x_test`` and ``y_test`` into one ``.npz``.

    The transformation is CTR-GCN's: frames in which nobody is seen are dropped; joint 2 of the first body in its
    first frame becomes the origin of the clip; clips end in zeros at frame 300, and longer ones are cut there (MAMP
    does so, CTR-GCN's own set has none). Which bodies are kept, and which is the first, was decided when the store was
    made. Rows are in CTR-GCN's order (grouped by ascending id of the protocol's column, by name within), so that names
    can be rebuilt from the list of names that is written beside the file.

    Args:
        store: of a set with the 25 joints of NTU RGB+D or PKU-MMD.
        path: the ``.npz``; an older file stays until the new one is complete.
        protocol: a name that :func:`c2vl_lab.data.protocols.make_split` takes.
        progress: told how far it is.

    Raises:
        ConfigError: the store has another layout, or no such protocol.
        DataError: a part of the protocol is empty.
        StorageError: the file cannot be written.
    """
    path = Path(path)
    if len(store.layout) != JOINTS:
        raise ConfigError(
            f"{store.dataset}: CTR-GCN's .npz holds {JOINTS} joints, this store has the {len(store.layout)} of "
            f"{store.layout.name}. Export it with pyskl."
        )
    split = make_split(store, protocol)
    rows = {"train": _ordered(store, split.train, protocol), "test": _ordered(store, split.test, protocol)}
    listed = path.with_name(f"{path.stem}_skes_available_name.txt")
    done = Export(path, listed, {part: len(indices) for part, indices in rows.items()})
    with export_errors(path), atomic_path(path) as temporary, atomic_path(listed) as list_file:
        list_file.write_text("".join(f"{name}\n" for name in _listed(store, rows)), encoding="utf-8")
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for part, indices in rows.items():
                _write_part(archive, part, indices, store, done, progress)
    return done


def _write_part(
    archive: zipfile.ZipFile, part: str, indices: np.ndarray, store: SkeletonStore, done: Export, progress: Progress
) -> None:
    """The coordinates and labels of one part, clip after clip."""
    labels, classes = published_labels(store), max(store.class_ids)
    before = done.clips["train"] if part == "test" else 0
    with _member(archive, f"x_{part}", (len(indices), FRAMES, WIDTH), np.dtype(np.float32)) as stream:
        for number, index in enumerate(indices, before + 1):
            stream.write(padded(store[index], store.dataset in REPEATED, done).tobytes())
            told(progress, "ctrgcn", number, sum(done.clips.values()))
    with _member(archive, f"y_{part}", (len(indices), classes), np.dtype(np.float64)) as stream:
        for index in indices:
            stream.write((np.arange(classes) == labels[index]).astype(np.float64).tobytes())


def padded(clip: Clip, repeat: bool, done: Export) -> np.ndarray:
    """A clip as CTR-GCN's rows: (300, 150) float32.

    Args:
        clip: with the 25 joints.
        repeat: write a lonely body into both places.
        done: told what was cut.
    """
    bodies = seen_bodies(clip, done.counts)  # (T, M, V, 3)
    if len(bodies) > FRAMES:
        done.counts[f"clips cut after {FRAMES} frames"] += 1
    seen: np.ndarray = np.any(bodies != 0, axis=(2, 3))  # (T, M)
    origin = bodies[np.argmax(seen[:, 0]), 0, SPINE]
    moved = np.where(seen[:, :, None, None], bodies - origin, np.float32(0))[:FRAMES]
    rows = np.zeros((FRAMES, BODIES, JOINTS, 3), np.float32)
    rows[: len(moved), : moved.shape[1]] = moved
    if moved.shape[1] == 1 and repeat:
        rows[:, 1] = rows[:, 0]
    return rows.reshape(FRAMES, WIDTH)


def _ordered(store: SkeletonStore, indices: np.ndarray, protocol: str) -> np.ndarray:
    """Indices of clips in CTR-GCN's order: by the id of the protocol's column, then by name."""
    names = np.array(store.names)[indices]
    rule = RULES.get(store.dataset, OWN_RULES).get(protocol)
    column = rule.column if rule else COLUMN_OF.get(protocol, "subject")
    return indices[np.lexsort((names, store.clips[column].to_numpy()[indices]))]


def _listed(store: SkeletonStore, rows: dict[str, np.ndarray]) -> list[str]:
    """Clip names for the list: sorted where the order of rows follows from names, else in row order."""
    names = [store.names[index] for part in ("train", "test") for index in rows[part]]
    return sorted(names) if all(map(NTU_NAME.fullmatch, names)) else names


@contextmanager
def _member(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Iterator[IO[bytes]]:
    """An array of the archive, open for its numbers."""
    with archive.open(zipfile.ZipInfo(f"{name}.npy", STAMP), "w", force_zip64=True) as stream:
        header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}  # type: ignore[no-untyped-call]
        npy.write_array_header_1_0(stream, header)  # type: ignore[no-untyped-call]
        yield stream
