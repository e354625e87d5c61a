"""c2vl ask: from a data set to a prompts file, with what is missing in a list."""

import json

import pytest
from chat_server import GOOD, ChatServer
from video_files import write_video

from c2vl_lab.cli import main
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.prompts.store import load_prompts


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_server_answers_and_the_prompts_come_out(work, capsys):
    with ChatServer() as server:
        line = ["ask", "generated", "--backend", f"server:{server.url}", "--count", "2", "--limit", "3"]
        assert main([*line, "--export", "prompts.json", "--question", "paper", "--seed", "5"]) == 0
        prompts = load_prompts("prompts.json")
        assert len(prompts) == 3 and set(map(tuple, prompts.values())) == {(GOOD, GOOD)}
        assert len(server.requests) == 6 and server.requests[0]["seed"] == 5 and server.requests[0]["model"] == "tiny"
        assert "all 6 sentences are there: work/answers/generated/tiny-" in capsys.readouterr().out
        assert main([*line, "--question", "paper", "--seed", "5"]) == 0
        assert len(server.requests) == 6, "a second run asks nothing"
        # two shards of another question
        for shard, end in (("1/2", "Other shards lack 2 sentences"), ("2/2", "Written: all.json, 3 clips")):
            assert main([*line, "--shard", shard, "--export", "all.json"]) == 0
            told = capsys.readouterr().out
            assert end in told and "answers:work/answers/generated#" in told
        assert len(server.requests) == 12 and "Is he/she standing" in str(server.requests[-1]["messages"])


def test_what_is_missing_is_in_a_file_until_it_is_answered(work, capsys):
    with ChatServer(lambda n, _: "empty") as server:
        line = ["ask", "generated", "--backend", f"server:{server.url}", "--count", "1", "--limit", "1"]
        assert main([*line, "--attempts", "2", "--export", "prompts.json"]) == 1
        (path,) = work.glob("work/answers/generated/*/missing.json")
        (entry,) = json.loads(path.read_text())
        assert entry["place"] == 0 and entry["reason"] == "rejected 2 times, at last: empty"
        told = capsys.readouterr().out
        assert "1 of 1 sentences are missing" in told and entry["clip"] in told and "Not written" in told
        server.behave = lambda n, _: "ok"
        assert main([*line, "--attempts", "3"]) == 0 and not path.exists()


def test_what_is_odd_about_videos_is_said_and_clips_without_one_are_in_the_list(work, capsys):
    store = open_dataset("generated", work_dir=work / "work")
    write_video(work / "videos" / f"{store.names[0]}.mp4", 5 + int(store[0].frames[-1]) + 1)
    with ChatServer() as server:
        line = ["ask", "generated", "--backend", f"server:{server.url}", "--count", "2", "--limit", "3"]
        assert main([*line, "--pictures", "video:videos", "--style", "full"]) == 1
    told = capsys.readouterr().out
    assert "1 clips have a video that is over 3 frames longer or shorter" in told and store.names[0] in told
    (path,) = work.glob("work/answers/generated/*/missing.json")
    missing = [(entry["clip"], entry["place"], entry["reason"]) for entry in json.loads(path.read_text())]
    why = "there are no video pictures of this clip"
    assert missing == [(name, place, why) for name in store.names[1:3] for place in (0, 1)]


def test_the_captioner_and_a_replay_of_it(work):
    line = ["ask", "generated", "--limit", "2"]
    assert main([*line, "--backend", "kinematic", "--export", "kinematic.json"]) == 0
    assert main([*line, "--backend", "replay:kinematic.json", "--export", "again.json"]) == 0
    assert load_prompts("again.json") == load_prompts("kinematic.json")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--backend", "sever:x"], "Did you mean 'server'"),
        (["--backend", "kinematic:x"], "The backend 'kinematic' is written kinematic, found 'kinematic:x'"),
        (["--backend", "coca"], "The backend 'coca' is written coca:MODEL:TAG-OR-CHECKPOINT, found 'coca'"),
        (["--backend", "kinematic", "--shard", "2"], "--shard wants i/n, for example 2/8, found '2'"),
        (["--backend", "kinematic", "--shard", "3/2"], "1 <= i <= n, found 3/2"),
        (["--backend", "kinematic", "--count", "4"], "gives 16 sentences a clip, not 4"),
        (["--backend", "kinematic", "--question", "papr"], "Did you mean 'paper'"),
        (["--backend", "server:http://127.0.0.1:9/v1"], "Is the server running"),
        (["--backend", "replay:absent.json"], "No prompts at absent.json"),
    ],
)
def test_mistakes_are_one_sentence(work, capsys, more, words):
    assert main(["ask", "generated", *more]) == 2
    error = capsys.readouterr().err
    assert words in error and error.startswith("c2vl: ") and "Traceback" not in error


@pytest.mark.parametrize("option", ["--limit", "--count", "--at-once", "--attempts"])
def test_none_is_no_number_of_clips_or_pictures(work, capsys, option):
    """0 stands for the default inside; who writes it gets neither all clips nor 16 pictures."""
    with pytest.raises(SystemExit):
        main(["ask", "generated", "--backend", "kinematic", option, "0"])
    assert "wanted 1 or more, found '0'" in capsys.readouterr().err
