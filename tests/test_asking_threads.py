"""Pictures are prepared by several threads, in order, a bounded number of clips ahead."""

from __future__ import annotations

import threading

import pytest

from c2vl_lab.errors import DataError
from c2vl_lab.prompts.asking.threads import ahead


def test_two_items_are_worked_on_at_once_and_come_in_order():
    both = threading.Barrier(2)

    def work(item: int) -> int:
        both.wait(300)  # one thread alone would wait in vain
        return item * item

    assert list(ahead(work, range(10), 2)) == [item * item for item in range(10)]


def test_no_more_than_two_a_thread_are_ahead_and_none_begins_after_the_reader_stopped():
    begun = []
    found = ahead(lambda item: begun.append(item) or item, range(1000), 2)
    assert [next(found), next(found)] == [0, 1]
    found.close()
    assert len(begun) <= 6


def test_an_error_comes_where_its_item_would():
    def work(item: int) -> int:
        if item == 3:
            raise DataError("the third")
        return item

    found = ahead(work, range(10))
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="the third"):
        next(found)
