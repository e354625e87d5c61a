"""The page of a report: values in, one HTML file out that asks nobody for anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c2vl_lab.bench.attempts import SHARED
from c2vl_lab.bench.compared import RULE
from c2vl_lab.bench.pages import checkout, html_page
from c2vl_lab.bench.published import beside_section
from c2vl_lab.bench.report_costs import COLUMNS, costs, row_commands
from c2vl_lab.bench.report_figures import Picture, data_uri, examples, newest
from c2vl_lab.bench.report_protocols import class_gains, differences, protocol_tables
from c2vl_lab.bench.report_tables import Against, Section
from c2vl_lab.bench.results import Run


@dataclass(frozen=True)
class Page:
    """Everything that the page shows.

    Attributes:
        title: heading, already saying what is not the real thing.
        command: what a reader types to get the same report.
        sections: one for each data set and protocol.
        pictures: for each section, name to drawn figure.
        complete, rest: the runs, and those that failed or did not end.
        links: folder of a run to the address of its executed notebook.
        manifest: what made the report.
        runs_dir: where map and examples are looked for.
        note: what has to be said about data and teacher.
        published: numbers of the literature with ours among them.
    """

    title: str
    command: str
    sections: list[Section]
    pictures: list[dict[str, Picture]]
    complete: list[Run]
    rest: list[Run]
    links: dict[str, str]
    manifest: dict[str, Any]
    runs_dir: Path
    note: str
    published: list[dict[str, str]]


@dataclass(frozen=True)
class Tile:
    """One of the large numbers at the top."""

    value: str
    unit: str
    text: str


def render(page: Page) -> str:
    """The page as HTML; every value from data is escaped by the template."""
    map_json, map_png = newest(page.runs_dir, "joint_map.json"), newest(page.runs_dir, "joint_map.png")
    run_names = {run.path.name for run in (*page.complete, *page.rest)}
    values = {
        "page": page,
        "parts": list(zip(page.sections, page.pictures, map(tiles, page.sections), strict=True)),
        "protocols": list(map(protocol_tables, page.sections)),
        "compared": [differences(section) for section in page.sections],
        "gains": list(map(class_gains, page.sections)),
        "rule": RULE,
        "map_json": _script_safe(map_json.read_text(encoding="utf-8")) if map_json else "",
        "plotly": _plotly_library() if map_json else "",
        "map_png": data_uri(map_png.read_bytes()) if map_png else "",
        "examples": examples(page.runs_dir),
        "costs": costs(page.complete),
        "cost_columns": COLUMNS,
        "shared": SHARED,
        "commands": row_commands([*page.complete, *page.rest], page.command),
        "published": page.published,
        "beside": [beside_section(section.title, page.published) for section in page.sections],
        "notes": list(dict.fromkeys(str(n) for run in page.complete for n in run.results.get("notes", []))),
        "other_notebooks": {name: link for name, link in page.links.items() if name not in run_names},
        "checkout": checkout(page.manifest["commit"]),
    }
    return html_page("report_page.html", values)


def tiles(section: Section) -> list[Tile]:
    """The full method's numbers and its distance to the baseline without text and to the upper bound."""
    main = next((row for row in section.rows if row.main), None)
    if main is None:
        return []
    seeds = {len(runs) for label, runs in section.arms.items() if label == section.main}
    over = f"mean of {seeds.pop()} seeds" if seeds != {1} else "one seed"
    found = []
    for name, cell in zip(section.metrics, main.cells, strict=True):
        if name in ("linear probe", "1-NN") and cell.text:
            found.append(Tile(cell.text, "%", f"{name}, {main.label}, {over}"))
    for arm in ("skeletonclr", "supervised"):
        found += [_distance(a) for a in section.against if a.values and section.arms[a.label][0].arm == arm][:1]
    return found


def _distance(against: Against) -> Tile:
    """A difference as a tile, with its interval."""
    on = f", {against.on}" if against.on else ""
    text = f"linear probe against “{against.label}” (95 %: {against.interval}){on}"
    return Tile(against.difference, "points", text)


def _script_safe(json_text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return json_text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _plotly_library() -> str:
    """plotly's own script, to be written into the page once."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()
