"""How numpy arrays lie in pickle files: the names that a file may use, understood as data.

An array is written as a call of numpy's ``_reconstruct`` and a state (protocols 0 to 4), or as a call of
``_frombuffer`` (protocol 5); its bytes may be written as text (protocols 0 to 2). Shape and type must account for
every byte. Nothing here calls what a file names: ``call`` looks up our own functions.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from c2vl_lab.errors import DataError

LARGE = 4096  # bytes; a payload above this stays in the file
CODE = re.compile(r"b1|[iu][1248]|f[248]|[US]\d{1,4}")
LATIN1 = ("latin1", "latin-1")
DIMENSIONS = 8


class Refused(Exception):
    """What a pickle file wants and does not get."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A large payload that stays in its file.

    Attributes:
        path: the file.
        start: its first byte.
        size: its bytes in the file.
        text: it is UTF-8 text.
        latin1: text that stands for bytes: each character, in Latin-1, is one.
    """

    path: str
    start: int
    size: int
    text: bool = False
    latin1: bool = False

    def read(self) -> bytes:
        """The bytes that it stands for.

        Raises:
            DataError: the file is shorter than it was, or the text is damaged.
        """
        with open(self.path, "rb") as stream:
            stream.seek(self.start)
            data = stream.read(self.size)
        if len(data) != self.size:
            raise DataError(f"{self.path}, byte {self.start}: wanted {self.size} bytes of an array, found {len(data)}.")
        if not self.latin1:
            return data
        try:
            return data.decode("utf-8").encode("latin-1")
        except UnicodeError as error:
            raise DataError(f"{self.path}, byte {self.start}: the text of an array is damaged ({error}).") from error


@dataclass(frozen=True, slots=True)
class Name:
    """One of the names that a file may call."""

    what: str


NAMES = {
    **{
        (f"numpy.{core}.multiarray", name): Name(name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    },
    **{(f"numpy.{core}.numeric", "_frombuffer"): Name("_frombuffer") for core in ("core", "_core")},
    ("numpy", "ndarray"): Name("ndarray"),
    ("numpy", "dtype"): Name("dtype"),
    ("_codecs", "encode"): Name("encode"),
    ("builtins", "bytes"): Name("bytes"),
    ("__builtin__", "bytes"): Name("bytes"),
    ("collections", "OrderedDict"): Name("OrderedDict"),
}


def understood(module: str, name: str) -> Name | None:
    """The stand-in of a name, or None for all that are refused."""
    return NAMES.get((module, name))


class DType:
    """A numpy type in the making: numbers, truth values and texts of fixed length."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: Any):
        if not isinstance(code, str) or not CODE.fullmatch(code):
            objects = isinstance(code, str) and code.startswith("O")
            shown = "Python objects" if objects else f"type {code!r}"[:60] if isinstance(code, str) else "unknown type"
            raise Refused(f"an array of {shown} is refused; wanted numbers or text.")
        self._code, self._order = code, "="

    def set_state(self, state: Any) -> None:
        """Take the byte order; compound types are refused."""
        wrong = type(state) is not tuple or len(state) < 8 or state[1] not in ("<", ">", "|", "=")
        if wrong or any(part is not None for part in (*state[2:5], *state[8:9])):
            raise Refused("an array of compound type is refused; wanted numbers or text.")
        self._order = state[1]

    @property
    def value(self) -> np.dtype:
        """The numpy type."""
        return np.dtype(self._code if self._order == "|" else self._order + self._code)


