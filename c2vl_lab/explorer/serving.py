"""The explorer as a page of its own, without JupyterLab: ``python -m c2vl_lab.explorer.serving RUN``.

Notebook 05 is given its parameters and served by Voilà, on this machine alone unless ``--ip`` says otherwise; Ctrl-C
stops it. What is selected and saved there lies under ``--work-dir`` as from the notebook.
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


def write_notebook(folder: Path, parameters: dict[str, Any]) -> Path:
    """Notebook 05 with these parameters, in ``folder``; returns its path.

    Raises:
        ConfigError: an unknown parameter, or a value of the wrong type.
    """
    import nbformat
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    source = find_notebook(NOTEBOOK)
    made = parameterize_notebook(load_notebook_node(str(source)), check_parameters(source, parameters))
    made.metadata.pop("papermill", None)
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
    parser.add_argument("run", nargs="?", default="work/runs/single", help="the run's folder")
    parser.add_argument("--work-dir", default="work", help="stores, caches, selections")
    parser.add_argument("--port", type=int, default=8866)
    parser.add_argument("--ip", default="127.0.0.1", help="whoever reaches this address can use the page")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="of notebook 05")
    chosen = parser.parse_args(arguments)
    paths = {"run_dir": str(Path(chosen.run).resolve()), "work_dir": str(Path(chosen.work_dir).resolve())}
    folder = Path(tempfile.mkdtemp(prefix="c2vl-explore-"))
    try:
        write_notebook(folder, paths | dict(chosen.p))
        command = voila_command(folder, chosen.port, chosen.ip)
    except C2VLError as error:
        sys.exit(str(error))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
