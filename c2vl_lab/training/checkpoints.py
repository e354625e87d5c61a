"""Checkpoints: one safetensors file for every tensor, a readable JSON beside it, and a strict way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from c2vl_lab.artifacts import atomic_path, write_json
from c2vl_lab.errors import DataError, MissingError

FILE = "checkpoint.safetensors"
FORMAT = "c2vl_lab-checkpoint-2"


def save_checkpoint(run_dir: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, card: dict) -> None:
    """Write model, optimiser state and ``card`` (plain JSON values), atomically.

    The card travels inside the safetensors file, so that one rename moves all that a resume needs; the JSON beside
    it is the same card for people.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    if optimizer is not None:
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items()}
    # a copy each: safetensors refuses modules that share their weights
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()
    }
    path = Path(run_dir) / FILE
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"format": FORMAT, "card": json.dumps(card, sort_keys=True)})
    write_json(path.with_suffix(".json"), card)


def read_checkpoint(run_dir: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors by name, and the card.

    Raises:
        MissingError: the folder holds no checkpoint.
        DataError: the file is torn, foreign or of another format.
    """
    path = Path(run_dir) / FILE
    if not path.exists():
        raise MissingError(f"No checkpoint at {path}. Run notebook 03_pretrain, or `c2vl bench`, to train one.")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable safetensors file ({error}). Delete it and train again.") from error
    if metadata.get("format") != FORMAT:
        raise DataError(
            f"{path}: wanted a checkpoint of format {FORMAT}, found {metadata.get('format')!r}. "
            "It was written by another program or version; move it away and train again."
        )
    return tensors, json.loads(metadata["card"])


def restore(tensors: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
    """Put checkpoint tensors into a model and, if given, its optimiser.

    Raises:
        DataError: the tensors do not fit the model.
    """
    state = {name[6:]: value for name, value in tensors.items() if name.startswith("model.")}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).split("\n", 2)[1].strip() if "\n" in str(error) else str(error)
        raise DataError(f"The checkpoint does not fit the model: {first}") from error
    if optimizer is None:
        return
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            moments.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
