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
PIXELS = 8  # in an image; shorter ones leave the library too little to do at a time


def multiply(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(R, C) contiguous and (C', C) -> (R, C')."""
    images = _images(rows)
    if images:
        return _flat(conv2d(_as_images(rows, images), weight.contiguous()[:, :, None, None], bias))
    return torch.mm(rows, weight.t()) if bias is None else torch.addmm(bias, rows, weight.t())


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
