"""The step as a GPU runs it, checked without one: no traffic with the host, whole graphs for a compiler, precisions."""

from __future__ import annotations

import shutil
from functools import partial

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

import c2vl_lab.models.stgcn as stgcn
from c2vl_lab.config import replace
from c2vl_lab.data.augment import AugmentConfig
from c2vl_lab.data.draws import Draws
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.learners.base import Learner, follow
from c2vl_lab.models.stgcn import STGCN, wide_form
from c2vl_lab.objective import ObjectiveConfig
from c2vl_lab.training import fit as fitting
from c2vl_lab.training.build import build_learner
from c2vl_lab.training.compiling import CompiledParts
from c2vl_lab.training.settings import FitConfig, TrainingSet

SMALL = FitConfig(encoder="stgcn", width=4, frames=8)
FULL = replace(SMALL, stream="bone", augment=AugmentConfig(flip=0.5), objective=ObjectiveConfig(two_view_weight=0.5))
COUNT, BATCH = 16, 6


@pytest.fixture(autouse=True)
def the_form_of_a_gpu(monkeypatch):
    monkeypatch.setattr(stgcn, "narrow_form", wide_form)


def training_set():
    rng = np.random.default_rng(0)

    def unit():
        rows = rng.normal(size=(COUNT, 12)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    return TrainingSet(
        clips=rng.normal(size=(COUNT, 12, 2, 25, 3)).astype(np.float32),
        names=[f"clip{i}" for i in range(COUNT)],
        layout=NTU25,
        concepts={"language": unit(), "vision": unit()},
        taus={"language": 0.1, "vision": 0.1},
        labels=rng.integers(0, 3, COUNT),
        classes=3,
    )


class Traffic(TorchFunctionMode):
    """Notes calls that carry numbers between the processor and the device, here "meta"; one that reads fails there."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        devices = {t.device.type for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)}
        made = func in (torch.tensor, torch.as_tensor) and not isinstance(args[0], torch.Tensor)
        listed = func is torch.Tensor.__getitem__ and any(isinstance(part, list) for part in tree_nodes(args[1]))
        if len(devices) > 1 or (made and devices != {"cpu"}) or listed:
            self.seen.append(func.__name__)
        return out


def tree_nodes(index):
    return index if isinstance(index, tuple) else (index,)


def on_meta(config):
    """A learner, and a batch, on a device that holds no numbers."""
    learner = build_learner(config, training_set(), "cpu").to("meta").train()
    for name in ("concepts", "labels"):
        held = getattr(learner, name, None)
        if held is not None:
            setattr(
                learner, name, {m: c.to("meta") for m, c in held.items()} if name == "concepts" else held.to("meta")
            )
    return (
        learner,
        torch.empty(BATCH, 12, 2, 25, 3, device="meta"),
        torch.empty(BATCH, dtype=torch.int64, device="meta"),
    )


@pytest.mark.parametrize("config", [SMALL, FULL, replace(SMALL, method="skeletonclr", stream="motion")])
@pytest.mark.parametrize("progress", [0.0, 0.7])
def test_a_step_carries_nothing_between_host_and_device(config, progress, monkeypatch):
    monkeypatch.setattr(Learner, "encode", lambda self, encoder, x: encoder(x))  # there is no autocast for "meta"
    learner, clips, rows = on_meta(config)
    optimizer = torch.optim.SGD(learner.parameters(), 0.1)
    with Traffic() as traffic:
        terms = learner.batch_terms(clips, rows, progress, 0, 3)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        learner.after_step()
    assert traffic.seen == []


def test_traffic_is_seen_where_there_is_some():
    x = torch.empty(4, 3, device="meta")
    with Traffic() as traffic:
        x[[0, 2]], x[:, [1]], torch.as_tensor(3, device="meta"), torch.tensor([1], device="meta")
    assert len(traffic.seen) == 4
    for read in (lambda: x.cpu(), lambda: float(x.sum()), lambda: x.nonzero()):
        with pytest.raises((RuntimeError, NotImplementedError)):
            read()


@pytest.mark.slow
@pytest.mark.parametrize("config", [SMALL, FULL], ids=["one view", "three views, bones, mirrored"])
def test_all_parts_compile_whole_and_never_again(config):
    """Each part is one graph, and neither a new epoch nor another share of the soft targets makes another."""
    torch._dynamo.reset()
    data, said = training_set(), []
    learner = build_learner(config, data, "cpu")
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    clips, rows = torch.from_numpy(data.clips), torch.arange(BATCH)
    parts = CompiledParts(learner, False, said.append, backend="eager")
    names = ["look", "encoder", "slow_encoder", "contrast"]
    if config is FULL:
        names.insert(3, "pairs.slow_encoder")
    assert parts.try_on(clips[rows], rows, config.seed) == names and said == []
    assert all(torch.equal(before[name], value) for name, value in learner.state_dict().items())
    with torch._dynamo.config.patch(error_on_recompile=True):
        for epoch, progress in ((1, 0.0), (1, 0.3), (2, 0.4), (3, 0.9)):
            rows = torch.randperm(COUNT)[:BATCH]
            terms = learner.batch_terms(clips[rows], rows, progress, config.seed, epoch)
            torch.stack(list(terms.values())).sum().backward()
    parts.undo()
    assert "look" not in learner.__dict__ and learner.encoder._compiled_call_impl is None


@pytest.mark.slow
def test_compiled_parts_train_to_the_same_numbers():
    """With dropout off, since a compiled dropout draws others; backward included, by the compiler's own autograd."""
    torch._dynamo.reset()
    data, rows = training_set(), torch.arange(BATCH)
    clips, found = torch.from_numpy(data.clips)[rows], []
    for compiled in (False, True):
        learner = build_learner(SMALL, data, "cpu")
        for block in learner.encoder.blocks:
            block.dropout = 0.0
        if compiled:
            assert len(CompiledParts(learner, False, print, "aot_eager").try_on(clips, rows, 0)) == 4
        terms = learner.batch_terms(clips, rows, 0.8, 0, 2)
        loss = torch.stack(list(terms.values())).sum()
        torch.autograd.grad(loss, learner.heads.log_kappa, retain_graph=True)  # twice, as pieces of a batch do
        loss.backward()
        found.append([*terms.values(), *(p.grad for p in learner.parameters() if p.grad is not None)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_compiler_that_fails_or_errs_is_told_and_left_out():
    data, said, rows = training_set(), [], torch.arange(BATCH)
    clips = torch.from_numpy(data.clips)[rows]

    def fails(graph, examples):
        raise OSError("no compiler on this machine")

    def errs(graph, examples):
        return lambda *args: [out * 1.7 if out.is_floating_point() else out for out in graph(*args)]

    for backend, wording in ((fails, "torch.compile failed on 'look'"), (errs, "gave other numbers for 'look'")):
        torch._dynamo.reset()
        learner = build_learner(SMALL, data, "cpu")
        assert CompiledParts(learner, False, said.append, backend).try_on(clips, rows, 0) == []
        assert len(said) == 4 and wording in said[0] and "uncompiled" in said[0]
        plain = build_learner(SMALL, data, "cpu").batch_terms(clips, rows, 0.5, 0, 1)
        found = learner.batch_terms(clips, rows, 0.5, 0, 1)
        assert plain.keys() == found.keys() and learner.encoder._compiled_call_impl is None
        said.clear()


def test_batch_norm_keeps_float32_statistics_in_bfloat16():
    """The running mean is that of the rounded activations to float32's digits: nothing was added up in bfloat16."""
    torch.manual_seed(0)
    model, given = STGCN(NTU25, 8, 16, 0.0), {}
    block = model.blocks[3]
    for norm in (block.mix_norm, block.time_norm):
        norm.momentum = 1.0
        norm.register_forward_hook(lambda module, args, out: given.update({module: args[0].detach()}))
    with torch.autocast("cpu", torch.bfloat16):
        features = wide_form(model, torch.randn(8, 3, 16, 25, 2))
    assert features.dtype == torch.float32  # the mean over time and joints is not rounded
    for norm in (block.mix_norm, block.time_norm):
        assert (
            given[norm].dtype == torch.bfloat16 and norm.running_mean.dtype == norm.running_var.dtype == torch.float32
        )
        values = given[norm].double().transpose(0, 1).flatten(1)
        torch.testing.assert_close(norm.running_mean.double(), values.mean(dim=1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(norm.running_var.double(), values.var(dim=1), rtol=1e-4, atol=1e-6)


def test_a_step_through_the_wide_form_is_the_one_through_the_narrow(monkeypatch):
    from c2vl_lab.models.stgcn_cpu import narrow_form

    data, rows, found = training_set(), torch.arange(BATCH), []
    data.clips[::2, :, 1] = 0  # absent bodies, which the narrow form computes once
    for form in (wide_form, narrow_form):
        monkeypatch.setattr(stgcn, "narrow_form", form)
        learner = build_learner(SMALL, data, "cpu").double()
        learner.concepts = {m: c.double() for m, c in learner.concepts.items()}
        learner.encoder.dropout = learner.slow_encoder.dropout = 0.0
        for block in (*learner.encoder.blocks, *learner.slow_encoder.blocks):
            block.dropout = 0.0
        optimizer = torch.optim.SGD(learner.parameters(), 0.1)  # AdamW makes steps of gradients that are only rounding
        for step in range(2):
            terms = learner.batch_terms(torch.from_numpy(data.clips[:BATCH]).double(), rows, 0.8, 0, 1 + step)
            optimizer.zero_grad()
            torch.stack(list(terms.values())).sum().backward()
            optimizer.step()
            learner.after_step()
        found.append(
            (terms, learner.state_dict(), {n: p.grad for n, p in learner.named_parameters() if p.requires_grad})
        )
    for one, other in zip(*found, strict=True):
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-10, msg=name)


def test_the_average_follows_as_one_tensor_after_another_would():
    torch.manual_seed(0)
    slow, fast = STGCN(NTU25, 4, 8), STGCN(NTU25, 4, 8)
    fast.normal.num_batches_tracked += 3
    pairs = zip(slow.parameters(), fast.parameters(), strict=True)
    wanted = [one.detach().clone().lerp_(two.detach(), 1 - 0.99) for one, two in pairs]
    follow(slow, fast, 0.99)
    assert all(torch.equal(one, two) for one, two in zip(wanted, slow.parameters(), strict=True))
    assert all(torch.equal(one, two) for one, two in zip(slow.buffers(), fast.buffers(), strict=True))
    follow(torch.nn.ReLU(), torch.nn.ReLU(), 0.99)  # nothing to average


@pytest.mark.slow
def test_training_on_compiled_parts_ends_with_the_same_weights_and_a_plain_learner(tmp_path, monkeypatch):
    """The wiring of a GPU run, with a compiler's front end that leaves the operations as they are."""
    torch._dynamo.reset()
    config, said = replace(SMALL, epochs=3, batch_size=BATCH), []
    plain = fitting.fit(config, training_set(), tmp_path / "plain", "cpu").state_dict()
    real = fitting.compile_on_a_gpu
    monkeypatch.setattr(fitting, "CompiledParts", partial(CompiledParts, backend="eager"))
    monkeypatch.setattr(
        fitting,
        "compile_on_a_gpu",
        lambda config, learner, clips, device, say: real(config, learner, clips, "cuda", say),
    )
    learner = fitting.fit(config, training_set(), tmp_path / "compiled", "cpu", said.append)
    assert "compiled: look, encoder, slow_encoder, contrast" in said
    assert all(torch.equal(plain[name], value) for name, value in learner.state_dict().items())
    assert "look" not in learner.__dict__ and all(part._compiled_call_impl is None for part in learner.modules())
    torch.backends.cudnn.benchmark = False


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's own compiler wants a C++ compiler")
def test_torchs_own_compiler_makes_the_same_random_numbers():
    """Its index arithmetic does not wrap, so that the counters must stay out of it."""
    torch._dynamo.reset()
    rows = torch.arange(8) * 7

    def draw(epoch, rows):
        draws = Draws(0, epoch, rows)
        return draws.uniform(3), draws.normal(4)

    compiled = torch.compile(draw, fullgraph=True, dynamic=False)
    for epoch in (1, 2):
        for one, other in zip(draw(torch.tensor(epoch), rows), compiled(torch.tensor(epoch), rows), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
