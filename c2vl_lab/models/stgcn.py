"""ST-GCN (Yan et al., arXiv 1801.07455) as the contrastive skeleton field uses it: width 16 (1/4) or 64 (full)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.models.base import Encoder
from c2vl_lab.models.graph import spatial_partitions


class GraphBlock(nn.Module):
    """Graph convolution over joints, then a temporal convolution of kernel 9, with a residual path."""

    def __init__(self, inputs: int, outputs: int, parts: int, stride: int, dropout: float, residual: bool) -> None:
        super().__init__()
        self.mix = nn.Conv2d(inputs, outputs * parts, 1)
        self.parts = parts
        self.time = nn.Sequential(
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, (9, 1), (stride, 1), (4, 0)),
            nn.BatchNorm2d(outputs),
            nn.Dropout(dropout),
        )
        self.skip: nn.Module | None = None
        if residual and inputs == outputs and stride == 1:
            self.skip = nn.Identity()
        elif residual:
            self.skip = nn.Sequential(nn.Conv2d(inputs, outputs, 1, (stride, 1)), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """x: (B, C, T, V), adjacency: (K, V, V) -> (B, C', T', V)."""
        batch, _, frames, joints = x.shape
        mixed = self.mix(x).view(batch, self.parts, -1, frames, joints)
        out = self.time(torch.einsum("bkctv,kvw->bctw", mixed, adjacency))
        return torch.relu(out if self.skip is None else out + self.skip(x))


class STGCN(Encoder):
    """Ten graph blocks, mean over time, joints and bodies.

    Args:
        layout: joint layout (graph).
        width: channels of the first block: 16 (the field's 1/4 width) or 64 (full).
        dim: channels of the last block, the feature width (256 in the field).
        dropout: in every block but the first.
    """

    name = "stgcn"
    default_width = 16

    def __init__(self, layout: JointLayout, width: int = 16, dim: int = 256, dropout: float = 0.5) -> None:
        super().__init__()
        self.dim = dim
        self.adjacency: Tensor
        self.register_buffer("adjacency", torch.from_numpy(spatial_partitions(layout)), persistent=False)
        self.normal = nn.BatchNorm1d(3 * len(layout))
        outputs = [width] * 4 + [2 * width] * 3 + [4 * width] * 2 + [dim]
        strides = [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]
        parts = len(self.adjacency)
        blocks, previous = [], 3
        for index, (channels, stride) in enumerate(zip(outputs, strides, strict=True)):
            first = index == 0
            blocks.append(GraphBlock(previous, channels, parts, stride, 0.0 if first else dropout, not first))
            previous = channels
        self.blocks = nn.ModuleList(blocks)
        self.importance = nn.ParameterList([torch.ones_like(self.adjacency) for _ in blocks])

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, 3, T, V, M) -> (N, dim)."""
        count, channels, frames, joints, bodies = x.shape
        flat = x.permute(0, 4, 3, 1, 2).reshape(count * bodies, joints * channels, frames)
        flat = self.normal(flat).view(count * bodies, joints, channels, frames).permute(0, 2, 3, 1)
        for block, importance in zip(self.blocks, self.importance, strict=True):
            flat = block(flat, self.adjacency * importance)
        return flat.mean(dim=(2, 3)).view(count, bodies, -1).mean(dim=1)
