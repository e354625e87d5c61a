"""A folder of runs becomes a report: one page that opens without a network, tables, figures, executed notebooks."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import c2vl_lab
from c2vl_lab.artifacts import atomic_folder, atomic_path, file_sha256, read_json, write_json
from c2vl_lab.bench.machine import git_commit
from c2vl_lab.bench.notebooks import is_finished
from c2vl_lab.bench.paper_tables import write_paper_tables
from c2vl_lab.bench.published import standings
from c2vl_lab.bench.report_costs import costs, row_commands, run_spent, spent_record
from c2vl_lab.bench.report_figures import draw_section
from c2vl_lab.bench.report_markdown import markdown
from c2vl_lab.bench.report_page import Page, render
from c2vl_lab.bench.report_pdf import write_pdf
from c2vl_lab.bench.report_protocols import long_tables
from c2vl_lab.bench.report_tables import Section, sections
from c2vl_lab.bench.results import Run, find_runs, listed_row, results_frame
from c2vl_lab.bench.run_figures import origin
from c2vl_lab.bench.sides import KEPT, keep_predictions
from c2vl_lab.bench.suite import is_place


def build_report(
    runs_dir: str | Path, report_dir: str | Path, title: str, command: str = "", published: str | Path = ""
) -> Path:
    """Write a report on all runs below a folder.

    The folder gets ``index.html`` (one self-contained page), ``report.pdf``, ``results.csv`` and ``results.parquet``
    (one row a run), ``predictions.parquet`` (one row a test clip), ``protocols.csv`` (one row for each arm and
    measure), ``comparisons.csv`` (arms against one another), ``results.md`` (the tables), ``paper_tables.tex`` and
    ``paper_tables.md`` (for a paper), ``manifest.json`` (what made them), ``figures/`` and ``notebooks/``.
    Besides the runs the page shows, where they exist below ``runs_dir``: ``joint_map.json`` and ``joint_map.png``
    (:func:`c2vl_lab.figures.maps.save_map`) and ``examples.json`` (:func:`c2vl_lab.figures.examples.save_examples`).

    Args:
        runs_dir: folder of the runs, at any depth.
        report_dir: folder of the report; an older report there is replaced.
        title: heading; "generated clips" and "stand-in teacher" are added where that is so.
        command: what a reader types to get the same report.
        published: one's own file of published numbers, see :func:`c2vl_lab.bench.published.published`.

    Returns:
        Path of ``index.html``.

    Raises:
        MissingError: there is no run below ``runs_dir``.
    """
    runs_dir, report_dir = Path(runs_dir), Path(report_dir)
    runs = find_runs(runs_dir)
    complete = [run for run in runs if run.status == "complete"]
    rest = [run for run in runs if run.status != "complete"]
    heading = full_title(title, runs)
    card = read_json(runs_dir / "suite.json") if (runs_dir / "suite.json").is_file() else {}
    found = sections(runs, str(card.get("main", "")))
    beside = standings(complete, published)  # before anything is written: the file may be wrong
    report_dir.mkdir(parents=True, exist_ok=True)
    _write_tables(report_dir, complete, found, markdown(heading, found, rest, command, beside))
    write_paper_tables(report_dir, found, beside)
    with atomic_folder(report_dir / "figures") as folder:
        names = [f"{number}-" if len(found) > 1 else "" for number in range(1, len(found) + 1)]
        note = origin(complete)
        drawn = [draw_section(section, name, folder, note) for section, name in zip(found, names, strict=True)]
        for path in (p for kind in ("png", "pdf") for p in runs_dir.rglob(f"joint_map.{kind}")):
            shutil.copyfile(path, folder / path.name)
    links = _copy_notebooks(runs_dir, runs, report_dir)
    manifest = _manifest(report_dir, heading, command, runs, card)
    write_json(report_dir / "manifest.json", manifest)
    page = Page(heading, command, found, drawn, complete, rest, links, manifest, runs_dir, note, beside)
    with atomic_path(report_dir / "index.html") as temporary:
        temporary.write_text(render(page), encoding="utf-8")
    write_pdf(page, report_dir)
    return report_dir / "index.html"


def full_title(title: str, runs: Sequence[Run]) -> str:
    """The title with what has to be known before any number is read."""
    generated = any(run.results.get("generated") or run.parameters.get("dataset") == "generated" for run in runs)
    stand_in = any(run.results.get("stand_in_teacher") for run in runs)
    wanted = [word for word, so in (("generated clips", generated), ("stand-in teacher", stand_in)) if so]
    absent = [word for word in wanted if word not in title.lower()]
    return f"{title} ({', '.join(absent)})" if absent else title


def _write_tables(report_dir: Path, runs: list[Run], found: list[Section], text: str) -> None:
    """One row a run as CSV and parquet; predictions; the protocols' numbers and comparisons; the tables as Markdown."""
    with atomic_path(report_dir / KEPT) as temporary:
        keep_predictions(found, temporary)
    for name, table in zip(("protocols.csv", "comparisons.csv"), long_tables(found), strict=True):
        with atomic_path(report_dir / name) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")
    frame = results_frame(runs).drop(columns="key", errors="ignore")
    with atomic_path(report_dir / "results.csv") as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
    with atomic_path(report_dir / "results.parquet") as temporary:
        frame.to_parquet(temporary, index=False)
    with atomic_path(report_dir / "results.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _copy_notebooks(runs_dir: Path, runs: list[Run], report_dir: Path) -> dict[str, str]:
    """Copy every executed notebook; folder name to its address as seen from the page."""
    own = {run.path for run in runs}
    links = {}
    with atomic_folder(report_dir / "notebooks") as folder:
        for path in sorted(runs_dir.rglob("executed.ipynb")):
            if path.parent not in own and not is_finished(path):
                continue  # the notebook that builds this report is still being written
            shutil.copyfile(path, folder / f"{path.parent.name}.ipynb")
            links[path.parent.name] = f"notebooks/{path.parent.name}.ipynb"
    return links


def _manifest(report_dir: Path, title: str, command: str, runs: list[Run], card: dict[str, Any]) -> dict[str, Any]:
    """What made the report: command, code, machine, costs, and every run with its state and its results' digest."""
    now = datetime.datetime.now(datetime.UTC)
    only = dict(row_commands(runs, command))
    return {
        "title": title,
        "suite": card.get("suite", ""),
        "preset": card.get("preset", ""),
        "made": now.strftime("%Y-%m-%d %H:%M UTC"),
        "command": command,
        "c2vl_lab": c2vl_lab.__version__,
        "commit": git_commit(),
        "devices": list(dict.fromkeys(r.results["device"] for r in runs if r.results.get("device"))),
        "seeds": sorted({run.seed for run in runs}),
        "spent": spent_record(costs(runs).total),
        "fingerprints": sorted({r.results["fingerprint"] for r in runs if "fingerprint" in r.results}),
        "versions": next((r.results["versions"] for r in runs if "versions" in r.results), {}),
        "files": {p.name: file_sha256(p) for p in sorted(report_dir.glob("results.*"))},
        "runs": [
            {
                "run": run.path.name,
                "label": run.label,
                "status": run.status,
                "error": run.error,
                # a report is sent to others: of one's own store its folder's name is enough
                "parameters": {
                    k: Path(v).name if k == "dataset" else v for k, v in run.parameters.items() if not is_place(k)
                },
                "results_sha256": file_sha256(run.path / "results.json") if run.results else "",
                "fingerprint": run.results.get("fingerprint", ""),
                "command": only.get(run.label, ""),
                **({"spent": spent_record(took)} if not run.is_fused and (took := run_spent(run)).seconds else {}),
                **_step(run),
            }
            for run in runs
        ],
    }


def _step(run: Run) -> dict[str, Any]:
    """The effective batch: clips of a step on all devices together, each contrasted with those of its batch."""
    step = listed_row(run).get("step")
    if step is None:
        return {}
    batch, devices = step["batch_size"], step["devices"]
    clips = {"clips_a_step": batch * step["accumulate"], "clips_a_contrast": batch, "clips_a_device": batch / devices}
    return {"step": {**clips, "devices": devices}}
