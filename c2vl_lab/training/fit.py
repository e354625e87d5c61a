"""Train an encoder: one loop for every method, resumable at any kill to the same final weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from c2vl_lab.data.draws import epoch_order, mixed_seed
from c2vl_lab.errors import C2VLError
from c2vl_lab.learners.base import Learner
from c2vl_lab.logs import MetricLog
from c2vl_lab.models.memory import keep_freed_memory
from c2vl_lab.training.build import build_learner, build_optimizer
from c2vl_lab.training.card import check_card, run_card
from c2vl_lab.training.checkpoints import FILE, read_checkpoint, restore, save_checkpoint
from c2vl_lab.training.clips import ClipSource, place_clips
from c2vl_lab.training.compiling import CompiledParts
from c2vl_lab.training.settings import FitConfig, TrainingSet, pick_precision
from c2vl_lab.training.tally import ON_A_GPU, Tally

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
        device: "cpu" or "cuda[:i]".
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
    precision = pick_precision(config.precision, device)
    learner.low_precision = precision == "bfloat16"
    optimizer = build_optimizer(learner, config)
    card = run_card(config, data, precision)
    place = _resume(run_dir, card, learner, optimizer)
    if place.epoch or place.step:
        say(f"resuming after epoch {place.epoch} of {config.epochs}" + (f", batch {place.step}" if place.step else ""))
    if place.epoch >= config.epochs:
        return learner
    run = _Run(config, learner, optimizer, place_clips(data, device, config.resident), data.names, place)
    parts = compile_on_a_gpu(config, learner, run.clips, device, say)
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
    parts.undo()  # what comes after training has other shapes
    return learner


def compile_on_a_gpu(
    config: FitConfig, learner: Learner, clips: ClipSource, device: str, say: Progress
) -> CompiledParts:
    """Compile what can be of a learner where ``compile`` says so, and tell which parts these are.

    Args:
        config: settings.
        learner: on its device.
        clips: the training clips; the first batch's worth of them is what the parts are tried on.
        device: "cpu" or "cuda[:i]"; on a processor nothing is compiled.
        say: receives what became of it.
    """
    parts = CompiledParts(learner, config.compile == "graphs", say)
    if not device.startswith("cuda"):
        return parts
    torch.backends.cudnn.benchmark = True  # all batches have one shape
    if config.compile != "off":
        say("compiling for the GPU, a minute or two ...")
        rows, some = next(iter(clips.batches([torch.arange(min(config.batch_size, len(clips)))])))
        say(f"compiled: {', '.join(parts.try_on(some, rows, config.seed)) or 'nothing'}")
    return parts


class _Run:
    """The loop's state: what is trained, on which clips, and how far it is."""

    def __init__(
        self,
        config: FitConfig,
        learner: Learner,
        optimizer: torch.optim.Optimizer,
        clips: ClipSource,
        names: list[str],
        place: Place,
    ) -> None:
        self.config, self.learner, self.optimizer = config, learner, optimizer
        self.clips, self.names, self.place = clips, names, place
        self.on_a_gpu = next(learner.parameters()).is_cuda
        # a short batch would meet fewer negatives; other clips are left out next time
        self.batches = max(1, len(clips) // config.batch_size)

    def finish_epoch(self, stop: Callable[[], bool]) -> bool:
        """The batches of the epoch that are not done yet; False where ``stop`` came between."""
        config, place = self.config, self.place
        epoch = place.epoch + 1
        order = epoch_order(config.seed, epoch, len(self.clips)).split(config.batch_size)[place.step : self.batches]
        tally = Tally(self.names, place.sums, ON_A_GPU if self.on_a_gpu else 1)
        self.learner.train()
        start, before, stopped = time.perf_counter(), place.seconds, False
        for index, (rows, clips) in enumerate(self.clips.batches(order), start=place.step):
            tally.add(epoch, index, rows, self._step(rows, clips, epoch, index))
            place.step = index + 1
            stopped = place.step < self.batches and stop()
            if stopped:
                break
        place.sums = tally.read()
        place.seconds = before + time.perf_counter() - start
        return not stopped

    def _step(self, rows: Tensor, clips: Tensor, epoch: int, index: int) -> dict[str, Tensor]:
        """One optimiser step on the ``clips`` at ``rows``; returns the loss and its terms, on the device."""
        config, learner = self.config, self.learner
        torch.manual_seed(mixed_seed(config.seed, epoch, index))  # dropout
        done = self._progress(epoch, index)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(epoch, index)
        terms = learner.batch_terms(clips, rows, done, config.seed, epoch)
        loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        learner.after_step()
        return {"loss": loss, **terms}

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


def _resume(run_dir: Path, card: dict[str, Any], learner: Learner, optimizer: torch.optim.Optimizer) -> Place:
    """Restore the run's checkpoint if there is one; returns how far it was."""
    if not (run_dir / FILE).exists():
        return Place()
    tensors, found = read_checkpoint(run_dir)
    check_card(run_dir, found, card)
    restore(tensors, learner, optimizer)
    return Place(found["epoch"], found["step"], found["sums"], found["seconds"])
