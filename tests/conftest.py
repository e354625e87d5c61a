"""One thread for every test: sums in another order have other last digits, and tests leave settings behind."""

import os
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in the processes that tests start


@pytest.fixture(autouse=True)
def one_thread():
    """Put torch's number of threads back to one, whatever the test before did to it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
