"""The answers as a table, for looking."""

from __future__ import annotations

import pandas as pd

from c2vl_lab.prompts.asking.answers import AnswerStore
from c2vl_lab.prompts.asking.edits import State
from c2vl_lab.prompts.asking.series import Record, Series

COLUMNS = ("clip", "place", "text", "answer", "status", "attempts", "finish", "seconds", "note")


def answer_table(answers: AnswerStore, series: Series) -> pd.DataFrame:
    """One row a sentence: where it belongs, the text as it is used, the model's own answer, and how it stands.

    Args:
        answers: the store.
        series: which answers.
    """
    rows = []
    for clip in answers.clips(series):
        for place in range(series.count):
            edit, made = answers.edits.state(series.id, clip, place), answers.records(series, clip, place)
            good = answers.accepted(series, clip, place)
            last = good or (made[-1] if made else None)
            answer = (last.text, last.finish, last.seconds) if last else (None, "", 0.0)
            text, status = answers.sentence(series, clip, place), _status(edit, good, last)
            rows.append((clip, place, text, answer[0], status, len(made), *answer[1:], edit.note))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _status(edit: State, good: Record | None, last: Record | None) -> str:
    if edit.kind:
        return {"replace": "replaced", "exclude": "excluded"}[edit.kind]
    if good:
        return "answered"
    return "to be asked again" if edit.beyond else f"rejected, {last.rejected}" if last else "missing"
