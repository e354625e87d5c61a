"""From settings to a learner with fresh weights, and its optimiser."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from c2vl_lab.errors import DataError, choose
from c2vl_lab.learners.base import Learner, Momentum, Views
from c2vl_lab.learners.bootstrap import BootstrapLearner
from c2vl_lab.learners.concept import ConceptLearner
from c2vl_lab.learners.supervised import SupervisedLearner
from c2vl_lab.learners.views import ContrastConfig, ExtremeLearner, ViewLearner
from c2vl_lab.models.encoders import build_encoder
from c2vl_lab.training.lars import LARS
from c2vl_lab.training.settings import FitConfig, TrainingSet

MOMENTUM = 0.9  # of SGD and LARS in every published setting


def build_learner(config: FitConfig, data: TrainingSet, device: str) -> Learner:
    """The method's learner with fresh weights drawn from the seed, on ``device``."""
    torch.manual_seed(config.seed)
    encoder = build_encoder(config.encoder, data.layout, config.width)
    views = Views(data.layout, config.stream, config.augment, config.frames)
    momentum = Momentum(config.momentum, config.momentum_schedule == "cosine")
    contrast = ContrastConfig(config.view_tau, config.queue, config.neighbours)

    def tensor(array: np.ndarray | None) -> torch.Tensor:
        if array is None:
            raise DataError("Supervised training needs labels.")
        return torch.as_tensor(np.ascontiguousarray(array)).to(device)

    makers: dict[str, Callable[[], Learner]] = {
        "c2vl": lambda: ConceptLearner(
            encoder,
            views,
            momentum,
            {m: tensor(c) for m, c in data.concepts.items()},
            data.taus,
            config.objective,
            contrast,
            data.pooled,
        ),
        "skeletonclr": lambda: ViewLearner(encoder, views, momentum, contrast),
        "aimclr": lambda: ExtremeLearner(encoder, views, momentum, contrast),
        "byol": lambda: BootstrapLearner(encoder, views, momentum),
        "supervised": lambda: SupervisedLearner(
            encoder, views, tensor(data.labels), data.classes, config.label_smoothing
        ),
    }
    return choose(config.method, makers, "method")().to(device)


def build_optimizer(learner: Learner, config: FitConfig) -> torch.optim.Optimizer:
    """The optimiser by name; weight decay acts on matrices and kernels, not on biases, normalisation and temperature.

    The published settings of SGD decay all parameters; that it is not done here is our choice, the same for all.
    """
    trained = [p for p in learner.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    makers: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "adamw": lambda: torch.optim.AdamW(groups, lr=config.lr),
        "adam": lambda: torch.optim.Adam(groups, lr=config.lr),
        "sgd": lambda: torch.optim.SGD(groups, lr=config.lr, momentum=MOMENTUM),
        "sgd-nesterov": lambda: torch.optim.SGD(groups, lr=config.lr, momentum=MOMENTUM, nesterov=True),
        "lars": lambda: LARS(groups, config.lr, MOMENTUM),
    }
    return choose(config.optimizer, makers, "optimizer")()
