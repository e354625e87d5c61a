"""The explorer without a browser: all state is read and set from Python, and what a page would say is answered."""

from __future__ import annotations

import dataclasses
import json
import re
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from spaces import CLASSES, DIM, EVIL, STAGES, joint_space

from c2vl_lab.data.subsets import load_subset, save_subset
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.evaluate.subset import subset_table
from c2vl_lab.explorer import serving
from c2vl_lab.explorer.columns import columns_of
from c2vl_lab.explorer.explorer import ConceptExplorer
from c2vl_lab.explorer.opening import agree_from
from c2vl_lab.explorer.scene import map_of, points_of
from c2vl_lab.explorer.space import JointSpace, nearest, purity
from c2vl_lab.prompts.asking.desk import open_desk


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return joint_space(tmp_path_factory.mktemp("space"))


@pytest.fixture
def explorer(space):
    space.finder.asked.clear()
    return ConceptExplorer(space, method="pca")


def places(explorer, side, modality):
    """(N, 2) of one modality, as the page gets them."""
    told = explorer.widget.maps[side]
    flat = np.frombuffer(told["places"], "<f4").reshape(-1, 2)
    kind, _ = points_of(explorer.space)
    return flat[kind == explorer.space.modalities.index(modality)]


def test_a_selection_in_the_page_is_a_table_in_python(explorer):
    assert explorer.told == "nothing selected yet" and explorer.selection.empty
    explorer.widget.selected = {"clips": [3, 5, 7], "by": "lasso in the left map"}  # as the page sets it
    assert explorer.told == "selected 3 of 40"
    assert explorer.selection["name"].tolist() == ["clip 3", "clip 5", "clip 7"]
    assert list(explorer.selection.columns) == list(explorer.space.table.columns)


def test_python_selects_by_name_row_and_mask(explorer):
    assert explorer.select(["clip 5", 3, 5])["name"].tolist() == ["clip 3", "clip 5"]
    assert explorer.widget.selected == {"clips": [3, 5], "by": "Python"}, "the page is told"
    explorer.select(explorer.space.table["right"].to_numpy() == "wrong")
    assert explorer.selected.tolist() == [0, 10, 20, 30]
    explorer.clear()
    assert explorer.told == "nothing selected yet"
    with pytest.raises(ConfigError, match=r"no clip 'clip 99'.*names look like"):
        explorer.select(["clip 99"])
    with pytest.raises(ConfigError, match="rows go from 0 to 39"):
        explorer.select([40])


def test_search_by_words_ranks_skeletons_by_cosine(explorer, space):
    found = explorer.search("please throw", count=7)
    points = space.views["after training"]
    scores = [float(np.dot(row, points["class prompt"][2])) for row in points["skeleton"]]
    wanted = sorted(range(40), key=lambda k: -scores[k])[:7]
    assert found["clip"].tolist() == wanted and found["score"].tolist() == pytest.approx([scores[k] for k in wanted])
    assert space.finder.asked == ["please throw"]
    told = explorer.widget.hits
    assert [row["clip"] for row in told["rows"]] == wanted and told["title"] == "“please throw”"
    assert set(found["class"]) == {"throw"}


def test_search_by_clip_mirror_and_class(explorer, space):
    like = explorer.search_clip("clip 6", count=5)
    assert 6 not in like["clip"].tolist() and set(like["class"]) == {"throw"}
    mirrored = explorer.search_clip(6, count=40, mirrored=True)
    assert mirrored["clip"].iloc[-1] == 6, "nothing is farther from a clip's opposite than the clip"
    assert set(explorer.search_class(CLASSES[3], count=9)["class"]) == {CLASSES[3]}
    with pytest.raises(ConfigError, match="Did you mean 'throw'"):
        explorer.search_class("thro")
    with pytest.raises(ConfigError, match="wants some words"):
        explorer.search("  ")


def test_what_was_searched_for_has_a_place_on_maps_of_its_space(explorer):
    explorer.search_class("sit down")
    left, right = explorer.widget.hits["places"]
    assert left is None, "the left map is of an earlier state, in which the search means nothing"
    assert right == pytest.approx(places(explorer, 1, "class prompt")[1].tolist(), abs=1e-3)
    explorer.show_view("after training", "left")
    assert explorer.widget.hits["places"][0] == pytest.approx(right)


