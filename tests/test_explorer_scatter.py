"""The maps of more than 100,000 points: jupyter-scatter follows the explorer's state, and its lassos reach it."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from c2vl_lab.errors import ConfigError, MissingError
from c2vl_lab.explorer import scatter_maps
from c2vl_lab.explorer.explorer import ConceptExplorer
from c2vl_lab.explorer.scatter_maps import OWN, SCATTER, choose_engine
from c2vl_lab.explorer.space import JointSpace
from c2vl_lab.project import Projection

CLIPS = 60_000  # with as many sentences: 120,000 points of a map
CLASSES = [f"class {k}" for k in range(12)]


def many(clips: int) -> JointSpace:
    """Points without order, in two states; sentence 3 is missing."""
    rng = np.random.default_rng(0)
    views = {}
    for stage in ("before", "after"):
        rows = rng.normal(size=(2, clips, 4)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
        views[stage] = {"skeleton": rows[0], "language": rows[1], "class prompt": np.eye(4, dtype=np.float32)[[0] * 12]}
        views[stage]["language"][3] = np.nan
    table = pd.DataFrame(
        {"name": [f"clip {k}" for k in range(clips)], "class": [CLASSES[k % 12] for k in range(clips)]}
    )
    table["split"] = np.where(np.arange(clips) % 3, "train", "test")
    return JointSpace(table, CLASSES, views, "after", ["before", "after"])


def flat(points, *_, **options) -> Projection:
    """The first two coordinates as a map: its quality, which takes a while of so many points, is not wanted here."""
    return Projection({m: rows[:, :2].copy() for m, rows in points.items()}, "pca", {}, 0, "none", 1.0, 1.0, 15)


@pytest.fixture(scope="module")
def made():
    pytest.importorskip("jscatter", reason="jupyter-scatter is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("c2vl_lab.explorer.aligned.project_joint", flat)
        return ConceptExplorer(many(CLIPS), method="pca")


@pytest.fixture
def explorer(made):
    """As it was made, since making it takes its time."""
    yield made
    made.clear()
    made.widget.set_trait("filters", {})
    made.show_modalities(*made.space.modalities)
    made.color("class")
    made.show_view("before", "left")
    made.use_tool("lasso")


def test_a_hundred_thousand_points_decide_who_draws(monkeypatch):
    pytest.importorskip("jscatter", reason="jupyter-scatter is not installed")
    assert choose_engine("auto", 100_000) == (OWN, "") and choose_engine("auto", 100_001) == (SCATTER, "")
    assert choose_engine(OWN, 10**6) == (OWN, "") and choose_engine(SCATTER, 10) == (SCATTER, "")
    with pytest.raises(ConfigError, match="Did you mean 'jupyter-scatter'"):
        choose_engine("jupyter-scater", 10)


def test_without_the_package_the_own_maps_stand_and_say_what_to_install(monkeypatch):
    monkeypatch.setattr(scatter_maps, "MOST_POINTS", 80)
    monkeypatch.setattr(scatter_maps.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "jscatter", None)
    explorer = ConceptExplorer(many(40), method="pca")
    assert explorer.engine == OWN and explorer.scatter is None and explorer.widget.maps[0]["places"]
    said = explorer.widget.message
    assert (
        "A map here has 92 points" in said["text"]
        and 'pip install -c constraints.txt "jupyter-scatter"' in said["text"]
    )
    with pytest.raises(MissingError, match=r'pip install -c constraints\.txt "jupyter-scatter"'):
        ConceptExplorer(many(40), method="pca", engine=SCATTER)


def test_the_page_draws_no_maps_and_both_maps_stand_above_it(explorer):
    assert explorer.engine == SCATTER and explorer.view.children == (explorer.scatter.view, explorer.widget)
    assert explorer.widget.scene["elsewhere"] and not explorer.widget.scene["kind"]
    assert not explorer.widget.maps[0]["places"]


def test_every_point_is_at_its_place_on_a_square(explorer):
    for side, view in enumerate(("before", "after")):
        scatter = explorer.scatter.sides[side]
        drawn = np.asarray(scatter.widget.points)[:, :2]
        wanted = explorer.maps[view].coordinates
        flat = np.concatenate([wanted["skeleton"], wanted["language"], wanted["class prompt"]])
        known = np.isfinite(flat).all(axis=1)
        scale = (drawn[known].max(axis=0) - drawn[known].min(axis=0)) / (
            flat[known].max(axis=0) - flat[known].min(axis=0)
        )
        assert scale[0] == pytest.approx(scale[1], rel=1e-4), "both axes have one scale"
        moved = (flat - flat[0]) * scale + drawn[0]
        np.testing.assert_allclose(drawn[known], moved[known], atol=1e-3)
        assert np.abs(drawn[known]).max() <= 1
        assert CLIPS + 3 not in scatter.filter(), "a clip without a sentence has no point"
        assert len(scatter.filter()) == len(flat) - 1


def test_a_lasso_on_one_map_is_the_selection_and_lights_the_other(explorer):
    left, right = explorer.scatter.sides
    left.widget.selection = np.array([7, CLIPS + 7, CLIPS + 11, 2 * CLIPS + 1])  # 7 twice, and a class prompt
    assert explorer.selection["name"].tolist() == ["clip 7", "clip 11"]
    assert explorer.told == "selected 2 of 60,000"
    assert explorer.widget.selected["by"] == "jupyter-scatter, left map"
    assert right.selection().tolist() == [7, 11, CLIPS + 7, CLIPS + 11], "all points of both clips"
    right.widget.selection = np.array([5])
    assert left.selection().tolist() == [5, CLIPS + 5] and explorer.selection["name"].tolist() == ["clip 5"]
    assert explorer.widget.focus == 5, "a single point is a click: its clip opens"
    right.widget.selection = np.array([], np.uint32)
    assert explorer.told == "nothing selected yet" and left.selection().tolist() == []


def test_python_selects_on_both_maps_and_the_maps_echo_changes_nothing(explorer):
    explorer.select(["clip 9", 30])
    for scatter in explorer.scatter.sides:
        assert scatter.selection().tolist() == [9, 30, CLIPS + 9, CLIPS + 30]
        scatter.widget.selection = np.array([CLIPS + 30, 30, 9, CLIPS + 9])  # as the page repeats it
    assert explorer.selected.tolist() == [9, 30] and explorer.widget.selected["by"] == "Python"
    explorer.clear()
    assert all(len(scatter.selection()) == 0 for scatter in explorer.scatter.sides)


def test_filters_and_modalities_hide_points_and_keep_the_selection(explorer):
    explorer.select([0, 1])
    explorer.hide("split", "test")
    explorer.show_modalities("skeleton", side="right")
    left, right = explorer.scatter.sides
    clips = np.flatnonzero(np.arange(CLIPS) % 3)
    assert right.filter().tolist() == clips.tolist()
    assert left.filter().tolist() == [*clips, *(CLIPS + clips[clips != 3]), *range(2 * CLIPS, 2 * CLIPS + 12)]
    assert right.selection().tolist() == [1] and explorer.selected.tolist() == [0, 1]
    explorer.hide("class", *CLASSES)
    assert len(left.filter()) == len(right.filter()) == 0


def test_colours_are_those_of_the_legend(explorer):
    import matplotlib.colors

    for column in ("split", "class"):
        explorer.color(column)
        own = explorer.columns[column]
        codes = np.asarray(explorer.scatter.sides[1].widget.points)[:, 2].astype(int)
        drawn = explorer.scatter.sides[1].widget.color
        for clip in (0, 1, 5, CLIPS - 1):
            wanted = matplotlib.colors.to_rgba(own.colors[own.codes[clip]])
            assert tuple(drawn[codes[clip]]) == pytest.approx(wanted) == tuple(drawn[codes[CLIPS + clip]])
    prompt = matplotlib.colors.to_rgba(explorer.columns["class"].colors[4])
    assert tuple(drawn[codes[2 * CLIPS + 4]]) == pytest.approx(prompt), "a class prompt has its class's colour"


def test_found_clips_are_larger_and_the_slider_moves_one_map(explorer):
    found = explorer.search_clip(17, count=3)["clip"].tolist()
    for scatter in explorer.scatter.sides:
        sizes = np.asarray(scatter.widget.size)[np.asarray(scatter.widget.points)[:, 3].astype(int)]
        assert sorted(np.flatnonzero(sizes == 9)) == sorted(found), "skeletons that were found"
        assert (sizes[2 * CLIPS :] == 14).all() and (np.delete(sizes[:CLIPS], found) == 3).all()
    before = [np.asarray(scatter.widget.points)[:, :2].copy() for scatter in explorer.scatter.sides]
    explorer.show_view("after", "left")
    left, right = (np.asarray(scatter.widget.points)[:, :2] for scatter in explorer.scatter.sides)
    np.testing.assert_allclose(left, right, atol=1e-6)
    assert np.abs(left - before[0]).max() > 0.1 and np.array_equal(right, before[1])


def test_tools_the_pointer_and_the_theme(explorer):
    left, right = explorer.scatter.sides
    explorer.use_tool("box")
    assert right.widget.mouse_mode == "lasso" and right.widget.lasso_type == "rectangle"
    explorer.use_tool("pan")
    assert left.widget.mouse_mode == "panZoom"
    left.widget.hovering = CLIPS + 13
    assert explorer.widget.pointed == "clip 13 (language); class: class 1"
    left.widget.hovering = -1
    assert explorer.widget.pointed == ""
    colors = left.widget.axes_color, left.widget.legend_color
    explorer.widget.dark = True
    assert (left.widget.axes_color, left.widget.legend_color) == colors, "a change would draw axes and a legend"
    assert left.widget.background_color != (1, 1, 1, 1) and sum(left.widget.background_color[:3]) < 0.5
    explorer.widget.dark = False


def test_the_offline_page_draws_its_own_maps(monkeypatch, tmp_path):
    pytest.importorskip("jscatter", reason="jupyter-scatter is not installed")
    explorer = ConceptExplorer(many(40), method="pca", engine=SCATTER)
    page = explorer.to_html(tmp_path / "page.html", clips=[0]).read_text()
    assert '"elsewhere":false' in page and '"places":{"base64":"A' not in page and len(page) > 30_000
