"""What an encoder's weights need beside them to be used: the network, the skeleton, and how clips are normalised."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import read_json, write_json
from c2vl_lab.config import from_dict, to_dict
from c2vl_lab.data.align import PrepareConfig
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import C2VLError, ConfigError, DataError, MissingError
from c2vl_lab.weights import FILE as CHECKPOINT

SKELETON = "skeleton.json"
LARGEST = {"width": 4096, "frames": 4096, "people": 16, "joints": 512}  # of what strangers may ask us to build
NEEDED = ("arm", "align", "origin", "scale", "frames", "epochs")  # of config.json


@dataclass(frozen=True)
class Skeleton:
    """The joints and people of the clips that an encoder reads.

    Attributes:
        name, joints, parents, mirror: see :class:`~c2vl_lab.data.layouts.JointLayout`.
        people: body slots of every clip. Some encoders count an empty slot in, so it belongs to the encoder.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[int, ...]
    people: int

    def __post_init__(self) -> None:
        count, every = len(self.joints), range(len(self.joints))
        fits = len(self.parents) == len(self.mirror) == len(set(self.joints)) == count and self.people >= 1
        if not fits or any(place not in every for place in (*self.parents, *self.mirror)):
            raise ConfigError("a skeleton wants joints of different names, a parent and a twin for each, and people")
        if self.people > LARGEST["people"] or count > LARGEST["joints"]:
            raise ConfigError(f"wanted at most {LARGEST['joints']} joints and {LARGEST['people']} people")
        if sum(place == parent for place, parent in enumerate(self.parents)) != 1:
            raise ConfigError("a skeleton wants exactly one root, a joint that is its own parent")
        ends = list(every)
        for _ in every:
            ends = [self.parents[place] for place in ends]
        if len(set(ends)) != 1:
            raise ConfigError("a skeleton wants bones that all lead to its root, found a circle")

    @classmethod
    def of(cls, layout: JointLayout, people: int) -> Skeleton:
        """From a layout."""
        return cls(layout.name, layout.joints, layout.parents, layout.mirror, people)

    @property
    def layout(self) -> JointLayout:
        """The joints."""
        return JointLayout(self.name, self.joints, self.parents, self.mirror)


@dataclass(frozen=True)
class Description:
    """How an encoder is built and what it is shown.

    Attributes:
        encoder: name of the network.
        width: its width; 0: the network's own.
        stream: joint, bone or motion.
        frames: frames that it sees of each clip.
        skeleton: joints and people.
        prepare: how clips are normalised.
        origin: where the weights come from, in words: method, data set, teacher; for people.
    """

    encoder: str
    width: int
    stream: str
    frames: int
    skeleton: Skeleton
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    origin: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.width <= LARGEST["width"]:
            raise ConfigError(f"wanted a width of 0 to {LARGEST['width']}, found {self.width}")
        if not (1 <= self.frames <= LARGEST["frames"] and self.prepare.frames <= LARGEST["frames"]):
            raise ConfigError(f"wanted 1 to {LARGEST['frames']} frames, found {self.frames}")

    @property
    def settings(self) -> dict[str, Any]:
        """Those of a run's settings that an encoder brings with it."""
        prepare = {name: getattr(self.prepare, name) for name in ("align", "origin", "scale")}
        return {name: getattr(self, name) for name in ("encoder", "width", "stream", "frames")} | prepare


def described(values: Any, where: str) -> Description:
    """A description from the plain values that a file holds.

    Raises:
        DataError: they are no description; the file is named.
    """
    try:
        if not isinstance(values, dict):
            raise ConfigError(f"wanted an object, found {type(values).__name__}")
        return from_dict(Description, values)
    except C2VLError as error:
        raise DataError(f"{where} does not describe an encoder ({str(error).rstrip('.')}).") from error


def write_skeleton(run_dir: Path, layout: JointLayout, people: int) -> None:
    """Keep joints and people in a run folder, so that the encoder can be used without the run's data set."""
    write_json(Path(run_dir) / SKELETON, to_dict(Skeleton.of(layout, people)))


def describe_run(run_dir: Path, card: dict[str, Any]) -> Description:
    """The description of a trained run's encoder.

    Args:
        run_dir: the run folder.
        card: of its checkpoint, which says how the encoder was built.

    Raises:
        MissingError: a file of the run is not there, or training was cut short.
        DataError: a file is damaged.
    """
    config = run_config(run_dir)
    path = run_dir / SKELETON
    if not path.is_file():
        raise MissingError(
            f"{path} is missing, which says the joints and people that the encoder reads (runs of earlier versions "
            f"have none). `c2vl evaluate {run_dir}` writes it."
        )
    if card.get("epoch", 0) < config["epochs"]:
        raise MissingError(
            f"{run_dir} is trained to epoch {card.get('epoch', 0)} of {config['epochs']}; finish it first."
        )
    fit = card.get("fit", {})
    values = {name: fit.get(name) for name in ("encoder", "width", "stream", "frames")}
    values["prepare"] = {name: config[name] for name in ("align", "origin", "scale")}
    values["origin"] = f"c2vl_lab, arm {config['arm']}, trained on {_trained_on(config)}"
    skeleton = read_json(path)
    return described(values | {"skeleton": skeleton}, f"{run_dir / CHECKPOINT} with {path}")


def run_config(run_dir: Path) -> dict[str, Any]:
    """What ``config.json`` of a run says, as plain values.

    Raises:
        MissingError: there is no such file.
        DataError: it holds no settings.
    """
    path = run_dir / "config.json"
    if not path.is_file():
        raise MissingError(f"No config.json in {run_dir}; wanted a run folder, as `c2vl pretrain` makes it.")
    config = read_json(path)
    if not isinstance(config, dict) or any(name not in config for name in NEEDED):
        raise DataError(f"{path}: wanted a run's settings, with {', '.join(NEEDED)} among them.")
    return config


def _trained_on(config: dict[str, Any]) -> str:
    """The sets and protocols, without folders."""
    own = f"{Path(str(config.get('dataset', ''))).name}:{config.get('protocol', '')}"
    return str(config.get("pretrain_on") or own)
