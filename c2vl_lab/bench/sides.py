"""A finished suite as one side of a comparison, read from the folder of its runs or from that of its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from c2vl_lab.artifacts import read_json
from c2vl_lab.bench.protocol_numbers import LINEAR, NEAREST, Number, numbers_of, plain_numbers, side_by_side
from c2vl_lab.bench.report_costs import costs, spent_record
from c2vl_lab.bench.report_tables import Section, sections
from c2vl_lab.bench.results import METRICS, find_runs, results_frame
from c2vl_lab.bench.suite import is_place
from c2vl_lab.errors import DataError, MissingError
from c2vl_lab.viz.log_columns import METRIC_TITLES

KEPT = "predictions.parquet"  # in a report: right or wrong of every test clip, by the probe and the neighbours
TITLES = {"linear": LINEAR, "knn1": NEAREST}
ABOUT = ("command", "made", "commit", "c2vl_lab")


@dataclass(frozen=True)
class Ground:
    """What one side has on one data set and protocol.

    Attributes:
        title: ``nw-ucla, xview``.
        fingerprints: of the data that its runs read; empty where that is not recorded.
        settings: arm to its runs' parameters but seed and places; of several values all, with commas between.
        numbers: every measure of every arm.
        seconds: arm to mean seconds of pre-training and of evaluation.
    """

    title: str
    fingerprints: tuple[str, ...]
    settings: dict[str, dict[str, str]]
    numbers: list[Number]
    seconds: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Side:
    """One of two suites that are compared.

    Attributes:
        name: ``nw-ucla-cpu``.
        title: heading of its report.
        grounds: title to what there is on that data set and protocol.
        about: what made it: command, commit, versions, devices, seeds.
        rest: its runs that are not complete: name, arm, state, why.
        spent: wall time and energy, as in ``manifest.json``; empty where they are not recorded.
    """

    name: str
    title: str
    grounds: dict[str, Ground]
    about: dict[str, str]
    rest: list[tuple[str, str, str, str]]
    spent: dict[str, Any]


def read_side(folder: str | Path) -> Side:
    """A suite from its runs' folder (``suite.json`` or run folders), or from its report (``manifest.json``).

    Raises:
        MissingError: the folder holds neither.
        DataError: a report's tables are not what this package writes.
    """
    folder = Path(folder)
    if (folder / "manifest.json").is_file():
        return _of_report(folder)
    if not folder.is_dir():
        raise MissingError(f"There is no folder {folder}. Wanted a suite's report (reports/NAME) or its runs' folder.")
    return _of_runs(folder)


def keep_predictions(found: Sequence[Section], path: Path) -> None:
    """Write which test clips were right, by linear probe and 1-NN, so that two reports can be compared by clips.

    One row a data set, protocol and clip; a column ``evaluation/seed/arm`` each, empty where an arm has no such clip.
    """
    parts = []
    for section in found:
        columns = {
            f"{number.title}/{seed}/{number.label}": number.right[seed].astype("boolean")
            for number in section.numbers
            if number.title in TITLES.values() and number.right is not None
            for seed in number.right
        }
        if columns:
            table = pd.DataFrame(columns).rename_axis("clip").reset_index()
            table.insert(0, "section", section.title)
            parts.append(table)
    empty = pd.DataFrame({"section": pd.Series(dtype=str), "clip": pd.Series(dtype=str)})
    (pd.concat(parts, ignore_index=True) if parts else empty).to_parquet(path, index=False)


def _of_runs(folder: Path) -> Side:
    """A side from run folders, with every prediction that they keep."""
    runs = find_runs(folder)
    complete = [run for run in runs if run.status == "complete"]
    card = read_json(folder / "suite.json") if (folder / "suite.json").is_file() else {}
    frame = results_frame(complete)
    parameters = {run.path.name: run.parameters for run in complete}
    prints = {run.path.name: str(run.results.get("fingerprint", "")) for run in complete}
    grounds = {}
    for section in sections(runs):
        measured = plain_numbers(section.arms) + numbers_of(section.arms)
        grounds[section.title] = _ground(section.title, _part(frame, section.title), parameters, prints, measured)
    versions: dict[str, str] = next((run.results["versions"] for run in complete if "versions" in run.results), {})
    took = costs(complete).total
    name = f"{card['suite']}-{card['preset']}" if card else folder.name
    title = f"{card['title']} ({card['preset']} preset)" if card else folder.name
    about = {"command": str(card.get("command", "")), "commit": ", ".join(took.commits)}
    rest = [(r.path.name, r.label, r.status, r.error) for r in runs if r.status != "complete"]
    return Side(name, title, grounds, about | _versions(versions), rest, spent_record(took))


def _of_report(folder: Path) -> Side:
    """A side from a report's tables; its predictions are those of linear probe and 1-NN, where they are there."""
    manifest = read_json(folder / "manifest.json")
    frame = _results(folder)
    rows = {run["run"]: run for run in manifest.get("runs", ())}
    only = manifest.get("fingerprints", [])
    prints = {name: run.get("fingerprint") or (only[0] if len(only) == 1 else "") for name, run in rows.items()}
    parameters = {name: run["parameters"] for name, run in rows.items()}
    kept = pd.read_parquet(folder / KEPT) if (folder / KEPT).is_file() else pd.DataFrame(columns=["section", "clip"])
    extra = pd.read_csv(folder / "protocols.csv") if (folder / "protocols.csv").is_file() else pd.DataFrame()
    grounds = {}
    for title in dict.fromkeys(f"{a}, {b}" for a, b in zip(frame["dataset"], frame["protocol"], strict=True)):
        part = _part(frame, title)
        measured = _kept_numbers(part, kept[kept["section"] == title])
        measured += _listed(extra[extra["section"] == title]) if len(extra) else []
        grounds[title] = _ground(title, part, parameters, prints, measured)
    about = {name: str(manifest.get(name, "")) for name in ABOUT} | _versions(manifest.get("versions", {}))
    rest = [(r["run"], r["label"], r["status"], r["error"]) for r in rows.values() if r["status"] != "complete"]
    return Side(folder.resolve().name, manifest["title"], grounds, about, rest, manifest.get("spent", {}))


