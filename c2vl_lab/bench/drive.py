"""Drive a suite from its file to its report: look at data and prompts, do the runs, draw the map, write the page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from c2vl_lab.bench.estimate import earlier_runs, in_words, seconds_for
from c2vl_lab.bench.fingerprints import NO_TRAINING, code_fingerprint, data_fingerprint
from c2vl_lab.bench.machine import this_machine
from c2vl_lab.bench.notebooks import check_parameters, find_notebook, notebook_parameters
from c2vl_lab.bench.progress import clock
from c2vl_lab.bench.resources import Resources, resources_of, with_changes
from c2vl_lab.bench.runner import Outcome, Tally, run_jobs
from c2vl_lab.bench.runs import Job, card_on_disk, is_complete
from c2vl_lab.bench.states import STATES, state_of
from c2vl_lab.bench.suite import RunSpec, Suite, check_wants, expand, preset_name, with_settings
from c2vl_lab.bench.suite_list import write_list
from c2vl_lab.errors import ConfigError, MissingError

Say = Callable[[str], None]
# (jobs, whether they are notebooks beside the runs, what hears of the outcomes) -> an outcome each
Execute = Callable[[list[Job], bool, Callable[[list[Outcome]], None]], list[Outcome]]
UNSEEN = "not looked at"  # the data of a job, where nobody said where they are


@dataclass(frozen=True)
class BenchOptions:
    """What a command adds to a suite.

    Attributes:
        data_dir: folder of the published files.
        preset: the suite's preset; empty means its first.
        only: ``name=value`` texts that pick some of the runs.
        settings: ``name=value`` texts that set a parameter of all runs: ``dataset=work/stores/mine``.
        workers: runs at once; 0 means one a GPU, or one a core.
        device: "auto", "cpu" or "cuda".
        work_dir: stores, caches and runs.
        reports_dir: the report goes to ``reports_dir/<suite>-<preset>``.
        command: what the report names as the command that made it.
        retries: how many times a run that failed is tried again.
        resources: fields of :class:`~c2vl_lab.bench.resources.Resources` that win over the suite's.
        dry_run: the plan is for looking at: without a ``data_dir`` the published files are not looked at.
    """

    data_dir: str = ""
    preset: str = ""
    only: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    workers: int = 0
    device: str = "auto"
    work_dir: str = "work"
    reports_dir: str = "reports"
    command: str = ""
    retries: int = 0
    resources: dict[str, Any] = field(default_factory=dict)
    dry_run: bool = False


@dataclass(frozen=True)
class Plan:
    """A suite with its options, expanded: every job, nothing started.

    Attributes:
        folder: the folder of all runs of this suite and preset.
        report: the page that the last notebook writes.
        runs: the runs of the grid that were asked for.
        all_runs: every run of the grid, for the report's list.
        before, after: notebooks ahead of the runs and behind them.
        left_out: sentences about notebooks that are not executed.
        resources: what a run may use.
        blind: whether jobs were planned without a look at the published files; what they left counts as made of them.
    """

    suite: Suite
    options: BenchOptions
    preset: str
    folder: Path
    report: Path
    runs: list[Job]
    all_runs: list[Job]
    before: list[Job] = field(default_factory=list)
    after: list[Job] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    resources: Resources = field(default_factory=Resources)
    blind: bool = False


def plan_suite(suite: Suite, options: BenchOptions) -> Plan:
    """Expand a suite and check its names and files before anything is started.

    Checked are: preset, parameters and their types, ``only`` and ``settings``; that notebooks, published data files,
    captions file, teacher file and pictures are there; that zips are complete. What single files hold is seen when
    they are read.

    Raises:
        ConfigError: an unknown preset, parameter, ``only``, data set, teacher or kind of pictures, or no data set.
        MissingError: a notebook, the data or a file that a parameter names is not there.
        DataError: an archive is cut or damaged.
    """
    notebook = find_notebook(suite.notebook)
    settings = _pairs(options.settings)
    recipe = {name: settings.pop(name) for name in ("recipe",) if name in settings}  # no notebook's parameter
    suite = with_settings(suite, check_parameters(notebook, settings) | recipe)
    if not suite.dataset:
        raise ConfigError(f"Suite {suite.name} wants your own store: --set dataset=work/stores/mine")
    preset = preset_name(suite, options.preset)
    check_wants(suite, preset)
    folder = Path(options.work_dir) / "runs" / suite.name / preset
    report = Path(options.reports_dir) / f"{suite.name}-{preset}"
    specs, chosen = expand(suite, preset), {spec.id for spec in expand(suite, preset, options.only)}
    places = {"work_dir": options.work_dir, "data_dir": options.data_dir, "device": options.device}
    resources = resources_of(suite.resources, tuple(suite.presets), preset, suite.name)
    resources = with_changes(resources, options.resources)
    code = code_fingerprint(notebook), code_fingerprint(notebook, leave_out=NO_TRAINING)
    jobs = [_run_job(spec, notebook, folder, places, options.dry_run, *code) for spec in specs]
    blind = any(job.data == UNSEEN for job in jobs)
    jobs = [_as_found(replace(job, devices=max(1, resources.devices))) for job in jobs]
    shown = _shown(suite, specs, chosen)
    common = {"dataset": suite.dataset, **suite.parameters, **suite.presets[preset], **places}
    extra = {
        "run_dir": str(folder / shown.id),
        "results_dir": str(folder),
        "figures_dir": str(folder / "figures"),
        "report_dir": str(report),
        "title": f"{suite.title} ({preset} preset)",
        "command": options.command,
    }
    data = _data_of(common, options.dry_run)
    before = [_as_found(_look_job(name, folder, common | extra, data)) for name in suite.before]
    # what the last notebooks show has changed with the runs, so they are always done again
    after = [replace(_look_job(name, folder, common | extra, data), always=True) for name in suite.after]
    runs = [job for job in jobs if job.id in chosen]
    left_out = []
    if shown.id not in chosen and not is_complete(next(job for job in jobs if job.id == shown.id)):
        without = [job for job in after if "run_dir" in job.parameters]
        left_out = [f"left out: {job.id} shows the run {shown.id}, which --only excludes" for job in without]
        after = [job for job in after if job not in without]
    page = report / "index.html"
    return Plan(suite, options, preset, folder, page, runs, jobs, before, after, left_out, resources, blind)


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """``name=value`` texts as a dictionary."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set wants NAME=VALUE, found '{text}'. For example: --set dataset=work/stores/mine")
        found[name] = value
    return found


