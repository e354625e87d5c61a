"""The graph convolution of ST-GCN for a processor: neighbours are added up first, then channels are mixed once.

A skeleton is a tree, so the three partitions together hold about 3 V non-zero weights of 3 V²: adding up along these
edges costs next to nothing, and as ``C <= C'`` it is done where there are fewer channels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d


class Edges(NamedTuple):
    """Non-zero places of a partitioned adjacency (K, V, V): in partition k, joint w collects joint v.

    Attributes:
        part, source, target: (E,) k, v and w of each edge.
        plan: the same as numbers.
        parts: K.
    """

    part: Tensor
    source: Tensor
    target: Tensor
    plan: tuple[tuple[int, int, int], ...]
    parts: int

    @classmethod
    def of(cls, adjacency: Tensor) -> Edges:
        """The edges of an adjacency; every joint must be on one."""
        part, source, target = adjacency.cpu().nonzero(as_tuple=True)
        plan = tuple(zip(part.tolist(), source.tolist(), target.tolist(), strict=True))
        return cls(part, source, target, plan, len(adjacency))


def graph_convolution(x: Tensor, weight: Tensor, offset: Tensor, adjacency: Tensor, edges: Edges) -> Tensor:
    """Sum over the partitions of (sum over neighbours) x (channel mix).

    Args:
        x: (V, T, B, C).
        weight: (K, C', C) channel mix.
        offset: (V, C') what is added at each joint.
        adjacency: (K, V, V), importance included; only its edges count.
        edges: of the adjacency.

    Returns:
        (V, T, B, C').
    """
    strength = adjacency[edges.part, edges.source, edges.target]
    kernel = weight.permute(1, 2, 0).unsqueeze(3)  # the partitions as the taps of a kernel
    return _GraphConvolution.apply(x.contiguous(), strength, kernel, offset, edges)


class _GraphConvolution(torch.autograd.Function):
    """x (V, T, B, C), strength (E), kernel (C', C, K, 1), offset (V, C') -> (V, T, B, C')."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: Tensor, kernel: Tensor, offset: Tensor, edges: Edges) -> Tensor:
        sums = _neighbour_sums(x, strength, edges)
        ctx.save_for_backward(x, strength, kernel, sums)
        ctx.edges = edges
        out = conv2d(sums.permute(0, 3, 1, 2), kernel).permute(0, 2, 3, 1)  # (V, 1, T * B, C')
        return out.add_(offset[:, None, None]).view(*x.shape[:3], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, strength, kernel, sums = ctx.saved_tensors
        grad = grads[0].contiguous().view(len(x), 1, -1, len(kernel))
        on_sums, on_kernel, _ = torch.ops.aten.convolution_backward(
            grad.permute(0, 3, 1, 2), sums.permute(0, 3, 1, 2), kernel, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1,
            [True, True, False],
        )  # fmt: skip
        on_x, on_strength = _back_along_edges(x, strength, on_sums.permute(0, 2, 3, 1).flatten(2), ctx.edges)
        ones = grad.new_ones(1, 1, grad.shape[2]).expand(len(x), 1, -1)
        on_offset = torch.bmm(ones, grad[:, 0]).squeeze(1)  # far quicker than a sum over the middle axis
        return on_x, on_strength, on_kernel, on_offset, None


def _neighbour_sums(x: Tensor, strength: Tensor, edges: Edges) -> Tensor:
    """(V, T, B, C) -> (V, K, T * B, C)."""
    rows = x.flatten(1, 2)
    sums = x.new_empty(len(x), edges.parts, *rows.shape[1:])
    begun: set[tuple[int, int]] = set()
    for (part, source, target), factor in zip(edges.plan, strength.tolist(), strict=True):
        _collect(sums[target, part], rows[source], factor, (target, part) not in begun)
        begun.add((target, part))
    for target in range(len(x)):
        for part in range(edges.parts):
            if (target, part) not in begun:
                sums[target, part] = 0  # a tip has nobody farther out, the root nobody nearer
    return sums


def _back_along_edges(x: Tensor, strength: Tensor, on_sums: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
    """Gradients of x and of the edges' strengths from (V, K, T * B * C)."""
    rows = x.flatten(1)
    on_x = torch.empty_like(rows)
    on_strength = []
    begun: set[int] = set()
    for (part, source, target), factor in zip(edges.plan, strength.tolist(), strict=True):
        _collect(on_x[source], on_sums[target, part], factor, source not in begun)
        begun.add(source)
        on_strength.append(torch.dot(on_sums[target, part], rows[source]))
    return on_x.view_as(x), torch.stack(on_strength)


def _collect(into: Tensor, values: Tensor, factor: float, first: bool) -> None:
    """``into`` becomes, or grows by, factor * values."""
    if first:
        torch.mul(values, factor, out=into)
    else:
        into.add_(values, alpha=factor)
