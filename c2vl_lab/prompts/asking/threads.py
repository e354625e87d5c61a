"""Two small helpers with threads: preparing ahead, and many requests in flight."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")
THREADS = 16  # that prepare, at most


def ahead(work: Callable[[S], T], items: Iterable[S], threads: int = 0) -> Iterator[T]:
    """``work`` of the items in their order, done by threads up to two items each ahead; its errors are raised here.

    Args:
        work: what is done with an item.
        items: taken in the calling thread.
        threads: how many; 0: one a core, at most :data:`THREADS`.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = threads or min(THREADS, cores)
    pool, waiting = ThreadPoolExecutor(threads), deque[Future[T]]()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also where the reader stops: what has not begun need not begin
        pool.shutdown(wait=False, cancel_futures=True)


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
