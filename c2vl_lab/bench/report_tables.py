"""What a report says, as plain values: tables, comparisons, costs and facts, ready for page and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from c2vl_lab.bench.compared import Compared, compare_arms, compare_starts
from c2vl_lab.bench.protocol_numbers import LINEAR, Number, numbers_of, plain_numbers
from c2vl_lab.bench.results import METRICS, Run, aggregate, predictions, results_frame
from c2vl_lab.bench.statistics import Comparison, bootstrap_interval, compare
from c2vl_lab.viz.log_columns import METRIC_TITLES


@dataclass(frozen=True)
class Cell:
    """One number of the main table: its text, the seeds' values, and a 95 % interval where clips are known."""

    text: str
    seeds: str = ""
    interval: str = ""


@dataclass(frozen=True)
class Row:
    """One arm: its group (a heading above the first of it), label, encoder and one cell for each metric."""

    group: str
    label: str
    encoder: str
    cells: list[Cell]
    main: bool


@dataclass(frozen=True)
class Against:
    """The full method beside one other arm, as text, and the comparison itself (None without a common test clip).

    ``on`` says on how many clips where the two arms were not tested on the same ones; ``verdict`` what may be said.
    """

    label: str
    on: str
    difference: str
    interval: str
    clips: str
    p_values: str
    verdict: str
    values: Comparison | None


@dataclass(frozen=True)
class Section:
    """All that is said about one data set and protocol."""

    title: str
    facts: list[tuple[str, str]]
    metrics: list[str]
    rows: list[Row]
    against: list[Against]
    table: pd.DataFrame
    arms: dict[str, list[Run]]  # label to the runs of its seeds
    main: str  # label of the full method's arm, "" without one
    numbers: list[Number]  # linear probe and 1-NN, then the protocols' measures
    compared: list[Compared]  # the main arm, and its fused streams, against every other arm


def sections(runs: Sequence[Run], main: str = "") -> list[Section]:
    """One section for each data set and protocol of the complete runs.

    Args:
        runs: of :func:`~c2vl_lab.bench.results.find_runs`.
        main: label of the arm that is set against every other; "" or an unknown one: the full method's.
    """
    complete = [run for run in runs if run.status == "complete"]
    frame = results_frame(complete)
    found = []
    for (dataset, protocol), part in frame.groupby(["dataset", "protocol"], sort=False) if len(frame) else ():
        here = [complete[i] for i in part.index]
        found.append(_section(f"{dataset}, {protocol}", part.reset_index(drop=True), here, main))
    return found


def _section(title: str, frame: pd.DataFrame, runs: list[Run], main: str) -> Section:
    """Table, comparisons and facts of one data set and protocol."""
    table = aggregate(frame)
    by_label = {str(label): [runs[i] for i in rows.index] for label, rows in frame.groupby("label", sort=False)}
    main = main if main in by_label else _main_label(by_label)
    metrics = [m for m in METRICS if (table["metric"] == m).any()]
    rows = []
    for label, own in by_label.items():
        numbers = {str(row["metric"]): row for _, row in table[table["label"] == label].iterrows()}
        cells = [_cell(numbers[m], own) if m in numbers else Cell("") for m in metrics]
        group = str(next(iter(numbers.values()))["group"]) if numbers else ""
        rows.append(Row(group, label, encoder_text(own[0]) + _own_head(own) + _tested(own), cells, label == main))
    measured = plain_numbers(by_label) + numbers_of(by_label)
    anchors = [label for label in by_label if label == main or label.startswith(f"{main}, three streams")]
    compared = compare_arms(measured, anchors) + compare_starts(measured) if main else []
    against = _comparisons(by_label, main, compared) if main else []
    titles = [METRIC_TITLES[m] for m in metrics]
    return Section(title, facts(runs), titles, rows, against, table, by_label, main, measured, compared)


def _main_label(by_label: dict[str, list[Run]]) -> str:
    """The full method's arm with the most modalities (not the best one: that would choose on the test part)."""
    full = [(len(str(own[0].parameters.get("modalities"))), str(name)) for name, own in by_label.items()]
    full = [pair for pair, own in zip(full, by_label.values(), strict=True) if own[0].arm == "full"]
    return max(full, key=lambda pair: pair[0])[1] if full else ""


def _cell(number: pd.Series, runs: list[Run]) -> Cell:
    """``84.9 ± 0.8`` with the seeds' values, and the interval over clips where predictions were kept."""
    metric, values = str(number["metric"]), [100 * v for v in number["values"]]
    text = f"{100 * number['mean']:.1f}" + (f" ± {100 * number['std']:.1f}" if number["n"] > 1 else "")
    interval = ""
    if metric in ("linear", "knn1") and all((run.path / "predictions.parquet").is_file() for run in runs):
        low, high = bootstrap_interval(predictions(runs, metric).to_numpy())
        interval = f"{100 * low:.1f} to {100 * high:.1f}"
    return Cell(text, " ".join(f"{v:.1f}" for v in values), interval)


def _comparisons(by_label: dict[str, list[Run]], main: str, compared: Sequence[Compared]) -> list[Against]:
    """The full method against every other arm, linear probe, on the test clips that both arms have."""
    usable = {k: v for k, v in by_label.items() if all((r.path / "predictions.parquet").is_file() for r in v)}
    if main not in usable:
        return []
    own = predictions(usable[main], "linear")
    said = {c.second: c.verdict for c in compared if (c.evaluation, c.first) == (LINEAR, main)}
    others = {label: predictions(runs, "linear") for label, runs in usable.items() if label != main}
    return [_against(label, own, other, said.get(label, "not shown")) for label, other in others.items()]


