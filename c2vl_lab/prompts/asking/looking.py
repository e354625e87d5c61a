"""The answers as a table, for looking: places count from 1, as in all tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from c2vl_lab.prompts.asking.answers import AnswerStore
from c2vl_lab.prompts.asking.edits import State
from c2vl_lab.prompts.asking.series import Record, Series

COLUMNS = ("clip", "place", "text", "answer", "status", "attempts", "finish", "seconds", "note")
AGAIN = "to be asked again"


def answer_table(answers: AnswerStore, series: Series, clips: Sequence[str] | None = None) -> pd.DataFrame:
    """One row a sentence: where it belongs, the text as it is used, the model's own answer, and how it stands.

    Args:
        answers: the store.
        series: which answers.
        clips: only these; default: all that have at least one answer.
    """
    known = answers.clips(series)
    rows = []
    for clip in known if clips is None else clips:
        for place in range(series.count):
            edit, made = answers.edits.state(series.id, clip, place), answers.records(series, clip, place)
            good = answers.accepted(series, clip, place)
            last = good or (made[-1] if made else None)
            answer = (last.text, last.finish, last.seconds) if last else (None, "", 0.0)
            text, status = answers.sentence(series, clip, place), _status(edit, good, last)
            rows.append((clip, place + 1, text, answer[0], status, len(made), *answer[1:], edit.note))
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)  # so that None stays None
    return table.astype({"place": int, "attempts": int, "seconds": float})


def edit_table(answers: AnswerStore, series: Series) -> pd.DataFrame:
    """Every edit of a series in the order in which they were made, also those that later ones took back."""
    answers.refresh(series)
    rows = []
    for edit in answers.edits.made(series.id):
        place = "all" if edit["place"] is None else edit["place"] + 1
        more = [edit.get(name, "") for name in ("text", "author", "note", "time")]
        rows.append((edit["clip"], place, edit["edit"], *more))
    return pd.DataFrame(rows, columns=["clip", "place", "edit", "text", "author", "note", "time"])


def _status(edit: State, good: Record | None, last: Record | None) -> str:
    if edit.kind:
        return {"replace": "replaced", "exclude": "excluded"}[edit.kind]
    if good:
        return "answered"
    return AGAIN if edit.beyond else f"rejected, {last.rejected}" if last else "missing"
