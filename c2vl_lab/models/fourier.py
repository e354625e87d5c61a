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
from torch.nn.functional import conv2d


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


def fourier_convolution(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """The same as a convolution over time with zero padding of half a kernel.

    Args:
        x: (V, T, B, C).
        weight: (C', C, taps, 1), odd taps.
        bias: (C').
        stride: over time.

    Returns:
        (V, T', B, C').
    """
    return _FourierConvolution.apply(x.contiguous(), weight, bias, stride)


class _FourierConvolution(torch.autograd.Function):
    """Forward and backward are the same three products, transposed; one joint, or one frequency, at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        joints, frames, bodies, inputs = x.shape
        outputs, _, taps, _ = weight.shape
        into, kernel, back = transform(frames, taps, stride, x.dtype)
        signal = _over_time(into, x)  # (Q, V, B, C)
        weights = (kernel @ weight.view(-1, taps).t()).view(-1, outputs, inputs)
        product = x.new_empty(len(into), joints, bodies, outputs)
        # the constant frequency comes first and only its product reaches all frames alike
        constant = bias * (frames + taps // 2)
        for q in range(len(into)):
            product[q] = _channels(signal[q], weights[q], constant if q == 0 else None)
        ctx.save_for_backward(signal, weights)
        ctx.sizes = (frames, taps, stride)
        return _back_to_time(back, product)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        signal, weights = ctx.saved_tensors
        frames, taps, stride = ctx.sizes
        into, kernel, back = transform(frames, taps, stride, signal.dtype)
        outputs, inputs = weights.shape[1:]
        product = _over_time(back.t().contiguous(), grads[0].contiguous())  # (Q, V, B, C')
        on_weights = torch.empty_like(weights)
        on_signal = torch.empty_like(signal) if ctx.needs_input_grad[0] else None
        for q in range(len(into)):
            rows, sent = product[q].view(-1, outputs), signal[q].view(-1, inputs)
            torch.mm(rows.t(), sent, out=on_weights[q])
            if on_signal is not None:
                on_signal[q] = _channels(product[q], weights[q].t())
        on_bias = product[0].view(-1, outputs).sum(dim=0) * (frames + taps // 2)
        on_kernel = (kernel.t() @ on_weights.view(len(into), -1)).t().reshape(outputs, inputs, taps, 1)
        on_x = None if on_signal is None else _back_to_time(into.t().contiguous(), on_signal)
        return on_x, on_kernel, on_bias, None


def _over_time(matrix: Tensor, x: Tensor) -> Tensor:
    """(Q, T) and (V, T, B, C) -> (Q, V, B, C)."""
    joints, frames, bodies, channels = x.shape
    out = x.new_empty(len(matrix), joints, bodies * channels)
    for joint in range(joints):
        torch.mm(matrix, x[joint].view(frames, -1), out=out[:, joint])
    return out.view(-1, joints, bodies, channels)


def _back_to_time(matrix: Tensor, product: Tensor) -> Tensor:
    """(T', Q) and (Q, V, B, C) -> (V, T', B, C)."""
    count, joints, bodies, channels = product.shape
    out = product.new_empty(joints, len(matrix), bodies * channels)
    flat = product.view(count, joints, -1)
    for joint in range(joints):
        torch.mm(matrix, flat[:, joint], out=out[joint])
    return out.view(joints, -1, bodies, channels)


def _channels(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(V, B, C) and (C', C) -> (V, B, C').

    As a convolution of size 1: on processors with AVX-512 the library behind convolutions is twice as fast as the one
    behind matrix products.
    """
    image = rows.unsqueeze(1).permute(0, 3, 1, 2)  # V images of 1 x B pixels, channels last
    return conv2d(image, weight.contiguous()[:, :, None, None], bias).permute(0, 2, 3, 1).squeeze(1)
