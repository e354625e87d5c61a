"""The quality desk: corrections count places from 1 and touch nothing but the edits; its page and its buttons work."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pandas as pd
import pytest
from chat_server import Dots

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.writing import write_store
from c2vl_lab.errors import ConfigError, MissingError
from c2vl_lab.experiment import RunConfig, open_experiment
from c2vl_lab.prompts.asking import desk as desk_module
from c2vl_lab.prompts.asking.answers import AnswerStore
from c2vl_lab.prompts.asking.desk import Desk, open_desk
from c2vl_lab.prompts.asking.protocol import Answer
from c2vl_lab.prompts.asking.runner import ask
from c2vl_lab.prompts.asking.templates import QUESTIONS
from c2vl_lab.prompts.store import save_prompts
from c2vl_lab.viz import desk as desk_page
from c2vl_lab.viz import desk_editor, desk_tables
from c2vl_lab.viz.desk import clip_page, find_name

EVIL = '</script><script>alert(1)</script> <b>bold</b> & "quoted" __CLIP__'


class Parrot:
    """Says clip, place (as the store counts) and attempt."""

    name, model, revision, looks, sentences = "parrot", "parrot", "1", True, None

    def __init__(self):
        self.settings, self.asked = {}, []

    def ask(self, requests):
        for request in requests:
            self.asked.append((request.clip, request.place, request.attempt))
            yield Answer(request, f"In {request.clip} at {request.place}, attempt {request.attempt}.")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Four clips of two classes; the second has a gap in its second body."""
    rng = np.random.default_rng(0)
    clips = []
    for k, name in enumerate("abcd"):
        bodies = 2 if name == "b" else 1
        xyz = rng.normal(0, 0.4, (20, bodies, 25, 3)).astype(np.float32)
        present = np.ones((20, bodies), bool)
        present[5:9, bodies - 1] = name != "b"
        clips.append(Clip(name, xyz, present, np.arange(20), k % 2, subject=k + 1))
    return write_store(
        tmp_path_factory.mktemp("stores") / "four",
        clips,
        dataset="four",
        layout=NTU25,
        classes=["first", f"second {EVIL}"],
        generated=True,
    )


@pytest.fixture
def desk(store, tmp_path) -> Desk:
    """Three sentences for each picture of each clip, on the desk together with the pictures."""
    source, answers = Dots(store.names), AnswerStore(tmp_path / "answers")
    outcome = ask(store, source, QUESTIONS["paper"], Parrot(), answers, count=3)
    return Desk(store, answers, outcome.series, f"answers:{answers.folder}", source)


def blind(parrot: Parrot) -> Parrot:
    """One that wants no pictures."""
    parrot.looks = False
    return parrot


def lines(desk: Desk) -> list[dict]:
    """The edits on the disk."""
    path = desk.answers.folder / "edits.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def test_calls_and_tables_count_places_from_1(desk):
    desk.replace("a", 1, "The first one.", author="kim", note="seen")
    desk.exclude("a", 3)
    assert desk.prompts()["a"] == ["The first one.", "In a at 1, attempt 0.", "In a at 1, attempt 0."]
    table = desk.table(["a"]).set_index("place")
    assert table["status"].to_dict() == {1: "replaced", 2: "answered", 3: "excluded"}
    assert desk.edits()[["clip", "place", "edit", "author"]].values.tolist() == [
        ["a", 1, "replace", "kim"],
        ["a", 3, "exclude", ""],
    ]
    assert [line["place"] for line in lines(desk)] == [0, 2], "the store itself counts from 0"
    desk.restore("a", 3)
    assert desk.prompts()["a"][2] == "In a at 2, attempt 0."
    for place in (0, 4, True, "1"):
        with pytest.raises(ConfigError, match="places 1 to 3, found"):
            desk.replace("a", place, "Nowhere.")
    assert len(lines(desk)) == 3


