"""The learning rate over training."""

from __future__ import annotations

import math

from c2vl_lab.training.settings import FitConfig

STEP = 0.1  # factor at each of the steps, in every published setting


def learning_rate(config: FitConfig, progress: float, epochs: float) -> float:
    """Learning rate of a batch.

    Args:
        config: peak rate, schedule, steps and warm-up.
        progress: 0 at the first batch of training, 1 at the last.
        epochs: epochs that are done when this batch is; 1 after the first epoch's last batch.
    """
    warm = min(1.0, epochs / config.warmup_epochs) if config.warmup_epochs else 1.0
    if config.lr_schedule == "cosine":
        share = 0.5 * (1 + math.cos(math.pi * progress))
    elif config.lr_schedule == "step":
        share = STEP ** sum(epochs > step for step in config.step_epochs())
    else:
        share = 1.0
    return config.lr * warm * share