def _results(folder: Path) -> pd.DataFrame:
    """One row a run, of the parquet file or of the CSV that is kept beside it."""
    path = next((p for p in (folder / "results.parquet", folder / "results.csv") if p.is_file()), None)
    if path is None:
        raise MissingError(f"{folder}: a report without results.parquet and results.csv. Make it again: c2vl report.")
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    absent = [name for name in ("dataset", "protocol", "label", "seed", "run") if name not in frame]
    if absent and len(frame):
        raise DataError(f"{path}: wanted one row a run as this package writes it, found no column {', '.join(absent)}.")
    return frame if not absent else pd.DataFrame(columns=["dataset", "protocol", "label", "seed", "run"])


def _part(frame: pd.DataFrame, title: str) -> pd.DataFrame:
    """The rows of one data set and protocol."""
    return frame[[f"{a}, {b}" == title for a, b in zip(frame["dataset"], frame["protocol"], strict=True)]]


def _ground(
    title: str,
    frame: pd.DataFrame,
    parameters: Mapping[str, Mapping[str, Any]],
    prints: Mapping[str, str],
    measured: list[Number],
) -> Ground:
    """One data set and protocol: settings and seconds of its arms, and the metrics that ``measured`` lacks."""
    settings, seconds = {}, {}
    for label, part in frame.groupby("label", sort=False):
        settings[str(label)] = _settings([parameters.get(run, {}) for run in part["run"]])
        timed = [
            part[f"{name}_seconds"].mean() if f"{name}_seconds" in part else 0.0 for name in ("pretrain", "evaluate")
        ]
        seconds[str(label)] = (float(timed[0]), float(timed[1]))
    known = {(number.title, number.label) for number in measured}
    more = [n for m in METRICS if m in frame for n in _plain(frame, m) if (n.title, n.label) not in known]
    plain = [n for n in measured if n.title in TITLES.values()] + more
    rest = [n for n in measured if n.title not in TITLES.values()]
    found = tuple(sorted({prints.get(run, "") for run in frame["run"]} - {""}))
    return Ground(title, found, settings, plain + rest, seconds)


def _settings(each: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Parameters of an arm's runs but seed and places, as text."""
    names = [name for name in dict.fromkeys(k for own in each for k in own) if name != "seed" and not is_place(name)]
    found = {name: dict.fromkeys(str(own[name]) for own in each if name in own) for name in names}
    return {name: ", ".join(Path(v).name if name == "dataset" else v for v in values) for name, values in found.items()}


def _plain(frame: pd.DataFrame, metric: str) -> list[Number]:
    """One metric of the main table, without predictions."""
    title = TITLES.get(metric, METRIC_TITLES[metric])
    parts = [(str(label), part[["seed", metric]].dropna()) for label, part in frame.groupby("label", sort=False)]
    values = {label: {int(s): float(v) for s, v in part.itertuples(index=False)} for label, part in parts if len(part)}
    return [Number(metric, title, "accuracy", label, "share", own, None) for label, own in values.items()]


def _kept_numbers(frame: pd.DataFrame, kept: pd.DataFrame) -> list[Number]:
    """Linear probe and 1-NN of a report with the predictions that it keeps."""
    found = []
    table = kept.set_index("clip")
    for metric, title in TITLES.items():
        for own in _plain(frame, metric) if metric in frame else ():
            names = {seed: f"{title}/{seed}/{own.label}" for seed in own.values}
            columns = {s: table[n].dropna().astype(float).sort_index() for s, n in names.items() if n in table}
            right = side_by_side({seed: columns.get(seed) for seed in names}) if columns else None
            found.append(Number(metric, title, own.measure, own.label, own.unit, own.values, right))
    return found


def _listed(table: pd.DataFrame) -> list[Number]:
    """The protocols' numbers of ``protocols.csv``; which seed a value is of is not in there."""
    found = []
    for row in table[~table["evaluation"].isin(TITLES.values())].astype(str).to_dict("records"):
        values = dict(enumerate(float(text) for text in row["values"].split()))
        title = row["evaluation"]
        found.append(Number(title, title, row["measure"], row["arm"], row["unit"], values, None))
    return found


def _versions(versions: Mapping[str, str]) -> dict[str, str]:
    return {f"{name} (package)" if name == "c2vl_lab" else name: str(value) for name, value in versions.items()}
