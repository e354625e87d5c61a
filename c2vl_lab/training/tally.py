"""Sums of an epoch's values, kept on the device: to read a number there is to wait for all that is queued.

On a GPU the loss is therefore looked at every few batches. What happened in between is known then: which batch was the
first that was no number, and whose clips it held. No checkpoint is written before the look.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from c2vl_lab.errors import C2VLError

ON_A_GPU = 20  # batches between two looks


class Tally:
    """Adds up what the steps of an epoch report, in float64.

    Args:
        names: clip names by training row, for the message.
        sums: what earlier batches of the epoch added up to.
        every: batches between two looks at the loss.
    """

    def __init__(self, names: list[str], sums: dict[str, float], every: int) -> None:
        self.names, self.every = names, every
        self._sums: dict[str, float | Tensor] = dict(sums)
        self._unseen: list[tuple[int, int, Tensor, Tensor]] = []  # epoch, batch, rows, loss

    def add(self, epoch: int, index: int, rows: Tensor, values: dict[str, Tensor]) -> None:
        """Count a batch.

        Args:
            epoch: from 1.
            index: of the batch in the epoch, from 0.
            rows: (n,) its training rows.
            values: one number each, among them "loss".

        Raises:
            C2VLError: the loss of this batch, or of one since the last look, is not finite; it names the clips.
        """
        for name, value in values.items():
            self._sums[name] = value.detach().double() + self._sums.get(name, 0.0)
        self._unseen.append((epoch, index, rows, values["loss"].detach()))
        if len(self._unseen) >= self.every:
            self.look()

    def look(self) -> None:
        """Refuse a loss that is not finite among the batches since the last look.

        Raises:
            C2VLError: naming the first of them and its clips.
        """
        if not self._unseen:
            return
        losses = torch.stack([loss for *_, loss in self._unseen]).tolist()
        for (epoch, index, rows, _), loss in zip(self._unseen, losses, strict=True):
            if not math.isfinite(loss):
                some = ", ".join(self.names[i] for i in rows[:8].tolist())
                raise C2VLError(
                    f"The loss became {loss} in epoch {epoch}, batch {index + 1} (clips {some}, ...). "
                    "The last checkpoint is kept; lower the learning rate or look at these clips."
                )
        self._unseen.clear()

    def read(self) -> dict[str, float]:
        """The sums so far.

        Raises:
            C2VLError: as :meth:`look` does.
        """
        self.look()
        return {name: float(value) for name, value in self._sums.items()}
