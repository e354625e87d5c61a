"""One command for everything: ``c2vl bench demo``, ``c2vl run 04_evaluate -p run_dir ...``, ``c2vl data nw-ucla``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from c2vl_lab import __version__
from c2vl_lab.cli_ask import add_ask, ask_dataset
from c2vl_lab.cli_bench import add_bench, bench_suite
from c2vl_lab.cli_evaluate import add_evaluate, add_fuse, evaluate_runs, fuse_streams
from c2vl_lab.cli_pretrain import add_pretrain, pretrain_run
from c2vl_lab.cli_report import add_report, report_suite
from c2vl_lab.cli_share import (
    add_export_encoder,
    add_import_encoder,
    add_pack,
    add_unpack,
    export_run,
    import_run,
    pack_run,
    unpack_archive,
)
from c2vl_lab.errors import C2VLError, ConfigError, MissingError
from c2vl_lab.training.stopping import StoppedError


def main(arguments: list[str] | None = None) -> int:
    """Parse, call, print.

    Returns:
        0 when all went well, 1 when a run failed, 2 when something asked for cannot be had, 130 after an orderly stop.
    """
    given = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    options = parser.parse_args(given)
    options.given = given
    try:
        return options.call(options)
    except C2VLError as error:
        print(f"c2vl: {error}", file=sys.stderr)
        return 130 if isinstance(error, StoppedError) else 2
    except KeyboardInterrupt:
        print("c2vl: stopped. What is complete stays; the same command goes on with the rest.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # somebody closed the screen we print to, as `| head` does
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - Python flushes it at its own end
        return 141


def _as_interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _end_in_order(run_dir: str) -> None:
    """SIGTERM asks a training in ``run_dir`` for a checkpoint; a second interrupts, as the first where none trains."""
    from c2vl_lab.logs import STOP, read_status

    def hear(number: int, frame: Any) -> None:
        if run_dir and read_status(Path(run_dir)).get("state") == "running" and not (Path(run_dir) / STOP).exists():
            (Path(run_dir) / STOP).touch()
            return
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, hear)
    if "SLURM_JOB_ID" in os.environ:  # Slurm's warning goes to all of a job; who is to hear it asks for a checkpoint
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="c2vl", description="The C2VL workbench: vision-language meets the skeleton.")
    parser.add_argument("--version", action="version", version=f"c2vl_lab {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_bench(_command(commands, "bench", "run a suite and write its report", _bench))
    add_pretrain(_command(commands, "pretrain", "train one encoder, on one device or several", _pretrain))
    _add_run(_command(commands, "run", "execute a notebook with parameters", _run, add_help=False))
    _add_data(_command(commands, "data", "read a data set and show what it holds", _data))
    _add_export(_command(commands, "export", "write a store in another code base's layout", _export))
    add_ask(_command(commands, "ask", "ask a model about every clip", _ask))
    add_evaluate(_command(commands, "evaluate", "measure finished runs by the field's protocols", _evaluate))
    add_fuse(_command(commands, "fuse", "fuse finished runs on joints, bones and motion", _fuse))
    add_pack(_command(commands, "pack", "put a run's encoder, card and results into one file for others", _pack))
    add_unpack(_command(commands, "unpack", "check a packed encoder and write its files into a folder", _unpack))
    add_export_encoder(
        _command(commands, "export-encoder", "write an encoder as ONNX or for torch alone", _export_encoder)
    )
    add_import_encoder(_command(commands, "import-encoder", "make a run of somebody else's encoder", _import_encoder))
    add_report(_command(commands, "report", "write a suite's report again, or set two side by side", _report))
    _command(commands, "suites", "list the suites", _suites)
    return parser


def _command(commands, name: str, text: str, call: Callable[..., int], **more: Any) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text, **more)
    parser.set_defaults(call=call)
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("notebook", nargs="?", default="", help="path, or name of one in notebooks/")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters")
    parser.add_argument("--parameters", default="", metavar="FILE", dest="file", help="JSON file of parameters")
    parser.add_argument("--output", default="", metavar="FILE", help="default: work/notebooks/<name>.ipynb")
    parser.add_argument("-h", "--help", action="store_true", help="show this, and the notebook's parameters")
    parser.set_defaults(usage=parser.format_help)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dataset",
        help="generated, nw-ucla, utd-mhad, msr-action3d, ntu60, ntu120, pku1, pku2; frame50, agcn, ctrgcn, pyskl ("
        "files of other code bases); or a store folder",
    )
    parser.add_argument("--data", default="", metavar="DIR", help="folder of the published files")
    parser.add_argument("--work", default="work", metavar="DIR", help="stores are kept here")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="settings", help="the reader's: cut=start:end"
    )
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="reading processes; default: one a core")
    parser.add_argument("--skip-bad", action="store_true", help="leave out files that cannot be used, and list them")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", help="a store folder, as `c2vl data` prints it")
    parser.add_argument("layout", choices=("ctrgcn", "pyskl"), help="CTR-GCN's and MAMP's .npz, or PYSKL's .pkl")
    parser.add_argument("output", help="the new file")
    parser.add_argument("--protocol", default="xsub", help="whose two parts a ctrgcn file holds")
    parser.add_argument("--float16", action="store_true", help="pyskl: half the size; up to 2 mm lost at 4 m")


def _bench(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _as_interrupt)  # a job manager's "end" is as orderly as Ctrl-C
    return bench_suite(options, _say)


def _run(options: argparse.Namespace) -> int:
    if not options.notebook:
        print(options.usage())
        return 0 if options.help else 2
    from c2vl_lab.bench.notebooks import describe_parameters, find_notebook, run_notebook

    notebook = find_notebook(options.notebook)
    if options.help:
        print(options.usage() + "\n" + describe_parameters(notebook))
        return 0
    parameters = _parameters_in(Path(options.file)) if options.file else {}
    parameters |= dict(options.parameters)
    _end_in_order(str(parameters.get("run_dir", "")))
    output = Path(options.output or Path("work") / "notebooks" / notebook.name)
    print(f"Executed notebook: {run_notebook(notebook, parameters, output, _say)}")
    return 0


def _parameters_in(path: Path) -> dict[str, Any]:
    """The parameters of a JSON file."""
    from c2vl_lab.artifacts import read_json

    if not path.is_file():
        raise MissingError(f'--parameters: there is no file {path}. Wanted a JSON file like {{"epochs": 3}}.')
    values = read_json(path)
    if not isinstance(values, dict):
        found = type(values).__name__
        raise ConfigError(f'--parameters: {path} wanted one JSON object like {{"epochs": 3}}, found a {found}.')
    return values


def _data(options: argparse.Namespace) -> int:
    from c2vl_lab.config import from_text
    from c2vl_lab.data.absent import absent_lines
    from c2vl_lab.data.datasets import open_dataset, options_of
    from c2vl_lab.data.protocols import make_split, protocols_of
    from c2vl_lab.data.summary import summary_lines

    settings = from_text(options_of(options.dataset), options.settings, where="--set") if options.settings else {}
    if options.workers < 0:
        raise ConfigError(f"--workers wants 1 or more (0: one a core), found {options.workers}.")
    store = open_dataset(
        options.dataset,
        options.data,
        options.work,
        _say,
        workers=options.workers,
        skip_bad=options.skip_bad,
        **settings,
    )
    kind = " (generated clips, no recordings)" if store.generated else ""
    print(f"{store.dataset}{kind}: {len(store)} clips, {len(store.classes)} classes, fingerprint {store.fingerprint}")
    print(f"  skeleton: {store.layout.name}, {len(store.layout)} joints, {store.bodies} body slots")
    for protocol in protocols_of(store):
        try:
            split = make_split(store, protocol)
        except C2VLError as error:  # one camera only, say: the set can be used all the same
            print(f"  {protocol}: {error}")
        else:
            print(f"  {protocol}: {len(split.train)} train, {len(split.test)} test. {split.rule}")
    print("\n".join([*summary_lines(store), *absent_lines(store, Path(options.work))]))
    print(f"The store: {store.path}")
    return 0


def _export(options: argparse.Namespace) -> int:
    from c2vl_lab.data.exports import export_ctrgcn, export_pyskl
    from c2vl_lab.data.store import SkeletonStore

    store, output = SkeletonStore.open(options.store), Path(options.output)
    if options.layout == "ctrgcn":
        done = export_ctrgcn(store, output, options.protocol, progress=_say)
    else:
        done = export_pyskl(store, output, dtype="float16" if options.float16 else "float32", progress=_say)
    print("\n".join(f"{what}: {count:,}" for what, count in done.counts.items()))
    clips = ", ".join(f"{count:,} {part}" for part, count in done.clips.items())
    print(f"Written: {done.path}, clips: {clips}" + (f"; their names: {done.names}" if done.names else ""))
    return 0


def _ask(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _as_interrupt)
    return ask_dataset(options, _say)


def _pretrain(options: argparse.Namespace) -> int:
    _end_in_order("")
    return pretrain_run(options, _say)


def _evaluate(options: argparse.Namespace) -> int:
    return evaluate_runs(options, _say)


def _fuse(options: argparse.Namespace) -> int:
    return fuse_streams(options, _say)


def _pack(options: argparse.Namespace) -> int:
    return pack_run(options, _say)


def _unpack(options: argparse.Namespace) -> int:
    return unpack_archive(options, _say)


def _export_encoder(options: argparse.Namespace) -> int:
    return export_run(options, _say)


def _import_encoder(options: argparse.Namespace) -> int:
    return import_run(options, _say)


def _report(options: argparse.Namespace) -> int:
    return report_suite(options, _say)


def _suites(options: argparse.Namespace) -> int:
    from c2vl_lab.bench.suite import load_suite, suite_names

    names = suite_names()
    width = max(map(len, names))
    for name in names:
        suite = load_suite(name)
        runs = len(suite.grid) * len(suite.seeds)
        print(f"{name:<{width}} {suite.title}: {runs} runs; presets {', '.join(suite.presets)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
