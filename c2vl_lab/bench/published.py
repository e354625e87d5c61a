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
# the suites that come with the package, by data set and protocol
SUITES = {("ntu60", "xsub"): "ntu60-xsub", ("ntu60", "xview"): "ntu60-xview", ("ntu120", "xsub"): "ntu120-xsub"}
SUITES |= {("ntu120", "xset"): "ntu120-xset", ("pku1", "xsub"): "pkummd-1", ("pku2", "xsub"): "pkummd-2"}
FEW_LABELS, CARRIED = ("ntu60",), {"pku2:xsub": ("pku1", "ntu60", "ntu120")}  # what suites semi and transfer hold
STREAMS = ("joint", "bone", "motion")
SCRATCH = "Supervised from scratch"


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
    """What one types to get our number beside a published one; DIR is the folder of the published files.

    Three streams are trained one after the other by the same suite, whose report fuses them. A data set without a suite
    of its own takes the suite "own".
    """
    three, source = stream == "three streams", evaluation.removeprefix(TRANSFER)
    if source != evaluation:
        return _carried(NAMES.get(source, source), "joint" if three else stream, f"{dataset}:{protocol}", three)
    tuned = {"fine-tuned": "finetune", "supervised": "scratch"}.get(evaluation, "")
    tuned = "semi-finetune" if evaluation.startswith(SEMI) else tuned
    if not tuned and evaluation != "linear":
        return "this package has no command for it"
    more = f" --set protocols={tuned}" if tuned else ""
    if evaluation == "supervised" and not three:
        return _bench(dataset, protocol, stream, "supervised")
    if tuned == "semi-finetune" and dataset in FEW_LABELS and stream == "joint":
        return f"c2vl bench semi --data DIR --only arm=full --only protocol={protocol}{more}"
    if three and (dataset, protocol) not in SUITES:
        each = "; ".join(_bench(dataset, protocol, own) + more for own in STREAMS)
        return f"{each}; c2vl fuse JOINT_RUN BONE_RUN MOTION_RUN"
    return _bench(dataset, protocol, "" if three else stream) + more


def _bench(dataset: str, protocol: str, stream: str, arm: str = "full") -> str:
    """The command that trains and measures an arm on a stream, or on all three."""
    suite = SUITES.get((dataset, protocol))
    only = f" --only arm={arm}"
    if not suite:
        own = f"--set dataset={dataset} --set protocol={protocol} --set stream={stream}"
        return f"c2vl bench own --preset full --data DIR {own}{only}"
    if arm == "supervised":  # the suites have it on joints alone; another stream is trained by a protocol
        arms = f" --only arm=full --only stream={stream} --set protocols=scratch"
        return f"c2vl bench {suite} --data DIR" + (only if stream == "joint" else arms)
    return f"c2vl bench {suite} --data DIR{only}" + (f" --only stream={stream}" if stream else "")


def _carried(source: str, stream: str, target: str, three: bool) -> str:
    """The command that carries an encoder to another set and trains it on there."""
    alone = "streams that were carried to another set are not fused; for one of them: " if three else ""
    if source in CARRIED.get(target, ()) and stream == "joint":
        only = f"--only arm=full --only pretrain_on={source}:xsub"
        return f"{alone}c2vl bench transfer --data DIR {only} --set protocols=finetune"
    return f"{alone}{_bench(source, 'xsub', stream)} --set protocols=transfer --set transfer_to={target}"


def _measured(runs: Sequence[Run], evaluation: str, stream: str, dataset: str, protocol: str) -> dict[str, list[float]]:
    """Arm to one accuracy in % a seed."""
    found: dict[str, dict[object, float]] = {}
    source = evaluation.removeprefix(TRANSFER) if evaluation.startswith(TRANSFER) else ""
    for run in runs:
        here = run.results.get("dataset") == dataset and run.results.get("split", {}).get("protocol") == protocol
        same = here or run.results.get("dataset") == NAMES.get(source, source) if source else here
        if run.status != "complete" or not same or run.parameters.get("stream", "joint") != stream:
            continue
        value = _transferred(run, source, f"{dataset}:{protocol}") if source else _value(run, evaluation)
        if value is not None:
            scratch = evaluation == "supervised" and run.arm != "supervised"  # the same beside every arm
            own = found.setdefault(SCRATCH if scratch else run.label, {})
            own[run.seed if scratch else run.path] = 100 * value
    return {label: list(values.values()) for label, values in found.items()}


def _value(run: Run, evaluation: str) -> float | None:
    """A run's accuracy in an evaluation, where it has one; supervised numbers stand under "supervised" alone."""
    if evaluation == "supervised" and run.arm != "supervised":
        return _mean(run.results.get("protocols", {}).get("scratch", {}), "all labels")
    if run.arm == "supervised":
        return run.results["metrics"].get("own_head") if evaluation == "supervised" else None
    if evaluation == "linear":
        return run.results["metrics"].get("linear")
    if evaluation == "fine-tuned":
        return _mean(run.results.get("protocols", {}).get("finetune", {}), "all labels")
    if evaluation.startswith(SEMI):
        protocol = "semi" if evaluation.endswith(FROZEN) else "semi-finetune"
        wanted = evaluation.removeprefix(SEMI).removesuffix(FROZEN)
        return _mean(run.results.get("protocols", {}).get(protocol, {}), f"{wanted} of")
    return None


def _transferred(run: Run, source: str, target: str) -> float | None:
    """A run's accuracy on another set, fine-tuned there: carried there, or trained elsewhere and measured there."""
    protocols = run.results.get("protocols", {})
    if run.results.get("dataset") == NAMES.get(source, source):
        return _mean(protocols.get("transfer", {}).get("targets", {}).get(target, {}), "fine-tuned")
    elsewhere = [name.partition(":")[0] for name in run.results.get("pretrained_on", ())]
    return _mean(protocols.get("finetune", {}), "all labels") if elsewhere == [NAMES.get(source, source)] else None


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
