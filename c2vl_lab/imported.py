"""A run of an encoder from elsewhere: its clips are normalised, resampled and mapped as that encoder wants them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from c2vl_lab.config import replace
from c2vl_lab.data.joined import ClipRows, in_layout
from c2vl_lab.data.readers.frame50 import COORDINATES as FRAME50
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.transforms import prepare
from c2vl_lab.run_config import RunConfig
from c2vl_lab.sharing.opening import OpenedEncoder, open_encoder


def with_imported(
    config: RunConfig, store: SkeletonStore, device: str, progress: Callable[[str], None] | None
) -> tuple[RunConfig, OpenedEncoder, ClipRows]:
    """Open the encoder of arm "imported" and prepare a store's clips for it.

    Returns:
        the settings with those that the encoder brings along, the encoder on ``device``, and (N, T, M, V, 3) clips in
        its joints and with at least its number of people.

    Raises:
        C2VLError: no such encoder, a damaged one, or a skeleton that cannot be mapped to its joints.
    """
    taken = open_encoder(config.encoder_from)
    own, way = taken.description, taken.description.prepare
    if way.align == "frame50" and store.meta["notes"].get("coordinates") == FRAME50:
        way = replace(way, align="none")  # the arrays are what these converters left; twice would be another thing
    clips = prepare(store, way, Path(config.work_dir) / "cache", progress)
    taken.encoder.to(device)
    return replace(config, **own.settings), taken, in_layout(store, clips, taken.layout, own.skeleton.people)
