"""The house rules: imports point down, files are short, importing is instant, public names say what they do."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "c2vl_lab"
MODULES = sorted(PACKAGE.rglob("*.py"))
FLOORS = [
    {"errors", "dist", "device"},
    {"config", "artifacts", "objective", "recipes", "teachers"},
    {"data", "baselines", "project", "project_methods", "logs", "weights"},
    {"models", "prompts", "viz", "figures"},
    {"embed", "concepts", "regression", "bench", "learners", "sharing"},
    {"training"},
    {"run_config", "run_checks", "run_files", "run_material", "imported", "experiment", "evaluate", "launch"},
    {"explorer"},
    {"cli_ask", "cli_bench", "cli_pretrain", "cli_evaluate", "cli_report", "cli_share"},
    {"cli"},
]
HEAVY = ("torch", "numpy", "umap", "open_clip", "plotly", "pandas", "matplotlib", "sklearn", "papermill")
ONLY_INSIDE_FUNCTIONS = {"umap", "open_clip", "timm", "torchvision", "sentence_transformers", "transformers"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor_of(room: str) -> int:
    for number, rooms in enumerate(FLOORS, start=1):
        if room in rooms:
            return number
    raise AssertionError(f"{room} is on no floor: give it one in {Path(__file__).name}.")


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """What a module says."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def own_imports(path: Path) -> set[str]:
    """Dotted names inside the package that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("c2vl_lab.") for name in names if name.startswith("c2vl_lab.")}


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent != PACKAGE or p.name != "__init__.py"], ids=str)
def test_imports_point_down(path):
    here = floor_of(room_of(path))
    for name in own_imports(path):
        room = name.split(".")[0]
        if room == "__version__":
            continue
        assert floor_of(room) <= here, f"{path.name} (floor {here}) imports {name} from floor {floor_of(room)}."


def test_rooms_do_not_import_in_circles():
    """Between rooms of one floor there is an order; inside a room too, or Python could not import it."""
    uses: dict[str, set[str]] = {}
    for path in MODULES:
        rooms = {name.split(".")[0] for name in own_imports(path)} - {room_of(path), "__version__"}
        uses.setdefault(room_of(path), set()).update(rooms)
    done: set[str] = set()
    while len(done) < len(uses):
        free = {room for room, needed in uses.items() if room not in done and needed <= done}
        assert free, f"these rooms import one another in a circle: {sorted(set(uses) - done)}"
        done |= free


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_files_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_public_names_say_what_they_do(path):
    tree = tree_of(path)
    assert not path.read_text(encoding="utf-8").strip() or ast.get_docstring(tree), f"{path} has no docstring"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path}: {node.name} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_prints_no_asserts_for_users_no_pickle(path):
    tree = tree_of(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print" or path.name == "cli.py", f"{path}:{node.lineno} prints"
            assert node.func.id not in ("eval", "exec"), f"{path}:{node.lineno} runs what it read"
    assert not {"pickle", "joblib"} & {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_slow_packages_are_imported_where_they_are_used(path):
    for node in tree_of(path).body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        slow = {name.split(".")[0] for name in names} & ONLY_INSIDE_FUNCTIONS
        assert not slow, f"{path} imports {slow} at its top; import it inside the function that needs it."


@pytest.mark.parametrize("module", ["c2vl_lab", "c2vl_lab.cli"])
def test_importing_is_instant(module):
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
