"""The store of answers, its edits, questions, and what counts as no answer."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from chat_server import GOOD, Dots, clips

from c2vl_lab.config import to_dict
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.errors import ConfigError, DataError, MissingError, StorageError
from c2vl_lab.prompts.asking.answers import AnswerStore
from c2vl_lab.prompts.asking.captioner import KinematicBackend
from c2vl_lab.prompts.asking.judging import fault_of, tidy
from c2vl_lab.prompts.asking.lines import LineWriter, append_shared, read_lines
from c2vl_lab.prompts.asking.looking import answer_table, edit_table
from c2vl_lab.prompts.asking.protocol import Answer, Sampling
from c2vl_lab.prompts.asking.replay import ReplayBackend
from c2vl_lab.prompts.asking.runner import ask
from c2vl_lab.prompts.asking.series import Record, Series
from c2vl_lab.prompts.asking.templates import QUESTIONS, Question, load_question
from c2vl_lab.prompts.kinematic import caption_store
from c2vl_lab.prompts.store import load_prompts, save_prompts

SHARED = Path(os.environ.get("C2VL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
PAPER = QUESTIONS["paper"]


class Parrot:
    """Answers with the clip, the place and the attempt; ``bad`` says which answers are no good."""

    name, model, revision, looks, sentences = "parrot", "parrot", "1", True, None

    def __init__(self, bad=lambda request: False):
        self.bad, self.settings, self.asked = bad, {}, []

    def ask(self, requests):
        for request in requests:
            self.asked.append((request.clip, request.place, request.attempt))
            good = f"In {request.clip} at {request.place}, attempt {request.attempt}."
            yield Answer(request, "" if self.bad(request) else good)


def told(folder, names=("a", "b"), count=3, backend=None, **more):
    """(outcome, store, backend) after asking."""
    answers, backend = AnswerStore(folder), backend or Parrot()
    return ask(clips(*names), Dots(list(names)), PAPER, backend, answers, count=count, **more), answers, backend


def test_answers_are_lines_that_people_can_read_beside_a_card_that_says_what_they_answer(tmp_path):
    outcome, _, _ = told(tmp_path)
    folder = tmp_path / outcome.series.folder
    card = json.loads((folder / "series.json").read_text())
    assert (card["text"], card["model"], card["pictures"], card["count"]) == (PAPER.text, "parrot", "dots", 3)
    (path,) = folder.glob("answers-*.jsonl")
    first = json.loads(path.read_text().splitlines()[0])
    assert (first["clip"], first["place"], first["text"]) == ("a", 0, "In a at 0, attempt 0.")
    assert len(first["key"]) == 32 and len(first["media"]) == 16 and first["time"].endswith("Z")


def test_a_torn_last_line_is_asked_again_and_other_damage_is_named(tmp_path):
    outcome, _, _ = told(tmp_path)
    (path,) = (tmp_path / outcome.series.folder).glob("answers-*.jsonl")
    path.write_bytes(path.read_bytes()[:-20])  # a power cut in the last of six answers
    again, answers, parrot = told(tmp_path)
    assert parrot.asked == [("b", 2, 0)] and again.complete
    assert len(answers.to_prompts(None, again.series)) == 2
    path.write_text('{"key": 1}\nnot json\n')
    with pytest.raises(DataError, match=r"answers-.*: 2 lines are no answers \(was the file edited"):
        told(tmp_path)


def test_every_part_of_the_key_matters():
    base = Series("q", "1", "What?", (), "server", "m", "r1", {"seed": 0}, "dots", "s", 16)
    key = base.key(0, "media")
    for change in ({"backend": "x"}, {"model": "x"}, {"revision": "x"}, {"settings": {"seed": 1}}, {"text": "Who?"}):
        other = dataclasses.replace(base, **change)
        assert other.key(0, "media") != key and other.id != base.id, change
    assert base.key(0, "other") != key
    renamed = Series(
        **{**{n: getattr(base, n) for n in Series.__dataclass_fields__}, "question": "new", "version": "9"}
    )
    assert renamed.key(0, "media") == key and renamed.id == base.id, "names of things change no answer"


def test_a_whole_number_for_a_temperature_is_the_same_setting():
    assert repr(to_dict(Sampling(temperature=0))) == repr(to_dict(Sampling()))


WRITER = """
import sys
from c2vl_lab.prompts.asking.answers import AnswerStore
from c2vl_lab.prompts.asking.series import Record, Series
series = Series("q", "1", "What?", backend="b", model="m", count=200)
with AnswerStore(sys.argv[1]) as answers:
    for place in range(200):
        answers.add(series, [Record(f"{sys.argv[2]}{place}", sys.argv[2], place, "word " * place + sys.argv[2])])
        answers.edits.add("exclude", series.id, sys.argv[2], place)
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    names = ["x", "y", "z"]
    children = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in names]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    answers = AnswerStore(tmp_path)
    (series,) = answers.all_series()
    assert sorted(answers.clips(series)) == names and answers.missing(series, names) == []
    for name in names:
        texts = [answers.records(series, name, place)[0].text for place in range(200)]
        assert texts == ["word " * place + name for place in range(200)]
        assert all(answers.edits.state(series.id, name, place).kind == "exclude" for place in range(200))
    assert len(list((tmp_path / series.folder).glob("answers-*"))) == 3 and answers.edits.bad == 0


