"""Run a notebook as a command: parameters checked by name and type, cells told one by one, failures kept.

papermill does the execution. It only warns about a parameter that the notebook does not have, so a misspelled name
would silently run the default; here it is an error.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import papermill
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

import c2vl_lab
from c2vl_lab.errors import C2VLError, ConfigError, DataError, MissingError, StorageError, near_miss

Progress = Callable[[str], None] | None
OWN_ERRORS = ("C2VLError", "ConfigError", "DataError", "MissingError", "StorageError", "StoppedError", "NotebookError")
CONVERTERS: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str}


class NotebookError(C2VLError):
    """A notebook stopped at a cell; its executed copy is kept."""


def find_notebook(name: str | Path) -> Path:
    """The file of a notebook given by path or by name (``06_benchmark``).

    Raises:
        MissingError: there is no such notebook.
    """
    shipped = Path(c2vl_lab.__file__).parent.parent / "notebooks"
    with_suffix = Path(name) if str(name).endswith(".ipynb") else Path(f"{name}.ipynb")
    for candidate in (with_suffix, shipped / with_suffix.name):
        if candidate.is_file():
            return candidate
    known = [path.stem for path in shipped.glob("*.ipynb")]
    raise MissingError(f"There is no notebook '{name}', neither here nor in notebooks/. {near_miss(str(name), known)}")


def notebook_parameters(notebook: Path) -> dict[str, dict[str, Any]]:
    """Name -> ``{"name", "inferred_type_name", "default", "help"}`` of every parameter of a notebook.

    Raises:
        DataError: the file is no notebook.
    """
    try:
        state = os.stat(notebook)
        return _inspected(str(notebook), state.st_size, state.st_mtime_ns)
    except (ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{notebook}: not a readable notebook ({error}).") from error


@lru_cache(maxsize=64)
def _inspected(notebook: str, size: int, changed: int) -> dict[str, dict[str, Any]]:
    """papermill's answer, asked for once for all runs of a suite as long as the file is not touched."""
    return papermill.inspect_notebook(notebook)


def check_parameters(notebook: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters with text turned into the type that the notebook declares.

    Raises:
        ConfigError: an unknown name (the near miss is named) or a value of the wrong type.
    """
    known = notebook_parameters(notebook)
    for name in parameters:
        if name not in known:
            raise ConfigError(f"{notebook.name}: unknown parameter '{name}'. {near_miss(name, known)}")
    return {name: _typed(notebook, known[name], value) for name, value in parameters.items()}


def _typed(notebook: Path, parameter: dict[str, Any], value: Any) -> Any:
    """One value as the notebook's annotation wants it; text comes from a command line, the rest from a suite."""
    wanted = parameter["inferred_type_name"]
    complaint = f"{notebook.name}: parameter '{parameter['name']}' wanted {wanted}, found {value!r}."
    if wanted == "bool" and isinstance(value, str):
        if value.lower() not in ("true", "false"):
            raise ConfigError(complaint + " Say true or false.")
        return value.lower() == "true"
    if wanted in CONVERTERS and isinstance(value, str):
        try:
            return CONVERTERS[wanted](value)
        except ValueError as error:
            raise ConfigError(complaint) from error
    if wanted == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = {"int": int, "float": float, "str": str, "bool": bool}
    if wanted in plain and type(value) is not plain[wanted]:
        raise ConfigError(complaint)
    if wanted not in plain and isinstance(value, str):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError) as error:
            raise ConfigError(complaint) from error
    return value


def describe_parameters(notebook: Path) -> str:
    """One line a parameter: name, type, default and help."""
    rows = []
    for name, parameter in notebook_parameters(notebook).items():
        head = f"  {name}: {parameter['inferred_type_name']} = {parameter['default']}"
        rows.append(f"{head:<44} {parameter['help']}".rstrip())
    return "\n".join([f"Parameters of {notebook.name} (give them as -p NAME VALUE):", *rows])


