"""Sums of an epoch's values, kept on the device: to read a number there is to wait for all that is queued.

On a GPU a step is therefore looked at some batches later. What happened in between is known then: which batch was the
first that was no number, and whose clips it held. No checkpoint is written before the look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

ON_A_GPU = 20  # batches between two looks


@dataclass(frozen=True)
class Batch:
    """What a step did.

    Attributes:
        epoch: from 1.
        index: of the batch in the epoch, from 0.
        rows: (n,) its training rows.
        values: one number each, on the device, among them "loss".
        fine: whether loss and gradients are finite, on the device.
    """

    epoch: int
    index: int
    rows: Tensor
    values: dict[str, Tensor]
    fine: Tensor


class Tally:
    """Adds up what the steps of an epoch report, in float64.

    Args:
        sums: what earlier batches of the epoch added up to.
        every: batches between two looks.
        refuse: told of the first batch that was not fine; raises.
    """

    def __init__(self, sums: dict[str, float], every: int, refuse: Callable[[Batch], None]) -> None:
        self.every, self.refuse = every, refuse
        self._sums: dict[str, float | Tensor] = dict(sums)
        self._unseen: list[Batch] = []

    def add(self, batch: Batch) -> None:
        """Count a batch; now and then look at the last ones."""
        for name, value in batch.values.items():
            self._sums[name] = value.detach().double() + self._sums.get(name, 0.0)
        self._unseen.append(batch)
        if len(self._unseen) >= self.every:
            self.look()

    def look(self) -> None:
        """Tell of the first batch that was not fine since the last look."""
        if self._unseen:
            fine = torch.stack([batch.fine for batch in self._unseen]).tolist()
            for batch, good in zip(self._unseen, fine, strict=True):
                if not good:
                    self.refuse(batch)
            self._unseen.clear()

    def read(self) -> dict[str, float]:
        """The sums so far, looked at."""
        self.look()
        return {name: float(value) for name, value in self._sums.items()}
