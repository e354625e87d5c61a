"""A short run of the fuzzer over every format, and the fuzzer's own teeth: it must catch readers that do wrong."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz
from benchmarks.fuzz_cases import Case, Special, make_case, write_case
from benchmarks.fuzz_inputs import FORMATS
from benchmarks.fuzz_runs import judge_error, judge_store
from c2vl_lab.data.datasets import DATASETS

CASES = 40  # of each format
ROOT = Path(__file__).parent.parent


def test_damaged_inputs_end_in_a_store_or_in_one_clear_error():
    tallies = fuzz.run(0, [form.name for form in FORMATS], range(CASES))
    found = [f"{f['case']}: {f['what']}: {f['why']}" for tally in tallies.values() for f in tally.found]
    assert not found, "\n".join(found)
    for name, tally in tallies.items():
        assert tally.cases == CASES and tally.stored >= 1 and tally.refused >= 3, f"{name}: {tally}"


def test_every_published_set_is_attacked():
    assert set(DATASETS) - {form.dataset for form in FORMATS} <= {"ntu120"}  # read by the module of ntu60


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_case_depends_on_seed_format_and_number_alone(form):
    for number in (0, 1, 7, 23):
        one, two = make_case(form, 5, number), make_case(form, 5, number)
        assert (one.files, one.what, one.names) == (two.files, two.what, two.names)
    if form.files():
        assert any(make_case(form, 5, n).files != make_case(form, 6, n).files for n in range(1, 4))
        assert make_case(form, 5, 0).files == form.files()


READERS = {
    "loads pickles": (
        "pyskl",
        "import pickle\n    return pickle.loads(next((folder / 'in').glob('*.pkl')).read_bytes())",
    ),
    "unpacks archives": (
        "ntu-zip",
        """import zipfile
    with zipfile.ZipFile(next((folder / 'in').glob('*.zip'))) as archive:
        for info in archive.infolist():
            target = folder / 'work' / info.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(info))""",
    ),
    "starts programs": ("agcn", "import subprocess\n    subprocess.run(['true'])"),
    "takes all memory": ("agcn", "return bytearray(case.number and 5 * 2**30)"),
    "prints": (
        "agcn",
        "import numpy as np\n    np.float32(1e30) * np.float32(1e30)\n    raise DataError('xsub train val')",
    ),
    "says nothing": ("agcn", "raise DataError('Something is wrong.')"),
    "says it without the line": ("ntu", "raise DataError(next((folder / 'in').rglob('*.skeleton')).name)"),
    "writes beside": ("agcn", "(folder / 'work.log').write_text('x')"),
    "writes elsewhere": ("agcn", "open(Path(sys.argv[1]).parent / 'canary', 'w').close()"),
}


@pytest.mark.parametrize("name", list(READERS))
def test_a_reader_that_does_wrong_is_caught(name, tmp_path):
    """The worker runs with a bad reader in the place of ours: at least one of its cases must be a violation."""
    form, body = READERS[name]
    script = f"""
import json, sys
from pathlib import Path
from benchmarks import fuzz_runs, fuzz_worker
from c2vl_lab.errors import DataError

def bad(form, case, folder, rng):
    {body}
    raise DataError(str(sorted(case.names)))

fuzz_runs._open = bad
fuzz_worker.serve(Path(sys.argv[1]))
"""
    folder = tmp_path / "run"
    folder.mkdir()
    requests = "".join(f'{{"format": "{form}", "seed": 0, "number": {n}}}\n' for n in range(1, 30))
    command = [sys.executable, "-c", textwrap.dedent(script), str(folder)]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, input=requests, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=400
    )
    answers = done.stdout.splitlines()
    assert answers[0] == "ready", (folder / "output").read_text()
    wrong = [line for line in answers[1:] if '"violation"' in line]
    assert wrong or done.returncode, "no case was found to be wrong"


def test_a_reader_that_hangs_or_dies_is_caught(monkeypatch):
    monkeypatch.setattr(fuzz, "SECONDS", 200.0)  # a busy machine takes its time
    with fuzz.worker() as worker:
        worker.ask({"format": "nw-ucla", "seed": 0, "number": 0, "keep": ""})
        monkeypatch.setattr(fuzz, "SECONDS", 0.3)
        worker._process.send_signal(19)  # SIGSTOP: it answers no more
        answer = worker.ask({"format": "nw-ucla", "seed": 0, "number": 0, "keep": ""})
        assert answer["outcome"] == "violation" and "no answer" in answer["why"]
        monkeypatch.setattr(fuzz, "SECONDS", 200.0)
        assert worker.ask({"format": "nw-ucla", "seed": 0, "number": 0, "keep": ""})["outcome"] == "stored"


def test_an_error_must_name_file_and_line_and_leave_no_store(tmp_path):
    case = Case("ntu", 1, {}, names={"a.skeleton"}, line=7)
    assert judge_error(case, "in/a.skeleton, line 7: wanted a number.", tmp_path)[0] == "refused"
    assert judge_error(case, "in/a.skeleton, line 8: wanted a number.", tmp_path)[0] == "violation"
    assert judge_error(case, "in/b.skeleton, line 7: wanted a number.", tmp_path)[0] == "violation"
    assert judge_error(case, "a.skeleton, line 7: " + "x" * 10_000, tmp_path)[0] == "violation"
    (tmp_path / "stores" / "ntu60-1").mkdir(parents=True)
    (tmp_path / "stores" / "ntu60-1" / "meta.json").write_text("{}")
    assert judge_error(case, "in/a.skeleton, line 7: wanted a number.", tmp_path)[0] == "violation"


def test_an_undamaged_input_must_not_be_refused(tmp_path):
    assert judge_error(Case("ntu", 0, {}), "in/a.skeleton, line 7: no.", tmp_path)[0] == "violation"


def test_a_store_with_a_clip_that_is_not_finite_is_a_violation():

    class Store:
        layout, classes, names = range(25), ["a"], ["x"]

        def __init__(self, clip):
            self.clip = clip

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return self.clip

    from c2vl_lab.data.clips import Clip

    xyz = np.zeros((4, 1, 25, 3), np.float32)
    parts = {"name": "x", "present": np.ones((4, 1), bool), "frames": np.arange(4), "label": 0}
    assert judge_store(Store(Clip(xyz=xyz, **parts))) == ""
    assert "finite" in judge_store(Store(Clip(xyz=xyz + np.nan, **parts)))
    assert "label" in judge_store(Store(Clip(xyz=xyz, **{**parts, "label": 1})))
    assert "shape" in judge_store(Store(Clip(xyz=xyz[..., :2], **parts)))


def test_special_files_are_made(tmp_path):
    kinds = {"a": Special("folder"), "b": Special("fifo"), "c": Special("link", "b"), "d": Special("hole")}
    write_case(Case("x", 1, kinds), tmp_path / "in")
    assert (tmp_path / "in/a").is_dir() and (tmp_path / "in/b").is_fifo() and (tmp_path / "in/c").is_symlink()
    assert (tmp_path / "in/d").stat().st_size > 4 * 2**30
