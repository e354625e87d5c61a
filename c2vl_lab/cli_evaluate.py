"""``c2vl evaluate`` and ``c2vl fuse``: measure a finished run by the field's protocols, fuse three streams, compare."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from c2vl_lab.experiment import Experiment

Say = Callable[[str], None]


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """The options of ``c2vl evaluate``."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs (03_pretrain's, a suite's)")
    parser.add_argument(
        "--protocols",
        default="all",
        metavar="NAMES",
        help="with commas between: linear, knn, semi, cluster, retrieval, zero-shot, robust; all (the default) are "
        "these, on frozen features; finetune, scratch, semi-finetune, semi-scratch and transfer train the encoder",
    )
    parser.add_argument(
        "--on", default="", metavar="SET:PROTOCOL", help="where transfer leads, as in utd-mhad:xsub; several with +"
    )
    parser.add_argument(
        "--tuning",
        default="",
        metavar="SETTINGS",
        help="of what trains the encoder: default, aimclr or cmd, then changes, as in 'cmd epochs=20 seeds=1'",
    )
    parser.add_argument(
        "--against", default="", metavar="RUN", help="another run, evaluated before: paired tests on the same clips"
    )
    parser.add_argument(
        "--class-splits", default="", metavar="FILE", help="seen and unseen classes: CSV dataset,name,unseen,source"
    )
    _add_places(parser)


def add_fuse(parser: argparse.ArgumentParser) -> None:
    """The options of ``c2vl fuse``."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="three run folders: joint, bone and motion")
    parser.add_argument("--output", default="", metavar="DIR", help="default: <joint run>-fused")
    _add_places(parser)


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default="", metavar="DIR", help="folder of the published files; default: the run's")
    parser.add_argument("--work", default="", metavar="DIR", help="stores and caches; default: the run's")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")


def evaluate_runs(options: argparse.Namespace, say: Say) -> int:
    """Run ``c2vl evaluate``: measure, print every number with its settings, keep them in each run's results.json."""
    from c2vl_lab.evaluate.paired import comparison_table, tuned_against_scratch, two_runs
    from c2vl_lab.evaluate.protocols import check_wanted
    from c2vl_lab.evaluate.run import evaluate
    from c2vl_lab.viz.tables import metric_table, protocol_settings, protocol_table

    check_wanted(options.protocols, options.tuning, options.on)  # before anything is opened
    for run in options.runs:
        say(f"{run}")
        asked = options.protocols, options.class_splits, options.tuning, options.on
        results = evaluate(opened_run(run, options), run, say, *asked)
        records = results.get("protocols", {})
        say(_text(metric_table(results).reset_index(names="")))
        if records:
            say("\n" + _text(protocol_table(records)))
            say("\nSettings\n" + _text(protocol_settings(records)))
        for note in results["notes"]:
            say(note)
        if tuned := tuned_against_scratch(run):
            say("\nFine-tuned against from scratch\n" + _text(comparison_table(tuned, "fine-tuned", "from scratch")))
        if options.against:
            found = two_runs(Path(run), Path(options.against))
            say("\n" + _text(comparison_table(found, Path(run).name, Path(options.against).name)))
    return 0


def fuse_streams(options: argparse.Namespace, say: Say) -> int:
    """Run ``c2vl fuse``: refuse runs that do not belong together, fuse, print, write ``fusion.json``.

    Fused are linear probes on frozen features and, where all three runs have measured them, fine-tuned encoders.
    """
    from c2vl_lab.evaluate.fusion import fuse_runs, save_fusion, stream_runs
    from c2vl_lab.evaluate.tuned_fusion import fuse_tuned
    from c2vl_lab.viz.tables import protocol_settings, protocol_table

    runs = stream_runs(options.runs)
    experiment = opened_run(runs["joint"], options)
    output = Path(options.output or f"{str(runs['joint']).rstrip('/')}-fused")
    outcome = fuse_runs(experiment.store, experiment.split, runs, experiment.config.seed)
    tuned = fuse_tuned(experiment.store, experiment.split, runs)
    record = save_fusion(outcome, experiment.store, output, tuned)
    records = {"streams": record, **record.get("protocols", {})}
    say(_text(protocol_table(records)))
    say("\nSettings\n" + _text(protocol_settings(records)))
    say(f"Written: {output / 'fusion.json'}")
    return 0


def opened_run(run: str | Path, options: argparse.Namespace) -> Experiment:
    """The run's experiment, with data and caches where the options say; an encoder in the run's folder is its own.

    Raises:
        C2VLError: a file is missing or damaged, or the data are not there.
    """
    from c2vl_lab.config import from_dict
    from c2vl_lab.experiment import RunConfig, load_config, open_experiment
    from c2vl_lab.sharing.encoder_file import FILE as ENCODER

    places = {"data_dir": options.data, "work_dir": options.work, "device": options.device}
    settings: dict[str, Any] = load_config(run) | {name: place for name, place in places.items() if place}
    if settings.get("encoder_from") and (Path(run) / ENCODER).is_file():
        settings["encoder_from"] = str(run)  # wherever the folder was moved to
    return open_experiment(from_dict(RunConfig, settings, where=str(run)))


def _text(table: pd.DataFrame) -> str:
    """A table as lines of text, every column as wide as it needs."""
    head = [str(column) for column in table.columns]
    lines = [head, *([str(value) for value in row] for row in table.itertuples(index=False))]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)
