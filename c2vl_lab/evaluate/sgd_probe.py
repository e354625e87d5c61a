"""Linear probes by gradient descent on frozen features: the field's published settings by name, and one of our own.

The peers run their encoder again in each epoch of the probe; here the features were extracted once, so that an epoch is
two matrix products a batch and a whole probe takes seconds. Several learning rates are trained at once, side by side in
one matrix. The accuracy is that of the last epoch: no epoch is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from c2vl_lab.errors import choose
from c2vl_lab.evaluate.probes import LinearClassifier, ProbeResult, check_probe, held_out_parts, standards


@dataclass(frozen=True)
class SGDSettings:
    """Stochastic gradient descent with momentum on the cross-entropy, without weight decay.

    Attributes:
        rates: learning rates; of several the best on a held-out part of the training part is taken.
        batch_size: clips a step; the last, smaller batch of an epoch counts too.
        epochs: passes over the training part.
        drops: epochs after which the learning rate is divided by 10.
        momentum: of the gradient.
        standardise: bring each feature to mean 0 and spread 1 by the training part first.
        source: where the settings are from.
    """

    rates: tuple[float, ...]
    batch_size: int
    epochs: int
    drops: tuple[int, ...]
    momentum: float = 0.9
    standardise: bool = False
    source: str = "our choice"


# What the peers add and frozen features do not have: CMD crops each clip anew (0.5 to 1 of it) and trains a head for
# each of its three streams. Their weights start near 0; ours start at 0, the problem being convex.
SGD_PROBES = {
    "aimclr": SGDSettings((3.0,), 128, 100, (80,), source="AimCLR's published linear_eval configuration"),
    "cmd": SGDSettings((0.1,), 64, 80, (50, 70), source="CMD's published action_classification settings, one stream"),
    "chosen": SGDSettings((0.003, 0.01, 0.03, 0.1, 0.3, 1.0), 256, 100, (60, 80), standardise=True),
}


def sgd_probe(
    train: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    test: np.ndarray,
    settings: str = "chosen",
    seed: int = 0,
    device: str = "cpu",
) -> ProbeResult:
    """A linear probe of named settings; where they leave the learning rate open it is chosen inside the training part.

    A third of the groups (performers) is held out to choose it, single clips where there is one group. Then the probe
    is trained on the whole training part.

    Args:
        train: (n, D) features; labels, groups: (n,); test: (m, D) features.
        settings: a name of :data:`SGD_PROBES`.
        seed: order of the clips, and the groups held out.
        device: where to compute.

    Raises:
        ConfigError: there are no settings of that name.
        DataError: the training part holds fewer than two classes, or features are not finite.
    """
    chosen = choose(settings, SGD_PROBES, "settings of a linear probe")
    check_probe(train, labels, test)
    mean, spread = standards(train) if chosen.standardise else (np.zeros(train.shape[1]), np.ones(train.shape[1]))
    known, codes = np.unique(labels, return_inverse=True)
    rows = torch.from_numpy(((train - mean) / spread).astype(np.float32)).to(device)
    targets = torch.from_numpy(codes.astype(np.int64)).to(device)
    rate, validation = chosen.rates[0], float("nan")
    parts = held_out_parts(labels, groups, seed, 3) if len(chosen.rates) > 1 else []
    if parts:
        fit, held = (torch.from_numpy(index).to(device) for index in parts[0])
        weights = descend(rows[fit], targets[fit], len(known), chosen, chosen.rates, seed)
        right = [float((_logits(rows[held], own).argmax(1) == targets[held]).float().mean()) for own in weights]
        best = int(np.argmax(right))  # of equal ones the smallest
        rate, validation = chosen.rates[best], right[best]
    found = descend(rows, targets, len(known), chosen, (rate,), seed)[0].double().cpu().numpy()
    classifier = LinearClassifier(mean, spread, found[:-1], found[-1], known)
    return ProbeResult(classifier.predict(test), rate, validation, classifier)


def descend(
    rows: Tensor, targets: Tensor, classes: int, settings: SGDSettings, rates: tuple[float, ...], seed: int
) -> Tensor:
    """Weights after the last epoch, for each learning rate.

    Args:
        rows: (n, D) features; targets: (n,) classes from 0.
        classes: C.
        settings: batch, epochs, drops and momentum.
        rates: R learning rates.
        seed: of the clips' order, the same for all rates.

    Returns:
        (R, D + 1, C); the last row is the bias.
    """
    count = len(rows)
    rows = torch.cat([rows, rows.new_ones(count, 1)], dim=1)
    shape = (rows.shape[1], len(rates) * classes)
    weights, velocity = rows.new_zeros(shape), rows.new_zeros(shape)
    start = torch.tensor(rates, dtype=rows.dtype, device=rows.device).repeat_interleave(classes)
    hot = torch.nn.functional.one_hot(targets, classes).to(rows.dtype)
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(settings.epochs):
        step = start * 0.1 ** sum(epoch >= drop for drop in settings.drops)
        order = torch.randperm(count, generator=generator).to(rows.device)
        for chosen in order.split(settings.batch_size):
            batch = rows[chosen]
            wrong = (batch @ weights).view(len(chosen), len(rates), classes).softmax(dim=2)
            wrong -= hot[chosen][:, None]
            gradient = batch.T @ wrong.view(len(chosen), -1)
            velocity.mul_(settings.momentum).add_(gradient, alpha=1 / len(chosen))
            weights.addcmul_(step, velocity, value=-1)
    return weights.view(-1, len(rates), classes).transpose(0, 1)


def _logits(rows: Tensor, weights: Tensor) -> Tensor:
    return rows @ weights[:-1] + weights[-1]
