"""Numbers of the literature, each with its source, and ours beside them: measured, or not run and how to run it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_lab.bench.results import Run
from c2vl_lab.errors import DataError, MissingError

COLUMNS = ["method", "evaluation", "stream", "dataset", "protocol", "accuracy", "source"]
NAMES = {"NTU-60": "ntu60", "NTU-120": "ntu120", "PKU-MMD I": "pku1", "PKU-MMD II": "pku2"}  # as the papers write them
LICENCE = {"ntu60": "NTU", "ntu120": "NTU", "pku1": "PKU-MMD", "pku2": "PKU-MMD"}
SEMI, TRANSFER = "semi-supervised, ", "transfer from "
FROZEN = ", frozen features"
NO_FUSION = "this package fuses probes of three streams, not fine-tuned ones; for one of them: "


def published(extra: str | Path = "") -> list[dict[str, str]]:
    """Published accuracies in %: the package's ``published.csv``, then one's own file of the same columns.

    Args:
        extra: a CSV file with the columns ``method, evaluation, stream, dataset, protocol, accuracy, source``. A data
            set and protocol may be written as in the papers (NTU-60, x-sub) or as here (ntu60, xsub). Empty: none.

    Raises:
        MissingError: there is no such file.
        DataError: other columns, an accuracy that is no number from 0 to 100, or no source; file and line are named.
    """
    rows = _read(files("c2vl_lab.bench") / "published.csv")
    if not str(extra):
        return rows
    if not Path(extra).is_file():
        raise MissingError(f"There is no file of published numbers {extra}. Wanted CSV with {', '.join(COLUMNS)}.")
    return rows + _read(Path(extra))


def standings(runs: Sequence[Run], extra: str | Path = "") -> list[dict[str, str]]:
    """Published numbers by evaluation, stream, data set and protocol, with ours under each group.

    Ours are the mean and sample standard deviation over seeds of every arm of these runs: the linear probe, and what
    the protocols "finetune", "semi-finetune" and "transfer" have measured. Where there is no run: why, and the command
    that would make it. The published few-label numbers are fine-tuned; those of the protocol "semi", probes on frozen
    features, stand beside them under a name of their own.

    Args:
        runs: of a report; those that are not complete are left out.
        extra: one's own file of published numbers, see :func:`published`.

    Returns:
        Rows of the columns of ``published.csv`` and ``ours`` ("yes" or ""); ours have the command or runs as source.
    """
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in published(extra):
        groups.setdefault(tuple(row[c] for c in ("evaluation", "stream", "dataset", "protocol")), []).append(row)
    found = []
    for (evaluation, stream, dataset, protocol), rows in groups.items():
        found += [{**row, "ours": ""} for row in rows]
        about = {"stream": stream, "dataset": dataset, "protocol": protocol, "ours": "yes"}
        code, part = NAMES.get(dataset, dataset), protocol.replace("-", "")
        measured = _measured(runs, evaluation, stream, code, part)
        found += [{**about, "evaluation": evaluation, **row} for row in _in_words(measured)]
        if evaluation.startswith(SEMI):
            frozen = _measured(runs, evaluation + FROZEN, stream, code, part)
            found += [{**about, "evaluation": evaluation + FROZEN, **row} for row in _in_words(frozen)]
        if not measured:
            owner = LICENCE.get(code)
            why = f"not run: needs the {owner} licence" if owner else "not run"
            source = command(evaluation, stream, code, part)
            found.append({**about, "method": why, "evaluation": evaluation, "accuracy": "–", "source": source})
    return found


def beside_section(section_title: str, rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Rows of :func:`standings` about one data set and protocol, where others have published something about it.

    Args:
        section_title: ``ntu60, xsub``, as the report's sections are called.
        rows: of :func:`standings`.
    """
    here = [row for row in rows if section_title == f"{NAMES.get(row['dataset'], row['dataset'])}, {_code(row)}"]
    measured = [row for row in here if row["accuracy"] != "–"]
    return measured if any(not row["ours"] for row in measured) else []


def _code(row: Mapping[str, str]) -> str:
    return row["protocol"].replace("-", "")


