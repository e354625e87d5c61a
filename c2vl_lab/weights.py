"""A run's checkpoint file, read strictly: training writes it, sharing opens it without any training code.

One safetensors file holds every tensor, and in its metadata the card and a digest over both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from c2vl_lab.errors import DataError, MissingError

FILE = "checkpoint.safetensors"
FAMILY = "c2vl_lab-checkpoint-"
FORMAT = FAMILY + "3"


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


def digest_of(tensors: Mapping[str, Tensor], card: str, form: str = FORMAT) -> str:
    """SHA-256 over the file's format, card and every tensor's name, type, shape and bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256(f"{form}\n{card}\n".encode())
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


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
