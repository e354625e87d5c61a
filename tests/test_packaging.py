"""One source of truth for versions: constraints.txt; pip, conda and make all install from it."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins() -> dict[str, Version]:
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9_.-]+)==([0-9][A-Za-z0-9.]*)", line)
            assert match, f"constraints.txt: wanted name==version, found '{line}'"
            found[canonicalize_name(match.group(1))] = Version(match.group(2))
    return found


def test_every_dependency_is_pinned_inside_its_range():
    pinned = pins()
    about = project()
    for text in [*about["dependencies"], *about["optional-dependencies"]["dev"]]:
        wanted = Requirement(text)
        name = canonicalize_name(wanted.name)
        assert name in pinned, f"constraints.txt does not pin {wanted.name}"
        assert pinned[name] in wanted.specifier, f"{wanted.name}: {pinned[name]} is outside {wanted.specifier}"


def test_the_ranges_are_those_promised():
    about = project()
    assert about["requires-python"] == ">=3.11,<3.14"
    assert "torch>=2.11" in about["dependencies"]


def test_conda_installs_the_same_pins():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict))
    assert pip == ["-c constraints.txt", "-e .[dev]"]
    others = [entry for entry in conda["dependencies"] if isinstance(entry, str)]
    assert others == ["python=3.11", "pip"], "conda brings Python alone; versions live in constraints.txt"


def test_make_and_ci_use_them_too():
    setup = (ROOT / "tools" / "setup.sh").read_text()
    assert "pip install" in setup and "-c constraints.txt" in setup
    ci = ROOT / ".ci" / "run"
    assert os.access(ci, os.X_OK) and "make test" in ci.read_text()
    make = (ROOT / "Makefile").read_text()
    for target in ("demo", "bench", "test", "lint", "lab", "setup", "clean"):
        assert re.search(rf"^{target}:", make, re.M), f"Makefile has no target {target}"


def test_a_wrong_python_is_one_sentence(tmp_path):
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "tools").mkdir()
    script = tmp_path / "tools" / "setup.sh"
    script.write_text((ROOT / "tools" / "setup.sh").read_text())
    answer = subprocess.run(
        ["bash", str(script)], capture_output=True, text=True, env={**os.environ, "PYTHON": "/bin/false"}
    )
    assert answer.returncode == 2 and "Wanted Python 3.11, 3.12 or 3.13; found" in answer.stderr
    assert not (tmp_path / ".venv").exists()


def test_what_is_installed_is_inside_the_ranges():
    for text in project()["dependencies"]:
        wanted = Requirement(text)
        found = Version(importlib.metadata.version(wanted.name))
        assert wanted.specifier.contains(found.base_version, prereleases=True), f"{wanted.name} {found}"


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="not the environment that `make setup` builds")
def test_the_environment_of_make_setup_holds_exactly_the_pins():
    for name, wanted in pins().items():
        try:
            found = Version(importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            continue  # wanted on another system or Python only
        assert found.public == wanted.public, f"{name}: wanted {wanted}, found {found}. Run make setup."


@pytest.mark.parametrize(
    ("given", "wanted", "unwanted"),
    [
        ((), "-m pytest -n logical --maxprocesses 4 --dist loadfile", "no:xdist"),
        (
            ("C2VL_TEST_WORKERS=0", "ARGS=-x tests/test_cli.py"),
            "-n 0 --maxprocesses 4 --dist loadfile --no-loadscope-reorder -x tests/",
            "au",
        ),
        (("ARGS=-p no:xdist --pdb",), "-m pytest  -p no:xdist --pdb", "--dist"),
    ],
)
def test_make_test_runs_on_all_cores_unless_it_is_told_otherwise(given, wanted, unwanted):
    told = subprocess.run(["make", "-n", "test", *given], cwd=ROOT, capture_output=True, text=True).stdout
    assert wanted in told and unwanted not in told, told
