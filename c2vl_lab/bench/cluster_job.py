"""What a cluster's job does: one run, which goes on where a time limit, a pre-emption or a dead node has cut it."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from c2vl_lab.bench.fingerprints import NO_TRAINING, code_fingerprint
from c2vl_lab.bench.machine import this_machine
from c2vl_lab.bench.resources import Resources
from c2vl_lab.bench.runner import ORDER, run_jobs
from c2vl_lab.bench.runs import Job
from c2vl_lab.logs import STOP, read_status


class ClusterRun:
    """What submitit calls with a job: it does the run; told of an end, it says how to go on.

    Slurm's warning before a time limit or a pre-emption (SIGUSR2) makes submitit ask for :meth:`checkpoint` and queue
    the job again. SIGTERM, as ``scancel`` and clusters without a warning send it, ends training with a checkpoint too.
    """

    def __init__(self, resources: Resources, device: str, retries: int):
        self.resources, self.device, self.retries = resources, device, retries
        self.ending = False

    def __call__(self, job: Job) -> str:
        """Do the run and return how it ended; a failed one is told by its executed notebook."""
        signal.signal(signal.SIGTERM, self._end)
        machine = replace(this_machine(1, self.device, self.resources), workers=1)
        return run_jobs([_as_it_is_now(job)], machine, _tell, retries=self.retries)[0].status

    def checkpoint(self, job: Job) -> Any:
        """Stop training in order; what is to be submitted in this job's place."""
        from submitit.helpers import DelayedSubmission

        self.ending = True  # what Slurm sends from here on is not news
        stop_training(job.folder)
        return DelayedSubmission(ClusterRun(self.resources, self.device, self.retries), job)

    def _end(self, number: int, frame: Any) -> None:
        if not self.ending:
            self.ending = True
            raise KeyboardInterrupt


def _as_it_is_now(job: Job) -> Job:
    """The job with the code that is here now: it may have waited for days, and its card is to say what ran."""
    if not job.training:
        return job
    code = code_fingerprint(job.notebook)
    return replace(job, code=code, training=code_fingerprint(job.notebook, leave_out=NO_TRAINING))


def stop_training(folder: Path, seconds: float = 2 * ORDER) -> None:
    """Ask the training in a run's folder for a checkpoint and an end, and wait for it."""
    if read_status(folder).get("state") != "running":
        return
    (folder / STOP).touch()
    end = time.monotonic() + seconds
    while time.monotonic() < end and read_status(folder).get("state") == "running":
        time.sleep(0.2)


def _tell(line: str) -> None:
    """A line into the job's log."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
