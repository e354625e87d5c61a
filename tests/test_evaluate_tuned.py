"""The protocols that train the encoder: what they start from, what they may see, and that nothing is trained twice."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
import torch
from test_evaluate_protocols import CLASSES, run_of
from test_evaluate_protocols import store_of as common_store
from test_together import LAYOUTS, add_set
from training_sets import SMALL, same, training_set, weights

from c2vl_lab.cli import main
from c2vl_lab.config import from_dict, replace
from c2vl_lab.data.draws import Draws
from c2vl_lab.data.layouts import KINECT20
from c2vl_lab.data.mapping import joint_weights
from c2vl_lab.embed import embed
from c2vl_lab.errors import ConfigError, DataError
from c2vl_lab.evaluate import tune as tune_module
from c2vl_lab.evaluate.paired import comparison_table, tuned_against_scratch, two_runs
from c2vl_lab.evaluate.probes import linear_probe
from c2vl_lab.evaluate.protocols import PROTOCOLS, check_protocols, check_wanted
from c2vl_lab.evaluate.run import evaluate
from c2vl_lab.evaluate.scores import load_scores, scores_file
from c2vl_lab.evaluate.tuning import STILL, TuningConfig, tuning_by_name
from c2vl_lab.experiment import RunConfig, load_config, load_learner, open_experiment, pretrain
from c2vl_lab.learners.base import Views
from c2vl_lab.models.encoders import as_input
from c2vl_lab.training.build import build_learner
from c2vl_lab.training.fit import fit
from c2vl_lab.training.start import Start
from c2vl_lab.training.stopping import StoppedError

QUICK = "epochs=10 least_steps=20 batch_size=12 seeds=2 draws=2 augmentation=none encoder_lr=0.005 head_lr=0.005"


def store_of(path, relabel=None):
    """48 clips of 4 performers."""
    return common_store(path, count=48, relabel=relabel)


def opened(run):
    return open_experiment(from_dict(RunConfig, load_config(run)))


def tuned(folder, protocols, tuning=QUICK, arm="skeletonclr", relabel=None, **more):
    """A run's records of some protocols, and its table of predictions."""
    folder.mkdir(exist_ok=True)
    run_of(folder, store_of(folder / "store", relabel), arm, "", **more)
    results = evaluate(opened(folder / arm), folder / arm, None, protocols, tuning=tuning)
    return results["protocols"], pd.read_parquet(folder / arm / "predictions.parquet")


@pytest.fixture
def trained(monkeypatch):
    """The names of what is trained from now on, and the learners that came of it."""
    calls = []

    def counted(config, data, folder, *rest):
        learner = fit(config, data, folder, *rest)
        calls.append((config, data.names, learner))
        return learner

    monkeypatch.setattr(tune_module, "fit", counted)
    return calls


def test_classes_are_learned_and_told_with_settings_spread_and_predictions(tmp_path):
    records, table = tuned(tmp_path, "finetune,scratch,semi-finetune")
    for kind in ("finetune", "scratch"):
        (measure,) = records[kind]["measures"]
        values = [(table[f"{kind}_{seed}"] == table["label"]).mean() for seed in (0, 1)]
        assert measure["values"] == values and measure["mean"] > 0.8 and measure["clips"] == 24
        assert measure["low"] <= measure["mean"] <= measure["high"]
        told = records[kind]["settings"]
        assert told["training"]["batch_norm"] == "training" and told["epoch"] == "the last"
        assert np.sum(records[kind]["confusion"]) == 24 and set(records[kind]["per_class"]) == set(CLASSES)
    semi = records["semi-finetune"]
    assert [m["name"] for m in semi["measures"]] == [
        f"{p} % of the labels ({n} clips)" for p, n in zip((1, 5, 10, 20), (6, 6, 6, 6), strict=True)
    ]
    assert list(semi["drawn"]["10 %"]) == ["0", "1"] and len(semi["drawn"]["10 %"]["1"]) == 6
    assert not set(semi["drawn"]["10 %"]["1"]) & set(table["name"])


def test_few_labels_are_those_of_the_frozen_probe(tmp_path):
    records, _ = tuned(tmp_path, "semi,semi-scratch", "epochs=1 least_steps=0 draws=2")
    drawn = {share: {s: own for s, own in d.items() if s in "01"} for share, d in records["semi"]["drawn"].items()}
    assert records["semi-scratch"]["drawn"] == drawn


