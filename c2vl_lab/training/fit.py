"""Train an encoder: one call for every method, resumable at any kill to the same final weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from c2vl_lab.dist import anywhere, meet, rank
from c2vl_lab.learners.base import Learner
from c2vl_lab.models.memory import keep_freed_memory
from c2vl_lab.training.build import build_learner, build_optimizer
from c2vl_lab.training.card import run_card
from c2vl_lab.training.checkpoints import FILE
from c2vl_lab.training.clips import ClipSource, place_clips
from c2vl_lab.training.compiling import CompiledParts
from c2vl_lab.training.keeping import RunFolder, make_folder
from c2vl_lab.training.loop import Loop, Stop
from c2vl_lab.training.settings import FitConfig, TrainingSet, pick_precision
from c2vl_lab.training.start import Start
from c2vl_lab.training.step import describe_step, largest_piece, other_norms
from c2vl_lab.training.stopping import StoppedError
from c2vl_lab.training.watching import neighbour_accuracy

Progress = Callable[[str], None]
Watch = Callable[[Learner], dict[str, float]]


def fit(
    config: FitConfig,
    data: TrainingSet,
    run_dir: Path,
    device: str,
    progress: Progress | None = None,
    stop: Stop | None = None,
    start: Start | None = None,
) -> Learner:
    """Train and return the learner; a killed run goes on from its last checkpoint when called again.

    The order of the clips, their augmentation and dropout depend on (seed, epoch, clip or batch) alone, so that a
    resumed run ends with the weights of an unbroken one (bit for bit on a CPU with the same number of threads). Called
    in several processes that torchrun started, it trains one learner in all of them.

    Args:
        config: settings, saved with the checkpoint.
        data: the training part.
        run_dir: gets ``checkpoint.safetensors`` (+ ``.json``), ``metrics.jsonl``, ``status.json`` and ``tensorboard/``;
            every process must see it. A file ``STOP`` in it asks for a checkpoint and an end; the next call removes it.
        device: "cpu" or "cuda[:i]".
        progress: receives one line an epoch.
        stop: asked after each batch; where it says so, in any process, a checkpoint is written inside the epoch.
        start: other weights than random ones to start from; a checkpoint says which.

    Raises:
        ConfigError: ``run_dir`` holds a checkpoint of other settings or other data, or another process trains there.
        DataError: its checkpoint is damaged or foreign.
        StoppedError: ``stop`` or the file said so; the same call goes on from there.
        StorageError: a checkpoint or the log cannot be written; the last good checkpoint is kept.
        C2VLError: a loss or gradient became NaN; the batch's clips are in ``nan-batch.json``.
    """
    say = progress if progress is not None and rank() == 0 else (lambda line: None)
    if device == "cpu":
        keep_freed_memory()
    run_dir = Path(run_dir)
    make_folder(run_dir)
    learner = build_learner(config, data, device)
    precision = pick_precision(config.precision, device)
    learner.low_precision = precision == "bfloat16"
    card = run_card(config, data, precision)
    if start is not None:
        start.apply(learner)
        card["start"] = start.card()
    optimizer = build_optimizer(learner, config, start.rate if start is not None else 1.0)
    folder = RunFolder(run_dir, config, card, learner, optimizer, len(data.names))
    place = folder.resume()
    if place.epoch >= config.epochs:
        say(f"nothing to train: all {config.epochs} epochs are done")
        return learner
    if place.epoch or place.step:
        say(f"resuming after epoch {place.epoch} of {config.epochs}" + (f", batch {place.step}" if place.step else ""))
        if changed := other_norms(learner.encoder, config, len(data.names), folder.processes):
            say(changed)
    with folder.training(place):
        clips = place_clips(data, device, config.resident)
        parts = compile_on_a_gpu(config, learner, clips, device, say)
        loop = Loop(config, learner, optimizer, clips, data.names, data.sets, place, folder)
        say(describe_step(config, len(data.names)))
        watch = start.watch if start is not None else None
        _train(loop, data, say, lambda: anywhere((stop is not None and stop()) or folder.stop_wanted()), watch)
        parts.undo()  # what comes after training has other shapes
    meet()  # none may go on, and read, before all is written
    return learner


def _train(loop: Loop, data: TrainingSet, say: Progress, stop: Stop, watch: Watch | None) -> None:
    """All epochs that are not done yet."""
    config = loop.config
    while loop.place.epoch < config.epochs:
        whole = loop.finish_epoch(stop)
        if whole:
            row = loop.close_epoch()
            watched = data.watch_labels is not None and config.knn_every and row["epoch"] % config.knn_every == 0
            if watched and rank() == 0:  # the others go on and wait for it where the next batch makes them meet
                assert data.watch_labels is not None
                with torch.compiler.set_stance("force_eager"):  # whole clips have other shapes than views
                    row["knn1"] = neighbour_accuracy(loop.learner, loop.clips, data.watch_labels, data.watch_groups)
            if watch is not None:
                row |= watch(loop.learner)
            loop.folder.after_epoch(loop.place, row)
            say(_line(row, config.epochs))
        if loop.place.epoch < config.epochs and (not whole or stop()):
            loop.folder.save(loop.place)
            meet()
            where = f"Stopped in epoch {loop.place.epoch + 1} of {config.epochs}, after batch {loop.place.step} of "
            raise StoppedError(
                f"{where}{loop.batches}; {loop.folder.path / FILE} holds all of it. "
                "The same command goes on from there."
            )


def _line(row: dict[str, Any], epochs: int) -> str:
    """An epoch for people."""
    skipped = f"  {row['skipped']} batches skipped (NaN)" if row["skipped"] else ""
    near = f"  1-NN {100 * row['knn1']:.1f}" if "knn1" in row else ""
    return (
        f"epoch {row['epoch']}/{epochs}  loss {row['loss']:.4f}{near}  "
        f"{row['clips_per_second']:.0f} clips/s  {row['seconds_left']:.0f} s left{skipped}"
    )


def compile_on_a_gpu(
    config: FitConfig, learner: Learner, clips: ClipSource, device: str, say: Progress
) -> CompiledParts:
    """Compile what can be of a learner where ``compile`` says so, and tell which parts these are.

    Args:
        config: settings.
        learner: on its device.
        clips: the training clips; the parts are tried on as many of them as pass through the encoder at once, for
            more may not fit into the memory.
        device: "cpu" or "cuda[:i]"; on a processor nothing is compiled.
        say: receives what became of it.
    """
    parts = CompiledParts(learner, config.compile == "graphs", say)
    if not device.startswith("cuda"):
        return parts
    torch.backends.cudnn.benchmark = True  # all batches have one shape
    if config.compile != "off":
        say("compiling for the GPU, a minute or two ...")
        rows, some = next(iter(clips.batches([torch.arange(largest_piece(config, len(clips)))])))
        say(f"compiled: {', '.join(parts.try_on(some, rows, config.seed)) or 'nothing'}")
    return parts
