"""The report as one PDF to print or send, set by Typst: no browser, no LaTeX, nothing asked of a network."""

from __future__ import annotations

import datetime
import json
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.bench.attempts import SHARED
from c2vl_lab.bench.compared import RULE
from c2vl_lab.bench.pages import checkout
from c2vl_lab.bench.published import beside_section
from c2vl_lab.bench.report_costs import COLUMNS, costs, row_commands
from c2vl_lab.bench.report_figures import PAGE_PIXELS, Picture
from c2vl_lab.bench.report_page import Page, tiles
from c2vl_lab.bench.report_protocols import differences, protocol_tables
from c2vl_lab.bench.report_tables import Cell, Section

PICTURES = {"results": 100, "training": 100, "classes": 100, "confusion": 75}  # largest width in % of the text's


def write_pdf(page: Page, report_dir: Path) -> Path:
    """``report.pdf``: tables, figures, what was run on what, costs, and the commands.

    Args:
        page: what the HTML page shows.
        report_dir: folder of the report; its ``figures/*.pdf`` are set into the pages as they are.
    """
    values = pdf_values(page, report_dir / "figures")
    made = datetime.datetime.strptime(page.manifest["made"], "%Y-%m-%d %H:%M UTC").replace(tzinfo=datetime.UTC)
    with atomic_path(report_dir / "report.pdf") as temporary:
        temporary.write_bytes(typeset("report_pdf.typ", values, report_dir / "figures", made))
    return report_dir / "report.pdf"


def typeset(template: str, values: dict[str, Any], figures: Path, made: datetime.datetime) -> bytes:
    """A PDF of a template of this folder.

    Args:
        template: its name.
        values: what it reads as ``report.json``; text in there is never read as markup.
        figures: folder whose PDFs it may show.
        made: the time that the file names as its own; the same values then give the same bytes.
    """
    import typst

    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "report.typ").write_text((files("c2vl_lab.bench") / template).read_text(encoding="utf-8"))
        (root / "report.json").write_text(json.dumps(values), encoding="utf-8")
        for path in figures.glob("*.pdf"):
            shutil.copyfile(path, root / path.name)
        return typst.compile(str(root / "report.typ"), root=place, timestamp=made)


def pdf_values(page: Page, figures: Path) -> dict[str, Any]:
    """Everything that the template shows, as plain values."""
    took = costs(page.complete)
    runs = len([run for run in page.complete if not run.is_fused])
    made = [page.manifest["made"], f"{runs} runs complete"]
    made += [f"commit {page.manifest['commit']}"] if page.manifest["commit"] else []
    joint = figures / "joint_map.pdf"
    caption = "Concept map: skeletons, sentences and pictures of the same clips in the learned joint space; distances "
    caption += "on such a map are bent." + _note(page)
    return {
        "title": page.title,
        "made": " · ".join(made),
        "note": page.note,
        "rule": RULE,
        "sections": [_section(page, section, own) for section, own in zip(page.sections, page.pictures, strict=True)],
        "map": {"file": joint.name, "caption": caption, "width": 100} if joint.is_file() else None,
        "rest": [[run.path.name, run.label, run.status, run.error or "no results yet"] for run in page.rest],
        "costs": {
            "names": list(COLUMNS),
            "rows": [list(row.values()) for row in took.rows],
            "sentence": took.sentence,
            "shared": SHARED if took.total.joules else "",
        },
        "command": page.command,
        "checkout": checkout(page.manifest["commit"]),
        "commands": row_commands([*page.complete, *page.rest], page.command),
        "notes": list(dict.fromkeys(str(n) for run in page.complete for n in run.results.get("notes", []))),
    }


def _note(page: Page) -> str:
    return f" {page.note[0].upper()}{page.note[1:]}." if page.note else ""


def _section(page: Page, section: Section, pictures: dict[str, Picture]) -> dict[str, Any]:
    """One data set and protocol."""
    heads = [
        row.group if i == 0 or row.group != section.rows[i - 1].group else "" for i, row in enumerate(section.rows)
    ]
    shown = differences(section, headline=True)
    beside = beside_section(section.title, page.published)
    names = ("method", "evaluation", "stream", "source", "accuracy")
    return {
        "title": section.title,
        "main": section.main,
        "tiles": [vars(tile) for tile in tiles(section)],
        "metrics": section.metrics,
        "rows": [
            _row(row.label, row.cells, group, row.encoder) for row, group in zip(section.rows, heads, strict=True)
        ],
        "beside": [
            [row[name] + (" (ours)" if row["ours"] and name == "method" else "") for name in names] for row in beside
        ],
        "pictures": {name: _picture(pictures.get(name), most) for name, most in PICTURES.items()},
        "against": [
            [f"{a.label} ({a.on})" if a.on else a.label, a.verdict, a.difference, a.interval] for a in section.against
        ],
        "protocols": [
            {
                "title": table.title,
                "measures": table.measures,
                "rows": [_row(label, [Cell(seeds), *cells]) for label, seeds, cells in table.rows],
                "absent": [f"Not measured, since {reason}: {', '.join(arms)}." for reason, arms in table.absent],
            }
            for table in protocol_tables(section)
        ],
        "differences": [list(shown[0]), [list(row.values()) for row in shown]] if shown else [],
        "facts": section.facts,
    }


def _row(label: str, cells: list[Cell], group: str = "", about: str = "") -> dict[str, Any]:
    return {"label": label, "cells": [vars(cell) for cell in cells], "group": group, "about": about}


def _picture(own: Picture | None, most: int) -> dict[str, Any] | None:
    """File, caption and width in % of the text's."""
    if own is None:
        return None
    return {
        "file": f"{own.name}.pdf",
        "caption": own.caption,
        "width": min(most, 100 * own.width / PAGE_PIXELS),
    }