def test_questions_of_the_page_are_answered_and_refused_in_words(explorer):
    explorer.widget.query = {"kind": "words", "value": "sit down", "id": 1}
    assert {row["class"] for row in explorer.widget.hits["rows"][:10]} == {"sit down"}
    explorer.widget.query = {"kind": "mirror", "value": 6, "id": 2}
    assert explorer.widget.hits["title"] == "mirror image of clip 6"
    explorer.widget.query = {"kind": "words", "value": "nothing", "id": 3}
    assert explorer.widget.message == {"text": "No idea what nothing is.", "error": True}
    assert explorer.widget.hits["title"] == "mirror image of clip 6", "what was found stays"


def test_a_clicked_clip_is_shown_with_its_nearest(explorer, space):
    explorer.widget.focus = 10
    card = explorer.widget.card
    assert card["name"] == "clip 10" and card["sentences"] == space.sentences["clip 10"]
    assert ["throw", ""] in card["facts"] and [f"predicted: {CLASSES[3]}", "cx-wrong-answer"] in card["facts"]
    assert len(card["motion"]["poses"]) == 12 and card["pictures"][0].startswith("data:image/jpeg;base64,")
    movements, texts, pictures = card["near"]
    wanted, _ = nearest(space.views["after training"]["skeleton"][10], space.views["after training"]["skeleton"], 6)
    assert [row["clip"] for row in movements["rows"]] == [int(k) for k in wanted if k != 10]
    query = space.views["after training"]["skeleton"][10]
    wanted, scores = nearest(query, space.views["after training"]["language"], 5)
    assert [row["clip"] for row in texts["rows"]] == wanted.tolist(), "texts are ranked from the movement"
    assert [row["score"] for row in texts["rows"]] == pytest.approx(scores.tolist())
    assert texts["rows"][0]["sentence"] == space.sentences[texts["rows"][0]["name"]][0]
    assert all(row["motion"]["poses"] and row["picture"] for row in pictures["rows"]) and len(pictures["rows"]) == 5
    assert 1 not in [row["clip"] for row in pictures["rows"]], "clip 1 has no picture point"


def test_colours_and_filters_combine(explorer):
    explorer.color("right")
    assert explorer.widget.color_by == "right"
    explorer.hide("class", "wave")
    explorer.hide("right", "wrong")
    table = explorer.space.table
    wanted = (table["class"] != "wave") & (table["right"] != "wrong")
    assert (explorer.visible == wanted).all()
    explorer.only("class", "throw")
    assert explorer.space.table[explorer.visible]["class"].unique().tolist() == ["throw"]
    explorer.hide("class")
    explorer.hide("right")
    assert explorer.visible.all() and explorer.widget.filters == {}
    with pytest.raises(ConfigError, match=r"no column 'clas'.*Did you mean 'class'"):
        explorer.color("clas")
    with pytest.raises(ConfigError, match="'class' has no 'wav'"):
        explorer.hide("class", "wav")


def test_columns_become_categories():
    table = pd.DataFrame({"name": list("abcd"), "class": ["y", "x", "y", "x"], "subject": ["10", "2", "2", "10"]})
    table["purity"] = [0.0, 0.35, 1.0, np.nan]
    table["right"] = [True, False, True, True]
    found = columns_of(table, ["x", "y"])
    assert found["class"].names == ["x", "y"] and found["class"].codes.tolist() == [1, 0, 1, 0]
    assert found["subject"].names == ["2", "10"]
    assert found["purity"].codes.tolist() == [0, 1, 4, 5] and found["purity"].names[5] == "not known"
    assert [found["right"].names[k] for k in found["right"].codes] == ["right", "wrong", "right", "right"]
    assert "name" not in found
    table["since"] = pd.Categorical(
        ["never", "before", "epoch 10", "before"], ["before", "epoch 5", "epoch 10", "never"]
    )
    found = columns_of(table, ["x", "y"])
    assert found["since"].names == ["before", "epoch 10", "never"] and found["since"].codes.tolist() == [2, 0, 1, 0]


