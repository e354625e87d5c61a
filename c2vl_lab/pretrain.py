"""Train an encoder: one loop for every method, resumable at any kill to the same final weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.checkpoints import FILE, read_checkpoint, restore, save_checkpoint
from c2vl_lab.concepts import PooledEachStep
from c2vl_lab.config import to_dict
from c2vl_lab.data.augment import AugmentConfig
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import C2VLError, ConfigError, DataError, choose
from c2vl_lab.learners import ConceptLearner, Learner, SupervisedLearner, ViewLearner, Views
from c2vl_lab.logs import MetricLog
from c2vl_lab.models.encoders import build_encoder
from c2vl_lab.models.memory import keep_freed_memory
from c2vl_lab.objective import ObjectiveConfig

Progress = Callable[[str], None]


@dataclass(frozen=True)
class FitConfig:
    """How an encoder is trained. Values are our choice; suites state theirs.

    Attributes:
        method: "c2vl" (with its special cases by ``objective``), "skeletonclr" or "supervised".
        encoder, width, stream: what is trained and on which stream; width 0 is the encoder's own.
        frames: frames of a training view.
        epochs, batch_size, lr, weight_decay: AdamW, one epoch of warm-up, cosine to zero.
        momentum: rate of the exponential moving average.
        view_tau: temperature of the two-view contrast ("skeletonclr", and the optional extra term of "c2vl").
        seed: initial weights, order and augmentation depend on it alone.
        checkpoint_every: epochs between checkpoints.
    """

    method: str = "c2vl"
    encoder: str = "temporal"
    width: int = 0
    stream: str = "joint"
    frames: int = 32
    epochs: int = 60
    batch_size: int = 128
    lr: float = 2e-3
    weight_decay: float = 1e-3
    momentum: float = 0.99
    view_tau: float = 0.1
    seed: int = 0
    checkpoint_every: int = 5
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.checkpoint_every) < 1 or self.frames < 2:
            raise ConfigError("epochs, batch_size and checkpoint_every must be at least 1 and frames at least 2.")


@dataclass(frozen=True)
class TrainingSet:
    """Everything that a method may see: the training clips and what goes with them, nothing of the test part.

    Attributes:
        clips: (N, T, M, V, 3) normalised coordinates; may be memory-mapped.
        rows: which of ``clips`` are the training clips, in the order of everything else; None: all.
        names: clip names.
        layout: joint layout.
        concepts: pooled teacher features per modality (N, D_m), for "c2vl".
        taus: intra-modal temperatures per modality, for "c2vl".
        pooled: modalities whose K features "c2vl" pools in each step.
        places: targets of the regression per modality (N, K, D), for "c2vl" with a regression.
        labels, classes: (N,) and their number, for "supervised" only.
        key: fingerprint of what all this was made from; empty: the arrays' own. Arrays that went through a PCA
            differ in their last digits with the number of threads, and a checkpoint must not be refused for that.
    """

    clips: np.ndarray
    names: list[str]
    layout: JointLayout
    concepts: dict[str, np.ndarray] = field(default_factory=dict)
    taus: dict[str, float] = field(default_factory=dict)
    labels: np.ndarray | None = None
    classes: int = 0
    key: str = ""
    rows: np.ndarray | None = None
    pooled: dict[str, PooledEachStep] = field(default_factory=dict)
    places: dict[str, np.ndarray] = field(default_factory=dict)


def pick_device(wanted: str) -> str:
    """ "auto" becomes "cuda" where there is a GPU, else "cpu".

    Raises:
        ConfigError: a GPU was asked for and there is none.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device '{wanted}' was asked for, but torch sees no GPU here. Use device='cpu'.")
    return wanted


def build_learner(config: FitConfig, data: TrainingSet, device: str) -> Learner:
    """The method's learner with fresh weights drawn from the seed, on ``device``."""
    torch.manual_seed(config.seed)
    encoder = build_encoder(config.encoder, data.layout, config.width)
    views = Views(data.layout, config.stream, config.augment, config.frames)

    def tensor(array: np.ndarray | None) -> torch.Tensor:
        if array is None:
            raise DataError("Supervised training needs labels.")
        return torch.as_tensor(np.ascontiguousarray(array)).to(device)

    makers: dict[str, Callable[[], Learner]] = {
        "c2vl": lambda: ConceptLearner(
            encoder,
            views,
            config.momentum,
            {m: tensor(c) for m, c in data.concepts.items()},
            data.taus,
            config.objective,
            config.view_tau,
            data.pooled,
            {m: tensor(p) for m, p in data.places.items()},
        ),
        "skeletonclr": lambda: ViewLearner(encoder, views, config.momentum, config.view_tau),
        "supervised": lambda: SupervisedLearner(encoder, views, tensor(data.labels), data.classes),
    }
    return choose(config.method, makers, "method")().to(device)