def test_a_store_sees_what_another_process_appends(tmp_path):
    outcome, first, _ = told(tmp_path, names=("a",))
    told(tmp_path, names=("a", "b"))
    assert set(first.to_prompts(None, outcome.series)) == {"a", "b"}


def test_a_full_disk_leaves_no_half_line_and_says_so(tmp_path, monkeypatch):
    writer = LineWriter(tmp_path)
    writer.write([{"n": 1}])
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, block: real(file, block[:5]))
    with pytest.raises(StorageError, match=r"cannot be written \(only 5 of 9 bytes fitted\)"):
        writer.write([{"n": 2}])
    monkeypatch.undo()
    writer.write([{"n": 3}])
    writer.close()
    assert read_lines(writer.path)[0] == [{"n": 1}, {"n": 3}]


def test_an_edit_after_a_torn_line_is_not_lost(tmp_path):
    path = tmp_path / "edits.jsonl"
    path.write_bytes(b'{"edit": "excl')
    append_shared(path, {"edit": "restore"})
    assert read_lines(path)[0] == [{"edit": "restore"}]


def test_edits_are_a_layer_and_can_be_taken_back(tmp_path):
    outcome, answers, _ = told(tmp_path)
    series = outcome.series
    files = {path: path.read_bytes() for path in tmp_path.rglob("answers-*.jsonl")}
    answers.replace(series, "a", 1, "They  drink\nwater.", author="kim", note="seen in the video")
    answers.exclude(series, "a", 2, note="nonsense")
    answers.exclude(series, "b", 0)
    prompts = AnswerStore(tmp_path).to_prompts(["a", "b"], series)
    assert prompts["a"] == ["In a at 0, attempt 0.", "They drink water.", "They drink water."]
    assert prompts["b"] == ["In b at 1, attempt 0."] * 2 + ["In b at 2, attempt 0."]
    table = answer_table(answers, series).set_index(["clip", "place"])
    # a table counts places from 1, calls from 0
    assert table.loc[("a", 2), "status"] == "replaced" and table.loc[("a", 2), "note"] == "kim: seen in the video"
    assert table.loc[("a", 2), "answer"] == "In a at 1, attempt 0." and table.loc[("a", 3), "status"] == "excluded"
    answers.restore(series, "a", None)
    assert answers.to_prompts(["a"], series)["a"] == [f"In a at {place}, attempt 0." for place in range(3)]
    assert {path: path.read_bytes() for path in tmp_path.rglob("answers-*.jsonl")} == files, "answers never change"
    answers.exclude(series, "b", None)
    with pytest.raises(MissingError, match="all its sentences are excluded"):
        answers.to_prompts(["b"], series)
    for call, words in (
        (lambda: answers.exclude(series, "zzz", 0), "no answer about a clip 'zzz'"),
        (lambda: answers.exclude(series, "a", 3), "places 0 to 2, found 3"),
        (lambda: answers.replace(series, "a", 0, " "), "cannot be used: empty"),
    ):
        with pytest.raises(ConfigError, match=words):
            call()