def test_shuffled_labels_give_chance(tmp_path):
    """The training part's labels say nothing of the clips; the test part's are the true ones."""
    rng = np.random.default_rng(0)
    records, _ = tuned(
        tmp_path, "finetune", relabel=lambda subject, label: int(rng.integers(6)) if subject % 2 else label
    )
    assert records["finetune"]["measures"][0]["mean"] < 0.4


def test_poisoned_test_labels_change_scores_and_nothing_else(tmp_path):
    wanted = "finetune,semi-scratch"
    clean, one = tuned(tmp_path / "a", wanted, f"{QUICK} watch_test=true")
    poisoned, two = tuned(
        tmp_path / "b", wanted, f"{QUICK} watch_test=true", relabel=lambda s, label: label if s % 2 else (label + 1) % 6
    )
    pd.testing.assert_frame_equal(one.drop(columns="label"), two.drop(columns="label"))
    for name in wanted.split(","):
        assert clean[name]["settings"] == poisoned[name]["settings"]
        assert clean[name].get("drawn") == poisoned[name].get("drawn")
        assert clean[name]["measures"][0]["mean"] > poisoned[name]["measures"][0]["mean"]


def test_the_same_seed_gives_the_same_predictions_and_watching_changes_none(tmp_path):
    _, one = tuned(tmp_path / "a", "finetune,scratch")
    records, two = tuned(tmp_path / "b", "finetune,scratch", f"{QUICK} watch_test=true")
    pd.testing.assert_frame_equal(one, two)
    last, best = records["scratch"]["measures"]
    assert "chosen by its labels: no result" in best["name"] and best["low"] is None
    assert all(b >= own for b, own in zip(best["values"], last["values"], strict=True))
    assert not (one["finetune_0"] == one["finetune_1"]).all() or not (one["scratch_0"] == one["scratch_1"]).all()


def test_from_scratch_is_the_supervised_arm(tmp_path):
    """Another road to the same numbers: the arm "supervised" with the same settings ends with the same weights."""
    store = store_of(tmp_path / "store")
    arm = run_of(tmp_path, store, "supervised", "", label_smoothing=0.1, lr=2e-3)
    config = load_config(tmp_path / "supervised")
    given = f"epochs={config['epochs']} least_steps=0 batch_size={config['batch_size']} encoder_lr=0.002 head_lr=0.002"
    records, _ = tuned(tmp_path, "scratch", f"{given} seeds=1", "untrained")
    assert records["scratch"]["measures"][0]["values"] == [arm["metrics"]["own_head"]]


def test_it_starts_from_the_runs_encoder_whose_file_stays_as_it_is(tmp_path, trained):
    run_of(tmp_path, store_of(tmp_path / "store"), "skeletonclr", "")
    run = tmp_path / "skeletonclr"
    files = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in run.glob("checkpoint.*")}
    before = load_learner(opened(run), run).encoder.state_dict()
    tuned(tmp_path, "finetune", "epochs=2 least_steps=0 seeds=1 encoder_lr=0 batch_norm=frozen")
    tuned(tmp_path, "finetune", "epochs=2 least_steps=0 seeds=1")
    still, moved = (learner.encoder.state_dict() for _, _, learner in trained)
    assert same(still, before) and not same(moved, before)
    assert len(files) == 2 and all(hashlib.sha256(p.read_bytes()).hexdigest() == d for p, d in files.items())
    features = embed(load_learner(opened(run), run).encoder, opened(run).clips, KINECT20, "joint", 12, "cpu")
    np.testing.assert_array_equal(np.load(run / "features.npy"), features)


