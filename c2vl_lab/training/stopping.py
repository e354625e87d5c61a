"""How training is asked to stop: a file in the run's folder, or a signal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from c2vl_lab.errors import C2VLError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(C2VLError):
    """Training was asked to stop, and did, after a checkpoint."""


@contextmanager
def signals_as_stop() -> Iterator[Callable[[], bool]]:
    """Inside the block, Ctrl-C (Jupyter's interrupt) and SIGTERM ask for an orderly end; gives what says whether.

    The first signal is a request, which :func:`c2vl_lab.training.fit.fit` follows after the batch with a checkpoint.
    The second of its kind does what it would have done without this block; one of the other kind is the same request
    again, since a cluster's SIGTERM reaches every process, and the one that runs a notebook interrupts its kernel then.
    In one of torchrun's processes no second one does anything: torchrun hands on what the process may have heard
    already, and kills one that does not end. In a thread other than the main one, where Python hears no signals,
    nothing is changed.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}

    def back(number: int) -> None:
        handler = before[number]
        signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def hear(number: int, frame: Any) -> None:
        asked.append(number)
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            back(number)

    for number in SIGNALS:
        signal.signal(number, hear)
    try:
        yield lambda: bool(asked)
    finally:
        for number in SIGNALS:
            back(number)
