"""From settings to a learner with fresh weights, and its optimiser."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from c2vl_lab.dist import world_size
from c2vl_lab.errors import DataError, choose
from c2vl_lab.learners.base import Learner, Momentum, Views
from c2vl_lab.learners.bootstrap import BootstrapLearner
from c2vl_lab.learners.concept import ConceptLearner
from c2vl_lab.learners.supervised import SupervisedLearner
from c2vl_lab.learners.views import ContrastConfig, ExtremeLearner, ViewLearner
from c2vl_lab.models.base import Encoder
from c2vl_lab.models.encoders import build_encoder
from c2vl_lab.models.shared_norms import share_norms
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
            {m: tensor(p) for m, p in data.places.items()},
        ),
        "skeletonclr": lambda: ViewLearner(encoder, views, momentum, contrast),
        "aimclr": lambda: ExtremeLearner(encoder, views, momentum, contrast),
        "byol": lambda: BootstrapLearner(encoder, views, momentum),
        "supervised": lambda: SupervisedLearner(
            encoder, views, tensor(data.labels), data.classes, config.label_smoothing
        ),
    }
    learner = choose(config.method, makers, "method")().to(device)
    if config.sync_norm and world_size() > 1:
        for encoder in [m for m in learner.modules() if isinstance(m, Encoder)]:  # heads see the whole batch anyway
            share_norms(encoder, device)
    return learner


def build_optimizer(learner: Learner, config: FitConfig, encoder_rate: float = 1.0) -> torch.optim.Optimizer:
    """The optimiser by name; weight decay acts on matrices and kernels, not on biases, normalisation and temperature.

    The published settings of SGD decay all parameters; that it is not done here is our choice, the same for all.

    Args:
        learner: what is trained.
        config: settings.
        encoder_rate: the encoder's learning rate as a multiple of the others'; the loop reads it as a group's "share".
    """
    trained = [p for p in learner.parameters() if p.requires_grad]
    parts = {1.0: trained}
    if encoder_rate != 1.0:
        own = {id(p) for p in learner.encoder.parameters()}
        parts = {encoder_rate: [p for p in trained if id(p) in own], 1.0: [p for p in trained if id(p) not in own]}
    groups = [
        {"params": [p for p in part if (p.ndim >= 2) == decays], "weight_decay": decay, "share": share}
        for share, part in parts.items()
        for decays, decay in ((True, config.weight_decay), (False, 0.0))
    ]
    fused = True if trained[0].is_cuda else None  # one kernel for all parameters; elsewhere torch's own choice
    makers: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "adamw": lambda: torch.optim.AdamW(groups, lr=config.lr, fused=fused),
        "adam": lambda: torch.optim.Adam(groups, lr=config.lr, fused=fused),
        "sgd": lambda: torch.optim.SGD(groups, lr=config.lr, momentum=MOMENTUM),
        "sgd-nesterov": lambda: torch.optim.SGD(groups, lr=config.lr, momentum=MOMENTUM, nesterov=True),
        "lars": lambda: LARS(groups, config.lr, MOMENTUM),
    }
    return choose(config.optimizer, makers, "optimizer")()