def test_a_cell_of_a_table_names_a_place(desk):
    desk.exclude("a", desk.table(["a"]).loc[1, "place"])
    assert [(line["clip"], line["place"]) for line in lines(desk)] == [("a", 1)]


def test_lines_that_are_no_edits_are_told(desk):
    desk.exclude("a", 1)
    assert "passed over" not in desk.describe().index
    with open(desk.answers.edits.path, "a") as stream:
        stream.write('{"edit": "exclude", "clip": "a"}\n')
    assert desk.describe().loc["passed over", "value"].startswith("1 lines of ")


def test_a_clip_without_any_sentence_left_is_left_out_and_counted(desk):
    desk.exclude("b")
    assert set(desk.prompts()) == {"a", "c", "d"}
    assert "3 with all sentences" in desk.describe().loc["clips", "value"]
    names, labels = desk.part([1, 3, 0])
    assert names == ["d", "a"] and labels.tolist() == [1, 0]


def test_exactly_the_marked_clips_are_asked_again_and_old_and_new_stand_side_by_side(desk, monkeypatch):
    parrot = Parrot()
    monkeypatch.setattr(desk_module, "open_backend", lambda *a, **k: parrot)
    assert desk.ask_again("parrot").empty and not parrot.asked, "nothing is marked"
    desk.reask(["c"], author="kim")
    assert desk.marked() == ["c"]
    waiting = desk.ask_again("")
    assert waiting["place"].tolist() == [1, 2, 3] and "now" not in waiting and not parrot.asked, "nobody is asked"
    assert desk.lacking().iloc[1].tolist() == ["c", 2, "In c at 1, attempt 0.", "to be asked again"]
    told = desk.ask_again("parrot")
    assert desk.lacking().empty
    assert parrot.asked == [("c", 0, 1), ("c", 1, 1), ("c", 2, 1)]
    assert told["before"][0] == "In c at 0, attempt 0." and told["now"][0] == "In c at 0, attempt 1."
    assert desk.marked() == [] and desk.prompts()["c"][0] == "In c at 0, attempt 1."


def test_clips_that_lack_sentences_but_are_not_marked_are_not_asked_about(store, tmp_path, monkeypatch):
    answers, question = AnswerStore(tmp_path), QUESTIONS["paper"]
    series = ask(store, None, question, blind(Parrot()), answers, count=3, names=["a", "b"]).series
    parrot = blind(Parrot())
    monkeypatch.setattr(desk_module, "open_backend", lambda *a, **k: parrot)
    desk = Desk(store, answers, series)
    desk.reask("a")
    desk.ask_again("parrot")
    assert parrot.asked == [("a", 0, 1), ("a", 1, 1), ("a", 2, 1)]


def test_another_model_or_other_pictures_are_not_asked_again(desk, monkeypatch):
    desk.reask(["c"])
    other = Parrot()
    other.model = "gull"
    monkeypatch.setattr(desk_module, "open_backend", lambda *a, **k: other)
    with pytest.raises(ConfigError, match="model: 'parrot', not 'gull'"):
        desk.ask_again("gull")
    monkeypatch.setattr(desk_module, "open_backend", lambda *a, **k: Parrot())
    with pytest.raises(ConfigError, match="source: 'dots-1', not 'dots-2'"):
        replace(desk, pictures=Dots(desk.store.names, identity="dots-2")).ask_again("parrot")
    with pytest.raises(ConfigError, match="looks at pictures: set pictures='dots'"):
        replace(desk, pictures=None).ask_again("parrot")
    assert not other.asked


