"""Two small helpers with threads: preparing ahead, and many requests in flight."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")


def ahead(items: Iterable[T], count: int) -> Iterator[T]:
    """The items, prepared by a thread that is up to ``count`` of them ahead; its errors are raised here."""
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(count)
    stop = threading.Event()

    def prepare() -> None:
        try:
            for item in items:
                if not _put(ready, ("item", item), stop):
                    return
            _put(ready, ("end", None), stop)
        except BaseException as error:
            _put(ready, ("error", error), stop)

    threading.Thread(target=prepare, daemon=True).start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stop.set()


def in_flight(work: Callable[[S], T], items: Iterable[S], count: int) -> Iterator[T]:
    """``work`` of every item in any order, as each is done, ``count`` at a time.

    Items are taken one by one as threads become free. The threads are daemons: whoever stops early (Ctrl-C) does not
    wait for them. An error of ``work`` is raised here.
    """
    todo: queue.SimpleQueue[Any] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
    ends = object()

    def serve() -> None:
        while (item := todo.get()) is not ends:
            try:
                done.put((True, work(item)))
            except BaseException as error:
                done.put((False, error))

    for _ in range(count):
        threading.Thread(target=serve, daemon=True).start()
    try:
        waiting = 0
        for item in items:
            todo.put(item)
            waiting += 1
            # one more than there are threads, so that none waits while the next item is prepared
            while waiting and (waiting > count or not done.empty()):
                yield _result(done.get())
                waiting -= 1
        for _ in range(waiting):
            yield _result(done.get())
    finally:
        while not todo.empty():  # what has not begun need not begin
            todo.get()
        for _ in range(count):
            todo.put(ends)


def _result(pair: tuple[bool, Any]) -> Any:
    good, value = pair
    if not good:
        raise value
    return value


def _put(ready: queue.Queue, item: Any, stop: threading.Event) -> bool:
    """Put unless somebody stops; whether it was put."""
    while not stop.is_set():
        try:
            ready.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False
