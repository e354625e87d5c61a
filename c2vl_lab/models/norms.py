"""Batch norm on a processor for (V, T, B, C), with ReLU where it follows, and with bodies that stand for several."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from c2vl_lab.models.dropping import mask_gradient

Norm = nn.BatchNorm1d | nn.BatchNorm2d


def normalise(x: Tensor, norm: Norm, copies: int = 0, relu: bool = False, left_out: Tensor | None = None) -> Tensor:
    """Batch norm over all axes but the last, by the statistics of this batch; the running ones are kept up.

    Args:
        x: (V, T, B, C), contiguous.
        norm: parameters and running statistics.
        copies: how many bodies equal to the last one stand beside it; they count in the statistics and gradients.
        relu: whether a ReLU follows.
        left_out: (C) bias that was not added to x, for batch norm takes it out again; only the running mean shows it.
    """
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    share = 1 / float(norm.num_batches_tracked or 1) if norm.momentum is None else norm.momentum
    running = (norm.running_mean, norm.running_var, share)
    out = _BatchNorm.apply(x, norm.weight, norm.bias, left_out, running, norm.eps, copies, relu)
    if left_out is not None and norm.running_mean is not None:
        norm.running_mean.add_(left_out.detach(), alpha=share)
    return out


def scale_and_shift(norm: Norm) -> tuple[Tensor, Tensor]:
    """Batch norm by the running statistics is x * scale + shift."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight * (variance + norm.eps).rsqrt()
    return scale, norm.bias - mean * scale


class _BatchNorm(torch.autograd.Function):
    """torch's own kernels on images with the channels last, and what the copies change about them."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, left_out: Tensor | None,
        running: tuple[Tensor, Tensor, float], eps: float, copies: int, relu: bool,
    ) -> Tensor:  # fmt: skip
        image = x.permute(0, 3, 1, 2)
        if copies:
            mean, variance, total = _joint_statistics(x, copies)
            running[0].lerp_(mean, running[2])
            running[1].lerp_(variance * (total / (total - 1)), running[2])
            out = batch_norm(image, mean, variance, weight, bias, False, 0.0, eps)
            spread = variance
        else:
            out, mean, spread = torch.native_batch_norm(image, weight, bias, *running[:2], True, running[2], eps)
        out = out.permute(0, 2, 3, 1)
        if relu:
            out.relu_()
        ctx.save_for_backward(x, weight, mean, spread, out if relu else None)
        ctx.constants = (eps, copies)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, spread, out = ctx.saved_tensors
        eps, copies = ctx.constants
        grad = grads[0] if out is None else mask_gradient(grads[0].contiguous(), out)
        grad, image = grad.contiguous().permute(0, 3, 1, 2), x.permute(0, 3, 1, 2)
        running, saved = ((mean, spread), (None, None)) if copies else ((None, None), (mean, spread))
        on_x, on_weight, on_bias = torch.ops.aten.native_batch_norm_backward(
            grad, image, weight, *running, *saved, not copies, eps, [True, True, True]
        )
        on_x = on_x.permute(0, 2, 3, 1)
        if copies:
            _add_statistics_part(on_x, x, weight, mean, (spread + eps).rsqrt(), on_weight, on_bias, copies)
        on_left_out = torch.zeros_like(on_bias) if ctx.needs_input_grad[3] else None
        return on_x, on_weight, on_bias, on_left_out, None, None, None, None


def _joint_statistics(x: Tensor, copies: int) -> tuple[Tensor, Tensor, int]:
    """Mean and variance by channel with the copies counted, two groups joined; and how many values these are of."""
    mean, variance = torch.batch_norm_update_stats(x.permute(0, 3, 1, 2), None, None, 0.0)
    last = x[:, :, -1].flatten(0, 1)
    rows = x.numel() // x.shape[-1]
    total = rows + copies * len(last)
    more = copies * len(last) / total
    variance_of_last, mean_of_last = torch.var_mean(last, dim=0, correction=0)
    apart = mean_of_last - mean
    variance = (1 - more) * variance + more * variance_of_last + more * (1 - more) * apart.square()
    return mean + more * apart, variance, total


def _add_statistics_part(
    on_x: Tensor, x: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor, on_weight: Tensor, on_bias: Tensor,
    copies: int,
) -> None:  # fmt: skip
    """Completes, in place, a gradient taken as if the statistics were constants.

    What runs through the statistics is a straight line in x by channel; the last body sends it for each of its copies.
    """
    total = x.numel() // x.shape[-1] + copies * x.shape[0] * x.shape[1]
    slope = weight * inverse * inverse * on_weight / total
    level = weight * inverse * on_bias / total - slope * mean
    on_x.addcmul_(x, slope, value=-1).sub_(level)
    on_x[:, :, -1] -= copies * (x[:, :, -1] * slope + level)
