"""What is trained and on what: the settings of a run, and everything that a method may see."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from c2vl_lab.concepts import PooledEachStep
from c2vl_lab.data.augment import AugmentConfig
from c2vl_lab.data.joined import ClipRows
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import ConfigError
from c2vl_lab.objective import ObjectiveConfig


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
        balance_sets: of several sets together each has the same share of a batch; False: each clip once an epoch.
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
    balance_sets: bool = False
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
        labels, classes: (N,) and their number, for "supervised" only.
        key: fingerprint of what all this was made from; empty: the arrays' own. Arrays that went through a PCA
            differ in their last digits with the number of threads, and a checkpoint must not be refused for that.
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
    sets: np.ndarray | None = None
    sources: dict[str, str] = field(default_factory=dict)


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
