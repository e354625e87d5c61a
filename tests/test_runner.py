"""The runner: complete runs are skipped, stale ones run again, failures stop nothing, kills leave it resumable."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from c2vl_lab.artifacts import read_json, write_json
from c2vl_lab.bench.drive import BenchOptions, describe_plan, plan_suite, run_plan
from c2vl_lab.bench.energy import Counter, Meter
from c2vl_lab.bench.fingerprints import code_fingerprint, data_fingerprint
from c2vl_lab.bench.machine import Machine, this_machine
from c2vl_lab.bench.notebooks import NotebookError, executed_error, is_finished, run_notebook
from c2vl_lab.bench.runner import run_jobs
from c2vl_lab.bench.runs import Job, begin, is_complete, take_lock
from c2vl_lab.bench.suite import Suite, load_suite, run_key
from c2vl_lab.data.datasets import store_from_arrays
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.errors import C2VLError, ConfigError, DataError, MissingError, StorageError
from c2vl_lab.prompts.asking.answers import AnswerStore

PARAMETERS = """run_dir: str = "run"  # folder
seed: int = 0  # a number
arm: str = "good"  # good, bad or slow
note: str = ""  # anything"""
BODY = """import json, pathlib, time
from c2vl_lab.errors import DataError
folder = pathlib.Path(run_dir)
folder.mkdir(parents=True, exist_ok=True)
(folder / "tries.txt").open("a").write("x")
if arm == "slow" and not (folder / "second.txt").exists():
    (folder / "second.txt").write_text("")
    time.sleep(600)
if arm == "bad":
    raise DataError("Wanted a good arm, found a bad one.")
(folder / "results.json").write_text(json.dumps({"seed": seed, "note": note}))"""
TWO = Machine(workers=2, threads=1)
HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}


@pytest.fixture
def notebook(tmp_path) -> Path:
    path = tmp_path / "tiny.ipynb"
    book = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})
    parameters = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    book.cells = [new_markdown_cell("# Tiny"), parameters, new_code_cell(BODY)]
    nbformat.write(book, path)
    return path


def job(notebook: Path, name: str, arm: str = "good", **changes) -> Job:
    folder = notebook.parent / "runs" / name
    parameters = {"run_dir": str(folder), "arm": arm, "note": name}
    return Job(name, f"the {name} one", notebook, parameters, folder, "results.json", "code", "data", **changes)


def tries(job: Job) -> int:
    return len((job.folder / "tries.txt").read_text())


def test_wall_time_and_energy_of_every_attempt_are_kept(notebook, monkeypatch):
    shown = iter(range(0, 10**6, 3))  # a counter that is 3 J further at every look
    counter = Counter("CPU package-0", lambda: float(next(shown)))
    monkeypatch.setattr("c2vl_lab.bench.runner.this_meter", lambda gpus: Meter([counter], ["GPU: none"]))
    jobs = [job(notebook, "one"), job(notebook, "two", "bad")]
    run_jobs(jobs, TWO, lambda line: None, retries=1)
    one, two = (read_json(own.folder / "made.json")["attempts"] for own in jobs)
    assert len(one) == 1 and len(two) == 2 and all(row["seconds"] > 0 for row in [*one, *two])
    used = sum(row["joules"]["CPU package-0"] for row in [*one, *two])
    assert used > 0 and used % 3 == 0 and used <= next(shown)  # shared, and not counted twice
    assert two[0]["unknown"] == ["GPU: none"]


