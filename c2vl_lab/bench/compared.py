"""Arms set against one another on kept predictions, and what may be said of it: "higher", "lower" or "not shown"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from c2vl_lab.bench.protocol_numbers import Number
from c2vl_lab.bench.statistics import Paired, holm, paired

SEEDS = 5  # fewer seeds of either arm show nothing
LEVEL = 0.05
STARTS = {"finetune": "scratch", "semi-finetune": "semi-scratch"}  # a protocol, and the same from random weights
FROM_SCRATCH = "the same encoder from scratch"
RULE = (
    f"“Higher” or “lower” is said with {SEEDS} seeds of both arms and p < {LEVEL:g}, by a bootstrap over test clips "
    "and seeds of the difference on the same clips, corrected by Holm's method for the arms of the table; all else is "
    "“not shown”."
)


@dataclass(frozen=True)
class Compared:
    """One arm against another by one measure.

    Attributes:
        evaluation: the protocol's heading; ``measure``: what was measured.
        first, second: labels of the arms.
        clips: how many test clips both were tested on.
        paired: difference, interval, p and seeds.
        p: corrected for the other arms that ``first`` is set against by this measure.
    """

    evaluation: str
    measure: str
    first: str
    second: str
    clips: int
    paired: Paired
    p: float

    @property
    def verdict(self) -> str:
        """What may be said of the first arm."""
        if self.paired.seeds < SEEDS:
            return f"not shown: {self.paired.seeds} seed{'s' if self.paired.seeds != 1 else ''}"
        if self.p >= LEVEL:
            return "not shown"
        return "higher" if self.paired.difference > 0 else "lower"


def compare_arms(numbers: Sequence[Number], anchors: Sequence[str]) -> list[Compared]:
    """Each anchor against every other arm, by each measure whose predictions both have kept.

    Arms that were not tested on the same clips are compared on the common ones. Seeds are paired by their number.
    """
    groups: dict[tuple[str, str], list[Number]] = {}
    for number in numbers:
        if number.right is not None:
            groups.setdefault((number.title, number.measure), []).append(number)
    found = []
    for (title, measure), group in groups.items():
        arms = {number.label: number.right for number in group}
        for anchor in (anchor for anchor in anchors if anchor in arms):
            others = {label: on_common(arms[anchor], right) for label, right in arms.items() if label != anchor}
            usable = {label: own for label, own in others.items() if own is not None}
            corrected = holm([own.p for own, _ in usable.values()])
            found += [
                Compared(title, measure, anchor, label, clips, own, p)
                for (label, (own, clips)), p in zip(usable.items(), corrected, strict=True)
            ]
    return found


def compare_starts(numbers: Sequence[Number]) -> list[Compared]:
    """Each arm fine-tuned against the same training from scratch, on the same clips, labels and seeds.

    Corrected by Holm's method for the numbers of labels of an arm.
    """
    kept = {(number.label, number.protocol, number.measure): number for number in numbers if number.right is not None}
    groups: dict[tuple[str, str], list[tuple[Number, Paired, int]]] = {}
    for (label, protocol, measure), tuned in kept.items():
        scratch = kept.get((label, STARTS.get(protocol, ""), measure))
        found = on_common(tuned.right, scratch.right) if scratch is not None else None
        if found is not None:
            groups.setdefault((label, protocol), []).append((tuned, *found))
    return [
        Compared(tuned.title, tuned.measure, label, FROM_SCRATCH, clips, own, p)
        for (label, _), group in groups.items()
        for (tuned, own, clips), p in zip(group, holm([own.p for _, own, _ in group]), strict=True)
    ]


def on_common(first: pd.DataFrame | None, second: pd.DataFrame | None) -> tuple[Paired, int] | None:
    """Difference of two arms on the clips and seeds that both have, and how many clips these are; None without any.

    Args:
        first, second: (clips, seeds) right or wrong, by clip name and seed.
    """
    assert first is not None and second is not None
    clips = first.index.intersection(second.index)
    seeds = [seed for seed in first.columns if seed in second.columns]
    if not len(clips) or not seeds:
        return None
    gain = first.loc[clips, seeds].astype(float) - second.loc[clips, seeds].astype(float)
    return paired(gain.to_numpy()), len(clips)
