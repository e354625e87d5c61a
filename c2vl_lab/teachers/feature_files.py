"""Features on disk: appended batch by batch, resumed where they were cut, read through the page cache.

A finished file ``KEY.npy`` has beside it ``KEY.json`` (teacher, source, shape, versions) and ``KEY.names.jsonl`` (one
clip or sentence a line), so it can serve elsewhere as ``features:PATH``. While it is made, ``KEY.part`` grows and
``KEY.part.journal`` says how many rows are safely on the disk; what lies beyond is cut off on the next start.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from c2vl_lab import __version__
from c2vl_lab.artifacts import atomic_path, fingerprint, only_writer, read_json, write_json
from c2vl_lab.errors import DataError, StorageError

FORMAT = "c2vl_lab-features-1"
SECONDS_BETWEEN_SYNCS = 2.0  # work that a kill can cost
PACKAGES = ("torch", "open_clip_torch", "timm", "transformers", "sentence-transformers")
Blocks = Callable[[int], Iterator[np.ndarray]]


@dataclass(frozen=True)
class FeatureRows:
    """(N, K, D) teacher features that stay on the disk; indexing its first two axes reads what is asked for.

    Attributes:
        tables: arrays (n, D), memory-mapped; their rows are numbered through.
        index: (N, K) row of every feature; -1 stands for a feature that there is not: NaN.
        key: identifies the content: sentences or pictures, and the teacher.
    """

    tables: tuple[np.ndarray, ...]
    index: np.ndarray
    key: str = ""

    dtype = np.dtype(np.float32)
    ndim = 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, K, D)."""
        return (*self.index.shape, self.tables[0].shape[1])  # type: ignore[return-value]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, tuple) and len(key) == 3:
            return self[key[:2]][..., key[2]]
        wanted = self.index[key]
        flat = np.atleast_1d(wanted).ravel()
        found = np.full((len(flat), self.shape[2]), np.nan, np.float32)
        start = 0
        for table in self.tables:
            here = (flat >= start) & (flat < start + len(table))
            found[here] = table[flat[here] - start]
            start += len(table)
        return found.reshape(*np.shape(wanted), self.shape[2])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.float32, copy=False)


Features = np.ndarray | FeatureRows


def banked_features(
    folder: Path,
    names: list[str],
    each: int,
    blocks: Callable[[list[str], int], Iterator[np.ndarray]],
    card: dict[str, Any],
) -> tuple[tuple[np.ndarray, ...], dict[str, int]]:
    """Features of ``names`` out of the files in ``folder``; what none of them holds is made and becomes one file more.

    So the training part can be encoded without a look at the test part, and another split costs nothing.

    Args:
        folder: holds files of one teacher and one source only.
        names: of clips or sentences, distinct.
        each: features a name.
        blocks: called with the missing names and the number of the first row that is wanted.
        card: provenance.

    Returns:
        The tables, and the number of each name's first row when their rows are numbered through.
    """
    tables: list[np.ndarray] = []
    row: dict[str, int] = {}
    wanted = set(names)

    def take(table: np.ndarray, held: list[str]) -> None:
        start = sum(len(before) for before in tables)
        row.update({name: start + each * i for i, name in enumerate(held) if name in wanted and name not in row})
        tables.append(table)

    for path in sorted(folder.glob("??/*.npy")):
        try:
            held = feature_names(path)
        except DataError:
            continue  # a file without its names is of no use; its features are made again
        table = None if wanted.isdisjoint(held) else _opened(path, len(held) * each)
        if table is not None:
            take(table, held)
    missing = [name for name in names if name not in row]
    if missing:
        key = fingerprint(card.get("identity"), card.get("source"), each, missing)
        about = card | {"count": len(missing), "each": each}
        take(stored_features(folder, key, missing, each, lambda start: blocks(missing, start), about), missing)
    return tuple(tables), row


def stored_features(
    folder: str | Path, key: str, names: list[str], each: int, blocks: Blocks, card: dict[str, Any]
) -> np.ndarray:
    """(len(names) * each, D) float32, memory-mapped: read if it is there, else made, going on where it was cut.

    Processes that want the same features wait for one another.

    Args:
        folder: of the cache.
        key: fingerprint of what the features depend on.
        names: of the clips or sentences, in order.
        each: features a name.
        blocks: called with the number of the first row that is wanted, yields (n, D) arrays of the rows from there.
        card: provenance; written beside the file with shape, versions and time.

    Raises:
        StorageError: the disk is full or read-only; what was made so far stays.
        DataError: a feature is NaN or infinite, or ``blocks`` yields another number of rows.
    """
    path = Path(folder) / key[:2] / f"{key}.npy"
    found = _opened(path, len(names) * each)
    if found is not None:
        return found
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = only_writer(path)
    with lock:
        found = _opened(path, len(names) * each)
        return _make(path, names, each, blocks, card) if found is None else found


