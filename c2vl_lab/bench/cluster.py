"""Do a suite's jobs in a Slurm cluster, through submitit: one array of jobs, each of which does one run.

Jobs and caller meet through files alone: the runs' folders say what is complete, ``cluster/jobs.json`` which Slurm job
does which run. A caller that ends leaves the jobs in the queue, and the same command follows them again. What is in the
queue ``squeue`` says: Slurm's accounting, which submitit's own waiting needs, is not there everywhere.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import only_writer, read_json, write_json
from c2vl_lab.bench.cluster_job import ClusterRun
from c2vl_lab.bench.drive import Plan
from c2vl_lab.bench.notebooks import executed_error
from c2vl_lab.bench.resources import Resources
from c2vl_lab.bench.runner import Outcome
from c2vl_lab.bench.runs import Job, card_on_disk, is_complete
from c2vl_lab.errors import C2VLError, ConfigError, MissingError
from c2vl_lab.logs import read_status

CLUSTERS = ("slurm",)
LOOK = 2.0  # seconds between two questions to the queue
SETTLE = 5.0  # seconds after a job's end until its files are taken for what they are: other machines see them late
CUTS = 5  # times that a run whose job vanished without a word is submitted again
NOTICE = 120  # seconds before a time limit that a run is told of it, to checkpoint
TIMEOUTS = 10_000  # time limits that a run may reach, each time going on
A_DAY = 24.0  # hours; the limit where a suite names none


class Slurm:
    """Submits a plan's jobs and follows them.

    Args:
        plan: of :func:`~c2vl_lab.bench.drive.plan_suite`.
        say: gets the progress lines.

    Raises:
        MissingError: submitit or Slurm's commands are not there.
    """

    def __init__(self, plan: Plan, say: Callable[[str], None]):
        try:
            import submitit  # noqa: F401 - wanted below; said here, before anything is done
        except ImportError as error:
            raise MissingError("--cluster slurm wants submitit: pip install 'c2vl-lab[cluster]'") from error
        absent = [name for name in ("sbatch", "squeue", "scontrol", "srun") if shutil.which(name) is None]
        if absent:
            raise MissingError(
                f"--cluster slurm wants Slurm's commands; {', '.join(absent)} not found. Call it where sbatch works, "
                "on a login node, or leave --cluster out to use this machine."
            )
        self.plan, self.say = plan, say
        self.folder = plan.folder / "cluster"
        self.book = self.folder / "jobs.json"

    def execute(self, jobs: list[Job], single: bool, watch: Callable[[list[Outcome]], None]) -> list[Outcome]:
        """Submit the jobs that are not complete and follow them until all have ended.

        Args:
            jobs: what to execute.
            single: notebooks beside the runs, which need no GPU.
            watch: called every two seconds with the outcomes so far.

        Returns:
            One outcome a job, in the order of ``jobs``.
        """
        ended: dict[str, Outcome] = {}
        for job in jobs:
            if not job.always and is_complete(job):
                ended[job.id] = Outcome(job, "skipped")
                self.say(f"complete already, skipped: {job.id}")
        ids = self._submit([job for job in jobs if job.id not in ended], single)
        try:
            self._follow(jobs, ids, ended, single, watch)
        except KeyboardInterrupt:
            numbers = " ".join(sorted({ids[job.id].split("_")[0] for job in jobs if job.id not in ended}))
            self.say(f"The jobs stay in the queue; the same command follows them again. To end them: scancel {numbers}")
            raise
        return [ended[job.id] for job in jobs]

    def _follow(
        self,
        jobs: list[Job],
        ids: dict[str, str],
        ended: dict[str, Outcome],
        single: bool,
        watch: Callable[[list[Outcome]], None],
    ) -> None:
        """Ask the queue until every job has an outcome; jobs that were cut are submitted again."""
        gone: dict[str, float] = {}
        cuts: Counter[str] = Counter()
        began = time.monotonic()
        while len(ended) < len(jobs):
            watch(list(ended.values()))
            time.sleep(LOOK)
            queue = queued()
            for job in jobs:
                if job.id in ended or queue is None:
                    continue
                if ids[job.id] in queue:
                    gone.pop(job.id, None)
                    continue
                if time.monotonic() - gone.setdefault(job.id, time.monotonic()) < SETTLE:
                    continue
                outcome = self._outcome(job, ids[job.id], cuts[job.id], time.monotonic() - began)
                if outcome is None:
                    cuts[job.id] += 1
                    self.say(f"cut, submitted again ({cuts[job.id]} of {CUTS}): {job.id} (Slurm job {ids[job.id]})")
                    ids |= self._submit([job], single)
                    gone.pop(job.id)
                    continue
                ended[job.id] = outcome
                done = outcome.status == "complete"
                word = f"done: {job.id}" if done else f"FAILED: {job.id}: {outcome.error}"
                self.say(f"[{len(ended)}/{len(jobs)}] {word} (Slurm job {ids[job.id]})")

    def _outcome(self, job: Job, number: str, cuts: int, seconds: float) -> Outcome | None:
        """How a job that left the queue ended; None where it was cut and is to go on."""
        if is_complete(job):
            return Outcome(job, "complete", seconds)
        card = card_on_disk(job)
        if is_complete(replace(job, code=str(card.get("code", "")), training=str(card.get("training", "")))):
            told = "The code has changed since this command began; the same command looks at the results anew."
            return Outcome(job, "failed", seconds, told)
        error = executed_error(job.executed)
        if error and error.startswith("KeyboardInterrupt"):  # the signal that ended the job, no fault of the run
            error = None
        if error and read_status(job.folder).get("state") != "stopped":
            return Outcome(job, "failed", seconds, error)
        if _state(number).startswith("CANCELLED"):
            return Outcome(job, "failed", seconds, f"Slurm job {number} was cancelled; the same command goes on.")
        if cuts >= CUTS:
            log = self.folder / number / f"{number}_0_log.out"
            return Outcome(
                job, "failed", seconds, f"Slurm job {number} ended {cuts + 1} times without a word; see {log}"
            )
        return None

    def _submit(self, jobs: list[Job], single: bool) -> dict[str, str]:
        """Slurm's number of every job; those that are in the queue already, submitted by whomever, are left there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with only_writer(self.book):
            book: dict[str, str] = _read(self.book)
            queue = queued() or set()
            todo = [job for job in jobs if book.get(job.id) not in queue]
            for job in jobs:
                if job not in todo:
                    self.say(f"in the queue already: {job.id} (Slurm job {book[job.id]})")
            if todo:
                book |= self._array(todo, single)
                write_json(self.book, book)
        return {job.id: book[job.id] for job in jobs}

    def _array(self, jobs: list[Job], single: bool) -> dict[str, str]:
        """Submit jobs as one array."""
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        options, resources = self.plan.options, self.plan.resources
        if single:
            resources = replace(resources, devices=0, gpu_memory=0.0)
        run = ClusterRun(resources, options.device, 0 if single else options.retries)
        try:
            executor = submitit.SlurmExecutor(folder=self.folder / "%j", max_num_timeout=TIMEOUTS)
            executor.update_parameters(job_name=f"c2vl-{self.plan.suite.name}", **sbatch_options(resources))
            found = executor.map_array(run, jobs)
        except (FailedJobError, FailedSubmissionError, ValueError, OSError) as error:
            raise C2VLError(f"sbatch refused the runs: {' '.join(str(error).split())[:600]}") from error
        numbers = {job.id: str(own.job_id) for job, own in zip(jobs, found, strict=True)}
        first = found[0].job_id.split("_")[0]
        self.say(f"submitted as Slurm job {first}: {', '.join(numbers)}")
        return numbers


