"""How long what is left of a suite will take, by what earlier runs took."""

from __future__ import annotations

import ast
import contextlib
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from c2vl_lab.artifacts import read_json
from c2vl_lab.bench.notebooks import notebook_parameters
from c2vl_lab.bench.runs import Job
from c2vl_lab.bench.states import State
from c2vl_lab.bench.suite import shapes_run
from c2vl_lab.data.protocols import RULES
from c2vl_lab.errors import C2VLError

# what a training step costs, beside the set's size and the number of epochs
COST = ("arm", "encoder", "width", "frames", "batch_size", "precision", "micro_batch", "modalities", "stream")
SAME_SET = (*COST, "dataset", "protocol", "pretrain_on")


@dataclass(frozen=True)
class Earlier:
    """A run that has been done: what it was, and what it took.

    Attributes:
        parameters: its settings.
        clips: of its training part, and of both parts.
        training, measuring: seconds.
        gpu: whether it was done on one.
    """

    parameters: dict[str, Any]
    clips: tuple[int, int]
    training: float
    measuring: float
    gpu: bool


def earlier_runs(work_dir: str | Path) -> list[Earlier]:
    """Every finished run below ``work_dir/runs``; files that cannot be read are passed over."""
    found = []
    for path in sorted((Path(work_dir) / "runs").glob("**/results.json")):
        try:
            result = read_json(path)
            split, seconds = result["split"], result["seconds"]
            clips = (int(split["train"]), int(split["train"]) + int(split["test"]))
            times = (float(seconds["pretrain"]), float(seconds["evaluate"]))
            found.append(Earlier(dict(result["config"]), clips, *times, not str(result["device"]).startswith("CPU")))
        except (OSError, C2VLError, KeyError, TypeError, ValueError):
            continue
    return found


def seconds_for(job: Job, state: State, known: list[Earlier], gpu: bool) -> float | None:
    """Seconds that a job still takes, or None where no earlier run is like it.

    By runs of the same settings but the seed; else by those of the same set, arm and encoder, their training scaled by
    the epochs; else by those of the same arm and encoder on other sets, scaled by the published number of clips too.

    Args:
        job: a run of a suite.
        state: how it stands; what is trained is not counted again.
        known: of :func:`earlier_runs`.
        gpu: whether it will be on one; runs on the other kind of device say nothing.
    """
    own = _filled(job)
    like = [run for run in known if run.gpu == gpu]
    names = [name for name in job.parameters if shapes_run(name) and name != "seed"]
    for wanted in (names, SAME_SET, COST):
        fit = [run for run in like if all(run.parameters.get(name) == own.get(name) for name in wanted)]
        scaled = [_scaled(run, own, by_clips=wanted is COST) for run in fit]
        times = [pair for pair in scaled if pair is not None]
        if times:
            return (1 - state.done) * fmean(t for t, _ in times) + fmean(m for _, m in times)
    return None


def _filled(job: Job) -> dict[str, Any]:
    """All of a job's parameters, those too that the notebook's own values decide."""
    usual = {}
    for name, about in notebook_parameters(job.notebook).items():
        with contextlib.suppress(ValueError, SyntaxError):
            usual[name] = ast.literal_eval(str(about["default"]))
    return usual | job.parameters


def _scaled(run: Earlier, own: dict[str, Any], by_clips: bool) -> tuple[float, float] | None:
    """An earlier run's seconds of training and of measuring, at the job's number of epochs (and of clips)."""
    epochs = float(own.get("epochs", 1)) / float(run.parameters.get("epochs") or 1)
    if not by_clips:
        return epochs * run.training, run.measuring
    rule = RULES.get(str(own.get("dataset")), {}).get(str(own.get("protocol")))
    if rule is None or not rule.counts[0] or own.get("pretrain_on") or not all(run.clips):
        return None
    train, both = rule.counts[0] / run.clips[0], sum(rule.counts) / run.clips[1]
    return epochs * train * run.training, both * run.measuring


def in_words(seconds: list[float | None], at_once: int) -> str:
    """An estimate for people: ``about 2.5 h at 2 at once, by earlier runs; of 3 runs nothing is known``.

    Args:
        seconds: of every run that is to be done.
        at_once: how many run at once.
    """
    known = [value for value in seconds if value is not None]
    if not known:
        return "no earlier run tells how long" if seconds else ""
    total = max(sum(known) / at_once, max(known))
    unknown = len(seconds) - len(known)
    rest = f"; of {unknown} of them nothing is known" if unknown else ""
    return f"about {duration(total)} at {at_once} at once, by what earlier runs took{rest}"


def duration(seconds: float) -> str:
    """Seconds as people say them: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    for unit, size, until in (("s", 1, 90), ("min", 60, 5400), ("h", 3600, 48 * 3600)):
        if seconds < until:
            value = seconds / size
            return f"{value:.1f} {unit}" if unit == "h" else f"{value:.0f} {unit}"
    return f"{seconds / 86400:.1f} days"
