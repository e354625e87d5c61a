"""The teachers' benchmark runs at toy size, and what it calls bare gives the features of the extraction."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import teachers
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.prompts.pictures import open_pictures
from c2vl_lab.teachers import load_teacher
from c2vl_lab.teachers.features import image_features, text_features


@pytest.fixture
def toy(tmp_path):
    store = open_dataset("generated", work_dir=tmp_path, performers=2, frames_min=20, frames_max=20)
    options = {"clips": 2, "each": 2, "sentences": 4, "repeats": 1, "device": "cpu"}
    return teachers.Sizes(dataset=str(store.path), work=tmp_path, **options)


def test_every_measure_runs_and_the_command_prints_shares(toy, tmp_path, capsys):
    options = ["--set", toy.dataset, "--work", str(tmp_path), "--device", "cpu", "--json", str(tmp_path / "rows.json")]
    options += ["--clips", "2", "--each", "2", "--sentences", "4", "--repeats", "1"]
    assert teachers.main(options) == 0
    printed = capsys.readouterr().out
    for word in (
        "% of bare",
        ">= 90%",
        "pictures, folder",
        "pictures, rendered",
        "benchmarks.teachers --set",
        "cores:",
    ):
        assert word in printed
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert len(rows) == 3 and all(0 < row["value"] < float("inf") for row in rows)


def test_bare_and_extraction_do_the_same_work(toy, tmp_path, monkeypatch):
    """A bare pass that skipped the model, or one on other pictures, would make the share a lie."""
    teacher = load_teacher("offline", "cpu")
    store = open_dataset(toy.dataset, work_dir=tmp_path)
    made = {}

    def keep(what, count, ours, bare, sizes):
        made[what.split(",")[0]] = (count, bare)
        return teachers.Row(what, 1.0, "%")

    monkeypatch.setattr(teachers, "_row", keep)
    source = open_pictures(f"folder:{teachers.jpeg_folder(store, toy)}", store)
    teachers._pictures(teacher, source, store, toy)
    teachers._sentences(teacher, store, toy)
    seen = []
    encode = type(teacher).encode_joined
    monkeypatch.setattr(type(teacher), "encode_joined", lambda self, b: seen.append(encode(self, b)) or seen[-1])
    made["pictures"][1]()
    wanted = image_features(source, store.names[:2], 2, load_teacher("offline", "cpu"), tmp_path / "f")
    names = sorted(store.names[:2])
    order = [names.index(name) for name in store.names[:2]]
    np.testing.assert_allclose(seen[0].reshape(2, 2, -1)[order], np.asarray(wanted), atol=1e-4)
    assert made["pictures"][0] == 4 and made["sentences"][0] == 4
    calls = []
    teacher._text.register_forward_hook(lambda _, given, found: calls.append(found["sentence_embedding"].numpy()))
    texts = ["a person walks", "he sits down"]
    teachers.bare_texts(teacher, texts)()
    np.testing.assert_allclose(calls[-1], text_features([[t] for t in texts], teacher, tmp_path / "t")[:, 0], atol=1e-4)
