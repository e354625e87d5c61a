"""Run jobs side by side, one process each, and tell all the while how far they are.

Notebooks are executed in processes of their own: a kernel's memory is given back when it ends, each run can have its
own GPU, and a crash takes nothing else with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from c2vl_lab.bench.attempts import Attempt
from c2vl_lab.bench.energy import Meter, this_meter
from c2vl_lab.bench.locks import FolderLock
from c2vl_lab.bench.machine import Machine
from c2vl_lab.bench.progress import clock, last_word
from c2vl_lab.bench.runs import Job, begin, failure, is_complete, keep_failed, take_lock
from c2vl_lab.logs import STOP, read_status

COMMAND = (sys.executable, "-m", "c2vl_lab.cli")
HEARTBEAT = 10.0  # seconds without a line on the screen
POLL = 0.2
LOOK = 2.0  # seconds between two looks at a job that another caller has
COUNT = 5.0  # seconds between two looks at the energy counters, which wrap around after minutes
ORDER = 30.0  # seconds that training has for its checkpoint
PATIENCE = 10.0  # seconds that a process has to end by itself


@dataclass(frozen=True)
class Outcome:
    """How a job ended: ``complete``, ``skipped`` (it was complete before) or ``failed``."""

    job: Job
    status: str
    seconds: float = 0.0
    error: str = ""


@dataclass
class Tally:
    """How far a whole command is, over several calls of :func:`run_jobs`."""

    total: int
    done: int = 0
    begun: float = field(default_factory=time.monotonic)


class _Running:
    """A job's process, its lock and its clock. Where several devices train, they do so in a process before."""

    def __init__(self, job: Job, lock: FolderLock, machine: Machine, gpu: str | None, meter: Meter):
        self.job, self.lock, self.gpu, self.started = job, lock, gpu, time.monotonic()
        begin(job)
        self.attempt = Attempt(job.folder, meter.unknown)
        threads = str(max(1, machine.threads // (job.devices if not gpu else 1)))
        self.environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        self.environment |= {"NUMBA_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
        if gpu is not None:
            self.environment["CUDA_VISIBLE_DEVICES"] = gpu
        self.commands = _commands(job)
        self.next()

    def next(self) -> bool:
        """Start the next command, if there is one."""
        if not self.commands:
            return False
        with open(self.job.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *self.commands.pop(0)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                pass_fds=(self.lock.fileno(),),
                start_new_session=True,  # Ctrl-C reaches the runner only, which ends its jobs in order
            )
        return True

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it may just have ended by itself
            os.killpg(self.process.pid, number)

    def ask_to_stop(self) -> bool:
        """Ask a job that trains for a checkpoint and an end; False where it does not train."""
        if read_status(self.job.folder).get("state") != "running":
            return False
        with contextlib.suppress(OSError):
            (self.job.folder / STOP).touch()
        return True

    def ended_within(self, seconds: float) -> bool:
        """Wait for the process to end."""
        try:
            self.process.wait(timeout=max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.lock.beat()
            return False
        return True


def _commands(job: Job) -> list[list[str]]:
    """What ``c2vl`` is called with for a job, one after the other."""
    given = ["--parameters", str(job.folder / "parameters.json")]
    notebook = ["run", str(job.notebook), "--output", str(job.executed), *given]
    if job.devices < 2:
        return [notebook]
    return [["pretrain", "--run-dir", str(job.folder), "--devices", str(job.devices), *given], notebook]


def run_jobs(
    jobs: list[Job],
    machine: Machine,
    say: Callable[[str], None],
    tally: Tally | None = None,
    retries: int = 0,
    watch: Callable[[list[Outcome]], None] = lambda ended: None,
) -> list[Outcome]:
    """Execute jobs in a bounded pool of processes; complete ones are skipped, failed ones do not stop the rest.

    A job that another caller is executing is left to it and looked at again when it has ended. When this function is
    interrupted, its processes are ended first, those that train with a checkpoint (a second interrupt ends them at
    once); the next call goes on from what they left.

    Args:
        jobs: what to execute, in order.
        machine: how many at once.
        say: gets a line whenever a job begins or ends, and at least every ten seconds.
        tally: counts jobs and time where these are some of more.
        retries: how many times a job that failed is tried again; what it left is kept as ``failed-1.ipynb``.
        watch: called several times a second with the outcomes so far.

    Returns:
        One outcome a job, in the order of ``jobs``.
    """
    pool = _Pool(jobs, machine, say, tally or Tally(len(jobs)), retries)
    try:
        while pool.waiting or pool.running:
            pool.start()
            pool.collect()
            pool.count(COUNT)
            pool.heartbeat()
            watch(list(pool.outcomes.values()))
            time.sleep(POLL)
    finally:
        pool.stop()
    return [pool.outcomes[job.id] for job in jobs]


class _Pool:
    """The state of one ``run_jobs`` call."""

    def __init__(self, jobs: list[Job], machine: Machine, say: Callable[[str], None], tally: Tally, retries: int):
        self.machine, self.tell, self.tally, self.retries = machine, say, tally, retries
        self.waiting = deque(jobs)
        self.running: list[_Running] = []
        self.elsewhere: dict[str, float] = {}  # when each was last looked at
        self.tried: Counter[str] = Counter()
        self.outcomes: dict[str, Outcome] = {}
        self.spoke = self.counted = time.monotonic()
        self.meter = this_meter(sorted({gpu for place in machine.gpus for gpu in place.split(",") if gpu}))

    def say(self, line: str) -> None:
        self.spoke = time.monotonic()
        self.tell(f"[{self.tally.done}/{self.tally.total}, {clock(self.spoke - self.tally.begun)}] {line}")

    def start(self) -> None:
        """Fill the free places; a job that another caller holds goes to the end of the queue."""
        for _ in range(len(self.waiting)):
            if len(self.running) >= self.machine.workers:
                return
            job = self.waiting.popleft()
            known, now = job.id in self.elsewhere, time.monotonic()
            lock = None if known and now - self.elsewhere[job.id] < LOOK else take_lock(job)
            if lock is None:
                self.waiting.append(job)
                if not known or now - self.elsewhere[job.id] >= LOOK:
                    self.elsewhere[job.id] = now
                if not known:
                    self.say(f"elsewhere: {job.id} is being run by another process; its result will be used")
                continue
            if not job.always and is_complete(job):
                lock.close()
                self._end(Outcome(job, "skipped"), f"complete already, skipped: {job.id}")
                continue
            gpu = self.machine.place([run.gpu for run in self.running])
            self.count()
            self.running.append(_Running(job, lock, self.machine, gpu, self.meter))
            self.say(f"started: {job.id} ({job.label})")

    def collect(self) -> None:
        """Take note of the processes that have ended."""
        for run in list(self.running):
            run.lock.beat()
            code = run.process.poll()
            if code is None or (code == 0 and run.next()):
                continue
            self.count()
            run.attempt.write()
            self.running.remove(run)
            took = clock(run.seconds)
            if code == 0 and is_complete(run.job):
                run.lock.close()
                self._end(Outcome(run.job, "complete", run.seconds), f"done in {took}: {run.job.id}")
                continue
            error = failure(run.job, code)
            if self.tried[run.job.id] < self.retries and read_status(run.job.folder).get("state") != "stopped":
                self.tried[run.job.id] += 1
                keep_failed(run.job, self.tried[run.job.id])
                run.lock.close()
                self.waiting.append(run.job)
                self.say(f"failed, tried again ({self.tried[run.job.id]} of {self.retries}): {run.job.id}: {error}")
                continue
            run.lock.close()
            kept = run.job.executed if run.job.executed.is_file() else run.job.log
            self._end(Outcome(run.job, "failed", run.seconds, error), f"FAILED: {run.job.id}: {error} See {kept}")

    def count(self, every: float = 0.0) -> None:
        """Charge the running jobs with the energy used since the last time, if that is ``every`` seconds ago."""
        if time.monotonic() - self.counted < every:
            return
        self.counted = time.monotonic()
        charged = self.meter.shares({run.job.id: (run.gpu or "").split(",") for run in self.running})
        for run in self.running:
            run.attempt.add(charged[run.job.id])

    def _end(self, outcome: Outcome, line: str) -> None:
        self.outcomes[outcome.job.id] = outcome
        self.tally.done += 1
        self.say(line)

    def heartbeat(self) -> None:
        """A line about the running jobs when nothing else was said for a while."""
        if time.monotonic() - self.spoke >= HEARTBEAT:
            now = [f"{run.job.id} {clock(run.seconds)}{last_word(run.job)}" for run in self.running]
            now += [f"waiting for another process: {job.id}" for job in self.waiting if job.id in self.elsewhere]
            self.say("running: " + "; ".join(now))

    def stop(self) -> None:
        """End what still runs: training is asked for a checkpoint, then all are told to end, then killed."""
        try:
            self.count()
            asked = [run for run in self.running if run.ask_to_stop()]
            if asked:
                self.say(f"stopping; a checkpoint comes first: {', '.join(run.job.id for run in asked)}")
            _wait_for(asked, ORDER)
            for run in self.running:
                run.signal(signal.SIGTERM)
            _wait_for(self.running, PATIENCE)
        finally:
            for run in self.running:
                if run.process.poll() is None:
                    run.signal(signal.SIGKILL)
                    run.process.wait()
                (run.job.folder / STOP).unlink(missing_ok=True)
                run.attempt.write()
                run.lock.close()


def _wait_for(runs: list[_Running], seconds: float) -> None:
    """Wait until all have ended, or time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not all(run.ended_within(POLL) for run in runs):
        pass