@pytest.mark.parametrize("encoder", ["temporal", "stgcn", "ctrgcn"])
def test_batch_norm_is_in_training_mode_and_is_not_when_asked_otherwise(tmp_path, encoder):
    """By the statistics that it uses: a frozen one gives a clip the same feature whatever stands beside it."""
    config = replace(SMALL, method="supervised", encoder=encoder, width=8, epochs=2, batch_size=8)
    data = training_set()
    start = weights(build_learner(replace(config, seed=5), data, "cpu").encoder)
    for steady in (False, True):
        learner = fit(config, data, tmp_path / str(steady), "cpu", start=Start(start, steady=steady))
        found = weights(learner.encoder)
        statistics = [name for name in start if "running" in name]
        assert statistics and all(torch.equal(found[name], start[name]) == steady for name in statistics)
        moved = [name for name, own in learner.encoder.named_parameters() if own.ndim > 1]
        assert moved and all(not torch.equal(found[name], start[name]) for name in moved)
        learner.train()
        assert learner.classify.training and all(m.training != steady for m in learner.encoder.modules())
        clips = torch.from_numpy(data.clips)[:8]
        others = torch.cat([clips[:1], 3 * clips[1:]])
        pair = [learner.look(some, Draws(0, 1, torch.arange(8))) for some in (clips, others)]
        torch.manual_seed(0)
        one = learner.represent(pair[0])["view"][0]
        torch.manual_seed(0)
        assert torch.allclose(one, learner.represent(pair[1])["view"][0], atol=1e-5) == steady


def test_encoder_and_classifier_have_learning_rates_of_their_own(tmp_path):
    """One step of plain descent from the same weights moves the encoder a tenth as far, the classifier as far."""
    config = replace(SMALL, method="supervised", epochs=1, batch_size=24, optimizer="sgd", warmup_epochs=0, lr=0.1)
    data = training_set()
    fresh = weights(build_learner(config, data, "cpu"))
    full, tenth = (
        weights(fit(config, data, tmp_path / str(rate), "cpu", start=Start(rate=rate))) for rate in (1.0, 0.1)
    )
    assert same(full, weights(fit(config, data, tmp_path / "plain", "cpu")))
    for name, share in (("encoder.joint.weight", 0.1), ("classify.weight", 1.0), ("classify.bias", 1.0)):
        whole, part = (own[name] - fresh[name] for own in (full, tenth))
        assert whole.abs().max() > 1e-6 and torch.allclose(part, share * whole, atol=1e-7), name


def test_no_augmentation_is_the_whole_clip():
    clips = torch.from_numpy(training_set().clips)
    view = Views(KINECT20, "joint", STILL, 16)(clips, Draws(0, 1, torch.arange(24)))
    grid = np.linspace(0, 63, 16)
    low = np.floor(grid).astype(int).clip(max=62)
    whole = clips[:, low] + (clips[:, low + 1] - clips[:, low]) * torch.tensor(grid - low).float().view(-1, 1, 1, 1)
    torch.testing.assert_close(view, as_input(whole, KINECT20, "joint"), atol=1e-4, rtol=0)


def test_a_protocol_that_was_killed_trains_only_what_is_left(tmp_path, monkeypatch, trained):
    wanted = "semi-finetune,finetune,scratch"
    whole, _ = tuned(tmp_path / "whole", wanted)
    assert len(trained) == 6, "of few clips every share draws the same, which are trained on once"
    assert not any(p.is_dir() for p in (tmp_path / "whole/work/cache/tuning").iterdir())
    counted, left = tune_module.fit, [3]

    def killed(*given):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return counted(*given)

    monkeypatch.setattr(tune_module, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path / "cut", wanted)
    assert len(trained) == 9
    monkeypatch.setattr(tune_module, "fit", counted)
    again, _ = tuned(tmp_path / "cut", wanted)
    assert len(trained) == 12
    assert all(again[name]["measures"] == whole[name]["measures"] for name in wanted.split(","))
    tuned(tmp_path / "cut", wanted)
    tuned(tmp_path / "cut", "finetune", "epochs=1 least_steps=0 seeds=1")
    assert len(trained) == 13, "read from the cache; other settings are trained"


def test_a_training_that_was_stopped_goes_on_to_the_same_predictions(tmp_path, monkeypatch, trained):
    given = "epochs=4 least_steps=0 batch_size=12 seeds=1"
    _, whole = tuned(tmp_path / "whole", "finetune", given)
    counted = tune_module.fit
    asked = []

    def stopped(config, data, folder, device, say, stop, start):
        return counted(config, data, folder, device, say, lambda: len(asked) < 4 and not asked.append(0), start)

    monkeypatch.setattr(tune_module, "fit", stopped)
    for _ in range(4):
        with pytest.raises(StoppedError, match="goes on from there"):
            tuned(tmp_path / "cut", "finetune", given)
    _, again = tuned(tmp_path / "cut", "finetune", given)
    pd.testing.assert_frame_equal(whole, again)


