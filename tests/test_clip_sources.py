"""Clips on the device or prefetched: the same batches. Sums on the device: the same sums, and the clips of a NaN."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import torch
from training_sets import SMALL, same, training_set, weights

from c2vl_lab.config import replace
from c2vl_lab.data.draws import epoch_order
from c2vl_lab.errors import C2VLError, ConfigError
from c2vl_lab.logs import read_metrics
from c2vl_lab.training import clips as sources
from c2vl_lab.training.card import check_card, run_card
from c2vl_lab.training.checkpoints import read_checkpoint
from c2vl_lab.training.clips import AHEAD, PrefetchedClips, ResidentClips, place_clips
from c2vl_lab.training.fit import StoppedError, fit
from c2vl_lab.training.guard import read_nan_batches
from c2vl_lab.training.loop import Loop
from c2vl_lab.training.settings import FitConfig, pick_precision
from c2vl_lab.training.tally import Batch, Tally


@pytest.fixture(params=["float32", "float64"])
def mapped(tmp_path, request):
    """A memory-mapped set of which every second clip is trained on, last first."""
    data = training_set(clips=40)
    np.save(tmp_path / "clips.npy", data.clips.astype(request.param))
    rows = np.arange(39, 0, -2)
    names = [data.names[i] for i in rows]
    return replace(data, clips=np.load(tmp_path / "clips.npy", mmap_mode="r"), rows=rows, names=names)


@pytest.mark.parametrize("size", [3, 7, 20])
def test_prefetched_batches_are_those_of_a_resident_set(mapped, size):
    rows = epoch_order(0, 1, 20).split(size)
    resident, prefetched = ResidentClips(mapped, "cpu"), PrefetchedClips(mapped, "cpu")
    assert len(resident) == len(prefetched) == 20
    found = [list(source.batches(rows)) for source in (resident, prefetched)]
    assert [len(batches) for batches in found] == [len(rows)] * 2
    for wanted, (one_rows, one), (other_rows, other) in zip(rows, *found, strict=True):
        assert torch.equal(one_rows, wanted) and torch.equal(other_rows, wanted)
        assert one.dtype == other.dtype == torch.float32 and torch.equal(one, other)
        assert np.array_equal(one.numpy(), mapped.clips[mapped.rows[wanted.numpy()]].astype(np.float32))
    assert torch.equal(resident[rows[0]], prefetched[rows[0]]) and torch.equal(resident[3:9], prefetched[3:9])
    assert list(resident.batches([])) == list(prefetched.batches([])) == []


def test_clips_in_half_precision_are_the_rounded_ones(mapped):
    rows = torch.arange(5)
    ((_, found),) = ResidentClips(mapped, "cpu", torch.float16).batches([rows])
    assert found.dtype == torch.float32 and torch.equal(found, ResidentClips(mapped, "cpu")[rows].half().float())


def test_batches_are_read_ahead_and_no_further_and_the_thread_ends(mapped, monkeypatch):
    read, real = [], sources.gather
    monkeypatch.setattr(sources, "gather", lambda clips, rows, out: (read.append(len(rows)), real(clips, rows, out)))
    before = threading.active_count()
    batches = PrefetchedClips(mapped, "cpu").batches(torch.arange(20).split(2))
    next(batches)
    batches.close()  # as where training is stopped inside an epoch
    assert len(read) == AHEAD + 1 and threading.active_count() == before


def test_an_error_of_the_reading_thread_reaches_the_loop(mapped, monkeypatch):
    def broken(clips, rows, out):
        raise OSError("the disk is gone")

    monkeypatch.setattr(sources, "gather", broken)
    with pytest.raises(OSError, match="the disk is gone"):
        next(PrefetchedClips(mapped, "cpu").batches([torch.arange(2)]))


def test_the_place_of_the_clips_follows_setting_and_memory(mapped, monkeypatch):
    size = 20 * mapped.clips[0].size * 4
    for free, setting, kind in (
        (5 * size, "auto", ResidentClips), (3 * size, "auto", PrefetchedClips), (3 * size, "yes", ResidentClips),
        (size // 2 + 1, "half", ResidentClips), (9 * size, "no", PrefetchedClips),
    ):  # fmt: skip
        monkeypatch.setattr(sources, "free_memory", lambda device, free=free: free)
        source = place_clips(mapped, "cpu", setting)
        assert type(source) is kind
    monkeypatch.setattr(sources, "free_memory", lambda device: size - 1)
    with pytest.raises(ConfigError, match="Use resident='no'"):
        place_clips(mapped, "cpu", "yes")


def test_training_is_the_same_wherever_the_clips_lie(tmp_path):
    """A run may also be moved: it is stopped inside an epoch with resident clips and goes on with prefetched ones."""
    config, data = replace(SMALL, epochs=2), training_set()
    one = weights(fit(replace(config, resident="yes"), data, tmp_path / "yes", "cpu"))
    other = weights(fit(replace(config, resident="no"), data, tmp_path / "no", "cpu"))
    asked = []
    with pytest.raises(StoppedError):
        fit(
            replace(config, resident="yes"),
            data,
            tmp_path / "both",
            "cpu",
            stop=lambda: asked.append(1) or len(asked) > 1,
        )
    assert json.loads((tmp_path / "both" / "checkpoint.json").read_text())["step"] == 2
    moved = weights(fit(replace(config, resident="no", compile="off"), data, tmp_path / "both", "cpu"))
    assert same(one, other) and same(one, moved)
    losses = [[row["loss"] for row in read_metrics(tmp_path / run / "metrics.jsonl")] for run in ("yes", "both")]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("change", [{"precision": "bfloat16"}, {"resident": "half"}], ids=str)
def test_a_run_goes_on_only_in_its_own_precision(tmp_path, change):
    config, data = replace(SMALL, epochs=2, checkpoint_every=1), training_set()
    with pytest.raises(StoppedError):
        fit(replace(config, **change), data, tmp_path / "low", "cpu", stop=lambda: True)
    with pytest.raises(ConfigError, match=r"was trained in .*Set precision='(bfloat16|float32)' "):
        fit(config, data, tmp_path / "low", "cpu")
    found = read_checkpoint(tmp_path / "low")[1]
    check_card(tmp_path / "low", found, run_card(config, data))  # a reader takes any


def test_the_precision_follows_the_device(monkeypatch):
    assert pick_precision("auto", "cpu") == "float32" and pick_precision("bfloat16", "cpu") == "bfloat16"
    for able in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, able=able: able)
        assert pick_precision("auto", "cuda") == ("bfloat16" if able else "float32")
        assert pick_precision("float32", "cuda:1") == "float32"
    with pytest.raises(ConfigError, match="Use precision='float32'"):
        pick_precision("bfloat16", "cuda")
    for wrong in ({"precision": "float16"}, {"compile": "on"}, {"resident": "maybe"}):
        with pytest.raises(ConfigError):
            FitConfig(**wrong)


@pytest.mark.parametrize("every", [1, 4, 100])
def test_sums_are_those_of_plain_numbers_to_the_last_bit(every):
    torch.manual_seed(0)
    losses, given = torch.randn(50), {"loss": 0.1, "old": 3.0}
    tally, plain = Tally(given, every, lambda batch: None), dict(given)
    for index, loss in enumerate(losses):
        values = {"loss": loss, "part": loss / 3}
        tally.add(Batch(1, index, torch.tensor([0]), values, torch.tensor(True)))
        plain |= {name: plain.get(name, 0.0) + float(value) for name, value in values.items()}
    assert tally.read() == plain and given == {"loss": 0.1, "old": 3.0}


@pytest.mark.parametrize("every", [1, 4, 100])
def test_the_first_batch_that_is_not_fine_is_told(every):
    def refuse(batch):
        raise C2VLError(f"epoch {batch.epoch}, batch {batch.index}, rows {batch.rows.tolist()}")

    tally = Tally({}, every, refuse)
    with pytest.raises(C2VLError, match=r"epoch 2, batch 5, rows \[10, 11\]"):
        for index in range(10):
            rows, fine = torch.tensor([2 * index, 2 * index + 1]), torch.tensor(index not in (5, 7))
            tally.add(Batch(2, index, rows, {"loss": torch.tensor(1.0)}, fine))
        tally.read()


def test_a_loss_looked_at_seldom_is_never_saved(tmp_path, monkeypatch):
    """As on a GPU: training goes on for some batches after a NaN, but no checkpoint does."""
    seldom = Loop.__init__

    def as_on_a_gpu(loop, *given):
        seldom(loop, *given)
        loop.at_once = False

    monkeypatch.setattr(Loop, "__init__", as_on_a_gpu)
    data = training_set()
    data.clips[3] = np.nan
    with pytest.raises(C2VLError, match=r"loss became nan in epoch 1, batch \d \(clips"):
        fit(replace(SMALL, checkpoint_every=1), data, tmp_path, "cpu")
    assert not (tmp_path / "checkpoint.safetensors").exists()
    assert read_nan_batches(tmp_path)[0]["not_finite"] == ["clip3"]
