"""LARS, an optimiser that torch does not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

TRUST = 0.001  # the paper's coefficient


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You, Gitman and Ginsburg, arXiv 1708.03888), for large batches.

    Of each matrix or kernel w with gradient g: u = g + decay · w; v = momentum · v + trust · |w| / |u| · u;
    w = w - rate · v. Where either length is 0, and for vectors and single numbers (biases, normalisation), the factor
    trust · |w| / |u| is 1, as BYOL and others have it.

    Args:
        params: parameters or groups of them; a group may have its own ``weight_decay``.
        lr: learning rate.
        momentum: of the running sum v.
    """

    def __init__(self, params: Any, lr: float, momentum: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient; no closure is called."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """One parameter's step."""
        update = gradient + group["weight_decay"] * weight
        if weight.ndim > 1:
            length, change = weight.norm(), update.norm()
            update = update * torch.where((length > 0) & (change > 0), TRUST * length / change, 1.0)
        state = self.state[weight]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(weight)
        velocity = state["velocity"].mul_(group["momentum"]).add_(update)
        weight.sub_(group["lr"] * velocity)
