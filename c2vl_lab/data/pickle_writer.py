"""Pickle files of plain values and arrays, written one after another, so that a list of 100,000 arrays needs no memory.

Python's own ``pickle`` wants the whole value at once, and under NumPy 2 names a module that NumPy 1 does not have
(numpy/numpy#28340), while the code bases that read these files run on NumPy 1. The names here are those that both
know. Opcodes: PEP 3154, protocol 4.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import IO, Any

import numpy as np

BATCH = 1000  # items that a reader holds before it puts them into a list


class PickleWriter:
    """Writes opcodes to a stream.

    Args:
        stream: open for bytes.
    """

    def __init__(self, stream: IO[bytes]):
        self._write = stream.write
        self._memo: dict[Any, int] = {}
        self._write(b"\x80\x04")

    def end(self) -> None:
        """Finish the value."""
        self._write(b".")

    def record(self, items: Iterable[tuple[str, Callable[[], None]]]) -> None:
        """A dict of keys and functions that write their values."""
        self._write(b"}(")
        for key, write in items:
            self._once(("key", key), lambda key=key: self.plain(key))  # type: ignore[misc]
            write()
        self._write(b"u")

    def items(self, writers: Iterable[Callable[[], None]]) -> None:
        """A list of whatever the functions write."""
        self._write(b"]")
        number = 0
        for number, write in enumerate(writers, 1):
            if number % BATCH == 1:
                self._write(b"(")
            write()
            if number % BATCH == 0:
                self._write(b"e")
        if number % BATCH:
            self._write(b"e")

    def plain(self, value: str | int | bool | None) -> None:
        """A text, a whole number below 2^31, a truth value or None."""
        if value is None or isinstance(value, bool):
            self._write({None: b"N", True: b"\x88", False: b"\x89"}[value])
        elif isinstance(value, int):
            self._write(b"J" + struct.pack("<i", value))
        else:
            data = value.encode("utf-8")
            self._write(b"X" + struct.pack("<I", len(data)) + data)

    def array(self, array: np.ndarray) -> None:
        """An array of numbers."""
        array = np.ascontiguousarray(array)
        self._once("reconstruct", lambda: self._write(b"cnumpy.core.multiarray\n_reconstruct\n"))
        self._once("ndarray", lambda: self._write(b"cnumpy\nndarray\n"))
        self._write(b"K\x00\x85C\x01b\x87R(K\x01(")
        for count in array.shape:
            self.plain(count)
        self._write(b"t")
        self._once(array.dtype.str, lambda: self._dtype(array.dtype))
        self._write(b"\x89\x8e" + struct.pack("<Q", array.nbytes))
        self._write(array.tobytes())
        self._write(b"tb")

    def _dtype(self, dtype: np.dtype) -> None:
        code, order = dtype.str[1:], dtype.str[0]
        self._write(b"cnumpy\ndtype\n")
        self.plain(code)
        self._write(b"\x89\x88\x87R(K\x03")
        self.plain(order)
        self._write(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")

    def _once(self, key: Any, write: Callable[[], Any]) -> None:
        """Write a value the first time, later only the number of its place in the memo."""
        if key in self._memo:
            self._write(b"j" + struct.pack("<I", self._memo[key]))
            return
        write()
        self._memo[key] = len(self._memo)
        self._write(b"r" + struct.pack("<I", self._memo[key]))