def run_notebook(
    notebook: str | Path, parameters: dict[str, Any], output: str | Path, progress: Progress = None
) -> Path:
    """Execute a notebook with the Python that runs now, in the current folder.

    Args:
        notebook: path, or name of one in ``notebooks/``.
        parameters: values for the cell tagged ``parameters``; text is converted to the annotated type.
        output: where the executed copy goes; it is there too when a cell fails.
        progress: called with one line when a section begins and for what the cells write.

    Raises:
        ConfigError: an unknown parameter or a value of the wrong type; nothing was executed.
        StorageError: the executed copy cannot be written.
        NotebookError: a cell failed; the sentence says which, why, and where the executed copy is.
    """
    path, output = find_notebook(notebook), Path(output)
    values = check_parameters(path, parameters)
    _check_writable(output)
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # not a kernel that the user installed for another Python
    tell = progress or (lambda line: None)
    try:
        papermill.execute_notebook(
            str(path),
            str(output),
            parameters=values,
            engine_name="c2vl",
            kernel_name="python3",
            progress_bar=False,
            stdout_file=_Lines(tell),
            stderr_file=_Lines(tell),
            tell=tell,
            coalesce_streams=True,  # of lines that replace one another the page keeps the last
            extra_arguments=["--log-level=CRITICAL"],  # at every start it warns of TCP, which is signed and local here
        )
    except PapermillExecutionError as error:
        reason = executed_error(output) or f"{error.ename}: {error.evalue}"
        raise NotebookError(f"{path.name}: {reason} The executed notebook is kept at {output}.") from error
    except OSError as error:  # the disk is full, say
        raise StorageError(_UNWRITABLE.format(path=output, why=error.strerror or error)) from error
    return output


_UNWRITABLE = (
    "{path}: the executed notebook cannot be written ({why}). Name another file with --output, or free some space."
)


def _check_writable(output: Path) -> None:
    """Refuse a place for the executed notebook that cannot be written to, before anything is executed.

    Raises:
        StorageError: it cannot.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with open(output, "ab"):
            pass
    except OSError as error:
        raise StorageError(_UNWRITABLE.format(path=output, why=error.strerror or error)) from error


def executed_error(output: Path) -> str | None:
    """The sentence of the error in an executed notebook, or None where there is none (or no readable notebook)."""
    for cell in _cells(output):
        for out in cell.get("outputs", []):
            if out.get("output_type") == "error":
                name, text = out.get("ename", "Error"), " ".join(str(out.get("evalue", "")).split())
                return text if name in OWN_ERRORS and text else f"{name}: {text}"
    return None


def is_finished(output: Path) -> bool:
    """Whether an executed notebook is there and every one of its code cells ended without an error."""
    try:
        state = os.stat(output)
    except OSError:
        return False
    return _finished(output, state.st_size, state.st_mtime_ns, state.st_ino)


@lru_cache(maxsize=1024)
def _finished(output: Path, size: int, changed: int, inode: int) -> bool:
    """The answer, read once as long as the file is not touched: a suite is looked at again and again."""
    code = [cell for cell in _cells(output) if cell.get("cell_type") == "code" and "".join(cell["source"]).strip()]
    states = [cell.get("metadata", {}).get("papermill", {}) for cell in code]
    ended = all(state.get("status") == "completed" and not state.get("exception") for state in states)
    # an interrupted notebook calls its cells completed too, but has not counted those it never began
    return bool(code) and ended and all(cell.get("execution_count") for cell in code) and not executed_error(output)


def _cells(output: Path) -> list[dict[str, Any]]:
    """The cells of a notebook file; none where it is absent or torn."""
    try:
        return json.loads(Path(output).read_text(encoding="utf-8")).get("cells", [])
    except (OSError, ValueError):
        return []


class _Lines:
    """A text stream that hands on whole lines; a progress bar's carriage returns count as line ends."""

    def __init__(self, tell: Callable[[str], None]):
        self.tell = tell
        self.rest = ""

    def write(self, text: str) -> None:
        *lines, self.rest = (self.rest + text).replace("\r", "\n").split("\n")
        for line in lines:
            if line.strip():
                self.tell(f"  {line.rstrip()}")

    def flush(self) -> None:
        """Lines go out as they end; nothing waits."""


class _TellingEngine(NBClientEngine):
    """papermill's own engine, which also says where the notebook is: ``[cell 5/12] Pre-train``."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, tell, **kwargs):
        begin, total, heading = nb_man.cell_start, len(nb_man.nb.cells), ""

        def cell_start(cell, cell_index=None, **more):
            nonlocal heading
            title = next((row for row in cell.source.splitlines() if row.startswith("#")), "")
            if cell.cell_type == "markdown" and title:
                heading = title.lstrip("# ")
                tell(f"[cell {cell_index + 1}/{total}] {heading}")
            return begin(cell, cell_index, **more)

        nb_man.cell_start = cell_start
        return super().execute_managed_notebook(nb_man, kernel_name, **kwargs)


papermill_engines.register("c2vl", _TellingEngine)
