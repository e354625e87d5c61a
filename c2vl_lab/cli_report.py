"""``c2vl report``: the report of a suite's runs again, without running anything, or two suites side by side."""

from __future__ import annotations

import argparse
import os
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from c2vl_lab.errors import ConfigError, MissingError


def add_report(parser: argparse.ArgumentParser) -> None:
    """The options of ``c2vl report``."""
    parser.add_argument("runs", nargs="?", default="", help="a suite's name, or the folder of its runs")
    parser.add_argument("--compare", nargs=2, default=[], metavar=("A", "B"), help="two suites: reports or runs")
    words = "an arm of A and one of B to set side by side though named otherwise; may be given again"
    parser.add_argument("--same", nargs=2, default=[], action="append", metavar=("ARM_A", "ARM_B"), help=words)
    parser.add_argument("--output", default="", metavar="DIR", help="default: reports/<suite>-<preset>, or A-vs-B")
    parser.add_argument("--preset", default="", help="of a suite given by name; default: the one that was run")
    parser.add_argument("--work", default="", metavar="DIR", help="where a suite's runs and stores are; default: work")
    parser.add_argument("--data", default="", metavar="DIR", help="published files, for a store that is gone")
    parser.add_argument("--published", default="", metavar="FILE", help="more published numbers to stand beside: CSV")


def report_suite(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Run ``c2vl report``."""
    if bool(options.runs) == bool(options.compare):
        raise ConfigError("c2vl report wants a suite, as in `c2vl report demo`, or two: `c2vl report --compare A B`.")
    if options.compare:
        from c2vl_lab.bench.two_suites_page import compare_suites

        a, b = (_folder(text, options) for text in options.compare)
        say(f"The comparison: {compare_suites(a, b, options.output, _command(options), options.same)}")
        return 0
    from c2vl_lab.artifacts import read_json
    from c2vl_lab.bench.report import build_report
    from c2vl_lab.evaluate.suite_streams import fuse_suite

    runs = _folder(options.runs, options)
    if not (runs / "suite.json").is_file():
        raise MissingError(f"{runs} is no folder of a suite's runs (no suite.json in it). Run c2vl bench first.")
    card = read_json(runs / "suite.json")
    for line in what_is_missing(card):
        say(line)
    output = Path(options.output or Path("reports") / f"{card['suite']}-{card['preset']}")
    fuse_suite(runs, options.work, options.data, say)
    title = f"{card['title']} ({card['preset']} preset)"
    say(f"The report: {build_report(runs, output, title, card['command'], options.published)}")
    return 0


def what_is_missing(card: dict) -> list[str]:
    """Lines about the runs of a suite's list that are not complete; none where all are."""
    rest = [run for run in card["runs"] if run["status"] != "complete"]
    if not rest:
        return []
    states = ", ".join(f"{count} {state}" for state, count in Counter(run["status"] for run in rest).items())
    arms = Counter(run["label"] for run in rest)
    each = [f"  {label}: {count} of {sum(r['label'] == label for r in card['runs'])}" for label, count in arms.items()]
    done = len(card["runs"]) - len(rest)
    return [f"{done} of {len(card['runs'])} runs are complete; the report is of these. Missing ({states}):", *each]


def _folder(text: str, options: argparse.Namespace) -> Path:
    """A folder as given, or that of the runs of a suite given by its name."""
    place = Path(options.work or "work") / "runs" / text
    if Path(text).exists() or not place.is_dir():
        return Path(text)
    presets = sorted(path.parent.name for path in place.glob("*/suite.json"))
    if options.preset or len(presets) == 1:
        return place / (options.preset or presets[0])
    raise ConfigError(f"{place} holds runs of the presets {', '.join(presets) or 'none'}. Name one: --preset NAME.")


def _command(options: argparse.Namespace) -> str:
    """What was typed, folders by their last two names: where they lay on this machine is nobody's business."""
    short = [str(Path(*Path(text).parts[-2:])) if os.path.isabs(text) else text for text in options.given]
    return shlex.join(["c2vl", *short])
