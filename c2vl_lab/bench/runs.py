"""A run's folder: what it holds, whether it is complete, and the lock that keeps two callers apart.

A run is complete when its results are there, its notebook ended without an error, and its card (``run.json``) names
the same parameters, code and data as are wanted now. Everything else is done again, from its last checkpoint where
code and data are still the same.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import read_json, write_json
from c2vl_lab.bench.locks import LEASE_FILE, LOCK, FolderLock, take_folder
from c2vl_lab.bench.notebooks import executed_error, is_finished
from c2vl_lab.bench.suite import PROTOCOLS, shapes_run
from c2vl_lab.errors import C2VLError

# files of which a kill may leave the half that was to be renamed
HALVES = (
    "run.json.",
    "made.json.",
    "parameters.json.",
    "results.json.",
    "config.json.",
    "predictions",
    "features",
    "lease-",
)
MEASURED = ("results.json", "predictions.parquet", "features.npy")  # what a run's evaluation leaves


@dataclass(frozen=True)
class Job:
    """One notebook to execute, and where.

    Attributes:
        id: name of the job, also the name of its folder.
        label: what it is, in words.
        notebook: file of the notebook.
        parameters: everything the notebook is given.
        folder: executed.ipynb, log.txt, run.json and what the notebook itself writes.
        result: file in the folder that the notebook must leave; empty for notebooks that only show.
        code: fingerprint of the code that the notebook uses.
        training: fingerprint of the part of it that trains; a checkpoint lives as long as this stays the same.
        data: fingerprint of the data that it reads.
        always: done again even where it is complete, because it shows what other jobs have made.
        devices: GPUs, or processes on the processor, that train it together.
    """

    id: str
    label: str
    notebook: Path
    parameters: dict[str, Any]
    folder: Path
    result: str = ""
    code: str = ""
    data: str = ""
    training: str = ""
    always: bool = False
    devices: int = 1

    @property
    def executed(self) -> Path:
        return self.folder / "executed.ipynb"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def card(self) -> dict[str, Any]:
        """What ``run.json`` says of a run done now."""
        plain = {name: value for name, value in self.parameters.items() if shapes_run(name)}
        more: dict[str, Any] = {"training": self.training, PROTOCOLS: self.parameters.get(PROTOCOLS, "")}
        more["devices"] = self.devices if self.devices > 1 else 0
        card = {"id": self.id, "label": self.label, "parameters": plain, "code": self.code, "data": self.data}
        return card | {name: value for name, value in more.items() if value}


def is_complete(job: Job) -> bool:
    """Whether the results are there, made from the same parameters, code and data, with the protocols asked for."""
    if job.result and not (job.folder / job.result).is_file():
        return False
    old = card_on_disk(job)
    return is_same(job, old) and _is_measured(job, old) and is_finished(job.executed)


def is_same(job: Job, old: dict[str, Any]) -> bool:
    """Whether a folder's card names the parameters, code and data that are wanted now."""
    return all(old.get(key) == job.card[key] for key in ("parameters", "code", "data"))


def is_trained(job: Job, old: dict[str, Any]) -> bool:
    """Whether what was trained in the folder is still what would be trained now."""
    return bool(job.training) and all(old.get(key) == job.card[key] for key in ("parameters", "training", "data"))


def _is_measured(job: Job, old: dict[str, Any]) -> bool:
    """Whether every protocol that is asked for was asked for when the results were made, or has been measured since."""
    wanted, known = (_names(own.get(PROTOCOLS, "")) for own in (job.card, old))
    if wanted <= known:
        return True
    return wanted <= known | set(read_json(job.folder / job.result).get("protocols", {})) if job.result else False


def _names(text: str) -> set[str]:
    return {name.strip() for name in text.split(",") if name.strip()}


def begin(job: Job) -> None:
    """Make the folder ready: the executed notebook goes; checkpoint and results stay if code and data are the same.

    What was measured is then not measured again where only more protocols are asked for. Where only code that measures
    has changed, results go and the checkpoint stays.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    old = card_on_disk(job)
    gone = [job.executed, job.log]
    if old and is_trained(job, old):
        gone += [] if is_same(job, old) else [job.folder / name for name in MEASURED]
    elif old and not is_same(job, old):
        gone = [path for path in job.folder.iterdir() if path.name not in (LOCK, LEASE_FILE)]
    gone += [path for name in HALVES for path in job.folder.glob(f".{name}*")]
    for path in gone:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    write_json(job.folder / "run.json", job.card)
    write_json(job.folder / "parameters.json", job.parameters)


def keep_failed(job: Job, number: int) -> None:
    """Keep what a failed attempt left, before the next one: ``failed-1.ipynb`` and ``failed-1.txt``."""
    for path, ending in ((job.executed, "ipynb"), (job.log, "txt")):
        if path.is_file():
            path.replace(job.folder / f"failed-{number}.{ending}")


def failure(job: Job, code: int) -> str:
    """One sentence: why a job that ended with exit status ``code`` is not complete."""
    reason = executed_error(job.executed)
    if reason:
        return reason
    if code < 0:
        return f"It was ended by signal {-code}" + (" (out of memory?)." if code == -9 else ".")
    lines = job.log.read_text(encoding="utf-8", errors="replace").split("\n") if job.log.is_file() else []
    last = [line.strip() for line in lines if line.strip()]
    if code == 0:
        return f"It ended without leaving {job.result or 'a finished notebook'}."
    return last[-1] if last else f"It ended with exit status {code} and wrote nothing."


def take_lock(job: Job) -> FolderLock | None:
    """The lock of the job's folder, or None while another caller has it (:mod:`~c2vl_lab.bench.locks`).

    The job's process inherits it: it stays taken as long as either lives.
    """
    return take_folder(job.folder)


def card_on_disk(job: Job) -> dict[str, Any]:
    """What ``run.json`` in the job's folder says; nothing where there is none."""
    try:
        card = read_json(job.folder / "run.json")
    except (OSError, C2VLError):
        return {}
    return card if isinstance(card, dict) else {}
