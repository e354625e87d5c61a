"""Every notebook runs from top to bottom, in the order of its number, through the same function as a suite's runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from c2vl_lab.bench.notebooks import NotebookError, is_finished, run_notebook
from c2vl_lab.bench.runs import Job, begin
from c2vl_lab.data.datasets import open_dataset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Path:
    """As where somebody has just cloned the repository: nothing was run, and notebooks get no parameters."""
    return tmp_path_factory.mktemp("fresh")


@pytest.fixture(scope="module")
def common(work) -> dict:
    """A small generated store by its path, as somebody's own recordings would be given."""
    store = open_dataset("generated", work_dir=work, performers=2, frames_max=50)
    return {"dataset": str(store.path), "work_dir": str(work)}


def run(work: Path, name: str, **parameters) -> list[dict]:
    """Execute a notebook; the cells of its executed copy."""
    output = work / "executed" / f"{name}.ipynb"
    run_notebook(name, parameters, output)
    assert is_finished(output)
    return json.loads(output.read_text())["cells"]


def kinds(cells: list[dict]) -> set[str]:
    """The kinds of output that a notebook shows."""
    return {kind for cell in cells for out in cell.get("outputs", []) for kind in out.get("data", {})}


def told(cells: list[dict]) -> str:
    """All that a notebook prints."""
    return "".join(text for cell in cells for out in cell.get("outputs", []) for text in out.get("text", []))


def test_01_data(work, common):
    shown = kinds(run(work, "01_data", **common))
    assert {"application/vnd.plotly.v1+json", "image/png", "text/html"} <= shown


def test_02_prompts(work, common):
    cells = run(work, "02_prompts", **common, pictures="rendered", pictures_per_clip=2, batch_size=16)
    assert "image/png" in kinds(cells)
    assert list((work / "prompts").glob("*.json")), "prompts are written in the published form"


def test_03_pretrain_then_04_and_05(work, common):
    """No run is named: one notebook makes it and the others find it."""
    cells = run(work, "03_pretrain", **common, epochs=2, batch_size=16, keep_every=1)
    assert "image/png" in kinds(cells) and (work / "runs" / "single" / "checkpoint.safetensors").is_file()
    run(work, "04_evaluate", work_dir=str(work))
    results = json.loads((work / "runs" / "single" / "results.json").read_text())
    assert results["generated"] and results["stand_in_teacher"] and 0 <= results["metrics"]["linear"] <= 1
    figures, page = work / "figures", str(work / "page.html")
    cells = run(
        work,
        "05_concept_space",
        work_dir=str(work),
        projection="pca",
        figures_dir=str(figures),
        page=page,
    )
    assert {"image/png", "text/html"} <= kinds(cells), "without Jupyter the two maps stand there as figures"
    assert (figures / "joint_map.json").is_file() and (figures / "examples.json").is_file()
    assert Path(page).stat().st_size > 100_000
    assert re.search(r"selected \d+ of \d+|nothing selected yet", told(cells))
    assert not (work / "runs" / "example").exists()


@pytest.mark.parametrize("arm", ["coordinates", "full"])
def test_06_benchmark(work, common, arm):
    folder = work / "suite" / arm
    parameters = {**common, "arm": arm, "epochs": 1, "batch_size": 16, "run_dir": str(folder)}
    job = Job(arm, arm, Path("06_benchmark.ipynb"), parameters, folder, "results.json")
    begin(job)
    run_notebook("06_benchmark", parameters, job.executed)
    assert is_finished(job.executed) and (folder / "predictions.parquet").is_file()


def test_07_report(work):
    run(
        work,
        "07_report",
        results_dir=str(work / "suite"),
        report_dir=str(work / "report"),
        title="Tiny",
        command="make",
    )
    page = (work / "report" / "index.html").read_text()
    assert "Tiny" in page and "generated" in page


def alone(fresh: Path, name: str, **parameters) -> list[dict]:
    """Execute a notebook where no other was run; the example's one run, which several open, is trained by the first."""
    checkpoint = fresh / "work" / "runs" / "example" / "full-s0" / "checkpoint.safetensors"
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
    cells = run(fresh, name, **parameters)
    assert before in (None, checkpoint.stat().st_mtime_ns), "trained once"
    assert not {"single", "demo"} & {path.name for path in (fresh / "work" / "runs").iterdir()}
    assert "example run" in told(cells) and "nothing of a method" in told(cells), "a reader must know what is shown"
    return cells


def test_04_alone_in_a_fresh_folder(fresh, monkeypatch):
    monkeypatch.chdir(fresh)
    assert "image/png" in kinds(alone(fresh, "04_evaluate"))
    results = json.loads((fresh / "work" / "runs" / "example" / "full-s0" / "results.json").read_text())
    assert results["generated"] and "zero-shot" in results["protocols"]


def test_05_alone_in_a_fresh_folder(fresh, monkeypatch):
    monkeypatch.chdir(fresh)
    cells = alone(fresh, "05_concept_space", projection="pca")  # umap, the default, is compiled for a minute
    assert {"image/png", "text/html"} <= kinds(cells)


def test_07_alone_in_a_fresh_folder(fresh, monkeypatch):
    monkeypatch.chdir(fresh)
    assert "image/png" in kinds(alone(fresh, "07_report"))
    report = fresh / "reports" / "demo-example"
    page, rows = (report / "index.html").read_text(), json.loads((report / "manifest.json").read_text())["runs"]
    assert "Example runs on generated clips (stand-in teacher)" in page and "c2vl run 07_report" in page
    assert len(rows) == 6 and {row["status"] for row in rows} == {"complete"}


def test_08_figures(fresh, monkeypatch):
    """Its example runs are those of the notebooks before it."""
    monkeypatch.chdir(fresh)
    work = fresh / "work"
    cells = run(fresh, "08_figures", figures_dir=str(work / "paper"))
    assert {"application/vnd.plotly.v1+json", "image/png"} <= kinds(cells)
    written = {path.name.partition(".")[0] for path in (work / "paper").glob("*.pdf")}
    assert {"training_curves", "joint_map", "map_pair", "soft_targets", "retrieval_gallery"} < written
    assert len(written) == 13
    for name in written:  # whoever takes a figure out of the folder must be told
        assert "generated clips" in json.loads((work / "paper" / f"{name}.data.json").read_text())["look"]["note"]


def test_09_own_recordings(work):
    cells = run(work, "09_own_recordings", work_dir=str(work))
    assert {"application/vnd.plotly.v1+json", "image/png", "text/html"} <= kinds(cells)
    assert len(open_dataset(str(work / "stores" / "example"))) == 24


def test_00_tour(work):
    cells = run(work, "00_tour", work_dir=str(work), run_dir=str(work / "runs" / "tour"), epochs=1)
    assert {"application/vnd.plotly.v1+json", "image/png", "text/html"} <= kinds(cells)


def test_a_run_that_is_not_there_is_one_sentence(work):
    with pytest.raises(NotebookError, match="03_pretrain or `c2vl pretrain` makes one"):
        run(work, "04_evaluate", run_dir=str(work / "nowhere"), work_dir=str(work))
