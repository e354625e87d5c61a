"""How every job of a plan stands, from its files alone: what is complete, what is missing, what is stale and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from c2vl_lab.bench.locks import is_taken
from c2vl_lab.bench.notebooks import executed_error
from c2vl_lab.bench.runs import Job, card_on_disk, is_complete, is_same, is_trained
from c2vl_lab.logs import read_status

STATES = {
    "complete": "nothing to do",
    "running": "a process works on it now",
    "unfinished": "cut; it goes on from its last checkpoint",
    "stale": "made of other parameters, code or data; it is done again",
    "failed": "it ended with an error; it is tried again",
    "to do": "never begun",
}


@dataclass(frozen=True)
class State:
    """How a job stands.

    Attributes:
        name: one of :data:`STATES`.
        why: what is known besides, in a few words.
        done: share of its training that is done, 0 to 1.
    """

    name: str
    why: str = ""
    done: float = 0.0


def state_of(job: Job) -> State:
    """How a job stands now, seen from its folder; nothing is changed there."""
    if not job.always and is_complete(job):
        return State("complete", done=1.0)
    status = read_status(job.folder)
    epochs = status.get("epochs") or 0
    done = min(1.0, (status.get("epoch") or 0) / epochs) if epochs else 0.0
    how_far = f"epoch {status.get('epoch')} of {epochs}" if epochs else ""
    if is_taken(job.folder):
        return State("running", how_far, done)
    if job.always:
        return State("to do", "done again every time")
    old = card_on_disk(job)
    if not old:
        return State("to do")
    if not is_same(job, old):
        return State("stale", "; ".join(differences(old, job.card)), done if is_trained(job, old) else 0.0)
    error = executed_error(job.executed)
    if error and status.get("state") != "stopped":  # asked to stop is no failure
        return State("failed", error, done)
    if job.result and (job.folder / job.result).is_file():
        return State("unfinished", "trained; it is measured again, or by more protocols", 1.0)
    return State("unfinished", how_far, done) if how_far else State("to do", "begun, nothing kept")


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """In which respects a run on disk is not the one that is wanted, in words; empty: in none.

    Args:
        old: the card in the run's folder.
        new: the card of the job.
    """
    found = []
    before, now = old.get("parameters", {}), new["parameters"]
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if names:
        first = [f"{name} {before.get(name, 'none')} -> {now.get(name, 'none')}" for name in names[:3]]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        found.append(f"other parameters: {', '.join(first)}{more}")
    if old.get("code") != new["code"]:
        same = new.get("training") and old.get("training") == new["training"]
        found.append("other code that measures; its training stays" if same else "other code")
    if old.get("data") != new["data"]:
        found.append("other data, captions, pictures or teacher")
    return found
