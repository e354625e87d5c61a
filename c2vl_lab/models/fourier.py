"""The temporal convolution of ST-GCN by discrete Fourier transform: four to five times fewer multiplications.

Clips are short (13 frames in the last block), the kernel has 9 taps and the channels are many, so nearly all the work
is one C x C' product per frame and tap. Over frequencies there is one product per frequency instead. A real signal of
length L has (L - 1) / 2 complex frequencies, and a complex product takes three real ones (a + b, a, b against c, d - c,
c + d), so that L = T + 4 needs about 1.5 T products instead of 9 T. All of it is three real matrices: ``into`` (Q, T)
for the signal, ``taps`` (Q, 9) for the kernel, ``back`` (T', Q) for the result, which also takes the stride.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from c2vl_lab.models.products import apart, multiply_each, weight_gradients


class Transform(NamedTuple):
    """The three matrices; Q products replace T' x taps."""

    into: Tensor
    taps: Tensor
    back: Tensor


@lru_cache(maxsize=64)
def transform(frames: int, taps: int, stride: int, dtype: torch.dtype) -> Transform:
    """Matrices of a convolution of odd kernel with zero padding that keeps the length (before the stride)."""
    half = taps // 2
    length = frames + half  # the padding of both ends may be shared, since the signal is a circle
    angle = 2 * math.pi / length
    signal = torch.arange(frames, dtype=torch.float64)
    kernel = torch.arange(taps, dtype=torch.float64) - half
    wanted = torch.arange(0, frames, stride, dtype=torch.float64)
    into: list[Tensor] = []
    weights: list[Tensor] = []
    back: list[Tensor] = []
    for frequency in range(length // 2 + 1):
        a, b = (angle * frequency * signal).cos(), -(angle * frequency * signal).sin()
        c, d = (angle * frequency * kernel).cos(), (angle * frequency * kernel).sin()
        re, im = (angle * frequency * wanted).cos() / length, -(angle * frequency * wanted).sin() / length
        if frequency == 0 or 2 * frequency == length:  # real: one product is enough
            into, weights, back = [*into, a], [*weights, c], [*back, re]
            continue
        into += [a + b, a, b]
        weights += [c, d - c, c + d]
        back += [2 * (re + im), 2 * im, -2 * re]
    return Transform(*(torch.stack(rows, dim).to(dtype) for rows, dim in ((into, 0), (weights, 0), (back, 1))))


def fourier_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """The same as a convolution over time with zero padding of half a kernel.

    Args:
        x: (V, T, B, C).
        weight: (C', C, taps, 1), odd taps.
        bias: (C'), or none.
        stride: over time.

    Returns:
        (V, T', B, C').
    """
    return _FourierConvolution.apply(x.contiguous(), weight, bias, stride)


class _FourierConvolution(torch.autograd.Function):
    """Forward and backward are the same three products, transposed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        frames, (outputs, inputs, taps, _) = x.shape[1], weight.shape
        into, kernel, back = transform(frames, taps, stride, x.dtype)
        signal = _over_time(into, x)  # (Q, V * B, C)
        weights = (kernel @ weight.view(-1, taps).t()).view(-1, outputs, inputs)
        product = multiply_each(signal, weights)
        if bias is not None:  # the constant frequency comes first and only its product reaches all frames alike
            product[0].add_(bias, alpha=frames + taps // 2)
        ctx.save_for_backward(signal, weights)
        ctx.sizes = (frames, taps, stride, bias is not None)
        return _back_to_time(back, product, x.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        (signal, weights), grad = ctx.saved_tensors, grads[0].contiguous()
        frames, taps, stride, biased = ctx.sizes
        into, kernel, back = transform(frames, taps, stride, grad.dtype)
        product = _over_time(back.t().contiguous(), grad)
        on_weights = weight_gradients(product, signal)
        on_signal = multiply_each(product, weights.transpose(1, 2))
        on_kernel = (kernel.t() @ on_weights.flatten(1)).t().reshape(*weights.shape[1:], taps, 1)
        on_bias = grad.sum(dim=(0, 1, 2)) if biased else None
        return _back_to_time(into.t().contiguous(), on_signal, grad.shape), on_kernel, on_bias, None


def _over_time(matrix: Tensor, x: Tensor) -> Tensor:
    """(Q, T) and (V, T, B, C) -> (Q, V * B, C)."""
    joints, frames, bodies, channels = x.shape
    out = apart(x, len(matrix), joints * bodies, channels)
    for one, into in zip(
        x.view(joints, frames, -1).unbind(0), out.view(len(matrix), joints, -1).unbind(1), strict=True
    ):
        torch.mm(matrix, one, out=into)
    return out


def _back_to_time(matrix: Tensor, product: Tensor, shape: torch.Size) -> Tensor:
    """(T', Q) and (Q, V * B, C) -> (V, T', B, C); V and B as in a shape (V, T, B, C)."""
    joints, _, bodies, _ = shape
    out = product.new_empty(joints, len(matrix), bodies * product.shape[2])
    flat = product.view(len(product), joints, -1)
    for one, into in zip(flat.unbind(1), out.unbind(0), strict=True):
        torch.mm(matrix, one, out=into)
    return out.view(joints, len(matrix), bodies, -1)
