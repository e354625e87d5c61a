"""Several processes train as one does: two of them, over gloo, against one on the whole batch, in float64."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import parallel_worker as worker
import pytest
import torch

from c2vl_lab.artifacts import read_json
from c2vl_lab.config import replace
from c2vl_lab.dist import add_up, anywhere, gather, joined, own_part, rank, world_size
from c2vl_lab.errors import ConfigError
from c2vl_lab.logs import read_metrics
from c2vl_lab.training import fit as fitting
from c2vl_lab.training import keeping, step
from c2vl_lab.training.checkpoints import read_checkpoint
from c2vl_lab.training.clips import ResidentClips
from c2vl_lab.training.settings import FitConfig
from c2vl_lab.training.step import describe_step, largest_piece
from c2vl_lab.training.stopping import StoppedError


def start_two(folder: Path, *more: str) -> list[subprocess.Popen]:
    meeting = folder / "meeting"
    meeting.unlink(missing_ok=True)
    program = [sys.executable, str(Path(worker.__file__))]
    return [
        subprocess.Popen(
            [*program, str(number), "2", str(meeting), str(folder), *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(2)
    ]  # fmt: skip


def ended(processes: list[subprocess.Popen]) -> list[str]:
    try:
        said = [process.communicate(timeout=400) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(error for _, error in said)
    return [out for out, _ in said]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each of two processes found, and the folder that they wrote to."""
    folder = tmp_path_factory.mktemp("two")
    ended(start_two(folder))
    return [torch.load(folder / f"process{number}.pt", weights_only=True) for number in range(2)], folder


def differ(one, other) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


@pytest.mark.parametrize("case", worker.CASES)
def test_two_processes_are_one_on_the_whole_batch(two, case):
    found, _ = two
    alone = worker.train(worker.CASES[case])
    assert differ(found[0][case], alone) < 1e-8
    assert differ(found[0][case], found[1][case]) == 0, "the processes drift apart"
    start = worker.double_learner(worker.CASES[case], worker.training_set()).state_dict()
    moved = [float((alone[name] - value).abs().max()) for name, value in start.items() if "encoder" in name]
    assert max(moved) > 4e-3, "nothing was trained"


def test_without_shared_norms_a_process_is_a_piece(two):
    """Each normalises by its own clips; statistics and weights are those of one process with pieces of that size."""
    found, _ = two
    assert differ(found[0]["apart"], worker.train(replace(worker.APART, micro_batch=4))) < 1e-8
    assert differ(found[0]["apart"], found[1]["apart"]) == 0, "statistics too are those of all"
    assert differ(found[0]["apart"], worker.train(worker.APART)) > 1e-4, "the norms do matter here"
    assert differ(found[0]["apart in pieces"], worker.train(worker.APART_IN_PIECES)) < 1e-8


def test_gradients_come_back_through_the_gather(two):
    found, _ = two
    for number, part in enumerate((slice(0, 2), slice(2, 5))):
        assert torch.equal(found[number]["gather"]["whole"], worker.WEIGHTS.double())
        assert torch.equal(found[number]["gather"]["gradient"], 3 * worker.WEIGHTS[part].double())
        assert found[number]["flags"]["some"].tolist() == [True, False]


def test_a_process_alone_is_everything():
    tensor = torch.ones(3, requires_grad=True)
    assert (rank(), world_size(), own_part(5)) == (0, 1, slice(0, 5))
    assert gather(tensor, 3) is tensor and add_up(tensor) is tensor and anywhere(True) and not anywhere(False)


