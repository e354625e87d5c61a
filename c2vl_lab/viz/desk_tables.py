"""What was found in the texts, as tables for a page: each says above it what it counts and how much is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from c2vl_lab.data.subsets import load_subset
from c2vl_lab.prompts.asking.desk import Desk
from c2vl_lab.viz.tables import text_left

ROWS = 12  # of a long table
ONE_LINE = 100  # characters of a heading
SUSPECT, LEAK, CUT, LACKING = "suspect", "names a class", "cut", "no sentence"


class Line:
    """A line in the place of a table or a window that there is not."""

    def __init__(self, text: str):
        self.text = text

    def _repr_html_(self) -> str:
        return f"<em>{escape(self.text)}</em>"


def top(table: pd.DataFrame, caption: str, rows: int = ROWS) -> Styler | Line:
    """The first rows of a table, with a heading that says how many there are; of an empty table the heading alone."""
    if not len(table):
        return Line(caption)
    left_out = f" The first {rows} of {len(table):,} rows." if len(table) > rows else ""
    heading = caption + left_out
    shown = text_left(table.head(rows)).set_caption(heading)
    look = {
        "selector": "caption",
        "props": [("caption-side", "top"), ("text-align", "left"), ("white-space", "nowrap")],
    }
    return shown.set_table_styles([look], overwrite=False)  # type: ignore[list-item]


def facts(table: pd.DataFrame) -> Styler:
    """A table of facts, one a row, with text at the left edge."""
    return text_left(table.rename_axis("what"))


def places(table: pd.DataFrame) -> Styler | Line:
    """The table of :func:`~c2vl_lab.prompts.quality.prompt_quality`, its shares in per cent."""
    shown = table.assign(**{"share of commonest": 100 * table["share of commonest"]})
    return top(
        shown.rename(columns={"share of commonest": "share of commonest, %"}), "Places count from 1.", len(table)
    )


def objects(table: pd.DataFrame) -> Styler | Line:
    """The table of :func:`~c2vl_lab.prompts.naming.named_objects`, its shares in per cent."""
    shares = [name for name in ("share of clips", "share in class") if name in table]
    shown = table.assign(**{name: 100 * table[name] for name in shares})
    shown = shown.rename(columns={name: f"{name}, %" for name in shares})
    said = f"{len(table):,} different objects are named in the training part."
    return top(shown, said if len(table) else "No sentence of the training part names an object.")


def repeated(table: pd.DataFrame) -> Styler | Line:
    """The table of :func:`~c2vl_lab.prompts.quality.duplicates`."""
    said = (
        f"{table.attrs['repeated']:.1%} of all sentences occur elsewhere word for word; {table.attrs['same_list']:.1%} "
        f"of the clips have the whole list of another clip."
    )
    return top(table, said)


def token_lengths(table: pd.DataFrame) -> Styler | Line:
    """The table of :func:`~c2vl_lab.prompts.quality.lengths`, with all cut sentences counted."""
    cut, window = table.attrs["cut"], table.attrs["window"]
    said = f"No sentence is longer than {window} tokens."
    if cut:
        clips = len({clip for clip, _ in cut})
        said = (
            f"{len(cut):,} sentences of {clips:,} clips are longer than {window} tokens: CLIP does not read their ends."
        )
    return top(table, said, rows=len(table))


def leaks(table: pd.DataFrame) -> Styler | Line:
    """The table of :func:`~c2vl_lab.prompts.leakage.label_leaks`."""
    said = (
        f"{table.attrs['share']:.1%} of the sentences of the training part name a class, "
        f"{table.attrs['own_share']:.1%} the clip's own."
    )
    shown = table.assign(**{"own class": ["yes" if own else "no" for own in table["own class"]]})
    return top(shown, said if len(table) else "No sentence of the training part names a class.")


def leaks_by_class(table: pd.DataFrame) -> Styler | Line:
    """The table of :func:`~c2vl_lab.prompts.leakage.leaks_by_class`, in per cent."""
    shares = ("own class", "chance")
    shown = table.assign(**{name: 100 * table[name] for name in shares})
    shown = shown.rename(columns={name: f"{name}, %" for name in shares})
    return top(shown, f"{len(table)} classes are named." if len(table) else "No class is named.")


def suspects(table: pd.DataFrame) -> Styler | Line:
    """The table of :func:`~c2vl_lab.prompts.naming.suspects`."""
    said = f"{len(table):,} sentences of {table['clip'].nunique():,} clips are suspect, the most suspicious first."
    return top(table, said if len(table) else "No sentence is suspect.")


def telling(table: pd.DataFrame, note: str = "") -> Styler | Line:
    """The table of :func:`~c2vl_lab.evaluate.text_probe.what_texts_tell`, in per cent.

    Args:
        table: one row for each thing that might be told.
        note: what has to be said about clips and teacher, see :func:`~c2vl_lab.viz.theme.origin_note`.
    """
    shown = table.assign(**{name: 100 * table[name] for name in ("accuracy", "spread", "chance")})
    shown = shown.rename(columns={name: f"{name}, %" for name in ("accuracy", "spread", "chance")})
    said = "Told by the texts of the training part alone, cross-validated; spread over the folds"
    return top(shown, f"{said} ({note})." if note else f"{said}.")


def class_accuracies(by_class: pd.DataFrame, each: int = 5) -> Styler | Line:
    """The best and the worst classes of ``what_texts_tell(...).attrs["by_class"]``."""
    few = len(by_class) <= 2 * each
    shown = by_class if few else pd.concat([by_class.head(each), by_class.tail(each)])
    shown = shown.assign(accuracy=100 * shown["accuracy"]).rename(columns={"accuracy": "accuracy, %"})
    said = "All classes, best first." if few else f"The {each} best and the {each} worst of {len(by_class)} classes."
    return top(shown, f"{said} Inside the training part.", rows=len(shown))


def class_examples(
    by_class: pd.DataFrame,
    prompts: Mapping[str, Sequence[str]],
    names: Sequence[str],
    labels: Sequence[int] | np.ndarray,
    classes: Sequence[str],
    each: int = 2,
) -> Styler | Line:
    """All sentences of one clip of each of the best and the worst classes, side by side: the first clip of the class.

    Args:
        by_class: see :func:`class_accuracies`.
        prompts: clip name to its sentences.
        names: clips of the training part.
        labels: their classes.
        classes: the names of the classes.
        each: how many of the best, and of the worst.
    """
    first = {classes[int(label)]: name for name, label in reversed(list(zip(names, labels, strict=True)))}
    known = by_class[by_class["class"].isin(first)]
    chosen = known if len(known) <= 2 * each else pd.concat([known.head(each), known.tail(each)])
    columns = {
        f"{row['class']}, {100 * row['accuracy']:.0f} % ({first[row['class']]})": prompts[first[row["class"]]]
        for row in chosen.to_dict("records")
    }
    table = pd.DataFrame(columns)
    table.insert(0, "place", range(1, len(table) + 1))
    return top(
        table, "The sentences of one clip of the classes that are told best (left) and worst (right).", len(table)
    )


def flagged(
    prompts: Mapping[str, Sequence[str]],
    doubtful: pd.DataFrame,
    leaking: pd.DataFrame,
    tokens: pd.DataFrame,
    lacking: pd.DataFrame,
) -> dict[str, pd.DataFrame]:
    """Everything to look at, for stepping through in the editor: heading to ``clip``, ``place``, ``sentence``, ``why``.

    Args:
        prompts: clip name to its sentences.
        doubtful: of :func:`~c2vl_lab.prompts.naming.suspects`.
        leaking: of :func:`~c2vl_lab.prompts.leakage.label_leaks`.
        tokens: of :func:`~c2vl_lab.prompts.quality.lengths`.
        lacking: of :meth:`~c2vl_lab.prompts.asking.desk.Desk.lacking`.
    """
    columns = ["clip", "place", "sentence", "why"]
    whose = ["its own" if own else "not its own" for own in leaking["own class"]]
    named = leaking.assign(why=[f"{name} ({of})" for name, of in zip(leaking["class named"], whose, strict=True)])
    window = tokens.attrs["window"]
    cut = [(clip, place, prompts[clip][place - 1], f"beyond {window} tokens") for clip, place in tokens.attrs["cut"]]
    return {
        SUSPECT: doubtful[columns],
        LEAK: named[columns],
        CUT: pd.DataFrame(cut, columns=columns),
        LACKING: lacking[columns],
    }


def most_flagged(flagged_tables: Mapping[str, pd.DataFrame]) -> str:
    """The clip with most flagged sentences, the first of several; "" where nothing is flagged."""
    clips = pd.concat([table["clip"] for table in flagged_tables.values()])
    return str(clips.value_counts(sort=True).index[0]) if len(clips) else ""


def waiting(table: pd.DataFrame) -> Styler | Line:
    """The table of :meth:`~c2vl_lab.prompts.asking.desk.Desk.ask_again`."""
    clips = table["clip"].nunique()
    if not len(table):
        return top(table, "No clip waits to be asked about again.")
    if "now" not in table:
        return top(table, f"{len(table):,} sentences of {clips:,} clips wait to be asked for again.")
    return top(table, f"{table['now'].notna().sum():,} of {len(table):,} sentences were answered anew.", len(table))


def corrections(table: pd.DataFrame) -> Styler | Line:
    """The table of :meth:`~c2vl_lab.prompts.asking.desk.Desk.edits`, the latest first."""
    said = f"{len(table):,} corrections, the latest first." if len(table) else "No corrections so far."
    return top(table.iloc[::-1], said, rows=50)


def of_subset(desk: Desk, subset: str | Path) -> dict[str, pd.DataFrame]:
    """Every sentence of a named subset's clips, as one more list that the editor steps through.

    Args:
        desk: the answers.
        subset: file of the subset.

    Raises:
        MissingError, DataError: no such file, or its clips are of another set.
    """
    found = load_subset(subset, desk.store)
    names = [desk.store.names[row] for row in found.rows]
    known = set(desk.names)
    table = desk.table([name for name in names if name in known])
    rows = table[["clip", "place"]].assign(sentence=table["text"], why=found.by)
    return {f"subset {found.name}": rows}
