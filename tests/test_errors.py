"""Messages quote what files hold; they must still be fit for a terminal, a log and a store's notes."""

from __future__ import annotations

import pickle

import pytest

from c2vl_lab.errors import LONGEST, C2VLError, DataError


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\x00b", "a\ud800b", "a\rb", "a\x9bb"])
def test_what_no_terminal_shows_is_escaped(text):
    shown = str(DataError(f"file {text}: wrong.\n  next line"))
    assert shown.encode() and all(letter.isprintable() for letter in shown.replace("\n", ""))
    assert "\n  next line" in shown and ascii(text[1])[1:-1] in shown


def test_ordinary_sentences_stay_as_they_are():
    for text in ("Ordner/Übung ä.txt, line 3: wanted 25 joints, found '動作'.", "one\n  two", ""):
        assert str(DataError(text)) == text


def test_a_message_without_end_is_cut():
    for text in ("x" * 1_000_000, "\x00" * 1_000_000):
        assert LONGEST <= len(str(DataError(text))) < LONGEST + 100


def test_errors_pass_between_processes():
    error = pickle.loads(pickle.dumps(DataError("a\x1bb")))
    assert isinstance(error, C2VLError) and str(error) == str(DataError("a\x1bb"))
