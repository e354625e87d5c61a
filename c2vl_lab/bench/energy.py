"""Energy by the machine's own counters: of processor packages (RAPL) and of NVIDIA GPUs (NVML), where they can be read.

A counter counts all that its package or GPU does, the work of others included; nothing here is estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
ROOT_ONLY = "processor: its energy counters are readable by root only"
NO_RAPL = "processor: this machine shows no energy counter"
NO_NVML = "GPU: wants `pip install nvidia-ml-py`"
NO_COUNTER = "{name}: its driver counts no energy"


@dataclass(frozen=True)
class Counter:
    """One counter of the machine.

    Attributes:
        name: ``CPU package-0``, ``CPU package-0 dram`` or ``GPU 0``.
        read: what it shows now, in joules; raises OSError where it cannot be read.
        wraps: joules at which it begins at 0 again; 0: never.
        gpu: the GPU as ``CUDA_VISIBLE_DEVICES`` names it; empty for a processor's.
    """

    name: str
    read: Callable[[], float]
    wraps: float = 0.0
    gpu: str = ""


class Meter:
    """Joules between two looks at some counters; look more often than they wrap around (minutes).

    Args:
        counters: that can be read.
        unknown: sentences about what cannot be.
    """

    def __init__(self, counters: Sequence[Counter], unknown: Sequence[str] = ()):
        self.counters, self.unknown = tuple(counters), tuple(unknown)
        self.last: dict[str, float] = {}
        self.since()

    def since(self) -> dict[str, float]:
        """Joules of each counter since the last call; a counter that failed or was set back says nothing this time."""
        found = {}
        for counter in self.counters:
            before = self.last.pop(counter.name, None)
            try:
                self.last[counter.name] = now = counter.read()
            except OSError:
                continue
            if before is not None and (now >= before or counter.wraps):
                found[counter.name] = now - before + (counter.wraps if now < before else 0.0)
        return found

    def shares(self, users: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
        """What each user is charged since the last call: users of one counter share what it counted equally.

        Args:
            users: name to the GPUs that it has; every user uses the processor.
        """
        charged: dict[str, dict[str, float]] = {name: {} for name in users}
        on = {counter.name: counter.gpu for counter in self.counters}
        for counter, joules in self.since().items():
            using = [name for name, gpus in users.items() if not on[counter] or on[counter] in gpus]
            for name in using:
                charged[name][counter] = joules / len(using)
        return charged


def this_meter(gpus: Sequence[str] = (), powercap: Path = POWERCAP) -> Meter:
    """A meter of everything that can be read here.

    Args:
        gpus: indices or UUIDs of the NVIDIA GPUs in use.
        powercap: where Linux shows the processor's counters.
    """
    processors, unknown = processor_counters(powercap)
    cards, more = gpu_counters(gpus) if gpus else ([], [])
    return Meter([*processors, *cards], [*unknown, *more])


def processor_counters(powercap: Path = POWERCAP) -> tuple[list[Counter], list[str]]:
    """Counters of the processor packages and of memory that has its own, and why where there are none.

    Zones inside a package other than memory are parts of it, and whole-platform zones hold it: both would count twice.
    """
    counters = []
    for zone in sorted(powercap.glob("intel-rapl:*")):  # AMD's too are called so
        name, inside = _text(zone / "name"), zone.name.count(":") > 1
        if not (name == "dram" if inside else name.startswith("package")):
            continue
        if inside:
            name = f"{_text(powercap / zone.name.rpartition(':')[0] / 'name')} dram"
        counter = Counter(f"CPU {name}", _reader(zone / "energy_uj"), _micro(zone / "max_energy_range_uj"))
        try:
            counter.read()
        except OSError:
            return [], [ROOT_ONLY]
        counters.append(counter)
    return counters, [] if counters else [NO_RAPL]


def gpu_counters(gpus: Sequence[str]) -> tuple[list[Counter], list[str]]:
    """Counters of NVIDIA GPUs (Volta and later, not parts of one), and why where there are none."""
    try:
        import pynvml
    except ImportError:
        return [], [NO_NVML]
    counters, unknown = [], []
    for gpu in gpus:
        name = f"GPU {gpu}"
        try:
            pynvml.nvmlInit()
            by = pynvml.nvmlDeviceGetHandleByIndex if gpu.isdigit() else pynvml.nvmlDeviceGetHandleByUUID
            counter = Counter(name, _gpu_reader(by(int(gpu) if gpu.isdigit() else gpu)), gpu=gpu)
            counter.read()
            counters.append(counter)
        except (pynvml.NVMLError, OSError):
            unknown.append(NO_COUNTER.format(name=name))
    return counters, unknown


def _gpu_reader(handle: object) -> Callable[[], float]:
    """Joules since the driver was loaded; NVML counts millijoules."""
    import pynvml

    def read() -> float:
        try:
            return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
        except pynvml.NVMLError as error:
            raise OSError(str(error)) from error

    return read


def _reader(path: Path) -> Callable[[], float]:
    return lambda: _micro(path)


def _micro(path: Path) -> float:
    """Microjoules of a file as joules."""
    try:
        return int(path.read_text()) / 1e6
    except ValueError as error:
        raise OSError(f"{path}: no number") from error


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
