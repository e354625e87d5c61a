"""Released weights of AimCLR, CrosSCLR (SkeletonCLR) and ActCLR as encoders here.

Facts read from the public repositories (Levigty/AimCLR, LinguoLi/CrosSCLR, LanglandsLin/ActCLR; their files
``net/st_gcn.py``, ``net/utils/graph.py``, ``net/*clr*.py``, ``feeder/NTUDatasets.py``); no code is theirs. A file is a
state dict of the whole model: query encoder ``encoder_q`` (CrosSCLR: also ``encoder_q_motion`` and ``encoder_q_bone``),
key encoder, queues, projection ``fc``. Taken is one query encoder without its projection, which is what their linear
evaluation sees. They read arrays (N, 3, 50, 25, 2): NTU's 25 joints in NTU's order, two bodies, each moved to its own
joint 21 and turned in every frame, resized to 50 frames, in metres.

No released file could be loaded when this was written (none was to be had here): names, shapes and results are tested
against a network written anew from these facts.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from c2vl_lab.artifacts import file_sha256
from c2vl_lab.data.align import PrepareConfig
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.errors import DataError, MissingError, choose
from c2vl_lab.models.base import Encoder
from c2vl_lab.models.published_stgcn import PEOPLE, PublishedSTGCN
from c2vl_lab.sharing.description import Description, Skeleton

LARGEST = 2**30  # bytes of a file and of what it unpacks to; the released ones have about 25 MB
DEEPEST = 256  # channels of the last block, in all published settings
FRAMES = 50
ENCODERS_OF = {  # code base -> stream -> name of the encoder in its state dict; None: told by nothing in the file
    "aimclr": {"joint": "encoder_q", "bone": "encoder_q", "motion": "encoder_q"},
    "skeletonclr": {"joint": "encoder_q", "bone": "encoder_q", "motion": "encoder_q"},
    "crossclr": {"joint": "encoder_q", "bone": "encoder_q_bone", "motion": "encoder_q_motion"},
    "actclr": {"joint": "encoder_q", "bone": "encoder_q", "motion": "encoder_q"},
}
TITLES = {"aimclr": "AimCLR", "skeletonclr": "SkeletonCLR", "crossclr": "CrosSCLR", "actclr": "ActCLR"}
# what belongs to training and is left where it is: by the start of a name
LEFT = ("encoder_q", "encoder_k", "queue")
# their names inside a block -> ours
BLOCK = {
    "gcn.conv": "mix",
    "tcn.0": "mix_norm",
    "tcn.2": "time",
    "tcn.3": "time_norm",
    "residual.0": "skip",
    "residual.1": "skip_norm",
}
SHOWN = 20  # names in a message


def import_published(
    path: str | Path, code: str, stream: str = "joint", frames: int = FRAMES
) -> tuple[Encoder, Description]:
    """An encoder out of a checkpoint of another code base.

    Args:
        path: the ``.pt`` file, read with ``weights_only=True``: tensors and nothing else.
        code: "aimclr", "skeletonclr", "crossclr" (its three-stream file) or "actclr".
        stream: "joint", "bone" or "motion". A CrosSCLR file holds all three; the other files do not say which they
            were trained on, so it has to be known.
        frames: what clips are resized to; 50 in their settings, 64 in some of ActCLR's.

    Raises:
        MissingError: there is no such file.
        ConfigError: unknown code base or stream.
        DataError: no state dict, names that are unknown or missing (all are listed), other shapes, or another graph.
    """
    path = Path(path)
    prefix = choose(stream, choose(code, ENCODERS_OF, "code base"), "stream")
    weights = _own(read_state(path), prefix, path)
    adjacency = weights.pop("A", None)
    width = _width(weights, path)
    encoder = PublishedSTGCN(NTU25, width)
    if adjacency is not None and not (
        adjacency.shape == encoder.adjacency.shape and torch.allclose(adjacency, encoder.adjacency, atol=1e-6)
    ):
        raise DataError(f"{path}: wanted the graph of 25 NTU joints in 3 partitions (A), found another one.")
    encoder.load_state_dict(_translated(weights, encoder, prefix, path))
    encoder.eval()
    origin = f"{TITLES[code]}, {prefix} of {path.name}, stream {stream}, SHA-256 {file_sha256(path)}"
    prepare = PrepareConfig(frames=frames, align="frame50", origin="frame", scale=False)
    skeleton = Skeleton.of(NTU25, PEOPLE)
    return encoder, Description(encoder.name, width, stream, frames, skeleton, prepare, origin)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch file by name, and nothing else: no code of the file runs.

    Raises:
        MissingError: there is no such file.
        DataError: it holds other things than tensors, or is too large.
    """
    if not path.is_file():
        raise MissingError(f"There is no checkpoint {path}.")
    if max(path.stat().st_size, _unpacked(path)) > LARGEST:
        raise DataError(f"{path}: wanted a checkpoint of at most {LARGEST} bytes, found more.")
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on what it will not load
        raise DataError(
            f"{path} is no file of weights alone, and nothing else is loaded (weights_only=True): "
            f"{str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__}"
        ) from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not found or not all(isinstance(v, Tensor) for v in found.values()):
        raise DataError(
            f"{path}: wanted a state dict, names with tensors; found {type(found).__name__} of other things."
        )
    return {str(name).removeprefix("module."): value for name, value in found.items()}


