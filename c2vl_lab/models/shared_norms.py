"""Batch norm over the clips of all processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from c2vl_lab.dist import add_up


class SharedBatchNorm(_BatchNorm):
    """Batch norm by the clips of all processes, on any device and for any number of axes (N, C, ...).

    torch's SyncBatchNorm does the same, but on a GPU alone. Two sums over the processes: the mean first and then the
    squares around it, for digits.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape."""
        if not self.training:
            return super().forward(input)
        axes = [0, *range(2, input.ndim)]
        shape = (1, -1, *[1] * (input.ndim - 2))
        values = input if input.dtype == torch.float64 else input.float()  # bfloat16 cannot count to a thousand
        own = values.new_full((1,), values.numel() // values.shape[1])
        sums = add_up(torch.cat([values.sum(axes), own]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = values - mean.view(shape)
        variance = add_up(centred.square().sum(axes)) / count
        self._keep_up(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        scale = (variance + self.eps).rsqrt()
        scale = scale if self.weight is None else scale * self.weight
        out = centred * scale.view(shape)
        return (out if self.bias is None else out + self.bias.view(shape)).to(input.dtype)

    def _keep_up(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes will do."""


def share_norms(model: nn.Module, device: str) -> None:
    """Make every batch norm of ``model`` one over all processes, in place; parameters and their names stay."""
    if device.startswith("cuda"):
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm) and not isinstance(child, SharedBatchNorm):
                setattr(parent, name, _shared(child))


def _shared(norm: _BatchNorm) -> SharedBatchNorm:
    shared = SharedBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    for name, tensor in [*norm.named_parameters(), *norm.named_buffers()]:
        setattr(shared, name, tensor)
    return shared.train(norm.training)
