"""Train an encoder: one loop for every method, resumable at any kill to the same final weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from c2vl_lab.data.draws import balanced_order, epoch_order, mixed_seed
from c2vl_lab.errors import C2VLError
from c2vl_lab.learners.base import Learner
from c2vl_lab.logs import MetricLog
from c2vl_lab.models.memory import keep_freed_memory
from c2vl_lab.training.build import build_learner, build_optimizer
from c2vl_lab.training.card import check_card, run_card
from c2vl_lab.training.checkpoints import FILE, read_checkpoint, restore, save_checkpoint
from c2vl_lab.training.settings import FitConfig, TrainingSet

Progress = Callable[[str], None]


class StoppedError(C2VLError):
    """Training was asked to stop, and did, after a checkpoint."""


@dataclass
class Place:
    """How far a run is; saved with every checkpoint.

    Attributes:
        epoch: finished epochs.
        step: batches of the next epoch that are done.
        sums: the log's values, added up over these batches.
        seconds: wall time that these batches took.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def fit(
    config: FitConfig,
    data: TrainingSet,
    run_dir: Path,
    device: str,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Learner:
    """Train and return the learner; a killed run goes on from its last checkpoint when called again.

    The order of the clips, their augmentation and dropout depend on (seed, epoch, clip or batch) alone, so that a
    resumed run ends with the weights of an unbroken one (bit for bit on a CPU with the same number of threads).

    Args:
        config: settings, saved with the checkpoint.
        data: the training part.
        run_dir: gets ``checkpoint.safetensors`` (+ ``.json``), ``metrics.jsonl`` and ``tensorboard/``.
        device: "cpu" or "cuda[:i]"; on a GPU the forward pass runs in bfloat16.
        progress: receives one line an epoch.
        stop: asked after each batch; where it says so, a checkpoint is written inside the epoch.

    Raises:
        ConfigError: ``run_dir`` holds a checkpoint of other settings or other data.
        StoppedError: ``stop`` said so; the same call goes on from there.
        C2VLError: the loss became NaN; the sentence names the batch's clips.
    """
    say = progress or (lambda line: None)
    if device == "cpu":
        keep_freed_memory()
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    learner = build_learner(config, data, device)
    learner.low_precision = device.startswith("cuda")
    optimizer = build_optimizer(learner, config)
    card = run_card(config, data)
    place = _resume(run_dir, card, learner, optimizer)
    if place.epoch or place.step:
        say(f"resuming after epoch {place.epoch} of {config.epochs}" + (f", batch {place.step}" if place.step else ""))
    if place.epoch >= config.epochs:
        return learner
    run = _Run(config, learner, optimizer, _on_device(data, device), data.names, place)
    run.sets = data.sets if config.balance_sets else None
    log = MetricLog(run_dir, keep_epochs=place.epoch)

    def save() -> None:
        save_checkpoint(run_dir, learner, optimizer, {**card, **asdict(run.place)})

    while run.place.epoch < config.epochs:
        if not run.finish_epoch(stop or (lambda: False)):
            save()
            log.close()
            raise StoppedError(
                f"Stopped in epoch {run.place.epoch + 1} of {config.epochs}, after batch {run.place.step} of "
                f"{run.batches}; {run_dir / FILE} holds all of it. The same command goes on from there."
            )
        row = run.close_epoch()
        log.write(row)
        epoch = run.place.epoch
        if epoch % config.checkpoint_every == 0 or epoch == config.epochs:
            save()
        left = (config.epochs - epoch) * row["seconds"]
        say(
            f"epoch {epoch}/{config.epochs}  loss {row['loss']:.4f}  "
            f"{row['clips_per_second']:.0f} clips/s  {left:.0f} s left"
        )
    log.close()
    return learner


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
    ) -> None:
        self.config, self.learner, self.optimizer = config, learner, optimizer
        self.clips, self.names, self.place = clips, names, place
        # a short batch would meet fewer negatives; other clips are left out next time
        self.batches = max(1, len(clips) // config.batch_size)
        self.sets: np.ndarray | None = None  # (N,) of which set each clip is, where they are balanced

    def finish_epoch(self, stop: Callable[[], bool]) -> bool:
        """The batches of the epoch that are not done yet; False where ``stop`` came between."""
        config, place = self.config, self.place
        epoch = place.epoch + 1
        order = self._order(epoch).to(self.clips.device)
        self.learner.train()
        start, before = time.perf_counter(), place.seconds
        for index in range(place.step, self.batches):
            rows = order[index * config.batch_size : (index + 1) * config.batch_size]
            for name, value in self._step(rows, epoch, index).items():
                place.sums[name] = place.sums.get(name, 0.0) + value
            place.step = index + 1
            place.seconds = before + time.perf_counter() - start
            if place.step < self.batches and stop():
                return False
        return True

    def _order(self, epoch: int) -> Tensor:
        """(N,) the clips in the order of an epoch."""
        if self.sets is None:
            return epoch_order(self.config.seed, epoch, len(self.clips))
        return balanced_order(self.config.seed, epoch, torch.from_numpy(self.sets))

    def _step(self, rows: Tensor, epoch: int, index: int) -> dict[str, float]:
        """One optimiser step on the clips at ``rows``; returns the terms."""
        config, learner = self.config, self.learner
        torch.manual_seed(mixed_seed(config.seed, epoch, index))  # dropout
        done = self._progress(epoch, index)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(epoch, index)
        terms = learner.batch_terms(self.clips[rows], rows, done, config.seed, epoch)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            some = ", ".join(self.names[i] for i in rows[:8].tolist())
            raise C2VLError(
                f"The loss became {float(loss.detach())} in epoch {epoch}, batch {index + 1} (clips {some}, ...). "
                "The last checkpoint is kept; lower the learning rate or look at these clips."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        learner.after_step()
        return {name: float(value.detach()) for name, value in {"loss": loss, **terms}.items()}

    def _progress(self, epoch: int, index: int) -> float:
        """0 at the first batch of training, 1 at the last."""
        return ((epoch - 1) * self.batches + index) / max(1, self.config.epochs * self.batches - 1)

    def _rate(self, epoch: int, index: int) -> float:
        """Learning rate: one epoch of warm-up, then half a cosine to zero."""
        warm = ((epoch - 1) * self.batches + index + 1) / self.batches
        return self.config.lr * min(1.0, warm) * 0.5 * (1 + math.cos(math.pi * self._progress(epoch, index)))

    def close_epoch(self) -> dict[str, Any]:
        """Count the epoch as finished; returns its row of the log."""
        place, epoch = self.place, self.place.epoch + 1
        seen = self.batches * min(self.config.batch_size, len(self.clips))
        row: dict[str, Any] = {"epoch": epoch, **{name: value / self.batches for name, value in place.sums.items()}}
        row |= self.learner.report(epoch / self.config.epochs)
        row |= {"lr": self._rate(epoch, self.batches - 1), "seconds": place.seconds}
        self.place = Place(epoch)
        return row | {"clips_per_second": seen / max(row["seconds"], 1e-9)}


def _on_device(data: TrainingSet, device: str) -> Tensor:
    """The training clips on the device, part by part: a memory-mapped set is never copied whole on the way."""
    rows = np.arange(len(data.clips)) if data.rows is None else data.rows
    clips = torch.empty((len(rows), *data.clips.shape[1:]), device=device)
    for start in range(0, len(rows), 1024):
        part = rows[start : start + 1024]
        clips[start : start + len(part)] = torch.from_numpy(np.ascontiguousarray(data.clips[part], np.float32))
    return clips


def _resume(run_dir: Path, card: dict[str, Any], learner: Learner, optimizer: torch.optim.Optimizer) -> Place:
    """Restore the run's checkpoint if there is one; returns how far it was."""
    if not (run_dir / FILE).exists():
        return Place()
    tensors, found = read_checkpoint(run_dir)
    check_card(run_dir, found, card)
    restore(tensors, learner, optimizer)
    return Place(found["epoch"], found["step"], found["sums"], found["seconds"])
