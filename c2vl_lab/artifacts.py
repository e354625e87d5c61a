"""Everything that took time is a file: atomic writes, fingerprints, and a cache by content."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_lab.errors import DataError

JSON_LIMIT = 256 * 2**20  # bytes; the notes of a store of 114,000 clips have less than 20 MB


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary file path beside ``target`` that becomes ``target`` if the block succeeds.

    On an error, or a kill, ``target`` is as it was before.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:  # a rename may reach the disk before the bytes do
            os.fsync(written.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside ``target`` that replaces ``target`` if the block succeeds."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        old = None
        if target.exists():
            old = target.with_name(f".{target.name}.old-{os.getpid()}")
            os.rename(target, old)
        os.rename(temporary, target)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def only_writer(target: Path) -> Iterator[None]:
    """Keep other processes out of this block for the same ``target``; they wait. No lock file is left behind."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f".{target.name}.lock")
    while True:
        with open(path, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, or its process ends
            try:
                mine = os.path.samestat(os.fstat(lock.fileno()), os.stat(path))
            except FileNotFoundError:
                mine = False
            if not mine:  # the one before us removed the file that we waited for
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with atomic_path(Path(path)) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # which JSON reads as it was


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is not valid JSON, or absurdly large; the sentence names file and line.
    """
    if (size := Path(path).stat().st_size) > JSON_LIMIT:
        raise DataError(f"{path}: wanted a JSON file of at most {JSON_LIMIT} bytes, found {size}.")
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        line = getattr(error, "lineno", "?")
        raise DataError(f"{path}, line {line}: not valid JSON ({str(error)[:300]}).") from error
    except RecursionError as error:
        raise DataError(f"{path}: not valid JSON (its values are nested without end).") from error


def fingerprint(*parts: Any) -> str:
    """16 hexadecimal digits of SHA-256 over arrays, bytes, text and plain JSON values."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        elif isinstance(part, bytes):
            digest.update(part)
        else:
            text = json.dumps(part, sort_keys=True, ensure_ascii=False, default=str)
            digest.update(text.encode(errors="backslashreplace"))  # a file's name may be no text
        digest.update(b"\x1f")
    return digest.hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