def test_runs_skips_and_lists_failures(notebook):
    jobs = [job(notebook, "a"), job(notebook, "b", "bad"), job(notebook, "c")]
    said: list[str] = []
    first = run_jobs(jobs, TWO, said.append)
    assert [outcome.status for outcome in first] == ["complete", "failed", "complete"]
    assert first[1].error == "Wanted a good arm, found a bad one."
    assert any("FAILED: b" in line and str(jobs[1].executed) in line for line in said)
    assert jobs[1].executed.is_file() and json.loads((jobs[0].folder / "results.json").read_text())["note"] == "a"
    second = run_jobs(jobs, TWO, said.append)
    assert [outcome.status for outcome in second] == ["skipped", "failed", "skipped"]
    assert (tries(jobs[0]), tries(jobs[1]), tries(jobs[2])) == (1, 2, 1)
    assert any("skipped: a" in line for line in said)

    # what shows other jobs' results is done again, complete or not
    assert run_jobs([dataclasses.replace(jobs[2], always=True)], TWO, said.append)[0].status == "complete"
    assert tries(jobs[2]) == 2

    # other code: everything in the folder is made anew; other words about it: nothing is
    old = jobs[0]
    stale = Job(old.id, old.label, notebook, old.parameters, old.folder, "results.json", "other code", "data")
    renamed = Job("c", "new words", notebook, jobs[2].parameters, jobs[2].folder, "results.json", "code", "data")
    third = run_jobs([stale, renamed], TWO, said.append)
    assert [outcome.status for outcome in third] == ["complete", "skipped"]
    assert tries(old) == 1, "the folder of a stale run is cleared"
    (old.folder / "results.json").unlink()
    assert run_jobs([stale], TWO, said.append)[0].status == "complete"
    assert tries(old) == 2, "an interrupted run of the same code keeps what it has"