def test_the_kinematic_captioner_is_asked_once_and_never_on_opening_about_marked_clips(tmp_path):
    store = open_dataset("generated", work_dir=tmp_path, performers=1, frames_max=40)
    desk = open_desk(store, work_dir=tmp_path)
    assert desk.answers.folder == tmp_path / "answers" / "generated" and len(desk.prompts()) == len(store)
    assert desk.captions == "kinematic"
    files = {path: path.read_bytes() for path in desk.answers.folder.rglob("*") if path.is_file()}
    name = store.names[0]
    desk.reask([name])
    again = open_desk(store, work_dir=tmp_path)
    assert again.marked() == [name]
    assert {
        p: p.read_bytes() for p in desk.answers.folder.rglob("*") if p.is_file() and p.name != "edits.jsonl"
    } == files
    told = again.ask_again("kinematic")
    assert len(told) == 16 and (told["before"] == told["now"]).all()


def test_a_clip_that_a_killed_run_left_half_captioned_is_captioned_to_its_end(tmp_path):
    store = open_dataset("generated", work_dir=tmp_path, performers=1, frames_max=40)
    open_desk(store, work_dir=tmp_path)
    (path,) = tmp_path.glob("answers/generated/*/answers-*")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))
    desk = open_desk(store, work_dir=tmp_path)
    assert desk.lacking().empty and len(desk.prompts()) == len(store)


def test_pre_training_takes_the_corrections_with_the_value_that_the_desk_names(tmp_path):
    store = open_dataset("generated", work_dir=tmp_path, performers=2, frames_max=40)
    config = RunConfig(dataset=str(store.path), work_dir=str(tmp_path))
    experiment = open_experiment(config)
    desk = open_desk(store, work_dir=tmp_path)
    assert experiment.prompts() == desk.prompts()
    desk.replace(store.names[0], 16, "This is mine.")
    edited = open_experiment(replace(config, captions=desk.captions))
    assert desk.captions == f"answers:{tmp_path}/answers/generated#{desk.series.id}"
    assert edited.prompts()[store.names[0]][15] == "This is mine." and edited.prompts() == desk.prompts()
    assert experiment.prompts()[store.names[0]][15] != "This is mine.", "kinematic stays kinematic"
    assert open_desk(store, desk.captions).prompts() == desk.prompts()


def test_a_file_is_imported_and_cannot_be_asked_again(store, tmp_path):
    path = tmp_path / "said.json"
    save_prompts(path, {name: [f"{name} one.", f"{name} two."] for name in ("a", "b", "elsewhere")})
    desk = open_desk(store, str(path), tmp_path / "answers", pictures=Dots(store.names), count=2)
    assert desk.names == ["a", "b"] and desk.captions == str(path) and desk.pairing == "order"
    assert replace(desk, count=4).pairing == ""
    desk.reask(["a"])
    with pytest.raises(ConfigError, match="nobody knows the question"):
        desk.ask_again("kinematic")
    with pytest.raises(ConfigError, match="names its own folder"):
        open_desk(store, f"answers:{tmp_path}/answers", tmp_path / "other")
    foreign = tmp_path / "foreign.json"
    save_prompts(foreign, {"x": ["Something."]})
    with pytest.raises(MissingError, match="no answer is about a clip of four"):
        open_desk(store, str(foreign), tmp_path / "answers")


def test_the_page_has_sentence_k_beside_picture_k_and_says_how_each_stands(desk):
    desk.replace("b", 2, f"Mine {EVIL}", author="kim", note="why")
    desk.exclude("b", 3)
    page = clip_page(desk, "b", {1: ["suspect: odd"]}).document
    rows = re.findall(r"<li.*?</li>", page)
    assert [re.search(r'class="n">(\d+)<', row)[1] for row in rows] == ["1", "2", "3"]
    assert all(f'data-at="{k}"' in row and f'alt="picture {k}"' in row for k, row in enumerate(rows, 1))
    images = re.findall(r'src="(data:image/jpeg[^"]+)"', page)
    assert len(set(images)) == 3 and "Pictures:" not in page
    assert "suspect: odd" in rows[0] and "replaced" in rows[1] and "kim: why" in rows[1]
    assert "the answer was: In b at 1, attempt 0." in rows[1]
    assert "excluded" in rows[2] and '<span class="gone">In b at 2' in rows[2]
    assert "<b>bold" not in page and "alert(1)</script>" not in page
    assert page.count("__CLIP__") == 3, "a slot's name in a text is text: in title, heading and sentence"


