"""Training processes to be killed: forked from one that has imported torch but not used it, so that they start at once.

Run as ``python kills.py FOLDER SEED``; writes what happened to ``FOLDER/kills.json``.
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

# A run is as long as it takes kills: each process may do so many epochs more than the one before, so that none gets to
# the end, however fast the machine, and none depends on its being fast.
ROOM = 1
STARTS, KILLS = 3, 27
SELDOM = replace(TINY, width=8, epochs=ROOM * (STARTS + KILLS + 1), batch_size=4, checkpoint_every=3)
OFTEN = replace(SELDOM, checkpoint_minutes=1e-9)  # a checkpoint with each batch, so that calls can be counted
COUNTED = 15  # calls of that kind are made within any epoch of "often" (a test counts them)


def train(folder, config=SELDOM, until=None):
    """One start of the command; to its end if nobody kills it, or to epoch ``until``, where it kills itself."""
    torch.set_num_threads(1)

    def told(line):
        if until is not None and line.startswith(f"epoch {until}/"):
            os.kill(os.getpid(), signal.SIGKILL)

    fit(config, training_set(clips=13), folder, "cpu", told)


def start(folder, config=SELDOM, until=None, prepare=lambda: None):
    """Fork a process that trains; its number."""

    def action():
        prepare()
        train(folder, config, until)

    return fork(action)


def main(folder, seed):
    """An unbroken run, and one that is killed: a third of the kills at any moment, the others at one of writing."""
    draw = random.Random(seed)
    begun = time.monotonic()
    ends = {"whole": end(start(folder / "whole"))}
    seconds = time.monotonic() - begun
    told = []
    for number in range(KILLS):
        until = ROOM * (STARTS + number + 1)
        if number % 3:
            room = COUNTED * (until - epochs_done(folder / "cut"))
            call, before = draw.randint(1, room), draw.random() < 0.5
            pid = start(folder / "cut", OFTEN, until, lambda call=call, before=before: die_at_call(call, before))
        else:
            pid = start(folder / "cut", SELDOM, until)
            time.sleep(draw.uniform(0.0, 1.2 * seconds / KILLS))
            os.kill(pid, signal.SIGKILL)  # one that has killed itself meanwhile still waits for its parent
        left = [path.name for path in (folder / "cut").glob(".*") if path.name != ".training.lock"]
        told.append({"end": end(pid), "left": left, "epoch": epochs_done(folder / "cut")})
    ends["cut"] = end(start(folder / "cut"))
    (folder / "kills.json").write_text(json.dumps({"ends": ends, "kills": told, "seconds": seconds}))


def epochs_done(folder):
    """How far the last checkpoint is."""
    return read_card(folder)["epoch"] if (folder / FILE).exists() else 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