class PickledArray:
    """An array in a pickle file: type and shape are known, the numbers are read by ``load`` or ``np.asarray``.

    Attributes:
        dtype: numpy type.
        shape: of the array.
    """

    __slots__ = ("_axes", "_data", "_order", "_written", "dtype", "shape")

    def __init__(self) -> None:
        self.dtype: np.dtype = np.dtype(np.uint8)
        self.shape: tuple[int, ...] = ()
        self._data: bytes | Stored | None = None
        self._order = "C"
        self._axes: tuple[int, ...] | None = None  # protocol 5 writes an array as it lies in memory, and its axes
        self._written: tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the file gave the content too."""
        return self._data is not None

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def held(self) -> int:
        """Bytes of the content that are in memory."""
        return len(self._data) if isinstance(self._data, bytes) else 0

    def load(self) -> np.ndarray:
        """The array, read-only, in the machine's byte order.

        Raises:
            DataError: its bytes in the file are damaged.
        """
        data = self._data.read() if isinstance(self._data, Stored) else self._data or b""
        if len(data) != self.nbytes:
            place = f"{self._data.path}, byte {self._data.start}: " if isinstance(self._data, Stored) else ""
            raise DataError(f"{place}an array of shape {self.shape} wants {self.nbytes} bytes, found {len(data)}.")
        array = np.frombuffer(data, self.dtype)
        array = array.reshape(self._written, order=self._order)  # type: ignore[call-overload]
        if self._axes is not None:
            array = array.transpose(self._axes)
        return array.astype(self.dtype.newbyteorder("="), copy=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """For ``np.asarray``."""
        return np.array(self.load(), dtype=dtype)

    def set_state(self, state: Any) -> None:
        """The state of protocols 0 to 4: (version, shape, type, whether Fortran order, bytes)."""
        if self.complete or type(state) is not tuple or len(state) not in (4, 5):
            raise Refused("the state of an array is not as numpy writes it.")
        shape, dtype, fortran, data = state[-4:]
        if not isinstance(fortran, (bool, int)):
            raise Refused("the state of an array is not as numpy writes it.")
        self.fill(data, dtype, shape, "F" if fortran else "C")

    def fill(self, data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> None:
        """Take the content, if shape and type account for its bytes."""
        if isinstance(data, str) and data.isascii():  # Python 2
            data = data.encode()
        if isinstance(data, list):
            raise Refused("an array of Python objects is refused; wanted numbers or text.")
        if not isinstance(dtype, DType) or not isinstance(data, (bytes, Stored)) or order not in ("C", "F", "K"):
            raise Refused("the state of an array is not as numpy writes it.")
        if isinstance(data, Stored) and data.text and not data.latin1:
            raise Refused("the bytes of an array are a text.")
        self.shape = self._written = _shape(shape)
        self.dtype = dtype.value
        if order == "K" or axes is not None:
            numbers = type(axes) is tuple and len(axes) == len(self.shape) and all(type(axis) is int for axis in axes)
            if not numbers or sorted(axes) != list(range(len(self.shape))):
                raise Refused("the order of an array's axes is not as numpy writes it.")
            self._axes, order = axes, "C"
            self.shape = tuple(self._written[axis] for axis in axes)
        most = data.size if isinstance(data, Stored) else len(data)
        least = (most + 1) // 2 if isinstance(data, Stored) and data.latin1 else most
        if not least <= self.nbytes <= most:
            raise Refused(
                f"an array of shape {self.shape} and type {self.dtype} wants {self.nbytes} bytes, found {most}."
            )
        self._data, self._order = data, order


def _shape(shape: Any) -> tuple[int, ...]:
    """A shape as it was written, if it is one."""
    wrong = type(shape) is not tuple or len(shape) > DIMENSIONS
    if wrong or any(type(n) is not int or not 0 <= n < 2**40 for n in shape):
        raise Refused(f"wanted the shape of an array with at most {DIMENSIONS} axes, found something else.")
    return shape


def call(function: Name, arguments: tuple[Any, ...]) -> Any:
    """What numpy's constructors make of their arguments, without numpy being called by the file."""
    try:
        return _CALLS[function.what](*arguments)
    except (TypeError, KeyError):
        raise Refused(f"{function.what} is called in a way that numpy does not write.") from None


def weight(value: Any) -> int:
    """Bytes of memory, about, that a result of :func:`call` takes."""
    if isinstance(value, PickledArray):
        return 300 + value.held
    if isinstance(value, dict):
        return 300 + 60 * len(value)
    return 300 + (len(value) if isinstance(value, bytes) else getattr(value, "nbytes", 0))


def _reconstruct(kind: Any, shape: Any, code: Any) -> PickledArray:
    if not isinstance(kind, Name) or kind.what != "ndarray":
        raise Refused("an array of a class other than numpy.ndarray is refused.")
    return PickledArray()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> PickledArray:
    array = PickledArray()
    array.fill(data, dtype, shape, order, axes)
    return array


def _scalar(dtype: Any, data: Any = b"") -> Any:
    if isinstance(data, Stored):
        raise Refused(f"a single number or text of {data.size} bytes is refused.")
    array = PickledArray()
    array.fill(data, dtype, (), "C")
    return array.load()[()]


def _encode(text: Any, encoding: Any = "") -> bytes | Stored:
    if encoding not in LATIN1 or not (isinstance(text, str) or (isinstance(text, Stored) and text.text)):
        raise Refused("a text is encoded in a way that Python does not write.")
    if isinstance(text, Stored):
        return Stored(text.path, text.start, text.size, text=True, latin1=True)
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise Refused("a text that stands for bytes has other characters; the file is damaged.") from None


def _empty_bytes() -> bytes:
    return b""


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    wrong = type(pairs) not in (list, tuple) or any(type(p) not in (list, tuple) or len(p) != 2 for p in pairs)
    if wrong or any(not isinstance(key, str) for key, _ in pairs):
        raise Refused("an ordered dict is not as Python writes it.")
    return dict(pairs)


def _dtype(code: Any, *_: Any) -> DType:
    return DType(code)


_CALLS: dict[str, Any] = {
    "_reconstruct": _reconstruct,
    "_frombuffer": _frombuffer,
    "scalar": _scalar,
    "dtype": _dtype,
    "encode": _encode,
    "bytes": _empty_bytes,
    "OrderedDict": _ordered,
}
