"""The field's protocols in a report: one table a protocol, arm beside arm, what is shown, and which classes gain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from c2vl_lab.bench.protocol_numbers import LINEAR, NEAREST, Number, not_measured
from c2vl_lab.bench.report_tables import Cell, Section, signed

COLUMNS = 6  # measures side by side
# the protocols whose differences are worth a line each in results.md; comparisons.csv has all
HEADLINES = ("semi", "cluster", "semi-finetune", "finetune", "transfer")
NUMBERS = ["section", "evaluation", "measure", "arm", "unit", "mean", "spread", "low", "high", "seeds", "values"]
DIFFERENCES = ["evaluation", "measure", "arm", "against", "clips", "difference", "95 % over clips and seeds"]
DIFFERENCES += ["p (Holm)", "what is shown"]
RIVALS = ("skeletonclr", "aimclr", "hard", "supervised")  # arms beside which classes are looked at


@dataclass(frozen=True)
class ProtocolTable:
    """Some measures of a protocol, of all arms that have them.

    Attributes:
        title: the protocol's heading, with the number of the part where its measures take several tables.
        measures: the columns.
        rows: label, number of seeds and one cell a measure.
        absent: why, and of which arms, the protocol was not measured.
        main: label of the row to be stressed.
    """

    title: str
    measures: list[str]
    rows: list[tuple[str, str, list[Cell]]]
    absent: list[tuple[str, list[str]]]
    main: str

    @property
    def texts(self) -> list[list[str]]:
        """The rows as plain texts, each interval behind its number."""
        return [[label, seeds, *(plain(cell) for cell in cells)] for label, seeds, cells in self.rows]


def plain(cell: Cell) -> str:
    """A cell in one line."""
    return cell.text + (f" [{cell.interval}]" if cell.interval else "")


def protocol_tables(section: Section) -> list[ProtocolTable]:
    """The tables of every protocol that was measured of a section's runs."""
    groups: dict[tuple[str, str], dict[str, dict[str, Number]]] = {}
    for number in section.numbers:
        if number.title not in (LINEAR, NEAREST):
            own = groups.setdefault((number.protocol, number.title), {})
            own.setdefault(number.measure, {})[number.label] = number
    why = not_measured(section.arms)
    found = []
    for (protocol, title), measures in groups.items():
        names = list(measures)
        parts = np.array_split(np.array(names, object), math.ceil(len(names) / COLUMNS))
        absent: dict[str, list[str]] = {}
        for label, reason in why.get(protocol, {}).items():
            absent.setdefault(reason, []).append(label)
        for place, part in enumerate(parts, start=1):
            heading = title if len(parts) == 1 else f"{title}, {place} of {len(parts)}"
            rows = [row for label in section.arms if (row := _row(label, [measures[name] for name in part]))]
            last = list(absent.items()) if place == len(parts) else []
            found.append(ProtocolTable(heading, list(part), rows, last, section.main))
    return found


def _row(label: str, measures: list[dict[str, Number]]) -> tuple[str, str, list[Cell]] | None:
    """An arm's numbers, or nothing where it has none of them."""
    own = [numbers.get(label) for numbers in measures]
    seeds = max((len(number.values) for number in own if number), default=0)
    return (label, str(seeds), [_cell(number) for number in own]) if seeds else None


def _cell(number: Number | None) -> Cell:
    if number is None:
        return Cell("")
    interval = number.interval()
    between = f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}" if interval else ""
    return Cell(number.text, number.each if len(number.values) > 1 else "", between)


def differences(section: Section, headline: bool = False) -> list[dict[str, str]]:
    """Every comparison of a section as texts, one a row.

    Args:
        section: of a report.
        headline: only 1-NN, the protocols that :data:`HEADLINES` names, and the fused streams' linear probe and 1-NN
            against other fused streams and the single ones.
    """
    wanted = {number.title for number in section.numbers if number.protocol in HEADLINES}
    rows = []
    for own in section.compared:
        fused = own.first != section.main
        other = section.arms.get(own.second)
        rival = own.second == section.main or (other is not None and other[0].is_fused)
        if headline and not (rival if fused else own.evaluation in (*wanted, NEAREST)):
            continue
        interval = f"{signed(own.paired.low)} to {signed(own.paired.high)}"
        p = "< 0.001" if own.p < 0.001 else f"{own.p:.3f}"
        values = (own.evaluation, own.measure, own.first, own.second, str(own.clips), signed(own.paired.difference))
        rows.append(dict(zip(DIFFERENCES, (*values, interval, p, own.verdict), strict=True)))
    return rows


def class_gains(section: Section) -> list[dict[str, str]]:
    """One row a class: the main arm's accuracy, and how many points it is above the arms that it competes with."""
    shares = {label: _per_class(section, label) for label in section.arms}
    rivals = [next((k for k, runs in section.arms.items() if runs[0].arm == arm and k != section.main), "")
              for arm in RIVALS]  # fmt: skip
    rivals = [label for label in rivals if label and shares[label] is not None]
    main = shares.get(section.main)
    if main is None or not rivals:
        return []
    rows = []
    for name in main.index:
        row = {"class": str(name), section.main: f"{100 * main[name]:.1f}"}
        for label in rivals:
            other = shares[label]
            assert other is not None
            row[f"over {label}"] = signed(main[name] - other[name]) if name in other else "–"
        rows.append(row)
    return rows


def _per_class(section: Section, label: str) -> pd.Series | None:
    """Mean accuracy of each class over an arm's seeds."""
    found = [run.results["per_class"] for run in section.arms[label] if "per_class" in run.results]
    return pd.DataFrame(found).mean() if found else None


def long_tables(sections: list[Section]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All numbers, a row for each arm and measure, and all comparisons: ``protocols.csv`` and ``comparisons.csv``."""
    numbers: list[dict[str, object]] = []
    compared: list[dict[str, str]] = []
    for section in sections:
        for own in section.numbers:
            low, high = own.interval() or (None, None)
            about = (section.title, own.title, own.measure, own.label, own.unit, own.mean, own.spread, low, high)
            each = " ".join(f"{value:.6g}" for value in own.values.values())
            numbers.append(dict(zip(NUMBERS, (*about, len(own.values), each), strict=True)))
        compared += [{"section": section.title, **row} for row in differences(section)]
    return pd.DataFrame(numbers, columns=NUMBERS), pd.DataFrame(compared, columns=["section", *DIFFERENCES])
