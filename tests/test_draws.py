"""Random numbers of clips: as the formula says in plain integers, even, and each clip's own."""

import numpy as np
import pytest
import torch

from c2vl_lab.data.draws import Draws, epoch_order, mixed_seed

MASK = (1 << 64) - 1
STEP = 0x9E3779B97F4A7C15


def mixed(bits):
    """SplitMix64's finaliser in Python's integers."""
    bits &= MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
    return bits ^ (bits >> 31)


def test_numbers_are_those_of_the_formula():
    draws = Draws(7, 3, torch.tensor([5, 11]))
    draws.uniform(2)
    found = draws.uniform(4)
    for row, clip in enumerate((5, 11)):
        key = mixed(mixed(3 + mixed_seed(7, 0)) + clip * STEP)
        for place in range(4):
            assert float(found[row, place]) == (mixed(key + ((2 << 40) + place) * STEP) >> 40) / 2**24


def test_numbers_are_even_and_normal_and_independent():
    draws = Draws(0, 1, torch.arange(2000))
    even, normal = draws.uniform(500).numpy(), draws.normal(501).numpy()
    counts = np.histogram(even, bins=50, range=(0, 1))[0]
    assert ((counts - 20_000) ** 2 / 20_000).sum() < 110  # chi square of 49 degrees of freedom: 85 in a thousand
    assert abs(normal.mean()) < 0.005 and abs(normal.std() - 1) < 0.005
    assert abs((normal**4).mean() - 3) < 0.05 and np.abs(normal).max() < 5.8
    for a, b in ((even[1:], even[:-1]), (even[:, 1:], even[:, :-1]), (normal[1:], normal[:-1]), (normal[:, :250],) * 2):
        correlation = np.corrcoef(a.ravel(), b.ravel() if a is not b else normal[:, 251:].ravel())[0, 1]
        assert abs(correlation) < 0.006


def test_each_of_seed_epoch_clip_purpose_and_call_changes_all_numbers():
    clips = torch.arange(64)
    kinds = [Draws(0, 1, clips), Draws(1, 1, clips), Draws(0, 2, clips), Draws(0, 1, clips + 64), Draws(0, 1, clips, 1)]
    tables = [draws.uniform(8) for draws in kinds] + [kinds[0].uniform(8)]
    for i, one in enumerate(tables):
        for other in tables[:i]:
            assert not (one == other).any()


def test_a_clip_draws_the_same_in_any_company():
    whole, part = Draws(3, 2, torch.arange(10)), Draws(3, torch.tensor(2), torch.tensor([9, 4]))
    assert torch.equal(whole.normal(7)[[9, 4]], part.normal(7))
    assert torch.equal(whole.uniform(3, -2, 5)[[9, 4]], part.uniform(3, -2, 5))


def test_the_order_of_an_epoch_is_a_permutation_of_its_own():
    one = epoch_order(0, 1, 100)
    assert sorted(one.tolist()) == list(range(100)) and torch.equal(one, epoch_order(0, 1, 100))
    assert not torch.equal(one, epoch_order(0, 2, 100)) and not torch.equal(one, epoch_order(1, 1, 100))


@pytest.mark.parametrize("numbers", [(0,), (2**62, 1), (-5, 3)])
def test_seeds_fit_into_torch(numbers):
    torch.Generator().manual_seed(mixed_seed(*numbers))
    assert mixed_seed(*numbers) != mixed_seed(*[n + 1 for n in numbers])
