"""The explorer as a page of its own, without JupyterLab: ``python -m c2vl_lab.explorer.serving [RUN]``.

Without RUN it opens ``work/runs/single``, which notebook 03_pretrain makes; where there is none, a small run that is
trained on generated clips, once. Notebook 05 is given its parameters and served by Voilà, on this machine alone unless
``--ip`` says otherwise; Ctrl-C stops it. What is selected and saved there lies under ``--work-dir``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from c2vl_lab.bench.notebooks import check_parameters, find_notebook
from c2vl_lab.errors import C2VLError, MissingError
from c2vl_lab.evaluate.runs_to_open import run_to_open
from c2vl_lab.training.checkpoints import FILE
from c2vl_lab.viz.status import same_line

NOTEBOOK = "05_concept_space"


def voila_command(folder: Path, port: int, ip: str, base_url: str = "/") -> list[str]:
    """The command that serves ``folder``'s notebook.

    Raises:
        MissingError: Voilà is not installed.
    """
    if importlib.util.find_spec("voila") is None:
        raise MissingError(
            "The explorer as a page of its own wants Voilà: pip install -c constraints.txt voila, or open notebook "
            "05_concept_space in JupyterLab."
        )
    options = {"Voila.ip": ip, "port": port, "Voila.base_url": base_url, "Voila.open_browser": False}
    # a first search loads the sentence encoder, and the first UMAP is compiled
    options |= {"VoilaExecutor.timeout": 3600, "theme": "light"}
    command = [sys.executable, "-m", "voila", str(folder / f"{NOTEBOOK}.ipynb")]
    return command + [f"--{name}={value}" for name, value in options.items()]


def run_to_serve(run: str, work_dir: Path) -> Path:
    """The run's folder, absolute, where its training has left something; see :func:`run_to_open` for a run of "".

    Raises:
        MissingError: the named folder is no run's, or its training has written nothing yet.
    """
    opened = run_to_open(run, work_dir, same_line)
    if not (opened.path / FILE).is_file():
        raise MissingError(f"{opened.path} has no {FILE} yet: train it to its end, and open it then.")
    sys.stderr.write(f"{opened.told}\n")
    return opened.path.resolve()


def write_notebook(folder: Path, parameters: dict[str, Any]) -> Path:
    """Notebook 05 with these parameters, in ``folder``; returns its path. It runs where this is called, not there.

    Raises:
        ConfigError: an unknown parameter, or a value of the wrong type.
    """
    import nbformat
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    source = find_notebook(NOTEBOOK)
    made = parameterize_notebook(load_notebook_node(str(source)), check_parameters(source, parameters))
    made.metadata.pop("papermill", None)
    made.cells.insert(0, nbformat.v4.new_code_cell(f"import os\n\nos.chdir({str(Path.cwd())!r})"))
    path = folder / f"{NOTEBOOK}.ipynb"
    nbformat.write(made, path)
    return path


def main(arguments: list[str] | None = None) -> None:
    """Serve until it is stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m c2vl_lab.explorer.serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", nargs="?", default="", help="the run's folder")
    parser.add_argument("--work-dir", default="work", help="stores, caches, selections")
    parser.add_argument("--port", type=int, default=8866)
    parser.add_argument("--ip", default="127.0.0.1", help="whoever reaches this address can use the page")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="of notebook 05")
    chosen = parser.parse_args(arguments)
    folder, work = Path(tempfile.mkdtemp(prefix="c2vl-explore-")), Path(chosen.work_dir).resolve()
    try:
        command = voila_command(folder, chosen.port, chosen.ip)
        run = run_to_serve(chosen.run, work)
        named = str(run) if chosen.run else ""  # without a name the notebook says itself which one it opens, and why
        write_notebook(folder, {"run_dir": named, "work_dir": str(work)} | dict(chosen.p))
    except C2VLError as error:
        sys.exit(str(error))
    sys.stderr.write(f"{run} is opened at http://{chosen.ip}:{chosen.port}/ (the first page takes a minute or two).\n")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