def test_each_sentence_has_its_own_picture_and_not_the_one_before(desk):
    page = clip_page(desk, "b").document
    pictures = [desk_page._address(picture) for picture in desk.pictures.pictures("b", 3)]
    assert re.findall(r'<li data-at="\d"><span class="n">\d</span><img src="([^"]+)"', page) == pictures


def test_markup_in_any_text_is_shown_as_text(store, tmp_path):
    class Evil(Parrot):
        model = f"parrot {EVIL}"

        def ask(self, requests):
            return (Answer(request, f"Said {EVIL}") for request in requests)

    answers = AnswerStore(tmp_path / "answers")
    series = ask(store, None, QUESTIONS["paper"], blind(Evil()), answers, count=3).series
    desk = Desk(store, answers, series)
    desk.replace("b", 1, f"Mine {EVIL}", author=f"kim {EVIL}", note=EVIL)
    desk.exclude("b", 2, note=EVIL)
    page = clip_page(desk, replace(store[1], name=f"b{EVIL}"), {3: [EVIL]}).document
    named = clip_page(desk, "b", {3: [f"suspect: {EVIL}"]}).document
    assert "<b>" not in page.replace('<b style="color', "") and page.count("<script>") == 1
    assert "<b>" not in named.replace('<b style="color', "") and named.count("<script>") == 1
    assert named.count("alert(1)") >= 8, "title, speaker, sentence, its answer, author, note, excluded answer, remark"
    by_class = pd.DataFrame({"class": [EVIL], "accuracy": [1.0], "clips": 1, "most confused with": EVIL})
    table = desk_tables.class_examples(by_class, {EVIL: [EVIL]}, [EVIL], [0], [EVIL]).to_html()
    for html in (table, desk_tables.facts(desk.describe()).to_html(), desk_tables.corrections(desk.edits()).to_html()):
        assert "alert(1)" in html and "<b>" not in html and "<script>" not in html


def test_pictures_of_which_nothing_was_said_stand_apart(desk):
    page = clip_page(replace(desk, pictures=Dots(desk.store.names, identity="dots-2"), count=5), "a").document
    assert page.count("<figure") == 5 and not re.search(r"<li[^>]*data-at", page)
    assert "<figure" not in clip_page(replace(desk, pictures=None), "a").document


def test_the_page_moves_the_clip_as_it_was_recorded(desk):
    clip = desk.store[1]
    motion = json.loads(re.search(r"const clip = (.*);\n", clip_page(desk, "b", fps=15).document)[1])
    assert len(motion["poses"]) == 20 and motion["fps"] == 15 and motion["frames"] == list(range(20))
    assert [pose[1] is None for pose in motion["poses"]] == [5 <= t < 9 for t in range(20)]
    bodies = np.array(motion["poses"][3], float).reshape(2, 25, 3) / 1000
    for bone, (child, parent) in zip(motion["bones"], NTU25.bones, strict=True):
        assert sorted(bone[:2]) == sorted((child, parent))
        for body in range(2):
            true = np.linalg.norm(clip.xyz[3, body, child] - clip.xyz[3, body, parent])
            assert np.linalg.norm(bodies[body, child] - bodies[body, parent]) == pytest.approx(true, abs=0.002)
    up = bodies[0, :, 1] - clip.xyz[3, 0, :, 1]
    assert np.ptp(up) < 0.002, "up stays up"


def test_the_frame_of_a_page_holds_the_whole_page(desk):
    page = clip_page(desk, "b")
    found = re.fullmatch(r'<iframe srcdoc="([^"]*)" style="[^"]*" title="clip"></iframe>', page._repr_html_())
    assert found and unescape(found[1]) == page.document


