"""Records as lines of JSON that are only ever appended: one file a process, or one shared file under a lock."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from c2vl_lab.errors import StorageError

SYNC_SECONDS = 1.0  # a killed process loses nothing; a power cut loses at most this


class LineWriter:
    """Appends whole lines to a file of its own in ``folder``; other processes have theirs.

    Attributes:
        path: the file.
        size: bytes written.
    """

    def __init__(self, folder: Path):
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        self.path = Path(folder) / f"answers-{stamp}-{os.getpid()}-{secrets.token_hex(3)}.jsonl"
        self._process = os.getpid()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            self._file = os.open(self.path, flags, 0o644)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self.size, self._synced = 0, time.monotonic()

    def write(self, records: Iterable[dict[str, Any]]) -> None:
        """Append records; when this returns, killing the process does not lose them.

        Raises:
            StorageError: the disk is full or gone; no half line is left.
        """
        block = b"".join(map(_line, records))
        try:
            written = os.write(self._file, block) if block else 0
            if written < len(block):  # the disk is full: take the half line back
                os.ftruncate(self._file, self.size)
                raise OSError(f"only {written} of {len(block)} bytes fitted")
            self.size += written
            if time.monotonic() - self._synced > SYNC_SECONDS:
                os.fsync(self._file)
                self._synced = time.monotonic()
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def is_mine(self) -> bool:
        """Whether this process opened it: after a fork the child must open its own."""
        return self._process == os.getpid()

    def close(self) -> None:
        """Bring everything to the disk and close; a file without a line is removed."""
        if self.is_mine():
            os.fsync(self._file)
            if not self.size:
                self.path.unlink(missing_ok=True)
        os.close(self._file)


def append_shared(path: Path, record: dict[str, Any]) -> None:
    """Append one record to a file that other processes append to as well; a torn last line is closed first.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        with open(path, "ab+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            size = stream.seek(0, os.SEEK_END)
            torn = size and os.pread(stream.fileno(), 1, size - 1) != b"\n"
            os.write(stream.fileno(), (b"\n" if torn else b"") + _line(record))
            os.fsync(stream.fileno())
    except OSError as error:
        raise _unwritable(path, error) from error


def read_lines(path: Path, start: int = 0) -> tuple[list[dict[str, Any]], int, int]:
    """The records from byte ``start`` on.

    A last line without its end (its writer was killed, or is just writing) is left for a later reading.

    Returns:
        Records, the byte after the last whole line, and how many whole lines were no JSON objects.
    """
    with open(path, "rb") as stream:
        stream.seek(start)
        block = stream.read()
    end = block.rfind(b"\n") + 1
    records, bad = [], 0
    for line in block[:end].split(b"\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            records.append(record)
        elif line.strip():
            bad += 1
    return records, start + end, bad


def _line(record: dict[str, Any]) -> bytes:
    # a lone surrogate, which JSON can carry and UTF-8 cannot, becomes a question mark
    return (json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", errors="replace")


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path}: cannot be written ({error}). Make room, or choose another folder; what is written stays."
    )
