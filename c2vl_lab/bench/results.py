"""Run folders become tables: one row a run, then mean, spread and every seed for each arm."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from c2vl_lab.artifacts import fingerprint, read_json
from c2vl_lab.bench.notebooks import executed_error
from c2vl_lab.bench.suite import PLACES
from c2vl_lab.errors import DataError, MissingError

# The order of rows in every table and figure: what nothing was learned for, what competes, the upper bound.
ARMS = {
    "coordinates": "1-NN on view-normalised coordinates",
    "prompts": "Prompts alone",
    "untrained": "Untrained encoder",
    "skeletonclr": "SkeletonCLR-style, no text",
    "aimclr": "AimCLR-style, no text",
    "byol": "BYOL-style, no text",
    "hard": "CLIP-style hard contrast",
    "full": "Full method",
    "supervised": "Supervised (upper bound)",
    "imported": "Imported encoder",
}
GROUPS = {"coordinates": "Reference points", "prompts": "Reference points", "untrained": "Reference points"}
GROUPS |= {"supervised": "Upper bound"}
FUSED = "fused"  # folder of the rows that evaluate/suite_streams.py makes of three streams
METRICS = (
    "linear",
    "knn1",
    "knn5",
    "linear_distinct",
    "knn1_distinct",
    "zero_shot",
    "text_to_skeleton",
    "skeleton_to_text",
)


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        path: the folder.
        status: ``complete``, ``failed``, ``unfinished`` or ``not run``.
        label: how the arm is called in tables.
        parameters: what the run was given.
        results: content of ``results.json``; empty unless complete.
        error: why a failed run failed, in one sentence.
    """

    path: Path
    status: str
    label: str
    parameters: dict[str, Any]
    results: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def arm(self) -> str:
        """The arm's short name."""
        return str(self.parameters.get("arm", ""))

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.parameters.get("seed", 0))

    @property
    def is_fused(self) -> bool:
        """Whether it is a fusion of three runs' streams and no run of its own."""
        return "fused" in self.results

    @property
    def executed(self) -> Path | None:
        """The executed notebook, if there is one."""
        path = self.path / "executed.ipynb"
        return path if path.is_file() else None


def find_runs(runs_dir: str | Path) -> list[Run]:
    """All benchmark runs of a folder, in the order of the tables; other notebooks' folders are left out.

    Where a suite has left its list (``suite.json``) that list counts: its order, its failures, and no folder
    of an older grid. Otherwise every run at any depth is taken.

    Raises:
        MissingError: there is no such folder, or no run in it.
    """
    runs_dir = Path(runs_dir)
    if not runs_dir.is_dir():
        raise MissingError(f"No folder {runs_dir}. Run a suite first, for example `make bench SUITE=demo`.")
    listed = _plain(runs_dir / "suite.json").get("runs")
    if listed:
        return _with_fused(runs_dir, [_listed_run(runs_dir, row) for row in listed])
    marks = ("results.json", "config.json", "run.json")
    folders = sorted({path.parent for mark in marks for path in runs_dir.rglob(mark)})
    runs = [run for folder in folders if (run := _read_run(folder)) is not None]
    if not runs:
        raise MissingError(f"No run in {runs_dir}: no results.json or run.json of a benchmark run. Run a suite first.")
    order = list(ARMS)
    place = [order.index(run.arm) if run.arm in order else len(order) for run in runs]
    ranked = sorted(zip(place, runs, strict=True), key=lambda pair: (pair[0], pair[1].label, pair[1].seed))
    return [run for _, run in ranked]


def results_frame(runs: list[Run]) -> pd.DataFrame:
    """One row for every complete run: label, arm, group, seed, settings that matter, and the metrics (0 to 1).

    Columns ``label`` and ``arm`` name the arm, ``key`` is the same for runs that differ in their seed alone. Two runs
    that differ in nothing, seed included, are one: the later stays, or it would count twice. The index is the run's
    place among the complete ones.
    """
    complete = [run for run in runs if run.status == "complete"]
    rows = [_row(run) for run in complete]
    frame = pd.DataFrame(rows)
    return frame if frame.empty else _distinct_labels(frame, complete).drop_duplicates(["key", "seed"], keep="last")