def test_from_scratch_is_trained_once_for_all_runs(tmp_path, trained):
    first, _ = tuned(tmp_path, "scratch")
    second, _ = tuned(tmp_path, "scratch", arm="untrained")
    assert len(trained) == 2 and first["scratch"]["measures"] == second["scratch"]["measures"]
    tuned(tmp_path, "finetune", arm="untrained")
    assert len(trained) == 4, "the run's weights are others"


def test_paired_inside_a_run_and_between_two(tmp_path):
    truth = np.array([0, 1] * 20)
    names = [f"c{i}" for i in range(40)]
    wrong = [np.where(np.arange(40) < n, 1 - truth, truth) for n in (0, 4, 6, 10)]
    columns = {"finetune_0": wrong[0], "finetune_1": wrong[1], "scratch_0": wrong[2], "scratch_1": wrong[3]}
    columns |= {"semi_finetune_10_0": wrong[1], "semi_scratch_10_0": wrong[3], "semi_10_0": wrong[0]}
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        pd.DataFrame({"name": names, "label": truth, **columns}).to_parquet(tmp_path / run / "predictions.parquet")
        other = {"name": names[:10], "label": truth[:10], "transfer_scratch_0": wrong[2][:10]}
        other["transfer_finetune_0"] = wrong[1][:10]
        pd.DataFrame(other).to_parquet(tmp_path / run / f"predictions-{'b' if run == 'one' else 'c'}-xsub.parquet")
    found = tuned_against_scratch(tmp_path / "one")
    assert list(found) == ["all labels", "10 % of the labels", "b-xsub, all labels"]
    assert found["all labels"].difference == pytest.approx((6 + 10 - 4) / 80)
    assert found["all labels"].p_values[0] == pytest.approx(2 * 0.5**6) and found["all labels"].only_first == (6, 6)
    assert found["10 % of the labels"].difference == pytest.approx(6 / 40)
    table = comparison_table(found, "fine-tuned", "from scratch")
    assert table["points"].tolist() == ["+15.0", "+15.0", "+20.0"] and table.iloc[0, 3] == "6 / 0  6 / 0"
    both = two_runs(tmp_path / "one", tmp_path / "two")
    assert len(both) == 7 and all(own.difference == 0 for own in both.values()), "no set that only one was carried to"
    assert tuned_against_scratch(tmp_path) == {}


def test_names_and_settings_are_checked_before_anything_is_opened(capsys):
    trains = [name for name, own in PROTOCOLS.items() if own.trains]
    assert trains == ["finetune", "scratch", "semi-finetune", "semi-scratch", "transfer"]
    assert check_protocols("all,scratch") == (*[name for name in PROTOCOLS if name not in trains], "scratch")
    for given, words in (
        (("finetune", "cmdd", ""), "Did you mean 'cmd'"),
        (("finetune", "epoch=3", ""), "Did you mean 'epochs'"),
        (("finetune", "batch_norm=eval", ""), "Known: frozen, training"),
        (("finetune", "head_lr=0", ""), "head_lr above 0"),
        (("transfer", "", ""), "--on utd-mhad:xsub"),
        (("transfer", "", "utd-mhad"), "transfer to='utd-mhad': wanted sets with their protocols"),
        (("finetune", "", "utd-mhad:xsub"), "wants 'transfer' among the protocols"),
    ):
        with pytest.raises(ConfigError, match=words):
            check_wanted(*given)
    assert main(["evaluate", "nowhere", "--protocols", "transfer"]) == 2
    assert "--on utd-mhad:xsub" in capsys.readouterr().err


