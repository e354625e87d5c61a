"""What a result depends on: the code that a notebook uses and the data that it reads, each as a fingerprint."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import c2vl_lab
from c2vl_lab.artifacts import fingerprint
from c2vl_lab.bench.suite import is_place
from c2vl_lab.data.datasets import DATASETS, sources_key

PACKAGE = Path(c2vl_lab.__file__).parent
# What a run looks like and who starts it does not change its numbers.
NO_NUMBERS = ("viz", "bench", "cli.py")


def data_fingerprint(parameters: dict[str, Any]) -> str:
    """What the parameters read from disk: the data set's files, and any file that a parameter names.

    Raises:
        MissingError: the data set's files are not there.
        DataError: one of them cannot be used.
    """
    parts = []
    dataset = str(parameters.get("dataset", "generated"))
    if dataset in DATASETS:
        parts.append(sources_key(DATASETS[dataset].find(parameters.get("data_dir", ""))))
    elif (Path(dataset) / "meta.json").is_file():
        parts.append(sources_key([Path(dataset) / "meta.json"]))
    for name, value in sorted(parameters.items()):
        path = Path(str(value).split(":", 1)[-1])
        if isinstance(value, str) and value and not is_place(name) and name != "dataset" and path.exists():
            files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
            parts.append(fingerprint(name, [[p.name, p.stat().st_size] for p in files] if path.is_dir() else ""))
            parts.append("" if path.is_dir() else sources_key(files))
    return fingerprint(parts) if parts else ""


def code_fingerprint(notebook: Path, package: Path = PACKAGE, leave_out: tuple[str, ...] = NO_NUMBERS) -> str:
    """What a notebook computes with: its own cells and every module of the package that they lead to.

    Comments, docstrings and layout do not count, so that a better sentence does not cost a new run.

    Args:
        notebook: the notebook's file.
        package: folder of the package.
        leave_out: files and folders of the package that change no number.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    sources = ["".join(c["source"]) for c in code if "parameters" not in c.get("metadata", {}).get("tags", [])]
    trees = [_parsed(source) for source in sources]
    used: dict[str, str] = {}
    waiting = [path for tree in trees for path in _imported(tree, package)]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(package).as_posix()
        if name in used or name.split("/")[0] in leave_out:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        used[name] = _bare(tree)
        waiting += _imported(tree, package)
    return fingerprint([_bare(tree) for tree in trees], used)


def _imported(tree: ast.AST, package: Path) -> list[Path]:
    """The package's files that a piece of code imports, at its top or inside functions."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    files = []
    for name in names:
        parts = name.split(".")
        if parts[0] != package.name:
            continue
        parents = [package.joinpath(*parts[1:end]) / "__init__.py" for end in range(1, len(parts) + 1)]
        files += [path for path in (package.joinpath(*parts[1:]).with_suffix(".py"), *parents) if path.is_file()]
    return files


def _parsed(source: str) -> ast.Module:
    """A cell's syntax tree; a cell that is not plain Python (a magic, say) counts by its text."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.Module(body=[ast.Expr(ast.Constant(source.encode()))], type_ignores=[])


def _bare(tree: ast.Module) -> str:
    """A syntax tree as text, without docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return ast.dump(tree)