def test_marked_clips_are_asked_again_with_another_attempt_and_others_are_not(tmp_path):
    outcome, answers, _ = told(tmp_path)
    answers.exclude(outcome.series, "a", 0)
    answers.reask(outcome.series, ["a"], author="kim")
    assert [(clip, place) for clip, place, _ in answers.missing(outcome.series, ["a", "b"])] == [
        ("a", 0),
        ("a", 1),
        ("a", 2),
    ]
    again, answers, parrot = told(tmp_path)
    assert parrot.asked == [("a", 0, 1), ("a", 1, 1), ("a", 2, 1)] and again.complete
    assert answers.to_prompts(["a"], again.series)["a"][0] == "In a at 0, attempt 1."
    assert answer_table(answers, again.series)["status"].unique().tolist() == ["answered"]
    assert told(tmp_path)[2].asked == []


def test_a_mark_to_ask_again_is_taken_back_until_a_new_answer_is_there(tmp_path):
    outcome, answers, _ = told(tmp_path)
    series = outcome.series

    def waiting() -> list[tuple[str, int]]:
        return [(clip, place) for clip, place, _ in AnswerStore(tmp_path).missing(series, ["a", "b"])]

    answers.reask(series, ["a", "b"])
    answers.restore(series, "a", 1)
    assert waiting() == [("a", 0), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]
    answers.restore(series, "b", None)
    answers.restore(series, "a", None)
    assert not waiting() and told(tmp_path)[2].asked == []
    assert answers.to_prompts(["a"], series)["a"] == [f"In a at {place}, attempt 0." for place in range(3)]
    answers.reask(series, ["a"])
    assert told(tmp_path)[2].asked == [("a", 0, 1), ("a", 1, 1), ("a", 2, 1)]
    answers.replace(series, "a", 0, "Mine.")
    answers.restore(series, "a", None)
    new = [f"In a at {place}, attempt 1." for place in range(3)]
    assert answers.to_prompts(["a"], series)["a"] == new, "the poor answer does not come back"
    answers.reask(series, ["a"])
    answers.restore(series, "a", None)
    assert answers.to_prompts(["a"], series)["a"] == new, "the last one that was good"


def test_edits_are_listed_in_the_order_in_which_they_were_made(tmp_path):
    outcome, answers, _ = told(tmp_path)
    for clip, place in (("a", 0), ("b", 1), ("a", 2)):
        answers.exclude(outcome.series, clip, place)
    table = edit_table(AnswerStore(tmp_path), outcome.series)
    assert table[["clip", "place"]].values.tolist() == [["a", 1], ["b", 2], ["a", 3]]


def test_a_replacement_without_its_text_is_no_edit(tmp_path):
    outcome, answers, _ = told(tmp_path)
    answers.edits.add("replace", outcome.series.id, "a", 0)
    assert answers.to_prompts(["a"], outcome.series)["a"][0] == "In a at 0, attempt 0." and answers.edits.bad == 1


def test_importing_again_adds_nothing_also_where_sentences_are_to_be_asked_again(tmp_path):
    (tmp_path / "in.json").write_text('{"a": ["One.", "Two."]}')
    answers = AnswerStore(tmp_path / "answers")
    series = answers.import_prompts(tmp_path / "in.json")
    answers.reask(series, ["a"])
    assert answers.import_prompts(tmp_path / "in.json") == series
    assert [len(answers.records(series, "a", place)) for place in (0, 1)] == [1, 1]


def test_missing_answers_are_named_and_may_be_stood_for_only_on_request(tmp_path):
    bad = Parrot(lambda request: request.place == 1)
    outcome, answers, _ = told(tmp_path, backend=bad, attempts=2)
    assert outcome.missing == [(name, 1, "rejected 2 times, at last: empty") for name in "ab"]
    with pytest.raises(MissingError, match="2 sentences of 2 clips are missing"):
        answers.to_prompts(None, outcome.series)
    filled = answers.to_prompts(None, outcome.series, at_least=2)["b"]
    assert filled == ["In b at 0, attempt 0.", "In b at 0, attempt 0.", "In b at 2, attempt 0."]
    with pytest.raises(MissingError, match="not answered"):
        answers.to_prompts(["a", "elsewhere"], outcome.series, at_least=3)
    assert told(tmp_path, backend=Parrot(), attempts=3)[0].complete, "a raised limit asks again"


