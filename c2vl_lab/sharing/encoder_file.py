"""``encoder.safetensors``: an encoder's weights and all that is needed to use them, in one file that nobody can bend.

The metadata has one entry, ``c2vl``: a JSON object with the format, the description, and a digest over the description
and every tensor.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.config import to_dict
from c2vl_lab.errors import ConfigError, DataError
from c2vl_lab.models.base import Encoder
from c2vl_lab.models.encoders import build_encoder
from c2vl_lab.sharing.description import Description, described
from c2vl_lab.weights import digest_of

FILE = "encoder.safetensors"
FORMAT = "c2vl_lab-encoder-1"
KEY = "c2vl"
LONGEST_HEADER = 2**24  # bytes; that of the largest encoder here has 60 kB


def encoder_bytes(encoder: Encoder, description: Description) -> bytes:
    """The file's content; the same weights and description give the same bytes."""
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in encoder.state_dict().items()
    }
    text = json.dumps(to_dict(description), sort_keys=True)
    said = {"format": FORMAT, "description": text, "digest": digest_of(tensors, text, FORMAT)}
    return save(tensors, {KEY: json.dumps(said, sort_keys=True)})  # one entry: the order of several is not fixed


def keep_encoder(encoder: Encoder, description: Description, folder: str | Path) -> Path:
    """Write an encoder into a folder, which then can be opened like an unpacked archive.

    Raises:
        ConfigError: the folder holds another encoder, which stays.
    """
    path, content = Path(folder) / FILE, encoder_bytes(encoder, description)
    if path.exists() and path.read_bytes() != content:
        raise ConfigError(f"{path} is another encoder and stays as it is; name another folder.")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path


def read_encoder(content: bytes, where: str) -> tuple[Encoder, Description]:
    """The encoder in evaluation mode, on the processor, and its description.

    Args:
        content: the file's bytes.
        where: how messages name the file.

    Raises:
        DataError: foreign, cut or changed bytes, or weights that do not fit the described network.
        ConfigError: the network is not known here (one of somebody's own).
    """
    said = _said(content, where)
    try:
        tensors = load(content)
    except Exception as error:  # safetensors raises many kinds
        raise DataError(f"{where} is damaged ({error}). Take a copy that is whole.") from error
    text = said.get("description")
    if not isinstance(text, str) or said.get("digest") != digest_of(tensors, text, FORMAT):
        raise DataError(
            f"{where} is not what was packed: its digest does not fit what it holds, as after a bad copy or an edit. "
            "Take a copy that is whole."
        )
    description = described(_json(text), where)
    encoder = build_encoder(description.encoder, description.skeleton.layout, description.width)
    fill(encoder, tensors, where)
    return encoder, description


def fill(encoder: Encoder, tensors: dict[str, Tensor], where: str) -> None:
    """Put weights into a network and set it to evaluation.

    Raises:
        DataError: they do not fit; the first that does not is named.
    """
    try:
        encoder.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).split("\n", 2)[1].strip() if "\n" in str(error) else str(error)
        raise DataError(f"{where} holds weights that do not fit the encoder '{encoder.name}': {first}") from error
    encoder.eval()


def _said(content: bytes, where: str) -> dict[str, Any]:
    """What the metadata says.

    Raises:
        DataError: it is no encoder file of this format.
    """
    found: Any = None
    if len(content) >= 8:
        (length,) = struct.unpack("<Q", content[:8])
        if length <= min(LONGEST_HEADER, len(content) - 8):
            header = _json(content[8 : 8 + length])
            found = header.get("__metadata__") if isinstance(header, dict) else None
    said = _json(found.get(KEY)) if isinstance(found, dict) else None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        form = said.get("format") if isinstance(said, dict) else None
        raise DataError(
            f"{where}: wanted an encoder of format {FORMAT}, found {form or 'another file'!r}. "
            "`c2vl pack RUN` makes one."
        )
    return said


def _json(text: Any) -> Any:
    """The value that a text holds; None for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
