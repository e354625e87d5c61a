"""``c2vl bench``: run a suite, on this machine or in a cluster, and write its report."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable
from typing import Any

from c2vl_lab.errors import ConfigError


def add_bench(parser: argparse.ArgumentParser) -> None:
    """The options of ``c2vl bench``."""
    parser.add_argument("suite", help="a name of `c2vl suites`, or one's own .yml file")
    parser.add_argument("--data", default="", metavar="DIR", help="folder of the published files")
    parser.add_argument("--preset", default="", help="a preset of the suite; default: its first")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="runs at once; default: one a GPU or core")
    parser.add_argument("--retries", type=int, default=0, metavar="N", help="times that a failed run is tried again")
    parser.add_argument("--only", action="append", default=[], metavar="NAME=VALUE", help="some of the runs: arm=full")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="a parameter of all runs: dataset=work/stores/mine",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--work", default="work", metavar="DIR", help="stores, caches and runs")
    parser.add_argument("--reports", default="reports", metavar="DIR", help="reports are written here")
    parser.add_argument(
        "--dry-run", action="store_true", help="list the runs, their states, the time left; --data may be left out"
    )
    each = parser.add_argument_group("resources of a run (default: the suite's)")
    each.add_argument("--gpus", type=int, metavar="N", help="GPUs of a run; several train it together")
    each.add_argument("--gpu-memory", type=float, metavar="GB", help="GPU memory of a run: several share a GPU")
    each.add_argument("--cpus", type=int, metavar="N", help="cores of a run")
    cluster = parser.add_argument_group("in a cluster")
    cluster.add_argument("--cluster", default="", choices=["", "slurm"], help="do the runs as jobs of Slurm")
    cluster.add_argument("--partition", default="", help="the cluster's partition")
    cluster.add_argument("--time", default="", help="limit of a job: 90 (minutes), 12h, 1-12:00:00; a cut run goes on")
    cluster.add_argument("--memory", type=float, metavar="GB", help="main memory of a run")
    cluster.add_argument(
        "--sbatch", action="append", default=[], metavar="NAME=VALUE", help="another option of sbatch: account=mine"
    )


def bench_suite(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Run ``c2vl bench``: 0 when all went well, 1 when a run failed."""
    from c2vl_lab.bench.drive import BenchOptions, describe_plan, plan_suite, run_plan
    from c2vl_lab.bench.screen import screen
    from c2vl_lab.bench.suite import load_suite

    if options.workers < 0:
        raise ConfigError(f"--workers wants 1 or more (0: chosen for the machine), found {options.workers}.")
    if options.retries < 0:
        raise ConfigError(f"--retries wants 0 or more, found {options.retries}.")
    bench = BenchOptions(
        data_dir=options.data,
        preset=options.preset,
        only=tuple(options.only),
        settings=tuple(options.settings),
        workers=options.workers,
        device=options.device,
        work_dir=options.work,
        reports_dir=options.reports,
        command=_command(options),
        retries=options.retries,
        resources=_resources(options),
        dry_run=options.dry_run,
    )
    plan = plan_suite(load_suite(options.suite), bench)
    if options.dry_run:
        for line in describe_plan(plan):
            say(line)
        return 0
    with screen(plan.folder, say) as shown:
        execute = None
        if options.cluster:
            from c2vl_lab.bench.cluster import Slurm

            execute = Slurm(plan, shown.say).execute
        outcomes = run_plan(plan, shown.say, shown.watch, execute)
    failed = any(outcome.status == "failed" for outcome in outcomes)
    if plan.report.is_file():
        say(f"The report: {plan.report.resolve()}")
    return 1 if failed else 0


def _command(options: argparse.Namespace) -> str:
    """What was typed; a report is sent to others, and where the data lay on this machine is nobody's business."""
    places = [options.data, *(text.partition("=")[2] for text in options.settings)]
    given = list(options.given)
    for place in filter(os.path.isabs, places):
        given = [text.replace(place, "DATA") for text in given]
    return shlex.join(["c2vl", *given])


def _resources(options: argparse.Namespace) -> dict[str, Any]:
    """What the command says of a run's resources; None and "" stand for the suite's own."""
    from c2vl_lab.bench.resources import hours_in

    sbatch = {}
    for text in options.sbatch:
        name, equals, value = text.lstrip("-").partition("=")
        if not name:
            raise ConfigError(f"--sbatch wants NAME=VALUE, found '{text}'. For example: --sbatch account=mine")
        sbatch[name] = value if equals else True
    return {
        "devices": options.gpus,
        "gpu_memory": options.gpu_memory,
        "cpus": options.cpus,
        "memory": options.memory,
        "hours": hours_in(options.time),
        "partition": options.partition,
        "at_once": options.workers if options.cluster else None,
        "sbatch": sbatch,
    }