def feature_names(path: Path) -> list[str]:
    """The names beside a finished feature file.

    Raises:
        DataError: they are damaged.
    """
    beside = path.with_suffix(".names.jsonl")
    try:
        return [str(json.loads(line)) for line in beside.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"{beside}: wanted one JSON string a line ({error}). Copy it together with {path}.") from error


def _opened(path: Path, rows: int) -> np.ndarray | None:
    """The finished file as (rows, D), or None; an unreadable one counts as absent."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError):
        return None
    flat = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array
    return flat if len(flat) == rows and flat.ndim == 2 else None


def _make(path: Path, names: list[str], each: int, blocks: Blocks, card: dict[str, Any]) -> np.ndarray:
    """Append what is missing, write the card and the names, and give the file its name."""
    part, journal = path.with_suffix(".part"), path.with_suffix(".part.journal")
    rows = len(names) * each
    done, width = _kept(part, journal, rows)
    with _writing(path):
        data, log = open(part, "ab" if done else "wb"), open(journal, "a" if done else "w")  # noqa: SIM115
    with data, log:
        synced = time.monotonic()
        for block in blocks(done) if done < rows else ():
            if not width:
                width = block.shape[-1]
                data.write(_header((len(names), each, width)))
            _check(block, (rows - done, width), names[min(done // each, len(names) - 1)])
            with _writing(path):
                data.write(np.ascontiguousarray(block, np.float32).data)
                done += len(block)
                if done == rows or time.monotonic() - synced > SECONDS_BETWEEN_SYNCS:
                    _sync(data, log, done, width)
                    synced = time.monotonic()
    if done != rows:
        raise DataError(f"{path}: wanted {rows} features, found {done}.")
    with _writing(path):
        with atomic_path(path.with_suffix(".names.jsonl")) as temporary:
            temporary.write_text("".join(json.dumps(name) + "\n" for name in names), encoding="utf-8")
        write_json(path.with_suffix(".json"), _card(card, (len(names), each, width)))
        os.chmod(part, 0o644)
        os.replace(part, path)
        journal.unlink(missing_ok=True)
    found = _opened(path, rows)
    if found is None:
        raise DataError(f"{path}: cannot be read back. Delete it and run it again.")
    return found


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """A full or read-only disk as a sentence that says what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The features cannot be written to {path.parent} ({error.strerror or error}). What was made so far is "
            "kept: free some space, or set another work_dir, and run it again."
        ) from error


def _kept(part: Path, journal: Path, rows: int) -> tuple[int, int]:
    """Rows and width that a killed process left safely; the file is cut to them."""
    try:
        text = journal.read_text(encoding="utf-8")
        lines = text[: text.rfind("\n") + 1].splitlines()  # the last line may be torn
        done, width = (int(word) for word in lines[-1].split())
        wanted = len(_header((1, 1, width))) + done * width * 4
        if not 0 < done <= rows or part.stat().st_size < wanted:
            return 0, 0
        os.truncate(part, wanted)
        journal.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except (OSError, ValueError, IndexError):
        return 0, 0
    return done, width


def _sync(data: BinaryIO, log: Any, done: int, width: int) -> None:
    """The rows reach the disk before the journal says so."""
    data.flush()
    os.fsync(data.fileno())
    log.write(f"{done} {width}\n")
    log.flush()
    os.fsync(log.fileno())


def _header(shape: tuple[int, int, int]) -> bytes:
    """The header of an .npy file of float32; 128 bytes for every shape that we have."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _check(block: np.ndarray, room: tuple[int, int], name: str) -> None:
    """Refuse features that are no numbers, or too many, or of another width."""
    if len(block) > room[0] or block.ndim != 2 or block.shape[1] != room[1]:
        raise DataError(f"The teacher gave features of shape {block.shape}; wanted at most {room[0]} of {room[1]}.")
    if not np.isfinite(block).all():
        raise DataError(f"The teacher gave features that are NaN or infinite, near '{name[:80]}'.")


def _card(card: dict[str, Any], shape: tuple[int, int, int]) -> dict[str, Any]:
    """Provenance as written beside the file."""
    versions = {"python": platform.python_version(), "c2vl_lab": __version__}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"format": FORMAT, **card, "shape": list(shape), "made": made, "versions": versions}


def feature_card(path: Path) -> dict[str, Any]:
    """The card beside a finished feature file.

    Raises:
        DataError: there is none, or it is of another format.
    """
    beside = path.with_suffix(".json")
    found = read_json(beside) if beside.is_file() else None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DataError(f"{path}: wanted {beside.name} and its names beside it; copy all three files together.")
    return found