def test_the_slider_changes_one_map(explorer):
    before = explorer.widget.maps
    explorer.widget.left = "epoch 5"  # as the slider does
    after = explorer.widget.maps
    assert after[0]["view"] == "epoch 5" and after[0]["key"] != before[0]["key"] and after[1]["key"] == before[1]["key"]
    told = map_of(explorer.space, "epoch 5", explorer.maps["epoch 5"])
    assert after[0]["places"] == told["places"] and "Trustworthiness" in after[0]["caption"]
    explorer.widget.left = "epoch 6"
    assert "no view named 'epoch 6'" in explorer.widget.message["text"] and explorer.widget.message["error"]
    with pytest.raises(ConfigError, match="left or right"):
        explorer.show_view("epoch 5", "middle")


def test_modalities_are_shown_on_each_map_alone(explorer):
    explorer.show_modalities("skeleton", side="left")
    explorer.show_modalities("class prompt", "language", side="right")
    assert explorer.widget.shown == [["skeleton"], ["language", "class prompt"]]
    with pytest.raises(ConfigError, match="No modality 'word'"):
        explorer.show_modalities("word")


def test_a_clip_without_a_point_of_a_modality_is_not_drawn(explorer):
    assert np.isnan(places(explorer, 1, "vision")[1]).all()
    assert np.isfinite(np.delete(places(explorer, 1, "vision"), 1, axis=0)).all()


def test_selections_are_saved_and_become_subsets(explorer, space, tmp_path):
    with pytest.raises(ConfigError, match="Nothing is selected"):
        explorer.save_selection(tmp_path / "x.csv")
    explorer.select([0, 3])
    path = explorer.save_selection("mine")
    assert pd.read_csv(path)["name"].tolist() == space.names[0:4:3] and "selections" in str(path)
    explorer.widget.action = {"name": "subset", "value": "odd ones", "id": 1}
    path = re.search(r"subset = (.*)", explorer.widget.message["text"])[1]
    subset = load_subset(path, space.store)
    assert subset.name == "odd ones" and subset.rows.tolist() == [0, 3] and subset.by == "Python"
    explorer.clear()
    assert explorer.take_subset(path)["name"].tolist() == space.names[0:4:3]
    explorer.widget.action = {"name": "subset", "value": "../away", "id": 2}
    assert explorer.widget.message["error"] and "name has letters" in explorer.widget.message["text"]


def test_subsets_refuse_what_is_not_theirs(space, tmp_path):
    lines = tmp_path / "by hand.txt"
    lines.write_text("clip 5\n\nclip 2\n")
    assert load_subset(lines, space.store).rows.tolist() == [2, 5]
    lines.write_text("clip 5\nclip 77\n")
    with pytest.raises(DataError, match="1 of 2 clips are not in small, for example 'clip 77'"):
        load_subset(lines, space.store)
    (tmp_path / "other.json").write_text('{"clips": ["clip 5"]}')
    with pytest.raises(DataError, match="wanted a subset of format"):
        load_subset(tmp_path / "other.json", space.store)
    with pytest.raises(MissingError, match="no subset at"):
        load_subset(tmp_path / "none.json", space.store)
    with pytest.raises(ConfigError, match="at least one clip"):
        save_subset(tmp_path / "empty.json", space.store, [])


def test_a_saved_page_holds_data_as_text_and_loads_nothing(explorer, space, tmp_path):
    explorer.search("throw")
    kept = explorer.widget.hits
    path = explorer.to_html(tmp_path / "page.html", clips=[0, 5], searches=["sit down"], title=f"Mine {EVIL}")
    page = path.read_text()
    assert EVIL not in page and "<img" not in page and page.count("<script") == 2
    assert "default-src 'none'" in page and "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    saved = json.loads(re.search(r'id="saved">(.*?)</script>', page, re.S)[1])
    assert saved["scene"]["names"] == space.names and set(saved["cards"]) == {"0", "5"}
    assert saved["cards"]["0"]["sentences"][1] == f"Second {EVIL}."
    assert set(saved["maps"]) == set(STAGES) and set(saved["searches"]["class"]) == set(CLASSES)
    assert {row["class"] for row in saved["searches"]["words"]["sit down"]["rows"][:9]} == {"sit down"}
    assert f"Mine {EVIL}" in unescape(page)
    assert explorer.widget.hits == kept, "writing a page changes nothing on the screen"
    explorer.select([4, 6])
    second = explorer.to_html(tmp_path / "second.html").read_text()
    saved = json.loads(re.search(r'id="saved">(.*?)</script>', second, re.S)[1])
    assert set(saved["cards"]) == {"4", "6"} and saved["state"]["selected"]["clips"] == [4, 6]
    third = explorer.to_html(tmp_path / "third.html", searches=["throw"]).read_text()
    saved = json.loads(re.search(r'id="saved">(.*?)</script>', third, re.S)[1])
    best = [str(row["clip"]) for row in saved["searches"]["words"]["throw"]["rows"][:3]]
    assert set(saved["cards"]) == {"4", "6", *best}, "what a search finds first can be played"


