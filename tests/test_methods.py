"""The methods without text: same seed same weights, cut and go on, they learn, and what the queue holds."""

import numpy as np
import pytest
import torch
from training_sets import SMALL, same, training_set, weights

from c2vl_lab.config import replace
from c2vl_lab.data.align import PrepareConfig
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.draws import Draws
from c2vl_lab.data.protocols import make_split
from c2vl_lab.data.transforms import prepare
from c2vl_lab.embed import embed
from c2vl_lab.errors import C2VLError
from c2vl_lab.evaluate.neighbours import nearest_neighbours
from c2vl_lab.learners.base import LOOK, TERMS
from c2vl_lab.learners.views import MINING_FROM
from c2vl_lab.logs import read_metrics
from c2vl_lab.objective import ObjectiveConfig
from c2vl_lab.training.build import build_learner
from c2vl_lab.training.checkpoints import read_checkpoint
from c2vl_lab.training.fit import StoppedError, fit
from c2vl_lab.training.settings import TrainingSet

KINDS = {
    "queue": replace(SMALL, method="skeletonclr", queue=20),
    "aimclr": replace(SMALL, method="aimclr"),
    "aimclr, queue, mined": replace(SMALL, method="aimclr", queue=20, neighbours=2),
    "byol": replace(SMALL, method="byol", momentum_schedule="cosine"),
    "extra term with queue": replace(SMALL, queue=20, objective=ObjectiveConfig(two_view_weight=0.5)),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def config(request):
    return request.param


def batch(config, count=8, seed=0):
    """Views of clips, their rows, and all that :meth:`batch_terms` wants beside them."""
    clips = torch.from_numpy(training_set(seed).clips[:count])
    return clips, torch.arange(count), 0.9, 0, 1


def test_same_seed_same_weights_and_another_seed_others(tmp_path, config):
    short = replace(config, epochs=2)
    runs = [
        weights(fit(replace(short, seed=seed), training_set(), tmp_path / name, "cpu"))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


def test_a_run_that_is_stopped_inside_epochs_goes_on_to_the_same_weights(tmp_path, config):
    whole = weights(fit(config, training_set(), tmp_path / "whole", "cpu"))
    asked = []

    def stop():
        asked.append(1)
        return len(asked) in (2, 5, 9)

    for _ in range(3):
        with pytest.raises(StoppedError):
            fit(config, training_set(), tmp_path / "cut", "cpu", stop=stop)
    assert same(whole, weights(fit(config, training_set(), tmp_path / "cut", "cpu", stop=stop)))


def test_only_the_encoder_runs_in_low_precision(config):
    learner = build_learner(config, training_set(), "cpu")
    seen = set()
    learner.encoder.register_forward_hook(lambda module, given, out: seen.add(out.dtype))
    learner.low_precision = True
    terms = learner.batch_terms(*batch(config))
    assert seen == {torch.bfloat16}
    assert {term.dtype for term in terms.values()} == {torch.float32}
    assert all(torch.isfinite(term) for term in terms.values())


def test_a_batch_in_pieces_gives_the_terms_of_the_whole(config):
    """Encoders without dropout and batch statistics: the parts of a step go clip by clip, but for the last."""
    learner = build_learner(config, training_set(), "cpu")
    learner.encoder.eval()
    for module in learner.modules():
        if "slow_encoder" in dict(module.named_children()):
            module.slow_encoder.eval()
    clips, rows, progress, seed, epoch = batch(config)
    whole = learner.batch_terms(clips, rows, progress, seed, epoch)
    parts = [slice(0, 3), slice(3, 8)]
    views = [learner.look(clips[p], Draws(seed, epoch, rows[p], LOOK)) for p in parts]
    features = [learner.represent(v) for v in views]
    with torch.no_grad():
        memory = [learner.remember(v, progress) for v in views]
    joined = [{name: torch.cat([part[name] for part in some]) for name in some[0]} for some in (features, memory)]
    again = learner.terms(*joined, rows, progress, Draws(seed, epoch, rows, TERMS))
    assert whole.keys() == again.keys()
    for name in whole:
        assert torch.allclose(whole[name], again[name], atol=1e-4), name


def test_every_trained_weight_gets_a_gradient_and_no_other(config):
    learner = build_learner(config, training_set(), "cpu")
    learner.batch_terms(*batch(config))
    learner.after_step()  # something in the queue
    torch.stack(list(learner.batch_terms(*batch(config, seed=1)).values())).sum().backward()
    for name, parameter in learner.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad == ("slow_" not in name), name


def test_the_queue_holds_the_last_keys_and_is_in_the_checkpoint(tmp_path):
    config = replace(KINDS["queue"], epochs=2, queue=12)
    learner = fit(config, training_set(), tmp_path, "cpu")
    tensors, _ = read_checkpoint(tmp_path)
    for name in ("keys", "rows", "place"):
        assert torch.equal(tensors[f"model.queue.{name}"], getattr(learner.queue, name))
    assert int(learner.queue.place) == 2 * 24 % 12 and len(set(learner.queue.rows.tolist())) == 12
    assert torch.allclose(learner.queue.keys.norm(dim=1), torch.ones(12))


def test_all_batches_of_a_step_go_into_the_queue(tmp_path):
    learner = fit(replace(KINDS["queue"], epochs=1, batch_size=8, accumulate=3), training_set(), tmp_path, "cpu")
    assert len(set(learner.queue.rows.tolist())) == 20  # the last 20 of the 24 clips of one step


def test_a_step_that_was_not_made_leaves_the_queue_alone(tmp_path):
    learner = build_learner(KINDS["queue"], training_set(), "cpu")
    clips, rows, *rest = batch(SMALL)
    learner.batch_terms(clips, rows, *rest)
    assert (learner.queue.rows == -1).all()  # not before the step
    learner.batch_terms(clips, rows + 8, *rest)  # the first batch's step was not made
    learner.after_step()
    assert sorted(learner.queue.rows.tolist()) == [-1] * 12 + list(range(8, 16))
    learner.after_step()
    learner.eval().batch_terms(clips, rows, *rest)  # a look at the loss is no step
    learner.train().after_step()
    assert sorted(learner.queue.rows.tolist()) == [-1] * 12 + list(range(8, 16))
    data = training_set()
    data.clips[3] = np.nan
    with pytest.raises(C2VLError, match="loss became nan"):
        fit(replace(KINDS["queue"], batch_size=24), data, tmp_path, "cpu")


def test_neighbours_are_mined_in_the_second_half():
    learner = build_learner(replace(SMALL, method="aimclr", neighbours=2), training_set(), "cpu")
    plain = build_learner(replace(SMALL, method="aimclr"), training_set(), "cpu")
    clips, rows, _, seed, epoch = batch(SMALL)
    for progress, equal in ((MINING_FROM - 0.01, True), (MINING_FROM, False)):
        terms = []
        for one in (learner, plain):
            torch.manual_seed(0)  # dropout
            terms.append(one.batch_terms(clips, rows, progress, seed, epoch))
        assert torch.equal(terms[0]["extreme"], terms[1]["extreme"])
        assert torch.equal(terms[0]["two-view"], terms[1]["two-view"]) == equal
        assert terms[0]["two-view"] <= terms[1]["two-view"]  # more positives


def test_the_momentum_model_stands_still_at_the_end_of_a_rising_schedule():
    learner = build_learner(KINDS["byol"], training_set(), "cpu")
    clips, rows, _, seed, epoch = batch(SMALL)
    for progress, moves in ((0.0, True), (1.0, False)):
        learner.batch_terms(clips, rows, progress, seed, epoch)
        before = next(learner.slow_encoder.parameters()).clone()
        with torch.no_grad():
            next(learner.encoder.parameters()).add_(1.0)
        learner.after_step()
        assert torch.equal(before, next(learner.slow_encoder.parameters())) != moves


LEARNING = [
    replace(SMALL, method="skeletonclr", width=64, epochs=20, batch_size=28, queue=64),
    replace(SMALL, method="aimclr", width=64, epochs=20, batch_size=28),
    replace(SMALL, method="byol", width=64, epochs=30, batch_size=28, lr=1e-3),
]


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The package's own clips, normalised, and their split."""
    folder = tmp_path_factory.mktemp("generated")
    store = open_dataset("generated", "", str(folder), None)
    return store, make_split(store, "xsub"), prepare(store, PrepareConfig(), folder / "cache", None)


def right_neighbours(encoder, clips, layout, labels, split):
    """Share of test clips whose nearest training clip, by centred features, has their label."""
    features = embed(encoder, clips, layout, "joint", SMALL.frames, "cpu")
    best = nearest_neighbours(features[split.train], labels[split.train], features[split.test], (1,))[1]
    return float((best == labels[split.test]).mean())


@pytest.mark.slow
@pytest.mark.parametrize("config", LEARNING, ids=lambda config: config.method)
def test_a_method_learns_on_generated_clips(generated, tmp_path, config):
    """The loss falls, and without a label the features become better neighbours than those of random weights."""
    store, split, clips = generated
    data = TrainingSet(clips, [store.names[i] for i in split.train], store.layout, rows=split.train)
    start = build_learner(config, data, "cpu").encoder
    before = right_neighbours(start, clips, store.layout, store.labels, split)
    after = right_neighbours(fit(config, data, tmp_path, "cpu").encoder, clips, store.layout, store.labels, split)
    losses = [row["loss"] for row in read_metrics(tmp_path / "metrics.jsonl")]
    assert losses[-1] < 0.8 * max(losses)
    assert after > before
