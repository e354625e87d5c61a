"""Bytes on the disk: growing .npy files, files that are really there, and what the system says against it in words."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from c2vl_lab.data.store import ARRAYS
from c2vl_lab.errors import DataError, StorageError

HEADER = 128  # bytes of an .npy header of our shapes, whatever the number of rows


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about writing into a sentence with a remedy.

    Raises:
        StorageError: instead of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path}: the store cannot be written ({error.strerror or error}). {write_remedy(error.errno)}; the same "
            f"command goes on with the rest. Whatever store was there before is as it was."
        ) from error


def write_remedy(number: int | None, folder: str = "work folder") -> str:
    """What to do where the system refuses to write with this error number; the beginning of a sentence."""
    return {
        errno.ENOSPC: f"The disk is full. Free some space, or set the {folder} to another disk",
        errno.EDQUOT: f"The disk quota is used up. Free some space, or set the {folder} elsewhere",
        errno.EFBIG: f"The file is larger than allowed here. Set the {folder} to another disk",
        errno.EROFS: f"The disk is read-only. Set the {folder} to one that can be written to",
        errno.EACCES: f"The folder may not be written to. Set the {folder} to one that may",
        errno.EPERM: f"The folder may not be written to. Set the {folder} to one that may",
    }.get(number or 0, f"Check the {folder}")


def write_header(stream: BinaryIO, name: str, joints: int) -> None:
    """Fill in the space that was left for the .npy header; the rows follow from the file's length."""
    dtype, tail = ARRAYS[name]
    shape = [joints if part == "V" else int(part) for part in tail]
    row = int(np.dtype(dtype).itemsize * np.prod(shape, dtype=int))
    rows = (os.fstat(stream.fileno()).st_size - HEADER) // row
    header = io.BytesIO()
    described = {"descr": dtype, "fortran_order": False, "shape": (rows, *shape)}
    np.lib.format.write_array_header_1_0(header, described)
    text = header.getvalue()
    if len(text) > HEADER:
        raise DataError(f"{name}.npy: the header takes {len(text)} bytes, {HEADER} were kept for it.")
    padded = text[:8] + (HEADER - 10).to_bytes(2, "little") + text[10:-1].ljust(HEADER - 11) + b"\n"
    stream.seek(0)
    stream.write(padded)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file."""
    with open(path, "wb") as stream:
        stream.write(text.encode())
        to_disk(stream)


def to_disk(stream: BinaryIO) -> None:
    """Make what was written survive a power cut."""
    stream.flush()
    os.fsync(stream.fileno())
