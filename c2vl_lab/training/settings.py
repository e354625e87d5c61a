"""What is trained and on what: the settings of a run, and everything that a method may see."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import torch

from c2vl_lab.concepts import PooledEachStep
from c2vl_lab.data.augment import AugmentConfig
from c2vl_lab.data.joined import ClipRows
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.device import pick_device as pick_device  # its first home
from c2vl_lab.errors import ConfigError, choose
from c2vl_lab.objective import ObjectiveConfig

METHODS = {
    "c2vl": "skeletons against language and vision",
    "skeletonclr": "SkeletonCLR-style",
    "aimclr": "AimCLR-style",
    "byol": "BYOL-style",
    "supervised": "labels",
}
OPTIMIZERS = {
    "adamw": "Adam with decoupled weight decay",
    "adam": "Adam",
    "sgd": "momentum 0.9",
    "sgd-nesterov": "Nesterov momentum 0.9",
    "lars": "layer-wise rates, momentum 0.9",
}
LR_SCHEDULES = {
    "cosine": "half a cosine to zero over the whole of training, warm-up included",
    "step": "a tenth after each of lr_steps",
    "constant": "the peak rate",
}
MOMENTUM_SCHEDULES = {"constant": "the same throughout", "cosine": "half a cosine up to 1"}
ON_NAN = {
    "stop": "training ends; the batch's clips are named in nan-batch.json",
    "skip": "the step is not taken and the batch's clips are named there; too many in a row end training all the same",
}
PRECISIONS = {
    "auto": "bfloat16 on a GPU that computes in it, float32 elsewhere",
    "float32": "everything in float32",
    "bfloat16": "the encoder in bfloat16, with float32 weights and statistics; heads and loss in float32",
}
COMPILE = {
    "auto": "compiled on a GPU; on a processor it would be slower",
    "graphs": "compiled on a GPU and replayed as CUDA graphs, for batches so small that launching kernels is the cost",
    "off": "never compiled",
}
RESIDENT = {
    "auto": "on the device where the clips take at most a quarter of its free memory",
    "yes": "on the device",
    "half": "on the device in float16, which rounds coordinates to three digits",
    "no": "read from the disk, some batches ahead",
}


@dataclass(frozen=True)
class FitConfig:
    """How an encoder is trained. Values are our choice; suites state theirs.

    Attributes:
        method: one of :data:`METHODS`; "c2vl" has its special cases by ``objective``.
        encoder, width, stream: what is trained and on which stream; width 0 is the encoder's own.
        frames: frames of a training view.
        epochs, batch_size: passes over the training clips, and clips a step.
        optimizer: one of :data:`OPTIMIZERS`.
        lr, weight_decay: peak learning rate; decay acts on matrices and kernels alone.
        lr_schedule: one of :data:`LR_SCHEDULES`, with ``warmup_epochs`` of a straight rise before it or within it.
        lr_steps: of "step": the epochs after which the rate becomes a tenth, such as "250" or "10,50".
        momentum: rate of the exponential moving average.
        momentum_schedule: "constant", or "cosine" from ``momentum`` to 1 (BYOL).
        view_tau: temperature of the contrast of skeleton views ("skeletonclr", "aimclr", and the optional extra term
            of "c2vl").
        queue, neighbours: of the same contrast, see :class:`~c2vl_lab.learners.views.ContrastConfig`.
        label_smoothing: of "supervised".
        seed: initial weights, order and augmentation depend on it alone.
        checkpoint_every: epochs between checkpoints.
        keep_every: epochs between states of the weights that are kept for looking at (``states/``); 0: none is kept.
        checkpoint_minutes: minutes of training after which a checkpoint is written inside an epoch.
        on_nan: what follows where a loss or gradient is no finite number: "stop", or "skip" (the step is not taken).
        knn_every: epochs between looks at how well the training clips' neighbours agree in class; 0: never.
        micro_batch: clips that a process passes through the encoder at once; 0: its part of the batch. The contrast
            still sees the whole batch, at the price of one more forward pass.
        accumulate: batches to an optimiser step, each with a contrast of its own; the gradient is their mean.
        sync_norm: batch norm by the clips of all processes; otherwise each process, and each piece of ``micro_batch``,
            normalises by its own clips, and the running statistics are the mean of theirs.
        precision: one of :data:`PRECISIONS`; a run goes on only in the precision that it was begun in.
        compile: one of :data:`COMPILE`.
        resident: where the training clips lie, one of :data:`RESIDENT`; all but "half" give the same numbers.
        balance_sets: of several sets together each has the same share of a batch; False: each clip once an epoch.
    """

    method: str = "c2vl"
    encoder: str = "temporal"
    width: int = 0
    stream: str = "joint"
    frames: int = 32
    epochs: int = 60
    batch_size: int = 128
    optimizer: str = "adamw"
    lr: float = 2e-3
    lr_schedule: str = "cosine"
    lr_steps: str = ""
    warmup_epochs: int = 1
    weight_decay: float = 1e-3
    momentum: float = 0.99
    momentum_schedule: str = "constant"
    view_tau: float = 0.1
    queue: int = 0
    neighbours: int = 0
    label_smoothing: float = 0.1
    seed: int = 0
    checkpoint_every: int = 5
    keep_every: int = 0
    checkpoint_minutes: float = 10.0
    on_nan: str = "stop"
    knn_every: int = 0
    micro_batch: int = 0
    accumulate: int = 1
    sync_norm: bool = False
    precision: str = "auto"
    compile: str = "auto"
    resident: str = "auto"
    balance_sets: bool = False
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        choose(self.precision, PRECISIONS, "precision")
        choose(self.compile, COMPILE, "choice of compiling")
        choose(self.resident, RESIDENT, "place of the clips (resident)")
        if min(self.epochs, self.batch_size, self.checkpoint_every) < 1 or self.frames < 2:
            raise ConfigError("epochs, batch_size and checkpoint_every must be at least 1 and frames at least 2.")
        if not self.checkpoint_minutes > 0 or min(self.knn_every, self.keep_every) < 0:
            found = f"found {self.checkpoint_minutes}, {self.knn_every} and {self.keep_every}"
            raise ConfigError(f"checkpoint_minutes must be above 0, knn_every and keep_every at least 0, {found}.")
        choose(self.on_nan, ON_NAN, "answer to a NaN loss (on_nan)")
        choose(self.method, METHODS, "method")
        choose(self.optimizer, OPTIMIZERS, "optimizer")
        choose(self.lr_schedule, LR_SCHEDULES, "schedule of the learning rate")
        choose(self.momentum_schedule, MOMENTUM_SCHEDULES, "schedule of the momentum")
        if min(self.queue, self.neighbours, self.warmup_epochs) < 0:
            raise ConfigError("queue, neighbours and warmup_epochs must be 0 or more.")
        if not (0 <= self.momentum <= 1 and 0 <= self.label_smoothing < 1 and self.view_tau > 0):
            raise ConfigError(
                "momentum must lie in 0..1, label_smoothing in 0..1 (1 excluded), and view_tau above 0; "
                f"found {self.momentum}, {self.label_smoothing}, {self.view_tau}."
            )
        if bool(self.lr_steps) != (self.lr_schedule == "step"):
            raise ConfigError(
                "lr_schedule='step' and lr_steps (such as '250' or '10,50') go together; "
                f"found lr_schedule='{self.lr_schedule}', lr_steps='{self.lr_steps}'."
            )
        if self.micro_batch < 0 or self.accumulate < 1:
            raise ConfigError(
                "micro_batch must be at least 0 (0: the whole batch at once) and accumulate at least 1; "
                f"found {self.micro_batch} and {self.accumulate}."
            )
        if self.compile == "graphs" and (self.micro_batch or self.accumulate > 1):
            raise ConfigError(
                "compile='graphs' keeps one pass in memory at a time, and micro_batch and accumulate want several; use "
                "compile='auto' with them."
            )
        self.step_epochs()

    def step_epochs(self) -> tuple[int, ...]:
        """The epochs of ``lr_steps``.

        Raises:
            ConfigError: other than whole numbers above 0, each larger than the one before.
        """
        words = [word.strip() for word in self.lr_steps.split(",")] if self.lr_steps else []
        epochs = [int(word) if word.isascii() and word.isdigit() else 0 for word in words]
        if any(b <= a for a, b in itertools.pairwise([0, *epochs])):
            raise ConfigError(f"lr_steps wants rising epochs such as '250' or '10,50', found '{self.lr_steps}'.")
        return tuple(epochs)

    @property
    def clips_per_step(self) -> int:
        """Clips of an optimiser step, on all devices together."""
        return self.batch_size * self.accumulate


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
        watch_labels, watch_groups: (N,) labels and performers by which training is watched (``knn_every``). They never
            reach a loss; None: not watched.
        sets: where the clips are of several sets: (N,) which set each is of, from 0.
        sources: their names and protocols, in that order, with their fingerprints.
    """

    clips: ClipRows
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
    watch_labels: np.ndarray | None = None
    watch_groups: np.ndarray | None = None
    sets: np.ndarray | None = None
    sources: dict[str, str] = field(default_factory=dict)


def pick_precision(wanted: str, device: str) -> str:
    """ "auto" becomes "bfloat16" on a GPU that computes in it, else "float32".

    Raises:
        ConfigError: bfloat16 was asked for on a GPU that cannot.
    """
    able = not device.startswith("cuda") or torch.cuda.is_bf16_supported(including_emulation=False)
    if wanted == "bfloat16" and not able:
        raise ConfigError(f"precision='bfloat16' was asked for; the GPU {device} has none. Use precision='float32'.")
    if wanted == "auto":
        return "bfloat16" if device.startswith("cuda") and able else "float32"
    return wanted
