"""Arrays of an ``.npz`` read a few rows at a time: never the whole 11 GB, and never more than a file can honestly hold.

An ``.npz`` is a zip of ``.npy`` files. A compressed member can only be read from its beginning, so each process keeps
the place where it stopped: rows that are asked for in ascending order cost one pass. The zip's checksum is compared
when the last row is read.
"""

from __future__ import annotations

import math
import os
import tokenize
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from c2vl_lab.data.readers.sources import DAMAGED, DAMAGED_ERRNO, METHODS, zip_index
from c2vl_lab.errors import DataError

HEADER_LIMIT = 10_000  # bytes; numpy's own
RATIO = 200  # padded skeletons compress 5 to 30 times, a bomb 1,000 times
SMALL = 64 * 2**20  # bytes; below this the ratio does not matter
ROW_LIMIT = 64 * 2**20  # bytes
CHUNK = 4 * 2**20
NO_HEADER = (*DAMAGED, TypeError, KeyError, SyntaxError, MemoryError, tokenize.TokenError)


@dataclass(frozen=True)
class Member:
    """An array inside an ``.npz``.

    Attributes:
        path: the zip.
        name: the array's name.
        shape: of the array.
        dtype: numpy's code.
        header: bytes before the first row.
    """

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    header: int

    @property
    def where(self) -> str:
        """The array in messages."""
        return f"{Path(self.path).name}/{self.name}"

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return math.prod(self.shape[1:]) * np.dtype(self.dtype).itemsize


def npz_members(path: Path) -> dict[str, Member]:
    """The arrays of an ``.npz`` by name, their headers read and held against the sizes in the zip's directory.

    Raises:
        DataError: the zip or a header is damaged, or a member claims more than it can hold.
    """
    members = {}
    infos = [info for info in zip_index(path) if info.filename.endswith(".npy")]
    with zipfile.ZipFile(path) as archive:
        for info in infos:
            name = info.filename.removesuffix(".npy")
            if name in members:
                raise DataError(f"{path}: holds {name[:100]!r} twice. This is no archive that numpy wrote.")
            members[name] = _checked(path, name, archive, info)
    return members


def _checked(path: Path, name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    """A member whose header and sizes agree."""
    where = f"{path}/{name if name.isprintable() else ascii(name)}"
    if info.compress_type not in METHODS or info.flag_bits & 1:
        raise DataError(f"{where}: wanted an array as numpy packs it, found another compression or encryption.")
    try:
        with archive.open(info) as stream:
            shape, fortran, dtype = npy_header(stream)
            header = stream.tell()
    except (*NO_HEADER, OSError) as error:
        if isinstance(error, OSError) and error.errno not in DAMAGED_ERRNO:
            raise
        raise DataError(f"{where}: wanted an array as numpy writes it ({str(error)[:200]}).") from error
    if fortran and len(shape) > 1:
        raise DataError(f"{where}: the array is stored column by column (Fortran order). Save it again in C order.")
    if dtype.kind not in "biuf" or any(type(n) is not int or n < 0 for n in shape) or not shape:
        raise DataError(f"{where}: wanted rows of numbers, found type {dtype} and shape {shape}.")
    member = Member(str(path), name, shape, dtype.str, header)
    if header + shape[0] * member.row_bytes != info.file_size or not 0 < member.row_bytes <= ROW_LIMIT:
        raise DataError(
            f"{where}: its header claims {shape[0]} rows of {member.row_bytes} bytes, the zip {info.file_size} bytes "
            f"in all. The file is damaged: fetch it again."
        )
    if info.file_size > max(SMALL, RATIO * info.compress_size):
        raise DataError(
            f"{where}: {info.compress_size} bytes claim to unpack to {info.file_size}, more than {RATIO} times as "
            f"many. These are no skeletons."
        )
    return member


def npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether Fortran order, and type at the head of a ``.npy`` file, of the versions for plain types.

    Raises:
        NO_HEADER: any of these errors, where there is no sound header.
    """
    version = npy.read_magic(stream)  # type: ignore[no-untyped-call]
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"its version is {version}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a damaged header is read as Python's text, which warns of odd escapes
        return read(stream, max_header_size=HEADER_LIMIT)  # type: ignore[no-untyped-call]


class _Cursor:
    """A member being unpacked, and the row it is at."""

    def __init__(self, member: Member):
        self.key = _key(member)
        self.row = 0
        self._archive = zipfile.ZipFile(member.path)
        try:
            self._stream = self._archive.open(f"{member.name}.npy")
            self.skip(member.header)
        except BaseException:
            self._archive.close()
            raise

    def skip(self, count: int) -> None:
        while count:
            got = len(self._stream.read(min(count, CHUNK)))
            if not got:
                raise EOFError("it ends too early")
            count -= got

    def read(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) != count:
            raise EOFError("it ends too early")
        return data

    def end(self) -> None:
        """Read on to the end, where the zip's checksum is compared."""
        if self._stream.read(1):
            raise ValueError("there is more behind the last row")

    def close(self) -> None:
        self._stream.close()
        self._archive.close()


_kept: dict[str, _Cursor] = {}


def _key(member: Member) -> tuple[Any, ...]:
    """What a cursor belongs to: this process, and the file as it is now."""
    state = os.stat(member.path)
    return os.getpid(), member, state.st_ino, state.st_size, state.st_mtime_ns


def read_rows(member: Member, start: int, stop: int) -> np.ndarray:
    """Rows ``start`` to ``stop`` of an array, as (stop - start, ...).

    Raises:
        DataError: the member is damaged.
    """
    cursor = _kept.pop("cursor", None)
    try:
        if cursor is None or cursor.key != _key(member) or cursor.row > start:
            if cursor is not None:
                cursor.close()
            cursor = _Cursor(member)
        cursor.skip((start - cursor.row) * member.row_bytes)
        data = cursor.read((stop - start) * member.row_bytes)
        cursor.row = stop
        if stop == member.shape[0]:
            cursor.end()
    except (*DAMAGED, KeyError, OSError) as error:
        if cursor is not None:
            cursor.close()
        if isinstance(error, OSError) and error.errno not in DAMAGED_ERRNO:
            raise
        raise DataError(
            f"{member.path}/{member.name}, rows {start} to {stop - 1}: the array is damaged ({error}). The download "
            f"was probably cut: fetch it again."
        ) from error
    if stop == member.shape[0]:
        cursor.close()
    else:
        _kept["cursor"] = cursor
    return np.frombuffer(data, np.dtype(member.dtype)).reshape(stop - start, *member.shape[1:])
