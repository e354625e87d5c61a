"""The running statistics of a batch that passes through the encoder in pieces."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from c2vl_lab.dist import add_up, own_part, world_size


class RunningStatistics:
    """Running statistics of an encoder whose batch passes in pieces: they move once, by the mean over the pieces.

    Every piece starts from the statistics before the batch, whether the pieces follow one another in one process, or
    are those of several. So two pieces in one process are what two processes are.

    Args:
        encoder: its batch norms in training mode are meant.
        shared: whether the norms see all processes' clips already.
    """

    def __init__(self, encoder: nn.Module, shared: bool) -> None:
        norms = [m for m in encoder.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]
        self._running = [cast(Tensor, t) for norm in norms for t in (norm.running_mean, norm.running_var)]
        self._counts = [cast(Tensor, norm.num_batches_tracked) for norm in norms]
        self._before = [tensor.clone() for tensor in self._running + self._counts]
        self._sums = [torch.zeros_like(tensor) for tensor in self._running]
        self._counted = self._counts
        self._over_processes = world_size() > 1 and not shared

    @torch.no_grad()
    def forget(self) -> None:
        """Back to the statistics before the batch."""
        for tensor, before in zip(self._running + self._counts, self._before, strict=True):
            tensor.copy_(before)

    @torch.no_grad()
    def add_piece(self, share: float) -> None:
        """Count what a piece, which is ``share`` of this process's clips, did; the next one starts from before."""
        for total, tensor in zip(self._sums, self._running, strict=True):
            total.add_(tensor, alpha=share)
        self._counted = [tensor.clone() for tensor in self._counts]  # of every piece the same
        self.forget()

    @torch.no_grad()
    def settle(self, count: int) -> None:
        """Set the mean over all pieces, of all processes, of a batch of ``count`` clips."""
        if not self._running:
            return
        if self._over_processes:
            part = own_part(count)
            every = torch.cat([total.flatten() for total in self._sums]) * ((part.stop - part.start) / count)
            self._sums = list(add_up(every).split([total.numel() for total in self._sums]))
        for tensor, total in zip(self._running, self._sums, strict=True):
            tensor.copy_(total.view(tensor.shape))
        for tensor, counted in zip(self._counts, self._counted, strict=True):
            tensor.copy_(counted)
