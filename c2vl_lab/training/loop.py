"""The loop over batches: what is trained, on which clips, and how far it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from c2vl_lab.data.draws import balanced_order, epoch_order
from c2vl_lab.learners.base import Learner
from c2vl_lab.training.clips import ClipSource
from c2vl_lab.training.guard import Guard
from c2vl_lab.training.keeping import Place, RunFolder
from c2vl_lab.training.schedules import learning_rate
from c2vl_lab.training.settings import FitConfig
from c2vl_lab.training.step import Moment, Step
from c2vl_lab.training.tally import ON_A_GPU, Batch, Tally

Stop = Callable[[], bool]


class Loop:
    """A run's epochs, one at a time.

    Args:
        config: settings.
        learner, optimizer: what is trained.
        clips: the training clips.
        names: their names.
        sets: (N,) of which set each is, where they are of several.
        place: how far the run is.
        folder: what it writes to.
    """

    def __init__(
        self,
        config: FitConfig,
        learner: Learner,
        optimizer: torch.optim.Optimizer,
        clips: ClipSource,
        names: list[str],
        sets: np.ndarray | None,
        place: Place,
        folder: RunFolder,
    ) -> None:
        self.config, self.learner, self.optimizer = config, learner, optimizer
        self.clips, self.names, self.place, self.folder = clips, names, place, folder
        self.sets = sets if config.balance_sets else None
        self.batches = folder.batches
        self.guard = Guard(config.on_nan == "skip", folder.path, learner)
        self.step = Step(learner, config, len(clips))
        # to skip a step it must be looked at before it is taken; a processor waits for each number anyway
        self.at_once = config.on_nan == "skip" or clips.device.type == "cpu"

    def finish_epoch(self, stop: Stop) -> bool:
        """The batches of the epoch that are not done yet; False where ``stop`` came between."""
        config, place = self.config, self.place
        epoch = place.epoch + 1
        steps = self._order(epoch).split(config.clips_per_step)[place.step : self.batches]
        tally = Tally(place.sums, 1 if self.at_once else ON_A_GPU, self._refuse)
        self.learner.train()
        start, before, stopped = time.perf_counter(), place.seconds, False
        own = self.clips.batches([self.step.own(rows) for rows in steps])
        for index, (rows, (_, clips)) in enumerate(zip(steps, own, strict=True), start=place.step):
            batch = self._take(rows.to(self.clips.device, non_blocking=True), clips, epoch, index)
            if batch is not None:
                tally.add(batch)
            place.in_a_row = place.in_a_row + 1 if batch is None else 0
            place.skipped += batch is None
            place.step = index + 1
            place.seconds = before + time.perf_counter() - start
            self.folder.after_batch(place, tally.read)
            stopped = place.step < self.batches and stop()
            if stopped:
                break
        place.sums = tally.read()
        place.seconds = before + time.perf_counter() - start
        return not stopped

    def _order(self, epoch: int) -> Tensor:
        """(N,) the clips in the order of an epoch."""
        if self.sets is None:
            return epoch_order(self.config.seed, epoch, len(self.clips))
        return balanced_order(self.config.seed, epoch, torch.from_numpy(self.sets), self.config.batch_size)

    def _take(self, rows: Tensor, clips: Tensor, epoch: int, index: int) -> Batch | None:
        """One optimiser step on the clips at ``rows``, of which this process has ``clips``; None: it was skipped."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(epoch, index) * group["share"]
        self.guard.keep()
        self.optimizer.zero_grad(set_to_none=True)
        terms = self.step(rows, clips, Moment(epoch, index, self._progress(epoch, index)))
        loss = torch.stack(list(terms.values())).sum()
        batch = Batch(epoch, index, rows, {"loss": loss, **terms}, self.guard.fine(loss))
        if self.at_once and not bool(batch.fine):
            self._refuse(batch)
            return None
        self.optimizer.step()
        self.learner.after_step()
        return batch

    def _refuse(self, batch: Batch) -> None:
        """Write down a batch that must not be learned from, and undo its step; an error unless it is to be skipped."""
        values = {name: float(value) for name, value in batch.values.items()}
        names = [self.names[i] for i in batch.rows.tolist()]
        rate = self._rate(batch.epoch, batch.index)
        told = {"epoch": batch.epoch, "batch": batch.index + 1, "loss": values.pop("loss"), "terms": values, "lr": rate}
        self.guard.report({**told, "clips": names}, self.clips[batch.rows], self.place.in_a_row)
        self.guard.undo()

    def _progress(self, epoch: int, index: int) -> float:
        """0 at the first batch of training, 1 at the last."""
        return ((epoch - 1) * self.batches + index) / max(1, self.config.epochs * self.batches - 1)

    def _rate(self, epoch: int, index: int) -> float:
        """Learning rate of a batch."""
        return learning_rate(self.config, self._progress(epoch, index), epoch - 1 + (index + 1) / self.batches)

    def close_epoch(self) -> dict[str, Any]:
        """Count the epoch as finished; returns its row of the log."""
        place, epoch = self.place, self.place.epoch + 1
        seen = self.batches * min(self.config.clips_per_step, len(self.clips))
        taken = self.batches - place.skipped
        row: dict[str, Any] = {"epoch": epoch, "loss": math.nan}  # unless there was a step
        row |= {name: value / taken for name, value in place.sums.items()}
        row |= self.learner.report(epoch / self.config.epochs)
        row |= {"lr": self._rate(epoch, self.batches - 1), "seconds": place.seconds, "skipped": place.skipped}
        row |= {"clips_per_second": seen / max(place.seconds, 1e-9)}
        self.place = Place(epoch, in_a_row=place.in_a_row)
        return row | {"seconds_left": (self.config.epochs - epoch) * place.seconds}
