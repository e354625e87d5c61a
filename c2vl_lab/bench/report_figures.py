"""The figures of a report: for paper as PDF and PNG, and inside the page for light and for dark screens."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from c2vl_lab.artifacts import read_json
from c2vl_lab.bench.report_tables import Section
from c2vl_lab.bench.results import Run
from c2vl_lab.logs import read_metrics
from c2vl_lab.viz import figures, theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE_PIXELS = 944  # width of the page's text, so that all figures have one scale


@dataclass(frozen=True)
class Picture:
    """A figure on the page: name of its files, caption, width in CSS pixels, and data URIs for both screens."""

    name: str
    caption: str
    width: int
    light: str
    dark: str


def draw_section(section: Section, prefix: str, folder: Path, note: str) -> dict[str, Picture]:
    """Draw everything that the section's runs hold: bars, confusion, classes, training.

    Args:
        section: the section.
        prefix: starts the file names.
        folder: gets the PDF and PNG files.
        note: what has to be said about data and teacher; it ends every caption.
    """
    found = {}
    maker: dict[str, tuple[Callable[[], Figure] | None, str]] = {
        "results": (
            lambda: figures.results_bars(section.table),
            "Accuracy of every arm: bars are means, whiskers the sample standard deviation over seeds, dots the seeds.",
        ),
        "confusion": (
            _confusion(section),
            f"Confusion matrix of “{section.main}”, linear probe, summed over its seeds; rows are true classes.",
        ),
        "classes": (_classes(section), "Accuracy per class, linear probe, mean over seeds."),
        "training": (
            _training(section),
            f"Pre-training of “{section.main}”: each seed faint, their mean strong.",
        ),
    }
    for name, (draw, caption) in maker.items():
        if draw is not None:
            ending = f" {note[0].upper()}{note[1:]}." if note else ""
            found[name] = picture(draw, folder / f"{prefix}{name}", caption + ending)
    return found


def picture(draw: Callable[[], Figure], path: Path, caption: str) -> Picture:
    """Draw a figure three times: for paper (to ``path``.pdf and .png), for light screens and for dark ones."""
    with theme.style():
        figures.save_figure(draw(), path)
    shown, width = {}, 0.0
    for screen in ("light", "dark"):
        with theme.style(screen):
            stream, figure = io.BytesIO(), draw()
            figure.savefig(stream, format="png", dpi=200, metadata={"Software": None})
        shown[screen], width = data_uri(stream.getvalue()), figure.get_figwidth()
    return Picture(path.name, caption, round(width / theme.PAGE_WIDTH * PAGE_PIXELS), shown["light"], shown["dark"])


def data_uri(png: bytes) -> str:
    """PNG bytes as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def newest(runs_dir: Path, name: str) -> Path | None:
    """The newest file of that name below a folder."""
    found = sorted(runs_dir.rglob(name), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def examples(runs_dir: Path) -> list[dict[str, Any]]:
    """Clips of ``examples.json`` (see :func:`c2vl_lab.viz.examples.save_examples`) with pictures as data URIs."""
    path = newest(runs_dir, "examples.json")
    if path is None:
        return []
    shown = []
    for entry in read_json(path):
        images = {key: path.parent / Path(entry.get(key) or "none").name for key in ("strip", "pictures")}
        shown.append(entry | {k: data_uri(p.read_bytes()) if p.is_file() else "" for k, p in images.items()})
    return shown


def _arm(section: Section, arm: str) -> tuple[str, list[Run]]:
    """Label and runs of an arm, the full method's being the section's main one; ("", []) without such runs."""
    wanted = {label: runs for label, runs in section.arms.items() if runs[0].arm == arm}
    label = section.main if arm == "full" else next(iter(wanted), "")
    return label, wanted.get(label, [])


def _confusion(section: Section) -> Callable[[], Figure] | None:
    """How to draw the main arm's confusion matrix, summed over seeds."""
    _, runs = _arm(section, "full")
    matrices = [np.asarray(run.results["confusion"]) for run in runs if "confusion" in run.results]
    if not matrices:
        return None
    total = np.sum(matrices, axis=0)
    return lambda: figures.confusion_matrix(total, runs[0].results["classes"])


def _classes(section: Section) -> Callable[[], Figure] | None:
    """How to draw accuracy per class of the main arm between its nearest neighbours."""
    shown = {}
    for arm in ("full", "skeletonclr", "supervised"):
        label, runs = _arm(section, arm)
        found = [run.results["per_class"] for run in runs if "per_class" in run.results]
        if found:
            shown[label] = {name: float(np.mean([f[name] for f in found if name in f])) for name in found[0]}
    return (lambda: figures.per_class(shown)) if shown else None


def _training(section: Section) -> Callable[[], Figure] | None:
    """How to draw the main arm's training curves."""
    _, runs = _arm(section, "full")
    rows = {f"seed {run.parameters.get('seed', 0)}": read_metrics(run.path / "metrics.jsonl") for run in runs}
    rows = {seed: found for seed, found in rows.items() if found}
    return (lambda: figures.training_curves(rows)) if rows else None


def origin(runs: Sequence[Run]) -> str:
    """What the runs' data and teacher are not, in words; empty when both are the real thing."""
    generated = any(run.results.get("generated") for run in runs)
    stand_in = any(run.results.get("stand_in_teacher") for run in runs)
    return theme.origin_note(generated, stand_in)
