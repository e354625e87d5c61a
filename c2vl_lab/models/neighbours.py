"""The graph convolution of ST-GCN for a processor: neighbours are added up edge by edge.

A skeleton is a tree, so the three partitions together hold about 3 V non-zero weights of 3 V²: adding up along these
edges costs next to nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from c2vl_lab.models.products import multiply, weight_gradient

FEW = 32  # channels that a block makes
FEWEST = 4  # channels that it gets: too thin for a product of their own
Both = tuple[Tensor, Tensor]


class Edges(NamedTuple):
    """Non-zero places of a partitioned adjacency (K, V, V): in partition k, joint w collects joint v.

    Attributes:
        part, source, target: (E,) k, v and w of each edge; by partition.
        plan: by partition, (v, w) of each of its edges.
    """

    part: Tensor
    source: Tensor
    target: Tensor
    plan: tuple[tuple[tuple[int, int], ...], ...]

    @classmethod
    def of(cls, adjacency: Tensor) -> Edges:
        """The edges of an adjacency."""
        part, source, target = adjacency.cpu().nonzero(as_tuple=True)
        plan = tuple(tuple(map(tuple, each.nonzero().tolist())) for each in adjacency.cpu())
        return cls(part, source, target, plan)  # type: ignore[arg-type]  # pairs, which tuple() does not tell


def graph_convolution(
    x: Tensor, weight: Tensor, offset: Tensor, adjacency: Tensor, edges: Edges
) -> tuple[Tensor, Tensor]:
    """Sum over the partitions of (sum over neighbours) x (channel mix).

    Args:
        x: (V, T, B, C).
        weight: (K, C', C) channel mix.
        offset: (V, C') what is added at each joint.
        adjacency: (K, V, V), importance included; only its edges count.
        edges: of the adjacency.

    Returns:
        (V, T, B, C') and x itself, for the residual path: what comes back along it is then added to in place.
    """
    strength = adjacency[edges.part, edges.source, edges.target]
    convolution = _EdgeByEdge if weight.shape[1] <= FEW and weight.shape[2] > FEWEST else _SumsThenMix
    out, rows = convolution.apply(x.contiguous().flatten(1, 2), strength, weight, offset, edges)
    return out.view(*x.shape[:3], -1), rows.view(x.shape)


class _SumsThenMix(torch.autograd.Function):
    """x (V, R, C), strength (E), weight (K, C', C), offset (V, C') -> (V, R, C') and x.

    K sums side by side, then one product: for the first block and for many channels.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: Tensor, weight: Tensor, offset: Tensor, edges: Edges) -> Both:
        wide = weight.permute(1, 0, 2).flatten(1)
        sums = _sums_side_by_side(x, _by_part(strength, edges), edges).flatten(0, 1)
        ctx.save_for_backward(x, strength, weight, sums)
        ctx.edges = edges
        ctx.set_materialize_grads(False)
        return multiply(sums, wide).view(*x.shape[:2], -1).add_(offset[:, None]), x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, strength, weight, sums = ctx.saved_tensors
        grad, factors = grads[0].contiguous(), _by_part(strength, ctx.edges)
        rows = grad.flatten(0, 1)
        on_wide = weight_gradient(rows, sums)
        on_weight = on_wide.view(weight.shape[1], weight.shape[0], weight.shape[2]).permute(1, 0, 2)
        on_x, on_strength = _begun(x, grads[1]), []
        sent, flat = on_x.flatten(1).unbind(0), x.flatten(1).unbind(0)
        for part, among in enumerate(ctx.edges.plan):
            on_sums = multiply(rows, weight[part].t()).view(len(x), -1).unbind(0)
            for (source, target), factor in zip(among, factors[part], strict=True):
                sent[source].add_(on_sums[target], alpha=factor)
                on_strength.append(torch.dot(on_sums[target], flat[source]))
        return on_x, torch.stack(on_strength), on_weight, grad.sum(dim=1), None


class _EdgeByEdge(torch.autograd.Function):
    """The same, one small product per edge, whose rows stay in the cache; for few channels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: Tensor, weight: Tensor, offset: Tensor, edges: Edges) -> Both:
        ctx.save_for_backward(x, strength, weight)
        ctx.edges = edges
        out = x.new_empty(*x.shape[:2], weight.shape[1])
        rows, into, starts = x.unbind(0), out.unbind(0), list(offset.unbind(0))
        kernels = weight.transpose(1, 2).contiguous().unbind(0)
        for part, source, target, factor in _walk(edges, strength):
            torch.addmm(starts[target], rows[source], kernels[part], alpha=factor, out=into[target])
            starts[target] = into[target]
        ctx.set_materialize_grads(False)
        return out, x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, strength, weight = ctx.saved_tensors
        grad, on_x, edges = grads[0].contiguous(), _begun(x, grads[1]), ctx.edges
        products = weight.new_empty(len(strength), *weight.shape[1:])
        rows, sent, kernels, into = x.unbind(0), on_x.unbind(0), weight.unbind(0), products.unbind(0)
        grad_rows, grad_columns = grad.unbind(0), grad.transpose(1, 2).unbind(0)
        for edge, (part, source, target, factor) in enumerate(_walk(edges, strength)):
            sent[source].addmm_(grad_rows[target], kernels[part], alpha=factor)
            torch.mm(grad_columns[target], rows[source], out=into[edge])
        on_strength = (products * weight[edges.part]).sum(dim=(1, 2))
        on_weight = torch.zeros_like(weight).index_add_(0, edges.part, products * strength[:, None, None])
        return on_x, on_strength, on_weight, grad.sum(dim=1), None


def _begun(x: Tensor, grad: Tensor | None) -> Tensor:
    """The gradient on x so far: what came back along the residual path, where there is one."""
    return torch.zeros_like(x) if grad is None else grad.contiguous()


def _walk(edges: Edges, strength: Tensor) -> list[tuple[int, int, int, float]]:
    """(k, v, w, strength) of each edge."""
    parts = [part for part, among in enumerate(edges.plan) for _ in among]
    pairs = [pair for among in edges.plan for pair in among]
    return [(k, v, w, s) for k, (v, w), s in zip(parts, pairs, strength.tolist(), strict=True)]


def _by_part(strength: Tensor, edges: Edges) -> list[list[float]]:
    """(E) -> its numbers by partition."""
    numbers = iter(strength.tolist())
    return [[next(numbers) for _ in among] for among in edges.plan]


def _sums_side_by_side(x: Tensor, factors: list[list[float]], edges: Edges) -> Tensor:
    """(V, R, C) -> (V, R, K * C)."""
    sums = x.new_empty(*x.shape[:2], len(edges.plan), x.shape[2])
    for part, among in enumerate(edges.plan):
        _collect(sums[:, :, part].unbind(0), x.unbind(0), among, factors[part])
    return sums.flatten(2)


def _collect(
    into: tuple[Tensor, ...], rows: tuple[Tensor, ...], among: tuple[tuple[int, int], ...], factors: list[float]
) -> None:
    """``into[target]`` becomes the sum of factor * rows[source] over its edges, zero without any."""
    begun: set[int] = set()
    for (source, target), factor in zip(among, factors, strict=True):
        if target in begun:
            into[target].add_(rows[source], alpha=factor)
        else:
            torch.mul(rows[source], factor, out=into[target])
        begun.add(target)
    for target in set(range(len(into))) - begun:
        into[target].zero_()  # a tip has nobody farther out, the root nobody nearer