def sbatch_options(resources: Resources) -> dict[str, Any]:
    """Resources in the words of submitit's Slurm executor.

    Raises:
        ConfigError: a time limit under a minute.
    """
    minutes = math.ceil(60 * (resources.hours or A_DAY) - 1e-9)
    if minutes < 1:
        raise ConfigError(f"Slurm's time limits begin at a minute; found {60 * resources.hours:g} of one.")
    found: dict[str, Any] = {"time": minutes, "signal_delay_s": min(NOTICE, int(0.8 * 60 * minutes))}
    found["array_parallelism"] = resources.at_once or 1000
    if resources.devices:
        found["gpus_per_node"] = resources.devices
    if resources.cpus:  # srun does not take it from sbatch since 22.05
        found |= {"cpus_per_task": resources.cpus, "srun_args": [f"--cpus-per-task={resources.cpus}"]}
    if resources.memory:
        found["mem"] = f"{math.ceil(1024 * resources.memory)}M"
    if resources.partition:
        found["partition"] = resources.partition
    return found | ({"additional_parameters": dict(resources.sbatch)} if resources.sbatch else {})


def queued() -> set[str] | None:
    """Numbers of this user's jobs that wait or run, those of arrays as ``12_3``; None where Slurm does not answer."""
    answer = _ask("squeue", "--me", "--noheader", "--array", "--format=%i")
    return None if answer is None else set(answer.split())


def _state(number: str) -> str:
    """What Slurm says of a job that has ended, as long as it remembers; else empty."""
    found = re.search(r"JobState=(\S+)", _ask("scontrol", "--oneliner", "show", "job", number) or "")
    return found[1] if found else ""


def _ask(*command: str) -> str | None:
    """A command's answer; None where it fails or is silent for too long."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout if answer.returncode == 0 else None


def _read(path: Path) -> dict[str, str]:
    try:
        return {str(name): str(number) for name, number in read_json(path).items()}
    except (OSError, C2VLError, AttributeError):
        return {}
