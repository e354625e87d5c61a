"""A plain ST-GCN, as the contrastive skeleton field runs it; what the fast one is checked and timed against.

Written from the description of the network (Yan et al., arXiv 1801.07455) and of the field's usual steps: clips as
(N, 3, T, V, M), bodies as further clips, a 1x1 convolution to three times the channels, one einsum with the partitioned
adjacency, batch norm, temporal convolution of kernel 9, dropout, residual. Parameters and buffers bear the same names
as those of :class:`c2vl_lab.models.stgcn.STGCN`, so that a state dict of either loads into the other.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)


class PlainBlock(nn.Module):
    """Graph convolution, temporal convolution, residual; (B, C, T, V) -> (B, C', T', V)."""

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float, residual: bool) -> None:
        super().__init__()
        self.mix = nn.Conv2d(inputs, 3 * outputs, 1)
        self.mix_norm = nn.BatchNorm2d(outputs)
        self.time = nn.Conv2d(outputs, outputs, (9, 1), (stride, 1), (4, 0))
        self.time_norm = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout, inplace=True)
        self.residual = residual
        self.changed = residual and (inputs != outputs or stride != 1)
        if self.changed:
            self.skip = nn.Conv2d(inputs, outputs, 1, (stride, 1))
            self.skip_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """The block's output."""
        skip = 0 if not self.residual else self.skip_norm(self.skip(x)) if self.changed else x
        mixed = self.mix(x)
        batch, channels, frames, joints = mixed.shape
        mixed = mixed.view(batch, 3, channels // 3, frames, joints)
        mixed = torch.einsum("nkctv,kvw->nctw", mixed, adjacency).contiguous()
        out = self.time(F.relu(self.mix_norm(mixed), inplace=True))
        return F.relu(self.dropout(self.time_norm(out)) + skip, inplace=True)


class PlainSTGCN(nn.Module):
    """The ten blocks; (N, 3, T, V, M) -> (N, dim).

    Args:
        adjacency: (3, V, V) partitioned, normalised adjacency.
        width: channels of the first block.
        dim: channels of the last block.
        dropout: in every block but the first.
    """

    def __init__(self, adjacency: Tensor, width: int = 16, dim: int = 256, dropout: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.normal = nn.BatchNorm1d(3 * adjacency.shape[-1])
        outputs = [width] * 4 + [2 * width] * 3 + [4 * width] * 2 + [dim]
        inputs = [3, *outputs[:-1]]
        self.blocks = nn.ModuleList(
            PlainBlock(inputs[i], outputs[i], STRIDES[i], dropout if i else 0.0, i > 0) for i in range(len(outputs))
        )
        self.importance = nn.ParameterList(nn.Parameter(torch.ones_like(adjacency)) for _ in outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the clips."""
        count, channels, frames, joints, bodies = x.shape
        x = x.permute(0, 4, 3, 1, 2).contiguous().view(count * bodies, joints * channels, frames)
        x = self.normal(x).view(count, bodies, joints, channels, frames)
        x = x.permute(0, 1, 3, 4, 2).contiguous().view(count * bodies, channels, frames, joints)
        for block, importance in zip(self.blocks, self.importance, strict=True):
            x = block(x, self.adjacency * importance)
        return F.avg_pool2d(x, x.shape[2:]).view(count, bodies, -1).mean(dim=1)
