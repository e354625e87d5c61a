"""Class-level texts: GAP's forms read for zero-shot classification, and kept out of pre-training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from c2vl_lab.data.readers import nw_ucla
from c2vl_lab.data.readers.ntu_classes import NTU_CLASSES
from c2vl_lab.errors import DataError, MissingError
from c2vl_lab.prompts.class_prompts import class_prompts, class_sentences, load_class_texts
from c2vl_lab.prompts.separation import training_prompts
from c2vl_lab.prompts.store import load_prompts

GAP = Path(__file__).parents[2] / "shared" / "data" / "gap-action-texts"
PARTS = {"a": ["He raises his hand.", "He waits."], "b": ["She crouches.", "She stands."]}
LINES = {
    "sentence.txt": "sit down,The man sits. He is calm.\nwalk,He walks, slowly, ahead.\n",
    "ucla_sentence.txt": "sit down;The man sits. He is calm.\nwalk;He walks, slowly, ahead.",
    "pasta.txt": "sit down;head: stays up; hand rests.\nwalk;head looks ahead; hand swings.",
    "synonym.txt": "sit down,take a seat, be seated\nwalk,stroll, march\n",
    "names.txt": " sit down\n walk\n",
}
WANTED = {
    "sentence.txt": {"sit down": ["The man sits.", "He is calm."], "walk": ["He walks, slowly, ahead."]},
    "ucla_sentence.txt": {"sit down": ["The man sits.", "He is calm."], "walk": ["He walks, slowly, ahead."]},
    "pasta.txt": {"sit down": ["Head stays up.", "Hand rests."], "walk": ["Head looks ahead.", "Hand swings."]},
    "synonym.txt": {
        "sit down": ["A person is doing this: take a seat.", "A person is doing this: be seated."],
        "walk": ["A person is doing this: stroll.", "A person is doing this: march."],
    },
    "names.txt": {"sit down": ["A person is doing this: sit down."], "walk": ["A person is doing this: walk."]},
}


@pytest.mark.parametrize("name", LINES)
def test_each_published_form_is_read(tmp_path, name):
    (tmp_path / name).write_text(LINES[name])
    assert load_class_texts(tmp_path / name) == WANTED[name]
    (tmp_path / "same.json").write_text(json.dumps(WANTED[name]))
    assert load_class_texts(tmp_path / "same.json") == WANTED[name]


@pytest.mark.real
@pytest.mark.skipif(not GAP.is_dir(), reason="the published class descriptions are not here")
def test_the_published_files_fit_the_data_sets_classes():
    ntu, ucla = list(NTU_CLASSES), list(nw_ucla.ACTIONS.values())
    least = {"sentence": 1, "pasta": 6, "synonym": 2}
    for form, count in least.items():
        for classes, path in ((ntu, f"{form}_openai_t01.txt"), (ucla, f"ucla_{form}_openai_t01.txt")):
            table = load_class_texts(GAP / path)
            assert list(table) == classes, path
            assert min(len(sentences) for sentences in table.values()) >= count, path
            assert form != "pasta" or {len(sentences) for sentences in table.values()} == {6}
            asked = class_sentences(classes[:60], GAP / path)
            assert all(set(own) > set(names) for own, names in zip(asked, class_prompts(classes[:60]), strict=True))
            with pytest.raises(DataError, match="these are texts of classes"):
                load_prompts(GAP / path)
    assert list(load_class_texts(GAP / "ntu120_label_map.txt")) == ntu


def test_classes_are_matched_by_their_words(tmp_path):
    (tmp_path / "t.txt").write_text("Sit-Down;The man sits.\nwalk_around;He goes.\n")
    assert class_sentences(["sit_down", "Walk around"], tmp_path / "t.txt")[0][-1] == "The man sits."
    with pytest.raises(DataError, match="no texts for 1 of 2 classes \\(first: 'carry'"):
        class_sentences(["sit_down", "carry"], tmp_path / "t.txt")


def test_damaged_lists_name_file_and_line(tmp_path):
    path = tmp_path / "t.txt"
    with pytest.raises(MissingError, match="No class-level texts at"):
        load_class_texts(path)
    for text, match in (
        ("sit;He sits.\nwalk;\n", r"t\.txt, line 2: wanted a class name and its text, found 'walk'"),
        ("sit;He sits.\nsit;Again.\n", r"t\.txt, line 2: the class 'sit' occurs twice"),
        ("", "holds no class"),
        ('{"sit": [1]}', "class 'sit': wanted a list of sentences"),
        ("{", "not valid JSON"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=match):
            load_class_texts(path)
    path.write_bytes(b"sit;\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        load_class_texts(path)


def allowed(prompts, train=("a",), test=("b",), classes=("raise hand", "crouch"), texts=""):
    return training_prompts(prompts, list(train), list(test), list(classes), "captions=p.json", texts)


def test_only_training_clips_own_sentences_come_through():
    assert allowed(PARTS) == [PARTS["a"]]
    assert allowed({"a": PARTS["a"]}) == [PARTS["a"]]  # the test clips' may be absent
    with pytest.raises(DataError, match=r"1 test clips were asked for as training texts \(first: b\)"):
        allowed(PARTS, train=("a", "b"))


@pytest.mark.parametrize("sentence", ["Raise hand", "crouch!", "A person is doing this: Crouch.", "the knees BEND"])
def test_a_class_level_sentence_is_refused_wherever_it_hides(tmp_path, sentence):
    (tmp_path / "gap.txt").write_text("raise hand;The arm goes up. It stays.\ncrouch;The knees bend.\n")
    with pytest.raises(DataError, match=r"captions=p\.json, clip 'a', sentence 2: .* is a class-level text"):
        allowed(PARTS | {"a": ["He waits.", sentence]}, texts=tmp_path / "gap.txt")
    poisoned = PARTS | {"b": [sentence, sentence]}  # on a test clip it is not looked at
    assert allowed(poisoned, texts=tmp_path / "gap.txt") == [PARTS["a"]]


def test_files_of_classes_are_recognised_by_form_in_place_of_captions(tmp_path):
    for name in ("sentence.txt", "ucla_sentence.txt", "pasta.txt", "synonym.txt"):
        (tmp_path / name).write_text(LINES[name])
        with pytest.raises(DataError, match="give the file as class_texts, not as captions"):
            load_prompts(tmp_path / name)
    by_class = {"Raise_hand": ["The arm goes up."], "crouch": ["The knees bend."]}
    for classes in (("raise hand", "crouch"), NTU_CLASSES):
        table = by_class if classes[0] == "raise hand" else {name: ["He moves."] for name in NTU_CLASSES[:60]}
        with pytest.raises(DataError, match="these are texts of classes"):
            allowed(table)
