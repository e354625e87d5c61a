"""Two finished suites side by side: what differs between them, their rows, and which differences are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.bench.compared import LEVEL, SEEDS, on_common
from c2vl_lab.bench.protocol_numbers import Number
from c2vl_lab.bench.sides import Ground, Side
from c2vl_lab.bench.statistics import Paired, holm
from c2vl_lab.errors import ConfigError

RULE_OF_TWO = (
    f"Differences are B minus A. “Higher in B” or “lower in B” is said with {SEEDS} seeds that both have and p < "
    f"{LEVEL:g}, by a bootstrap over test clips and seeds of the difference on the same clips, corrected by Holm's "
    "method for the rows of the table; where that cannot be asked, “not tested” says why."
)
ABSENT = "not recorded"
OTHER = "measured on other data, or by another protocol"


@dataclass(frozen=True)
class Pair:
    """One arm by one measure on both sides.

    Attributes:
        label: of the arm; where the sides call it by two names, both.
        first, second: its numbers.
        clips: how many test clips were compared; 0 where it was not tested.
        paired: difference, interval and p, where it was tested.
        p: corrected for the rows of the table.
        why: why it was not tested.
    """

    label: str
    first: Number
    second: Number
    clips: int = 0
    paired: Paired | None = None
    p: float = 1.0
    why: str = ""

    @property
    def is_difference(self) -> bool:
        """Whether the numbers may be subtracted at all."""
        return self.why != OTHER

    @property
    def difference(self) -> float:
        """B minus A, of the means over each side's seeds."""
        return self.second.mean - self.first.mean

    @property
    def verdict(self) -> str:
        """What may be said."""
        if self.paired is None:
            return f"not tested: {self.why}"
        if self.p >= LEVEL:
            return "not shown"
        return "higher in B" if self.paired.difference > 0 else "lower in B"


@dataclass(frozen=True)
class Measured:
    """One measure: the rows that both sides have, and (side, number) of those that only one has."""

    title: str
    unit: str
    pairs: list[Pair]
    alone: list[tuple[str, Number]]


@dataclass(frozen=True)
class Meeting:
    """A data set and protocol of A beside one of B.

    Attributes:
        title: of both, or ``A: ..., B: ...`` where they are two.
        warnings: why their numbers cannot be set against one another.
        tables: one a measure.
        settings: (arm, setting, A, B) that differ; arm is "all shared rows" where it is the same in all of them.
        alone: (side, arm) that only one has.
        seconds: arm, pre-training of A and of B, evaluation of A and of B.
    """

    title: str
    warnings: list[str]
    tables: list[Measured]
    settings: list[tuple[str, str, str, str]]
    alone: list[tuple[str, str]]
    seconds: list[tuple[str, float, float, float, float]]


def meetings(a: Side, b: Side, same: Sequence[tuple[str, str]] = ()) -> list[Meeting]:
    """Every data set and protocol that both have; where each has just one other, these two with a warning.

    Args:
        a, b: the two suites.
        same: (arm of A, arm of B) to set side by side although they are called by two names and their settings differ.

    Raises:
        ConfigError: ``same`` names an arm that its side does not have.
    """
    for place, (name, side) in enumerate((("A", a), ("B", b))):
        labels = dict.fromkeys(label for ground in side.grounds.values() for label in ground.settings)
        for pair in same:
            if pair[place] not in labels:
                raise ConfigError(
                    f"{name} has no arm {pair[place]!r} to set beside another. It has: {'; '.join(labels)}."
                )
    shared = [title for title in a.grounds if title in b.grounds]
    found = [_meet(a.grounds[title], b.grounds[title], same) for title in shared]
    own, other = ([g for t, g in side.grounds.items() if t not in shared] for side in (a, b))
    if len(own) == len(other) == 1:
        found.append(_meet(own[0], other[0], same))
    return found


def lonely(a: Side, b: Side) -> list[tuple[str, str]]:
    """(side, data set and protocol) that stand beside none."""
    met = [{title for title in side.grounds if title not in other.grounds} for side, other in ((a, b), (b, a))]
    if len(met[0]) == len(met[1]) == 1:
        return []
    return [(name, title) for name, own in zip("AB", met, strict=True) for title in sorted(own)]


def what_differs(a: Side, b: Side) -> list[tuple[str, str, str]]:
    """(what, A, B) of what made the two: command, commit, versions, seeds; equal ones are left out."""
    rows = [(name, a.about.get(name, ""), b.about.get(name, "")) for name in dict.fromkeys([*a.about, *b.about])]
    rows += [("data sets and protocols", "; ".join(a.grounds), "; ".join(b.grounds))]
    rows += [("data fingerprints", ", ".join(_prints(a)), ", ".join(_prints(b)))]
    return [(name, one or ABSENT, other or ABSENT) for name, one, other in rows if one != other]


def _prints(side: Side) -> list[str]:
    return list(dict.fromkeys(text for ground in side.grounds.values() for text in ground.fingerprints))