def test_clips_are_found_by_name_and_place(store, desk):
    assert (
        find_name(store, ["c"], "") == "c" and find_name(store, ["c"], "1") == "b" and find_name(store, [], "d") == "d"
    )
    with pytest.raises(ConfigError):
        find_name(store, [], "zzz")
    with pytest.raises(ConfigError, match="has no clip 'zzz'"):
        clip_page(desk, "zzz")
    assert find_name(store, ["c"], 0) == store.names[0]  # papermill itself passes -p clip 0 as a number


@pytest.fixture
def editor(desk):
    flagged = pd.DataFrame({"clip": ["c", "b"], "place": [2, 3], "why": ["odd", f"says {EVIL}"]})
    return desk_editor.Editor(desk, {"suspect": flagged, "cut": flagged[:0]}, author="kim")


def test_buttons_write_edits_and_nothing_else(desk, editor):
    files = {path: path.read_bytes() for path in desk.answers.folder.rglob("answers-*")}
    assert editor.clip == "a" and editor.place == 1 and editor.text.value == "In a at 0, attempt 0."
    editor.sentences.value = 2
    editor.text.value, editor.note.value = "They sit down.", "seen"
    editor.replace.click()
    assert editor.place == 2 and "[replaced] They sit down." in editor.sentences.options[1][0]
    assert "a, sentence 2: replaced" in editor.message.value and "They sit down." in unescape(editor.page.value)
    editor.exclude.click()
    assert "[excluded]" in editor.sentences.options[1][0] and editor.note.value == ""
    editor.restore.click()
    assert editor.text.value == "In a at 1, attempt 0."
    editor.exclude_all.click()
    editor.restore_all.click()
    editor.again.click()
    assert "[to be asked again]" in editor.sentences.options[0][0]
    made = [(line["edit"], line["clip"], line["place"], line["author"]) for line in lines(desk)]
    assert made == [
        ("replace", "a", 1, "kim"),
        ("exclude", "a", 1, "kim"),
        ("restore", "a", 1, "kim"),
        ("exclude", "a", None, "kim"),
        ("restore", "a", None, "kim"),
        ("reask", "a", None, "kim"),
    ]
    assert (
        lines(desk)[0]["text"] == "They sit down." and lines(desk)[0]["note"] == "seen" and "note" not in lines(desk)[1]
    )
    assert {path: path.read_bytes() for path in desk.answers.folder.rglob("answers-*")} == files


def test_what_cannot_be_done_is_said_in_the_window(desk, editor):
    editor.text.value = "  "
    editor.replace.click()
    assert "cannot be used: empty" in editor.message.value and not lines(desk)
    assert "Sentence 1 of" in unescape(editor.message.value), "people count from 1"


def test_one_steps_through_clips_and_flagged_sentences(editor):
    assert [value for _, value in editor.kind.options] == ["suspect"], "an empty list is not offered"
    editor.jump.click()
    assert (editor.clip, editor.place) == ("c", 2) and "suspect, 1 of 2: odd" in editor.message.value
    editor.jump.click()
    assert (editor.clip, editor.place) == ("b", 3) and "<b>" not in editor.message.value
    assert "suspect: says" in unescape(editor.page.value)
    editor.exclude.click()
    assert "suspect: says" not in unescape(editor.page.value), "the remark was about a sentence that is no longer used"
    editor.jump.click()
    assert editor.clip == "c", "after the last comes the first"
    editor.forth.click()
    assert editor.clip == "d"
    editor.search.value = "FIRST"
    assert editor.clips.options == ("a", "c") and editor.clip == "a"
    editor.clips.value = "c"
    assert editor.clip == "c" and editor.text.value == "In c at 0, attempt 0."
    editor.back.click()
    assert editor.clip == "a"
    editor.search.value = "nowhere"
    assert "No clip" in editor.message.value and editor.clip == "a"