def aggregate(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over seeds: one row for every arm and metric.

    Args:
        frame: of :func:`results_frame`.

    Returns:
        Columns ``dataset, protocol, group, label, arm, key, metric, mean, std, n, seeds, values``; ``std`` is
        the sample standard deviation (n - 1), NaN for a single seed; ``seeds`` and ``values`` are lists in
        the order of the seeds.
    """
    rows = []
    for _, part in frame.groupby(["dataset", "protocol", "key"], sort=False) if len(frame) else ():
        part = part.sort_values("seed")
        shared = {c: part[c].iloc[0] for c in ("dataset", "protocol", "group", "label", "arm", "key")}
        for metric in (m for m in METRICS if m in part):
            values = part[["seed", metric]].dropna()
            if values.empty:
                continue
            found = values[metric].to_numpy(float)
            spread = float(found.std(ddof=1)) if len(found) > 1 else float("nan")
            rows.append(
                shared
                | {"metric": metric, "mean": float(found.mean()), "std": spread, "n": len(found)}
                | {"seeds": values["seed"].tolist(), "values": found.tolist()}
            )
    return pd.DataFrame(rows)


def predictions(runs: list[Run], metric: str) -> pd.DataFrame:
    """Whether each test clip was right, (clips, seeds): index clip name, one boolean column for every seed.

    Args:
        runs: the complete runs of one arm.
        metric: ``linear`` or ``knn1``, a column of ``predictions.parquet``.

    Raises:
        DataError: a table lacks the columns, or the seeds were tested on different clips.
    """
    columns = {}
    for run in runs:
        path = run.path / "predictions.parquet"
        table = pd.read_parquet(path)
        if not {"name", "label", metric} <= set(table.columns):
            raise DataError(f"{path}: wanted columns name, label and {metric}, found {', '.join(table.columns)}.")
        columns[run.seed] = pd.Series((table["label"] == table[metric]).to_numpy(), index=table["name"])
    names = {tuple(sorted(column.index)) for column in columns.values()}
    if len(names) > 1:
        raise DataError(f"{runs[0].label}: its seeds were tested on different clips, so they cannot be pooled.")
    return pd.DataFrame(columns).sort_index()


def prediction_table(run: Run) -> pd.DataFrame | None:
    """The run's kept predictions: ``name``, ``label`` and a column of predicted classes each; None without any."""
    path = run.path / "predictions.parquet"
    return pd.read_parquet(path) if path.is_file() else None


def listed_row(run: Run) -> dict[str, Any]:
    """What the suite's own list says of a run; nothing without one."""
    rows = _plain(run.path.parent / "suite.json").get("runs", [])
    return next((row for row in rows if row.get("id") == run.path.name), {})


def _with_fused(runs_dir: Path, runs: list[Run]) -> list[Run]:
    """The listed runs, and behind the last of its three the fusion of streams whose runs are all complete."""
    places = {run.path.name: index for index, run in enumerate(runs) if run.status == "complete"}
    found = [(float(index), "", run) for index, run in enumerate(runs)]
    for folder in (runs_dir / FUSED).glob("*"):
        run = _read_run(folder)
        sources = run.results.get("fused", {}).get("runs", {}).values() if run else ()
        if run and sources and set(sources) <= set(places):
            found.append((max(places[name] for name in sources) + 0.5, run.label, run))
    return [run for _, _, run in sorted(found, key=lambda own: own[:2])]


def _listed_run(runs_dir: Path, row: dict[str, Any]) -> Run:
    """A run as the suite's list has it; what the runner saw (a kill, say) stands above what the folder tells."""
    folder, label, status = runs_dir / str(row["id"]), str(row["label"]), str(row["status"])
    found = _read_run(folder)
    if found is not None and status in ("complete", "skipped"):
        return replace(found, label=label)
    error = str(row.get("error") or (found.error if found else ""))
    return Run(folder, status, label, row.get("parameters", {}), error=error)


def _read_run(folder: Path) -> Run | None:
    """A folder as a run, or None when it belongs to a notebook that measures nothing."""
    card = _plain(folder / "run.json")
    results = _plain(folder / "results.json")
    parameters = results.get("config") or _plain(folder / "config.json") or card.get("parameters") or {}
    if "arm" not in parameters:
        return None
    label = str(card.get("label") or default_label(parameters))
    error = executed_error(folder / "executed.ipynb") or ""
    if results and not error:
        return Run(folder, "complete", label, parameters, results)
    if not error and (folder / "log.txt").is_file() and not (folder / "executed.ipynb").is_file():
        lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").split("\n")
        error = next((line.strip() for line in reversed(lines) if "Error" in line), "")
    return Run(folder, "failed" if error else "unfinished", label, parameters, error=error)


def _plain(path: Path) -> dict[str, Any]:
    """A JSON object, or nothing where there is no file."""
    value = read_json(path) if path.is_file() else {}
    return value if isinstance(value, dict) else {}


def default_label(parameters: dict[str, Any]) -> str:
    """The arm in words, with its modalities where it has a choice of them."""
    arm = str(parameters.get("arm"))
    several = arm in ("prompts", "hard", "full")
    modalities = str(parameters.get("modalities", "language")).replace("+", " + ")
    return ARMS.get(arm, arm) + (f", {modalities}" if several else "")


def _row(run: Run) -> dict[str, Any]:
    """One run as a flat row."""
    found, metrics = run.results, run.results.get("metrics", {})
    split, seconds = found.get("split", {}), found.get("seconds", {})
    own = {k: v for k, v in run.parameters.items() if k not in (*PLACES, "seed")}
    row = {
        "dataset": found.get("dataset", ""),
        "protocol": split.get("protocol", ""),
        "group": GROUPS.get(run.arm, "Self-supervised"),
        "label": run.label,
        "arm": run.arm,
        "seed": run.seed,
        "key": fingerprint(own, found.get("fingerprint", "")),
        "encoder": found.get("encoder", {}).get("name", ""),
        "parameters": found.get("encoder", {}).get("parameters", 0),
        "epochs": own.get("epochs") if found.get("encoder") and run.arm != "untrained" else None,
        "device": found.get("device", ""),
        "generated": bool(found.get("generated")),
        "stand_in_teacher": bool(found.get("stand_in_teacher")),
        "pretrain_seconds": float(seconds.get("pretrain", 0.0)),
        "evaluate_seconds": float(seconds.get("evaluate", 0.0)),
        "run": run.path.name,
    }
    row |= {m: metrics[m] for m in (*METRICS, "own_head") if m in metrics}
    # of retrieval the tables show recall at 1; results.json holds the rest
    return row | {way: found["R@1"] for way, found in metrics.get("retrieval", {}).items()}


def _distinct_labels(frame: pd.DataFrame, runs: list[Run]) -> pd.DataFrame:
    """Two arms of one name get the settings in which they differ behind it."""
    for (_, _, _label), rows in frame.groupby(["dataset", "protocol", "label"], sort=False):
        if rows["key"].nunique() == 1:
            continue
        settings = [runs[i].parameters for i in rows.index]
        names = sorted({k for s in settings for k in s} - {*PLACES, "seed"})
        differing = [k for k in names if len({str(s.get(k)) for s in settings}) > 1]
        for i, own in zip(rows.index, settings, strict=True):
            frame.loc[i, "label"] += " (" + ", ".join(f"{k} {own.get(k)}" for k in differing) + ")"
    return frame