def test_a_killed_runner_ends_its_jobs_and_the_next_call_goes_on(notebook):
    slow = job(notebook, "slow", "slow")
    code = (
        "import signal, sys; from test_runner import *\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"run_jobs([job(Path({str(notebook)!r}), 'slow', 'slow')], TWO, print)"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: (slow.folder / "second.txt").is_file())

    # a second caller keeps its hands off while the first one works
    assert take_lock(slow) is None
    caller.send_signal(signal.SIGTERM)
    assert caller.wait(timeout=200) != 0
    wait_for(lambda: not processes_with(str(slow.folder)))
    lock = take_lock(slow)
    assert lock is not None, "the lock ends with the processes that held it"
    lock.close()
    assert not is_finished(slow.executed)
    assert run_jobs([slow], TWO, lambda line: None)[0].status == "complete"
    assert tries(slow) == 2


def test_two_callers_share_the_work(notebook):
    jobs = [job(notebook, "a"), job(notebook, "b")]
    code = (
        "from test_runner import *\n"
        f"book = Path({str(notebook)!r})\n"
        "outcomes = run_jobs([job(book, 'a'), job(book, 'b')], Machine(1, 1), print)\n"
        "assert all(outcome.status != 'failed' for outcome in outcomes)"
    )
    command = [sys.executable, "-c", code]
    callers = [subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [caller.wait(timeout=400) for caller in callers] == [0, 0]
    assert [tries(each) for each in jobs] == [1, 1]


def test_a_misspelled_parameter_is_refused_before_anything_runs(notebook, tmp_path):
    output = tmp_path / "out.ipynb"
    with pytest.raises(ConfigError, match=r"unknown parameter 'sead'\. Did you mean 'seed'"):
        run_notebook(notebook, {"sead": 3}, output)
    with pytest.raises(ConfigError, match="'seed' wanted int, found 'three'"):
        run_notebook(notebook, {"seed": "three"}, output)
    assert not output.exists()


def test_run_notebook_tells_and_keeps_what_failed(notebook, tmp_path):
    said: list[str] = []
    output = tmp_path / "out" / "executed.ipynb"
    values = {"run_dir": str(tmp_path / "r"), "seed": "7", "note": "007"}
    assert run_notebook(notebook, values, output, said.append) == output
    assert json.loads((tmp_path / "r" / "results.json").read_text()) == {"seed": 7, "note": "007"}
    assert said == ["[cell 1/4] Tiny"] and is_finished(output) and executed_error(output) is None
    with pytest.raises(NotebookError, match=r"tiny\.ipynb: Wanted a good arm, found a bad one\..*kept at"):
        run_notebook(notebook, values | {"arm": "bad"}, output)
    assert executed_error(output) == "Wanted a good arm, found a bad one." and not is_finished(output)


def test_an_executed_notebook_that_cannot_be_written_is_one_sentence(notebook, tmp_path):
    (tmp_path / "file").write_text("")
    values = {"run_dir": str(tmp_path / "r")}
    for output in (tmp_path / "file" / "out.ipynb", tmp_path):
        with pytest.raises(StorageError, match=r"the executed notebook cannot be written .*--output"):
            run_notebook(notebook, values, output)
    assert not (tmp_path / "r").exists()


def test_a_suite_from_file_to_list(notebook, tmp_path):
    arms = ({"arm": "good", "label": "Good"}, {"arm": "bad", "label": "Bad"})
    suite = Suite("tiny", "Tiny", "generated", arms, {"cpu": {}}, seeds=(0,), notebook=str(notebook))
    options = BenchOptions(work_dir=str(tmp_path / "work"), workers=2, command="c2vl bench tiny")
    with pytest.raises(ConfigError, match="unknown parameter 'dataset'"):
        plan_suite(suite, options)
    declare = nbformat.read(notebook, 4)
    declare.cells[1].source += '\ndataset: str = "generated"  # any\nwork_dir: str = "work"  # any'
    nbformat.write(declare, notebook)
    said: list[str] = []
    outcomes = run_plan(plan_suite(suite, options), said.append)
    assert [outcome.status for outcome in outcomes] == ["complete", "failed"]
    card = json.loads((tmp_path / "work" / "runs" / "tiny" / "cpu" / "suite.json").read_text())
    assert [(run["label"], run["status"]) for run in card["runs"]] == [("Good", "complete"), ("Bad", "failed")]
    assert card["runs"][1]["error"] and card["command"] == "c2vl bench tiny"
    lines = describe_plan(plan_suite(suite, options))
    assert "complete" in lines[1] and "failed" in lines[2] and lines[2].endswith("Wanted a good arm, found a bad one.")
    assert lines[-2] == "Runs: 1 complete, 1 failed"


def measured(notebook, protocols: str, **more) -> Job:
    """A job that asks for protocols, and how those train that train."""
    old = job(notebook, "p")
    return dataclasses.replace(old, parameters=old.parameters | {"protocols": protocols, **more})


def leave_results(done: Job, records: dict) -> None:
    """What a job that has ended leaves."""
    begin(done)
    write_json(done.folder / "results.json", {"protocols": records})
    cell = new_code_cell("1", execution_count=1, metadata={"papermill": {"status": "completed"}})
    nbformat.write(new_notebook(cells=[cell]), done.executed)


def test_how_a_run_is_measured_makes_no_other_run_of_it(notebook):
    """Cards of finished runs, made before the parameters were there, stay as they are."""
    plain, asked = job(notebook, "p"), measured(notebook, "", tuning="", transfer_to="")
    assert asked.card == plain.card and run_key(asked.parameters) == run_key(plain.parameters)
    other = measured(notebook, "transfer", tuning="cmd", transfer_to="pku2:xsub")
    assert other.card["parameters"] == plain.card["parameters"] and run_key(other.parameters) == run_key(
        plain.parameters
    )
    own = {"tuning": "cmd", "transfer_to": "pku2:xsub", "protocols": "transfer"}
    assert {name: other.card[name] for name in own} == own


def test_what_trains_is_measured_again_where_it_is_to_train_otherwise(notebook):
    leave_results(
        measured(notebook, "knn,finetune", tuning="cmd"),
        {
            "knn": {"settings": {"rule": "cosine"}},
            "finetune": {"settings": {"settings": "cmd"}},
            "transfer": {"settings": {"settings": "cmd", "transfer_to": "pku2:xsub"}},
            "scratch": {"not_run": "no encoder"},
        },
    )
    done = {"finetune": "cmd", "knn": "", "knn,scratch": "", "finetune,scratch": " cmd "}
    assert all(is_complete(measured(notebook, names, tuning=tuning)) for names, tuning in done.items())
    for tuning in ("", "default", "cmd epochs=20", "epochs=20"):
        assert not is_complete(measured(notebook, "finetune", tuning=tuning)), tuning
    there = {"tuning": "cmd", "transfer_to": "pku2:xsub"}
    assert is_complete(measured(notebook, "transfer", **there))
    assert not is_complete(measured(notebook, "transfer", **there | {"transfer_to": "pku1:xsub"}))


def test_more_protocols_are_measured_of_a_finished_run(notebook):
    def asked(protocols: str) -> Job:
        return measured(notebook, protocols)

    one = asked("knn")
    leave_results(one, {"knn": {}, "semi": {}})
    assert asked("knn, knn").card["parameters"] == one.card["parameters"] and is_complete(one)
    assert is_complete(asked("semi,knn")), "what c2vl evaluate has measured since counts"
    more = asked("semi,robust")
    assert not is_complete(more)
    begin(more)
    assert read_json(more.folder / "results.json")["protocols"], "what was measured stays, and is not measured again"
    assert not more.executed.exists() and read_json(more.folder / "run.json")["protocols"] == "semi,robust"


@pytest.mark.parametrize(("training", "kept"), [("weights", True), ("other weights", False), ("", False)])
def test_a_checkpoint_outlives_code_that_only_measures(notebook, training, kept):
    old = job(notebook, "t", training="weights")
    begin(old)
    for name in ("checkpoint.safetensors", "results.json", "predictions.parquet", "features.npy"):
        (old.folder / name).write_text("{}")
    begin(dataclasses.replace(old, code="measures otherwise", training=training))
    assert (old.folder / "checkpoint.safetensors").exists() is kept
    assert not any((old.folder / name).exists() for name in ("results.json", "predictions.parquet", "features.npy"))
    begin(dataclasses.replace(old, code="measures otherwise", training=training, data="other"))
    assert not (old.folder / "checkpoint.safetensors").exists()


def test_the_code_fingerprint_follows_imports_and_ignores_words(tmp_path):
    package = tmp_path / "mini"
    (package / "viz").mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "a": "from mini.b import f",
        "b": "def f():\n    return 1",
        "c": "",
        "viz/__init__": "",
        "viz/x": "X = 1",
    }.items():
        (package / f"{name}.py").write_text(text)
    book = new_notebook(cells=[new_code_cell("from mini.a import f\nfrom mini.viz import x\nf()")])
    notebook = tmp_path / "n.ipynb"
    nbformat.write(book, notebook)

    def key() -> str:
        return code_fingerprint(notebook, package, leave_out=("viz",))

    first = key()
    (package / "b.py").write_text('"""Words."""\n\n\ndef f():\n    """More."""  # and more\n    return 1\n')
    (package / "c.py").write_text("C = 2")
    (package / "viz" / "x.py").write_text("X = 2")
    assert key() == first
    (package / "b.py").write_text("def f():\n    return 2")
    assert key() != first


def test_the_data_fingerprint_sees_a_changed_file(tmp_path):
    prompts = tmp_path / "prompts.json"
    prompts.write_text("{}")
    parameters = {"dataset": "generated", "captions": str(prompts), "work_dir": str(tmp_path)}
    before = data_fingerprint(parameters)
    assert before == data_fingerprint(parameters | {"work_dir": "elsewhere"})
    prompts.write_text("{ }")
    assert before != data_fingerprint(parameters)


def test_the_data_fingerprint_sees_an_edited_sentence_of_an_answer_series(tmp_path):
    (tmp_path / "in.json").write_text('{"a": ["One.", "Two."], "b": ["One.", "Two."]}')
    answers = AnswerStore(tmp_path / "answers #1")
    series = answers.import_prompts(tmp_path / "in.json")
    answers.close()

    def key(more: str = "") -> str:
        return data_fingerprint({"captions": f"answers:{answers.folder}{more}"})

    before = key()
    assert before and before == key(f"#{series.id}")
    answers.replace(series, "b", 1, "Three.")
    assert key() != before
    answers.restore(series, "b", 1)
    assert key() == before
    with pytest.raises(MissingError, match="there is no folder"):
        data_fingerprint({"captions": "answers:nowhere"})


def test_the_data_fingerprint_sees_a_changed_teacher(tmp_path):
    checkpoint = tmp_path / "weights.pt"
    for spec in (f"open_clip:ViT-B-32:{checkpoint}", f"features:{checkpoint}"):
        checkpoint.write_bytes(b"one")
        before = data_fingerprint({"teacher": spec})
        checkpoint.write_bytes(b"other")
        assert before and before != data_fingerprint({"teacher": spec})
    assert data_fingerprint({"teacher": "open_clip:ViT-B-32:openai"}) == data_fingerprint({"teacher": "offline"}) == ""


def test_the_data_fingerprint_sees_other_depth_video(tmp_path):
    data = tmp_path / "utd-mhad"
    data.mkdir()
    for name in ("Skeleton.zip", "Depth_t1.zip"):
        write_zip(data / name, b"one")
    parameters = {"dataset": "utd-mhad", "data_dir": str(tmp_path), "pictures": "depth"}
    before, without = data_fingerprint(parameters), data_fingerprint(parameters | {"pictures": ""})
    write_zip(data / "Depth_t1.zip", b"two")
    assert data_fingerprint(parameters) != before and data_fingerprint(parameters | {"pictures": ""}) == without
    (data / "Depth_t1.zip").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(DataError, match=r"Depth_t1\.zip"):
        data_fingerprint(parameters)


def test_the_data_fingerprint_sees_other_subjects_of_an_own_store(tmp_path):
    keys = set()
    for subject in (1, 2):
        table = pd.DataFrame({"name": ["a"], "label": [0], "subject": [subject]})
        store_from_arrays(tmp_path / "mine", [np.ones((3, 25, 3))], table, NTU25, ["one"], "mine", replace=True)
        keys.add(data_fingerprint({"dataset": str(tmp_path / "mine")}))
    assert len(keys) == 2


def test_a_folder_named_like_a_value_is_not_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parameters = {"dataset": "generated", "arm": "full", "teacher": "offline", "pictures": "rendered"}
    before = data_fingerprint(parameters)
    for name in ("full", "offline", "rendered", "generated"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    assert data_fingerprint(parameters) == before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"captions": "absent.json"}, r"captions=absent\.json: there is no file"),
        ({"teacher": "open_clip:ViT-B-32:/absent.pt"}, r"there is no file /absent\.pt"),
        ({"teacher": "features:absent.npz"}, r"there is no file absent\.npz"),
        ({"teacher": "ofline"}, "Did you mean 'offline'"),
        ({"pictures": "folder:absent"}, "wanted a folder with one folder a clip"),
        ({"pictures": "dept"}, "Did you mean 'depth'"),
        ({"pictures": "depth"}, "only utd-mhad has depth video"),
        ({"dataset": "nwucla"}, "Did you mean 'nw-ucla'"),
    ],
)
def test_what_is_not_there_is_known_before_anything_starts(changes, sentence, tmp_path):
    suite = load_suite("demo")
    suite = dataclasses.replace(suite, parameters=suite.parameters | changes)
    if "dataset" in changes:
        suite = dataclasses.replace(suite, dataset=changes["dataset"], parameters={})
    with pytest.raises(C2VLError, match=sentence):
        plan_suite(suite, BenchOptions(work_dir=str(tmp_path / "work"), reports_dir=str(tmp_path / "reports")))
    assert not list(tmp_path.iterdir())


def test_device_cpu_leaves_the_gpus_alone(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert this_machine().gpus == ("0", "1") and this_machine().workers == 2
    alone = this_machine(3, "cpu")
    assert alone.gpus == () and alone.workers == 3


def write_zip(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("member", content)


def wait_for(condition, seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


def processes_with(text: str) -> list[str]:
    """Command lines of other processes that name ``text``."""
    found = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in found if text in line]