def test_a_clip_without_pictures_or_with_damaged_ones_is_missing_and_the_others_are_asked(tmp_path):
    class Some(Dots):
        def pictures(self, name, count):
            if name == "b":
                raise DataError("b.avi: cut off")
            return super().pictures(name, count)

    parrot = Parrot()
    answers = AnswerStore(tmp_path)
    outcome = ask(clips("a", "b", "c"), Some(["a", "b"]), PAPER, parrot, answers, count=1)
    assert parrot.asked == [("a", 0, 0)]
    assert outcome.missing == [
        ("b", 0, "its pictures cannot be had: b.avi: cut off"),
        ("c", 0, "there are no dots pictures of this clip"),
    ]


def test_pictures_of_answered_clips_are_not_made_again(tmp_path):
    told(tmp_path)
    source = Dots(["a", "b", "c"])
    ask(clips("a", "b", "c"), source, PAPER, Parrot(), AnswerStore(tmp_path), count=3)
    assert source.made == ["c"]


def test_series_are_found_by_what_they_are(tmp_path):
    outcome, answers, _ = told(tmp_path)
    told(tmp_path, count=2)
    assert answers.find(count=3) == outcome.series and answers.find(id=outcome.series.id) == outcome.series
    with pytest.raises(ConfigError, match="2 series agree with model='parrot'; name one by id="):
        answers.find(model="parrot")
    with pytest.raises(MissingError, match="no answers with model='x'"):
        answers.find(model="x")
    with pytest.raises(ConfigError, match="Did you mean 'model'"):
        answers.find(modle="x")


def test_prompts_files_come_in_and_go_out_unchanged(tmp_path):
    prompts = {"b": ["One thing.", "Another."], "a": ["Straße für 人.", "x y z"]}
    save_prompts(tmp_path / "in.json", prompts)
    answers = AnswerStore(tmp_path / "answers")
    series = answers.import_prompts(tmp_path / "in.json")
    assert answers.import_prompts(tmp_path / "in.json") == series, "importing again adds nothing"
    assert answers.export_prompts(tmp_path / "out.json", series) == 2
    assert (tmp_path / "out.json").read_bytes() == (tmp_path / "in.json").read_bytes()
    assert len(answers.records(series, "a", 0)) == 1


@pytest.mark.real
def test_the_authors_sentences_come_in_and_nearly_none_would_be_rejected(tmp_path):
    path = SHARED / "c2vl-pku-captions" / "pkuv2_language.zip"
    if not path.is_file():
        pytest.skip("no ../shared/data")
    answers = AnswerStore(tmp_path)
    series = answers.import_prompts(path)
    prompts = AnswerStore(tmp_path).to_prompts(None, series)
    texts = [text for texts in prompts.values() for text in texts]
    assert len(prompts) == 6952 and len(texts) == 111_232
    released = load_prompts(path)
    assert prompts == {name: [tidy(text) for text in released[name]] for name in released}
    faults = [text for text in texts if fault_of(text)]
    assert len(faults) < 20, faults[:20]


def test_replay_and_the_captioner_answer_without_pictures(tmp_path):
    store = open_dataset("generated", work_dir=tmp_path / "work", performers=1)
    answers = AnswerStore(tmp_path / "answers")
    outcome = ask(store, None, PAPER, KinematicBackend(store), answers)
    prompts = answers.to_prompts(store.names, outcome.series)
    assert outcome.complete and prompts == caption_store(store)
    save_prompts(tmp_path / "some.json", {name: prompts[name] for name in store.names[1:]})
    replayed = ask(store, None, PAPER, ReplayBackend(tmp_path / "some.json"), answers)
    assert replayed.asked == 16 * (len(store) - 1)
    assert replayed.missing == [(store.names[0], p, "some.json has no sentences for this clip") for p in range(16)]
    with pytest.raises(ConfigError, match="gives 16 sentences a clip, not 4"):
        ask(store, None, PAPER, KinematicBackend(store), answers, count=4)
    with pytest.raises(ConfigError, match="parrot looks at pictures"):
        ask(store, None, PAPER, Parrot(), answers)
    with pytest.raises(ConfigError, match="has no clip 'nobody'"):
        ask(store, None, PAPER, KinematicBackend(store), answers, names=["nobody"])


