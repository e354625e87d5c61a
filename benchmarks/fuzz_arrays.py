"""Damage to NumPy and Matlab files: headers that lie about shape and type, and values that are no coordinates."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np

from benchmarks.fuzz_pickles import CANARY, bomb
from benchmarks.fuzz_text import Mutant, Mutation, Rng, flip_bits

TYPES = (
    "<f8",
    ">f4",
    "<f2",
    "<i8",
    "|b1",
    "<c8",
    "<U10",
    "|S7",
    "|O",
    "|V8",
    "<M8[s]",
    "|S2147483647",
    "<f16",
    "x",
    "",
)
SHAPES = (
    "()",
    "(0,)",
    "(1,)",
    "(-1,)",
    "(10**12,)",
    "(1000000000000,)",
    "(4294967296, 4294967296)",
    "(9223372036854775807, 3, 300, 25, 2)",
    "(2, 3, 300, 25)",
    "(1, 1, 1, 1, 1, 1, 1, 1, 1)",
    "(2.0,)",
    "('a',)",
    "None",
    "(True,)",
)


def npy_bytes(array: np.ndarray) -> bytes:
    """An array as a ``.npy`` file; arrays of objects are pickled, as careless writers do."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def with_header(header: str, body: bytes, version: tuple[int, int] = (1, 0), claimed: int | None = None) -> bytes:
    """A ``.npy`` file of this header; ``claimed`` is the header's length as the file states it."""
    text = header.encode("latin-1", errors="replace")
    length = len(text) if claimed is None else claimed
    size = struct.pack("<H", length & 0xFFFF) if version == (1, 0) else struct.pack("<I", length & 0xFFFFFFFF)
    return b"\x93NUMPY" + bytes(version) + size + text + body


def _parts(data: bytes) -> tuple[np.ndarray, bytes] | None:
    """The array and the bytes behind the header of an undamaged file."""
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception:  # already damaged: NumPy raises many kinds
        return None
    return array, array.tobytes()


def npy_header(data: bytes, rng: Rng) -> Mutant:
    """Another shape, type or order in the header over the same bytes."""
    parts = _parts(data)
    if parts is None:
        return flip_bits(data, rng)
    array, body = parts
    shape, kind, order = str(array.shape), array.dtype.str, "False"
    choice = int(rng.integers(3))
    if choice == 0:
        shape = SHAPES[int(rng.integers(len(SHAPES)))]
    elif choice == 1:
        kind = TYPES[int(rng.integers(len(TYPES)))]
    else:
        order = ["True", "1", "None", "'yes'"][int(rng.integers(4))]
    header = f"{{'descr': {kind!r}, 'fortran_order': {order}, 'shape': {shape}, }}\n"
    return Mutant(with_header(header, body), f"npy header {header.strip()}")


def npy_evil_header(data: bytes, rng: Rng) -> Mutant:
    """A header that is code, that nests without end, or whose length lies."""
    del data
    body = b"\0" * 64
    choices: list[tuple[str, bytes]] = [
        (
            "code",
            with_header(f"__import__('os').system('touch {CANARY}')\n", body),
        ),
        ("nested", with_header("{'descr':" + "(" * 60000, body)),
        ("nested, version 3", with_header("{'shape':" + "-" * 200_000 + "1}", body, (3, 0))),
        ("length 4 GB", with_header("{'descr': '<f4'", body, (2, 0), claimed=2**32 - 1)),
        ("length 0", with_header("{}", body, claimed=0)),
        ("version 9", with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n", body, (9, 0))),
        ("no dict", with_header("[1, 2]\n", body)),
        ("keys missing", with_header("{'descr': '<f4'}\n", body)),
        ("keys too many", with_header("{'descr':'<f4','fortran_order':False,'shape':(1,),'x':1}\n", body)),
        (
            "descr nested",
            with_header(f"{{'descr':{'[' * 50}('a','<f4'){']' * 50},'fortran_order':False,'shape':()}}\n", body),
        ),
        ("not a npy", b"\x93NUMPX\x01\x00" + body),
    ]
    what, damaged = choices[int(rng.integers(len(choices)))]
    return Mutant(damaged, f"npy header: {what}")


def npy_objects(data: bytes, rng: Rng) -> Mutant:
    """An array of objects: a pickle that would run code."""
    del data
    what, pickled = bomb(rng)
    header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"
    return Mutant(with_header(header, pickled), f"npy of objects: {what}")


def npy_values(data: bytes, rng: Rng) -> Mutant:
    """NaN, infinity, huge or tiny values, or another shape or type, in a sound file."""
    parts = _parts(data)
    if parts is None or not parts[0].size:
        return flip_bits(data, rng)
    return changed_array(parts[0], rng)


def changed_array(array: np.ndarray, rng: Rng) -> Mutant:
    """An array with other values, another shape or another type, as a sound file."""
    changed, what = other_array(array, rng)
    return Mutant(npy_bytes(changed), what)


def other_array(array: np.ndarray, rng: Rng) -> tuple[np.ndarray, str]:
    """A sound array that is not the right one."""
    choice = int(rng.integers(8))
    if choice <= 2:
        value: Any = [np.nan, np.inf, -np.inf, 3e38, 1e30, -1.0, 1e6, 0.0][int(rng.integers(8))]
        changed = array.real.astype(np.float64)
        count = 1 if rng.random() < 0.5 else changed.size
        changed.reshape(-1)[rng.integers(0, changed.size, count)] = value
        with np.errstate(all="ignore"):
            return changed.astype(array.dtype if array.dtype.kind == "f" else np.float64), f"{count} values {value}"
    if choice == 3:
        return array[: int(rng.integers(0, len(array)))] if array.ndim else array, "fewer rows"
    if choice == 4:
        return np.concatenate([array, array]) if array.ndim else array, "rows twice"
    if choice == 5:
        return array.reshape(-1), "one axis"
    if choice == 6:
        return array.T, "axes the other way round"
    kind = ["f2", "f8", "i4", "c16", "U8", "b1", "u1"][int(rng.integers(7))]
    with np.errstate(all="ignore"):
        return array.astype(kind), f"type {kind}"


NPY_MUTATIONS: list[Mutation] = [
    npy_header,
    npy_header,
    npy_values,
    npy_values,
    npy_values,
    npy_evil_header,
    npy_objects,
]


def matlab_changed(data: bytes, rng: Rng) -> Mutant:
    """A Matlab file with another array, another name, a cell or a text."""
    from scipy.io import loadmat, savemat

    try:
        contents = {k: v for k, v in loadmat(io.BytesIO(data)).items() if not k.startswith("__")}
    except Exception:  # already damaged: scipy raises many kinds
        return flip_bits(data, rng)
    name, array = next(iter(contents.items()))
    changed, what = other_array(np.asarray(array, float), rng)
    other: Any = {
        0: {name: changed},
        1: {f"{name}x": array},
        2: {name: "text"},
        3: {name: np.array([array, "x"], dtype=object)},
        4: {name: {"a": 1}},
        5: {},
    }[int(rng.choice(6, p=[0.7, 0.06, 0.06, 0.06, 0.06, 0.06]))]
    buffer = io.BytesIO()
    savemat(buffer, other, do_compression=bool(rng.random() < 0.5))
    return Mutant(buffer.getvalue(), f"Matlab file: {what}")


MATLAB_MUTATIONS: list[Mutation] = [matlab_changed] * 4
