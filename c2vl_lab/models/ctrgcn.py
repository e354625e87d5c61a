"""CTR-GCN (Chen et al., ICCV 2021, arXiv 2107.12213): a graph network that refines its graph for every channel.

Written from the paper's description: a graph convolution has a learned topology that starts as the body's graph and is
shared by all channels, and a correction for each channel made from pairwise differences of the joints' pooled features;
three of them work in parallel; a temporal module of four branches follows; ten such blocks have 64 to 256 channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.models.graph import spatial_partitions
from c2vl_lab.models.per_body import BodyEncoder, JointNormal, check_width

REDUCTION = 8  # the paper's r: features to relation channels
BRANCHES = 4
KERNEL, DILATIONS = 5, (1, 2)


class RefinedGraphConv(nn.Module):
    """Channel-wise topology refinement, the paper's CTR-GC.

    Channel c collects joint v for joint w with weight A[v, w] + alpha * xi(tanh(phi(x_w) - psi(x_v)))_c, where x is
    pooled over time. At least 8 relation channels are kept at every width (our choice; the same at full width).

    Args:
        inputs, outputs: channels.
        topology: (V, V) the graph that A starts from.
    """

    def __init__(self, inputs: int, outputs: int, topology: Tensor) -> None:
        super().__init__()
        between = max(REDUCTION, inputs // REDUCTION)
        self.value = nn.Conv2d(inputs, outputs, 1)
        self.ends = nn.Conv1d(inputs, 2 * between, 1)  # psi and phi
        self.refine = nn.Conv2d(between, outputs, 1)  # xi
        self.topology = nn.Parameter(topology.clone())
        self.strength = nn.Parameter(torch.zeros(()))  # alpha; training starts on the body's graph

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C', T, V)."""
        # psi and phi are linear, so they may as well act after the mean over time: T times fewer products
        source, target = self.ends(x.mean(dim=2)).chunk(2, dim=1)  # (B, R, V)
        pairs = torch.tanh(target[:, :, None, :] - source[:, :, :, None])  # (B, R, V, V)
        topology = self.topology + self.strength * self.refine(pairs)  # (B, C', V, V)
        return torch.matmul(self.value(x), topology)


class SpatialModule(nn.Module):
    """Three refined graph convolutions, one for each partition of the graph, summed, with a residual path."""

    def __init__(self, inputs: int, outputs: int, partitions: Tensor) -> None:
        super().__init__()
        self.convs = nn.ModuleList([RefinedGraphConv(inputs, outputs, part) for part in partitions])
        self.normal = nn.BatchNorm2d(outputs)
        self.skip = _skip(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C', T, V)."""
        total = self.convs[0](x)
        for conv in self.convs[1:]:
            total = total + conv(x)
        return torch.relu(self.normal(total) + self.skip(x))


class TemporalModule(nn.Module):
    """Four branches of a quarter of the channels each: two dilated convolutions, a maximum, and the frame itself.

    The branches' own 1x1 convolutions are done as one.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        part = channels // BRANCHES
        self.stride = stride
        self.reduce = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.dilated = nn.ModuleList(nn.Sequential(_dilated(part, stride, d), nn.BatchNorm2d(part)) for d in DILATIONS)
        self.largest = nn.Sequential(nn.MaxPool2d((3, 1), (stride, 1), (1, 0)), nn.BatchNorm2d(part))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C, ceil(T / stride), V)."""
        first, second, third, itself = self.reduce(x).chunk(BRANCHES, dim=1)
        seen = [conv(torch.relu(branch)) for conv, branch in zip(self.dilated, (first, second), strict=True)]
        return torch.cat([*seen, self.largest(torch.relu(third)), itself[:, :, :: self.stride]], dim=1)


class Block(nn.Module):
    """Spatial module, temporal module, and a residual path around both (none around the first block)."""

    def __init__(self, inputs: int, outputs: int, stride: int, partitions: Tensor, residual: bool) -> None:
        super().__init__()
        self.space = SpatialModule(inputs, outputs, partitions)
        self.time = TemporalModule(outputs, stride)
        self.skip = _skip(inputs, outputs, stride) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C', ceil(T / stride), V)."""
        out = self.time(self.space(x))
        return torch.relu(out if self.skip is None else out + self.skip(x))


def _dilated(channels: int, stride: int, dilation: int) -> nn.Conv2d:
    """A convolution over time that keeps the number of frames but for its stride."""
    reach = dilation * (KERNEL - 1) // 2
    return nn.Conv2d(channels, channels, (KERNEL, 1), (stride, 1), (reach, 0), (dilation, 1), bias=False)


def _skip(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The identity, or a 1x1 convolution where the shape changes."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, (stride, 1), bias=False), nn.BatchNorm2d(outputs))


class CTRGCN(BodyEncoder):
    """Ten blocks, mean over time and joints. At full width and 25 joints: 1,428,178 parameters, a feature of 256.

    With a layer for 60 classes these are 1.44 M; the paper counts 1.46 M.

    Our choices: the input is normalised per joint for one body at a time, PyTorch's usual initial weights throughout,
    no biases where a normalisation takes them away again, and the mean over the bodies that are there. Untrained, it
    cannot tell left from right, as the graph is symmetric; the learned topologies can.

    Args:
        layout: joint layout; its graph is where the learned topologies start.
        width: channels of the first four blocks, a multiple of 4; 64 in the paper. The feature has four times as many.
    """

    name = "ctrgcn"
    default_width = 64

    def __init__(self, layout: JointLayout, width: int = 64) -> None:
        super().__init__()
        check_width(self.name, width, BRANCHES)
        self.dim = 4 * width
        self.normal = JointNormal(len(layout))
        partitions = torch.from_numpy(spatial_partitions(layout))
        outputs = [width] * 4 + [2 * width] * 3 + [4 * width] * 3
        inputs = [3, *outputs[:-1]]
        self.blocks = nn.Sequential(
            *(
                Block(before, after, 2 if index in (4, 7) else 1, partitions, residual=index > 0)
                for index, (before, after) in enumerate(zip(inputs, outputs, strict=True))
            )
        )

    def encode(self, x: Tensor) -> Tensor:
        """(B, 3, T, V) -> (B, 4 width)."""
        return self.blocks(self.normal(x)).mean(dim=(2, 3))
