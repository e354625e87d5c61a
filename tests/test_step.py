"""A step in pieces is the step in one piece: features twice, the contrast once, statistics once."""

from __future__ import annotations

import parallel_worker as worker
import pytest
import torch

from c2vl_lab.config import replace
from c2vl_lab.data.draws import Draws
from c2vl_lab.learners.base import LOOK, TERMS
from c2vl_lab.models.encoders import ENCODERS
from c2vl_lab.models.shared_norms import SharedBatchNorm, share_norms
from c2vl_lab.training.step import Moment, Step

ALONE = replace(worker.SMALL, sync_norm=False, objective=worker.FULL)
METHODS = {
    "c2vl": ALONE,
    "skeletonclr": replace(ALONE, method="skeletonclr"),
    "supervised": replace(ALONE, method="supervised"),
}
MOMENT = Moment(epoch=2, index=1, progress=0.7)
DATA = worker.training_set()
CLIPS = torch.from_numpy(DATA.clips).double()
ROWS = torch.tensor([5, 20, 3, 11, 8, 0, 17])


def frozen_norms(learner):
    for module in learner.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    return learner


def gradients(learner):
    return {name: p.grad.clone() for name, p in learner.named_parameters() if p.requires_grad}


def statistics(learner):
    return {name: value.clone() for name, value in learner.encoder.named_buffers() if "running" in name}


def stepped(config, learner, rows=ROWS):
    terms = Step(learner, config, len(CLIPS))(rows, CLIPS[rows], MOMENT)
    return terms, gradients(learner)


def apart(one, other):
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).detach().abs().max()) for name in one)


@pytest.mark.parametrize("method", METHODS)
def test_a_plain_step_is_the_four_parts_of_the_learner(method):
    config = METHODS[method]
    learner = worker.double_learner(config, DATA)
    terms = learner.batch_terms(CLIPS[ROWS], ROWS, MOMENT.progress, config.seed, MOMENT.epoch)
    torch.stack(list(terms.values())).sum().backward()
    found, ours = stepped(config, worker.double_learner(config, DATA))
    assert apart(terms, found) < 1e-12 and apart(gradients(learner), ours) < 1e-12


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1, 3])
def test_pieces_are_the_whole_batch(method, size):
    config = METHODS[method]
    whole = stepped(config, frozen_norms(worker.double_learner(config, DATA)))
    pieces = stepped(replace(config, micro_batch=size), frozen_norms(worker.double_learner(config, DATA)))
    assert apart(whole[0], pieces[0]) < 1e-10 and apart(whole[1], pieces[1]) < 1e-10
    assert max(float(gradient.abs().max()) for gradient in whole[1].values()) > 1e-3


def test_pieces_normalise_each_by_its_own_clips():
    """Against the formula: one graph of all pieces; running statistics are the mean of what each piece made of them."""
    learner = worker.double_learner(ALONE, DATA)
    sizes, features, memories, made = [3, 2, 2], [], [], []
    for piece in ROWS.split(sizes):
        views = learner.look(CLIPS[piece], Draws(ALONE.seed, MOMENT.epoch, piece, LOOK))
        features.append(learner.represent(views))
        other = worker.double_learner(ALONE, DATA)  # starts from the statistics before the batch
        other.represent(views)
        made.append(statistics(other))
        with torch.no_grad():
            memories.append(learner.remember(views, MOMENT.progress))
    whole = [{name: torch.cat([part[name] for part in parts]) for name in parts[0]} for parts in (features, memories)]
    terms = learner.terms(*whole, ROWS, MOMENT.progress, Draws(ALONE.seed, MOMENT.epoch, ROWS, TERMS))
    torch.stack(list(terms.values())).sum().backward()

    ours = worker.double_learner(ALONE, DATA)
    found, gradient = stepped(replace(ALONE, micro_batch=3), ours)
    assert apart(terms, found) < 1e-10 and apart(gradients(learner), gradient) < 1e-10
    wanted = {name: sum(n * m[name] for n, m in zip(sizes, made, strict=True)) / len(ROWS) for name in made[0]}
    assert apart(wanted, statistics(ours)) < 1e-12
    assert {int(b) for name, b in ours.encoder.named_buffers() if name.endswith("tracked")} == {2}, (
        "two views, once each"
    )


