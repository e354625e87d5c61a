"""What a result depends on: the code that a notebook uses and the data that it reads, each as a fingerprint."""

from __future__ import annotations

import ast
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import c2vl_lab
from c2vl_lab.artifacts import file_sha256, fingerprint
from c2vl_lab.data.datasets import DATASETS, dataset_key, sources_key
from c2vl_lab.data.joined import parse_sources
from c2vl_lab.errors import ConfigError, MissingError, near_miss
from c2vl_lab.prompts.asking.opening import ANSWERS, open_answers
from c2vl_lab.prompts.depth import depth_archives
from c2vl_lab.prompts.pictures import KINDS as PICTURES
from c2vl_lab.teachers.loading import KINDS as TEACHERS

PACKAGE = Path(c2vl_lab.__file__).parent
# What a run looks like and who starts it does not change its numbers.
NO_NUMBERS = ("viz", "bench", "cli.py")
NO_TRAINING = (*NO_NUMBERS, "evaluate")  # what measures a trained encoder does not change it


def data_fingerprint(parameters: dict[str, Any], published: bool = True) -> str:
    """What the parameters read from disk: the data sets' files, the captions, the teacher's weights, the pictures.

    Everything is looked at for its content, so that all of it is known to be there before a long run starts. No other
    parameter names a file.

    Args:
        parameters: of a notebook.
        published: whether the published files are looked at; without, they need not be there, and count as nothing.

    Raises:
        ConfigError: a data set, teacher or kind of pictures that does not exist.
        MissingError: a file that a parameter names is not there.
        DataError: one of the data set's archives cannot be used.
    """
    data_dir = parameters.get("data_dir", "")
    dataset = str(parameters.get("dataset", "generated"))
    captions = str(parameters.get("captions", "kinematic"))
    texts = str(parameters.get("class_texts", ""))
    sources = parse_sources(str(parameters.get("pretrain_on", "")))
    pictures = str(parameters.get("pictures", ""))

    def files(dataset: str) -> str:
        return _dataset_key(dataset, data_dir) if published or dataset not in DATASETS else ""

    def shown(dataset: str) -> str:
        return _pictures_key(pictures, dataset, data_dir) if published or pictures.partition(":")[0] != "depth" else ""

    parts = {
        "dataset": files(dataset),
        "captions": _captions_key(captions),
        "class_texts": _file_key(Path(texts), f"class_texts={texts}") if texts else "",
        "teacher": _teacher_key(str(parameters.get("teacher", "offline"))),
        "pictures": shown(dataset),
        **{f"pretrain_on {number}": [files(s.dataset), shown(s.dataset)] for number, s in enumerate(sources)},
    }
    return fingerprint(parts) if any(parts.values()) else ""


def _captions_key(captions: str) -> str:
    """A prompts file's digest; of a series of answers the sentences as they are used, edits applied, of all its clips.

    That some clip of the data set has none is found when they are read, and named there.
    """
    if captions == "kinematic":
        return ""
    if not captions.startswith(ANSWERS):
        return _file_key(Path(captions), f"captions={captions}")
    answers, series = open_answers(captions)
    files = [answers.edits.path, *sorted((answers.folder / series.folder).glob("*.jsonl"))]
    states = [(path.name, path.stat()) for path in files if path.is_file()]
    return _answers_key(captions, tuple((name, state.st_size, state.st_mtime_ns) for name, state in states))


@lru_cache(maxsize=16)
def _answers_key(captions: str, states: tuple[tuple[str, int, int], ...]) -> str:
    """Fingerprint of a series' sentences, read once for all runs of a suite as long as its files are not touched."""
    answers, series = open_answers(captions)
    names, places = sorted(answers.clips(series)), range(series.count)
    return fingerprint([[name, [answers.sentence(series, name, place) for place in places]] for name in names])


