"""What this machine has for a suite's runs: how many at once, with how many threads, on which GPUs, of which commit."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import c2vl_lab
from c2vl_lab.bench.resources import Resources
from c2vl_lab.errors import ConfigError

QUERY = ["nvidia-smi", "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits"]
GB = 1024  # of nvidia-smi's MiB


@dataclass(frozen=True)
class Machine:
    """How many jobs run at once and what each may use.

    Attributes:
        workers: jobs at once.
        threads: CPU threads a job.
        gpus: places on the GPUs that are handed out to the jobs, each a value of ``CUDA_VISIBLE_DEVICES``: "0", or
            "0,1" where a job has two; the same more than once where jobs share it. Empty without GPUs; ``("",)`` hides
            them.
    """

    workers: int
    threads: int
    gpus: tuple[str, ...] = ()

    def place(self, busy: list[str | None]) -> str | None:
        """The place for one more job beside those on the ``busy`` ones: where the least of what it holds is taken."""
        return min(dict.fromkeys(self.gpus), key=lambda gpu: busy.count(gpu) / self.gpus.count(gpu), default=None)

    def in_words(self) -> str:
        """``GPU 0, 1``, ``GPUs 0,1 together``, or the threads."""
        if not any(self.gpus):
            return f"CPU, {self.threads} threads each"
        each = [f"{gpu} together" if "," in gpu else gpu for gpu in dict.fromkeys(self.gpus)]
        shared = max(map(self.gpus.count, self.gpus))
        return f"GPU {', '.join(each)}" + (f", up to {shared} runs on one" if shared > 1 else "")


def this_machine(workers: int = 0, device: str = "auto", resources: Resources | None = None) -> Machine:
    """Workers, threads and GPUs for this machine: a job for each place on a GPU, or for each core where there is none.

    Args:
        workers: jobs at once; 0 means as many as the machine has places or cores.
        device: "cpu" leaves the GPUs alone.
        resources: of a run.

    Raises:
        ConfigError: a run wants more GPUs than there are.
    """
    wanted = resources or Resources()
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    on_gpus = device != "cpu" and wanted.devices > 0
    gpus = _places(_free_memory(), wanted) if on_gpus else () if wanted.devices else ("",)
    if on_gpus and wanted.devices > 1 and not gpus:
        raise ConfigError(
            f"A run of this suite wants {wanted.devices} GPUs; this machine has {len(_free_memory())} for it. Say "
            "--gpus 1 (or fewer), or --device cpu for as many processes on the processor."
        )
    each = wanted.cpus or (wanted.devices if device == "cpu" else 1) or 1
    workers = workers if workers > 0 else len(gpus) if any(gpus) else max(1, cores // each)
    return Machine(workers=workers, threads=max(1, wanted.cpus or cores // workers), gpus=gpus)


def _places(memory: dict[str, float], wanted: Resources) -> tuple[str, ...]:
    """The places of GPUs with so much free memory (GB; 0: unknown)."""
    if wanted.devices > 1:
        ids = list(memory)
        groups = [ids[i : i + wanted.devices] for i in range(0, len(ids), wanted.devices)]
        return tuple(",".join(group) for group in groups if len(group) == wanted.devices)
    need = wanted.gpu_memory
    room = {gpu: max(1, int(free / need)) if need and free else 1 for gpu, free in memory.items()}
    rounds = range(max(room.values(), default=0))
    return tuple(gpu for turn in rounds for gpu in memory if room[gpu] > turn)


def _free_memory() -> dict[str, float]:
    """The visible NVIDIA GPUs with their free memory in GB, 0 where it is not known.

    The driver's own tool is asked, so that torch need not be loaded here.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    known: dict[str, float] = {}
    ids: list[str] = []
    if shutil.which(QUERY[0]) is not None:
        answer = subprocess.run(QUERY, capture_output=True, text=True, check=False)
        rows = [line.split(",") for line in answer.stdout.splitlines()] if answer.returncode == 0 else []
        for index, uuid, free in (map(str.strip, row) for row in rows if len(row) == 3):
            known[index] = known[uuid] = float(free) / GB if free.replace(".", "").isdigit() else 0.0
            ids.append(index)
    if visible is not None:
        ids = [part.strip() for part in visible.split(",") if part.strip() not in ("", "-1")]
    return {gpu: known.get(gpu, 0.0) for gpu in ids}


def git_commit() -> str:
    """The commit of the package's checkout, with a remark where files were changed since; empty without git."""
    folder = Path(c2vl_lab.__file__).parent
    try:
        head = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=10
        )
        changed = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no", "--", "."],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if head.returncode != 0:
        return ""
    return head.stdout.strip() + (" with uncommitted changes" if changed.stdout.strip() else "")
