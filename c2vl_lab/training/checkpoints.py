"""Checkpoints: one safetensors file for every tensor, a readable JSON beside it, and a strict way back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from c2vl_lab.artifacts import atomic_path, write_json
from c2vl_lab.errors import DataError
from c2vl_lab.weights import FAMILY, FILE, FORMAT, digest_of, read_card, read_checkpoint

__all__ = ["FAMILY", "FILE", "FORMAT", "digest_of", "read_card", "read_checkpoint", "restore", "save_checkpoint"]


def save_checkpoint(run_dir: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, card: dict) -> None:
    """Write model, optimiser state and ``card`` (plain JSON values), atomically.

    The card travels inside the safetensors file, so that one rename moves all that a resume needs; the JSON beside
    it is the same card for people. A digest over the card and every tensor goes with them.

    Raises:
        OSError: the file cannot be written; the one before it is as it was.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    if optimizer is not None:
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items()}
    # a copy each: safetensors refuses modules that share their weights
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()
    }
    path, text = Path(run_dir) / FILE, json.dumps(card, sort_keys=True)
    with atomic_path(path) as temporary:
        _write(tensors, temporary, {"format": FORMAT, "card": text, "digest": digest_of(tensors, text)})
    write_json(path.with_suffix(".json"), card)


def restore(tensors: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
    """Put checkpoint tensors into a model and, if given, its optimiser.

    Raises:
        DataError: the tensors do not fit the model or its optimiser.
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
    weights = dict(enumerate(p for group in optimizer.param_groups for p in group["params"]))
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            index, _, key = name.removeprefix("optimizer.").partition(".")
            weight = weights.get(int(index)) if index.isdigit() else None
            if weight is None or (value.ndim and value.shape != weight.shape):
                raise DataError(f"The checkpoint does not fit the optimiser: {name} of shape {tuple(value.shape)}.")
            moments.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def _write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file; what the system says against it comes as an ``OSError``, whoever heard it."""
    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        reason = re.sub(r"^.*I/O error: | \(os error \d+\).*$", "", str(error))
        raise OSError(int(number[1]) if number else 0, reason) from error
