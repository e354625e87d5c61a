"""Train an encoder: one loop for every method, resumable at any kill to the same final weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from c2vl_lab.data.draws import epoch_order, mixed_seed
from c2vl_lab.learners.base import Learner
from c2vl_lab.models.memory import keep_freed_memory
from c2vl_lab.training.build import build_learner, build_optimizer
from c2vl_lab.training.card import run_card
from c2vl_lab.training.checkpoints import FILE
from c2vl_lab.training.guard import Guard
from c2vl_lab.training.keeping import Place, RunFolder
from c2vl_lab.training.schedules import learning_rate
from c2vl_lab.training.settings import FitConfig, TrainingSet
from c2vl_lab.training.stopping import StoppedError
from c2vl_lab.training.watching import neighbour_accuracy

Progress = Callable[[str], None]
Stop = Callable[[], bool]


def fit(
    config: FitConfig,
    data: TrainingSet,
    run_dir: Path,
    device: str,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Learner:
    """Train and return the learner; a killed run goes on from its last checkpoint when called again.

    The order of the clips, their augmentation and dropout depend on (seed, epoch, clip or batch) alone, so that a
    resumed run ends with the weights of an unbroken one (bit for bit on a CPU with the same number of threads).

    Args:
        config: settings, saved with the checkpoint.
        data: the training part.
        run_dir: gets ``checkpoint.safetensors`` (+ ``.json``), ``metrics.jsonl``, ``status.json`` and ``tensorboard/``.
            A file ``STOP`` in it asks for a checkpoint and an end; the next call removes it.
        device: "cpu" or "cuda[:i]"; on a GPU the forward pass runs in bfloat16.
        progress: receives one line an epoch.
        stop: asked after each batch; where it says so, a checkpoint is written inside the epoch.

    Raises:
        ConfigError: ``run_dir`` holds a checkpoint of other settings or other data, or another process trains there.
        DataError: its checkpoint is damaged or foreign.
        StoppedError: ``stop`` or the file said so; the same call goes on from there.
        StorageError: a checkpoint or the log cannot be written; the last good checkpoint is kept.
        C2VLError: a loss or gradient became NaN; the batch's clips are in ``nan-batch.json``.
    """
    say = progress or (lambda line: None)
    if device == "cpu":
        keep_freed_memory()
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    learner = build_learner(config, data, device)
    learner.low_precision = device.startswith("cuda")
    optimizer = build_optimizer(learner, config)
    count = len(data.clips) if data.rows is None else len(data.rows)
    # a short batch would meet fewer negatives; other clips are left out next time
    batches = max(1, count // config.batch_size)
    folder = RunFolder(
        run_dir, config, run_card(config, data), learner, optimizer, batches, min(config.batch_size, count)
    )
    place = folder.resume()
    if place.epoch or place.step:
        say(f"resuming after epoch {place.epoch} of {config.epochs}" + (f", batch {place.step}" if place.step else ""))
    if place.epoch >= config.epochs:
        return learner
    with folder.training(place):
        clips = _on_device(data, device)
        run = _Run(config, learner, optimizer, clips, data.names, place, folder)
        _train(run, data, say, lambda: (stop is not None and stop()) or folder.stop_wanted())
    return learner


def _train(run: _Run, data: TrainingSet, say: Progress, stop: Stop) -> None:
    """All epochs that are not done yet."""
    config = run.config
    while run.place.epoch < config.epochs:
        whole = run.finish_epoch(stop)
        if whole:
            row = run.close_epoch()
            if data.watch_labels is not None and config.knn_every and row["epoch"] % config.knn_every == 0:
                row["knn1"] = neighbour_accuracy(run.learner, run.clips, data.watch_labels, data.watch_groups)
            run.folder.after_epoch(run.place, row)
            say(_line(row, config.epochs))
        if run.place.epoch < config.epochs and (not whole or stop()):
            run.folder.save(run.place)
            where = f"Stopped in epoch {run.place.epoch + 1} of {config.epochs}, after batch {run.place.step} of "
            raise StoppedError(
                f"{where}{run.batches}; {run.folder.path / FILE} holds all of it. The same command goes on from there."
            )


def _line(row: dict[str, Any], epochs: int) -> str:
    """An epoch for people."""
    skipped = f"  {row['skipped']} batches skipped (NaN)" if row["skipped"] else ""
    near = f"  1-NN {100 * row['knn1']:.1f}" if "knn1" in row else ""
    return (
        f"epoch {row['epoch']}/{epochs}  loss {row['loss']:.4f}{near}  "
        f"{row['clips_per_second']:.0f} clips/s  {row['seconds_left']:.0f} s left{skipped}"
    )


class _Run:
    """The loop's state: what is trained, on which clips, and how far it is."""

    def __init__(
        self,
        config: FitConfig,
        learner: Learner,
        optimizer: torch.optim.Optimizer,
        clips: Tensor,
        names: list[str],
        place: Place,
        folder: RunFolder,
    ) -> None:
        self.config, self.learner, self.optimizer = config, learner, optimizer
        self.clips, self.names, self.place, self.folder = clips, names, place, folder
        self.batches = folder.batches
        self.guard = Guard(config.on_nan == "skip", folder.path, learner)

    def finish_epoch(self, stop: Stop) -> bool:
        """The batches of the epoch that are not done yet; False where ``stop`` came between."""
        config, place = self.config, self.place
        epoch = place.epoch + 1
        order = epoch_order(config.seed, epoch, len(self.clips)).to(self.clips.device)
        self.learner.train()
        start, before = time.perf_counter(), place.seconds
        for index in range(place.step, self.batches):
            rows = order[index * config.batch_size : (index + 1) * config.batch_size]
            terms = self._step(rows, epoch, index)
            for name, value in (terms or {}).items():
                place.sums[name] = place.sums.get(name, 0.0) + value
            place.in_a_row = place.in_a_row + 1 if terms is None else 0
            place.skipped += terms is None
            place.step = index + 1
            place.seconds = before + time.perf_counter() - start
            self.folder.after_batch(place)
            if place.step < self.batches and stop():
                return False
        return True

    def _step(self, rows: Tensor, epoch: int, index: int) -> dict[str, float] | None:
        """One optimiser step on the clips at ``rows``; returns the terms, or None where it was skipped for a NaN."""
        config, learner = self.config, self.learner
        torch.manual_seed(mixed_seed(config.seed, epoch, index))  # dropout
        done = self._progress(epoch, index)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(epoch, index)
        self.guard.keep()
        terms = learner.batch_terms(self.clips[rows], rows, done, config.seed, epoch)
        loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if not self.guard.fine(loss):
            self._refuse({"loss": loss, **terms}, rows, epoch, index)
            return None
        self.optimizer.step()
        learner.after_step()
        return _numbers({"loss": loss, **terms})

    def _refuse(self, terms: dict[str, Tensor], rows: Tensor, epoch: int, index: int) -> None:
        """Write down a batch whose step must not be taken, and undo it; an error where it is not to be skipped."""
        values = _numbers(terms)
        names = [self.names[i] for i in rows.tolist()]
        rate = self._rate(epoch, index)
        batch = {"epoch": epoch, "batch": index + 1, "loss": values.pop("loss"), "terms": values, "lr": rate}
        self.guard.report({**batch, "clips": names}, self.clips[rows], self.place.in_a_row)
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
        seen = self.batches * min(self.config.batch_size, len(self.clips))
        taken = self.batches - place.skipped
        row: dict[str, Any] = {"epoch": epoch, "loss": math.nan}  # unless there was a step
        row |= {name: value / taken for name, value in place.sums.items()}
        row |= self.learner.report(epoch / self.config.epochs)
        row |= {"lr": self._rate(epoch, self.batches - 1), "seconds": place.seconds, "skipped": place.skipped}
        row |= {"clips_per_second": seen / max(place.seconds, 1e-9)}
        self.place = Place(epoch, in_a_row=place.in_a_row)
        return row | {"seconds_left": (self.config.epochs - epoch) * place.seconds}


def _numbers(tensors: dict[str, Tensor]) -> dict[str, float]:
    """Scalars as plain numbers."""
    return {name: float(value.detach()) for name, value in tensors.items()}


def _on_device(data: TrainingSet, device: str) -> Tensor:
    """The training clips on the device, part by part: a memory-mapped set is never copied whole on the way."""
    rows = np.arange(len(data.clips)) if data.rows is None else data.rows
    clips = torch.empty((len(rows), *data.clips.shape[1:]), device=device)
    for start in range(0, len(rows), 1024):
        part = rows[start : start + 1024]
        clips[start : start + len(part)] = torch.from_numpy(np.ascontiguousarray(data.clips[part], np.float32))
    return clips
