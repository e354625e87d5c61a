"""What a run may use: GPUs, cores, memory and hours, as a suite says it and a command changes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from c2vl_lab.config import from_dict, replace
from c2vl_lab.errors import ConfigError


@dataclass(frozen=True)
class Resources:
    """Resources of one run.

    On one machine ``devices``, ``gpu_memory`` and ``cpus`` count; a cluster is asked for all of them.

    Attributes:
        devices: GPUs of a run. Several share each of its batches (torchrun); 0 keeps it off the GPUs.
        gpu_memory: GB of GPU memory that a run takes; as many runs share a GPU as its free memory holds. 0: a GPU each.
        cpus: cores of a run; 0: what the machine has is shared out, and a cluster gives its own default.
        memory: GB of main memory; 0: the cluster's default.
        hours: time limit; a run that reaches it is cut, queued again and goes on. 0: the cluster's default.
        partition: the cluster's partition; empty: its default.
        at_once: runs of the suite at once in a cluster; 0: as many as it gives.
        sbatch: further options of sbatch by name, without dashes: ``{account: mine, qos: low}``.
    """

    devices: int = 1
    gpu_memory: float = 0.0
    cpus: int = 0
    memory: float = 0.0
    hours: float = 0.0
    partition: str = ""
    at_once: int = 0
    sbatch: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("devices", "gpu_memory", "cpus", "memory", "hours", "at_once"):
            if getattr(self, name) < 0:
                raise ConfigError(f"resources: {name} wants 0 or more, found {getattr(self, name)}.")
        if self.gpu_memory and self.devices > 1:
            raise ConfigError(
                f"resources: runs that share a GPU (gpu_memory {self.gpu_memory:g}) use one, found devices "
                f"{self.devices}. Set one of the two."
            )


def resources_of(written: dict[str, Any], presets: tuple[str, ...], preset: str, where: str) -> Resources:
    """The resources of a suite's preset.

    Args:
        written: as the suite's file has it: fields of :class:`Resources` for all presets, and under a preset's name
            those in which it differs.
        presets: names of the suite's presets.
        preset: the preset.
        where: how an error sentence names the file.

    Raises:
        ConfigError: an unknown field, a wrong type, or a preset's entry that is no mapping.
    """
    common = {name: value for name, value in written.items() if name not in presets}
    own = written.get(preset, {})
    if not isinstance(own, dict):
        raise ConfigError(f"{where}: resources of preset '{preset}' want fields as in {{cpus: 4}}, found {own!r}.")
    return from_dict(Resources, {**common, **own}, f"{where}, resources")


def with_changes(resources: Resources, changes: dict[str, Any]) -> Resources:
    """Resources with what a command says; None and "" leave the suite's.

    Raises:
        ConfigError: a value out of range.
    """
    given = {name: value for name, value in changes.items() if value not in (None, "", {})}
    if "sbatch" in given:
        given["sbatch"] = {**resources.sbatch, **given["sbatch"]}
    return replace(resources, "resources", **given)


def hours_in(text: str) -> float | None:
    """A time limit as people and Slurm write it: ``90`` (minutes), ``12h``, ``2:30:00``, ``1-12:00:00``; "" is None.

    Raises:
        ConfigError: it is none of these.
    """
    if not text:
        return None
    try:
        if text.endswith("h"):
            return float(text[:-1])
        days, _, clock = text.rpartition("-")
        parts = [float(part) for part in clock.split(":")]
        if days:  # days-hours[:minutes[:seconds]]
            hours = sum(part / unit for part, unit in zip(parts, (1, 60, 3600), strict=False))
            return 24 * float(days) + hours
        units = {1: (60,), 2: (60, 3600), 3: (1, 60, 3600)}[len(parts)]  # minutes, minutes:seconds, h:m:s
        return sum(part / unit for part, unit in zip(parts, units, strict=True))
    except (ValueError, KeyError):
        raise ConfigError(f"--time wants 90 (minutes), 12h, 2:30:00 or 1-12:00:00, found '{text}'.") from None