def _data_of(parameters: dict[str, Any], dry_run: bool) -> str:
    """Fingerprint of what a job reads; :data:`UNSEEN` where a dry run was not told where the published files are."""
    if not dry_run or parameters.get("data_dir"):
        return data_fingerprint(parameters)
    try:
        return data_fingerprint(parameters)
    except MissingError:
        data_fingerprint(parameters, published=False)  # what else is missing is said
        return UNSEEN


def _as_found(job: Job) -> Job:
    """The job, of unseen data: with those that its folder was made of, if it holds anything."""
    return replace(job, data=card_on_disk(job).get("data", "")) if job.data == UNSEEN else job


def _run_job(
    spec: RunSpec, notebook: Path, folder: Path, places: dict[str, Any], dry_run: bool, code: str, training: str
) -> Job:
    """The job of one run; the notebook is told its folder as ``run_dir``."""
    known = notebook_parameters(notebook)
    run_dir = {"run_dir": str(folder / spec.id)} if "run_dir" in known else {}
    given = {name: value for name, value in places.items() if name in known}
    parameters = check_parameters(notebook, {**spec.parameters, **given, **run_dir})
    data = _data_of({**spec.parameters, **places}, dry_run)
    return Job(spec.id, spec.label, notebook, parameters, folder / spec.id, "results.json", code, data, training)


def _look_job(name: str, folder: Path, offered: dict[str, Any], data: str) -> Job:
    """The job of a notebook that shows something: it is given whatever it has a parameter for."""
    notebook = find_notebook(name)
    known = notebook_parameters(notebook)
    parameters = check_parameters(notebook, {key: value for key, value in offered.items() if key in known})
    code = code_fingerprint(notebook, leave_out=())
    return Job(notebook.stem, notebook.stem, notebook, parameters, folder / notebook.stem, "", code, data)