def test_settings_by_name():
    cmd, aimclr = tuning_by_name("cmd epochs=3"), tuning_by_name("aimclr").settings
    assert cmd.settings == replace(tuning_by_name("cmd").settings, epochs=3) and "changed: epochs=3" in cmd.source
    assert (aimclr.batch_norm, aimclr.lr_steps, aimclr.encoder_lr) == ("frozen", "10,30,50", 0.1)
    assert tuning_by_name("").settings == TuningConfig()
    few = TuningConfig(epochs=40, least_steps=200, batch_size=64)
    run = RunConfig()
    assert few.fit_config(run, 10, 0).epochs == 200 and few.fit_config(run, 10, 0).batch_size == 10
    assert few.fit_config(run, 64 * 3 + 5, 0).epochs == 67 and few.fit_config(run, 1020, 0).epochs == 40
    assert few.fit_config(run, 1020, 0).augment == run.augment_config()
    assert cmd.settings.fit_config(run, 1020, 0).augment == replace(STILL, crop=0.5)


def test_what_does_not_apply_says_why(tmp_path):
    store = store_of(tmp_path / "store")
    records = run_of(tmp_path, store, "coordinates", "finetune,semi-finetune")["protocols"]
    assert all("no encoder" in own["not_run"] for own in records.values())
    run_of(tmp_path, store, "supervised", "")
    records, _ = tuned(tmp_path, "semi-finetune", arm="supervised")
    assert "trained with all labels" in records["semi-finetune"]["not_run"]


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """A run on 20 joints, and sets of other layouts beside it."""
    folder = tmp_path_factory.mktemp("sets")
    sets = {name: add_set(folder, name) for name in LAYOUTS}
    config = RunConfig(dataset=sets["kin"], arm="skeletonclr", epochs=2, batch_size=8, width=16, frames=8, device="cpu")
    config = replace(config, work_dir=str(folder / "work"))
    pretrain(open_experiment(config), folder / "run")
    return folder, sets, config


def test_an_encoder_is_carried_to_another_set_in_its_own_joints(carried):
    folder, sets, config = carried
    experiment = open_experiment(config)
    before = (folder / "run" / "checkpoint.safetensors").read_bytes()
    tuning = "epochs=3 least_steps=20 batch_size=8 seeds=2"
    results = evaluate(experiment, folder / "run", None, "transfer", "", tuning, f"{sets['ntu']}:xsub")
    record = results["protocols"]["transfer"]
    names = [m["name"] for m in record["measures"]]
    assert names == [f"ntu:xsub, {what}" for what in ("linear probe", "fine-tuned", "from scratch")]
    assert [m["clips"] for m in record["measures"]] == [12] * 3 and record["predictions"] == []
    assert "from 25 to 20 joints" in record["settings"]["skeletons"] and list(record["targets"]) == ["ntu:xsub"]
    table = pd.read_parquet(folder / "run" / "predictions-ntu-xsub.parquet")
    assert all(name.startswith("ntu") for name in table["name"])
    assert record["measures"][1]["values"] == [
        (table[f"transfer_finetune_{s}"] == table["label"]).mean() for s in (0, 1)
    ]
    # the probe by another road: clips mapped by hand
    target = open_experiment(replace(config, dataset=sets["ntu"], arm="untrained"))
    clips = np.einsum("vw,ntmwc->ntmvc", joint_weights(LAYOUTS["ntu"], KINECT20), np.asarray(target.clips))
    features = embed(load_learner(experiment, folder / "run").encoder, clips, KINECT20, "joint", 8, "cpu")
    train, test = target.split.train, target.split.test
    groups = target.store.clips["subject"].to_numpy()[train]
    probe = linear_probe(features[train], target.store.labels[train], groups, features[test])
    assert (table["transfer_linear"] == probe.predicted).all()
    assert list(tuned_against_scratch(folder / "run")) == ["ntu-xsub, all labels"]
    assert (folder / "run" / "checkpoint.safetensors").read_bytes() == before
    kept = evaluate(experiment, folder / "run")["protocols"]
    assert kept["transfer"]["targets"] == record["targets"], "a later call keeps it"


