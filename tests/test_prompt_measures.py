"""The measures of the prompts see the defects that they are for, and no others."""

from __future__ import annotations

import pytest

from c2vl_lab.data.generated import GeneratedConfig, generate
from c2vl_lab.data.layouts import KINECT20, NTU25
from c2vl_lab.data.readers.pku_classes import PKU_CLASSES
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.prompts.kinematic import caption_clip
from c2vl_lab.prompts.leakage import label_leaks, leaks_by_class
from c2vl_lab.prompts.naming import named_objects, suspects
from c2vl_lab.prompts.nouns import objects_in
from c2vl_lab.prompts.quality import duplicates, lengths, prompt_quality, token_counts
from c2vl_lab.prompts.stems import stem


def affirmed(sentence: str) -> list[str]:
    return [one.object for one in objects_in(sentence) if not one.denied]


# ---- duplicates and lengths


def test_duplicates_are_counted_by_sentence_clip_and_place():
    prompts = {"a": ["He sits.", "He sits."], "b": ["He stands.", "He sits."], "c": ["He stands.", "He sits."]}
    table = duplicates(prompts, ["a", "b", "c"])
    assert table.to_dict("records") == [
        {"sentence": "He sits.", "count": 4, "clips": 3, "places": 2},
        {"sentence": "He stands.", "count": 2, "clips": 2, "places": 1},
    ]
    assert table.attrs["same_list"] == pytest.approx(2 / 3)
    assert table.attrs["repeated"] == 1
    assert table.attrs["distinct_per_clip"] == pytest.approx(5 / 3)
    alone = duplicates(prompts, ["b"])
    assert alone.empty
    assert list(alone.columns) == ["sentence", "count", "clips", "places"]
    assert alone.attrs["same_list"] == 0


def test_the_list_of_another_order_is_not_the_same_list():
    prompts = {"a": ["He sits.", "He stands."], "b": ["He stands.", "He sits."]}
    assert duplicates(prompts, ["a", "b"]).attrs["same_list"] == 0


def test_a_sentence_is_cut_from_token_78_on():
    """75 words of one token each and the two marks fill the window of 77; one word more loses one."""
    prompts = {"fits": ["Yes.", "a " * 75], "cut": ["Yes.", "a " * 76]}
    table = lengths(prompts, ["fits", "cut"])
    assert table.loc[2].to_dict() == {"min": 77, "median": 77, "max": 78, "cut": 1}
    assert table.loc[1].to_dict() == {"min": 4, "median": 4, "max": 4, "cut": 0}
    assert table.attrs["cut"] == [("cut", 2)]
    assert lengths(prompts, ["fits", "cut"], window=78)["cut"].sum() == 0
    assert lengths(prompts, ["fits", "cut"], window=3).attrs["cut"] == [(c, p) for c in prompts for p in (1, 2)]
    with pytest.raises(ConfigError, match="window=2"):
        lengths(prompts, ["fits"], window=2)


def test_a_sentence_that_names_two_classes_is_one_sentence_that_leaks():
    table = label_leaks({"a": ["He sits down and drinks water.", "He rests."]}, ["a"], [0], ["drink water", "sit down"])
    assert len(table) == 2 and table.attrs == {"share": 0.5, "own_share": 0.5}


def test_of_no_clips_there_is_nothing_to_tell():
    prompts = {"a": ["He holds a cup."]}
    for measure in (prompt_quality, duplicates, lengths, named_objects, suspects):
        assert measure(prompts, []).empty
    assert label_leaks(prompts, [], [], ["drink"]).empty and lengths(prompts, []).attrs["cut"] == []