def _shown(suite: Suite, specs: list[RunSpec], chosen: set[str]) -> RunSpec:
    """The run that notebooks with a ``run_dir`` show; one of those that were asked for, where there is such a one."""
    for spec in sorted(specs, key=lambda spec: spec.id not in chosen):
        if all(spec.parameters.get(name) == value for name, value in suite.shown.items()):
            return spec
    raise ConfigError(f"Suite {suite.name}: no run of the grid has shown={suite.shown}.")


def describe_plan(plan: Plan) -> list[str]:
    """One line a job: what would be done and why, what is complete already; then how long it will take, if known."""
    machine = this_machine(plan.options.workers, plan.options.device, plan.resources)
    lines = [f"{plan.suite.title}, preset {plan.preset}: {len(plan.runs)} runs in {plan.folder}"]
    states = {job.id: state_of(job) for job in [*plan.before, *plan.runs, *plan.after]}
    for job in [*plan.before, *plan.runs, *plan.after]:
        state = states[job.id]
        why = f": {state.why}" if state.why else ""
        lines.append(f"  {state.name:<10}  {job.id}  ({job.label}){why}")
    lines += [f"  {sentence}" for sentence in plan.left_out]
    if plan.blind:
        lines.append("Data: not looked at, for --data names no folder; what is there counts as made of the same files")
    names = [states[job.id].name for job in plan.runs]
    lines.append("Runs: " + ", ".join(f"{names.count(name)} {name}" for name in STATES if name in names))
    open_runs = [job for job in plan.runs if states[job.id].name != "complete"]
    known = earlier_runs(plan.options.work_dir) if open_runs else []
    gpu = any(machine.gpus)
    words = in_words([seconds_for(job, states[job.id], known, gpu) for job in open_runs], machine.workers)
    return [*lines, *([f"Time left: {words}"] if words else [])]


def run_plan(
    plan: Plan, say: Say, watch: Callable[[], None] = lambda: None, execute: Execute | None = None
) -> list[Outcome]:
    """Do everything in a plan that is not done yet; failed runs are listed and do not stop the rest.

    Args:
        plan: of :func:`plan_suite`.
        say: gets the progress lines.
        watch: called several times a second; ``suite.json`` and the runs' files say how far everything is.
        execute: does a list of jobs, elsewhere (:mod:`~c2vl_lab.bench.cluster`); None: this machine does.

    Returns:
        The outcomes of all jobs, failed ones included.
    """
    tally = Tally(len(plan.before) + len(plan.runs) + len(plan.after))
    execute = execute or _here(plan, say, tally)
    written: list[int] = []

    def look(ended: list[Outcome]) -> None:
        if written != [len(ended)]:  # once a run
            written[:] = [len(ended)]
            write_list(plan, ended)
        watch()

    write_list(plan, [])
    outcomes = [outcome for job in plan.before for outcome in execute([job], True, lambda ended: watch())]
    outcomes += execute(plan.runs, False, look)
    write_list(plan, outcomes)
    for sentence in plan.left_out:
        say(sentence)
    for job in plan.after:
        outcomes += execute([job], True, lambda ended: watch())
    for outcome in outcomes:
        if outcome.status == "failed":
            say(f"FAILED: {outcome.job.id}: {outcome.error} See {outcome.job.executed}")
    say(f"{_count(outcomes)} in {clock(time.monotonic() - tally.begun)}. Runs: {plan.folder}")
    return outcomes


def _here(plan: Plan, say: Say, tally: Tally) -> Execute:
    """What does jobs on this machine: runs side by side, other notebooks one at a time."""
    options = plan.options
    machine, alone = this_machine(options.workers, options.device, plan.resources), this_machine(1, options.device)
    at_once = f"{machine.workers} at once, {machine.in_words()}"
    say(f"{plan.suite.title}, preset {plan.preset}: {len(plan.runs)} runs, {at_once}")

    def execute(jobs: list[Job], single: bool, watch: Callable[[list[Outcome]], None]) -> list[Outcome]:
        retries = 0 if single else options.retries
        return run_jobs(jobs, alone if single else machine, say, tally, retries, watch)

    return execute


def _count(outcomes: list[Outcome]) -> str:
    """``12 complete, 3 skipped, 1 failed``."""
    states = [outcome.status for outcome in outcomes]
    return ", ".join(f"{states.count(state)} {state}" for state in ("complete", "skipped", "failed") if state in states)
