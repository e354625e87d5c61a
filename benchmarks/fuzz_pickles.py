"""Pickles that attack whoever loads them, and pickles whose content is not what it should be.

A bomb tries to leave a file or an environment variable named :data:`CANARY`, to take all memory, or to keep its
reader busy for ever.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.fuzz_text import NASTY_VALUES, Mutant, Mutation, Rng, flip_bits

CANARY = "C2VL_CANARY"
COMMANDS = (
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("subprocess", "getoutput"),
    ("subprocess", "call"),
    ("os", "popen"),
    ("builtins", "exec"),
    ("__builtin__", "exec"),
    ("builtins", "eval"),
    ("__builtin__", "eval"),
    ("__builtin__", "execfile"),
    ("builtins", "__import__"),
    ("numpy.testing._private.utils", "runstring"),
    ("numpy.f2py.crackfortran", "myeval"),
    ("numpy.f2py.crackfortran", "getlincoef"),
    ("numpy.distutils.exec_command", "exec_command"),
    ("numpy", "load"),
    ("numpy", "fromfile"),
    ("numpy", "memmap"),
    ("numpy.core.multiarray", "fromfile"),
    ("torch.serialization", "load"),
    ("pandas", "read_pickle"),
    ("shutil", "rmtree"),
    ("pathlib", "Path.touch"),
    ("io", "open"),
    ("code", "interact"),
    ("pydoc", "pipepager"),
    ("timeit", "timeit"),
    ("bdb", "Bdb.run"),
    ("runpy", "run_path"),
    ("webbrowser", "open"),
    ("types", "CodeType"),
    ("functools", "partial"),
    ("operator", "methodcaller"),
    ("builtins", "getattr"),
    ("collections", "OrderedDict.__reduce__.__globals__"),
    ("numpy", "ndarray.tofile"),
    ("numpy", "lib.npyio.os.system"),
    ("numpy.core.multiarray", "os.system"),
    ("numpy._core.multiarray", "_reconstruct.__globals__"),
    ("numpy", "dtype.__class__"),
    ("_codecs", "lookup"),
    ("", "system"),
    ("..", "os"),
    ("os\0", "system"),
)


SOUND: set[bytes] = set()  # the undamaged pickles of the base inputs: the only ones that the fuzzer itself loads


def sound_pickle(content: Any, protocol: int = 4) -> bytes:
    """An undamaged pickle for a base input."""
    data = pickle.dumps(content, protocol=protocol)
    SOUND.add(data)
    return data


def _command(name: str) -> str:
    """What the called function gets: a shell command or Python code that leaves a canary."""
    if name.endswith(("system", "popen", "getoutput", "call", "exec_command")):
        return f"touch {CANARY}"
    if name.endswith(("exec", "eval", "runstring", "myeval", "timeit", "Bdb.run", "getlincoef")):
        return f"__import__('os').environ.__setitem__({CANARY!r}, '1') or open({CANARY!r}, 'w').close()"
    return CANARY


def _text(word: str) -> bytes:
    """A unicode opcode for ``word``."""
    data = word.encode("utf-8", errors="surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def global_call(module: str, name: str, style: int) -> bytes:
    """A pickle that calls ``module.name`` by one of the six ways that pickles know."""
    argument = _text(_command(name))
    line = f"{module}\n{name}\n".encode()
    stacked = _text(module) + _text(name) + b"\x93"
    return [
        b"\x80\x02c" + line + b"(" + argument + b"tR.",
        b"\x80\x04" + stacked + argument + b"\x85R.",
        b"(" + argument + b"i" + line + b".",
        b"(c" + line + argument + b"o.",
        b"\x80\x02c" + line + argument + b"\x85\x81.",
        b"\x80\x04" + stacked + argument + b"\x85}\x92.",
        b"\x80\x02c" + line + b")R" + b"}" + argument + argument + b"sb.",
    ][style]


def _array_state(shape: bytes, kind: str, payload: bytes) -> bytes:
    """A NumPy array as pickles hold it, with a shape and a type of one's own."""
    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    dtype = (
        b"cnumpy\ndtype\n"
        + _text(kind)
        + b"\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    return b"\x80\x04" + reconstruct + b"(K\x01" + shape + dtype + b"\x89" + payload + b"tb."


def _shape(*sizes: int) -> bytes:
    """A tuple of whole numbers as opcodes."""
    longs = b"".join(b"\x8a\x09" + size.to_bytes(9, "little", signed=True) for size in sizes)
    return b"(" + longs + b"t"


def _laughs(opener: bytes) -> bytes:
    """Thirty levels of containers, each holding the one below ten times: short here, endless when walked through."""
    level = b"]" if opener == b"]" else b")"
    text = level + b"\x94"
    for memo in range(30):
        tens = b"(" + b"h" + bytes([memo]) + (b"h" + bytes([memo])) * 9
        text += (b"]" + tens + b"e" if opener == b"]" else tens + b"t") + b"\x94"
    return b"\x80\x04" + text + b"."


def _self_reference() -> bytes:
    """A list and a dict that contain themselves."""
    loop: list[Any] = []
    table = {"split": loop, "annotations": loop}
    loop += [loop, table]
    return pickle.dumps(table)


MEMORY: dict[str, Callable[[], bytes]] = {
    "deep lists": lambda: b"\x80\x04" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "deep tuples": lambda: b"\x80\x04)" + b"\x85" * 300_000 + b".",
    "nested lists, ten to the thirty": lambda: _laughs(b"]"),
    "nested tuples, ten to the thirty": lambda: _laughs(b"("),
    "contains itself": _self_reference,
    "text of 2**62 bytes": lambda: b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",
    "bytes of 3 GB": lambda: b"\x80\x04\x8e" + struct.pack("<Q", 3 * 2**30) + b"x.",
    "byte array of 3 GB": lambda: b"\x80\x05\x96" + struct.pack("<Q", 3 * 2**30) + b"x.",
    "text of 4 GB": lambda: b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"x.",
    "number of 2 GB": lambda: b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
    "number of negative size": lambda: b"\x80\x02\x8b" + struct.pack("<i", -5) + b"x.",
    "number of 5000 digits": lambda: b"I" + b"9" * 5000 + b"\n.",
    "memo place 2**31": lambda: b"\x80\x02]r\xff\xff\xff\x7f.",
    "memo place of 30 digits": lambda: b"\x80\x02]p" + b"9" * 30 + b"\n.",
    "frame of 2**60": lambda: b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"].",
    "protocol 77": lambda: b"\x80\x4d].",
    "extension code": lambda: b"\x80\x02\x82\x01.",
    "persistent name": lambda: b"Pcanary\n.",
    "persistent number": lambda: b"K\x01Q.",
    "out-of-band buffer": lambda: b"\x80\x05\x97.",
    "mark without end": lambda: b"(" * 100_000 + b".",
    "stop at once": lambda: b".",
    "pop of nothing": lambda: b"0.",
    "memo never set": lambda: b"h\x07.",
    "array of 10**12": lambda: _array_state(_shape(10**12), "f4", b"C\x04\x00\x00\x00\x00"),
    "array of 2**62 x 2**62": lambda: _array_state(_shape(2**62, 2**62), "f4", b"C\x04\x00\x00\x00\x00"),
    "array of -1": lambda: _array_state(_shape(-1), "f4", b"C\x04\x00\x00\x00\x00"),
    "array of 0 x 10**15": lambda: _array_state(_shape(0, 10**15), "f4", b"C\x00"),
    "array of objects": lambda: _array_state(_shape(1), "O8", b"](K\x01e"),
    "array of void": lambda: _array_state(_shape(1), "V2147483647", b"C\x01x"),
    "array reconstructed with 10**10": lambda: (
        b"\x80\x04cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + _shape(10**10) + b"C\x01b\x87R."
    ),
    "dtype of dtypes": lambda: b"\x80\x04cnumpy\ndtype\n" + b"](" + _text("a") + _text("O") + b"\x86e\x85R.",
    "dtype state that lies": lambda: (
        b"\x80\x04cnumpy\ndtype\n" + _text("f4") + b"\x89\x88\x87R(K\x03" + _text("<") + b"(K\x01t" + _text("a")
        + b"\x85}J\xff\xff\xff\x7fJ\xff\xff\xff\x7fK?tb."
    ),
    "codec": lambda: b"\x80\x02c_codecs\nencode\n" + _text("x" * 1000) + _text("zlib_codec") + b"\x86R.",
    "codec that unpacks": lambda: b"\x80\x02c_codecs\ndecode\n" + _text("x") + _text("bz2_codec") + b"\x86R.",
    "bytes from a number": lambda: b"\x80\x02c__builtin__\nbytearray\nJ\x00\x00\x00\x7f\x85R.",
    "range": lambda: b"\x80\x02cbuiltins\nrange\nJ\x00\x00\x00\x7f\x85R.",
    "list of a range": lambda: b"\x80\x02cbuiltins\nlist\ncbuiltins\nrange\nJ\x00\x00\x00\x7f\x85R\x85R.",
}  # fmt: skip


def bomb(rng: Rng) -> tuple[str, bytes]:
    """A pickle that must not be run, and what it would do."""
    if rng.random() < 0.6:
        module, name = COMMANDS[int(rng.integers(len(COMMANDS)))]
        style = int(rng.integers(7))
        return f"calls {module}.{name} (way {style})", global_call(module, name, style)
    what = list(MEMORY)[int(rng.integers(len(MEMORY)))]
    return what, MEMORY[what]()


def pickle_bomb(data: bytes, rng: Rng) -> Mutant:
    """The file is a bomb."""
    del data
    what, damaged = bomb(rng)
    return Mutant(damaged, f"pickle: {what}")


def bomb_inside(data: bytes, rng: Rng) -> Mutant:
    """The sound pickle with a bomb's call before its end."""
    module, name = COMMANDS[int(rng.integers(len(COMMANDS)))]
    call = global_call(module, name, int(rng.integers(7)))
    call = call[2:] if call[:1] == b"\x80" else call
    return Mutant(data.rstrip(b".") + b"0" + call, f"pickle with a call of {module}.{name} at its end")


def opcode_changed(data: bytes, rng: Rng) -> Mutant:
    """One opcode of the pickle is another one, occurs twice or is missing."""
    try:
        places = [place for _, _, place in pickletools.genops(data) if place is not None]
    except Exception:  # already damaged
        return flip_bits(data, rng)
    at = int(rng.integers(len(places)))
    start, end = places[at], (places + [len(data)])[at + 1]
    choice = int(rng.integers(3))
    if choice == 0:
        other = pickletools.opcodes[int(rng.integers(len(pickletools.opcodes)))].code.encode("latin-1")
        return Mutant(data[:start] + other + data[start + 1 :], f"pickle: opcode {other!r} at {start}")
    if choice == 1:
        return Mutant(data[:end] + data[start:end] + data[end:], f"pickle: opcode twice at {start}")
    return Mutant(data[:start] + data[end:], f"pickle: opcode missing at {start}")


def content_changed(data: bytes, rng: Rng) -> Mutant:
    """A sound pickle of plain containers and arrays in which a value is another one or missing."""
    if data not in SOUND:
        return flip_bits(data, rng)
    content = pickle.loads(data)  # our own bytes, made a moment ago
    values = [*NASTY_VALUES, np.zeros(0), np.full((2, 3), np.nan), np.array("x"), b"bytes", (1, 2), {1, 2}, 1 + 2j]
    value = values[int(rng.integers(len(values)))]
    content, path = _replace(content, value, rng)
    return Mutant(pickle.dumps(content, protocol=int(rng.integers(0, 6))), f"pickle: {str(value)[:30]!r} at {path}")


def _replace(node: Any, value: Any, rng: Rng) -> tuple[Any, str]:
    """Walk down at random; put ``value`` where the walk ends, or drop what is there."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, (list, tuple)) else []
    if not keys or rng.random() < 0.08:
        return value, ""
    key = keys[int(rng.integers(len(keys)))]
    branch: Any = dict(node) if isinstance(node, dict) else list(node)
    if rng.random() < 0.1:
        del branch[key]
        path = f"/{key} (dropped)"
    else:
        branch[key], below = _replace(branch[key], value, rng)
        path = f"/{key}{below}"
    return tuple(branch) if isinstance(node, tuple) else branch, path


PICKLE_MUTATIONS: list[Mutation] = [
    pickle_bomb,
    pickle_bomb,
    bomb_inside,
    opcode_changed,
    opcode_changed,
    content_changed,
    content_changed,
    content_changed,
]