def test_two_processes_write_the_files_of_one(two, tmp_path):
    found, folder = two
    alone = worker.fit_small(tmp_path)
    names = lambda path: sorted(p.name for p in path.iterdir())  # noqa: E731
    assert names(tmp_path) == names(folder / "whole")
    assert len(list((folder / "whole" / "tensorboard").iterdir())) == 1
    rows, others = read_metrics(tmp_path / "metrics.jsonl"), read_metrics(folder / "whole" / "metrics.jsonl")
    assert [row.keys() for row in rows] == [row.keys() for row in others]
    assert [row["loss"] for row in others] == pytest.approx([row["loss"] for row in rows], rel=1e-3)
    card, other = (read_json(path / "checkpoint.json") for path in (tmp_path, folder / "whole"))
    assert (card.pop("processes"), other.pop("processes")) == (1, 2)
    assert card == other
    assert read_checkpoint(tmp_path)[0].keys() == read_checkpoint(folder / "whole")[0].keys()
    assert differ(found[0]["fit"], alone) < 0.05  # float32, where Adam makes steps of noise alone


def test_a_stop_seen_by_one_process_stops_both_and_the_run_goes_on_to_the_same_weights(two):
    found, _ = two
    said = [bytes(one["resumed"].pop("said").tolist()).decode() for one in found]
    assert said[0] == said[1] and "Stopped in epoch 2 of 4, after batch 1 of 3" in said[0]
    assert differ(found[0]["resumed"], found[0]["fit"]) == 0


@pytest.mark.slow
def test_a_killed_process_ends_the_other_and_the_run_goes_on_to_the_same_weights(two, tmp_path):
    first, second = start_two(tmp_path, "run", "held")
    while not first.stdout.readline().startswith("epoch 1/"):
        assert first.poll() is None, first.stderr.read()
    os.kill(second.pid, signal.SIGKILL)
    first.communicate(timeout=400)
    assert first.returncode != 0
    assert read_json(tmp_path / "run" / "checkpoint.json")["epoch"] < 4
    said = ended(start_two(tmp_path, "run"))
    assert "resuming" in said[0] and said[1] == "", "process 0 speaks for both"
    one, whole = read_checkpoint(tmp_path / "run")[0], read_checkpoint(two[1] / "whole")[0]
    assert differ(one, whole) == 0


def test_the_effective_batch_is_stated():
    assert describe_step(FitConfig(), 1000) == "effective batch: 128 clips a step"
    assert describe_step(FitConfig(), 100) == "effective batch: 100 clips a step"
    config = FitConfig(accumulate=2, micro_batch=16)
    assert describe_step(config, 1000) == (
        "effective batch: 256 clips a step (2 batches of 128, each with its own contrast; "
        "at most 16 through the encoder at once)"
    )


