"""The end of an ST-GCN block on a processor: dropout, residual and ReLU, the dropout from single random bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import dropout

TWO = 0x40000000  # as a 32-bit float these bits are exactly 2.0; without the one bit that is set: 0.0
BITS = 31


def finish_block(x: Tensor, skip: Tensor | None, probability: float) -> Tensor:
    """relu(dropout(x) + skip) for tensors of one shape; a probability of 0 drops nothing."""
    if probability == 0.5:
        return _Finish.apply(x, skip, coin_tosses(x))
    return _Finish.apply(dropout(x, probability) if probability else x, skip, None)


def coin_tosses(x: Tensor) -> Tensor:
    """0 or 2 for each element of x with equal chance, drawn from torch's generator: ten times as fast as its own."""
    words = -(-x.numel() // BITS)
    drawn = torch.empty(words // 2 + 1, dtype=torch.int64).random_(-(2**63), None).view(torch.int32)[:words]
    shifts = torch.arange(BITS, dtype=torch.int32)[:, None]
    tosses = (drawn << shifts).bitwise_and_(TWO)
    return tosses.view(torch.float32).flatten()[: x.numel()].view(x.shape).to(x.dtype)


def mask_gradient(grad: Tensor, out: Tensor) -> Tensor:
    """The gradient ahead of a ReLU whose result is out; in place, where the gradient is a full tensor.

    Only for gradients that this network's own ways back have just made: nobody else reads them.
    """
    if grad.is_contiguous():
        return torch.ops.aten.threshold_backward.grad_input(grad, out, 0, grad_input=grad)
    return torch.ops.aten.threshold_backward(grad, out, 0)


class _Finish(torch.autograd.Function):
    """relu(x * factor + skip); no factor: 1, no skip: 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, skip: Tensor | None, factor: Tensor | None) -> Tensor:
        if factor is not None:
            out = (x * factor if skip is None else torch.addcmul(skip, x, factor)).relu_()
        else:
            out = torch.relu(x) if skip is None else (x + skip).relu_()
        ctx.save_for_backward(out, factor)
        ctx.skipped = skip is not None
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None]:
        out, factor = ctx.saved_tensors
        grad = mask_gradient(grads[0], out)
        return grad if factor is None else grad * factor, grad if ctx.skipped else None, None
