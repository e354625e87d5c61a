"""The figures of a report: for paper as files, and inside the page for light and for dark screens."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c2vl_lab import figures
from c2vl_lab.artifacts import read_json
from c2vl_lab.bench import run_figures
from c2vl_lab.bench.report_tables import Section
from c2vl_lab.bench.results import Run

PAGE_PIXELS = 944  # width of the page's text, so that all figures have one scale
PAGE_INCHES = figures.VENUES["page-light"].page
Draw = Callable[[figures.Look], figures.PaperFigure]


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
        folder: gets the PDF, SVG, PNG and data files.
        note: what has to be said about data and teacher; it ends every caption, and stands in the files' corners.
    """
    found = {}
    maker: dict[str, tuple[Draw | None, str]] = {
        "results": (
            lambda look: figures.ablation_bars(section.table, look=look),
            "Accuracy of every arm: bars are means, whiskers the sample standard deviation over seeds, dots the seeds.",
        ),
        "confusion": (
            _confusion(section),
            f"Confusion matrix of “{section.main}”, linear probe, summed over its seeds; rows are true classes.",
        ),
        "classes": (_classes(section), "Accuracy per class, linear probe, mean over seeds."),
        "training": (
            _training(section),
            f"Pre-training of “{section.main}”: mean over seeds, bands of one sample standard deviation.",
        ),
    }
    for name, (draw, caption) in maker.items():
        if draw is not None:
            ending = f" {note[0].upper()}{note[1:]}." if note else ""
            found[name] = picture(draw, folder / f"{prefix}{name}", caption + ending, note)
    return found


def picture(draw: Draw, path: Path, caption: str, note: str = "") -> Picture:
    """Draw a figure three times: for paper (files beside ``path``), for light screens and for dark ones.

    Args:
        draw: makes the figure for a look.
        path: target of :func:`c2vl_lab.figures.save`.
        caption: what stands under it on the page.
        note: what stands in its corner on paper; on the page the caption says it.
    """
    figures.save(draw(figures.Look(note=note)), path)
    shown, width = {}, 0.0
    for screen in ("light", "dark"):
        stream, figure = io.BytesIO(), draw(figures.Look(f"page-{screen}"))
        figure.savefig(stream, format="png", dpi=200, metadata={"Software": None})
        shown[screen], width = data_uri(stream.getvalue()), figure.look.width
    return Picture(path.name, caption, round(width / PAGE_INCHES * PAGE_PIXELS), shown["light"], shown["dark"])


def data_uri(png: bytes) -> str:
    """PNG bytes as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def newest(runs_dir: Path, name: str) -> Path | None:
    """The newest file of that name below a folder."""
    found = sorted(runs_dir.rglob(name), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def examples(runs_dir: Path) -> list[dict[str, Any]]:
    """Clips of ``examples.json`` (see :func:`c2vl_lab.figures.examples.save_examples`) with pictures as data URIs."""
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


def _confusion(section: Section) -> Draw | None:
    """How to draw the main arm's confusion matrix, summed over seeds."""
    runs = [run for run in _arm(section, "full")[1] if "confusion" in run.results]
    if not runs:
        return None
    counts, classes = run_figures.confusion(runs)
    return lambda look: figures.confusion_matrix(counts, classes, look)


def _classes(section: Section) -> Draw | None:
    """How to draw accuracy per class of the main arm between its nearest neighbours."""
    arms = dict(_arm(section, arm) for arm in ("full", "skeletonclr", "supervised"))
    shown = {label: found for label, runs in arms.items() if (found := run_figures.class_accuracies(runs))}
    return (lambda look: figures.per_class(shown, look)) if shown else None


def _training(section: Section) -> Draw | None:
    """How to draw the main arm's training curves."""
    label, runs = _arm(section, "full")
    rows = run_figures.curves(runs)
    return (lambda look: figures.training_curves({label: rows}, look)) if rows else None
