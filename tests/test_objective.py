"""The loss against slow loop formulas, its special cases, and its gradient."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from c2vl_lab.errors import ConfigError
from c2vl_lab.objective import (
    ConceptContrast,
    ConceptHeads,
    ObjectiveConfig,
    alpha_at,
    intra_target,
    match_probabilities,
    soft_target,
)

N, D, H = 5, 4, 6


def unit(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def slow_softmax(row):
    top = max(row)
    parts = [math.exp(v - top) for v in row]
    return [p / sum(parts) for p in parts]


def slow_rows(a, b, scale):
    return [[scale * sum(x * y for x, y in zip(p, q, strict=True)) for q in b.tolist()] for p in a.tolist()]


def slow_p(a, b, kappa):
    return [slow_softmax(row) for row in slow_rows(a, b, kappa)]


def slow_mean(one, two):
    return [[(x + y) / 2 for x, y in zip(r, s, strict=True)] for r, s in zip(one, two, strict=True)]


def slow_loss(p, intra, inter, alpha, gamma):
    total = 0.0
    for i, row in enumerate(p):
        for j, value in enumerate(row):
            target = (1 - alpha) * (i == j) + alpha * ((1 - gamma) * intra[i][j] + gamma * inter[i][j])
            total -= target * math.log(value)
    return total / len(p)


@pytest.fixture
def sides():
    """Student and momentum outputs for two modalities."""
    student = (
        {m: unit(N, D, seed=s) for m, s in (("vision", 1), ("language", 2))},
        {m: unit(N, D, seed=s) for m, s in (("vision", 3), ("language", 4))},
        torch.tensor(7.0, dtype=torch.float64),
    )
    momentum = (
        torch.randn(N, H, generator=torch.Generator().manual_seed(9), dtype=torch.float64),
        {m: unit(N, D, seed=s) for m, s in (("vision", 5), ("language", 6))},
        {m: unit(N, D, seed=s) for m, s in (("vision", 7), ("language", 8))},
        torch.tensor(5.0, dtype=torch.float64),
    )
    concepts = {m: unit(N, D, seed=s) for m, s in (("vision", 10), ("language", 11))}
    return student, momentum, concepts


def test_match_probabilities_equal_the_loop():
    a, b = unit(N, D, seed=1), unit(N, D, seed=2)
    assert torch.allclose(match_probabilities(a, b, 9.0).exp(), torch.tensor(slow_p(a, b, 9.0), dtype=torch.float64))


def test_three_pairs_equal_the_loop(sides):
    (skeleton, concept, kappa), (hidden, slow_s, slow_c, slow_kappa), concepts = sides
    config = ObjectiveConfig(gamma=0.3, skeleton_tau=0.2)
    taus = {"vision": 0.15, "language": 0.08}
    terms = ConceptContrast(config, taus)(sides[0], sides[1], concepts, alpha=0.4)
    assert list(terms) == ["skeleton-vision", "skeleton-language", "vision-language"]
    centred = F.normalize(hidden - hidden.mean(dim=0), dim=1)
    own = slow_p(centred, centred, 1 / config.skeleton_tau)
    intra = {m: slow_p(concepts[m], concepts[m], 1 / taus[m]) for m in concepts}
    to_concept = {m: slow_p(slow_s[m], slow_c[m], float(slow_kappa)) for m in concepts}
    to_skeleton = {m: slow_p(slow_c[m], slow_s[m], float(slow_kappa)) for m in concepts}

    def through(one, two):
        return [[sum(one[i][k] * two[k][j] for k in range(N)) for j in range(N)] for i in range(N)]

    def both(a, b, intra_ab, inter_ab, intra_ba, inter_ba):
        ahead = slow_loss(slow_p(a, b, float(kappa)), intra_ab, inter_ab, 0.4, 0.3)
        back = slow_loss(slow_p(b, a, float(kappa)), intra_ba, inter_ba, 0.4, 0.3)
        return (ahead + back) / 2

    wanted = {
        "skeleton-vision": both(
            skeleton["vision"], concept["vision"], intra["vision"], to_concept["language"], own, to_skeleton["language"]
        ),
        "skeleton-language": both(
            skeleton["language"],
            concept["language"],
            intra["language"],
            to_concept["vision"],
            own,
            to_skeleton["vision"],
        ),
        "vision-language": both(
            concept["vision"],
            concept["language"],
            intra["language"],
            through(to_skeleton["vision"], to_concept["language"]),
            intra["vision"],
            through(to_skeleton["language"], to_concept["vision"]),
        ),
    }
    for name, value in wanted.items():
        assert float(terms[name]) == pytest.approx(value, abs=1e-10), name


def test_one_modality_takes_its_own_transposed_prediction(sides):
    (skeleton, concept, kappa), (hidden, slow_s, slow_c, slow_kappa), concepts = sides
    only = ["language"]
    student = ({m: skeleton[m] for m in only}, {m: concept[m] for m in only}, kappa)
    momentum = (hidden, {m: slow_s[m] for m in only}, {m: slow_c[m] for m in only}, slow_kappa)
    config = ObjectiveConfig(gamma=1.0)
    terms = ConceptContrast(config, {"language": 0.1})(student, momentum, {"language": concepts["language"]}, 1.0)
    a, b = skeleton["language"], concept["language"]
    back = slow_p(slow_c["language"], slow_s["language"], float(slow_kappa))
    ahead = slow_p(slow_s["language"], slow_c["language"], float(slow_kappa))
    zero = [[0.0] * N] * N
    wanted = slow_loss(slow_p(a, b, float(kappa)), zero, back, 1.0, 1.0)
    wanted += slow_loss(slow_p(b, a, float(kappa)), zero, ahead, 1.0, 1.0)
    assert list(terms) == ["skeleton-language"]
    assert float(terms["skeleton-language"]) == pytest.approx(wanted / 2, abs=1e-10)


def test_alpha_zero_is_the_clip_loss(sides):
    student, _, concepts = sides
    terms = ConceptContrast(ObjectiveConfig(alpha_max=0.0), {})(student, None, concepts, 0.0)
    logits = student[2] * student[0]["language"] @ student[1]["language"].T
    rows = torch.arange(N)
    wanted = (F.cross_entropy(logits, rows) + F.cross_entropy(logits.T, rows)) / 2
    assert torch.allclose(terms["skeleton-language"], wanted)


def test_vision_language_pair_can_be_switched_off(sides):
    student, momentum, concepts = sides
    contrast = ConceptContrast(ObjectiveConfig(vision_language_pair=False), {"vision": 0.1, "language": 0.1})
    assert "vision-language" not in contrast(student, momentum, concepts, 0.5)


def test_targets_are_rows_of_probability_and_carry_no_gradient():
    b = unit(N, D, seed=3).requires_grad_()
    intra = intra_target(b, 0.1)
    y = soft_target(intra, intra.T / intra.T.sum(dim=1, keepdim=True), 0.6, 0.5)
    assert not intra.requires_grad and not y.requires_grad
    assert torch.allclose(y.sum(dim=1), torch.ones(N, dtype=torch.float64))


def test_gradient_of_the_whole_loss(sides):
    student, momentum, concepts = sides
    contrast = ConceptContrast(ObjectiveConfig(), {"vision": 0.1, "language": 0.1})

    def loss(skeleton_vision, skeleton_language, vision, language, kappa):
        sides = (
            {"vision": skeleton_vision, "language": skeleton_language},
            {"vision": vision, "language": language},
            kappa,
        )
        return torch.stack(list(contrast(sides, momentum, concepts, 0.5).values())).sum()

    inputs = [student[0]["vision"], student[0]["language"], student[1]["vision"], student[1]["language"], student[2]]
    assert torch.autograd.gradcheck(loss, [t.clone().requires_grad_() for t in inputs])


def test_alpha_rises_by_half_a_cosine_after_the_warm_up():
    config = ObjectiveConfig(alpha_max=0.5, warmup=0.1)
    values = [alpha_at(p / 100, config) for p in range(101)]
    assert values[0] == values[10] == 0.0
    assert values[55] == pytest.approx(0.25)
    assert values[100] == pytest.approx(0.5)
    assert all(b >= a for a, b in itertools.pairwise(values))
    assert alpha_at(0.0, ObjectiveConfig(alpha_max=0.3, schedule="fixed")) == 0.3


def test_heads_start_at_the_concept_space_and_cap_kappa():
    heads = ConceptHeads(H, {"vision": 3, "language": 4}, kappa=1 / 0.07)
    concepts = {"vision": F.normalize(torch.randn(N, 3), dim=1), "language": F.normalize(torch.randn(N, 4), dim=1)}
    skeleton, mapped = heads(torch.randn(N, H), concepts)
    assert torch.allclose(mapped["language"], concepts["language"], atol=1e-6)
    assert torch.allclose(mapped["vision"][:, :3], concepts["vision"], atol=1e-6)
    assert skeleton["vision"].shape == (N, 4)
    with torch.no_grad():
        heads.log_kappa.fill_(20.0)
    heads.cap()  # after a step, not in the forward pass, so that the gradient lives
    assert float(heads.kappa.detach()) == pytest.approx(100.0)


@pytest.mark.parametrize("wrong", [{"alpha_max": 1.5}, {"gamma": -0.1}, {"schedule": "linear"}, {"warmup": 1.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError):
        ObjectiveConfig(**wrong)