@pytest.mark.parametrize(
    ("text", "finish", "fault"),
    [
        (GOOD, "stop", ""),
        ("He is holding a phone. No, he is not. He is standing.", "stop", ""),
        ("The person cannot reach the shelf and is sorry.", "stop", ""),
        ("Yes", "stop", ""),
        ("他在喝水。", "stop", ""),
        ("<think>Let me see</think> She sits.", "stop", ""),
        ("", "stop", "empty"),
        (" \n ", "stop", "empty"),
        ("<think>Let me see", "stop", "empty"),
        (GOOD, "length", "cut: the model reached its limit of tokens"),
        ("The person", "content_filter", "refused"),
        ("12 / 7 ...", "stop", "nonsense: no letters"),
        ("a hand \ufffd\ufffd", "stop", "nonsense: broken characters"),
        ("a hand \ud83d", "stop", "nonsense: broken characters"),
        ("I cannot see a person in this image.", "stop", "refused"),
        ("I’m sorry, but I can't help with that.", "stop", "refused"),
        ("Sorry, I can't tell.", "stop", "refused"),
        ("As an AI language model, I have no eyes.", "stop", "refused"),
        ("hand hand hand hand hand hand", "stop", "nonsense: repeats itself"),
        ("aaaaaaaaaaaaaaaaaaaaa", "stop", "nonsense: repeats itself"),
        ("he holds a cup and " * 8, "stop", "nonsense: repeats itself"),
    ],
)
def test_what_counts_as_no_answer(text, finish, fault):
    assert fault_of(text, finish) == fault


def test_questions_are_built_in_or_come_from_a_file(tmp_path):
    assert load_question("three-part").text.startswith("Is he/she holding something in the hand? Is he/she standing")
    parts = load_question("body-parts")
    assert "head" in parts.at(0) and "legs" in parts.at(3) and parts.at(4) == parts.at(0)
    (tmp_path / "q.yml").write_text("name: mine\nversion: 2\ntext: 'What of the {part}?'\nparts: [hand, foot]\n")
    assert load_question(str(tmp_path / "q.yml")) == Question("mine", "2", "What of the {part}?", ("hand", "foot"))
    (tmp_path / "q.txt").write_text("Who is it?\n")
    assert (load_question(str(tmp_path / "q.txt")).name, load_question(str(tmp_path / "q.txt")).text) == (
        "q",
        "Who is it?",
    )
    with pytest.raises(ConfigError, match="Did you mean 'paper'"):
        load_question("papper")
    with pytest.raises(MissingError, match="no question file"):
        load_question(str(tmp_path / "absent.yml"))
    (tmp_path / "q.yml").write_text("[1, 2]")
    with pytest.raises(ConfigError, match="wanted name, version and text, found list"):
        load_question(str(tmp_path / "q.yml"))
    with pytest.raises(ConfigError, match=r"with \{part\} wants parts"):
        Question("x", "1", "What of the {part}?")
    with pytest.raises(ConfigError, match=r"\{name\} would be sent to the model as it stands"):
        Question("x", "1", "What does {name} do?")
    Question("x", "1", 'Answer as {"action": ...}.')


def test_a_record_survives_the_way_to_the_disk(tmp_path):
    series = Series("q", "1", "What?", backend="b", model="m", count=1)
    record = Record("k", "clip", 0, 'a "quote", a \u2028 line and \ud800 half a sign', time="t")
    with AnswerStore(tmp_path) as answers:
        answers.add(series, [record])
    (kept,) = AnswerStore(tmp_path).records(series, "clip", 0)
    assert kept == record._replace(text='a "quote", a \u2028 line and ? half a sign')
