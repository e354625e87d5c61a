"""``c2vl pack``, ``unpack``, ``export-encoder`` and ``import-encoder``: encoders to others, and from others."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from c2vl_lab.errors import C2VLError, ConfigError

if TYPE_CHECKING:
    import numpy as np

    from c2vl_lab.sharing.opening import OpenedEncoder

Say = Callable[[str], None]
COMPARED = 64  # recorded clips that an exported form is compared on


def add_pack(parser: argparse.ArgumentParser) -> None:
    """The options of ``c2vl pack``."""
    parser.add_argument("run", metavar="RUN", help="folder of a finished run; evaluate it first, for the numbers")
    parser.add_argument("--output", default="", metavar="FILE", help="the archive; default: RUN.zip")


def add_unpack(parser: argparse.ArgumentParser) -> None:
    """The options of ``c2vl unpack``."""
    parser.add_argument("archive", metavar="ARCHIVE", help="a file that c2vl pack made")
    parser.add_argument("--output", default="", metavar="DIR", help="a new folder; default: named like the archive")


def add_export_encoder(parser: argparse.ArgumentParser) -> None:
    """The options of ``c2vl export-encoder``."""
    parser.add_argument("run", metavar="RUN", help="a run folder, an archive, or a folder it was unpacked into")
    parser.add_argument("--to", required=True, choices=("onnx", "torchscript", "torch-export"), dest="form")
    parser.add_argument("--output", default="", metavar="FILE", help="default: beside RUN, named like it")
    parser.add_argument("--data", default="", metavar="DIR", help="published files, to compare on recorded clips")
    parser.add_argument("--work", default="", metavar="DIR", help="stores and caches; default: the run's")


def add_import_encoder(parser: argparse.ArgumentParser) -> None:
    """The options of ``c2vl import-encoder``."""
    parser.add_argument("file", metavar="FILE", help="a packed encoder, or a checkpoint of another code base")
    parser.add_argument(
        "--as",
        default="",
        choices=("", "aimclr", "skeletonclr", "crossclr", "actclr"),
        dest="code",
        help="whose checkpoint it is; left out: a packed encoder",
    )
    parser.add_argument("--stream", default="joint", choices=("joint", "bone", "motion"), help="of a checkpoint")
    parser.add_argument(
        "--frames", type=int, default=50, metavar="T", help="that a checkpoint was trained on: 50 or 64"
    )
    parser.add_argument("--run-dir", required=True, metavar="DIR", help="a new run folder, for c2vl evaluate")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="what to measure it on: dataset=ntu60, data_dir=DIR, protocol=xsub; any parameter of a run",
    )


def pack_run(options: argparse.Namespace, say: Say) -> int:
    """Run ``c2vl pack``."""
    from c2vl_lab.sharing.packing import pack

    path, digest = pack(options.run, options.output)
    say(f"Packed: {path}, {path.stat().st_size:,} bytes, SHA-256 {digest}")
    say(f'Use: from c2vl_lab import load_encoder; features = load_encoder("{path.name}")(clips)')
    return 0


def unpack_archive(options: argparse.Namespace, say: Say) -> int:
    """Run ``c2vl unpack``."""
    from c2vl_lab.sharing.archive import unpack

    archive = Path(options.archive)
    say(f"Unpacked: {unpack(archive, options.output or archive.with_suffix(''))}")
    return 0


def export_run(options: argparse.Namespace, say: Say) -> int:
    """Run ``c2vl export-encoder``."""
    from c2vl_lab.sharing.exporting import ENDINGS, export_encoder
    from c2vl_lab.sharing.opening import open_encoder

    opened, run = open_encoder(options.run), Path(options.run).resolve()
    output = Path(options.output or run.with_name((run.stem if run.is_file() else run.name) + ENDINGS[options.form]))
    clips = _recorded(opened, options, say)
    about = export_encoder(opened, options.form, output, clips)
    say(f"Written: {output}, {output.stat().st_size:,} bytes: clips {about.clips} -> features {about.features}")
    say(f"Compared on {about.compared}: largest difference {about.difference:.1e} of the largest feature")
    say(f"Other numbers of frames: {', '.join(f'{what} {lengths}' for what, lengths in about.other_frames.items())}")
    return 0


def _recorded(opened: OpenedEncoder, options: argparse.Namespace, say: Say) -> np.ndarray | None:
    """Normalised clips of the run's own data set, where it can be opened."""
    from c2vl_lab.cli_evaluate import opened_run

    if not (Path(options.run) / "config.json").is_file() or opened.files:
        say("Compared on random clips alone: an archive holds no recordings.")
        return None
    try:
        experiment = opened_run(options.run, argparse.Namespace(data=options.data, work=options.work, device="cpu"))
    except C2VLError as error:
        say(f"Compared on random clips alone: {error}")
        return None
    return experiment.clips[:COMPARED]


def import_run(options: argparse.Namespace, say: Say) -> int:
    """Run ``c2vl import-encoder``: a run folder whose arm is the imported encoder."""
    from c2vl_lab.artifacts import write_json
    from c2vl_lab.config import from_dict, from_text, replace, to_dict
    from c2vl_lab.run_config import RunConfig
    from c2vl_lab.sharing.encoder_file import keep_encoder
    from c2vl_lab.sharing.opening import open_encoder
    from c2vl_lab.sharing.published import import_published

    run_dir = Path(options.run_dir)
    if (run_dir / "config.json").exists():
        raise ConfigError(f"{run_dir} is a run folder already and stays as it is; name another one.")
    given = from_text(RunConfig, options.settings)
    config = from_dict(RunConfig, given | {"arm": "imported", "encoder_from": str(run_dir)}, "settings")
    if options.code:
        encoder, description = import_published(options.file, options.code, options.stream, options.frames)
    else:
        taken = open_encoder(options.file)
        encoder, description = taken.encoder, taken.description
    keep_encoder(encoder, description, run_dir)
    write_json(run_dir / "config.json", to_dict(replace(config, **description.settings)))
    say(f"Imported: {description.origin}")
    say(f"Measure it: c2vl evaluate {run_dir}")
    return 0
