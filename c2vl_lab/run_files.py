"""The small files of a run folder that say what the run is: settings, joints and people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import read_json, write_json
from c2vl_lab.config import to_dict
from c2vl_lab.data.disk import write_remedy
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.dist import rank
from c2vl_lab.errors import MissingError, StorageError
from c2vl_lab.run_config import TRAINED, RunConfig
from c2vl_lab.sharing.description import write_skeleton


def keep_skeleton(config: RunConfig, layout: JointLayout, people: int, run_dir: str | Path) -> None:
    """Write beside a trained run which joints and people its encoder reads; of several processes one writes."""
    if rank() == 0 and config.arm in TRAINED:
        write_skeleton(Path(run_dir), layout, people)


def write_config(config: RunConfig, run_dir: Path) -> None:
    """The run's settings beside its checkpoint; of several processes one writes.

    Raises:
        StorageError: the folder cannot be written to.
    """
    if rank() > 0:
        return
    try:
        write_json(run_dir / "config.json", to_dict(config))
    except OSError as error:
        remedy = write_remedy(error.errno, "run folder (run_dir)")
        raise StorageError(f"{run_dir}/config.json cannot be written ({error.strerror or error}). {remedy}.") from error


def load_config(run_dir: str | Path) -> dict[str, Any]:
    """Settings of an earlier run."""
    path = Path(run_dir) / "config.json"
    if not path.exists():
        raise MissingError(
            f"No config.json in {run_dir}. It is no run folder; 03_pretrain or `c2vl pretrain` makes one."
        )
    return read_json(path)
