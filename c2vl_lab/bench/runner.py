"""Run jobs side by side, one process each, and tell all the while how far they are.

Notebooks are executed in processes of their own: a kernel's memory is given back when it ends, each run can have its
own GPU, and a crash takes nothing else with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from c2vl_lab.bench.runs import Job, begin, failure, is_complete, take_lock

HEARTBEAT = 10.0  # seconds without a line on the screen
POLL = 0.2
PATIENCE = 10.0  # seconds that a process has to end by itself


@dataclass(frozen=True)
class Outcome:
    """How a job ended: ``complete``, ``skipped`` (it was complete before) or ``failed``."""

    job: Job
    status: str
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Machine:
    """How many jobs run at once and what each may use.

    Attributes:
        workers: jobs at once.
        threads: CPU threads a job.
        gpus: ids handed out in turn; empty without GPUs.
    """

    workers: int
    threads: int
    gpus: tuple[str, ...] = ()


@dataclass
class Tally:
    """How far a whole command is, over several calls of :func:`run_jobs`."""

    total: int
    done: int = 0
    begun: float = field(default_factory=time.monotonic)


def this_machine(workers: int = 0, device: str = "auto") -> Machine:
    """Workers, threads and GPUs for this machine: one job a GPU, or one a core where there is none.

    Args:
        workers: jobs at once; 0 means as many as the machine has GPUs or cores.
        device: "cpu" leaves the GPUs alone.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    gpus = () if device == "cpu" else _gpu_ids()
    workers = workers if workers > 0 else len(gpus) or cores
    return Machine(workers=workers, threads=max(1, cores // workers), gpus=gpus)


def _gpu_ids() -> tuple[str, ...]:
    """The visible NVIDIA GPUs, asked of the driver's own tool so that torch need not be loaded here."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(part.strip() for part in visible.split(",") if part.strip() not in ("", "-1"))
    if shutil.which("nvidia-smi") is None:
        return ()
    answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    count = sum(line.startswith("GPU ") for line in answer.stdout.splitlines()) if answer.returncode == 0 else 0
    return tuple(str(index) for index in range(count))


class _Running:
    """A job's process, its lock and its clock."""

    def __init__(self, job: Job, lock: IO[str], machine: Machine, gpu: str | None):
        self.job, self.lock, self.gpu, self.started = job, lock, gpu, time.monotonic()
        begin(job)
        threads = str(machine.threads)
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
        environment["NUMBA_NUM_THREADS"] = threads
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        with open(job.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "c2vl_lab.cli", "run", str(job.notebook), "--output", str(job.executed)]
                + ["--parameters", str(job.folder / "parameters.json")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=(lock.fileno(),),
                start_new_session=True,  # Ctrl-C reaches the runner only, which ends its jobs in order
            )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it may just have ended by itself
            os.killpg(self.process.pid, number)


def run_jobs(
    jobs: list[Job], machine: Machine, say: Callable[[str], None], tally: Tally | None = None
) -> list[Outcome]:
    """Execute jobs in a bounded pool of processes; complete ones are skipped, failed ones do not stop the rest.

    A job that another caller is executing is left to it and looked at again when it has ended. When this function is
    interrupted, its processes are ended first; the next call goes on from what they left.

    Args:
        jobs: what to execute, in order.
        machine: how many at once.
        say: gets a line whenever a job begins or ends, and at least every ten seconds.
        tally: counts jobs and time where these are some of more.

    Returns:
        One outcome a job, in the order of ``jobs``.
    """
    pool = _Pool(jobs, machine, say, tally or Tally(len(jobs)))
    try:
        while pool.waiting or pool.running:
            pool.start()
            pool.collect()
            pool.heartbeat()
            time.sleep(POLL)
    finally:
        pool.stop()
    return [pool.outcomes[job.id] for job in jobs]


class _Pool:
    """The state of one ``run_jobs`` call."""

    def __init__(self, jobs: list[Job], machine: Machine, say: Callable[[str], None], tally: Tally):
        self.machine, self.tell, self.tally = machine, say, tally
        self.waiting = deque(jobs)
        self.running: list[_Running] = []
        self.elsewhere: set[str] = set()
        self.outcomes: dict[str, Outcome] = {}
        self.spoke = time.monotonic()

    def say(self, line: str) -> None:
        self.spoke = time.monotonic()
        self.tell(f"[{self.tally.done}/{self.tally.total}, {clock(self.spoke - self.tally.begun)}] {line}")

    def start(self) -> None:
        """Fill the free places; a job that another caller holds goes to the end of the queue."""
        for _ in range(len(self.waiting)):
            if len(self.running) >= self.machine.workers:
                return
            job = self.waiting.popleft()
            lock = take_lock(job)
            if lock is None:
                self.waiting.append(job)
                if job.id not in self.elsewhere:
                    self.elsewhere.add(job.id)
                    self.say(f"elsewhere: {job.id} is being run by another process; its result will be used")
                continue
            if not job.always and is_complete(job):
                lock.close()
                self._end(Outcome(job, "skipped"), f"complete already, skipped: {job.id}")
                continue
            self.running.append(_Running(job, lock, self.machine, self._free_gpu()))
            self.say(f"started: {job.id} ({job.label})")

    def _free_gpu(self) -> str | None:
        """The GPU with the fewest jobs of this pool."""
        busy = [run.gpu for run in self.running]
        return min(self.machine.gpus, key=busy.count, default=None)

    def collect(self) -> None:
        """Take note of the processes that have ended."""
        for run in list(self.running):
            code = run.process.poll()
            if code is None:
                continue
            self.running.remove(run)
            run.lock.close()
            took = clock(run.seconds)
            if code == 0 and is_complete(run.job):
                self._end(Outcome(run.job, "complete", run.seconds), f"done in {took}: {run.job.id}")
                continue
            error = failure(run.job, code)
            kept = run.job.executed if run.job.executed.is_file() else run.job.log
            self._end(Outcome(run.job, "failed", run.seconds, error), f"FAILED: {run.job.id}: {error} See {kept}")

    def _end(self, outcome: Outcome, line: str) -> None:
        self.outcomes[outcome.job.id] = outcome
        self.tally.done += 1
        self.say(line)

    def heartbeat(self) -> None:
        """A line about the running jobs when nothing else was said for a while."""
        if time.monotonic() - self.spoke >= HEARTBEAT:
            now = [f"{run.job.id} {clock(run.seconds)}{_last_word(run.job)}" for run in self.running]
            now += [f"waiting for another process: {job.id}" for job in self.waiting if job.id in self.elsewhere]
            self.say("running: " + "; ".join(now))

    def stop(self) -> None:
        """End what still runs: asked first, then killed."""
        for run in self.running:
            run.signal(signal.SIGTERM)
        for run in self.running:
            try:
                run.process.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                run.signal(signal.SIGKILL)
                run.process.wait()
            run.lock.close()


def _last_word(job: Job) -> str:
    """``, epoch 12 of 60, loss 2.31`` while the run trains, else the last line of its log."""
    row, epochs = _last_row(job), job.parameters.get("epochs")
    if "epoch" in row and row["epoch"] != epochs:
        of = f" of {epochs}" if epochs else ""
        loss = f", loss {row['loss']:.3g}" if isinstance(row.get("loss"), (int, float)) else ""
        return f", epoch {row['epoch']}{of}{loss}"
    try:
        lines = job.log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return f", {said[-1][:90]}" if said else ""


def _last_row(job: Job) -> dict[str, Any]:
    try:
        lines = (job.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    for line in reversed(lines[-2:]):  # the very last may be half written
        try:
            row = json.loads(line)
        except ValueError:
            continue
        return row if isinstance(row, dict) else {}
    return {}


def clock(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
