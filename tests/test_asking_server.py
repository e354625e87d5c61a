"""Asking a server that refuses, stalls, cuts, lies and dies: all is answered in the end, or it is known what is not."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from chat_server import GOOD, ChatServer, Dots, clips

from c2vl_lab.errors import ConfigError, MissingError
from c2vl_lab.prompts.asking.answers import AnswerStore
from c2vl_lab.prompts.asking.protocol import Sampling
from c2vl_lab.prompts.asking.runner import ask
from c2vl_lab.prompts.asking.server import ServerBackend, _retry_after
from c2vl_lab.prompts.asking.templates import QUESTIONS, Question

NAMES = ["a", "b", "c", "d", "e"]
PAPER = QUESTIONS["paper"]


def backend(server, **more):
    """A backend with a test's patience."""
    return ServerBackend(server.url, **{"model": "tiny", "first_wait": 0.01, "timeout": 20.0, **more})


def run(server, folder, names=NAMES, count=4, question=PAPER, source=None, **more):
    """Ask, and the store afterwards."""
    options = {key: more.pop(key) for key in ("concurrency", "tries", "sampling", "timeout") if key in more}
    answers = AnswerStore(folder)
    outcome = ask(
        clips(*names), source or Dots(names), question, backend(server, **options), answers, count=count, **more
    )
    return outcome, answers


def test_a_good_server_is_asked_once_a_picture_with_the_question_and_the_picture(tmp_path):
    with ChatServer(lambda n, _: "slow") as server:
        outcome, answers = run(server, tmp_path, concurrency=3)
    assert outcome.complete and outcome.asked == outcome.wanted == 20
    assert Counter(server.answered("slow")).most_common(1)[0][1] == 1 and len(server.requests) == 20
    assert answers.to_prompts(NAMES, outcome.series) == {name: [GOOD] * 4 for name in NAMES}
    assert 0.1 <= answers.records(outcome.series, "a", 0)[0].seconds < 20
    sent = server.requests[0]
    picture, text = sent["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is the person trying to do?"}
    assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")
    assert (sent["model"], sent["temperature"], sent["seed"], sent["max_tokens"]) == ("tiny", 0.0, 0, 128)
    assert 2 <= server.most_open <= 3, "requests overlap, and no more than asked for"


TROUBLE = ("busy", "later", "broken", "reset", "torn", "html", "stall", "drip", "empty", "cut", "nonsense", "refusal")


