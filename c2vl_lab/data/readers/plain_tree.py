"""Which trees of plain values are safe to walk: no cycles, not too deep, not blown up by parts that occur often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from c2vl_lab.data.readers.pickle_arrays import PickledArray, Refused, Stored

DEPTH = 32
WALK = 50_000_000  # values that a walk through the tree may meet
SHARED = 16  # how often, on average, the bytes of a file may be pointed to
_LEAVES = (str, bytes, int, float, bool, type(None), np.generic)


class _Branch:
    """A container whose children are being looked at."""

    __slots__ = ("bytes", "children", "height", "items", "value")

    def __init__(self, value: Any):
        self.value = value
        self.children: Iterator[Any] = iter(value.values() if type(value) is dict else value)
        self.height = self.items = self.bytes = 0


def plain_tree(value: Any, size: int) -> Any:
    """``value`` itself, if it holds plain data only and a walk through it ends soon.

    Args:
        value: what the opcodes made.
        size: bytes of the file; the arrays together may have ``SHARED`` times as many.
    """
    if type(value) not in (dict, list, tuple):
        _leaf(value)
        return value
    most = SHARED * size + 2**20
    known: dict[int, tuple[int, int, int]] = {}
    open_branches, path = {id(value)}, [_Branch(value)]
    while path:
        branch = path[-1]
        for child in branch.children:
            if type(child) not in (dict, list, tuple):
                branch.items += 1
                branch.bytes += _leaf(child)
            elif id(child) in known:
                _add(branch, known[id(child)])
            elif id(child) in open_branches:
                raise Refused("a value contains itself.")
            elif len(path) > DEPTH:
                raise Refused(f"the values are nested more than {DEPTH} deep.")
            else:
                open_branches.add(id(child))
                path.append(_Branch(child))
                break
        else:
            path.pop()
            open_branches.discard(id(branch.value))
            if branch.height >= DEPTH:
                raise Refused(f"the values are nested more than {DEPTH} deep.")
            if branch.items > WALK or branch.bytes > most:
                raise Refused("a few values are repeated so often that the whole would fill the memory.")
            known[id(branch.value)] = (branch.height + 1, branch.items + 1, branch.bytes)
            if path:
                _add(path[-1], known[id(branch.value)])
    return value


def _add(branch: _Branch, part: tuple[int, int, int]) -> None:
    """Account for a finished part of a branch, as often as it occurs."""
    branch.height = max(branch.height, part[0])
    branch.items += part[1]
    branch.bytes += part[2]


def _leaf(value: Any) -> int:
    """The bytes of an array, 0 for other plain values."""
    if isinstance(value, _LEAVES):
        return 0
    if isinstance(value, PickledArray) and value.complete:
        return value.nbytes
    if isinstance(value, Stored):
        raise Refused(f"a text or byte string of {value.size} bytes that is no array is refused.")
    raise Refused(f"the file holds a {type(value).__name__} without its content.")
