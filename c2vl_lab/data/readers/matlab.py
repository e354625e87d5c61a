"""One array of a Matlab file (versions 4 to 7), with bounds that are checked before anything large is unpacked.

Matlab 7 deflates each variable by itself, and what a variable claims to be is not what its bytes unpack to. So the
unpacked bytes are counted first, piece by piece, then the variable's kind and shape are looked at, and only then is it
read. A file as the sets publish it, one deflated array of numbers and nothing else, is unpacked once, by its own head;
whatever is unusual about a file goes the long way. Layout: MathWorks, "MAT-File Format", level 5.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from c2vl_lab.errors import DataError

Fits = Callable[[tuple[int, ...]], bool]
NUMBERS = {"double", "single", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
HEADER = 128  # bytes of a file of version 5 and later
COMPRESSED = 15  # the code of a deflated variable
LARGEST = 8  # bytes of a number
ROOM = 2**16  # bytes beside the numbers: names and headers
CHUNK = 2**20  # bytes unpacked at a time
PEEK = 256  # bytes of a variable that are unpacked to see its head; kind, shape and name take 64 or so
MATRIX, FLAGS, SHAPE, NAME = 14, 6, 5, 1  # codes of a variable and of the parts of its head
CLASSES = range(6, 16)  # the codes of the kinds in NUMBERS
UNUSUAL = 0x0A00  # flags of complex and of logical values
STORED = {1: "<i1", 2: "<u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}


def read_array(where: str, data: bytes, name: str, wanted: str, fits: Fits, most: int) -> np.ndarray:
    """A variable of a Matlab file; scipy is loaded only where the file is not of the usual kind.

    Args:
        where: the file, for messages.
        data: its bytes.
        name: the variable.
        wanted: its shape in words, for messages.
        fits: whether a shape is such a one.
        most: numbers that the file may hold.

    Raises:
        DataError: no Matlab file, no such variable, no numbers, another shape, or far more bytes than wanted.
    """
    usual = _only_array(data, name, fits, most)
    if usual is not None:
        return usual
    from scipy.io import loadmat, whosmat

    try:
        unpacked = _unpacked(data, most * LARGEST + ROOM)
        listed = whosmat(io.BytesIO(data)) if unpacked else []
    except Exception as error:  # scipy raises many kinds for damaged bytes
        raise _damaged(where, name, error) from error
    if not unpacked:
        raise DataError(
            f"{where}: wanted {name} of {wanted}, found variables that unpack to over {most * LARGEST} bytes. This is "
            f"not the published file."
        )
    shape, kind = next(((shape, kind) for found, shape, kind in listed if found == name), ((), ""))
    if not kind:
        raise _damaged(where, name, f"it holds {', '.join(found[:40] for found, *_ in listed[:5]) or 'none'}")
    if kind not in NUMBERS or math.prod(map(int, shape)) > most or not fits(shape):
        raise DataError(f"{where}: wanted numbers {name} of {wanted}, found {kind} {shape}.")
    try:
        array = np.asarray(loadmat(io.BytesIO(data), variable_names=[name])[name])
    except Exception as error:
        raise _damaged(where, name, error) from error
    if array.dtype.kind not in "fiu" or array.shape != tuple(shape):  # complex numbers
        raise DataError(f"{where}: wanted numbers {name} of {wanted}, found {array.dtype} {array.shape}.")
    return array


def _only_array(data: bytes, name: str, fits: Fits, most: int) -> np.ndarray | None:
    """The array of a file that holds nothing else, deflated, in columns as Matlab has them; None for any other file."""
    if 0 in data[:4] or data[124 : HEADER + 4] != struct.pack("<H2sI", 0x0100, b"IM", COMPRESSED):
        return None
    packed = memoryview(data)[HEADER + 8 :]
    if data[HEADER + 4 : HEADER + 8] != struct.pack("<I", len(packed)):
        return None
    try:
        head = _head(zlib.decompressobj().decompress(packed, PEEK), name)
        if head is None or math.prod(head.shape) > most or not fits(head.shape):
            return None
        unpacked = _inflated(packed, head.end)
    except (zlib.error, struct.error):
        return None
    if unpacked is None:
        return None
    numbers = unpacked[head.start : head.start + math.prod(head.shape) * head.dtype.itemsize]
    return numbers.view(head.dtype).reshape(head.shape, order="F")


class _Head(NamedTuple):
    """Where an array lies in its unpacked variable, and what it is."""

    shape: tuple[int, ...]
    dtype: np.dtype
    start: int  # of the numbers
    end: int  # of the variable


def _head(unpacked: bytes, name: str) -> _Head | None:
    """The head of the variable ``name`` if it is an array of real numbers, and its parts agree with each other."""
    code, size = struct.unpack_from("<II", unpacked)
    flags_code, flags_size, flags = struct.unpack_from("<III", unpacked, 8)
    if (code, flags_code, flags_size) != (MATRIX, FLAGS, 8) or flags & 0xFF not in CLASSES or flags & UNUSUAL:
        return None
    code, shape, place = _part(unpacked, 24)
    named_code, named, place = _part(unpacked, place)
    if code != SHAPE or named_code != NAME or bytes(named) != name.encode() or len(shape) % 4:
        return None
    lengths = struct.unpack(f"<{len(shape) // 4}i", shape)
    code, stored = struct.unpack_from("<II", unpacked, place)
    dtype, start = np.dtype(STORED.get(code, "V1")), place + 8
    fitting = dtype.kind != "V" and min(lengths, default=0) > 0 and stored == math.prod(lengths) * dtype.itemsize
    end = start + stored + -stored % 8
    return _Head(lengths, dtype, start, end) if fitting and end == size + 8 else None


def _part(unpacked: bytes, place: int) -> tuple[int, bytes, int]:
    """(code, content, place of the next part); up to four bytes lie within the head of a part itself."""
    code, size = struct.unpack_from("<II", unpacked, place)
    if code >> 16:
        return code & 0xFFFF, unpacked[place + 4 : place + 4 + (code >> 16)], place + 8
    if place + 8 + size > len(unpacked):
        raise struct.error("the part goes on after what is unpacked")
    return code, unpacked[place + 8 : place + 8 + size], place + 8 + size + -size % 8


def _inflated(packed: memoryview, size: int) -> np.ndarray | None:
    """(size,) uint8 that ``packed`` unpacks to; None if it is another number of bytes. No more than that is kept."""
    unpacked, done, packer = np.empty(size, np.uint8), 0, zlib.decompressobj()
    rest: memoryview | bytes = packed
    while not packer.eof and (piece := packer.decompress(rest, CHUNK)):
        if done + len(piece) > size:
            return None
        unpacked[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done, rest = done + len(piece), packer.unconsumed_tail
    return unpacked if packer.eof and done == size and not packer.unused_data else None


def _unpacked(data: bytes, most: int) -> bool:
    """Whether all deflated variables together unpack to at most ``most`` bytes; nothing is kept of them."""
    if 0 in data[:4]:  # version 4, which does not compress
        return True
    order = "<" if data[126:HEADER] == b"IM" else ">"
    place, total = HEADER, 0
    while place + 8 <= len(data):
        code, size = struct.unpack_from(f"{order}II", data, place)
        place += 8
        if code == COMPRESSED:
            packer, rest = zlib.decompressobj(), data[place : place + size]
            while rest and not packer.eof:
                total += len(packer.decompress(rest, CHUNK))
                rest = packer.unconsumed_tail
                if total > most:
                    return False
        place += size
    return True


def _damaged(where: str, name: str, why: object) -> DataError:
    return DataError(f"{where}: wanted a Matlab file with the variable {name} ({str(why)[:200]}).")
