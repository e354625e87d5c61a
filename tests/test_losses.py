"""Every loss against a slow loop formula over sizes and temperatures, its special cases, and its gradient."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from c2vl_lab.baselines import (
    ViewProjection,
    batch_mlp,
    bootstrap_loss,
    distribution_divergence,
    mined_contrast,
    nearest,
    supervised_loss,
    two_view_contrast,
    view_logits,
)
from c2vl_lab.learners.queue import KeyQueue
from c2vl_lab.objective import ConceptContrast, ConceptHeads, ObjectiveConfig

SIZES = [(2, 3), (5, 4), (9, 6)]
TAUS = [0.05, 0.5]


def unit(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def dot(a, b):
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def softmax(row):
    top = max(row)
    parts = [math.exp(value - top) for value in row]
    return [part / sum(parts) for part in parts]


def slow_rows(query, key, others, never, tau):
    """Of each clip the similarities that count: its own key first, then the others, and where these stand."""
    for i in range(len(query)):
        places = [j for j in range(len(others)) if not never[i][j]]
        yield [dot(query[i], key[i]) / tau, *(dot(query[i], others[j]) / tau for j in places)], places


def in_batch(n):
    return torch.eye(n, dtype=torch.bool)


def from_queue(n, width, size, seed=7):
    """A queue that was filled twice over by clips 0, 1, 2, ... with every key known."""
    queue = KeyQueue(size, width).double()
    keys = unit(2 * size + 1, width, seed=seed)
    rows = torch.arange(len(keys)) % (n + 2)
    for start in range(0, len(keys), 3):
        queue.push(keys[start : start + 3], rows[start : start + 3])
    return queue, keys[-size:], rows[-size:]


@pytest.mark.parametrize(("size", "tau"), list(itertools.product(SIZES, TAUS)))
@pytest.mark.parametrize("queued", [0, 4, 11])
def test_view_losses_equal_the_loop(size, tau, queued):
    n, width = size
    query, extreme, key = (unit(n, width, seed=s) for s in (1, 2, 3))
    others, never = key, in_batch(n)
    if queued:
        queue, kept, rows = from_queue(n, width, queued)
        others, never = queue.keys, queue.never(torch.arange(n))
        assert sorted(map(tuple, queue.keys.tolist())) == sorted(map(tuple, kept.tolist()))  # the last ones, no other
        assert sorted(queue.rows.tolist()) == sorted(rows.tolist())
    logits = view_logits(query, key, others, never, tau)
    other = view_logits(extreme, key, others, never, tau)
    mined = nearest(logits, 2) | nearest(other, 2)
    contrast = divergence = more = 0.0
    two = zip(slow_rows(query, key, others, never, tau), slow_rows(extreme, key, others, never, tau), strict=True)
    for (row, _), (harder, _) in two:
        p, q = softmax(row), softmax(harder)
        contrast -= math.log(p[0])
        divergence -= sum(a * math.log(b) for a, b in zip(p, q, strict=True))
        best = {j for given in (row, harder) for j in sorted(range(1, len(given)), key=lambda j, g=given: -g[j])[:2]}
        more -= math.log(p[0] + sum(p[j] for j in best))
    assert float(two_view_contrast(logits)) == pytest.approx(contrast / n, abs=1e-9)
    assert float(distribution_divergence(other, logits)) == pytest.approx(divergence / n, abs=1e-9)
    assert float(mined_contrast(logits, mined)) == pytest.approx(more / n, abs=1e-9)


def test_in_batch_negatives_are_info_nce_and_nothing_mined_is_the_contrast():
    query, key = unit(6, 5, seed=1), unit(6, 5, seed=2)
    logits = view_logits(query, key, key, in_batch(6), 0.1)
    assert torch.allclose(two_view_contrast(logits), F.cross_entropy(query @ key.T / 0.1, torch.arange(6)))
    assert torch.allclose(mined_contrast(logits, nearest(logits, 0)), two_view_contrast(logits))
    assert torch.allclose(
        distribution_divergence(logits, logits), torch.distributions.Categorical(logits=logits).entropy().mean()
    )


def test_an_empty_queue_and_a_clips_own_keys_are_no_negatives():
    queue = KeyQueue(4, 3)
    assert queue.never(torch.tensor([0, 5])).all()
    logits = view_logits(torch.eye(3)[:2], torch.eye(3)[:2], queue.keys, queue.never(torch.tensor([0, 5])), 0.1)
    assert float(two_view_contrast(logits)) == 0 and not nearest(logits, 2).any()
    queue.push(torch.eye(3)[:2], torch.tensor([5, 6]))
    assert queue.never(torch.tensor([0, 5])).tolist() == [[False, False, True, True], [True, False, True, True]]
    queue.push(torch.ones(6, 3), torch.arange(6))  # more than fit
    assert sorted(queue.rows.tolist()) == [2, 3, 4, 5]


@pytest.mark.parametrize("size", SIZES)
def test_bootstrap_and_supervised_losses_equal_the_loop(size):
    n, width = size
    one, two = 3 * unit(n, width, seed=1), 0.2 * unit(n, width, seed=2)
    wanted = 0.0
    for a, b in zip(one, two, strict=True):
        wanted += 2 - 2 * dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))
    assert float(bootstrap_loss(one, two)) == pytest.approx(wanted / n, abs=1e-10)
    labels = torch.arange(n) % width
    for smoothing in (0.0, 0.1, 0.6):
        wanted = 0.0
        for row, label in zip(one.tolist(), labels.tolist(), strict=True):
            for j, p in enumerate(softmax(row)):
                wanted -= ((1 - smoothing) * (j == label) + smoothing / width) * math.log(p)
        assert float(supervised_loss(one, labels, smoothing)) == pytest.approx(wanted / n, abs=1e-10)


@pytest.mark.parametrize("size", SIZES)
def test_heads_equal_the_loop(size):
    """Projection and prediction: linear, (batch normalisation,) ReLU, linear, written out in numpy."""
    n, width = size
    torch.manual_seed(0)
    x = 2 * torch.randn(n, width, dtype=torch.float64)
    head, project = batch_mlp(width, 7, 5).double(), ViewProjection(width, 5).double()
    first, normal, _, last = head
    a = np.array([[dot(row, w) for w in first.weight] for row in x]) + first.bias.detach().numpy()
    a = (a - a.mean(axis=0)) / np.sqrt(a.var(axis=0) + normal.eps)
    wanted = np.maximum(a, 0) @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    np.testing.assert_allclose(head(x).detach().numpy(), wanted, atol=1e-10)
    first, _, last = project.net
    a = np.maximum(x.numpy() @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
    wanted = a @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(project(x).detach().numpy(), wanted, atol=1e-10)


def test_gradients_of_the_view_losses():
    query, extreme, key = (unit(4, 3, seed=s).requires_grad_() for s in (1, 2, 3))
    queue, *_ = from_queue(4, 3, 5)
    for others, never in ((key.detach().clone(), in_batch(4)), (queue.keys, queue.never(torch.arange(4)))):

        def contrast(q, k, others=others, never=never):
            logits = view_logits(q, k, others, never, 0.2)
            return mined_contrast(logits, nearest(logits.detach(), 1)) + two_view_contrast(logits)

        def divergence(e, others=others, never=never):
            normal = view_logits(query, key.detach().clone(), others, never, 0.2)
            return distribution_divergence(view_logits(e, key.detach().clone(), others, never, 0.2), normal)

        assert torch.autograd.gradcheck(contrast, (query, key))
        assert torch.autograd.gradcheck(divergence, (extreme,))
        divergence(extreme).backward()
    assert query.grad is None  # the normal view is a target


def test_gradients_of_bootstrap_supervised_and_heads():
    torch.manual_seed(0)
    x, y = (torch.randn(5, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    head, project = batch_mlp(4, 6, 4).double(), ViewProjection(4, 3).double()
    assert torch.autograd.gradcheck(lambda a: bootstrap_loss(head(a), y), (x,))
    assert torch.autograd.gradcheck(project, (x,))
    assert torch.autograd.gradcheck(lambda a: supervised_loss(a, torch.tensor([0, 1, 2, 3, 0]), 0.1), (x,))
    bootstrap_loss(x, y).backward()
    assert y.grad is None and x.grad is not None


def slow_concepts(student, momentum, concepts, taus, config, alpha):
    """The three-pair loss, in numpy, entry by entry."""
    skeleton, concept, kappa = student
    hidden, old_s, old_c, old_kappa = momentum
    names = list(concepts)

    def p(a, b, scale):
        return np.array([softmax([scale * dot(x, y) for y in b]) for x in a])

    centred = F.normalize(hidden - hidden.mean(dim=0), dim=1)
    own = p(centred, centred, 1 / config.skeleton_tau)
    intra = {m: p(concepts[m], concepts[m], 1 / taus[m]) for m in names}
    there = {m: p(old_s[m], old_c[m], float(old_kappa)) for m in names}
    back = {m: p(old_c[m], old_s[m], float(old_kappa)) for m in names}

    def cross(a, b, soft, inter):
        total = 0.0
        found = p(a, b, float(kappa))
        for i, j in itertools.product(range(len(a)), repeat=2):
            target = (1 - alpha) * (i == j)
            target += alpha * ((1 - config.gamma) * soft[i][j] + config.gamma * inter[i][j])
            total -= target * math.log(found[i][j])
        return total / len(a)

    terms = {}
    for m in names:
        other = [o for o in names if o != m]
        inter = (there[other[0]], back[other[0]]) if other else (back[m], there[m])
        terms[f"skeleton-{m}"] = 0.5 * (
            cross(skeleton[m], concept[m], intra[m], inter[0]) + cross(concept[m], skeleton[m], own, inter[1])
        )
    if len(names) == 2:
        a, b = concept["vision"], concept["language"]
        terms["vision-language"] = 0.5 * (
            cross(a, b, intra["language"], back["vision"] @ there["language"])
            + cross(b, a, intra["vision"], back["language"] @ there["vision"])
        )
    return terms


def sides(n, width, names, kappa):
    def points(seed):
        return {m: unit(n, width, seed=seed + i) for i, m in enumerate(names)}

    student = (points(1), points(11), torch.tensor(kappa, dtype=torch.float64))
    momentum = (2 * unit(n, width + 2, seed=21), points(31), points(41), torch.tensor(kappa / 2, dtype=torch.float64))
    return student, momentum, points(51)


@pytest.mark.parametrize(("size", "kappa"), list(itertools.product(SIZES, [2.0, 30.0])))
@pytest.mark.parametrize("names", [["language"], ["vision", "language"]])
@pytest.mark.parametrize(("alpha", "gamma"), [(0.0, 0.5), (0.3, 0.0), (0.3, 1.0), (0.7, 0.4), (1.0, 0.5)])
def test_the_concept_contrast_equals_the_loop(size, kappa, names, alpha, gamma):
    student, momentum, concepts = sides(*size, names, kappa)
    config, taus = ObjectiveConfig(gamma=gamma, skeleton_tau=0.2), {"vision": 0.3, "language": 0.08}
    terms = ConceptContrast(config, taus)(student, momentum, concepts, alpha)
    wanted = slow_concepts(student, momentum, concepts, taus, config, alpha)
    assert list(terms) == list(wanted)
    for name in terms:
        assert float(terms[name]) == pytest.approx(wanted[name], abs=1e-9), name


@pytest.mark.parametrize("names", [["language"], ["vision", "language"]])
@pytest.mark.parametrize(("alpha", "gamma"), [(0.0, 0.5), (0.6, 0.0), (0.6, 1.0)])
def test_the_gradient_goes_through_heads_and_temperature(names, alpha, gamma):
    """From the encoder's feature to the loss, every special case; the targets stand still."""
    torch.manual_seed(0)
    _, momentum, concepts = sides(4, 3, names, 6.0)
    heads = ConceptHeads(5, dict.fromkeys(names, 3), 8.0).double()
    contrast = ConceptContrast(ObjectiveConfig(gamma=gamma), dict.fromkeys(names, 0.1))

    def loss(hidden, log_kappa):
        skeleton, mapped = heads(hidden, concepts)
        return torch.stack(
            list(contrast((skeleton, mapped, log_kappa.exp()), momentum, concepts, alpha).values())
        ).sum()

    hidden = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (hidden, heads.log_kappa))
