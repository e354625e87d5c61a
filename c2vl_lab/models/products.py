"""Products of many rows with a small matrix, by whichever of torch's libraries is faster on this processor.

Matrix products go to a library that, on processors of other makers, leaves AVX-512 unused; convolutions go to one that
does not. There, a convolution of size 1 over images with the channels last is the same product in half the time.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d

AVX512 = "AVX512" in torch.backends.cpu.get_cpu_capability()
FEWEST = 16  # images; with fewer, torch on one thread turns a convolution of size 1 into a matrix product again
APART = 64  # floats
PIXELS = 8  # in an image; shorter ones leave the library too little to do at a time
WIDE = 128  # channels; for fewer, the copy of each product costs more than the faster library saves


def multiply(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(R, C) contiguous and (C', C) -> (R, C')."""
    images = _images(rows)
    if images:
        return _flat(conv2d(_as_images(rows, images), weight.contiguous()[:, :, None, None], bias))
    return torch.mm(rows, weight.t()) if bias is None else torch.addmm(bias, rows, weight.t())


def apart(like: Tensor, count: int, rows: int, channels: int) -> Tensor:
    """An empty (Q, R, C) of contiguous (R, C), a little apart: powers of two between them fill the same cache lines."""
    size = rows * channels
    return like.new_empty(count, size + APART)[:, :size].view(count, rows, channels)


def multiply_each(rows: Tensor, weights: Tensor) -> Tensor:
    """(Q, R, C) of contiguous (R, C), and (Q, C', C) -> (Q, R, C') like these, each by its own weight."""
    out = apart(rows, len(rows), rows.shape[1], weights.shape[1])
    if not _by_convolution(weights):
        return torch.bmm(rows, weights.transpose(1, 2), out=out)
    for each, one, weight in zip(out.unbind(0), rows.unbind(0), weights.unbind(0), strict=True):
        each.copy_(multiply(one, weight))
    return out


def weight_gradients(on_out: Tensor, rows: Tensor) -> Tensor:
    """(Q, R, C') and (Q, R, C) of contiguous ones -> (Q, C', C), the sums over rows of their outer products."""
    out = rows.new_empty(len(rows), on_out.shape[2], rows.shape[2])
    if not _by_convolution(out):
        return torch.bmm(on_out.transpose(1, 2), rows, out=out)
    for each, sent, one in zip(out.unbind(0), on_out.unbind(0), rows.unbind(0), strict=True):
        each.copy_(weight_gradient(sent, one))
    return out


def _by_convolution(weights: Tensor) -> bool:
    return AVX512 and weights.dtype == torch.float32 and min(weights.shape[1:]) >= WIDE


def weight_gradient(on_out: Tensor, rows: Tensor) -> Tensor:
    """(R, C') and (R, C), both contiguous -> (C', C), the sum over rows of their outer products."""
    images = _images(rows)
    if not images:
        return torch.mm(on_out.t(), rows)
    shape = rows.new_empty(on_out.shape[1], rows.shape[1], 1, 1)
    _, gradient, _ = torch.ops.aten.convolution_backward(
        _as_images(on_out, images), _as_images(rows, images), shape, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1,
        [False, True, False],
    )  # fmt: skip
    return gradient[:, :, 0, 0]


def _images(rows: Tensor) -> int:
    """How many images the rows are cut into; 0: a plain product is better."""
    if not AVX512 or rows.dtype != torch.float32:
        return 0
    count = len(rows)
    return next((n for n in range(FEWEST, min(count // PIXELS, 4 * FEWEST) + 1) if count % n == 0), 0)


def _as_images(rows: Tensor, images: int) -> Tensor:
    return rows.view(images, 1, -1, rows.shape[1]).permute(0, 3, 1, 2)


def _flat(image: Tensor) -> Tensor:
    return image.permute(0, 2, 3, 1).reshape(-1, image.shape[1])
