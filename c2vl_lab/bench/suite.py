"""A suite is a small file: which notebook, which grid of parameters, which seeds. Expanded, it is a list of runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.bench.measured import MEASURED_BY
from c2vl_lab.bench.resources import resources_of
from c2vl_lab.config import from_dict
from c2vl_lab.errors import ConfigError, DataError, MissingError, choose, near_miss
from c2vl_lab.recipes import with_recipe

SUITES_DIR = Path(__file__).parent / "suites"
PLACES = ("data_dir", "work_dir", "run_dir", "device", "command")


@dataclass(frozen=True)
class Suite:
    """One benchmark, as its file says it.

    Attributes:
        name: short name; folders are named after it.
        title: heading of the report.
        dataset: data set of every run, given to all notebooks; empty: it must be named on the command line.
        grid: one set of parameters an arm; ``label`` names it in the report and is no parameter.
        seeds: every arm runs once a seed.
        parameters: parameters common to all runs.
        presets: name -> parameters, chosen on the command line; the first is the default.
        notebook: executed once a run.
        before: notebooks executed once ahead of the runs, in order.
        after: notebooks executed once the runs have ended, in order.
        shown: parameters that pick the run which the notebooks with a ``run_dir`` show (the first that fits).
        wants: parameter -> what it may be. A preset that leaves such a one empty wants it on the command line.
        resources: what a run may use, see :func:`~c2vl_lab.bench.resources.resources_of`.

    In the file, ``recipe: NAME`` among an arm's, a preset's or the common parameters stands for settings by name
    (:data:`~c2vl_lab.recipes.RECIPES`); what is written beside it wins over them.
    """

    name: str
    title: str
    dataset: str
    grid: tuple[dict[str, Any], ...]
    presets: dict[str, dict[str, Any]]
    seeds: tuple[int, ...] = (0, 1, 2)
    parameters: dict[str, Any] = field(default_factory=dict)
    notebook: str = "06_benchmark"
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    shown: dict[str, Any] = field(default_factory=dict)
    wants: dict[str, str] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunSpec:
    """One run of a suite: an arm with a seed.

    Attributes:
        id: readable name plus 8 hexadecimal digits of the parameters' fingerprint; names the run's folder.
        label: how the report names the arm.
        parameters: everything the notebook is given, except where data lie and what computes.
    """

    id: str
    label: str
    parameters: dict[str, Any]


def suite_names() -> list[str]:
    """The suites that come with the package."""
    return sorted(path.stem for path in SUITES_DIR.glob("*.yml"))


def load_suite(name: str | Path) -> Suite:
    """A suite by name, or one's own by the path of its YAML file.

    Raises:
        ConfigError: no suite of that name, an unknown or missing setting, or an empty grid.
        MissingError: the named file is not there.
        DataError: the file is not YAML.
    """
    path = Path(name) if str(name).endswith((".yml", ".yaml")) else SUITES_DIR / f"{name}.yml"
    if not path.is_file():
        if path.parent != SUITES_DIR:
            raise MissingError(f"There is no suite file {path}.")
        raise ConfigError(f"There is no suite named '{name}'. {near_miss(str(name), suite_names())}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise DataError(f"{path}: not valid YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(values, dict):
        raise DataError(f"{path}: wanted a mapping of settings, found {type(values).__name__}.")
    suite = from_dict(Suite, values, where=path.name)
    for what in ("grid", "presets", "seeds"):
        if not getattr(suite, what):
            raise ConfigError(f"{path.name}: '{what}' is empty; a suite needs at least one.")
    for preset, values in suite.presets.items():
        if not isinstance(values, dict):
            found = "nothing" if values is None else repr(values)
            raise ConfigError(f"{path.name}: preset '{preset}' wants parameters, as in {{epochs: 60}}, found {found}.")
        resources_of(suite.resources, tuple(suite.presets), preset, path.name)
    return replace(
        suite,
        grid=tuple(with_recipe({"label": _label(arm)} | arm) for arm in suite.grid),
        parameters=with_recipe(suite.parameters),
        presets={preset: with_recipe(values) for preset, values in suite.presets.items()},
    )


def _label(arm: dict[str, Any]) -> str:
    """How an arm is called that has no label."""
    return " ".join(str(value) for name, value in arm.items() if name != "label")


def preset_name(suite: Suite, preset: str = "") -> str:
    """The preset that was asked for, or the suite's first.

    Raises:
        ConfigError: the suite has no such preset.
    """
    if preset:
        choose(preset, suite.presets, f"preset of suite {suite.name}")
    return preset or next(iter(suite.presets))


def check_wants(suite: Suite, preset: str) -> None:
    """Refuse a preset while something is left open that only its user can name: a file of captions, a folder.

    Raises:
        ConfigError: it says what may be given, and how.
    """
    given = {**suite.parameters, **suite.presets[preset]}
    for name, says in suite.wants.items():
        if given.get(name) == "":
            raise ConfigError(
                f"Suite {suite.name}, preset {preset}, wants {name}: {says}. Name it: --set {name}=VALUE. Presets that "
                f"want nothing of the kind: {', '.join(_free_presets(suite)) or 'none'}."
            )


def _free_presets(suite: Suite) -> list[str]:
    """The presets that leave nothing open."""
    return [
        name
        for name, own in suite.presets.items()
        if not any({**suite.parameters, **own}.get(wanted) == "" for wanted in suite.wants)
    ]


def with_settings(suite: Suite, settings: dict[str, Any]) -> Suite:
    """A suite with some parameters set for all its runs: one's own store, another protocol, fewer epochs.

    The name gets what was set, so that runs and report have folders of their own; not where only what runs are
    measured by was set (protocols, tuning, transfer_to): that is measured of the suite's runs, of finished ones too.

    Args:
        suite: as its file says it.
        settings: parameter to value; ``dataset`` is one of them, and ``recipe`` may be. They win over the presets.

    Raises:
        ConfigError: the arms of the grid, or the seeds, have values of their own for a parameter.
    """
    if not settings:
        return suite
    values = with_recipe(settings)
    for name in values:
        if name == "seed" or any(name in arm for arm in suite.grid):
            raise ConfigError(f"Suite {suite.name}: its runs differ in '{name}'; pick some of them with --only.")
    dataset = str(values.pop("dataset", suite.dataset))
    words = [] if dataset == suite.dataset else [Path(dataset).name]
    words += [f"{name} {value}" for name, value in sorted(settings.items()) if shapes_run(name) and name != "dataset"]
    slug = re.sub(r"[^a-z0-9.]+", "-", " ".join(words).lower()).strip("-.")
    return replace(
        suite,
        name="-".join(part for part in (suite.name, slug) if part),
        title=", ".join([suite.title, *words]),
        dataset=dataset,
        presets={preset: {**own, **values} for preset, own in suite.presets.items()},
    )


def expand(suite: Suite, preset: str = "", only: tuple[str, ...] = ()) -> list[RunSpec]:
    """The runs of a suite, seeds innermost, an arm's own parameters winning over the preset's over the common ones.

    Args:
        preset: name of a preset; empty means the first.
        only: ``name=value`` texts; runs that differ in one of them are left out. What a run does not set is ``None``.

    Raises:
        ConfigError: an unknown preset, an ``only`` that no run has, or two equal runs.
    """
    chosen = suite.presets[preset_name(suite, preset)]
    specs: list[RunSpec] = []
    for arm in suite.grid:
        own = {name: value for name, value in arm.items() if name != "label"}
        label = str(arm.get("label", _label(arm)))
        for seed in suite.seeds:
            parameters = {"dataset": suite.dataset, **suite.parameters, **chosen, **own, "seed": seed}
            shapes = " ".join(str(value) for name, value in own.items() if shapes_run(name))
            slug = re.sub(r"[^a-z0-9]+", "-", shapes.lower()).strip("-")
            spec = RunSpec(f"{slug[:40]}-s{seed}-{run_key(parameters)}", label, parameters)
            if spec.id in {other.id for other in specs}:
                raise ConfigError(f"Suite {suite.name}: the grid names the run '{label}' (seed {seed}) twice.")
            specs.append(spec)
    return _only(specs, only)


def run_key(parameters: dict[str, Any]) -> str:
    """8 hexadecimal digits over the parameters that make a run what it is; more protocols make no other run of it."""
    return fingerprint({name: value for name, value in parameters.items() if shapes_run(name)})[:8]


def shapes_run(name: str) -> bool:
    """Whether a parameter changes what is trained, and with it every number."""
    return not is_place(name) and name not in MEASURED_BY


def is_place(name: str) -> bool:
    """Whether a parameter only says where things lie or what computes them, which changes no result."""
    return name in PLACES or name.endswith("_dir")


def picks(specs: list[RunSpec], wanted: RunSpec) -> tuple[str, ...]:
    """A few ``name=value`` texts that pick a run, and its other seeds, out of a suite's runs: for ``only``.

    Args:
        specs: of :func:`expand`.
        wanted: one of them.
    """
    every = dict.fromkeys(name for spec in specs for name in spec.parameters)
    names = [name for name in every if name != "seed" and shapes_run(name)]
    shared = {name: str(wanted.parameters.get(name)) for name in names}
    rest = [spec for spec in specs if any(str(spec.parameters.get(n)) != value for n, value in shared.items())]
    found: list[str] = []
    while rest and shared:
        left = {name: [s for s in rest if str(s.parameters.get(name)) == value] for name, value in shared.items()}
        best = min(left, key=lambda name: (len(left[name]), name != "arm"))
        if len(left[best]) == len(rest):
            break
        found.append(f"{best}={shared.pop(best)}")
        rest = left[best]
    return tuple(found)


def _only(specs: list[RunSpec], only: tuple[str, ...]) -> list[RunSpec]:
    """The runs that agree with every ``name=value``."""
    for condition in only:
        name, equals, value = condition.partition("=")
        if not equals:
            raise ConfigError(f"--only wants NAME=VALUE, found '{condition}'. For example: --only arm=full")
        known = {key for spec in specs for key in spec.parameters}
        if name not in known:
            raise ConfigError(f"--only: no run has a parameter '{name}'. {near_miss(name, known)}")
        values = {str(spec.parameters.get(name)) for spec in specs}
        if value not in values:
            raise ConfigError(f"--only: no run has {name}={value}. {near_miss(value, values)}")
        specs = [spec for spec in specs if str(spec.parameters.get(name)) == value]
    return specs
