"""Training on disks that are full, and again when they are not: ``python full_disks.py FOLDER=HOW ...``, one line each.

HOW is "plain", "limit" (files may not grow to a checkpoint's size), "log" (the log lies on /dev/full) or "disk" (the
folder's file system is filled up), from epoch 2 on; "again" takes that back and goes on. Each runs in a process of its
own, forked like those of ``kills.py``.
"""

import contextlib
import json
import resource
import sys
from pathlib import Path

import torch
from kills import end, fork
from training_sets import TINY, training_set

from c2vl_lab.config import replace
from c2vl_lab.errors import StorageError
from c2vl_lab.logs import METRICS, read_status
from c2vl_lab.training.checkpoints import FILE, read_checkpoint
from c2vl_lab.training.fit import fit


def fill(folder, how):
    """Leave no room."""
    if how == "limit":
        size = (folder / FILE).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, resource.RLIM_INFINITY))
    if how == "log":
        (folder / METRICS).rename(folder / "kept")
        (folder / METRICS).symlink_to("/dev/full")
    if how == "disk":
        with open(folder / "ballast", "wb", buffering=0) as stream, contextlib.suppress(OSError):
            while stream.write(bytes(4096)):
                pass


def make_room(folder):
    """Undo :func:`fill`; the limit ended with its process."""
    (folder / "ballast").unlink(missing_ok=True)
    if (folder / "kept").exists():
        (folder / "kept").rename(folder / METRICS)


def train(folder, how):
    """One run; prints how it ended and what is there then."""
    torch.set_num_threads(1)
    if how == "again":
        make_room(folder)
    error = ""
    try:
        config = replace(TINY, width=8, epochs=5)
        fit(
            config,
            training_set(clips=13),
            folder,
            "cpu",
            lambda s: fill(folder, how) if s.startswith("epoch 2/") else None,
        )
    except StorageError as found:
        error = str(found)
    epoch = read_checkpoint(folder)[1]["epoch"]
    print(json.dumps({"error": error, "epoch": epoch, "state": read_status(folder)["state"]}), flush=True)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        path, _, kind = argument.rpartition("=")
        assert end(fork(lambda path=path, kind=kind: train(Path(path), kind))) == "exit 0"
