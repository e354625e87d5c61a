"""Encoders by name, and the streams they may read."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import choose
from c2vl_lab.models.registry import ENCODERS, build_encoder, register_encoder

__all__ = ["ENCODERS", "STREAMS", "as_input", "build_encoder", "parameter_count", "register_encoder"]


def _joint(x: Tensor, layout: JointLayout) -> Tensor:
    return x


def _bone(x: Tensor, layout: JointLayout) -> Tensor:
    return x - torch.stack([x[:, :, :, parent] for parent in layout.parents], dim=3)


def _motion(x: Tensor, layout: JointLayout) -> Tensor:
    step = torch.zeros_like(x)
    step[:, :-1] = x[:, 1:] - x[:, :-1]  # the field's convention: the last frame is 0
    return step


STREAMS: dict[str, Callable[[Tensor, JointLayout], Tensor]] = {"joint": _joint, "bone": _bone, "motion": _motion}


def as_input(clips: Tensor, layout: JointLayout, stream: str) -> Tensor:
    """Encoder input (N, 3, T, V, M) of a stream from coordinates (N, T, M, V, 3).

    Raises:
        ConfigError: unknown stream; the near miss is named.
    """
    return choose(stream, STREAMS, "stream")(clips, layout).permute(0, 4, 1, 3, 2).contiguous()


def parameter_count(encoder: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in encoder.parameters() if p.requires_grad)