def test_accumulation_is_the_mean_gradient():
    rows = torch.arange(16)
    _, both = stepped(replace(ALONE, accumulate=2), frozen_norms(worker.double_learner(ALONE, DATA)), rows)
    parts = [stepped(ALONE, frozen_norms(worker.double_learner(ALONE, DATA)), part) for part in rows.split(8)]
    assert apart(both, {name: (parts[0][1][name] + parts[1][1][name]) / 2 for name in both}) < 1e-10
    _, pieces = stepped(
        replace(ALONE, accumulate=2, micro_batch=3), frozen_norms(worker.double_learner(ALONE, DATA)), rows
    )
    assert apart(both, pieces) < 1e-10


def test_a_piece_drops_the_same_the_second_time_and_others_something_else():
    config = replace(METHODS["supervised"], micro_batch=1)
    learner = worker.double_learner(config, DATA)
    next(m for m in learner.encoder.modules() if isinstance(m, torch.nn.Dropout)).p = 0.5
    seen = []
    learner.encoder.register_forward_hook(lambda module, given, out: seen.append(out.detach().clone()))
    rows = torch.tensor([4, 4, 9])
    stepped(config, learner, rows)
    first, second = seen[:3], seen[3:]
    assert all(torch.equal(one, again) for one, again in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1]), "two pieces with the same clip"


def test_shared_norms_in_one_process_are_plain_ones():
    torch.manual_seed(0)
    plain = torch.nn.Sequential(
        torch.nn.BatchNorm1d(3), torch.nn.BatchNorm2d(3, momentum=None), torch.nn.BatchNorm2d(3)
    )
    plain[2].requires_grad_(False)
    plain.double()
    shared = torch.nn.Sequential(*[type(m)(3, momentum=m.momentum) for m in plain]).double()
    shared[2].requires_grad_(False)
    share_norms(shared, "cpu")
    assert all(isinstance(module, SharedBatchNorm) for module in shared)
    assert [p.requires_grad for p in shared.parameters()] == [p.requires_grad for p in plain.parameters()]
    for shape, number in (((5, 3, 7), 0), ((5, 3), 0), ((4, 3, 2, 6), 1), ((4, 3, 2, 6), 2)):
        x = torch.randn(shape, dtype=torch.float64) * 3 + 2
        grads = []
        for norm in (plain[number], shared[number]):
            given = x.clone().requires_grad_()
            norm(given).pow(3).sum().backward()
            grads.append(given.grad)
        assert torch.allclose(*grads, atol=1e-10)
    assert apart(plain.state_dict(), shared.state_dict()) < 1e-12
    x = torch.randn(4, 3, 2, 6, dtype=torch.float64)
    assert torch.allclose(plain.eval()[1:](x), shared.eval()[1:](x), atol=1e-12)


def test_shared_norms_count_and_average_in_float32_where_features_are_bfloat16():
    torch.manual_seed(0)
    plain = torch.nn.BatchNorm1d(3)
    shared = torch.nn.Sequential(torch.nn.BatchNorm1d(3))
    share_norms(shared, "cpu")
    x = (torch.randn(37, 3, 101) * 3 + 5).bfloat16()  # 37 * 101 is no number of bfloat16
    assert torch.equal(shared(x), plain(x)) and shared(x).dtype == torch.bfloat16
    plain(x)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(shared[0], name), getattr(plain, name), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ENCODERS)
def test_every_parameter_of_every_encoder_is_trained(name):
    """DistributedDataParallel waits for the gradient of each of them."""
    width = 0 if name not in ("temporal", "stgcn") else 8
    learner = worker.double_learner(replace(METHODS["supervised"], encoder=name, width=width), DATA)
    Step(learner, METHODS["supervised"], len(CLIPS))(ROWS[:3], CLIPS[ROWS[:3]], MOMENT)
    assert [n for n, p in learner.named_parameters() if p.requires_grad and p.grad is None] == []
