"""Training processes to be killed: forked from one that has imported torch but not used it, so that they start at once.

Run as ``python kills.py FOLDER KILLS SEED``; writes what happened to ``FOLDER/kills.json``.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch.utils.tensorboard
from killing import die_at_call, end, fork
from training_sets import TINY, training_set

from c2vl_lab.config import replace
from c2vl_lab.training.checkpoints import FILE, read_card
from c2vl_lab.training.fit import fit

CONFIG = replace(TINY, width=8, epochs=40, batch_size=4, checkpoint_every=3, checkpoint_minutes=0.0005)


def train(folder):
    """One start of the command; to its end, if nobody kills it."""
    torch.set_num_threads(1)
    fit(CONFIG, training_set(clips=13), folder, "cpu")


def start(folder, prepare=lambda: None):
    """Fork a process that trains; its number."""

    def action():
        prepare()
        train(folder)

    return fork(action)


def epochs_done(folder):
    """How far the last checkpoint is."""
    return read_card(folder)["epoch"] if (folder / FILE).exists() else 0


def main(folder, kills, seed):
    """An unbroken run, and one that is killed; every second time at a moment of writing."""
    draw = random.Random(seed)
    begun = time.monotonic()
    ends = {"whole": end(start(folder / "whole"))}
    seconds = time.monotonic() - begun
    told = []
    for number in range(kills):
        late = epochs_done(folder / "cut") > 0.6 * CONFIG.epochs  # a machine that became faster must not get to the end
        if number % 2 or late:
            call, before = draw.randint(1, 6 if late else 60), draw.random() < 0.5
            pid = start(folder / "cut", lambda call=call, before=before: die_at_call(call, before))
        else:
            pid = start(folder / "cut")
            time.sleep(draw.uniform(0.0, 1.2 * seconds / kills))
            os.kill(pid, signal.SIGKILL)
        left = [path.name for path in (folder / "cut").glob(".*") if path.name != ".training.lock"]
        told.append({"end": end(pid), "left": left})
    ends["cut"] = end(start(folder / "cut"))
    (folder / "kills.json").write_text(json.dumps({"ends": ends, "kills": told, "seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