def test_outside_jupyter_there_are_two_figures(explorer, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    explorer._ipython_display_()
    assert len(shown) == 3 and "Jupyter" in shown[0]._repr_html_()
    assert [f.look.title for f in shown[1:]] == ["Joint space, before training", "Joint space, after training"]
    monkeypatch.setenv("JPY_SESSION_NAME", "x")
    explorer._ipython_display_()
    assert shown[-1] is explorer.view


def test_nearest_leaves_out_what_has_no_point():
    points = np.eye(4, dtype=np.float32)
    points[2] = np.nan
    rows, scores = nearest(np.array([0.0, 1, 0, 0]), points, 10)
    assert rows.tolist() == [1, 0, 3] and scores.tolist() == [1, 0, 0]
    rows, _ = nearest(np.array([0.0, 1, 0, 0]), np.full((3, 4), np.nan, np.float32), 2)
    assert len(rows) == 0


def test_purity_counts_neighbours_as_a_loop_does():
    rng = np.random.default_rng(3)
    points, labels = rng.normal(size=(30, 5)), rng.integers(0, 3, 30)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points[4] = np.nan
    found = purity(points, labels, 4)
    for row in range(30):
        if row == 4:
            assert np.isnan(found[row])
            continue
        others = sorted((k for k in range(30) if k not in (row, 4)), key=lambda k: -points[row] @ points[k])[:4]
        assert found[row] == pytest.approx(np.mean([labels[k] == labels[row] for k in others]))


def test_since_when_neighbours_agree():
    labels = np.arange(36) // 12
    apart, mixed = np.eye(3)[labels], np.eye(3)[np.arange(36) % 3]  # a cluster a class; all classes in each cluster
    views = {name: {"skeleton": points} for name, points in (("a", apart), ("b", mixed), ("c", apart))}
    assert set(agree_from(views, ["a", "c"], labels)) == {"a"}
    assert set(agree_from(views, ["b", "c"], labels)) == {"c"}
    assert set(agree_from(views, ["a", "b", "c"], labels)) == {"c"}, "what was lost again does not count"
    assert set(agree_from(views, ["a", "b"], labels)) == {"never"}


def test_a_space_refuses_what_does_not_fit(space):
    points = space.views["after training"]
    with pytest.raises(DataError, match="wanted 40 language points, found 39"):
        JointSpace(space.table, CLASSES, {"x": dict(points) | {"language": points["language"][1:]}}, "x")
    with pytest.raises(DataError, match="no skeleton points"):
        JointSpace(space.table, CLASSES, {"x": {"language": points["language"]}}, "x")
    with pytest.raises(ConfigError, match="no view named 'y'"):
        JointSpace(space.table, CLASSES, {"x": points}, "y")
    alone = JointSpace(space.table, CLASSES, {"x": {"skeleton": points["skeleton"]}}, "x")
    explorer = ConceptExplorer(alone, method="pca")
    with pytest.raises(ConfigError, match="cannot be searched by words"):
        explorer.search("wave")
    with pytest.raises(ConfigError, match="learned no language"):
        explorer.search_class("wave")
    assert explorer.show_clip(3)["motion"] is None and explorer.widget.scene["searches"] is False
    assert points["skeleton"].shape[1] == DIM


def test_a_page_of_its_own_is_notebook_05_with_parameters(tmp_path, monkeypatch):
    path = serving.write_notebook(tmp_path, {"run_dir": "there", "neighbours": "7"})
    cells = json.loads(path.read_text())["cells"]
    injected = next(cell for cell in cells if "injected-parameters" in cell["metadata"].get("tags", []))
    where = next(cell for cell in cells if cell["cell_type"] == "code")["source"]
    assert str(Path.cwd()) in "".join(where), "paths of the run's own settings are as they were"
    assert 'run_dir = "there"' in "".join(injected["source"]) and "neighbours = 7" in "".join(injected["source"])
    with pytest.raises(ConfigError, match="unknown parameter 'run'"):
        serving.write_notebook(tmp_path, {"run": "there"})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"pip install -c constraints\.txt voila"):
        serving.voila_command(tmp_path, 1, "127.0.0.1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    command = serving.voila_command(tmp_path, 8001, "127.0.0.1")
    assert "--port=8001" in command and "--Voila.ip=127.0.0.1" in command and str(path) in command


def test_what_is_served(tmp_path, monkeypatch, capsys):
    """A run that is named, or the one that notebook 03 made; test_runs_to_open.py says what there is without any."""
    single = tmp_path / "runs" / "single"
    single.mkdir(parents=True)
    (single / "config.json").write_text("{}")
    for run in ("", str(single)):
        with pytest.raises(MissingError, match=r"no checkpoint\.safetensors yet"):
            serving.run_to_serve(run, tmp_path)
    (single / "checkpoint.safetensors").write_bytes(b"")
    assert serving.run_to_serve("", tmp_path) == single.resolve()
    assert "03_pretrain made" in capsys.readouterr().err
    assert serving.run_to_serve(str(single), tmp_path) == single.resolve()
    with pytest.raises(MissingError, match="03_pretrain"):
        serving.run_to_serve(str(tmp_path / "nowhere"), tmp_path)


def test_the_rarest_sentence_stands_for_a_clip(space):
    said = {"a": ["Stands.", "Waves."], "b": ["Stands.", "Sits."], "c": ["Stands.", "Waves.", "Jumps."]}
    alone = dataclasses.replace(space, sentences=said)
    assert [alone.sentence_of(name) for name in "abcd"] == ["Waves.", "Sits.", "Jumps.", ""]


def test_a_clip_is_asked_about_again_and_taken_to_the_desk(space, tmp_path):
    """With the kinematic captioner's own answers, as a run that used them has."""
    opened = open_desk(space.store, "kinematic", tmp_path / "answers")
    explorer = ConceptExplorer(dataclasses.replace(space, desk=lambda: opened), method="pca")
    with pytest.raises(ConfigError, match="nothing to ask about again"):
        explorer.ask_again()
    explorer.select([3, 5])
    editor = explorer.prompt_desk()
    assert editor.clip == "clip 3" and explorer.view.children[1] is editor.view
    assert set(editor.flagged["selected"]["clip"]) == {"clip 3", "clip 5"}
    table = explorer.ask_again()
    assert set(table["clip"]) == {"clip 3", "clip 5"} and opened.marked() == ["clip 3", "clip 5"]
    assert "2 clips are marked" in explorer.widget.message["text"]
    without = ConceptExplorer(space, method="pca")
    without.select([1])
    without.widget.action = {"name": "desk", "value": "", "id": 1}
    assert "no sentences of its own" in without.widget.message["text"]


def test_accuracy_on_a_subset(space, tmp_path):
    path = save_subset(tmp_path / "odd.json", space.store, ["clip 1", "clip 2", "clip 3"])
    names = space.names[2:8]
    about = {"name": names, "label": [0] * 6, "linear": [0, 1, 0, 0, 1, 1], "knn1": [0] * 6}
    pd.DataFrame(about).to_parquet(tmp_path / "predictions.parquet")
    experiment = SimpleNamespace(store=space.store, config=SimpleNamespace(protocol="xsub"))
    table = subset_table(experiment, tmp_path, path)
    assert table.loc["odd", "test clips"] == 2 and table.loc["odd", "linear probe"] == 50.0
    assert table.loc["the others", "linear probe"] == 50.0 and table.loc["all", "1-NN"] == 100.0
    with pytest.raises(MissingError, match="has no predictions"):
        subset_table(experiment, tmp_path / "nowhere", path)
    path = save_subset(tmp_path / "train.json", space.store, ["clip 1"])
    with pytest.raises(DataError, match="in the test part"):
        subset_table(experiment, tmp_path, path)
