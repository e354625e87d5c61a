"""Training that does not start from random weights: fine-tuning, and what is asked of it after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from c2vl_lab.learners.base import Learner
from c2vl_lab.training.checkpoints import digest_of


@dataclass(frozen=True)
class Start:
    """Where training starts, and how the encoder is treated.

    Attributes:
        weights: of the encoder, by name; empty: those that the seed draws. Heads are always those of the seed.
        rate: the encoder's learning rate as a multiple of the others'.
        steady: the encoder stays in evaluation mode: batch norm by its running statistics, which stay as they are, and
            no dropout. Its weights are trained all the same.
        watch: asked after each epoch for more columns of its row in the log; has no part in training.
    """

    weights: Mapping[str, Tensor] = field(default_factory=dict)
    rate: float = 1.0
    steady: bool = False
    watch: Callable[[Learner], dict[str, float]] | None = None

    def apply(self, learner: Learner) -> None:
        """Put the weights into a learner, which copies them, and tell it how to treat its encoder."""
        if self.weights:
            learner.encoder.load_state_dict(self.weights)
        learner.steady = self.steady

    def card(self) -> dict[str, Any]:
        """What a checkpoint says of it."""
        return {"weights": digest_of(self.weights, "")[:16], "rate": self.rate, "steady": self.steady}
