"""What is trained and on what: the settings of a run, and everything that a method may see."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from c2vl_lab.concepts import PooledEachStep
from c2vl_lab.data.augment import AugmentConfig
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import ConfigError, choose
from c2vl_lab.objective import ObjectiveConfig

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
        method: "c2vl" (with its special cases by ``objective``), "skeletonclr" or "supervised".
        encoder, width, stream: what is trained and on which stream; width 0 is the encoder's own.
        frames: frames of a training view.
        epochs, batch_size, lr, weight_decay: AdamW, one epoch of warm-up, cosine to zero.
        momentum: rate of the exponential moving average.
        view_tau: temperature of the two-view contrast ("skeletonclr", and the optional extra term of "c2vl").
        seed: initial weights, order and augmentation depend on it alone.
        checkpoint_every: epochs between checkpoints.
        precision: one of :data:`PRECISIONS`; a run goes on only in the precision that it was begun in.
        compile: one of :data:`COMPILE`.
        resident: where the training clips lie, one of :data:`RESIDENT`; all but "half" give the same numbers.
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
    precision: str = "auto"
    compile: str = "auto"
    resident: str = "auto"
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        choose(self.precision, PRECISIONS, "precision")
        choose(self.compile, COMPILE, "choice of compiling")
        choose(self.resident, RESIDENT, "place of the clips (resident)")
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
