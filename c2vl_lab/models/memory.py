"""Freed memory stays with the process: a fifth of a training step on a processor is otherwise spent on getting it back.

The C library of Linux hands large freed blocks to the system at once. The next step asks for the same blocks again, and
the system clears every page of them first.
"""

from __future__ import annotations

import ctypes
import os
import sys

# numbers of glibc's mallopt: no blocks outside the heap, a heap that does not shrink, and that grows by 256 MB
SETTINGS = ((-4, 0), (-1, 2**31 - 1), (-2, 2**28))
OWN_SETTINGS = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")


def keep_freed_memory() -> bool:
    """Tell the C library to keep what is freed, for the rest of this process; whether it does.

    Only for processes that train or extract features on a processor: their memory no longer shrinks between steps.
    Settings that the user made by environment variables stay as they are. Does nothing where there is no glibc.
    """
    if any(name in os.environ for name in OWN_SETTINGS):
        return True
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(number, value) for number, value in SETTINGS)