def _against(label: str, own: pd.DataFrame, other: pd.DataFrame, verdict: str) -> Against:
    """One comparison; arms that were tested on other clips are compared on the common ones, and that is said."""
    common = own.index[own.index.isin(other.index)]
    if not len(common):
        return Against(label, "no common test clip", "–", "–", "–", "–", "–", None)
    result = compare(own.loc[common], other.loc[common])
    same = len(common) == len(own) == len(other)
    return Against(
        label,
        "" if same else f"on the {len(common)} test clips that both have, of {len(own)} here and {len(other)} there",
        signed(result.difference),
        f"{signed(result.low)} to {signed(result.high)}",
        ", ".join(f"{a}\u00a0/\u00a0{b}" for a, b in zip(result.only_first, result.only_second, strict=True)),
        ", ".join("<\u00a00.001" if p < 0.001 else f"{p:.3f}" for p in result.p_values),
        verdict,
        result,
    )


def signed(share: float) -> str:
    """A difference in percentage points with its sign."""
    return f"{100 * share:+.1f}".replace("-", "−")


def encoder_text(run: Run) -> str:
    """Encoder, size and epochs of a run in one line."""
    encoder = run.results.get("encoder")
    if not encoder:
        return "no encoder"
    epochs = "untrained" if run.arm == "untrained" else f"{run.parameters.get('epochs', '?')} epochs"
    return f"{encoder['name']}, {encoder['parameters'] / 1e6:.2f} M, {epochs}"


def _own_head(runs: list[Run]) -> str:
    """Mean accuracy of a supervised arm's own classifier, which no other arm has."""
    found = [run.results["metrics"]["own_head"] for run in runs if "own_head" in run.results.get("metrics", {})]
    return f"; its own classifier {100 * sum(found) / len(found):.1f}" if found else ""


def _tested(runs: list[Run]) -> str:
    """How many clips an arm was tested on, where these are not the whole test part."""
    split = runs[0].results.get("split", {})
    fewer = "tested" in split and split["tested"] < split["test"]
    return f"; on {split['tested']:,} of {split['test']:,} test clips" if fewer else ""


def facts(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """What was run and on what: (term, text) pairs; values that differ between runs are listed."""
    results = [run.results for run in runs]
    split = results[0].get("split", {})
    trained = [run for run in runs if run.results.get("encoder")]
    versions = results[0].get("versions", {})
    generated = any(r.get("generated") for r in results)
    origin = " (generated clips, no recordings)" if generated else ""
    teachers = {
        f"{r['teacher']}{' (stand-in)' if r.get('stand_in_teacher') else ''}" for r in results if r.get("teacher")
    }
    pairs = [
        ("Data set", f"{_several(r.get('dataset') for r in results)}{origin}"),
        ("Fingerprint", _several(r.get("fingerprint") for r in results)),
        (
            "Protocol",
            f"{split.get('protocol', '?')}: {_count(split, 'train')} training and {_count(split, 'test')} test clips",
        ),
        ("Rule", str(split.get("rule", ""))),
        ("Classes", str(len(results[0].get("classes", [])))),
        (
            "Encoder",
            _several(
                f"{r['encoder']['name']}, {r['encoder']['parameters']:,} parameters"
                for r in results
                if r.get("encoder") and "fused" not in r
            ),
        ),
        ("Precision", _several(map(precision_text, trained))),
        ("Streams", _streams(runs)),
        ("Epochs", _several(run.parameters.get("epochs") for run in trained)),
        ("Teacher", _several(teachers)),
        ("Captions", _several(run.parameters.get("captions") for run in runs)),
        ("Pictures", _several(run.parameters.get("pictures") for run in runs)),
        ("Seeds", _several(sorted({int(run.parameters.get("seed", 0)) for run in runs}))),
        ("Device", _several(r.get("device") for r in results)),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    return [(term, text) for term, text in pairs if text]


def precision_text(run: Run) -> str:
    """In which precision a run's encoder was trained; what is measured of it is computed in float32."""
    if run.arm == "untrained":
        return ""
    wanted, on_cpu = str(run.parameters.get("precision", "auto")), str(run.results.get("device", "")).startswith("CPU")
    trained = wanted if wanted != "auto" else "float32" if on_cpu else "bfloat16"
    return f"trained in {trained}{' on a CPU' if on_cpu else ''}, features in float32"


def _streams(runs: Sequence[Run]) -> str:
    """Which streams there are, and how three of them were fused."""
    streams = _several(run.parameters.get("stream") for run in runs if not run.is_fused)
    weights = next((run.results["fused"]["weights"] for run in runs if run.is_fused), None)
    if weights is None:
        return streams if streams != "joint" else ""
    at = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
    return f"{streams}; three streams: logits of their linear probes added ({at}), or their features joined"


def _count(split: dict[str, Any], part: str) -> str:
    """Clips of one part of a split, with thousands separated."""
    return f"{split[part]:,}" if part in split else "?"


def _several(values: Any) -> str:
    """Distinct values in order of appearance, joined; nothing for none."""
    return ", ".join(dict.fromkeys(str(v) for v in values if v not in (None, "")))


def full_title(title: str, runs: Sequence[Run]) -> str:
    """The title with what has to be known before any number is read."""
    generated = any(run.results.get("generated") or run.parameters.get("dataset") == "generated" for run in runs)
    stand_in = any(run.results.get("stand_in_teacher") for run in runs)
    wanted = [word for word, so in (("generated clips", generated), ("stand-in teacher", stand_in)) if so]
    absent = [word for word in wanted if word not in title.lower()]
    return f"{title} ({', '.join(absent)})" if absent else title
