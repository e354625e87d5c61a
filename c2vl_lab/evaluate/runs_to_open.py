"""What a notebook opens: the run or the suite that was named, else what is there, else small runs made as an example.

So every notebook has something to show by its defaults in an empty work folder, and says what it is that it shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import read_json
from c2vl_lab.bench.results import find_runs
from c2vl_lab.evaluate.example_runs import ARMS, EPOCHS, SEEDS, example_runs
from c2vl_lab.run_files import load_config

SINGLE = Path("runs") / "single"  # under the work folder: what notebook 03_pretrain makes by its defaults
DEMO = Path("runs") / "demo" / "cpu"  # what the demo suite makes
CAUTION = (
    f"{EPOCHS} epochs on a few generated clips, with the stand-in teacher.\n"
    "This shows what the notebook does; the numbers say nothing of a method."
)
Progress = Callable[[str], None] | None


@dataclass(frozen=True)
class RunToOpen:
    """A run.

    Attributes:
        path: its folder.
        told: which run it is and why it is opened, for the reader of the executed notebook; a sentence a line.
    """

    path: Path
    told: str


@dataclass(frozen=True)
class SuiteToOpen:
    """A folder of runs.

    Attributes:
        path: the folder.
        told: which runs they are and why they are opened, for the reader of the executed notebook.
        title: heading of their report.
        command: what makes the same runs; "" where that is not known.
        name: of the report's folder.
    """

    path: Path
    told: str
    title: str
    command: str
    name: str


def run_to_open(run_dir: str | Path, work_dir: str | Path = "work", progress: Progress = None) -> RunToOpen:
    """The named run; without a name the one that notebook 03 made, else an example, which is trained once.

    Args:
        run_dir: the run's folder, or "".
        work_dir: where runs, stores and caches are.
        progress: receives a line for each step of the example's training.

    Raises:
        MissingError: the named folder is no run's.
    """
    single = Path(work_dir) / SINGLE
    if run_dir:
        load_config(run_dir)
        return RunToOpen(Path(run_dir), f"The run: {run_dir}")
    if (single / "config.json").is_file():
        return RunToOpen(single, f"No run was named: this is {single}, which notebook 03_pretrain made.")
    path = example_runs(work_dir, ("full",), (0,), progress) / "full-s0"
    return RunToOpen(path, f"No run was named, and {single} holds none.\nThis is the example run {path}:\n{CAUTION}")


def suite_to_open(results_dir: str | Path, work_dir: str | Path = "work", progress: Progress = None) -> SuiteToOpen:
    """The named suite's runs; without a name those of the demo suite, else a few example runs, trained once.

    Args:
        results_dir: folder of a suite's runs, or "".
        work_dir: where runs, stores and caches are.
        progress: receives a line for each step of the examples' training.

    Raises:
        MissingError: there is no such folder, or no run in it.
    """
    demo = Path(work_dir) / DEMO
    if results_dir:
        return _suite(Path(results_dir), f"The runs: {results_dir}")
    if any(demo.glob("*/results.json")):
        return _suite(demo, f"No runs were named: these are those of the demo suite in {demo}.")
    path = example_runs(work_dir, progress=progress)
    told = f"No runs were named, and the demo suite has made none in {demo}.\n"
    told += f"These are the example runs in {path}, {len(ARMS)} arms with {len(SEEDS)} seeds each:\n"
    return SuiteToOpen(path, told + CAUTION, "Example runs on generated clips", "c2vl run 07_report", "demo-example")


def _suite(path: Path, told: str) -> SuiteToOpen:
    """Runs with the words of the list that a suite has left with them; without one the folder's name serves."""
    find_runs(path)
    card: dict[str, Any] = read_json(path / "suite.json") if (path / "suite.json").is_file() else {}
    if not card:
        return SuiteToOpen(path, told, f"Runs in {path.name}", "", path.name)
    title, name = f"{card['title']} ({card['preset']} preset)", f"{card['suite']}-{card['preset']}"
    return SuiteToOpen(path, told, title, card["command"], name)
