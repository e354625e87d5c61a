"""One thread for every test: sums in another order have other last digits, and tests leave settings behind.

With ``C2VL_TEST_BROWSER=1``, as in CI, a machine without a browser is an error instead of a reason to skip.
"""

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


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to begin without the browser that was asked for."""
    if os.environ.get("C2VL_TEST_BROWSER"):
        from benchmarks.browser import why_not

        if why_not():
            raise pytest.UsageError(f"C2VL_TEST_BROWSER=1 wants the browser tests to run, but {why_not()}")