def test_a_piece_is_what_a_process_passes_at_once(monkeypatch):
    assert largest_piece(FitConfig(), 1000) == 128 and largest_piece(FitConfig(), 100) == 100
    assert largest_piece(FitConfig(accumulate=4, batch_size=8), 20) == 5
    assert largest_piece(FitConfig(micro_batch=48), 1000) == 43, "three pieces of 42 or 43"
    monkeypatch.setattr(step, "world_size", lambda: 3)
    assert largest_piece(FitConfig(), 1000) == 43 and largest_piece(FitConfig(micro_batch=32), 1000) == 22


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_no_piece_is_larger_than_micro_batch_whatever_the_parts(monkeypatch, processes):
    """Parts that are unequal by a clip are cut into as many pieces each, none of them empty."""
    monkeypatch.setattr(step, "world_size", lambda: processes)
    for batch in range(processes, 60):
        for micro in range(1, 20):
            edges = [number * batch // processes for number in range(processes + 1)]
            parts = [torch.arange(b - a) for a, b in itertools.pairwise(edges)]
            if micro == 1 and len({len(part) for part in parts}) > 1:
                continue  # refused, below
            cuts = step._pieces(FitConfig(micro_batch=micro), batch, processes)
            sizes = [len(piece) for part in parts for piece in part.tensor_split(cuts)]
            assert min(sizes) > 0 and max(sizes) <= micro
            assert max(sizes) == largest_piece(FitConfig(micro_batch=micro, batch_size=batch), 1000)


def test_single_clips_want_equal_parts(monkeypatch):
    monkeypatch.setattr(step, "world_size", lambda: 2)
    with pytest.raises(ConfigError, match=r"micro_batch=1 wants batches that 2 processes share evenly.*found 7 clips"):
        step.Step(torch.nn.Linear(1, 1), FitConfig(batch_size=7, micro_batch=1), 24)


def test_going_on_in_another_number_of_processes_is_said_where_it_is_another_formula(monkeypatch):
    config, norms = FitConfig(batch_size=8), torch.nn.Sequential(torch.nn.BatchNorm1d(2))
    assert step.other_norms(norms, config, 24, 1) == step.other_norms(norms, config, 24, 0) == ""
    assert step.other_norms(norms, config, 24, 2) == (
        "this run was trained in 2 processes and goes on in 1: without sync_norm its batch norms now go by 8 clips at "
        "once and not by 4, which is another formula from here on"
    )
    assert step.other_norms(norms, replace(config, sync_norm=True), 24, 2) == ""
    assert step.other_norms(norms, replace(config, micro_batch=4), 24, 2) == "", "four clips at once, before and after"
    assert step.other_norms(torch.nn.LayerNorm(2), config, 24, 2) == ""
    monkeypatch.setattr(step, "world_size", lambda: 4)
    assert "trained in 1 process and goes on in 4" in step.other_norms(norms, config, 24, 1)


def test_resuming_reads_how_many_processes_there_were(tmp_path, monkeypatch):
    config = replace(worker.SMALL, sync_norm=False, epochs=2)
    said: list[str] = []
    monkeypatch.setattr(keeping, "world_size", lambda: 2)  # so says the checkpoint
    with pytest.raises(StoppedError):
        fitting.fit(config, worker.training_set(), tmp_path, "cpu", stop=lambda: True)
    monkeypatch.undo()
    fitting.fit(config, worker.training_set(), tmp_path, "cpu", said.append)
    assert said[0].startswith("resuming") and said[1].startswith("this run was trained in 2 processes and goes on in 1")
    assert sum("another formula" in line for line in said) == 1


def test_one_process_watches_for_all(two):
    found, folder = two
    assert [int(one["watched"].pop("looks")) for one in found] == [2, 0]
    assert [row["knn1"] for row in read_metrics(folder / "watched" / "metrics.jsonl")] == [0.25, 0.25]
    assert differ(found[0]["watched"], found[1]["watched"]) == 0


def test_a_compiled_part_that_fails_in_one_process_is_left_uncompiled_in_all(two):
    """Process 1 alone fails, once by an error in its second call and once by its numbers."""
    found = [one["compiled"] for one in two[0]]
    said = [bytes(one["said"].tolist()).decode().split("\n") for one in found]
    assert [one["parts"].tolist() for one in found] == [[True, False, False]] * 2
    assert all("in another process: it runs uncompiled in all" in line for line in said[0]) and len(said[0]) == 2
    assert "torch.compile failed on 'error' (RuntimeError: no)" in said[1][0] and "other numbers" in said[1][1]


def test_one_gpu_by_its_number_is_refused_for_several_processes(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "one")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"device 'cuda:0' is one GPU, and torchrun started 2 processes.*'cuda'"):
        joined("cuda:0").__enter__()


def test_parts_are_compiled_for_a_piece_and_not_for_the_batch(monkeypatch):
    """The whole batch may not fit into the memory; that is what pieces are for."""
    tried = []

    class Parts:
        def __init__(self, *given):
            pass

        def try_on(self, clips, rows, seed):
            tried.append((len(clips), len(rows)))
            return []

    monkeypatch.setattr(fitting, "CompiledParts", Parts)
    config = replace(worker.SMALL, batch_size=20, micro_batch=6)
    clips = ResidentClips(worker.training_set(), "cpu")
    fitting.compile_on_a_gpu(config, None, clips, "cuda", lambda line: None)
    torch.backends.cudnn.benchmark = False
    assert tried == [(5, 5)]


@pytest.mark.parametrize("setting", [{"micro_batch": -1}, {"accumulate": 0}])
def test_impossible_pieces_are_refused(setting):
    with pytest.raises(ConfigError, match="micro_batch must be at least 0"):
        FitConfig(**setting)
