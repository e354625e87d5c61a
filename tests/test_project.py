"""Maps: quality numbers against scikit-learn and a plain loop, joint fits, what is left out and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from c2vl_lab.errors import ConfigError, DataError
from c2vl_lab.project import neighbourhood_quality, project, project_joint


@pytest.fixture
def blobs() -> np.ndarray:
    """(90, 12) three clusters."""
    rng = np.random.default_rng(0)
    return (np.repeat(4 * rng.normal(size=(3, 12)), 30, axis=0) + rng.normal(size=(90, 12))).astype(np.float32)


@pytest.mark.parametrize("k", [1, 5, 15])
def test_trustworthiness_is_that_of_scikit_learn(blobs, k):
    from sklearn.manifold import trustworthiness

    flat = np.random.default_rng(1).normal(size=(90, 2)) + blobs[:, :2]
    ours, _ = neighbourhood_quality(blobs, flat, k)
    assert ours == pytest.approx(trustworthiness(blobs, flat, n_neighbors=k), abs=1e-9)


def test_overlap_is_that_of_a_plain_loop(blobs):
    flat, k = blobs[:, :2], 4

    def near(points, i):
        distance = np.linalg.norm(points - points[i], axis=1)
        return {j for j in np.argsort(distance) if j != i and (distance < np.sort(distance)[k + 1])[j]}

    shared = [len(near(blobs, i) & near(flat, i)) / k for i in range(90)]
    assert neighbourhood_quality(blobs, flat, k)[1] == pytest.approx(np.mean(shared))
    assert neighbourhood_quality(blobs, 3 * blobs + 1, k) == pytest.approx((1.0, 1.0))


def test_fewer_queries_estimate_the_same_number(blobs):
    flat = blobs[:, :2]
    whole = neighbourhood_quality(blobs, flat, 5)
    part = neighbourhood_quality(blobs, flat, 5, queries=60)
    assert part == pytest.approx(whole, abs=0.08)
    assert part != whole


def test_quality_refuses_k_where_it_is_not_defined(blobs):
    with pytest.raises(ConfigError, match="k = 45 for N = 90"):
        neighbourhood_quality(blobs, blobs[:, :2], 45)


def test_pca_is_the_eigenvectors_of_the_covariance(blobs):
    result = project(blobs, "pca")
    unit = blobs / np.linalg.norm(blobs, axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(np.cov(unit.T))
    wanted = (unit - unit.mean(axis=0)) @ vectors[:, [-1, -2]]
    assert np.abs(result.coordinates["points"]) == pytest.approx(np.abs(wanted), abs=1e-4)
    assert result.parameters["variance shown"] == pytest.approx(values[-2:].sum() / values.sum(), abs=1e-3)
    assert "Trustworthiness" in result.caption and "numpy" in result.caption


def test_a_joint_map_is_one_fit_and_keeps_rows_with_nan_out(blobs):
    vision = blobs + 0.1
    vision[7] = np.nan
    both = project_joint({"skeleton": blobs, "vision": vision}, "pca")
    assert both.coordinates["vision"].shape == (90, 2)
    assert np.isnan(both.coordinates["vision"][7]).all() and np.isfinite(both.coordinates["skeleton"]).all()
    same = project_joint({"a": blobs, "b": 5 * blobs}, "pca")  # length does not count
    assert same.coordinates["a"] == pytest.approx(same.coordinates["b"], abs=1e-5)
    assert set(both.per_modality) == {"skeleton", "vision"}


def test_bad_maps_are_refused(blobs):
    with pytest.raises(ConfigError, match="Did you mean 'umap'"):
        project(blobs, "umpa")
    with pytest.raises(ConfigError, match="2 or 3 dimensions"):
        project(blobs, "pca", n_components=4)
    with pytest.raises(DataError, match="one D for all"):
        project_joint({"a": blobs, "b": blobs[:, :5]}, "pca")
    with pytest.raises(DataError, match="5 rows"):
        project(np.full((20, 3), np.nan), "pca")


def test_importing_the_module_does_not_load_umap():
    code = "import sys, c2vl_lab.project; sys.exit('umap' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.umap
@pytest.mark.slow
def test_umap_keeps_clusters_apart_and_repeats_itself(blobs):
    first, second = (project(blobs, "umap", seed=3, neighbours=8) for _ in range(2))
    assert np.array_equal(first.coordinates["points"], second.coordinates["points"])
    assert first.trustworthiness > 0.85
    assert first.library.startswith("umap-learn") and first.parameters["neighbours"] == 8