def _unpacked(path: Path) -> int:
    """Bytes that a zip says it unpacks to; 0 for other files, such as those of PyTorch before 1.6."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError):
        return 0


def _own(state: dict[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    """The query encoder's tensors without its projection; refuses what belongs to no model of these."""
    unknown = [name for name in state if not name.startswith(LEFT)]
    own = {name.removeprefix(f"{prefix}."): value for name, value in state.items() if name.startswith(f"{prefix}.")}
    if unknown or not own:
        held = sorted({name.partition(".")[0] for name in state})
        raise DataError(
            f"{path}: wanted a model with {prefix}.*, beside it at most encoder_k* and queue*; "
            + (f"unknown: {_names(unknown)}." if unknown else f"found only {_names(held)}.")
        )
    return {name: value for name, value in own.items() if not name.startswith("fc.")}


def _width(weights: dict[str, Tensor], path: Path) -> int:
    """Channels of the first block."""
    first = weights.get("st_gcn_networks.0.tcn.0.weight")
    if first is None or first.ndim != 1 or not 1 <= len(first) <= 512:
        raise DataError(f"{path}: wanted ST-GCN weights, st_gcn_networks.0.tcn.0.weight among them, found none.")
    return len(first)


def _translated(weights: dict[str, Tensor], encoder: PublishedSTGCN, prefix: str, path: Path) -> dict[str, Tensor]:
    """Their tensors under our names; edge importance that a file has not is 1 everywhere.

    Raises:
        DataError: names that are unknown or missing, or a shape that does not fit.
    """
    wanted = encoder.state_dict()
    found = {_our_name(name): value for name, value in weights.items()}
    if not any(name.startswith("importance.") for name in found):  # trained with edge_importance_weighting off
        found |= {name: value for name, value in wanted.items() if name.startswith("importance.")}
    found |= {
        name: value for name, value in wanted.items() if name.endswith("num_batches_tracked") and name not in found
    }
    unknown = [f"{prefix}.{name}" for name in weights if _our_name(name) not in wanted]
    missing = [f"{prefix}.{_their_name(name)}" for name in wanted if name not in found]
    if unknown or missing:
        said = [f"{word}: {_names(names)}" for word, names in (("unknown", unknown), ("missing", missing)) if names]
        raise DataError(f"{path} does not hold the ST-GCN of {prefix}; {'; '.join(said)}.")
    for name, value in wanted.items():
        if found[name].shape != value.shape:
            shapes = f"{tuple(value.shape)}, found {tuple(found[name].shape)}"
            raise DataError(f"{path}: {prefix}.{_their_name(name)} wanted shape {shapes} (feature width {DEEPEST}).")
    return found


def _our_name(name: str) -> str:
    """Their name of a tensor -> ours; unknown ones stay."""
    if name.startswith("data_bn."):
        return f"normal.{name.removeprefix('data_bn.')}"
    if name.startswith("edge_importance."):
        return f"importance.{name.removeprefix('edge_importance.')}"
    part, _, rest = name.removeprefix("st_gcn_networks.").partition(".")
    inner, _, value = rest.rpartition(".")
    return f"blocks.{part}.{BLOCK[inner]}.{value}" if name.startswith("st_gcn_networks.") and inner in BLOCK else name


def _their_name(name: str) -> str:
    """Our name of a tensor -> theirs."""
    head, _, rest = name.partition(".")
    if head != "blocks":
        return f"{ {'normal': 'data_bn', 'importance': 'edge_importance'}[head] }.{rest}"
    part, inner, value = rest.split(".")
    return f"st_gcn_networks.{part}.{next(theirs for theirs, ours in BLOCK.items() if ours == inner)}.{value}"


def _names(names: list[str]) -> str:
    """A list of names for a message, cut where it is long."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more
