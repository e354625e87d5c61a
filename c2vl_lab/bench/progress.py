"""A suite as it stands, read from its folder: one row a run with progress, rate and time left.

Whoever runs it, this process, another one or a cluster, writes ``suite.json`` and every run's files; whoever watches
reads them: the table in a terminal and the one in a notebook.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import read_json
from c2vl_lab.bench.locks import is_taken
from c2vl_lab.bench.runs import Job
from c2vl_lab.errors import C2VLError
from c2vl_lab.logs import read_status

ORDER = ("running", "failed", "waiting", "complete")


@dataclass(frozen=True)
class Row:
    """One run of a suite.

    Attributes:
        id, label: of the run, the label with its seed.
        state: "running", "complete", "failed" or "waiting".
        doing: how far it is in words: "epoch 12/60", "[cell 9/18] Results", or its error.
        share: of its training that is done, 0 to 1.
        rate: clips a second while it trains, else 0.
        left: seconds that its training takes still, or None.
        seconds: since it was begun, or that it took; None where that is not known.
    """

    id: str
    label: str
    state: str
    doing: str = ""
    share: float = 0.0
    rate: float = 0.0
    left: float | None = None
    seconds: float | None = None


def suite_rows(folder: str | Path) -> list[Row]:
    """The rows of a suite's folder, in the suite's order; none where no suite has been started there."""
    folder = Path(folder)
    try:
        listed = read_json(folder / "suite.json")["runs"]
        return [_row(folder / str(run["id"]), run) for run in listed]
    except (OSError, C2VLError, KeyError, TypeError):
        return []


def headline(rows: list[Row]) -> str:
    """``3 of 21 complete, 2 running, 1 failed; about 40 min left``."""
    states = Counter(row.state for row in rows)
    words = [f"{states['complete']} of {len(rows)} complete"]
    words += [f"{states[state]} {state}" for state in ("running", "failed", "waiting") if states[state]]
    left = time_left(rows)
    return ", ".join(words) + (f"; about {clock(left)} left" if left is not None else "")


def time_left(rows: list[Row]) -> float | None:
    """Seconds until all have ended, if the runs to come take as long as those that have, at as many at once."""
    took = [row.seconds for row in rows if row.state == "complete" and row.seconds]
    running = [row for row in rows if row.state == "running"]
    waiting = sum(row.state == "waiting" for row in rows)
    if not running or not took:
        return None
    each = sum(took) / len(took)
    rest = [max(each - (row.seconds or 0.0), row.left or 0.0, 0.0) for row in running]
    return max((sum(rest) + waiting * each) / len(running), max(rest))


def clock(seconds: float | None) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``; nothing for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _row(folder: Path, run: dict[str, Any]) -> Row:
    """One run by the suite's list and its own folder."""
    name, label, listed = str(run["id"]), str(run["label"]), str(run["status"])
    seed = run.get("parameters", {}).get("seed")
    label += f", seed {seed}" if seed is not None else ""
    begun, ended = _changed(folder / "run.json"), _changed(folder / "results.json")
    if is_taken(folder):
        status = read_status(folder)
        now = status.get("time") if status.get("state") == "running" else None
        fresh = now is not None and begun is not None and now >= begun - 1  # not of an earlier attempt
        row = Row(name, label, "running", seconds=None if begun is None else max(0.0, time.time() - begun))
        return _training(row, status) if fresh else _telling(row, folder)
    if listed == "complete":
        took = ended - begun if begun and ended and ended > begun else None
        return Row(name, label, "complete", share=1.0, seconds=took)
    if listed == "failed":
        return Row(name, label, "failed", str(run.get("error", "")))
    return Row(name, label, "waiting")


def _training(row: Row, status: dict[str, Any]) -> Row:
    """A run that trains, by its status."""
    epoch, epochs = _number(status, "epoch"), _number(status, "epochs")
    batch = _number(status, "step") / (_number(status, "batches") or 1)
    share = min(1.0, (epoch + batch) / epochs) if epochs else 0.0
    rate, left = _number(status, "clips_per_second"), status.get("seconds_left")
    left = float(left) if isinstance(left, (int, float)) else None
    return Row(row.id, row.label, row.state, f"epoch {epoch:.0f}/{epochs:.0f}", share, rate, left, row.seconds)


def _telling(row: Row, folder: Path) -> Row:
    """A run that does something else, by the last line of its log."""
    try:
        with open(folder / "log.txt", "rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - 2000))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    said = next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "starting")
    return Row(row.id, row.label, row.state, said[:90], seconds=row.seconds)


def _number(values: dict[str, Any], name: str) -> float:
    value = values.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def last_word(job: Job) -> str:
    """``, epoch 12 of 60, loss 2.31`` while the run trains, else the last line of its log."""
    row, epochs = _last_row(job), job.parameters.get("epochs")
    if "epoch" in row and row["epoch"] != epochs:
        of = f" of {epochs}" if epochs else ""
        loss = f", loss {row['loss']:.3g}" if isinstance(row.get("loss"), (int, float)) else ""
        return f", epoch {row['epoch']}{of}{loss}"
    try:
        lines = job.log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return f", {said[-1][:90]}" if said else ""


def _last_row(job: Job) -> dict[str, Any]:
    try:
        lines = (job.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    for line in reversed(lines[-2:]):  # the very last may be half written
        try:
            row = json.loads(line)
        except ValueError:
            continue
        return row if isinstance(row, dict) else {}
    return {}
