"""``c2vl pretrain``: train one encoder, on one device or on several; the same fit as the notebooks'."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2vl_lab.errors import C2VLError

if TYPE_CHECKING:
    from c2vl_lab.run_config import RunConfig


def add_pretrain(parser: argparse.ArgumentParser) -> None:
    """The options of ``c2vl pretrain``."""
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="parameters of 06_benchmark: epochs=60")
    parser.add_argument("--run-dir", required=True, metavar="DIR", help="the run's folder; a cut run goes on there")
    parser.add_argument("--parameters", default="", metavar="FILE", help="JSON file of settings; those above win")
    parser.add_argument("--devices", type=int, default=1, metavar="N", help="GPUs, or processes with device=cpu")


def pretrain_run(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Run ``c2vl pretrain``; also what each of torchrun's processes executes."""
    from c2vl_lab.config import from_dict, from_text
    from c2vl_lab.launch import start, wait
    from c2vl_lab.run_config import TRAINED, RunConfig

    given = _settings_in(Path(options.parameters)) if options.parameters else {}
    config = from_dict(RunConfig, {**given, **from_text(RunConfig, options.settings)}, "settings")
    if options.devices == 1 or config.arm not in TRAINED:
        _train(config, Path(options.run_dir), say)
    else:
        wait(start(config, options.run_dir, options.devices), say)
    return 0


def _settings_in(path: Path) -> dict[str, Any]:
    """The settings of training among a notebook's parameters; what else the notebook has is its own affair."""
    from c2vl_lab.artifacts import read_json
    from c2vl_lab.run_config import RunConfig

    known = {f.name for f in fields(RunConfig)}
    return {name: value for name, value in read_json(path).items() if name in known}


def _train(config: RunConfig, run_dir: Path, say: Callable[[str], None]) -> None:
    """Train in this process, which may be one of several."""
    from c2vl_lab.artifacts import only_writer
    from c2vl_lab.dist import joined, rank, world_size
    from c2vl_lab.experiment import Experiment, open_experiment, pretrain
    from c2vl_lab.training.settings import pick_device

    def opened(progress: Callable[[str], None] | None) -> Experiment:
        if world_size() == 1:
            return open_experiment(config, progress)
        with only_writer(run_dir / "opening"):  # the first fills the caches, however long it takes; the others read
            experiment = open_experiment(config, progress)
            for modality in config.modality_names if config.uses_concepts else ():
                experiment.training_features(modality)
            return experiment

    with joined(pick_device(config.device)):
        try:
            progress = say if rank() == 0 else None
            pretrain(opened(progress), run_dir, progress)
        except C2VLError as error:
            if rank() == 0:
                raise
            raise type(error)(f"(process {rank()}) {error}") from error  # mostly what process 0 says too
        if progress is not None:
            progress(f"Run folder: {run_dir}")