def _meet(a: Ground, b: Ground, same: Sequence[tuple[str, str]]) -> Meeting:
    warnings, why = _warnings(a, b)
    arms = _same_arms(a, b, same)
    tables = _tables(a, b, arms, why)
    title = a.title if a.title == b.title else f"A: {a.title}, B: {b.title}"
    matched = {(side, label) for pair in arms.values() for side, label in zip("AB", pair, strict=True)}
    alone = [(s, label) for s, g in (("A", a), ("B", b)) for label in g.settings if (s, label) not in matched]
    seconds = [(n, a.seconds[x][0], b.seconds[y][0], a.seconds[x][1], b.seconds[y][1]) for n, (x, y) in arms.items()]
    return Meeting(title, warnings, tables, _settings(a, b, arms), alone, seconds)


def _warnings(a: Ground, b: Ground) -> tuple[list[str], str]:
    """What has to be known before any number is set against another, and why there can be no test."""
    if a.title != b.title:
        return [f"A was measured on {a.title}, B on {b.title}. Their numbers cannot be set against one another."], OTHER
    here, there = (", ".join(ground.fingerprints) for ground in (a, b))
    if not here or not there:
        return [
            "The data's fingerprint is not recorded on both sides: they may have read other data."
        ], "data not known"
    if here != there:
        said = f"The data's fingerprints differ ({here} and {there}): A and B did not read the same data."
        return [said], "the data differ"
    return [], ""


def _same_arms(a: Ground, b: Ground, same: Sequence[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Name to the two sides' labels of arms that both have: as told, by label, then of the others by equal settings."""
    pairs = [(x, y) for x, y in same if x in a.settings and y in b.settings]
    told = [{pair[place] for pair in pairs} for place in (0, 1)]
    pairs += [(x, x) for x in a.settings if x in b.settings and x not in told[0] and x not in told[1]]
    known = {fingerprint(own): label for label, own in b.settings.items() if label not in {y for _, y in pairs}}
    for label, own in a.settings.items():
        other = None if label in {x for x, _ in pairs} else known.pop(fingerprint(own), None)
        if other is not None:
            pairs.append((label, other))
    return {x if x == y else f"{x} (A), {y} (B)": (x, y) for x, y in pairs}


def _settings(a: Ground, b: Ground, arms: Mapping[str, tuple[str, str]]) -> list[tuple[str, str, str, str]]:
    """Settings that differ; those that do in all shared rows alike are said once."""
    each = {name: _differing(a.settings[x], b.settings[y]) for name, (x, y) in arms.items()}
    common = [
        row for row in next(iter(each.values()), []) if len(each) > 1 and all(row in own for own in each.values())
    ]
    rows = [("all shared rows", *row) for row in common]
    return rows + [(name, *row) for name, own in each.items() for row in own if row not in common]


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(setting, A, B); those that one side does not record at all, being older than the setting, in one row."""
    rows = [(name, value or "–", other[name] or "–") for name, value in one.items() if name in other]
    single = [", ".join(name for name in own if name not in its) for own, its in ((one, other), (other, one))]
    rows += [("recorded on one side alone", single[0] or "–", single[1] or "–")]
    return [row for row in rows if row[1] != row[2]]


def _tables(a: Ground, b: Ground, arms: Mapping[str, tuple[str, str]], why: str) -> list[Measured]:
    """One table a measure, in A's order and then B's."""
    numbers = [{((n.title, n.measure), n.label): n for n in ground.numbers} for ground in (a, b)]
    found = []
    for key in dict.fromkeys(key for side in numbers for key, _ in side):
        here, there = ({label: n for (k, label), n in side.items() if k == key} for side in numbers)
        both = [(name, here[x], there[y]) for name, (x, y) in arms.items() if x in here and y in there]
        paired = {label for _, one, other in both for label in (f"A {one.label}", f"B {other.label}")}
        single = [("A", number) for label, number in here.items() if f"A {label}" not in paired]
        single += [("B", number) for label, number in there.items() if f"B {label}" not in paired]
        pairs = _corrected([_pair(name, one, other, why) for name, one, other in both])
        unit = next(iter([*here.values(), *there.values()])).unit
        found.append(Measured(key[0] if key[1] == "accuracy" else ": ".join(key), unit, pairs, single))
    return found


def _pair(label: str, one: Number, other: Number, why: str) -> Pair:
    """One arm on both sides, tested where that can be."""
    if why:
        return Pair(label, one, other, why=why)
    absent = [side for side, number in (("A", one), ("B", other)) if number.right is None]
    if absent:
        return Pair(label, one, other, why=f"no predictions are kept in {' and '.join(absent)}")
    found = on_common(other.right, one.right)
    if found is None:
        return Pair(label, one, other, why="no test clip and seed that both have")
    paired, clips = found
    if paired.seeds < SEEDS:
        seeds = f"{paired.seeds} seed{'s' if paired.seeds != 1 else ''}"
        return Pair(label, one, other, why=f"{seeds} on both sides, {SEEDS} wanted")
    return Pair(label, one, other, clips, paired, paired.p)


def _corrected(pairs: list[Pair]) -> list[Pair]:
    """The pairs with p corrected for the number of those that were tested."""
    places = [i for i, pair in enumerate(pairs) if pair.paired is not None]
    values = dict(zip(places, holm([pairs[i].p for i in places]), strict=True))
    return [replace(pair, p=values.get(i, pair.p)) for i, pair in enumerate(pairs)]
