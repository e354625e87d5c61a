"""States of a run's weights that are kept while it trains, to see later how the joint space came about.

A state holds the encoder, the heads and the poolings, which is what places clips in the joint space; neither optimiser
nor momentum copies, so no training can go on from it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import nn

from c2vl_lab.errors import DataError, MissingError
from c2vl_lab.learners.base import Learner
from c2vl_lab.training.checkpoints import FILE, read_checkpoint, save_checkpoint

FOLDER = "states"
PARTS = ("encoder", "heads", "pools")
NAME = re.compile(r"epoch-(\d+)$")


def save_state(run_dir: Path, learner: Learner, epoch: int, card: dict[str, Any]) -> Path:
    """Write the learner's present state as ``states/epoch-NNNN/``; returns the folder.

    Raises:
        OSError: it cannot be written.
    """
    folder = Path(run_dir) / FOLDER / f"epoch-{epoch:04d}"
    save_checkpoint(folder, _parts(learner), None, {**card, "epoch": epoch})
    return folder


def kept_states(run_dir: str | Path) -> dict[int, Path]:
    """Epoch to folder of the states that were kept, in their order; none where ``keep_every`` was 0."""
    folders = (Path(run_dir) / FOLDER).glob("epoch-*")
    found = {int(name[1]): folder for folder in folders if (name := NAME.search(folder.name))}
    return {epoch: found[epoch] for epoch in sorted(found) if (found[epoch] / FILE).is_file()}


def load_state(folder: Path, learner: Learner) -> dict[str, Any]:
    """Put a kept state into a learner; returns its card.

    Raises:
        MissingError: there is none in the folder.
        DataError: it is damaged, or of another kind of learner.
    """
    if not (Path(folder) / FILE).is_file():
        raise MissingError(f"No state at {folder}. keep_every=10 keeps one every 10 epochs of training.")
    tensors, card = read_checkpoint(folder)
    try:
        _parts(learner).load_state_dict({name.removeprefix("model."): value for name, value in tensors.items()})
    except RuntimeError as error:
        raise DataError(
            f"{folder} holds the state of another learner ({str(error).splitlines()[-1].strip()})."
        ) from error
    return card


def _parts(learner: Learner) -> nn.ModuleDict:
    """What places clips in the joint space."""
    return nn.ModuleDict({name: part for name in PARTS if isinstance(part := getattr(learner, name, None), nn.Module)})
