"""ST-GCN on a processor: the same mathematics with far fewer multiplications and passes over memory.

Everything is laid out as (V, T, B, C): a joint's frames are one block of memory, so neighbours are added up by joint
(:mod:`~c2vl_lab.models.neighbours`), convolutions see images with the channels last, and the temporal convolutions of
many channels go by Fourier transform (:mod:`~c2vl_lab.models.fourier`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from c2vl_lab.models.bodies import fold, unfolded
from c2vl_lab.models.dropping import finish_block
from c2vl_lab.models.fourier import fourier_convolution
from c2vl_lab.models.neighbours import Edges, graph_convolution
from c2vl_lab.models.norms import normalise, scale_and_shift

if TYPE_CHECKING:
    from c2vl_lab.models.stgcn import STGCN, GraphBlock

# From this many channels on the Fourier transform pays: direct convolutions gain most from AVX-512.
FOURIER_FROM = 64 if "AVX512" in torch.backends.cpu.get_cpu_capability() else 32


def narrow_form(model: STGCN, x: Tensor) -> Tensor:
    """(N, 3, T, V, M) -> (N, dim)."""
    each, place, copies = unfolded(x) if model.training and model.dropout else fold(x)
    count, channels, frames, joints = each.shape
    flat = each.permute(2, 0, 3, 1).reshape(1, frames, count, joints * channels)
    if model.training:
        flat = normalise(flat, model.normal, copies)
    else:
        scale, shift = scale_and_shift(model.normal)
        flat = flat * scale + shift
    flat = flat.view(frames, count, joints, channels).permute(2, 0, 1, 3).contiguous()
    block = _training_block if model.training else _evaluation_block
    for parameters, importance in zip(model.blocks, model.importance, strict=True):
        flat = block(flat, cast("GraphBlock", parameters), model.adjacency * importance, model.edges, copies)
    features = flat.sum(dim=(0, 1)) / (flat.shape[0] * flat.shape[1])  # unlike mean, no gradient of full size
    return features[place].mean(dim=1)


def _training_block(x: Tensor, block: GraphBlock, adjacency: Tensor, edges: Edges, copies: int) -> Tensor:
    """(V, T, B, C) -> (V, T', B, C'), batch norm by this batch."""
    weight, offset = _mix(block, adjacency)
    out, x = graph_convolution(x, weight, offset, adjacency, edges)
    out = normalise(out, block.mix_norm, copies, relu=True)
    out = normalise(_convolution(out, block.time), block.time_norm, copies, left_out=block.time.bias)
    skip = x if block.residual else None
    if block.skip is not None and block.skip_norm is not None:
        skip = normalise(_convolution(x, block.skip), block.skip_norm, copies, left_out=block.skip.bias)
    return finish_block(out, skip, block.dropout)


def _evaluation_block(x: Tensor, block: GraphBlock, adjacency: Tensor, edges: Edges, copies: int) -> Tensor:
    """(V, T, B, C) -> (V, T', B, C'), batch norm by the running statistics: part of the weights."""
    weight, offset = _mix(block, adjacency)
    scale, shift = scale_and_shift(block.mix_norm)
    out, x = graph_convolution(x, weight * scale[:, None], offset * scale + shift, adjacency, edges)
    out = torch.relu(out) if torch.is_grad_enabled() else out.relu_()
    out = _convolution(out, block.time, block.time_norm)
    skip = x if block.residual else None
    if block.skip is not None:
        skip = _convolution(x, block.skip, block.skip_norm)
    if torch.is_grad_enabled():
        return finish_block(out, skip, 0.0)
    return (out if skip is None else out.add_(skip)).relu_()


def _mix(block: GraphBlock, adjacency: Tensor) -> tuple[Tensor, Tensor]:
    """(K, C', C) channel mix, and what its bias adds at each joint: (V, C')."""
    parts = len(adjacency)
    weight = block.mix.weight.view(parts, -1, block.mix.in_channels)
    return weight, adjacency.sum(dim=1).t() @ cast(Tensor, block.mix.bias).view(parts, -1)


def _convolution(x: Tensor, layer: nn.Conv2d, norm: nn.BatchNorm2d | None = None) -> Tensor:
    """Over time, zero padding of half a kernel: (V, T, B, C) -> (V, T', B, C').

    With a norm its running statistics are part of the weights; without one the bias is left out.
    """
    weight, bias, taps, stride = layer.weight, None, layer.kernel_size[0], layer.stride[0]
    if norm is not None:
        scale, shift = scale_and_shift(norm)
        weight, bias = weight * scale[:, None, None, None], cast(Tensor, layer.bias) * scale + shift
    if (
        taps > 1 and layer.in_channels >= FOURIER_FROM * stride
    ):  # a stride skips half of the direct work and not of this
        return fourier_convolution(x, weight, bias, stride)
    image = x.permute(0, 3, 1, 2)  # V images of T x B pixels, channels last
    return conv2d(image, weight, bias, (stride, 1), (taps // 2, 0)).permute(0, 2, 3, 1)
