"""Prompts on disk and class prompts."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.prompts.class_prompts import TEMPLATES, class_prompts
from c2vl_lab.prompts.store import load_prompts, prompts_for, save_prompts

GOOD = {"b": ["He stands.", "He «sits»."], "a": ["She walks.", "She stops."]}
SHARED = Path(os.environ.get("C2VL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def test_published_form_survives_a_round_trip(tmp_path: Path) -> None:
    save_prompts(tmp_path / "p.json", GOOD)
    assert load_prompts(tmp_path / "p.json") == GOOD
    plain = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    assert list(plain) == ["a", "b"] and plain["b"][1] == "He «sits»."
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.write(tmp_path / "p.json", "text/p.json")
    assert load_prompts(tmp_path / "p.zip") == GOOD


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{not json", ["p.json", "line 1", "not valid JSON"]),
        ("[1, 2]", ["p.json", "found list"]),
        ("{}", ["p.json", "empty object"]),
        ('{"c7": "a sentence"}', ["p.json", "clip 'c7'", "list of sentences"]),
        ('{"c7": []}', ["clip 'c7'", "list of sentences"]),
        ('{"c7": ["good", 5]}', ["clip 'c7'", "sentence 2", "found 5"]),
        ('{"c7": ["good", "  "]}', ["clip 'c7'", "sentence 2", "not empty"]),
        ('{"c7": ["one"], "c8": ["one", "two"]}', ["clip 'c8'", "2 sentences", "'c7' has 1"]),
        ('{"c7": ["one"], "c7": ["two"]}', ["clip 'c7'", "twice"]),
        ('{"c7": ["one", "\\ud83d two"]}', ["clip 'c7'", "sentence 2", "half a character"]),
        ('{"c\\udc00": ["one"]}', ["the name 'c\\udc00' of a clip", "half a character"]),
        ("[" * 100_000, ["not valid JSON"]),
    ],
)
def test_bad_files_name_file_and_clip(tmp_path: Path, content: str, words: list[str]) -> None:
    (tmp_path / "p.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_prompts(tmp_path / "p.json")
    message = str(caught.value)
    assert "p.json" in message and "\n" not in message
    assert all(word in message for word in words), message


def test_bad_archives_and_absent_files(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="nowhere"):
        load_prompts(tmp_path / "nowhere.json")
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match=r"cut\.zip.*cannot be read"):
        load_prompts(tmp_path / "cut.zip")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.json", "{}")
        archive.writestr("b.json", "{}")
    with pytest.raises(DataError, match=r"two\.zip.*found 2"):
        load_prompts(tmp_path / "two.zip")
    (tmp_path / "latin.json").write_bytes(b'{"a": ["\xe9"]}')
    with pytest.raises(DataError, match=r"latin\.json.*UTF-8"):
        load_prompts(tmp_path / "latin.json")


def test_a_refused_save_leaves_the_old_file(tmp_path: Path) -> None:
    save_prompts(tmp_path / "p.json", GOOD)
    with pytest.raises(DataError, match="clip 'x'"):
        save_prompts(tmp_path / "p.json", {"x": [""]})
    assert load_prompts(tmp_path / "p.json") == GOOD
    assert [p.name for p in tmp_path.iterdir()] == ["p.json"]


def test_only_the_clips_asked_for_come_along() -> None:
    chosen = prompts_for(GOOD, ["a"], "p.json")
    assert chosen == [["She walks.", "She stops."]]
    chosen[0].append("changed")
    assert len(GOOD["a"]) == 2
    with pytest.raises(MissingError, match=r"2 of 3 clips \(c, d\)"):
        prompts_for(GOOD, ["c", "a", "d"], "p.json")
    with pytest.raises(DataError, match="same number"):
        prompts_for(GOOD | {"e": ["one"]}, ["a", "e"], "p.json")


def test_class_prompts_name_each_class_in_every_template() -> None:
    texts = class_prompts(["sit_down", "throw"])
    assert [len(t) for t in texts] == [len(TEMPLATES)] * 2
    assert all("sit down" in text.lower() for text in texts[0])
    assert texts[1][0] == "Throw."
    with pytest.raises(ConfigError, match="empty name"):
        class_prompts(["a", " "])


@pytest.mark.real
def test_the_authors_archive_is_read_whole(tmp_path: Path) -> None:
    source = SHARED / "c2vl-pku-captions" / "pkuv2_language.zip"
    if not source.exists():
        pytest.skip(f"the authors' prompts are not at {source}")
    prompts = load_prompts(source)
    assert (len(prompts), sum(map(len, prompts.values()))) == (6952, 111232)
    save_prompts(tmp_path / "again.json", prompts)
    assert load_prompts(tmp_path / "again.json") == prompts
    names = sorted(prompts)[:100]
    assert prompts_for(prompts, names, str(source)) == [prompts[name] for name in names]
