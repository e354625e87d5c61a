"""``suite.json``: which runs a suite has and how each stands, for the report and for whoever watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2vl_lab.artifacts import write_json
from c2vl_lab.bench.notebooks import notebook_parameters
from c2vl_lab.bench.runs import Job, card_on_disk, is_complete
from c2vl_lab.bench.suite import expand, picks
from c2vl_lab.logs import METRICS

if TYPE_CHECKING:
    from c2vl_lab.bench.drive import Plan
    from c2vl_lab.bench.runner import Outcome

STEP = ("batch_size", "accumulate", "micro_batch")


def _main(plan: Plan) -> str:
    """Label of the arm that the suite shows, which the report sets against every other; empty where none is named."""
    wanted = plan.suite.shown.items()
    fit = (job for job in plan.all_runs if all(job.parameters.get(name) == value for name, value in wanted))
    return next((job.label for job in fit), "") if wanted else ""


def _step(job: Job) -> dict[str, Any]:
    """What a step of a run's training saw: ``batch_size`` counts the clips of all devices; empty without training."""
    if not (job.folder / METRICS).is_file():
        return {}
    about = notebook_parameters(job.notebook)
    values = {name: job.parameters.get(name, about[name]["default"]) for name in STEP if name in about}
    devices = card_on_disk(job).get("devices", 1)  # with which it was done last, whatever is asked for now
    return {"step": {name: int(value) for name, value in values.items()} | {"devices": devices}}


def write_list(plan: Plan, outcomes: list[Outcome]) -> None:
    """``suite.json`` in the runs' folder: every run of the grid and how it stands, for the report and for watchers."""
    ended = {outcome.job.id: outcome for outcome in outcomes}
    rows = []
    specs = expand(plan.suite, plan.preset)
    only = {spec.id: picks(specs, spec) for spec in specs}
    for job in plan.all_runs:
        outcome = ended.get(job.id)
        complete = outcome.status in ("complete", "skipped") if outcome else is_complete(job)
        status = "complete" if complete else outcome.status if outcome else "not run"
        error = outcome.error if outcome else ""
        rows.append({"id": job.id, "label": job.label, "parameters": job.card["parameters"], "status": status})
        rows[-1] |= {"error": error, "executed": job.executed.relative_to(plan.folder).as_posix()}
        rows[-1] |= {"only": list(only[job.id])}
        rows[-1] |= _step(job)
    looks = [{"id": job.id, "executed": f"{job.id}/executed.ipynb"} for job in [*plan.before, *plan.after]]
    card = {"format": 1, "suite": plan.suite.name, "title": plan.suite.title, "preset": plan.preset}
    card |= {"command": plan.options.command, "main": _main(plan), "runs": rows, "notebooks": looks}
    write_json(plan.folder / "suite.json", card)
