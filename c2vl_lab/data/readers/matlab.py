"""One array of a Matlab file (versions 4 to 7), with bounds that are checked before anything large is unpacked.

Matlab 7 deflates each variable by itself, and what a variable claims to be is not what its bytes unpack to. So the
unpacked bytes are counted first, piece by piece, then the variable's kind and shape are looked at, and only then is it
read.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Callable

import numpy as np

from c2vl_lab.errors import DataError

NUMBERS = {"double", "single", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
HEADER = 128  # bytes of a file of version 5 and later
COMPRESSED = 15  # the code of a deflated variable
LARGEST = 8  # bytes of a number
ROOM = 2**16  # bytes beside the numbers: names and headers
CHUNK = 2**20  # bytes unpacked at a time


def read_array(
    where: str, data: bytes, name: str, wanted: str, fits: Callable[[tuple[int, ...]], bool], most: int
) -> np.ndarray:
    """A variable of a Matlab file; scipy is loaded only when such a file is read.

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