def _dataset_key(dataset: str, data_dir: str | Path) -> str:
    """Content of the published files, or of an own store's two tables (the coordinates' digest is in one of them)."""
    if dataset == "generated":
        return ""
    if dataset in DATASETS:
        return dataset_key(dataset, data_dir)
    folder = Path(dataset).expanduser()
    if not (folder / "meta.json").is_file():
        known = near_miss(dataset, ["generated", *DATASETS])
        raise ConfigError(f"There is no data set or store folder '{dataset}'. {known}")
    return fingerprint([_file_key(folder / name, f"dataset={dataset}") for name in ("meta.json", "clips.csv")])


def _teacher_key(teacher: str) -> str:
    """Content of the checkpoint or feature file; a published tag and the offline teacher are known by their names."""
    kind, _, rest = teacher.partition(":")
    if kind not in TEACHERS:
        raise ConfigError(f"There is no teacher named '{teacher}'. {near_miss(kind, TEACHERS)}")
    weights = rest.partition(":")[2] if kind == "open_clip" else rest
    path = Path(weights)
    if kind == "offline" or (kind != "features" and not weights):
        return ""
    if kind in ("open_clip", "hf") and path.is_dir():
        return fingerprint([[p.name, _file_key(p, "")] for p in sorted(path.rglob("*")) if p.is_file()])
    is_tag = kind == "open_clip" and not path.is_file() and not path.suffix and len(path.parts) == 1
    return "" if is_tag else _file_key(path, f"teacher={teacher}")


def _pictures_key(pictures: str, dataset: str, data_dir: str | Path) -> str:
    """Directory of the depth archives, or names, sizes and times of the images or videos of a folder."""
    kind, _, rest = pictures.partition(":")
    if pictures and kind not in PICTURES:
        raise ConfigError(f"There are no pictures named '{pictures}'. {near_miss(kind, PICTURES)}")
    if kind == "depth":
        return sources_key(depth_archives(dataset, data_dir))
    if kind not in ("folder", "video"):
        return ""
    folder = Path(rest).expanduser()
    if not rest or not folder.is_dir():
        held = "one folder a clip" if kind == "folder" else "videos"
        raise MissingError(f"pictures={pictures}: wanted a folder with {held}, found none.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    states = [(path.relative_to(folder).as_posix(), path.stat()) for path in files]
    return fingerprint([[name, state.st_size, state.st_mtime_ns] for name, state in states])


def _file_key(path: Path, setting: str) -> str:
    """A file's digest."""
    if not path.is_file():
        raise MissingError(f"{setting}: there is no file {path}. Give the path of one, or take another setting.")
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, changed: int) -> str:
    """SHA-256, computed once for all runs of a suite as long as the file is not touched (checkpoints are large)."""
    return file_sha256(path)


def code_fingerprint(notebook: Path, package: Path = PACKAGE, leave_out: tuple[str, ...] = NO_NUMBERS) -> str:
    """What a notebook computes with: its own cells and every module of the package that they lead to.

    Comments, docstrings and layout do not count, so that a better sentence does not cost a new run; nor do cells that
    bear the name of what is left out as a tag: a cell tagged ``evaluate`` measures what the others have trained.

    Args:
        notebook: the notebook's file.
        package: folder of the package.
        leave_out: files and folders of the package that change no number.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    apart = {"parameters", *leave_out}
    sources = ["".join(c["source"]) for c in code if apart.isdisjoint(c.get("metadata", {}).get("tags", []))]
    trees = [_parsed(source) for source in sources]
    used: dict[str, str] = {}
    waiting = [path for tree in trees for path in _imported(tree, package)]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(package).as_posix()
        if name in used or name.split("/")[0] in leave_out:
            continue
        state = path.stat()
        used[name], found = _module(path, package, state.st_size, state.st_mtime_ns)
        waiting += found
    return fingerprint([_bare(tree) for tree in trees], used)


@lru_cache(maxsize=1024)
def _module(path: Path, package: Path, size: int, changed: int) -> tuple[str, tuple[Path, ...]]:
    """A module's bare text and the package's files that it imports, parsed once for all notebooks of a suite."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = tuple(_imported(tree, package))
    return _bare(tree), found


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
