"""Notebooks tell, the library does: short cells without definitions, parameters explained and used, no outputs."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
PARAMETER = re.compile(r"^[a-z_]+: (str|int|float|bool|dict) = .+  # .+$")


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def is_parameters(cell: dict) -> bool:
    return "parameters" in cell["metadata"].get("tags", [])


def test_all_notebooks_are_there():
    names = ["00_tour", "01_data", "02_prompts", "03_pretrain", "04_evaluate"]
    names += ["05_concept_space", "06_benchmark", "07_report", "08_figures", "09_own_recordings"]
    assert [path.stem for path in NOTEBOOKS] == names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_nothing_is_stored(path):
    for cell in code_cells(path):
        assert cell["outputs"] == [], f"{path.name}, cell {cell['id']} stores outputs: nbstripout {path}"
        assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_head(path):
    book = read(path)
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    first, second = book["cells"][:2]
    text = "".join(first["source"])
    assert first["cell_type"] == "markdown" and text.startswith("# ") and "| needs | makes |" in text
    assert is_parameters(second)
    assert sum(is_parameters(cell) for cell in code_cells(path)) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cell_ids_are_fixed_words(path):
    ids = [cell["id"] for cell in read(path)["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z-]+", name) for name in ids)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_parameters_are_annotated_explained_and_used(path):
    cell = next(cell for cell in code_cells(path) if is_parameters(cell))
    rest = "\n".join("".join(c["source"]) for c in code_cells(path) if not is_parameters(c))
    used = {node.id for node in ast.walk(ast.parse(rest)) if isinstance(node, ast.Name)}
    for line in "".join(cell["source"]).splitlines():
        assert PARAMETER.match(line), f"{path.name}: wanted 'name: type = value  # help', found: {line}"
        name = line.split(":")[0]
        assert name in used, f"{path.name}: parameter {name} is never used"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_are_short_and_define_nothing(path):
    for cell in code_cells(path):
        source = "".join(cell["source"])
        where = f"{path.name}, cell {cell['id']}"
        if not is_parameters(cell):
            assert len(source.splitlines()) <= 12, f"{where} is longer than 12 lines"
        assert not source.lstrip().startswith(("%", "!")), f"{where} is no plain Python"
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.For, ast.While)), f"{where} has a body"
        assert not re.search(r"\bpip\b|\bwget\b|os\.chdir|/home/|/work/|/tmp/", source), where


def test_the_benchmark_notebook_has_every_setting_of_a_run():
    from c2vl_lab.bench.measured import MEASURED_BY
    from c2vl_lab.bench.notebooks import notebook_parameters
    from c2vl_lab.experiment import RunConfig

    path = next(path for path in NOTEBOOKS if path.stem == "06_benchmark")
    found = {name: ast.literal_eval(p["default"]) for name, p in notebook_parameters(path).items()}
    assert found.pop("run_dir") and [found.pop(name) for name in MEASURED_BY] == [""] * len(MEASURED_BY)
    assert found == {f.name: f.default for f in dataclasses.fields(RunConfig)}


def test_the_pre_training_notebook_has_every_setting_of_training():
    """With the words of the benchmark's notebook where they share a parameter that says the same."""
    from c2vl_lab.bench.notebooks import notebook_parameters
    from c2vl_lab.concepts import ConceptConfig
    from c2vl_lab.objective import ObjectiveConfig
    from c2vl_lab.run_config import FIT_FIELDS

    path = next(path for path in NOTEBOOKS if path.stem == "03_pretrain")
    wanted = {f.name for settings in (ConceptConfig, ObjectiveConfig) for f in dataclasses.fields(settings)}
    assert wanted | set(FIT_FIELDS) | {"class_texts"} <= set(notebook_parameters(path))


def test_the_recipe_for_own_recordings_takes_at_most_ten_lines():
    cells = {cell["id"]: "".join(cell["source"]) for cell in code_cells(NOTEBOOKS[-1])}
    lines = [line for line in cells["recipe"].splitlines() if line.strip()]
    assert "store_from_arrays(" in cells["recipe"] and len(lines) <= 10


def test_curves_of_training_say_what_their_data_and_teacher_are_not():
    drawn = []
    for path in NOTEBOOKS:
        for cell in code_cells(path):
            calls = [node for node in ast.walk(ast.parse("".join(cell["source"]))) if isinstance(node, ast.Call)]
            if all(ast.unparse(call.func) != "figures.training_curves" for call in calls):
                continue
            drawn.append(path.stem)
            for call in calls:
                if ast.unparse(call.func) == "figures.Look":
                    assert "note" in [word.arg for word in call.keywords], f"{path.name}, cell {cell['id']}"
                elif ast.unparse(call.func) == "figures.training_curves":
                    assert len(call.args) == 2, f"{path.name}, cell {cell['id']}: without a look it says nothing"
    assert drawn == ["00_tour", "03_pretrain", "06_benchmark", "08_figures"]
