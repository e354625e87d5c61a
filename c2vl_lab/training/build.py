"""From settings to a learner with fresh weights, and its optimiser."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from c2vl_lab.errors import DataError, choose
from c2vl_lab.learners.base import Learner, Views
from c2vl_lab.learners.concept import ConceptLearner
from c2vl_lab.learners.supervised import SupervisedLearner
from c2vl_lab.learners.views import ViewLearner
from c2vl_lab.models.encoders import build_encoder
from c2vl_lab.training.settings import FitConfig, TrainingSet


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
        ),
        "skeletonclr": lambda: ViewLearner(encoder, views, config.momentum, config.view_tau),
        "supervised": lambda: SupervisedLearner(encoder, views, tensor(data.labels), data.classes),
    }
    return choose(config.method, makers, "method")().to(device)


def build_optimizer(learner: Learner, config: FitConfig) -> torch.optim.Optimizer:
    """AdamW; weight decay acts on matrices and kernels, not on biases, normalisation and the temperature."""
    trained = [p for p in learner.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    # one kernel for all parameters; elsewhere torch's own choice
    return torch.optim.AdamW(groups, lr=config.lr, fused=True if trained[0].is_cuda else None)