def test_a_damaged_picture_does_not_keep_one_from_editing(desk, editor, monkeypatch):
    def broken(name, count):
        raise MissingError("the picture is gone")

    monkeypatch.setattr(desk.pictures, "pictures", broken)
    editor.clips.value = "d"
    assert "the picture is gone" in editor.message.value and editor.text.value == "In d at 0, attempt 0."


def test_a_long_set_is_searched_not_listed(store, monkeypatch, desk):
    monkeypatch.setattr(desk_editor, "MOST_CLIPS", 2)
    editor = desk_editor.Editor(desk)
    assert editor.clips.options == ("a", "b") and "first 2 of 4" in editor.message.value and editor.jump.disabled
    editor.search.value = "second"
    assert editor.clips.options == ("b", "d")


def test_the_editor_is_a_line_where_nobody_can_click(desk, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert "Jupyter" in desk_editor.show_editor(desk)._repr_html_()
    monkeypatch.setenv("JPY_SESSION_NAME", "x")
    assert desk_editor.show_editor(desk, first="c").clip == "c"


def test_tables_say_what_they_count():
    prompts = {"a": ["One.", "Two."], "b": ["Three.", "Four."]}
    doubtful = pd.DataFrame({"clip": ["b"], "place": [2], "sentence": ["Four."], "why": ["odd"]})
    leaking = pd.DataFrame(
        {"clip": ["a", "b"], "place": [1, 2], "sentence": ["One.", "Four."], "class named": ["x", "y"]}
        | {"own class": [True, False]}
    )
    tokens = pd.DataFrame({"min": [1], "median": [2], "max": [90], "cut": [1]}, index=pd.RangeIndex(1, 2, name="place"))
    tokens.attrs |= {"cut": [("a", 2)], "window": 77}
    flagged = desk_tables.flagged(prompts, doubtful, leaking, tokens, doubtful[:0])
    assert flagged["cut"].values.tolist() == [["a", 2, "Two.", "beyond 77 tokens"]]
    assert flagged["names a class"]["why"].tolist() == ["x (its own)", "y (not its own)"]
    assert desk_tables.most_flagged(flagged) == "b"
    empty = {name: table[:0] for name, table in flagged.items()}
    assert desk_tables.most_flagged(empty) == ""
    assert "No sentence is suspect" in desk_tables.suspects(empty["suspect"])._repr_html_()
    assert desk_editor.remarks(flagged)["b"] == {2: ["suspect: odd", "names a class: y (not its own)"]}
    assert "1 sentences of 1 clips are longer than 77 tokens" in desk_tables.token_lengths(tokens).to_html()
    long = pd.DataFrame({"sentence": [f"<i>{k}</i>" for k in range(50)]})
    shown = desk_tables.top(long, "Fifty.").to_html()
    assert "The first 12 of 50 rows" in shown and "&lt;i&gt;11" in shown and "&lt;i&gt;12" not in shown


def test_examples_are_of_the_best_and_the_worst_classes_and_of_their_own_clips():
    by_class = pd.DataFrame({"class": list("wxyz"), "accuracy": [1.0, 0.8, 0.5, 0.1], "clips": 1})
    by_class["most confused with"] = ""
    names, labels = ["w1", "z1", "z2", "x1", "y1"], [0, 3, 3, 1, 2]
    prompts = {name: [f"{name} says."] for name in names}
    shown = desk_tables.class_examples(by_class, prompts, names, labels, list("wxyz"), each=1).data
    assert list(shown.columns) == ["place", "w, 100 % (w1)", "z, 10 % (z1)"]
    assert shown.iloc[0].tolist() == [1, "w1 says.", "z1 says."]
    accuracies = desk_tables.class_accuracies(by_class, each=1).to_html()
    assert "1 best and the 1 worst of 4" in accuracies and "100.0" in accuracies and ">x<" not in accuracies
