"""The data benchmark: every measure runs at toy size, and ours and its reference agree on the values."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import data, maps, search, selection
from benchmarks.big_store import big_store, plain_pass, store_pass
from benchmarks.measuring import Row, ratio, show
from benchmarks.raw_files import moving_body, recording, skeleton_bytes
from benchmarks.reference_readers import read_one_pass, read_per_value
from benchmarks.reference_transforms import prepare_per_clip, two_views
from c2vl_lab.data.readers.ntu_text import parse_skeleton
from c2vl_lab.data.transforms import PrepareConfig, prepare


@pytest.fixture
def toy(tmp_path):
    return data.Sizes(work=tmp_path, repeats=1, frames=5, clips=12, batch=3, view=10, stored=40, scale=0.05, files=3)


@pytest.mark.parametrize("name", list(data.MEASURES))
def test_every_measure_runs(name, toy):
    rows = data.measure([name], toy)
    assert rows and all(row.value > 0 and np.isfinite(row.value) for row in rows)
    assert all(row.ratio and row.reference_value for row in rows if row.reference)
    assert all((row.met is None) == (not row.target) for row in rows)


def test_the_command_prints_ratio_target_machine_and_seed(tmp_path, capsys):
    answer = tmp_path / "rows.json"
    options = ["--only", "parse", "--repeats", "1", "--seed", "3", "--work", str(tmp_path), "--json", str(answer)]
    assert data.main(options) == 0
    printed = capsys.readouterr().out
    for word in ("ratio", "<= 6 ms", "plain one pass", "seed: 3", "numpy:", "cores:"):
        assert word in printed
    assert json.loads(answer.read_text())["rows"][0]["ratio"] > 0


def test_the_raw_file_is_what_the_recorder_writes():
    rng = np.random.default_rng(0)
    text = skeleton_bytes([moving_body(rng, 100, x) for x in (-0.6, 0.6)], rng)
    lines = text.decode("ascii").split("\r\n")
    assert len(text) == pytest.approx(576_000, rel=0.05)
    assert lines[0] == "100" and lines[1] == "2" and lines[3] == "25"
    assert len(lines[2].split()) == 10 and len(lines[4].split()) == 12
    assert len(lines) == 1 + 100 * (1 + 2 * 27) + 1 and "\n" not in "".join(lines)


def test_reader_and_references_read_the_same_numbers(tmp_path):
    path = tmp_path / "S001C001P001R001A001.skeleton"
    path.write_bytes(recording(3, frames=6))  # two people, no gap: file order and body IDs agree
    ours = parse_skeleton(path.name, path.read_bytes())
    xyz = np.zeros((6, 2, 25, 3), np.float32)
    xyz[ours.frame, ours.body] = ours.xyz
    np.testing.assert_array_equal(xyz, read_one_pass(path))
    np.testing.assert_array_equal(xyz, read_per_value(path).astype(np.float32))


def test_alignment_and_its_reference_keep_the_same_shape_of_the_body(tmp_path):
    """They differ in origin and rotation by design; the distances between the joints of a body must not."""
    store = big_store(tmp_path, 10, 0.3)
    ours = prepare(store, PrepareConfig(frames=20, align="none", scale=False))
    theirs = prepare_per_clip(store, 20)
    whole = [i for i in range(len(store)) if store[i].present.all()]
    assert len(whole) >= 5
    for index in whole:
        np.testing.assert_allclose(_distances(ours[index, :, 0]), _distances(theirs[index, :, 0]), atol=1e-4)


def _distances(body):
    return np.linalg.norm(body[:, :, None] - body[:, None], axis=-1)


def test_the_feeder_gives_two_different_views_of_the_right_form():
    clips = np.random.default_rng(0).normal(size=(4, 3, 12, 25, 2)).astype(np.float32)
    one, two = two_views(clips, np.random.default_rng(1))
    assert one.shape == two.shape == clips.shape and not np.allclose(one, two)


def test_both_passes_read_the_same_bytes(tmp_path):
    path = big_store(tmp_path, 30, 0.1).path
    order = np.random.default_rng(0).permutation(30).tolist()
    sizes = {task(path, order, cold).size for task in (store_pass, plain_pass) for cold in (True, False)}
    assert len(sizes) == 1 and sizes.pop() > 0


def test_the_large_store_is_made_once_and_is_the_same_for_the_same_seed(tmp_path):
    first = big_store(tmp_path / "a", 20, 0.1, seed=1)
    written = (first.path / "xyz.npy").stat().st_mtime_ns
    again = big_store(tmp_path / "a", 20, 0.1, seed=1)
    assert (again.path / "xyz.npy").stat().st_mtime_ns == written
    assert big_store(tmp_path / "b", 20, 0.1, seed=1).fingerprint == first.fingerprint
    assert big_store(tmp_path / "b", 20, 0.1, seed=2).fingerprint != first.fingerprint


def test_a_ratio_above_one_means_that_ours_is_faster():
    assert ratio([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]) == 2.0
    assert "NOT MET" in show([Row("x", 1.0, "s", target="< 0.5 s", met=False)])


@pytest.mark.parametrize("engine", list(selection.ENGINES))
def test_every_lasso_of_the_selection_trial_is_drawn_on_its_map(engine):
    """A drag that begins outside a map is no gesture of that map, and would be counted against it."""
    box = {"x": 100.0, "y": 50.0, "width": 480.0, "height": 390.0}
    frame = selection.frame_of(box, selection.ENGINES[engine])
    kinds = [selection.gesture(k)[0] for k in range(20)]
    assert all(kinds.count(kind) == 4 for kind in selection.KINDS)
    for k in range(20):
        kind, blob, half = selection.gesture(k)
        path = np.array([selection.pixel(frame, *corner) for corner in selection.lasso(blob, half, kind == "closed")])
        low, high = np.array([100, 50]), np.array([580, 440])
        assert (path > low + 8).all() and (path < high - 8).all(), f"gesture {k} leaves the map"
        corners = np.array(selection.lasso(blob, half, kind == "closed"))
        x, y = blob % 5, blob // 5
        assert corners[:, 0].min() == (x if half else x - 0.4) and corners[:, 0].max() == x + 0.4
        assert corners[:, 1].min() == y - 0.4 and corners[:, 1].max() == y + 0.4


def test_the_search_benchmark_measures_the_explorer(capsys):
    search.main(["--clips", "300", "--dim", "16", "--repeats", "2", "--without-words"])
    told = capsys.readouterr().out
    assert "by example, 300 clips, 16 dimensions" in told and "under 100 ms" in told


def test_maps_are_timed_as_the_explorer_makes_them(capsys):
    maps.timed("pca", 400, 8)
    cells = [cell.strip() for cell in capsys.readouterr().out.strip().strip("|").split("|")]
    assert cells[0].startswith("numpy") and cells[1:3] == ["cpu", "400 x 8"]
    assert all(float(cell.removesuffix(" s")) >= 0 for cell in cells[3:6])
    assert 0.5 < float(cells[6]) < 1 and 0 < float(cells[7]) < 1
