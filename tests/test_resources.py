"""What a run may use: as a suite writes it and a command changes it; places on GPUs; the words of sbatch."""

from __future__ import annotations

import json
import os

import pytest

from c2vl_lab.bench.cluster import sbatch_options
from c2vl_lab.bench.drive import BenchOptions, plan_suite
from c2vl_lab.bench.machine import Machine, this_machine
from c2vl_lab.bench.report import _step
from c2vl_lab.bench.resources import Resources, hours_in, resources_of, with_changes
from c2vl_lab.bench.results import Run
from c2vl_lab.bench.runner import _commands
from c2vl_lab.bench.runs import begin
from c2vl_lab.bench.suite import load_suite
from c2vl_lab.bench.suite_list import write_list
from c2vl_lab.cli import main
from c2vl_lab.errors import ConfigError


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """Three GPUs with 80, 24 and 10 GB free, told by a make-believe nvidia-smi."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho '0, GPU-a, 81920'\necho '1, GPU-b, 24576'\necho '2, GPU-c, 10240'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_a_presets_resources_win_over_the_suites_and_a_commands_over_both():
    written = {"devices": 2, "hours": 5, "cpu": {"devices": 0, "cpus": 3}}
    assert resources_of(written, ("cpu", "full"), "full", "x") == Resources(devices=2, hours=5.0)
    own = resources_of(written, ("cpu", "full"), "cpu", "x")
    assert own == Resources(devices=0, cpus=3, hours=5.0)
    changed = with_changes(own, {"devices": None, "cpus": 8, "partition": "", "sbatch": {"qos": "low"}, "hours": 1.5})
    assert changed == Resources(devices=0, cpus=8, hours=1.5, sbatch={"qos": "low"})
    assert with_changes(Resources(), {"devices": 0}).devices == 0


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"device": 2}, "unknown setting 'device'. Did you mean 'devices'"),
        ({"hours": -1}, "hours wants 0 or more, found -1"),
        ({"devices": 2, "gpu_memory": 8}, r"runs that share a GPU \(gpu_memory 8\) use one, found devices 2"),
        ({"cpu": 3}, r"resources of preset 'cpu' want fields as in \{cpus: 4\}, found 3"),
    ],
)
def test_wrong_resources_are_one_sentence(written, sentence):
    with pytest.raises(ConfigError, match=sentence):
        resources_of(written, ("cpu",), "cpu", "x.yml")


@pytest.mark.parametrize(
    ("text", "hours"),
    [("90", 1.5), ("12h", 12.0), ("0.5h", 0.5), ("30:00", 0.5), ("2:30:00", 2.5), ("1-12", 36.0), ("1-12:30:00", 36.5)],
)
def test_time_limits_are_read_as_slurm_reads_them(text, hours):
    assert hours_in(text) == pytest.approx(hours)


def test_no_time_limit_and_a_wrong_one():
    assert hours_in("") is None
    for text in ("soon", "1:2:3:4", "h", "a-1"):
        with pytest.raises(ConfigError, match=f"--time wants 90 .*found '{text}'"):
            hours_in(text)


def test_a_gpu_each_or_several_runs_on_one_by_memory(gpus):
    assert this_machine() == Machine(3, max(1, this_machine().threads), ("0", "1", "2"))
    shared = this_machine(resources=Resources(gpu_memory=12.0))
    assert sorted(shared.gpus) == ["0"] * 6 + ["1"] * 2 + ["2"] and shared.workers == 9
    busy: list[str | None] = []
    for _ in range(9):
        busy.append(shared.place(busy))
    assert sorted(map(str, busy)) == sorted(shared.gpus), "every place is taken once before any is taken twice"
    assert "up to 6 runs on one" in shared.in_words()


def test_several_gpus_for_a_run(gpus, monkeypatch):
    pairs = this_machine(resources=Resources(devices=2))
    assert pairs.gpus == ("0,1",) and pairs.workers == 1 and pairs.in_words() == "GPU 0,1 together"
    with pytest.raises(ConfigError, match=r"wants 4 GPUs; this machine has 3 for it.*--gpus 1"):
        this_machine(resources=Resources(devices=4))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b,2")
    assert this_machine(resources=Resources(devices=2)).gpus == ("GPU-b,2",)
    assert this_machine(resources=Resources(gpu_memory=12.0)).gpus == ("GPU-b", "2", "GPU-b")


def test_runs_without_gpus_are_kept_off_them(gpus):
    none = this_machine(resources=Resources(devices=0, cpus=1))
    assert none.gpus == ("",) and none.place([]) == "" and none.in_words().startswith("CPU")
    assert none.workers == len(os.sched_getaffinity(0)) and none.threads == 1
    assert this_machine(device="cpu").place([]) is None


def test_several_devices_train_in_a_process_before_the_notebook(tmp_path):
    suite = load_suite("demo")
    plan = plan_suite(suite, BenchOptions(work_dir=str(tmp_path), device="cpu", resources={"devices": 2}))
    first, second = _commands(plan.runs[0])
    assert first[:2] == ["pretrain", "--run-dir"] and first[3:5] == ["--devices", "2"] and first[5] == "--parameters"
    assert second[0] == "run" and second[-1] == first[-1]
    plain = plan_suite(suite, BenchOptions(work_dir=str(tmp_path), device="cpu"))
    assert [command[0] for command in _commands(plain.runs[0])] == ["run"]
    assert [job.id for job in plan.runs] == [job.id for job in plain.runs], "devices make no other run of it"


def test_resources_in_the_words_of_sbatch():
    asked = Resources(devices=2, cpus=8, memory=1.5, hours=0.025, partition="p", at_once=3, sbatch={"qos": "low"})
    assert sbatch_options(asked) == {
        "time": 2,
        "signal_delay_s": 96,
        "array_parallelism": 3,
        "gpus_per_node": 2,
        "cpus_per_task": 8,
        "srun_args": ["--cpus-per-task=8"],
        "mem": "1536M",
        "partition": "p",
        "additional_parameters": {"qos": "low"},
    }
    assert sbatch_options(Resources(devices=0)) == {"time": 1440, "signal_delay_s": 120, "array_parallelism": 1000}


def test_a_cluster_that_is_not_there_is_one_sentence(tmp_path, monkeypatch, capsys):
    pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("c2vl_lab.bench.cluster.shutil.which", lambda name: None)
    assert main(["bench", "demo", "--cluster", "slurm"]) == 2
    told = capsys.readouterr().err
    assert "wants Slurm's commands; sbatch, squeue, scontrol, srun not found" in told and told.count("\n") == 1
    assert main(["bench", "demo", "--sbatch", "=x", "--dry-run"]) == 2
    assert "--sbatch wants NAME=VALUE" in capsys.readouterr().err


def test_the_effective_batch_stands_in_the_suites_list_and_the_manifest(tmp_path):
    settings = ("accumulate=2", "batch_size=96")
    options = BenchOptions(work_dir=str(tmp_path), device="cpu", settings=settings, resources={"devices": 4})
    plan = plan_suite(load_suite("demo"), options)
    begin(plan.runs[1])
    (plan.runs[1].folder / "metrics.jsonl").touch()
    write_list(plan, [])
    other, row = json.loads((plan.folder / "suite.json").read_text())["runs"][:2]
    assert "step" not in other, "nothing was trained"
    assert row["step"] == {"batch_size": 96, "accumulate": 2, "micro_batch": 0, "devices": 4}
    run = Run(plan.folder / row["id"], "complete", "any", {})
    told = {"clips_a_step": 192, "clips_a_contrast": 96, "clips_a_device": 24.0, "devices": 4}
    assert _step(run) == {"step": told}
    assert _step(Run(tmp_path / "elsewhere" / "a", "complete", "any", {})) == {}
