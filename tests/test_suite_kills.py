"""Fifty kills over a suite: after the last call it has the results of an unbroken one, no run done twice, no rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}


@pytest.mark.slow
def test_fifty_kills_end_in_the_results_of_an_unbroken_suite(tmp_path):
    """SIGKILL of the caller, of its runs, of both, at random moments and in the middle of writing a file."""
    command = [sys.executable, str(TESTS / "suite_kills.py"), str(tmp_path), "50", "0"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    told = json.loads((tmp_path / "kills.json").read_text())
    assert told["ends"] == ["exit 0", "exit 0"]
    assert [kill["end"] for kill in told["kills"]].count("signal 9") >= 35
    assert len({kill["way"] for kill in told["kills"]}) == 4
    assert sum(kill["runs"] > 0 for kill in told["kills"]) > 8, "too few kills came while runs were under way"

    whole, cut = (tmp_path / name / "runs" / "toy" / "cpu" for name in ("whole", "cut"))
    runs = sorted(path.name for path in whole.iterdir() if path.is_dir())
    assert len(runs) == 9 and runs == sorted(path.name for path in cut.iterdir() if path.is_dir())
    for name in runs:
        for file in ("results.json", "predictions", "checkpoint"):
            assert (whole / name / file).read_bytes() == (cut / name / file).read_bytes(), (name, file)
        files = {path.name for path in (cut / name).iterdir()}
        assert files == {path.name for path in (whole / name).iterdir()}, "a kill has left something behind"
    states = [[run["status"] for run in json.loads((path / "suite.json").read_text())["runs"]] for path in (whole, cut)]
    assert states[0] == states[1] == ["complete"] * 9
    ended = Counter((cut / "finished.txt").read_text().splitlines())
    assert max(ended.values()) == 1, "a run was done twice"
    assert {f"{name} version {told['version']}" for name in runs} <= set(ended)