def command(evaluation: str, stream: str, dataset: str, protocol: str) -> str:
    """What one types to get our number beside a published one; DATA is the folder of the published files."""
    bench = f"c2vl bench own --preset full --data DATA --set dataset={dataset} --set protocol={protocol}"
    one, three = f"{bench} --set stream={stream}", stream == "three streams"
    if evaluation == "linear" and three:
        each = "; ".join(f"{bench} --set stream={own}" for own in ("joint", "bone", "motion"))
        return f"{each}; c2vl fuse JOINT_RUN BONE_RUN MOTION_RUN"
    if evaluation == "linear":
        return one
    if evaluation == "supervised" and not three:
        return f"{one} --only arm=supervised"
    if evaluation == "supervised":
        return NO_FUSION + f"{bench} --set stream=joint --only arm=supervised"
    if evaluation == "fine-tuned":
        tuned = "--protocols finetune"
    elif evaluation.startswith(SEMI):
        tuned = "--protocols semi-finetune"
    elif evaluation.startswith(TRANSFER):
        source = evaluation.removeprefix(TRANSFER)
        bench = bench.replace(f"dataset={dataset}", f"dataset={NAMES.get(source, source)}")
        tuned = f"--protocols transfer --on {dataset}:{protocol}"
    else:
        return "this package has no command for it"
    own = "joint" if three else stream
    return (NO_FUSION if three else "") + f"{bench} --set stream={own}; c2vl evaluate RUN {tuned}"


def _measured(runs: Sequence[Run], evaluation: str, stream: str, dataset: str, protocol: str) -> dict[str, list[float]]:
    """Arm to one accuracy in % a seed."""
    found: dict[str, list[float]] = {}
    source = evaluation.removeprefix(TRANSFER) if evaluation.startswith(TRANSFER) else ""
    for run in runs:
        if source:
            same = run.results.get("dataset") == NAMES.get(source, source)
        else:
            same = run.results.get("dataset") == dataset and run.results.get("split", {}).get("protocol") == protocol
        if run.status != "complete" or not same or run.parameters.get("stream", "joint") != stream:
            continue
        value = _transferred(run, f"{dataset}:{protocol}") if source else _value(run, evaluation)
        if value is not None:
            found.setdefault(run.label, []).append(100 * value)
    return found


def _value(run: Run, evaluation: str) -> float | None:
    """A run's accuracy in an evaluation, where it has one; supervised numbers stand under "supervised" alone."""
    if run.arm == "supervised" or evaluation == "supervised":
        return run.results["metrics"].get("own_head") if run.arm == evaluation == "supervised" else None
    if evaluation == "linear":
        return run.results["metrics"].get("linear")
    if evaluation == "fine-tuned":
        return _mean(run.results.get("protocols", {}).get("finetune", {}), "all labels")
    if evaluation.startswith(SEMI):
        protocol = "semi" if evaluation.endswith(FROZEN) else "semi-finetune"
        wanted = evaluation.removeprefix(SEMI).removesuffix(FROZEN)
        return _mean(run.results.get("protocols", {}).get(protocol, {}), f"{wanted} of")
    return None


def _transferred(run: Run, target: str) -> float | None:
    """A run's accuracy on another set, fine-tuned there."""
    targets = run.results.get("protocols", {}).get("transfer", {}).get("targets", {})
    return _mean(targets.get(target, {}), "fine-tuned")


def _mean(record: Mapping[str, Any], begins: str) -> float | None:
    """The first number of a protocol whose name begins so."""
    return next((m["mean"] for m in record.get("measures", ()) if m["name"].startswith(begins)), None)


def _in_words(measured: Mapping[str, list[float]]) -> list[dict[str, str]]:
    """Ours, one row an arm."""
    rows = []
    for label, values in measured.items():
        spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
        seeds = f"{len(values)} seed{'s' if len(values) > 1 else ''}, here"
        rows.append({"method": label, "accuracy": f"{np.mean(values):.1f}{spread}", "source": seeds})
    return rows


def _read(path) -> list[dict[str, str]]:
    """The rows of a CSV file, checked."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for line, row in enumerate(rows, start=2):
        if list(row) != COLUMNS or None in row.values():
            raise DataError(f"{path}, line {line}: wanted the columns {', '.join(COLUMNS)}, found {[*row.values()]}.")
        try:
            within = 0 <= float(row["accuracy"]) <= 100
        except ValueError:
            within = False
        if not within or not row["source"].strip():
            raise DataError(
                f"{path}, line {line}: wanted an accuracy from 0 to 100 and its source, found '{row['accuracy']}' and "
                f"'{row['source']}'."
            )
    return rows
