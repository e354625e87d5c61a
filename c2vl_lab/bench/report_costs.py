"""What a report's runs took, arm by arm and together, and the command that makes each arm's runs again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from c2vl_lab.bench.attempts import SHARED, Spent, spent, together, watt_hours
from c2vl_lab.bench.estimate import duration
from c2vl_lab.bench.results import Run, listed_row, results_frame

COLUMNS = ("arm", "data set", "runs", "pre-training, s", "evaluation, s", "wall time, s", "energy")


@dataclass(frozen=True)
class Costs:
    """Costs of some runs.

    Attributes:
        rows: one an arm and data set, of :data:`COLUMNS`; means of a run.
        total: all complete runs together.
    """

    rows: list[dict[str, str]]
    total: Spent

    @property
    def sentence(self) -> str:
        """What all took, in one sentence."""
        took = f"{duration(self.total.seconds)} of wall time in sum, energy {self.total.in_words()}"
        return f"All {self.total.runs} complete runs: {took}."


def run_spent(run: Run) -> Spent:
    """What one run took; of a run of before, its pre-training and evaluation."""
    seconds = run.results.get("seconds", {})
    return spent(run.path, sum(float(seconds.get(name, 0.0)) for name in ("pretrain", "evaluate")))


def costs(runs: Sequence[Run]) -> Costs:
    """Costs of the complete runs; fusions of their streams are no runs."""
    own = [run for run in runs if run.status == "complete" and not run.is_fused]
    took = [run_spent(run) for run in own]
    frame = results_frame(own)
    rows: list[dict[str, str]] = []
    for (dataset, label), part in frame.groupby(["dataset", "label"], sort=False) if len(frame) else ():
        arm = together([took[i] for i in part.index])
        pretrain, evaluate = part["pretrain_seconds"].mean(), part["evaluate_seconds"].mean()
        energy = "not known" if arm.energy is None else watt_hours(arm.energy / max(1, arm.counted))
        values = (str(label), str(dataset), str(len(part)), f"{pretrain:.1f}" if pretrain else "–", f"{evaluate:.1f}")
        rows.append(dict(zip(COLUMNS, (*values, f"{arm.seconds / arm.runs:.1f}", energy), strict=True)))
    return Costs(rows, together(took))


def spent_record(own: Spent) -> dict[str, Any]:
    """Costs for ``manifest.json``: wall time in seconds, energy in joules or why it is not known."""
    record: dict[str, Any] = {"wall_seconds": round(own.seconds, 1)}
    record["energy_joules"] = None if own.energy is None else round(own.energy, 1)
    if own.joules:
        record["energy_by_counter"] = {name: round(value, 1) for name, value in own.joules.items()}
        record["energy_counts"] = SHARED
    if own.counted < own.runs:
        why = "; ".join(own.unknown) or "not measured when the runs were made"
        record["energy_not_known"] = f"of {own.runs - own.counted} of {own.runs} runs: {why}"
    return record | {"commits": list(own.commits)}


def row_commands(runs: Sequence[Run], command: str) -> list[tuple[str, str]]:
    """(arm, command) for every arm: the suite's command, that does the runs of this arm alone, all seeds of it.

    Args:
        runs: of a report.
        command: what was typed for the whole suite; nothing is said where it is no ``c2vl bench``.
    """
    words = shlex.split(command)
    if words[:2] != ["c2vl", "bench"] or not runs:
        return []
    base = _without_only(words)
    picks = {run.path: _only_of(run) for run in runs if not run.is_fused}
    by_name = {run.path.name: run.path for run in runs if not run.is_fused}
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        sources = [by_name[name] for name in run.results.get("fused", {}).get("runs", {}).values() if name in by_name]
        each = [picks[path] for path in (sources if run.is_fused else [run.path])]
        if all(own is not None for own in each):
            lines = [shlex.join([*base, *(text for only in own or () for text in ("--only", only))]) for own in each]
            found.setdefault(run.label, {}).update(dict.fromkeys(lines))
    return [(label, "\n".join(lines)) for label, lines in found.items()]


def _without_only(words: list[str]) -> list[str]:
    """A command without its ``--only NAME=VALUE``."""
    kept, skip = [], False
    for word in words:
        if not skip and word != "--only" and not word.startswith("--only="):
            kept.append(word)
        skip = word == "--only"
    return kept


def _only_of(run: Run) -> list[str] | None:
    """What picks a run's arm, by the suite's list; None where that does not say."""
    return listed_row(run).get("only")
