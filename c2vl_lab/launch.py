"""Train on several devices: a run of many processes, started from a command or a notebook, is one process to them.

The processes are torchrun's; each of them executes ``c2vl pretrain`` with the same settings and calls the same
:func:`~c2vl_lab.experiment.pretrain`. What they say goes to ``train.log`` in the run's folder.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from c2vl_lab.config import to_dict
from c2vl_lab.errors import C2VLError, ConfigError
from c2vl_lab.logs import read_status
from c2vl_lab.run_config import RunConfig
from c2vl_lab.training.keeping import make_folder
from c2vl_lab.training.settings import pick_device
from c2vl_lab.training.stopping import StoppedError

LOG = "train.log"
SENTENCE = "c2vl: "  # before the error sentence of a command
ROOM = 60  # seconds for the processes to end in order; torchrun itself gives them 30


@dataclass(frozen=True)
class Launched:
    """A run that is under way.

    Attributes:
        process: torchrun, which ends when all have, or one has failed.
        log: ``train.log``.
        begins: where in it this run's lines begin; a run that goes on adds to the file.
    """

    process: subprocess.Popen[bytes]
    log: Path
    begins: int


def start(config: RunConfig, run_dir: str | Path, devices: int) -> Launched:
    """Start the run's training on several devices; it goes on even where the caller ends.

    Args:
        config: settings; ``device`` "cpu" starts so many processes on the processor.
        run_dir: the run's folder.
        devices: GPUs, or processes, of this machine. For several machines, give torchrun the command itself:
            ``torchrun --nnodes ... -m c2vl_lab.cli pretrain ...``.

    Raises:
        ConfigError: there are not as many devices.
        StorageError: there can be no such folder.
    """
    device = pick_device(config.device)
    if devices < 1:
        raise ConfigError(f"devices wants 1 or more, found {devices}.")
    if ":" in device:
        raise ConfigError(f"device '{device}' is one GPU; for {devices} devices wanted 'auto', 'cuda' or 'cpu'.")
    if device == "cuda" and devices > torch.cuda.device_count():
        raise ConfigError(f"{devices} devices were asked for, but torch sees {torch.cuda.device_count()} GPUs here.")
    log = Path(run_dir) / LOG
    make_folder(log.parent)
    usual = to_dict(RunConfig())
    changed = [f"{name}={value}" for name, value in to_dict(config).items() if value != usual[name]]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
    command += ["-m", "c2vl_lab.cli", "pretrain", "--run-dir", str(run_dir), *changed]
    threads = str(max(1, (os.cpu_count() or 1) // devices))
    # torchrun says each of these itself, with a warning, where nobody does
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONUNBUFFERED": "1"}
    with open(log, "ab") as stream:
        stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {shlex.join(['torchrun', *command[3:]])}\n".encode())
        stream.flush()
        begins = stream.tell()
        process = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
            start_new_session=True,  # Ctrl-C is for the caller, who ends the run in order
        )  # fmt: skip
    return Launched(process, log, begins)


def wait(run: Launched, say: Callable[[str], None]) -> None:
    """Hand on what the run says until it ends; an interrupt ends the run.

    Raises:
        StoppedError: the run was asked to stop, with its own sentence.
        C2VLError: the run failed, with its own sentence.
    """
    sentences: list[str] = []
    after: list[str] = []  # a process has ended in a sentence; torchrun tells of it at length, which the log keeps
    try:
        with open(run.log, encoding="utf-8", errors="replace") as stream:
            stream.seek(run.begins)
            rest = ""
            while True:
                ended = run.process.poll() is not None  # asked first, so that the last lines are read
                *complete, rest = (rest + stream.read()).split("\n")
                for line in complete:
                    if line.startswith(SENTENCE):
                        sentences.append(line.removeprefix(SENTENCE))
                    elif sentences:
                        after.append(line)
                    else:
                        say(line)
                if ended:
                    break
                time.sleep(0.2)
    except KeyboardInterrupt:
        stop(run)
        raise
    if run.process.returncode:
        sentence = min(sentences, key=lambda s: s.startswith("(process "), default="")  # process 0's, where it has one
        status = read_status(run.log.parent)
        if sentence and (status.get("state"), status.get("error")) == ("stopped", sentence):
            raise StoppedError(sentence)
        raise C2VLError(sentence or f"The run ended with status {run.process.returncode}; {run.log} says why.")
    for line in after:
        say(line)


def stop(run: Launched) -> None:
    """End the run's processes in order; after a minute, without."""
    run.process.terminate()
    try:
        run.process.wait(ROOM)
    except subprocess.TimeoutExpired:
        run.process.kill()
