"""Maps that can be laid over one another, saved and asked for new points; and the states of training behind them."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
import torch
from training_sets import SMALL, same, training_set, weights

from c2vl_lab.config import replace
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.explorer.aligned import Placer, aligned_maps, load_projection, save_projection, similarity
from c2vl_lab.project import neighbourhood_quality, project_joint
from c2vl_lab.training.build import build_learner
from c2vl_lab.training.fit import fit
from c2vl_lab.training.states import kept_states, load_state
from c2vl_lab.training.stopping import StoppedError


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def views():
    """One cloud, and the same turned in its space, mirrored and hardly changed: its map has no reason to differ."""
    rng = np.random.default_rng(0)
    cloud = unit(rng.normal(size=(60, 6)) * np.array([4, 2, 1, 0.3, 0.2, 0.1]))
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    later, earlier = cloud, unit(cloud @ turn * 1.0 + 0.01 * rng.normal(size=cloud.shape))
    return {
        "earlier": {"skeleton": earlier, "language": earlier[::-1]},
        "later": {"skeleton": later, "language": later[::-1]},
    }


def test_similarity_undoes_turn_mirror_scale_and_shift():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(20, 2))
    for mirror in (1, -1):
        turn = np.array([[np.cos(2.0), -np.sin(2.0)], [np.sin(2.0), np.cos(2.0)]]) @ np.diag([1, mirror])
        moved = 3.5 * points @ turn + np.array([7.0, -2.0])
        np.testing.assert_allclose(similarity(moved, points)(moved), points, atol=1e-9)


def test_an_earlier_map_is_laid_over_the_later_one(views):
    maps = aligned_maps(views, ["later", "earlier"], "pca")
    alone = project_joint(views["earlier"], "pca")
    far = lambda one: np.abs(one.coordinates["skeleton"] - maps["later"].coordinates["skeleton"]).max()  # noqa: E731
    assert far(maps["earlier"]) < 0.1, "the same cloud lies in the same place"
    assert maps["earlier"].trustworthiness == pytest.approx(alone.trustworthiness), "no neighbourhood was changed"
    flat = np.concatenate(list(maps["earlier"].coordinates.values()))
    rows = np.concatenate(list(views["earlier"].values()))
    assert neighbourhood_quality(rows, flat)[0] == pytest.approx(alone.trustworthiness, abs=1e-6)


def test_maps_are_kept_by_content_and_read_again(views, tmp_path, monkeypatch):
    first = aligned_maps(views, ["later", "earlier"], "pca", cache=tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 2
    monkeypatch.setattr("c2vl_lab.explorer.aligned.project_joint", None)  # would fail if it were called
    again = aligned_maps(views, ["later", "earlier"], "pca", cache=tmp_path)
    for name in views:
        assert again[name].caption == first[name].caption and again[name].per_modality == first[name].per_modality
        for modality, flat in first[name].coordinates.items():
            np.testing.assert_array_equal(again[name].coordinates[modality], flat)
    changed = {"later": {m: rows.copy() for m, rows in views["later"].items()}}
    changed["later"]["skeleton"][0] *= -1
    with pytest.raises(TypeError):
        aligned_maps(changed, ["later"], "pca", cache=tmp_path)


def test_new_points_are_placed_on_a_finished_map(views):
    points = views["later"]
    pca = project_joint(points, "pca")
    middle = unit(points["skeleton"][:1] + points["skeleton"][1:2])
    mean, axes = _axes(points)
    np.testing.assert_allclose(Placer(points, pca)(middle), (middle - mean) @ axes, atol=1e-4)
    other = _as_if(pca, "umap")  # any method that is not linear
    np.testing.assert_allclose(
        Placer(points, other)(points["skeleton"][5:8]), other.coordinates["skeleton"][5:8], atol=1e-5
    )
    between = Placer(points, other)(middle)
    low, high = other.coordinates["skeleton"].min(axis=0), other.coordinates["skeleton"].max(axis=0)
    assert (between >= low).all() and (between <= high).all()
    with pytest.raises(DataError, match="points of 6 dimensions"):
        Placer(points, pca)(np.ones((1, 5)))


def _axes(points):
    """Mean and principal axes by the covariance, as another road to the same map."""
    rows = np.concatenate(list(points.values()))
    mean = rows.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((rows - mean).T))
    axes = vectors[:, ::-1][:, :2]
    return mean, axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])


def _as_if(projection, method):
    return dataclasses.replace(projection, method=method)


def test_a_foreign_or_missing_map_is_refused(tmp_path, views):
    with pytest.raises(MissingError, match="no map at"):
        load_projection(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 not a map")
    with pytest.raises(DataError, match="no saved map"):
        load_projection(tmp_path / "bad.npz")
    save_projection(project_joint(views["later"], "pca"), tmp_path / "good.npz")
    assert load_projection(tmp_path / "good.npz").method == "pca"


@pytest.mark.parametrize(
    ("method", "package"), [("opentsne", "openTSNE"), ("pacmap", "pacmap"), ("torchdr", "torchdr")]
)
def test_an_optional_method_names_its_command(method, package, monkeypatch, views):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(MissingError, match=rf'pip install -c constraints.txt "{package}"'):
        project_joint(views["later"], method)
    with pytest.raises(ConfigError, match="Did you mean 'umap'"):
        project_joint(views["later"], "umpa")


@pytest.mark.parametrize(
    ("method", "package"), [("opentsne", "openTSNE"), ("pacmap", "pacmap"), ("torchdr", "torchdr")]
)
def test_an_optional_method_maps_where_it_is_installed(method, package):
    pytest.importorskip(package)
    rng = np.random.default_rng(0)
    labels = np.arange(90) // 30
    points = unit(5 * np.eye(8)[labels] + rng.normal(size=(90, 8)))
    found = project_joint({"skeleton": points}, method, neighbours=10)
    assert found.coordinates["skeleton"].shape == (90, 2) and package.lower() in found.library.lower()
    assert found.trustworthiness > 0.8


# states of training


def test_states_are_kept_at_their_epochs_and_change_nothing(tmp_path):
    config = replace(SMALL, epochs=5, keep_every=2)
    learner = fit(config, training_set(), tmp_path / "kept", "cpu")
    plain = fit(replace(config, keep_every=0), training_set(), tmp_path / "plain", "cpu")
    assert same(weights(learner), weights(plain)), "keeping states is free"
    assert list(kept_states(tmp_path / "kept")) == [2, 4, 5] and kept_states(tmp_path / "plain") == {}
    last = build_learner(config, training_set(), "cpu")
    card = load_state(kept_states(tmp_path / "kept")[5], last)
    assert card["epoch"] == 5
    parts = ("encoder.", "heads.")
    wanted = {n: v for n, v in weights(learner).items() if n.startswith(parts)}
    assert same({n: v for n, v in weights(last).items() if n.startswith(parts)}, wanted)
    cut = fit(replace(config, epochs=5, keep_every=3), training_set(), tmp_path / "kept", "cpu")
    assert same(weights(cut), weights(learner)), "a finished run is not trained again for another keep_every"


def test_a_kept_state_is_the_run_as_it_was(tmp_path):
    """The state of epoch 2 is what the checkpoint of epoch 2 held."""
    calls = iter(range(10_000))
    config = replace(SMALL, epochs=4, keep_every=2, checkpoint_every=1)
    batches = len(training_set().names) // config.batch_size
    with pytest.raises(StoppedError):
        fit(config, training_set(), tmp_path, "cpu", stop=lambda: next(calls) >= 3 * batches)
    state = build_learner(config, training_set(), "cpu")
    load_state(kept_states(tmp_path)[2], state)
    whole = fit(replace(config, keep_every=1), training_set(), tmp_path / "whole", "cpu")
    other = build_learner(config, training_set(), "cpu")
    load_state(kept_states(tmp_path / "whole")[2], other)
    assert same(weights(state.encoder), weights(other.encoder))
    assert not same(weights(state.encoder), weights(whole.encoder)), "training went on after epoch 2"


def test_a_state_of_another_learner_is_refused(tmp_path):
    fit(replace(SMALL, epochs=1, keep_every=1), training_set(), tmp_path, "cpu")
    other = build_learner(replace(SMALL, width=8), training_set(), "cpu")
    with pytest.raises(DataError, match="state of another learner"):
        load_state(kept_states(tmp_path)[1], other)
    with pytest.raises(MissingError, match="keep_every=10"):
        load_state(tmp_path / "nowhere", other)
    with pytest.raises(ConfigError, match="keep_every at least 0"):
        replace(SMALL, keep_every=-1)
    assert torch.get_num_threads() == 1
