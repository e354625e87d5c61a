"""ST-GCN (Yan et al., arXiv 1801.07455) as the contrastive skeleton field uses it: width 16 (1/4) or 64 (full).

One module and one state dict, two forms of the same mathematics: on a processor :mod:`~c2vl_lab.models.stgcn_cpu`,
elsewhere :func:`wide_form`, which leaves a compiler the least to do.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, dropout

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.models.base import Encoder
from c2vl_lab.models.graph import spatial_partitions
from c2vl_lab.models.neighbours import Edges
from c2vl_lab.models.shared_norms import SharedBatchNorm
from c2vl_lab.models.stgcn_cpu import narrow_form

STRIDES = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)


class GraphBlock(nn.Module):
    """Parameters of a block: graph convolution, temporal convolution of kernel 9, residual path.

    Args:
        inputs, outputs: channels.
        parts: partitions of the graph.
        stride: over time.
        dropout: after the temporal convolution.
        residual: whether there is a residual path.
    """

    def __init__(self, inputs: int, outputs: int, parts: int, stride: int, dropout: float, residual: bool) -> None:
        super().__init__()
        self.mix = nn.Conv2d(inputs, outputs * parts, 1)
        self.mix_norm = nn.BatchNorm2d(outputs)
        self.time = nn.Conv2d(outputs, outputs, (9, 1), (stride, 1), (4, 0))
        self.time_norm = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.dropout = dropout
        self.residual = residual
        self.skip: nn.Conv2d | None = None
        self.skip_norm: nn.BatchNorm2d | None = None
        if residual and (inputs != outputs or stride != 1):
            self.skip = nn.Conv2d(inputs, outputs, 1, (stride, 1))
            self.skip_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """(B, C, T, V), adjacency (K, V, V) -> (B, C', T', V): the form for a GPU, all of it with the channels last."""
        batch, inputs, frames, joints = x.shape
        parts = len(adjacency)
        # neighbours are added up before the channels are mixed: the graph product is then on C and not on K C' channels
        collect = adjacency.permute(2, 0, 1).reshape(joints * parts, joints)  # rows (w, k)
        sums = torch.matmul(collect, x.permute(0, 2, 3, 1)).view(batch, frames, joints, parts * inputs)
        kernel = self.mix.weight.view(parts, -1, inputs).permute(1, 0, 2).reshape(-1, parts * inputs, 1, 1)
        mixed = conv2d(sums.permute(0, 3, 1, 2), kernel)
        offset = adjacency.sum(dim=1).t() @ cast(Tensor, self.mix.bias).view(parts, -1)  # (V, C')
        out = torch.relu(self.mix_norm(mixed + offset.t()[:, None]))
        out = dropout(self.time_norm(self.time(out)), self.dropout, self.training)
        if self.skip is not None and self.skip_norm is not None:
            out = out + self.skip_norm(self.skip(x))
        elif self.residual:
            out = out + x
        return torch.relu(out)


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
        self.dropout = dropout
        self.adjacency: Tensor
        self.register_buffer("adjacency", torch.from_numpy(spatial_partitions(layout)), persistent=False)
        self.edges = Edges.of(self.adjacency)
        self.normal = nn.BatchNorm1d(3 * len(layout))
        outputs = [width] * 4 + [2 * width] * 3 + [4 * width] * 2 + [dim]
        parts = len(self.adjacency)
        blocks, previous = [], 3
        for index, (channels, stride) in enumerate(zip(outputs, STRIDES, strict=True)):
            first = index == 0
            blocks.append(GraphBlock(previous, channels, parts, stride, 0.0 if first else dropout, not first))
            previous = channels
        self.blocks = nn.ModuleList(blocks)
        self.importance = nn.ParameterList([torch.ones_like(self.adjacency) for _ in blocks])

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, 3, T, V, M) -> (N, dim)."""
        # the narrow form's own kernels know neither norms shared by processes nor mixed precision
        shared = self.training and isinstance(self.normal, SharedBatchNorm)
        narrow = x.device.type == "cpu" and not shared and not torch.is_autocast_enabled("cpu")
        return narrow_form(self, x) if narrow else wide_form(self, x)


def wide_form(model: STGCN, x: Tensor) -> Tensor:
    """The form for a GPU: few large operations on (B, C, T, V) with the channels last, nothing that depends on data."""
    count, channels, frames, joints, bodies = x.shape
    flat = x.permute(0, 4, 3, 1, 2).reshape(count * bodies, joints * channels, frames)
    flat = model.normal(flat).view(count * bodies, joints, channels, frames).permute(0, 2, 3, 1)
    flat = flat.contiguous(memory_format=torch.channels_last)
    for block, importance in zip(model.blocks, model.importance, strict=True):
        flat = block(flat, model.adjacency * importance)
    exact = torch.promote_types(flat.dtype, torch.float32)  # a mean of bfloat16 would be rounded to it
    return flat.mean(dim=(2, 3), dtype=exact).view(count, bodies, -1).mean(dim=1)
