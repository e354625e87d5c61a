"""Freed memory stays with the process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from c2vl_lab.data.layouts import KINECT20
from c2vl_lab.embed import embed
from c2vl_lab.models.encoders import build_encoder

PROGRAM = """
import ctypes, resource, sys, torch
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: huge pages, where the machine has them, fault less often
from c2vl_lab.models.memory import keep_freed_memory
print(keep_freed_memory() if sys.argv[1] == "keep" else None)
def use():
    x = torch.empty(16_000_000).fill_(1)  # 64 MB, 15,625 pages
for _ in range(8):  # the heap finds its size
    use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(mode, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", PROGRAM, mode]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_blocks_are_used_again_without_new_pages():
    """A small block may take the front of a freed large one, and the next large one then lies elsewhere, once."""
    said, pages = run("keep")
    plain = int(run("plain")[1])
    assert plain > 150_000  # or there was nothing to gain
    assert said == "True" and int(pages) < plain / 8


def test_features_on_a_processor_keep_freed_memory(monkeypatch):
    told = []
    monkeypatch.setattr("c2vl_lab.embed.keep_freed_memory", lambda: told.append(1))
    encoder = build_encoder("temporal", KINECT20, 8)
    embed(encoder, np.zeros((2, 16, 1, 20, 3), np.float32), KINECT20, "joint", 8, "cpu")
    assert told == [1]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_settings_of_the_user_are_left_alone():
    said, pages = run("keep", MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072")
    assert said == "True" and int(pages) > 150_000