def fit(config: FitConfig, data: TrainingSet, run_dir: Path, device: str, progress: Progress | None = None) -> Learner:
    """Train and return the learner; a killed run goes on from its last checkpoint when called again.

    Order, augmentation and dropout of an epoch depend on (seed, epoch) alone, so that a resumed run ends with the
    weights of an unbroken one (bit for bit on a CPU with the same number of threads).

    Args:
        config: settings, saved with the checkpoint.
        data: the training part.
        run_dir: gets ``checkpoint.safetensors`` (+ ``.json``), ``metrics.jsonl`` and ``tensorboard/``.
        device: "cpu" or "cuda[:i]"; on a GPU the forward pass runs in bfloat16.
        progress: receives one line an epoch.

    Raises:
        ConfigError: ``run_dir`` holds a checkpoint of other settings or other data.
        C2VLError: the loss became NaN; the sentence names the batch's clips.
    """
    say = progress or (lambda line: None)
    if device == "cpu":
        keep_freed_memory()
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    learner = build_learner(config, data, device)
    learner.low_precision = device.startswith("cuda")
    optimizer = _optimizer(learner, config)
    card = run_card(config, data)
    done = _resume(run_dir, card, learner, optimizer)
    if done:
        say(f"resuming after epoch {done} of {config.epochs}")
    if done >= config.epochs:
        return learner
    clips = _on_device(data, device)
    log = MetricLog(run_dir, keep_epochs=done)
    for epoch in range(done + 1, config.epochs + 1):
        row = _epoch(learner, optimizer, clips, config, epoch, device, data.names)
        log.write(row)
        if epoch % config.checkpoint_every == 0 or epoch == config.epochs:
            save_checkpoint(run_dir, learner, optimizer, {**card, "epoch": epoch})
        left = (config.epochs - epoch) * row["seconds"]
        say(
            f"epoch {epoch}/{config.epochs}  loss {row['loss']:.4f}  "
            f"{row['clips_per_second']:.0f} clips/s  {left:.0f} s left"
        )
    log.close()
    return learner


def _on_device(data: TrainingSet, device: str) -> torch.Tensor:
    """The training clips on the device, part by part: a memory-mapped set is never copied whole on the way."""
    rows = np.arange(len(data.clips)) if data.rows is None else data.rows
    clips = torch.empty((len(rows), *data.clips.shape[1:]), device=device)
    for start in range(0, len(rows), 1024):
        part = rows[start : start + 1024]
        clips[start : start + len(part)] = torch.from_numpy(np.ascontiguousarray(data.clips[part], np.float32))
    return clips


def _epoch(
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    clips: torch.Tensor,
    config: FitConfig,
    epoch: int,
    device: str,
    names: list[str],
) -> dict[str, Any]:
    """One pass over the training clips; returns the log row."""
    torch.manual_seed(_mix(config.seed, epoch))  # dropout
    generator = torch.Generator(device).manual_seed(_mix(config.seed, epoch) + 1)
    order = torch.randperm(len(clips), generator=generator, device=device)
    batches = order.split(config.batch_size)
    if len(batches) > 1 and len(batches[-1]) < config.batch_size:
        batches = batches[:-1]  # a short batch would meet fewer negatives; other clips are left out next time
    total = config.epochs * len(batches)
    sums: dict[str, float] = {}
    learner.train()
    start = time.perf_counter()
    for index, rows in enumerate(batches):
        step = (epoch - 1) * len(batches) + index
        done = step / max(1, total - 1)
        lr = config.lr * min(1.0, (step + 1) / len(batches)) * 0.5 * (1 + math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = lr
        terms = learner.terms(clips[rows], rows, done, generator)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            some = ", ".join(names[i] for i in rows[:8].tolist())
            raise C2VLError(
                f"The loss became {float(loss.detach())} in epoch {epoch}, batch {index + 1} (clips {some}, ...). "
                "The last checkpoint is kept; lower the learning rate or look at these clips."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        learner.after_step()
        for name, value in {"loss": loss, **terms}.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
    seconds = time.perf_counter() - start
    row: dict[str, Any] = {"epoch": epoch, **{name: value / len(batches) for name, value in sums.items()}}
    row |= learner.report(epoch / config.epochs)
    seen = sum(len(b) for b in batches)
    return row | {"lr": lr, "seconds": seconds, "clips_per_second": seen / seconds}


def run_card(config: FitConfig, data: TrainingSet) -> dict[str, Any]:
    """What a checkpoint says of its making: settings, joint layout, and a fingerprint of all that was trained on."""
    return {"fit": to_dict(config), "layout": data.layout.name, "data": data.key or _content(data)}


def _content(data: TrainingSet) -> str:
    """Fingerprint of a training set's arrays."""
    extra = [data.taus, data.labels if data.labels is not None else [], data.names]
    pooled = [f"{modality} {given.features.key} {given.subset}" for modality, given in sorted(data.pooled.items())]
    clips = data.clips if data.rows is None else data.clips[data.rows]
    targets = [given[m] for given in (data.concepts, data.places) for m in sorted(given)]
    return fingerprint(clips, *targets, *extra, *pooled)


def check_card(run_dir: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse a checkpoint of other settings or other data.

    Raises:
        ConfigError: naming what differs.
    """
    for part, new in wanted.items():
        old = found.get(part)
        if old == new:
            continue
        if isinstance(new, dict) and isinstance(old, dict):
            changed = "; ".join(f"{k}: {old.get(k)} -> {new[k]}" for k in new if old.get(k) != new[k])
        elif part == "data":  # two fingerprints say nothing
            changed = "other clips, sentences, pictures or teacher"
        else:
            changed = f"{old} -> {new}"
        raise ConfigError(
            f"{Path(run_dir) / FILE} was trained with other settings ({part}: {changed}). "
            "Use another run folder (run_dir), or delete this one to train anew."
        )


def _optimizer(learner: Learner, config: FitConfig) -> torch.optim.Optimizer:
    """AdamW; weight decay acts on matrices and kernels, not on biases, normalisation and the temperature."""
    trained = [p for p in learner.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr)


def _resume(run_dir: Path, card: dict[str, Any], learner: Learner, optimizer: torch.optim.Optimizer) -> int:
    """Restore the run's checkpoint if there is one; returns the number of finished epochs."""
    if not (run_dir / FILE).exists():
        return 0
    tensors, found = read_checkpoint(run_dir)
    check_card(run_dir, found, card)
    restore(tensors, learner, optimizer)
    return int(found["epoch"])


def _mix(seed: int, epoch: int) -> int:
    """One seed for an epoch, far from those of other epochs and seeds."""
    return (seed * 1_000_003 + epoch) * 2
