"""Clips to features: the trained encoder on whole clips, deterministic, in batches."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from c2vl_lab.data.augment import whole_clip
from c2vl_lab.data.joined import ClipRows
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.models.encoders import as_input
from c2vl_lab.models.memory import keep_freed_memory


@torch.no_grad()
def embed(
    encoder: nn.Module, clips: ClipRows, layout: JointLayout, stream: str, frames: int, device: str, batch: int = 256
) -> np.ndarray:
    """Encoder features of prepared clips, without augmentation.

    Args:
        encoder: maps (N, 3, T, V, M) to (N, D).
        clips: (N, T, M, V, 3) normalised coordinates.
        layout: joint layout of the clips.
        stream: joint, bone or motion.
        frames: frames that the encoder sees of each clip.
        device: where to compute.
        batch: clips at a time.

    Returns:
        (N, D) float32.
    """
    if device == "cpu":
        keep_freed_memory()
    encoder.eval()
    parts = []
    for start in range(0, len(clips), batch):
        part = torch.from_numpy(np.array(clips[start : start + batch])).to(device)  # a copy: the clips may be on disk
        parts.append(encoder(as_input(whole_clip(part, frames), layout, stream)).float().cpu().numpy())
    return np.concatenate(parts)
