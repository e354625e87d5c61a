"""Learning rates against plain formulas, optimisers by name, LARS against a loop, and what is refused."""

import math

import numpy as np
import pytest
import torch
from test_pretrain import SMALL, same, training_set, weights

from c2vl_lab.config import replace
from c2vl_lab.errors import ConfigError
from c2vl_lab.learners.base import Momentum
from c2vl_lab.training.build import build_learner, build_optimizer
from c2vl_lab.training.fit import fit
from c2vl_lab.training.lars import LARS, TRUST
from c2vl_lab.training.schedules import learning_rate
from c2vl_lab.training.settings import OPTIMIZERS, FitConfig

BATCHES = 7


def rates(config):
    """The rate of every batch, as the loop asks for it."""
    total = config.epochs * BATCHES
    return [learning_rate(config, i / (total - 1), (i + 1) / BATCHES) for i in range(total)]


@pytest.mark.parametrize("warmup", [0, 1, 3])
@pytest.mark.parametrize("name", ["cosine", "step", "constant"])
def test_rates_equal_the_plain_formula(name, warmup):
    steps = "4,9" if name == "step" else ""
    config = FitConfig(epochs=12, lr=0.2, lr_schedule=name, lr_steps=steps, warmup_epochs=warmup)
    found = rates(config)
    for i, rate in enumerate(found):
        epoch = i // BATCHES  # from 0
        rise = min(1, (i + 1) / (warmup * BATCHES)) if warmup else 1
        share = {
            "cosine": (1 + math.cos(math.pi * i / (12 * BATCHES - 1))) / 2,
            "step": 1 if epoch < 4 else 0.1 if epoch < 9 else 0.01,
            "constant": 1,
        }[name]
        assert rate == pytest.approx(0.2 * rise * share, rel=1e-12)
    assert found[-1] == pytest.approx({"cosine": 0, "step": 0.002, "constant": 0.2}[name])


def test_the_momentum_rises_to_one_as_in_byol():
    still, rising = Momentum(0.99), Momentum(0.99, rises=True)
    assert {still.at(p) for p in (0, 0.3, 1)} == {0.99}
    for p in (0, 0.25, 0.5, 1):
        assert rising.at(p) == pytest.approx(1 - 0.01 * (math.cos(math.pi * p) + 1) / 2)
    assert rising.at(0) == pytest.approx(0.99) and rising.at(1) == 1


def test_lars_equals_the_loop():
    torch.manual_seed(0)
    matrix = torch.nn.Parameter(torch.randn(3, 4, dtype=torch.float64))
    vector = torch.nn.Parameter(torch.randn(4, dtype=torch.float64))
    empty = torch.nn.Parameter(torch.zeros(2, 2, dtype=torch.float64))
    groups = [{"params": [matrix, empty], "weight_decay": 0.1}, {"params": [vector]}]
    optimizer = LARS(groups, 0.5, 0.9)
    plain = [p.detach().numpy().copy() for p in (matrix, empty, vector)]
    sums = [np.zeros_like(p) for p in plain]
    for step in range(4):
        gradients = [np.random.default_rng([step, i]).normal(size=p.shape) for i, p in enumerate(plain)]
        for parameter, gradient in zip((matrix, empty, vector), gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
        for i, decay in enumerate((0.1, 0.1, 0.0)):
            update = gradients[i] + decay * plain[i]
            w, u = math.sqrt((plain[i] ** 2).sum()), math.sqrt((update**2).sum())
            if plain[i].ndim > 1 and w > 0:
                update = update * TRUST * w / u
            sums[i] = 0.9 * sums[i] + update
            plain[i] = plain[i] - 0.5 * sums[i]
        for parameter, wanted in zip((matrix, empty, vector), plain, strict=True):
            np.testing.assert_allclose(parameter.detach().numpy(), wanted, atol=1e-12)


def test_optimisers_by_name_are_what_they_say():
    learner = build_learner(SMALL, training_set(), "cpu")
    kinds = {
        name: build_optimizer(learner, replace(SMALL, optimizer=name, lr=0.3, weight_decay=0.02)) for name in OPTIMIZERS
    }
    assert [type(kinds[n]).__name__ for n in ("adamw", "adam", "sgd", "sgd-nesterov", "lars")] == [
        *("AdamW", "Adam", "SGD", "SGD", "LARS"),
    ]
    for name, optimizer in kinds.items():
        decayed, free = optimizer.param_groups
        assert (decayed["lr"], decayed["weight_decay"], free["weight_decay"]) == (0.3, 0.02, 0.0)
        assert all(p.ndim >= 2 for p in decayed["params"]) and all(p.ndim < 2 for p in free["params"])
        if name.startswith(("sgd", "lars")):
            assert decayed["momentum"] == 0.9 and decayed.get("nesterov", False) == (name == "sgd-nesterov")


class Stop(Exception):
    pass


def stop_after_epoch_3(line):
    if line.startswith("epoch 3/"):
        raise Stop


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "sgd-nesterov", "lars"])
def test_a_cut_run_goes_on_with_every_optimiser(tmp_path, optimizer):
    config = replace(SMALL, optimizer=optimizer, lr=0.05, lr_schedule="step", lr_steps="2,4", warmup_epochs=2)
    whole = weights(fit(config, training_set(), tmp_path / "whole", "cpu"))
    with pytest.raises(Stop):
        fit(config, training_set(), tmp_path / "cut", "cpu", stop_after_epoch_3)
    assert same(whole, weights(fit(config, training_set(), tmp_path / "cut", "cpu")))
    assert not same(whole, weights(build_learner(config, training_set(), "cpu")))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"method": "skeletonclear"}, "Did you mean 'skeletonclr'"),
        ({"optimizer": "adamv"}, "Did you mean 'adam"),
        ({"lr_schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"momentum_schedule": "rising"}, "schedule of the momentum"),
        ({"lr_schedule": "step"}, "go together"),
        ({"lr_steps": "10"}, "go together"),
        ({"lr_schedule": "step", "lr_steps": "50,10"}, "rising epochs"),
        ({"lr_schedule": "step", "lr_steps": "ten"}, "rising epochs"),
        ({"lr_schedule": "step", "lr_steps": "0,5"}, "rising epochs"),
        ({"queue": -1}, "0 or more"),
        ({"warmup_epochs": -1}, "0 or more"),
        ({"momentum": 1.5}, "found 1.5, 0.1, 0.1"),
        ({"label_smoothing": 1.0}, "1 excluded"),
        ({"view_tau": 0.0}, "above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, sentence):
    with pytest.raises(ConfigError, match=sentence):
        FitConfig(**wrong)
