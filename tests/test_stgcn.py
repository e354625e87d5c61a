"""Both forms of ST-GCN against a plain one: outputs, gradients and running statistics, in training and evaluation."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d

from benchmarks.reference_stgcn import PlainSTGCN
from c2vl_lab.data.layouts import COCO17, KINECT20, NTU25, layout_from_bones
from c2vl_lab.models import products, stgcn_cpu
from c2vl_lab.models.bodies import fold
from c2vl_lab.models.dropping import coin_tosses
from c2vl_lab.models.fourier import fourier_convolution
from c2vl_lab.models.graph import spatial_partitions
from c2vl_lab.models.stgcn import STGCN, wide_form
from c2vl_lab.models.stgcn_cpu import narrow_form

FORMS = [narrow_form, wide_form]
CHAIN = layout_from_bones("chain", {"root": None, "mid": "root", "tip": "mid"})


def pair(layout, dropout=0.0, dtype=torch.float64, width=8, dim=24):
    """A model with weights that are nowhere special, and the plain one with the same."""
    ours = STGCN(layout, width, dim, dropout).to(dtype)
    with torch.no_grad():
        for value in ours.parameters():
            value.add_(0.2 * torch.randn_like(value))
        for name, value in ours.named_buffers():
            if "running" in name:
                value.add_(torch.rand_like(value))
    plain = PlainSTGCN(torch.from_numpy(spatial_partitions(layout)), width, dim, dropout).to(dtype)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def clips(layout, frames, bodies, dtype=torch.float64, count=4, absent=()):
    x = torch.randn(count, 3, frames, len(layout), bodies, dtype=dtype)
    x[list(absent), ..., -1] = 0
    return x


def compare(form, ours, plain, x, output, gradient=None):
    """Outputs, gradients of all parameters and of the input, running statistics."""
    answers, sent = [], []
    for model, run in ((ours, lambda x: form(ours, x)), (plain, plain)):
        given = x.clone().requires_grad_(gradient is not None and not (x == 0).all(dim=1).any())
        answers.append(run(given))
        torch.manual_seed(1)
        (answers[-1] * torch.randn_like(answers[-1])).sum().backward()
        sent.append([p.grad for p in model.parameters()] + [given.grad] * given.requires_grad)
    torch.testing.assert_close(*answers, rtol=0, atol=output)
    for name, one in ours.state_dict().items():
        torch.testing.assert_close(one, plain.state_dict()[name], rtol=0, atol=output, msg=name)
    if gradient:
        for mine, theirs in zip(*sent, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=gradient, atol=gradient)


@pytest.fixture(autouse=True)
def both_kinds_of_convolution(monkeypatch):
    """The last of the small blocks convolves by Fourier transform, the others directly."""
    torch.manual_seed(0)
    monkeypatch.setattr(stgcn_cpu, "FOURIER_FROM", 24)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(
    ("layout", "frames", "bodies"), [(NTU25, 16, 2), (NTU25, 13, 2), (KINECT20, 20, 1), (COCO17, 1, 2), (CHAIN, 50, 1)]
)
def test_both_forms_are_the_plain_network(form, train, layout, frames, bodies):
    ours, plain = pair(layout)
    ours.train(train)
    plain.train(train)
    compare(form, ours, plain, clips(layout, frames, bodies), 1e-10, 1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
def test_single_precision_gives_the_same_features(form, train):
    ours, plain = pair(NTU25, dtype=torch.float32, width=16, dim=64)
    ours.train(train)
    plain.train(train)
    compare(form, ours, plain, clips(NTU25, 25, 2, torch.float32, absent=[1]), 1e-4)


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("absent", [[0], [0, 2], [0, 1, 2, 3]], ids=["one", "some", "all"])
def test_absent_bodies_are_computed_once_and_nothing_changes(train, absent):
    ours, plain = pair(KINECT20)
    ours.train(train)
    plain.train(train)
    x = clips(KINECT20, 13, 2, absent=absent)
    assert len(fold(x).each) == (8 - len(absent) + 1 if len(absent) > 1 else 8)
    compare(narrow_form, ours, plain, x, 1e-10, 1e-10)


def test_running_statistics_follow_over_several_steps():
    ours, plain = pair(NTU25)
    for absent in ([0], [1, 2, 3], []):
        compare(narrow_form, ours, plain, clips(NTU25, 13, 2, absent=absent), 1e-10)
    assert ours.blocks[3].mix_norm.num_batches_tracked == 3


def test_a_batch_without_anybody():
    ours, plain = pair(NTU25)
    compare(narrow_form, ours.eval(), plain.eval(), torch.zeros(3, 3, 8, 25, 2, dtype=torch.float64), 1e-10, 1e-10)


def test_a_body_of_nan_is_not_taken_for_an_absent_one():
    x = clips(NTU25, 4, 2, absent=[0, 1, 2])
    x[0, ..., 1] = torch.nan
    assert fold(x).copies == 1
    assert narrow_form(pair(NTU25)[0].eval(), x)[0].isnan().all()


def test_absent_bodies_are_not_folded_where_dropout_makes_them_differ():
    ours, _ = pair(NTU25, dropout=0.5)
    x = clips(NTU25, 13, 2, count=1).expand(2, -1, -1, -1, -1).clone()
    x[:] = 0
    one, two = narrow_form(ours, x)
    assert not torch.equal(one, two)


@pytest.mark.parametrize("probability", [0.5, 0.3])
def test_dropout_drops_as_much_as_it_should_and_keeps_the_mean(probability):
    """Compared by distribution: the same mean and spread of features over many draws."""
    ours, plain = pair(CHAIN, dropout=probability)
    x = clips(CHAIN, 8, 1, count=2).expand(2, 3, 8, 3, 1).repeat(150, 1, 1, 1, 1)
    mine, theirs = narrow_form(ours, x).view(150, 2, -1), plain(x).view(150, 2, -1)
    spread = theirs.std(dim=0)
    assert ((mine.mean(dim=0) - theirs.mean(dim=0)).abs() < 5 * spread / 150**0.5 * 1.5 + 1e-9).all()
    assert (mine.std(dim=0) / spread - 1).abs().median() < 0.1


def test_the_same_seed_drops_the_same():
    ours, _ = pair(NTU25, dropout=0.5)
    x = clips(NTU25, 13, 2)
    answers = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        answers.append(narrow_form(ours, x))
    assert torch.equal(answers[0], answers[1]) and not torch.equal(answers[0], answers[2])


def test_tosses_are_fair_independent_and_either_zero_or_two():
    tosses = coin_tosses(torch.empty(310, 1000))
    assert set(tosses.unique().tolist()) == {0.0, 2.0}
    assert (tosses.mean(dim=1) - 1).abs().max() < 5 / 1000**0.5
    flat = tosses.flatten() - 1
    for lag in (1, 2, 31, 10_000, 20_000):  # 310,000 bits are 31 shifts of 10,000 words
        assert (flat[lag:] * flat[:-lag]).mean().abs() < 5 / 300_000**0.5


@pytest.mark.parametrize("frames", [1, 2, 7, 12, 13, 25])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("taps", [3, 9])
def test_fourier_convolution_is_the_convolution(frames, stride, taps):
    x = torch.randn(3, frames, 4, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 5, taps, 1, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(6, dtype=torch.float64, requires_grad=True)
    ours = fourier_convolution(x, weight, bias, stride)
    plain = conv2d(x.permute(0, 3, 1, 2), weight, bias, (stride, 1), (taps // 2, 0)).permute(0, 2, 3, 1)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-12)
    target = torch.randn_like(plain)
    for mine, theirs in zip(
        *(torch.autograd.grad((y * target).sum(), (x, weight, bias)) for y in (ours, plain)), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_the_form_follows_the_device(monkeypatch):
    called = []
    monkeypatch.setattr("c2vl_lab.models.stgcn.narrow_form", lambda model, x: called.append("narrow"))
    monkeypatch.setattr("c2vl_lab.models.stgcn.wide_form", lambda model, x: called.append("wide"))
    model = STGCN(NTU25)
    model(torch.empty(1, 3, 4, 25, 1))
    model(torch.empty(1, 3, 4, 25, 1, device="meta"))
    assert called == ["narrow", "wide"]


def test_the_wide_form_has_nothing_that_depends_on_the_data():
    """A device that holds no numbers runs it, so a compiler and a recorded graph can."""
    model = STGCN(NTU25).to("meta")
    assert model(torch.empty(2, 3, 50, 25, 2, device="meta")).shape == (2, 256)


def test_a_compiler_takes_the_wide_form_whole():
    model = STGCN(NTU25, 4, 8)
    compiled = torch.compile(lambda x: wide_form(model, x), fullgraph=True, backend="eager")
    model.eval()
    x = torch.randn(2, 3, 12, 25, 2)
    torch.testing.assert_close(compiled(x), wide_form(model, x))


@pytest.mark.parametrize("by_convolution", [True, False])
@pytest.mark.parametrize("rows", [1, 127, 131, 320, 640])
def test_products_are_products(by_convolution, rows, monkeypatch):
    monkeypatch.setattr(products, "AVX512", by_convolution)
    x, weight, bias, sent = (torch.randn(*shape) for shape in ((rows, 24), (16, 24), (16,), (rows, 16)))
    torch.testing.assert_close(products.multiply(x, weight, bias), x @ weight.t() + bias, rtol=0, atol=1e-4)
    torch.testing.assert_close(products.multiply(x, weight), x @ weight.t(), rtol=0, atol=1e-4)
    torch.testing.assert_close(products.weight_gradient(sent, x), sent.t() @ x, rtol=0, atol=1e-3)
    assert (products._images(x) > 0) == (by_convolution and rows in (320, 640))


@pytest.mark.parametrize("by_convolution", [True, False])
@pytest.mark.parametrize("channels", [24, products.WIDE])
def test_many_products_are_each_by_its_own_weight(by_convolution, channels, monkeypatch):
    monkeypatch.setattr(products, "AVX512", by_convolution)
    rows = products.apart(torch.empty(0), 3, 320, channels)
    sent = products.apart(rows, 3, 320, channels + 16)
    rows.normal_(), sent.normal_()
    weights = torch.randn(3, channels + 16, channels)
    out, gradients = products.multiply_each(rows, weights), products.weight_gradients(sent, rows)
    for q in range(3):
        torch.testing.assert_close(out[q], rows[q] @ weights[q].t(), rtol=0, atol=1e-3)
        torch.testing.assert_close(gradients[q], sent[q].t() @ rows[q], rtol=0, atol=1e-3)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("layout", "bodies", "absent"), [(NTU25, 2, [0, 1]), (NTU25, 2, []), (KINECT20, 1, [])])
def test_both_forms_at_the_sizes_of_the_field(form, layout, bodies, absent, monkeypatch):
    monkeypatch.setattr(stgcn_cpu, "FOURIER_FROM", 64)
    for dtype, gradient in ((torch.float64, 1e-10), (torch.float32, None)):
        ours = STGCN(layout, 16, 256, 0.0).to(dtype)
        plain = PlainSTGCN(torch.from_numpy(spatial_partitions(layout)), 16, 256, 0.0).to(dtype)
        plain.load_state_dict(ours.state_dict())
        x = clips(layout, 50, bodies, dtype, count=2, absent=absent)
        compare(form, ours, plain, x, 1e-10 if gradient else 1e-4, gradient)


def test_a_second_way_back_gives_the_same_gradients():
    """Masks and sums along the residual path are made in place: only in what each way back makes itself."""
    ours, _ = pair(NTU25)
    features = narrow_form(ours, clips(NTU25, 13, 2))
    sent = torch.randn_like(features)
    parameters = list(ours.parameters())
    one, two = (torch.autograd.grad(features, parameters, sent, retain_graph=True) for _ in range(2))
    assert all(torch.equal(mine, again) for mine, again in zip(one, two, strict=True))