def test_poisoned_test_labels_of_the_other_set_change_scores_alone(carried, tmp_path):
    """The set that the encoder is carried to, once with other labels on its test part."""
    _, sets, config = carried
    pretrain(open_experiment(config), tmp_path / "run")

    def other(table, arrays):
        tested = table.subject % 2 == 0
        table["label"] = np.where(tested, (table.label + 1) % (table.label.max() + 1), table.label)

    tables, means = [], []
    for where in (sets["ntu"], add_set(tmp_path / "poisoned", "ntu", other)):
        tuning = "epochs=2 least_steps=0 batch_size=8 seeds=1 watch_test=true"
        found = evaluate(open_experiment(config), tmp_path / "run", None, "transfer", "", tuning, f"{where}:xsub")
        tables.append(pd.read_parquet(tmp_path / "run" / "predictions-ntu-xsub.parquet"))
        means.append(found["protocols"]["transfer"]["measures"][0]["mean"])
    assert (tables[0]["label"] != tables[1]["label"]).all()
    pd.testing.assert_frame_equal(*(table.drop(columns="label") for table in tables))
    assert means[0] != means[1]


def test_where_transfer_cannot_lead(carried, tmp_path):
    folder, sets, config = carried
    experiment = open_experiment(config)

    def to(where):
        evaluate(experiment, folder / "run", None, "transfer", "", "", where)

    pictures = open_experiment(replace(config, dataset=sets["coco"], arm="untrained"))
    with pytest.raises(ConfigError, match=r"cannot be mapped to coco17: it has no joint for nose.* in pretrain_on"):
        evaluate(pictures, tmp_path / "coco", None, "transfer", "", "", f"{sets['kin']}:xsub")
    with pytest.raises(ConfigError, match="another set than the run's own"):
        to(f"{sets['kin']}:xsub")
    change = lambda table, arrays: table.update({"subject": 1 - table.subject % 2})  # noqa: E731
    copy = add_set(tmp_path, "kin", change, [f"copy{i}" for i in range(16)], "mine")
    with pytest.raises(DataError, match="8 training clips of kin, xsub are test clips of mine, xsub"):
        to(f"{copy}:xsub")


def test_a_suite_measures_again_what_is_to_train_otherwise_and_nothing_else(tmp_path, trained):
    """``again=False``, as 06_benchmark asks: records stay unless their tuning is no longer the one asked for."""
    quick = "epochs=1 least_steps=0 batch_size=12 seeds=1"
    run_of(tmp_path, store_of(tmp_path / "store"), "untrained", "")

    def ask(protocols, tuning):
        found = evaluate(
            opened(tmp_path / "untrained"), tmp_path / "untrained", None, protocols, "", tuning, again=False
        )
        return {name: own["settings"].get("settings") for name, own in found["protocols"].items()}, len(trained)

    assert ask("knn,finetune", quick) == ({"knn": None, "finetune": f"default {quick}"}, 1)
    assert ask("finetune", f"default  {quick}") == ({"knn": None, "finetune": f"default {quick}"}, 1)
    assert ask("knn", "cmd") == ({"knn": None, "finetune": f"default {quick}"}, 1), "not asked for, so it stays"
    assert ask("finetune", f"{quick} head_lr=0.1") == ({"knn": None, "finetune": f"default {quick} head_lr=0.1"}, 2)


def test_the_scores_of_the_last_epoch_are_kept_beside_the_predictions(tmp_path, trained):
    records, table = tuned(tmp_path, "finetune", f"{QUICK} seeds=1")
    run = tmp_path / "skeletonclr"
    (_, _, learner) = trained[0]
    features = embed(learner.encoder, opened(run).clips[opened(run).split.test], KINECT20, "joint", 12, "cpu")
    logits = learner.classify(torch.from_numpy(features)).detach().numpy()
    scores = load_scores(scores_file(run, "finetune"))["finetune_0"]
    assert scores.dtype == np.float16 and (scores.max(axis=1) == 0).all()
    np.testing.assert_allclose(scores, logits - logits.max(axis=1, keepdims=True), atol=0.01)
    assert (scores.argmax(axis=1) == table["finetune_0"]).all() and list(records) == ["finetune"]
    tuned(tmp_path, "finetune", f"{QUICK} seeds=1")
    assert len(trained) == 1, "read from the cache"
    for path in (tmp_path / "work").rglob("tuning/*.safetensors"):
        path.unlink()  # as a cache that was made before scores were kept
    tuned(tmp_path, "finetune", f"{QUICK} seeds=1")
    assert len(trained) == 2
    (run / "features.npy").unlink()
    evaluate(opened(run), run)
    assert not list(run.glob("scores-*")), "of a protocol that is in the results no more"
