"""JupyterLab on loopback and a Chromium that drives it, for tests and measurements in a real browser.

Everything that the server keeps lies in a folder that goes away with it; nothing leaves the machine.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 90.0  # seconds; a busy machine starts a kernel slowly
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"]
QUIET = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}


def why_not() -> str:
    """Why nothing can be driven here; empty where it can."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed: pip install -c constraints.txt playwright"
    return "" if program() else "no Chromium on this machine: apt-get install chromium"


def program() -> str:
    """Path of the browser; empty where there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), "")


def notebook(path: Path, cells: list[str]) -> None:
    """Write a notebook of code cells."""
    made = [
        {"cell_type": "code", "id": f"cell-{k}", "metadata": {}, "execution_count": None, "outputs": [], "source": text}
        for k, text in enumerate(cells)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def lab(folder: Path, theme: str = "light") -> Iterator[str]:
    """JupyterLab for the notebooks in ``folder``, without a password and on loopback alone; yields its address.

    Raises:
        RuntimeError: it does not answer; the sentence holds its last lines.
    """
    with tempfile.TemporaryDirectory(prefix="lab-") as own:
        home, port = Path(own), free_port()
        settings = home / "data" / "lab" / "settings"
        settings.mkdir(parents=True)
        look = {"@jupyterlab/apputils-extension:themes": {"theme": f"JupyterLab {theme.title()}"}}
        (settings / "overrides.json").write_text(json.dumps(QUIET | look))
        places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        env = os.environ | {name: str(home / name.lower()) for name in places}
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": port,
            "ServerApp.port_retries": 0,
            "IdentityProvider.token": "",
            "ServerApp.password": "",
            "ServerApp.root_dir": folder,
            "LabApp.expose_app_in_browser": True,
            "LabServerApp.app_settings_dir": settings,
            "LabApp.app_settings_dir": settings,
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
        command += [f"--{name}={value}" for name, value in options.items()]
        with served(command, f"http://127.0.0.1:{port}", home / "log", env) as address:
            yield address


@contextmanager
def served(command: list[str], address: str, log: Path, env: dict[str, str]) -> Iterator[str]:
    """A server in a process of its own, from its first answer until the block ends."""
    with open(log, "w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=env)
    try:
        wait_for(lambda: process.poll() is not None or _answers(address), f"{command[2]} to answer")
        if process.poll() is not None:
            raise RuntimeError(f"{command[2]} ended at once:\n{log.read_text()[-2000:]}")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5):
            return True
    except (URLError, OSError):
        return False


@contextmanager
def chromium(flags: Sequence[str] = ()) -> Iterator[Any]:
    """Playwright's handle of the machine's own browser, started with further flags."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), headless=True, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()


def wait_for(done: Callable[[], Any], what: str, patience: float = PATIENCE, pause: float = 0.1) -> Any:
    """Ask until the answer is yes; returns it.

    Raises:
        TimeoutError: it never was.
    """
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if answer := done():
            return answer
        time.sleep(pause)
    raise TimeoutError(f"Waited {patience:.0f} s for {what}.")


def run_notebook_in(page: Any, address: str, name: str) -> None:
    """Open a notebook in JupyterLab and run all its cells; returns when the run has begun."""
    page.goto(f"{address}/lab/tree/{name}?reset", wait_until="domcontentloaded")
    idle = """() => {
      const panel = window.jupyterapp && window.jupyterapp.shell.currentWidget;
      const session = panel && panel.sessionContext && panel.sessionContext.session;
      return Boolean(session && session.kernel && session.kernel.status === 'idle');
    }"""
    page.wait_for_function(idle, timeout=1000 * PATIENCE)
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
