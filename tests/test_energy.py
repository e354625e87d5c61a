"""Energy of runs: counters read, wrapped around, shared and summed; what cannot be read is said and not guessed."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from c2vl_lab.artifacts import read_json
from c2vl_lab.bench import attempts
from c2vl_lab.bench.attempts import Attempt, spent, together, watt_hours
from c2vl_lab.bench.energy import NO_NVML, NO_RAPL, ROOT_ONLY, Counter, Meter, this_meter


def zone(powercap, address, name, microjoules, wraps=262_000_000):
    folder = powercap / address
    folder.mkdir(parents=True, exist_ok=True)
    for file, value in (("name", name), ("energy_uj", microjoules), ("max_energy_range_uj", wraps)):
        (folder / file).write_text(f"{value}\n")
    return folder


@pytest.fixture
def powercap(tmp_path):
    """A package with its cores (part of it) and memory (not part of it), and a platform zone that holds everything."""
    root = tmp_path / "powercap"
    zone(root, "intel-rapl:0", "package-0", 5_000_000)
    zone(root, "intel-rapl:0:0", "core", 1_000_000)
    zone(root, "intel-rapl:0:1", "dram", 2_000_000)
    zone(root, "intel-rapl:1", "psys", 90_000_000)
    zone(root, "intel-rapl-mmio:0", "package-0", 5_000_000)  # the same package by another road
    return root


def test_packages_and_memory_are_counted_once(powercap):
    meter = this_meter(powercap=powercap)
    for address, now in (("intel-rapl:0", 7_500_000), ("intel-rapl:0:0", 9_000_000), ("intel-rapl:0:1", 2_250_000)):
        (powercap / address / "energy_uj").write_text(str(now))
    assert meter.since() == {"CPU package-0": 2.5, "CPU package-0 dram": 0.25}
    assert meter.since() == {"CPU package-0": 0, "CPU package-0 dram": 0} and meter.unknown == ()


def test_a_counter_that_wrapped_around_goes_on(powercap):
    zone(powercap, "intel-rapl:0", "package-0", 261_000_000)
    meter = this_meter(powercap=powercap)
    zone(powercap, "intel-rapl:0", "package-0", 3_000_000)
    assert meter.since()["CPU package-0"] == pytest.approx(4.0)  # 1 J to the end of the range, 3 J from 0


def test_what_cannot_be_read_is_said(powercap, tmp_path, monkeypatch):
    assert this_meter(powercap=tmp_path / "absent").unknown == (NO_RAPL,)
    (powercap / "intel-rapl:0" / "energy_uj").unlink()
    (powercap / "intel-rapl:0" / "energy_uj").mkdir()  # as unreadable for root, who runs the tests, as for others
    assert this_meter(powercap=powercap).unknown == (ROOT_ONLY,) and this_meter(powercap=powercap).since() == {}
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert NO_NVML in this_meter(["0"], powercap).unknown


def test_gpus_are_read_by_index_and_uuid(monkeypatch, tmp_path):
    class NVMLError(Exception):
        pass

    shown = {"0": 1000, "GPU-b": 5000}

    def energy(handle):
        if handle not in shown:
            raise NVMLError("Not Supported")
        return shown[handle]

    nvml = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=str,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=energy,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    meter = this_meter(["0", "GPU-b", "2"], tmp_path)
    shown.update({"0": 4000, "GPU-b": 5500})  # millijoules
    users = {"one": ["0"], "two": ["0"], "three": ["GPU-b"], "none": [""]}
    assert meter.shares(users) == {
        "one": {"GPU 0": 1.5},
        "two": {"GPU 0": 1.5},
        "three": {"GPU GPU-b": 0.5},
        "none": {},
    }
    assert meter.unknown == (NO_RAPL, "GPU 2: its driver counts no energy")
    shown["0"] = 100  # the driver was loaded again: what was counted in between nobody knows
    assert "GPU 0" not in meter.since() and meter.since()["GPU 0"] == 0


def test_runs_side_by_side_share_and_their_sum_is_what_was_used():
    now = {"joules": 0.0}
    meter = Meter([Counter("CPU package-0", lambda: now["joules"])])
    now["joules"] = 9.0
    charged = meter.shares({"a": [], "b": [], "c": []})
    assert [own["CPU package-0"] for own in charged.values()] == [3, 3, 3]
    now["joules"] = 19.0
    assert meter.shares({}) == {} and meter.shares({"a": []}) == {"a": {"CPU package-0": 0}}  # nobody ran: nobody pays


def test_attempts_add_up_and_survive_a_kill(tmp_path, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(attempts.time, "monotonic", lambda: float(next(clock)))
    first = Attempt(tmp_path, [])
    for _ in range(4):
        first.add({"CPU package-0": 3600.0})  # never written by the end of it: it was killed
    kept = spent(tmp_path)
    assert kept.seconds > 0 and kept.joules["CPU package-0"] >= 2 * 3600 and kept.counted == 1
    second = Attempt(tmp_path, ["GPU 0: its driver counts no energy"])
    second.add({"CPU package-0": 3600.0})
    second.write()
    both = spent(tmp_path)
    assert both.seconds > kept.seconds and both.energy == kept.energy + 3600
    assert "not known: GPU 0" in both.in_words() and len(read_json(tmp_path / "made.json")["attempts"]) == 2


def test_sums_and_words(tmp_path):
    old = spent(tmp_path, 12.5)  # a run of before, without made.json
    assert (old.seconds, old.energy) == (12.5, None) and old.in_words().startswith("not known (not measured")
    Attempt(tmp_path, []).write()
    counted = Attempt(tmp_path / "x", [])
    counted.add({"CPU package-0": 7200.0})
    (tmp_path / "x").mkdir(exist_ok=True)
    counted.write()
    total = together([old, spent(tmp_path / "x", 99.0)])
    assert total.runs == 2 and total.counted == 1 and total.in_words() == "2 Wh (CPU package-0 2 Wh; of 1 of 2 runs)"
    assert watt_hours(4.56 * 3.6e6) == "4.56 kWh" and together([]).in_words().startswith("not known")


def test_a_torn_file_is_no_cost(tmp_path):
    (tmp_path / "made.json").write_text('{"attempts": [{"seco')
    assert spent(tmp_path, 3.0).seconds == 3.0