def test_a_fifth_of_all_calls_going_wrong_in_every_way_still_ends_complete(tmp_path):
    """Every fifth call fares badly, each time in another way."""
    with ChatServer(lambda n, _: TROUBLE[(n // 5) % len(TROUBLE)] if n % 5 == 0 else "ok") as server:
        server.stall = 6.0  # longer than is waited, which is long enough for a good answer of a busy machine
        names = [f"clip{i}" for i in range(24)]
        outcome, answers = run(server, tmp_path, names, concurrency=8, tries=3, attempts=5, timeout=4.0)
    assert outcome.complete, outcome.missing
    assert set(Counter(server.answered()).values()) == {1}, "a good answer is never asked for again"
    assert {request["how"] for request in server.requests} == {"ok", *TROUBLE}
    assert outcome.rejected == sum(r["how"] in ("empty", "cut", "nonsense", "refusal") for r in server.requests)
    texts = {text for texts in answers.to_prompts(names, outcome.series).values() for text in texts}
    assert texts == {GOOD}


def test_what_stays_bad_is_listed_exactly_with_the_reason(tmp_path):
    fates = ("ok", "empty", "signs", "broken", "bad")
    shown = {}  # picture -> fate: pictures fare the same each time

    def behave(_, request):
        url = request["messages"][0]["content"][0]["image_url"]["url"]
        return shown.setdefault(url, fates[len(shown) % 5])

    with ChatServer(behave) as server:
        outcome, answers = run(server, tmp_path, ["a"], count=5, concurrency=1, tries=2, attempts=2)
        assert [(clip, place) for clip, place, _ in outcome.missing] == [("a", 1), ("a", 2), ("a", 3), ("a", 4)]
        reasons = [reason for _, _, reason in outcome.missing]
        assert reasons[0] == "rejected 2 times, at last: empty"
        assert reasons[1] == "rejected 2 times, at last: nonsense: no letters"
        assert reasons[2].startswith("HTTP 500") and reasons[3].startswith("HTTP 400")
        counts = Counter(request["how"] for request in server.requests)
        assert counts == {"ok": 1, "empty": 2, "signs": 2, "broken": 4, "bad": 2}
        with pytest.raises(MissingError, match=r"4 sentences of 1 clips are missing .*sentence 2: rejected 2 times"):
            answers.to_prompts(["a"], outcome.series)
        assert answers.to_prompts(["a"], outcome.series, at_least=1) == {"a": [GOOD] * 5}
        # later: the limit holds for rejected answers, also after a restart; failures are asked again
        before = len(server.requests)
        run(server, tmp_path, ["a"], count=5, concurrency=1, tries=1, attempts=2)
        assert Counter(r["how"] for r in server.requests[before:]) == {"broken": 2, "bad": 2}


def test_a_bad_answer_is_asked_again_with_another_seed_some_temperature_and_more_room(tmp_path):
    with ChatServer(lambda n, _: ("cut", "ok")[n]) as server:
        outcome, answers = run(server, tmp_path, ["a"], count=1, sampling=Sampling(max_tokens=40, seed=7))
    first, second = server.requests
    assert (first["seed"], first["temperature"], first["max_tokens"]) == (7, 0.0, 40)
    assert (second["seed"], second["temperature"], second["max_tokens"]) == (8, 0.7, 80)
    kept = answers.records(outcome.series, "a", 0)
    assert [(r.attempt, r.rejected[:3], r.finish) for r in kept] == [(0, "cut", "length"), (1, "", "stop")]


def test_retry_after_is_obeyed(tmp_path):
    with ChatServer(lambda n, _: ("later", "ok")[n]) as server:
        outcome, _ = run(server, tmp_path, ["a"], count=1)
    first, second = server.requests
    assert outcome.complete and second["when"] - first["when"] >= 0.4
    assert _retry_after("120") == 120.0 and _retry_after("soon") is None and _retry_after("") is None
    assert 50 < _retry_after(time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 60))) < 61


def test_an_answer_that_comes_drop_by_drop_is_not_waited_for(tmp_path):
    with ChatServer(lambda n, _: "drip" if n == 0 else "ok") as server:
        outcome, _ = run(server, tmp_path, ["a"], count=1, timeout=0.5)
    assert outcome.complete and len(server.requests) >= 2  # more where a good one takes half a second too


def test_waiting_grows_and_has_chance_in_it():
    waits = [ServerBackend("http://localhost:1/v1", "m", first_wait=1.0)._pause(n, None) for n in (0, 3, 20)]
    assert 0.1 <= waits[0] <= 1.0 and 0.8 <= waits[1] <= 8.0 and 30 <= waits[2] <= 300
    assert len({ServerBackend("http://localhost:1/v1", "m")._pause(3, None) for _ in range(4)}) > 1


def test_a_server_that_dies_ends_the_run_and_the_next_run_asks_only_the_rest(tmp_path):
    with ChatServer(lambda n, _: "ok" if n < 7 else "reset") as server:
        outcome, _ = run(server, tmp_path, concurrency=1, tries=2, patience=3)
        assert len(server.requests) <= 7 + 2 * (3 + 1), "it is not asked for ever"
        assert len(outcome.missing) == 13
        assert "ReadError" in outcome.missing[0][2] or "RemoteProtocolError" in outcome.missing[0][2]
        assert outcome.missing[-1] == ("e", 3, "not asked: 3 requests in a row had failed")
        before = server.answered()
        server.behave = lambda n, _: "ok"
        again, _ = run(server, tmp_path)
        assert again.complete and again.asked == 13 and set(Counter(server.answered()).values()) == {1}
        assert len(before) == 7


def test_a_wrong_key_stops_at_once_and_the_right_one_is_sent_but_never_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("C2VL_API_KEY", "sesame-123")
    server = ChatServer(lambda n, _: "forbidden")
    with server, pytest.raises(ConfigError, match=r"to answer for the model 'tiny' \(HTTP 401.*C2VL_API_KEY"):
        run(server, tmp_path, concurrency=2)
    assert len(server.requests) <= 4
    with ChatServer() as server:
        run(server, tmp_path, ["a"], concurrency=1)
    assert server.requests[0]["key"] == "Bearer sesame-123"
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.json*"))
    assert kept.count(GOOD) == 4 and "sesame" not in kept and server.url not in kept


def test_a_gateway_that_hiccups_after_many_answers_does_not_end_the_run(tmp_path):
    with ChatServer(lambda n, _: "forbidden" if n == 5 else "ok") as server:
        outcome, _ = run(server, tmp_path)
    assert outcome.complete and len(server.requests) == 21


def test_the_model_is_found_out_where_there_is_only_one():
    with ChatServer() as server:
        assert backend(server, model="").model == "tiny"
    with ChatServer(models=("x", "y")) as server, pytest.raises(ConfigError, match="serves 2 models, name one: x, y"):
        backend(server, model="")
    with pytest.raises(MissingError, match="Is the server running"):
        ServerBackend("http://127.0.0.1:9/v1", timeout=1.0)
    with pytest.raises(ConfigError, match="named like http://localhost:8000/v1, found 'localhost:8000'"):
        ServerBackend("localhost:8000", "m")


def test_equal_pictures_are_asked_about_once_and_other_sources_share_answers(tmp_path):
    with ChatServer() as server:
        outcome, _ = run(server, tmp_path, ["a", "b"], source=Dots(["a", "b"], same=True))
        assert (outcome.asked, outcome.reused, outcome.complete) == (2, 6, True) and len(server.requests) == 2
        moved, answers = run(server, tmp_path, ["a", "b"], source=Dots(["a", "b"], same=True, identity="elsewhere"))
        assert moved.complete and moved.asked == 0 and len(server.requests) == 2
        assert moved.series.id != outcome.series.id and len(answers.all_series()) == 2
        # another question, model, revision or setting is another answer
        other, _ = run(server, tmp_path, ["a"], source=Dots(["a"], same=True), question=QUESTIONS["three-part"])
        assert other.asked == 1
        warm, _ = run(server, tmp_path, ["a"], source=Dots(["a"], same=True), sampling=Sampling(temperature=0.2))
        assert warm.asked == 1


def test_parts_take_turns_over_the_pictures(tmp_path):
    with ChatServer() as server:
        run(server, tmp_path, ["a"], question=Question("mine", "2", "The {part}?", ("head", "feet")), concurrency=1)
    texts = [request["messages"][0]["content"][1]["text"] for request in server.requests]
    assert texts == ["The head?", "The feet?", "The head?", "The feet?"]


def test_shards_share_the_work_and_make_a_whole(tmp_path):
    with ChatServer() as server:
        for number, clip_count in ((1, 2), (2, 2), (3, 1)):
            outcome, answers = run(server, tmp_path, shard=(number, 3))
            assert outcome.complete and outcome.asked == outcome.wanted == 4 * clip_count
        assert set(answers.to_prompts(NAMES, outcome.series)) == set(NAMES)
        assert len(server.requests) == 20 and set(Counter(server.answered()).values()) == {1}
    with pytest.raises(ConfigError, match=r"1 <= i <= n, found 4/3"):
        run(server, tmp_path, shard=(4, 3))


def test_progress_tells_rate_and_time_left(tmp_path, monkeypatch):
    monkeypatch.setattr("c2vl_lab.prompts.asking.runner.SPEAK_SECONDS", 0.0)
    lines: list[str] = []
    with ChatServer() as server:
        run(server, tmp_path, progress=lines.append)
    assert lines[0] == "asking: 0 of 20 sentences are there, 20 to ask for"
    assert "5 of 20 (25.0%), " in lines[5] and " a second, about " in lines[5] and lines[5].endswith(" left")
    assert lines[-1].startswith("asking: 20 of 20 (100.0%)")


CHILD = """
import sys
sys.path.insert(0, {tests!r})
from chat_server import Dots, clips
from test_asking_server import NAMES, PAPER
from c2vl_lab.prompts.asking.answers import AnswerStore
from c2vl_lab.prompts.asking.runner import ask
from c2vl_lab.prompts.asking.server import ServerBackend
backend = ServerBackend({url!r}, "tiny", concurrency=2, first_wait=0.01)
names = [f"clip{{i}}" for i in range(10)]
print(ask(clips(*names), Dots(names), PAPER, backend, AnswerStore({folder!r}), count=4).asked, flush=True)
"""


def test_a_killed_process_loses_nothing_and_nothing_is_asked_twice(tmp_path):
    """SIGKILL in the middle, three times over; then one run to the end."""
    answered = [0]  # so many requests; later ones wait, so that no child gets to its end before it is killed

    def slowly(number, request):
        while number >= answered[0]:
            time.sleep(0.005)
        return "ok"

    with ChatServer(slowly) as server:
        code = CHILD.format(tests=str(Path(__file__).parent), url=server.url, folder=str(tmp_path))
        for target in (6, 17, 29):
            answered[0] = target
            child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
            while len(server.requests) < target and child.poll() is None:
                time.sleep(0.005)
            os.kill(child.pid, signal.SIGKILL)
            assert child.wait() == -signal.SIGKILL
            child.stderr.close()
        answered[0] = 1000
        names = [f"clip{i}" for i in range(10)]
        answers = AnswerStore(tmp_path)
        kept = sum(len(texts) for texts in _good(answers).values())
        in_flight = 3 * 2  # three kills, two requests in flight
        assert len(server.requests) - in_flight - 3 <= kept <= len(server.requests)
        outcome = ask(clips(*names), Dots(names), PAPER, backend(server), answers, count=4)
        assert outcome.complete and outcome.asked == 40 - kept
        assert len(server.requests) <= 40 + in_flight + 3, "asked twice: only what was in flight"
        assert len(list(tmp_path.rglob("answers-*.jsonl"))) == 4


def _good(answers):
    """Clip to its good answers."""
    series = answers.all_series()[0]
    return {
        clip: [place for place in range(4) if answers.accepted(series, clip, place)] for clip in answers.clips(series)
    }
