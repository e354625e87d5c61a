"""Checkpoints: one safetensors file for every tensor, a readable JSON beside it, and a strict way back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from c2vl_lab.artifacts import atomic_path, write_json
from c2vl_lab.errors import DataError, MissingError

FILE = "checkpoint.safetensors"
FAMILY = "c2vl_lab-checkpoint-"
FORMAT = FAMILY + "3"


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


def read_checkpoint(run_dir: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors by name, and the card.

    Raises:
        MissingError: the folder holds no checkpoint.
        DataError: the file is torn, foreign, of another format, or not what was written: one changed bit is found.
    """
    path = Path(run_dir) / FILE
    metadata, tensors = _open(path, with_tensors=True)
    if metadata.get("digest") != digest_of(tensors, metadata.get("card", "")):
        raise DataError(
            f"{path} is not what was written: its digest does not fit what it holds, as after a bad copy, a failing "
            "disk or an edit. Take a copy that is whole, or delete it and train again."
        )
    return tensors, _card(path, metadata)


def read_card(run_dir: Path) -> dict[str, Any]:
    """The card alone, unverified: quick, for messages.

    Raises:
        MissingError, DataError: as :func:`read_checkpoint`, without the digest.
    """
    path = Path(run_dir) / FILE
    return _card(path, _open(path, with_tensors=False)[0])


def digest_of(tensors: Mapping[str, Tensor], card: str) -> str:
    """SHA-256 over format, card and every tensor's name, type, shape and bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256(f"{FORMAT}\n{card}\n".encode())
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


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


def _open(path: Path, with_tensors: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and, if wanted, tensors of a checkpoint of this format."""
    if not path.exists():
        raise MissingError(
            f"No checkpoint at {path}. Run notebook 03_pretrain, `c2vl pretrain` or `c2vl bench` to train one."
        )
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            names = list(file.keys()) if with_tensors else []
            tensors = {name: file.get_tensor(name) for name in names}
    except Exception as error:  # safetensors raises many kinds on bytes that are none of its own
        raise DataError(f"{path} is not a readable safetensors file ({error}). Delete it and train again.") from error
    found = metadata.get("format")
    if found != FORMAT:
        ours = isinstance(found, str) and found.startswith(FAMILY)
        by = "another version of c2vl_lab" if ours else "another program"
        raise DataError(
            f"{path}: wanted a checkpoint of format {FORMAT}, found {found!r}. "
            f"It was written by {by}; move it away and train again."
        )
    return metadata, tensors


def _card(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The card that travels in the metadata."""
    try:
        card = json.loads(metadata.get("card", ""))
    except ValueError:
        card = None
    if not isinstance(card, dict):
        raise DataError(f"{path} does not say how it was made (no card in it). Delete it and train again.")
    return card
