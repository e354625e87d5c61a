"""The pickle machine: opcodes make plain values on a stack, and cannot do anything else.

Opcodes and their arguments: PEP 307, PEP 3154 and PEP 574, and the table of Python's ``pickletools``.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from c2vl_lab.data.readers.pickle_arrays import (
    LARGE,
    DType,
    Name,
    PickledArray,
    Refused,
    Stored,
    call,
    understood,
    weight,
)
from c2vl_lab.data.readers.plain_tree import plain_tree

OPCODES = 50_000_000  # the largest published set needs 7 million
MEMORY = 2**30  # bytes, estimated; the largest published set needs half of it
CONTAINER = 280  # bytes of a container, and of looking through it
LINE = 16 * 2**20  # bytes of a text line (protocol 0 writes arrays so)
DIGITS = 100  # characters of a whole number
STACK, MARKS = 4_000_000, 100_000
OWN_REFERENCES = "an object of the writing program"
REFUSED = {
    b"i": "to call a class (INST)",
    b"o": "to call a class (OBJ)",
    b"\x81": "to make an object (NEWOBJ)",
    b"\x92": "to make an object (NEWOBJ_EX)",
    b"P": f"{OWN_REFERENCES} (PERSID)",
    b"Q": f"{OWN_REFERENCES} (BINPERSID)",
    b"\x82": "an entry of the extension registry (EXT1)",
    b"\x83": "an entry of the extension registry (EXT2)",
    b"\x84": "an entry of the extension registry (EXT4)",
    b"\x8f": "a set (EMPTY_SET)",
    b"\x90": "a set (ADDITEMS)",
    b"\x91": "a frozen set (FROZENSET)",
    b"\x97": "a buffer outside the file (NEXT_BUFFER)",
    b"\x98": "a buffer outside the file (READONLY_BUFFER)",
}


class Machine:
    """A stack, a memo, and one method an opcode.

    Attributes:
        position: byte of the file up to which it was followed.
    """

    def __init__(self, path: Path, stream: Any, size: int):
        self._path, self._stream, self._size = path, stream, size
        self.position = 0  # of the opcode at work
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._spent = 0

    def run(self) -> Any:
        """Follow the opcodes up to STOP."""
        read, table, stream, stop = self._stream.read, OPERATIONS, self._stream, Machine._stop
        for _ in range(OPCODES):
            code = read(1)
            work = table.get(code)
            if work is None:
                self.position = stream.tell() - len(code)
                self._unknown(code)
            elif work is stop:
                return self._stop()
            try:
                work(self)  # type: ignore[misc]
            except (Refused, IndexError) as error:
                self.position = stream.tell()
                if isinstance(error, Refused):
                    raise
                raise Refused("the opcodes do not fit together; the file is damaged or no pickle.") from None
            if len(self._stack) > STACK:
                self.position = stream.tell()
                raise Refused(f"more than {STACK} values wait to be used.")
        raise Refused(f"the file has more than {OPCODES} operations.")

    def _unknown(self, code: bytes) -> None:
        if not code:
            raise Refused(f"the file ends ({self._size} bytes) before its value does. It was cut: fetch it again.")
        if code in REFUSED:
            raise Refused(f"the file wants {REFUSED[code]}, which is refused.")
        raise Refused(f"{code!r} is no pickle operation; the file is damaged or no pickle.")

    def _stop(self) -> Any:
        self.position = self._stream.tell()
        if len(self._stack) != 1:
            raise Refused(f"wanted one value at the end, found {len(self._stack)}.")
        return plain_tree(self._stack[0], self._size)

    # what opcodes are made of

    def _spend(self, cost: int) -> None:
        """Count the memory that a value takes."""
        self._spent += cost
        if self._spent > MEMORY:
            raise Refused(f"its small values take more than {MEMORY >> 20} MB of memory.")

    def _take(self, count: int) -> bytes:
        """The next ``count`` bytes, if the file has them."""
        data = self._stream.read(count) if count <= LARGE else self._stream.read(self._check(count))
        if len(data) != count:
            raise self._cut(count)
        return data

    def _check(self, count: int) -> int:
        """``count`` if the file has as many bytes left."""
        if count > self._size - self._stream.tell():
            raise self._cut(count)
        return count

    def _cut(self, count: int) -> Refused:
        left = self._size - self._stream.tell()
        return Refused(f"the file claims {count} more bytes, {max(left, 0)} are left. It was cut or is damaged.")

    def _line(self, limit: int = 1000) -> bytes:
        """The rest of a text line."""
        line = self._stream.readline(limit + 1)
        if not line.endswith(b"\n"):
            raise Refused(f"a line of text is longer than {limit} bytes, or cut.")
        return line[:-1]

    def _number(self, form: str) -> int:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _push(self, value: Any, cost: int = 0) -> None:
        if cost:
            self._spend(cost)
        self._stack.append(value)

    def _pop_mark(self) -> list[Any]:
        start = self._marks.pop()
        if start > len(self._stack):
            raise Refused("the opcodes do not fit together; the file is damaged or no pickle.")
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _payload(self, count: int, text: bool) -> None:
        """A text or a byte string; a large one stays in the file."""
        if count > LARGE:
            start = self._stream.tell()
            self._check(count)
            self._stream.seek(count, 1)
            self._push(Stored(str(self._path), start, count, text), 300)
            return
        data = self._take(count)
        try:
            self._push(
                data.decode("utf-8", "surrogatepass") if text else data, 80 + 4 * count
            )  # a single rare character makes all take four bytes
        except UnicodeDecodeError:
            raise Refused("a text is no UTF-8; the file is damaged.") from None

    # opcodes

    def _mark(self) -> None:
        if len(self._marks) >= MARKS:
            raise Refused(f"more than {MARKS} values are begun and not finished.")
        self._marks.append(len(self._stack))

    def _proto(self) -> None:
        version = self._take(1)[0]
        if version > 5:
            raise Refused(f"wanted pickle protocol 0 to 5, found {version}.")

    def _frame(self) -> None:
        """How many of the next bytes to buffer; they are opcodes like the others."""
        self._check(self._number("<Q"))

    def _int_text(self) -> None:
        line = self._line(DIGITS)
        self._push(line == b"01" if line in (b"00", b"01") else self._whole(line), 40)

    def _long_text(self) -> None:
        self._push(self._whole(self._line(DIGITS).removesuffix(b"L")), 40)

    def _whole(self, text: bytes) -> int:
        try:
            return int(text)
        except ValueError:
            raise Refused("wanted a whole number, found other text.") from None

    def _float_text(self) -> None:
        try:
            self._push(float(self._line(DIGITS)), 32)
        except ValueError:
            raise Refused("wanted a number, found other text.") from None

    def _long(self, form: str) -> None:
        count = self._number(form)
        if not 0 <= count <= DIGITS:
            raise Refused(f"a whole number of {count} bytes is refused.")
        self._push(int.from_bytes(self._take(count), "little", signed=True), 80)

    def _string_text(self) -> None:
        """STRING, of Python 2: a quoted text with escapes."""
        line = self._line(LINE)
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
            raise Refused("a text lacks its quotes; the file is damaged.")
        self._bytes_of_python2(_decoded(codecs.escape_decode, line[1:-1]))

    def _bytes_of_python2(self, data: bytes) -> None:
        """A Python 2 string: text if it is plain ASCII, else bytes (the content of an array)."""
        self._push(data.decode("ascii") if data.isascii() else data, 80 + 2 * len(data))

    def _binstring(self, form: str) -> None:
        count = self._number(form)
        if count > LARGE:
            self._payload(count, text=False)
        elif count < 0:
            raise Refused("a text of negative length; the file is damaged.")
        else:
            self._bytes_of_python2(self._take(count))

    def _unicode_text(self) -> None:
        line = self._line(LINE)
        self._push(_decoded(codecs.raw_unicode_escape_decode, line), 80 + 4 * len(line))

    def _global(self) -> None:
        self._name(*(_decoded(codecs.utf_8_decode, self._line()) for _ in range(2)))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise Refused("a name is no text; the file is damaged.")
        self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        found = understood(module, name)
        if found is None:
            shown = f"{module}.{name}"[:100]
            raise Refused(f"the file names {shown!r}, which is refused.")
        self._push(found)

    def _reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Name) or type(arguments) is not tuple:
            raise Refused("the file wants to call something that is no constructor of an array.")
        result = call(function, arguments)
        self._push(result, weight(result))

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if not isinstance(target, (PickledArray, DType)):
            raise Refused(f"the file wants to set the state of a {type(target).__name__}, which is refused.")
        target.set_state(state)
        self._spend(weight(target))

    def _put(self, index: int) -> None:
        if index < 0:
            raise Refused("a negative place in the memo; the file is damaged.")
        self._spend(100)
        self._memo[index] = self._stack[-1]

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise Refused(f"place {index} of the memo is empty; the file is damaged.")
        self._stack.append(self._memo[index])

    def _tuple(self, count: int) -> None:
        if count > len(self._stack):
            raise IndexError
        items = tuple(self._stack[-count:])
        del self._stack[-count:]
        self._push(items, CONTAINER)

    def _marked(self, make: Callable[[list[Any]], Any]) -> None:
        items = self._pop_mark()
        self._push(make(items), CONTAINER + 60 * len(items))

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise Refused(f"the file wants to append to a {type(target).__name__}, which is refused.")
        self._spend(16 * len(items))
        target.extend(items)

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict:
            raise Refused(f"the file wants to set items of a {type(target).__name__}, which is refused.")
        self._spend(120 + 60 * len(items))
        target.update(_pairs(items))

    def _last(self, count: int) -> list[Any]:
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _pop(self) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()


def _pairs(items: list[Any]) -> dict[Any, Any]:
    """A dict of alternating keys and values; only keys whose hashes cannot be chosen to collide by the million."""
    if len(items) % 2:
        raise Refused("a dict has a key without a value; the file is damaged.")
    for key in items[::2]:
        if not isinstance(key, (str, bytes)) and not (type(key) is int and abs(key) < 2**31):
            raise Refused(f"a dict has a key that is a {type(key).__name__}; wanted text or a whole number.")
    return dict(zip(items[::2], items[1::2], strict=True))


def _decoded(decode: Callable[[bytes], tuple[Any, int]], line: bytes) -> Any:
    try:
        return decode(line)[0]
    except ValueError:
        raise Refused("a text has a wrong escape; the file is damaged.") from None


M = Machine
OPERATIONS: dict[bytes, Callable[[Machine], Any]] = {
    b"\x80": M._proto,
    b"\x95": M._frame,
    b".": M._stop,
    b"(": M._mark,
    b"0": M._pop,
    b"1": lambda m: m._pop_mark() and None,
    b"2": lambda m: m._push(m._stack[-1]),
    b"N": lambda m: m._push(None),
    b"\x88": lambda m: m._push(True),
    b"\x89": lambda m: m._push(False),
    b"I": M._int_text,
    b"L": M._long_text,
    b"F": M._float_text,
    b"J": lambda m: m._push(m._number("<i"), 32),
    b"K": lambda m: m._push(m._number("<B")),
    b"M": lambda m: m._push(m._number("<H"), 32),
    b"\x8a": lambda m: m._long("<B"),
    b"\x8b": lambda m: m._long("<i"),
    b"G": lambda m: m._push(struct.unpack(">d", m._take(8))[0], 32),
    b"S": M._string_text,
    b"T": lambda m: m._binstring("<i"),
    b"U": lambda m: m._binstring("<B"),
    b"V": M._unicode_text,
    b"X": lambda m: m._payload(m._number("<I"), text=True),
    b"\x8c": lambda m: m._payload(m._number("<B"), text=True),
    b"\x8d": lambda m: m._payload(m._number("<Q"), text=True),
    b"B": lambda m: m._payload(m._number("<I"), text=False),
    b"C": lambda m: m._payload(m._number("<B"), text=False),
    b"\x8e": lambda m: m._payload(m._number("<Q"), text=False),
    b"\x96": lambda m: m._payload(m._number("<Q"), text=False),
    b"}": lambda m: m._push({}, CONTAINER),
    b"]": lambda m: m._push([], CONTAINER),
    b")": lambda m: m._push(()),
    b"\x85": lambda m: m._tuple(1),
    b"\x86": lambda m: m._tuple(2),
    b"\x87": lambda m: m._tuple(3),
    b"t": lambda m: m._marked(tuple),
    b"l": lambda m: m._marked(list),
    b"d": lambda m: m._marked(_pairs),
    b"a": lambda m: m._extend(m._last(1)),
    b"e": lambda m: m._extend(m._pop_mark()),
    b"s": lambda m: m._update(m._last(2)),
    b"u": lambda m: m._update(m._pop_mark()),
    b"p": lambda m: m._put(m._whole(m._line(DIGITS))),
    b"q": lambda m: m._put(m._take(1)[0]),
    b"r": lambda m: m._put(m._number("<I")),
    b"\x94": lambda m: m._put(len(m._memo)),
    b"g": lambda m: m._get(m._whole(m._line(DIGITS))),
    b"h": lambda m: m._get(m._take(1)[0]),
    b"j": lambda m: m._get(m._number("<I")),
    b"c": M._global,
    b"\x93": M._stack_global,
    b"R": M._reduce,
    b"b": M._build,
}