def test_tokens_are_those_of_clips_own_tokenizer():
    """Also where a text is taken past the tokenizer's slow mending of texts."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    sentences = {
        "The person is holding a cell phone; it isn't theirs: they've 12 of them!!",
        "  Two   blanks, a counter-clockwise half-turn (very fast)...  ",
        "salt &amp; pepper, <start_of_text> in the middle",
        "Ma\u00f1ana: \u201ccurly quotes\u201d and \u4e2d\u6587 and an emoji \U0001f600",
        "Mojibake: cafÃ© and a line\nbreak",
        "Supercalifragilisticexpialidocious handstand-push-ups",
    }
    assert token_counts(sentences) == {s: len(tokenizer.encode(s)) + 2 for s in sentences}


# ---- named objects


@pytest.mark.parametrize(
    ("sentence", "objects"),
    [
        ("The person is holding a cell phone in their hand.", ["cell phone"]),
        ("He holds two large blue cups and wears white shorts.", ["cup", "shorts"]),
        ("She is sitting on a chair, using a Wii remote to play a video game.", ["chair", "wii remote", "video game"]),
        ("He is holding a remote control in his right hand.", ["remote control"]),
        ("The woman is wearing glasses and holding scissors.", ["glasses", "scissors"]),
        ("She is wearing blue and white striped pants, black shoes, and a hat.", ["pants", "shoe", "hat"]),
        ("He is wearing a white shirt and blue shorts and standing, possibly dancing.", ["shirt", "shorts"]),
        ("A pair of shoes lies near the child's toothbrush.", ["shoe", "toothbrush"]),
        ("He is holding a piece of paper and a tennis racket.", ["paper", "tennis racket"]),
        ("The person's left arm moves up and the feet pass each other on the floor.", []),
        ("The man is standing in the middle of a room and looks to the left.", []),
        ("He is in the process of doing a funny dance move for fitness and communication.", []),
        ("In this short and fast movement the right leg and the left arm move most.", []),
        ("The right knee lifts high once, the trunk leans far forward.", []),
    ],
)
def test_objects_are_things_not_bodies_places_or_ideas(sentence, objects):
    assert affirmed(sentence) == objects


def test_what_a_clause_denies_is_not_named():
    text = "He is not holding a cup, but there is a laptop on a desk. There is no chair."
    assert affirmed(text) == ["laptop", "desk"]
    assert [one.object for one in objects_in(text) if one.denied] == ["cup", "chair"]
    assert affirmed("No, the person is holding a cup.") == ["cup"]  # the "no" answers a question


def test_table_of_objects_counts_sentences_clips_and_classes():
    prompts = {
        "a": ["He holds a cup and another cup.", "He holds two cups."],
        "b": ["He holds a pen.", "He sits at a cup."],
        "c": ["He stands.", "He holds no cup."],
    }
    table = named_objects(prompts, list(prompts), [0, 0, 1], ["drink", "write"])
    assert table.iloc[0].to_dict() == {
        "object": "cup",
        "sentences": 3,
        "clips": 2,
        "share of clips": pytest.approx(2 / 3),
        "commonest class": "drink",
        "share in class": 1.0,
    }
    assert list(table["object"]) == ["cup", "pen"]
    assert list(named_objects(prompts, ["c"]).columns) == ["object", "sentences", "clips", "share of clips"]
    assert named_objects(prompts, ["c"]).empty
    with pytest.raises(DataError, match="2 labels for 3 clips"):
        named_objects(prompts, list(prompts), [0, 0], ["drink", "write"])


# ---- suspects


def why(*sentences: str) -> dict[int, str]:
    table = suspects({"clip": list(sentences)}, ["clip"])
    assert list(table.columns) == ["clip", "place", "sentence", "why"]
    return dict(zip(table["place"], table["why"], strict=True))


PHONE = "He is standing and holding a cell phone in his hand."


def test_an_object_that_one_sentence_names_against_the_others_is_suspect():
    found = why(PHONE, PHONE, "He is standing and holding a guitar.", PHONE)
    assert list(found) == [3]
    assert "alone names 'guitar', 3 of 3 others name 'cell phone'" in found[3]


def test_a_shorter_name_of_the_same_thing_is_no_suspect():
    assert why(PHONE, PHONE, "He is standing and holding a phone.", PHONE) == {}
    assert why(*["He holds a remote control."] * 3, "He holds a controller.") == {}
    assert why(*["He is holding a glass."] * 3, "He is holding a glass of water.") == {}
    assert why(*["He is standing on a skateboard."] * 3, "He is standing on a board.") == {}


def test_objects_on_which_nobody_agrees_are_no_suspects():
    things = ("cup", "guitar", "hat", "book", "towel", "frisbee")
    assert why(*[f"He is holding a {thing}." for thing in things]) == {}


def test_who_denies_is_heard_against_the_one_who_names():
    found = why(*["He is standing. He is not holding anything."] * 5, "He is standing and holding a cup.")
    assert "says holding something, 5 of 6 sentences say holding nothing" in found[6]
    assert "5 of 5 others say that nothing is held" in found[6]
    assert why(*[PHONE] * 5, "He is standing. He is not holding any other objects.") == {}


def test_what_is_used_or_worn_is_not_in_the_hand():
    assert why("A man is not holding anything. He is using a laptop and wearing a hat.") == {}
    both = why("A man is holding a cup. He is not holding anything in his hand.")
    assert both == {1: "says both holding 'cup' and holding nothing"}


def test_few_against_many_are_suspect_but_an_even_split_is_not():
    found = why(*["He is standing."] * 4, "He is sitting.")
    assert found == {5: "says sitting, 4 of 5 sentences say standing"}
    assert why(*["He is standing."] * 4, *["He is sitting."] * 3) == {}
    assert why(*["He is standing."] * 4, "He is not sitting.", "He may be sitting or standing.") == {}
    several = why(*["A man walks."] * 4, "Two people are walking.")
    assert several == {5: "says there are several people, 4 of 5 sentences say there is one person"}


def test_a_sentence_against_itself_is_suspect_unless_it_tells_a_change():
    assert why("The man is standing. He is sitting on a chair.") == {1: "says both sitting and standing"}
    assert why("The man is standing at the start and then sitting on a chair.") == {}
    assert why("The man is sitting while the woman is standing.") == {}


@pytest.mark.parametrize(
    "sentence",
    [
        "I'm sorry, but as an AI I am not able to help.",
        "I cannot see a person here.",
        "The image is too blurry to say more.",
        "It is not possible to determine what the person does.",
        "Yes",
    ],
)
def test_what_is_no_answer_is_suspect(sentence):
    assert list(why("A man walks slowly.", sentence)) == [2]


def test_the_worst_comes_first():
    prompts = {"a": ["He is standing."] * 4 + ["He is sitting."], "b": ["As an AI, I see nothing."] * 5}
    assert suspects(prompts, ["a", "b"])["clip"].tolist() == ["b"] * 5 + ["a"]


def test_measured_sentences_raise_no_false_alarm():
    """The kinematic captions tell what changes in a clip; that is no contradiction, and no object is in it."""
    clips = generate(GeneratedConfig(performers=1, frames_max=60))
    prompts = {
        clip.name: caption_clip(clip.xyz, clip.present, NTU25 if clips[0].xyz.shape[2] == 25 else KINECT20)
        for clip in clips
    }
    assert suspects(prompts, list(prompts)).empty
    assert named_objects(prompts, list(prompts)).empty


# ---- leaks


def test_stems_join_the_forms_of_a_word_and_keep_words_apart():
    for forms in (
        "wave waves waving waved",
        "clap claps clapping clapped",
        "carry carries carrying carried",
        "throw throws throwing threw thrown",
        "brush brushes brushing brushed",
        "write writes writing wrote written",
        "read reads reading",
        "dance dances dancing danced",
        "shake shakes shaking shook",
        "tooth teeth",
    ):
        assert len({stem(form) for form in forms.split()}) == 1, forms
    assert len({stem(word) for word in ("hop", "hope", "bow", "bowl", "ring", "read", "red", "sit", "site")}) == 9


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hand waving", "He waves his right hand."),
        ("hand_waving", "She is waving with one hand."),
        ("brushing teeth", "He brushed his teeth."),
        ("put on a hat/cap", "They put the cap on."),
        ("check time (from watch)", "She is checking the time."),
        ("make a phone call/answer phone", "He answers the phone."),
        ("make a phone call/answer phone", "She is making a phone call."),
        ("throw", "A ball is thrown."),
        ("kicking other person", "He kicks another person."),
    ],
)
def test_a_class_name_is_found_inflected_and_in_other_order(name, sentence):
    table = label_leaks({"a": ["He stands.", sentence]}, ["a"], [1], ["sit", name])
    assert table.to_dict("records") == [
        {"clip": "a", "place": 2, "sentence": sentence, "class named": name, "own class": True}
    ]
    assert table.attrs == {"share": 0.5, "own_share": 0.5}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hand waving", "His hand is up. The sea has waves."),
        ("hand waving", "The hand goes up, the other arm is still and then something else far away waves."),
        ("read", "He wears a red shirt and is ready."),
        ("bow", "He holds a bowl."),
        ("hopping (one foot jumping)", "She dances hip-hop with one foot up."),
        ("throw", "He goes through the room."),
        ("put on a hat/cap", "He puts the cup down."),
    ],
)
def test_unrelated_words_name_no_class(name, sentence):
    assert label_leaks({"a": [sentence]}, ["a"], [0], [name]).empty


def test_own_classes_come_first_and_are_set_against_chance():
    classes = ["reading", "writing"]
    prompts = {"r1": ["He writes.", "He sits."], "r2": ["She reads.", "He sits."], "w": ["He writes.", "He sits."]}
    table = label_leaks(prompts, list(prompts), [0, 0, 1], classes)
    assert table[["clip", "own class"]].values.tolist() == [["r2", True], ["w", True], ["r1", False]]
    assert (table.attrs["share"], table.attrs["own_share"]) == (0.5, pytest.approx(1 / 3))
    rows = leaks_by_class(table, [0, 0, 1], list(prompts), classes).set_index("class").to_dict("index")
    assert rows["writing"] == {"sentences": 2, "own class": 0.5, "chance": pytest.approx(1 / 3)}
    assert rows["reading"] == {"sentences": 1, "own class": 1.0, "chance": pytest.approx(2 / 3)}


def test_labels_must_fit():
    with pytest.raises(DataError, match="1 labels for 2 clips"):
        label_leaks({"a": ["x"], "b": ["x"]}, ["a", "b"], [0], ["throw"])
    with pytest.raises(DataError, match="Labels go from 0 to 1, but there are 1 classes"):
        label_leaks({"a": ["x"], "b": ["x"]}, ["a", "b"], [0, 1], ["throw"])
    with pytest.raises(MissingError):
        suspects({"a": ["x"]}, ["b"])


def test_every_class_of_pku_is_found_in_its_own_name():
    prompts = {name: [f"The person: {name.split('(')[0].replace('/', ' ')}."] for name in PKU_CLASSES}
    table = label_leaks(prompts, list(prompts), list(range(len(PKU_CLASSES))), list(PKU_CLASSES))
    assert set(table.loc[table["own class"], "class named"]) == set(PKU_CLASSES)
