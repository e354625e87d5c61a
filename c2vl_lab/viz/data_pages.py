"""What a skeleton set holds, as small tables: counts, lengths, tracking, people, problems, what is absent.

All are made from the table of clips and from :func:`c2vl_lab.data.checks.measure`; nothing here reads coordinates.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from c2vl_lab.data import absent
from c2vl_lab.data.checks import Measures
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.problems import ADVICE
from c2vl_lab.data.protocols import RULES, Split, make_split, protocols_of
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import C2VLError, ConfigError, near_miss

COLUMNS = ("class", "subject", "camera", "setup")


def find_clip(store: SkeletonStore, which: str) -> Clip:
    """A clip by its name or by its place in the store (``"0"`` is the first); "": the first with most people.

    Raises:
        ConfigError: neither a name nor a place.
    """
    if not which:
        return store[int(np.argmax(store.body_counts))]
    if which in store.names:
        return store[store.names.index(which)]
    if which.isdecimal() and int(which) < len(store):
        return store[int(which)]
    if which.isdecimal():
        raise ConfigError(f"{store.dataset} has {len(store)} clips, 0 to {len(store) - 1}; there is no clip {which}.")
    raise ConfigError(f"{store.dataset} has no clip '{which}'. {_near_names(which, store.names)}")


def protocol_table(store: SkeletonStore) -> pd.DataFrame:
    """Every protocol of the store: clips of both parts, what is published, and the rule."""
    rows = []
    for name in protocols_of(store):
        try:
            split = make_split(store, name)
        except C2VLError as error:
            rows.append({"protocol": name, "train": 0, "test": 0, "published": "", "rule": str(error)})
            continue
        rule = RULES.get(store.dataset, {}).get(name)
        published = "{:,} / {:,}".format(*rule.counts) if rule and any(rule.counts) else "not published"
        row = {"train": len(split.train), "test": len(split.test), "published": published, "rule": split.rule}
        rows.append({"protocol": name, **row})
    return pd.DataFrame(rows).set_index("protocol")


def part_of(store: SkeletonStore, split: Split) -> np.ndarray:
    """(N,) "train", "test" or "neither" for every clip."""
    part = np.full(len(store), "neither", dtype=object)
    part[split.train], part[split.test] = "train", "test"
    return part


def column_of(store: SkeletonStore, column: str) -> pd.Series:
    """A column of the table of clips; ``class`` has names in label order.

    Raises:
        ConfigError: another column than class, subject, camera or setup.
    """
    if column not in COLUMNS:
        raise ConfigError(f"There is no column '{column}' to count by. {near_miss(column, COLUMNS)}")
    if column == "class":
        values = pd.Categorical(store.labels, categories=list(range(len(store.classes))))
        return pd.Series(values, name="class")
    return store.clips[column]


def part_counts(store: SkeletonStore, split: Split, column: str) -> pd.DataFrame:
    """Clips of each class, subject, camera or setup in both parts; a class without clips has a row of zeros.

    Raises:
        ConfigError: an unknown column.
    """
    values, part = column_of(store, column), part_of(store, split)
    table = pd.crosstab(values, part, dropna=False)
    table = table.reindex(columns=[name for name in ("train", "test", "neither") if name in table], fill_value=0)
    table["all"] = table.sum(axis=1)
    return _named(store, table, column)


def crossing(store: SkeletonStore, rows: str = "subject", columns: str = "class") -> pd.DataFrame:
    """Number of clips for every pair of values of two columns.

    Raises:
        ConfigError: an unknown column.
    """
    table = pd.crosstab(column_of(store, rows), column_of(store, columns), dropna=False)
    return _named(store, _named(store, table, rows).T, columns).T


def length_table(store: SkeletonStore, column: str = "class", fps: float = 30.0) -> pd.DataFrame:
    """How long the clips are: frames at the shortest, the median and the longest, and the median in seconds."""
    found = pd.Series(store.lengths).groupby(column_of(store, column).to_numpy())
    table = found.agg(["size", "min", "median", "max"]).astype(int)
    table.columns = pd.Index(["clips", "shortest", "median", "longest"])
    table["median, s"] = (found.median() / fps).round(1)
    return _named(store, table.rename_axis(column), column)


def gap_table(store: SkeletonStore, measures: Measures, column: str = "class") -> pd.DataFrame:
    """How well bodies were tracked, for each value of a column; bodies that were never tracked are left out.

    ``not tracked, %`` is of all frames of all bodies; ``bodies with gaps, %`` have an interruption between their first
    and last tracked frame. Where tracking states are published, ``inferred`` and ``lost`` are shares of the joints.
    """
    bodies = measures.bodies[measures.bodies["tracked"] > 0]
    values = column_of(store, column).to_numpy()[bodies["clip"]]
    away = bodies.assign(away=bodies["frames"] - bodies["tracked"], gap=bodies["gaps"] > 0).groupby(values)
    table = pd.DataFrame(
        {
            "bodies": away.size(),
            "not tracked, %": 100 * away["away"].sum() / away["frames"].sum(),
            "bodies with gaps, %": 100 * away["gap"].mean(),
            "longest gap": away["longest_gap"].max(),
        }
    )
    for state in ("inferred", "lost"):
        if bodies[state].notna().any():
            table[f"joints {state}, %"] = 100 * away[state].mean()
    return _named(store, table.round(1).rename_axis(column), column)


def people_table(store: SkeletonStore, measures: Measures) -> pd.DataFrame:
    """Bodies in the clips, one fact a row, with what the reader said of those that it left out or joined."""
    bodies = measures.bodies
    people = np.bincount(bodies["clip"], bodies["tracked"] > 0, minlength=len(store)).astype(int)
    rows = {
        f"clips with {_people(int(count))} tracked": f"{int(number):,}"
        for count, number in zip(*np.unique(people, return_counts=True), strict=True)
    }
    late = bodies[(bodies["tracked"] > 0) & (bodies["late"] + bodies["early"] > 0)]
    rows["bodies that come later or leave earlier than the clip"] = f"{len(late):,}"
    joined = store.clips["ids"].str.contains("+", regex=False).sum()
    rows["clips in which a person's ID changed and was joined"] = f"{int(joined):,}"
    counts = store.meta.get("notes", {}).get("counts", {})
    rows |= {what: f"{count:,}" for what, count in counts.items()}
    return pd.DataFrame({"number": rows})


def size_table(measures: Measures) -> pd.DataFrame:
    """Spread of what is measured on each body: size, movement, jumps, distance to the first body."""
    real = measures.bodies[measures.bodies["tracked"] > 0]
    names = {
        "size": "size: root to farthest joint along the bones, m",
        "moved": "movement of the fastest joint, m a frame",
        "jump": "largest jump of a bone's length, m",
        "apart": "distance of the second body to the first, m",
    }
    shown = [name for name in names if real[name].notna().any()]
    table = real[shown].quantile([0, 0.05, 0.5, 0.95, 1]).T.rename(index=names).round(3)
    table.columns = pd.Index(["smallest", "5 %", "median", "95 %", "largest"])
    return table


def absent_table(store: SkeletonStore) -> pd.DataFrame:
    """What of the published set is absent: by setup for NTU RGB+D, else published and present numbers of clips."""
    table = absent.absent_table(store)
    if len(table):
        incomplete = (table["absent"] > 0) | (table["unexpected"] > 0) | (table["performers"] == 0)
        incomplete |= table["setup"].eq("all")  # the totals
        incomplete &= table["setup"].ne("pairs not found") | table["performers"].gt(0)
        return table[incomplete].set_index("setup")
    totals = {rule.total for rule in RULES.get(store.dataset, {}).values() if rule.total}
    rows = [{"published": f"{total:,}", "here": len(store), "absent": max(0, total - len(store))} for total in totals]
    return pd.DataFrame(rows or [{"published": "not known", "here": len(store), "absent": ""}], index=["clips"])


def problem_counts(found: pd.DataFrame, store: SkeletonStore) -> pd.DataFrame:
    """How often each kind of problem occurs, in how many clips, and what can be done."""
    if not len(found):
        return pd.DataFrame({"found": [0], "what to do": ["nothing"]}, index=pd.Index(["none"], name="problem"))
    kinds = found.groupby("problem", sort=False)
    known = set(store.names)
    clips = kinds["name"].agg(lambda names: len(set(names) & known))
    table = pd.DataFrame({"found": kinds.size(), "clips": clips, "of all, %": (100 * clips / len(store)).round(1)})
    table["what to do"] = [ADVICE[kind] for kind in table.index]
    return table


def worst(found: pd.DataFrame, each: int = 5) -> pd.DataFrame:
    """The first rows of each kind of problem, which are the worst; the kind is named once."""
    table = found.groupby("problem", sort=False).head(each).reset_index(drop=True)
    repeated = table["problem"].duplicated()
    return table.assign(problem=table["problem"].mask(repeated, ""))[["problem", "name", "how bad", "source"]]


def _named(store: SkeletonStore, table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Class names instead of label numbers in the index; numbers are not unique names, so they come last."""
    if column == "class":
        table.index = pd.Index([store.classes[int(label)] for label in table.index], name="class")
    return table.rename_axis(columns=None)


def _people(count: int) -> str:
    return {0: "nobody", 1: "one person"}.get(count, f"{count} people")


def _near_names(which: str, names: list[str]) -> str:
    """A hint that does not list 100,000 names."""
    import difflib

    close = difflib.get_close_matches(which, names, n=3, cutoff=0.5)
    return f"Near it: {', '.join(close)}." if close else f"Its names look like {names[0]}."
