"""Training processes to be killed: forked from one that has imported torch but not used it, so that they start at once.

Run as ``python kills.py FOLDER KILLS SEED``; writes what happened to ``FOLDER/kills.json``.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch.utils.tensorboard
from training_sets import TINY, training_set

from c2vl_lab.config import replace
from c2vl_lab.training.checkpoints import FILE, read_card
from c2vl_lab.training.fit import fit

CONFIG = replace(TINY, width=8, epochs=40, batch_size=4, checkpoint_every=3, checkpoint_minutes=0.0005)
CALLS = ("replace", "fsync", "chmod")  # what the writing of a file goes through, in `os`


def train(folder):
    """One start of the command; to its end, if nobody kills it."""
    torch.set_num_threads(1)
    fit(CONFIG, training_set(clips=13), folder, "cpu")


def die_at_call(number, before):
    """Let this process kill itself at its n-th step of writing a file, just before or just after it."""
    count = [0]

    def counted(call):
        def wrapped(*args, **kwargs):
            count[0] += 1
            if count[0] == number and before:
                os.kill(os.getpid(), signal.SIGKILL)
            done = call(*args, **kwargs)
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return wrapped

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


def fork(action):
    """Run ``action`` in a forked process, whose number is returned; an error is told on its standard error."""
    pid = os.fork()
    if pid:
        return pid
    try:
        action()
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def start(folder, prepare=lambda: None):
    """Fork a process that trains; its number."""

    def action():
        prepare()
        train(folder)

    return fork(action)


def end(pid):
    """Wait for a process; the signal that ended it, or its exit status."""
    status = os.waitpid(pid, 0)[1]
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"


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
