"""Pickle files read without executing anything: plain containers, numbers, texts and numpy arrays pass.

Python's own ``pickle.load`` calls whatever functions a file names, so a downloaded ``.pkl`` can do anything that its
reader may do. Here a small machine of our own follows the opcodes instead (the protocols are described in PEP 3154
and PEP 574). It imports nothing and calls nothing from the file: the handful of names by which numpy arrays are
written are understood as data (:mod:`c2vl_lab.data.readers.pickle_arrays`), every other name is refused.

Large payloads are never read here. They stay in the file as :class:`Stored`, so that the directory of a 2 GB file is
known in seconds and some hundred MB, and many processes may read its arrays. What a file can cost is bounded: by its
own size (nothing is allocated because of a claimed length), by a number of opcodes and by an estimate of the memory
that they take; and the value is a tree that is safe to walk: no cycles, at most ``DEPTH`` deep, not blown up by
shared parts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from c2vl_lab.data.readers.pickle_arrays import PickledArray, Refused
from c2vl_lab.data.readers.pickle_machine import Machine
from c2vl_lab.errors import DataError, MissingError

__all__ = ["PickledArray", "read_pickle"]


def read_pickle(path: str | Path) -> Any:
    """The value of a pickle file of any protocol; nothing in the file is executed.

    Returns:
        dict, list, tuple, str, bytes, int, float, bool, None, numpy scalars, and :class:`PickledArray` where an array
        was: its ``load()`` (or ``np.asarray``) reads the numbers.

    Raises:
        MissingError: there is no such file.
        DataError: the file is cut or damaged, names anything but plain data, or would cost too much; the sentence
            names the file, the byte and what was refused.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"{path}: wanted a pickle file, found none.")
    size = path.stat().st_size
    with open(path, "rb", buffering=1 << 16) as stream:
        machine = Machine(path, stream, size)
        try:
            return machine.run()
        except Refused as error:
            raise DataError(
                f"{path}, byte {machine.position}: {error} Only plain data is read from a pickle file (dict, list, "
                f"tuple, text, numbers, numpy arrays of numbers or text), and nothing in it is executed."
            ) from None
