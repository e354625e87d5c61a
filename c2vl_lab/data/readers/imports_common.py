"""What all imports share: which set and protocol a file is of, its names in our form, and its rows as clips."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.joint_gaps import fill_joints
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.readers.ntu_bodies import FARTHEST
from c2vl_lab.data.readers.ntu_classes import NTU_CLASSES
from c2vl_lab.data.readers.pku_classes import CLASS_IDS, PKU_CLASSES
from c2vl_lab.data.readers.sources import Part, PartReading, Plan
from c2vl_lab.errors import ConfigError, DataError, near_miss

SETS = ("ntu60", "ntu120", "pku1", "pku2")
BODIES, JOINTS = 2, 25
NTU_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII)
PKU_NAME = re.compile(r"A(\d{3})N(\d{3})V(\d{3})C(\d{3})L(\d{3})", re.ASCII)
PKU_PART_1 = re.compile(r"F(\d{3})V(\d{3})C(\d{3})L(\d{3})", re.ASCII)  # AimCLR's converter
PKU_ROW = re.compile(r"(?:A(\d{2})N(\d{2})|(\d{4}))-([LMR])\.txt_(\d{1,3})", re.ASCII)  # CMD's: video, label row
VIEWS = {"L": 1, "M": 2, "R": 3}
PROTOCOLS = {
    **dict.fromkeys(("xsub", "cs", "csub", "crosssubject"), "xsub"),
    **dict.fromkeys(("xview", "cv", "cview", "crossview"), "xview"),
    **dict.fromkeys(("xset", "cset", "xsetup", "csetup", "crosssetup"), "xset"),
}
NO_NAMES = "the file has no clip names: they are numbers of rows, and sentences cannot be joined to them"
NO_FRAMES = "the recorder's frame numbers are not in the file: frames count from 0"


@dataclass(frozen=True)
class RowsPart(Part):
    """Some rows of an array, one clip each.

    Attributes:
        start: the first row.
        names: clip names.
        labels: our label of each row.
        split: ``train`` or ``test``.
        lengths: frames of each clip where the file says them.
    """

    start: int = 0
    names: tuple[str, ...] = ()
    labels: tuple[int, ...] = ()
    split: str = ""
    lengths: tuple[int, ...] = ()


def known_set(dataset: str) -> str:
    """``dataset`` if it is one whose clips the layouts hold.

    Raises:
        ConfigError: it is none.
    """
    if dataset not in SETS:
        raise ConfigError(f"dataset: '{dataset}' is no set that can be imported. {near_miss(dataset, SETS)}")
    return dataset


def guess_set(path: Path, names: Iterable[str] = ()) -> str:
    """The set that a file belongs to, from its name and two folders, or from its clip names; "" where none says it."""
    for text in _nearest_first(path, 3):
        if found := re.search(r"ntu[a-z+_\- ]*(60|120)(?!\d)", text):
            return f"ntu{found[1]}"
        if found := re.search(r"pku[a-z_\- ]*([12])(?!\d)", text):
            return f"pku{found[1]}"
    names = list(names)
    if numbers := [match.groups() for match in map(NTU_NAME.match, names) if match]:
        new = any(int(setup) > 17 or int(action) > 60 for setup, _, _, _, action in numbers)
        return "ntu120" if new else "ntu60"
    if any(PKU_PART_1.match(name) or re.match(r"\d{4}-[LMR]", name) for name in names):
        return "pku1"
    return "pku2" if any(PKU_NAME.match(name) or PKU_ROW.match(name) for name in names) else ""


def guess_protocol(path: Path) -> str:
    """The protocol that the names of a file and of its folder tell (``xsub``, ``xview``, ``xset``); "" where none does.

    Folders further up are the user's, who may have one called ``cs``.
    """
    for text in _nearest_first(path, 2):
        for word in re.split(r"[^a-z]+", re.sub(r"cross[-_ ]?", "cross", text)):
            if word in PROTOCOLS:
                return PROTOCOLS[word]
    return ""


def conflict(path: Path, dataset: str, protocol: str = "") -> str:
    """What a path tells against the options, as a sentence; "" where it does not.

    Args:
        path: a file.
        dataset: the option; "" is none.
        protocol: the option; "" is none.
    """
    pairs = (("dataset", dataset, guess_set(path)), ("protocol", protocol, guess_protocol(path)))
    said = [f"{option}={wish} was asked for, its name or folder says {told}" for option, wish, told in pairs
            if wish and told and wish != told]  # fmt: skip
    return f"{path.name}: {'; '.join(said)}. Drop the option, or set data_dir to another file." if said else ""


def _nearest_first(path: Path, parts: int) -> list[str]:
    """The last parts of a file's path, its own name first."""
    return [part.lower() for part in reversed(path.absolute().parts[-parts:])]


def settled(found: str, option: str, path: Path) -> str:
    """A setting that was found, or an error that asks for it.

    Raises:
        ConfigError: it was not found.
    """
    if found:
        return found
    known = ", ".join(SETS if option == "dataset" else dict.fromkeys(PROTOCOLS.values()))
    raise ConfigError(f"{path}: neither the path nor the file tells its {option}. Set {option}= one of {known}.")


@cache
def class_list(dataset: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Class names and published ids in label order."""
    if dataset.startswith("ntu"):
        names = NTU_CLASSES[: int(dataset[3:])]
        return names, tuple(range(1, len(names) + 1))
    return tuple(PKU_CLASSES[number - 1] for number in CLASS_IDS[dataset]), CLASS_IDS[dataset]


def our_labels(labels: Iterable[object], dataset: str, where: str) -> list[int]:
    """A file's labels (published id - 1) as indices into the set's classes.

    Raises:
        DataError: a label that is no whole number or no class of the set.
    """
    indices = {number - 1: label for label, number in enumerate(class_list(dataset)[1])}
    ours = []
    for row, label in enumerate(labels):
        number = float(label) if isinstance(label, (int, float, np.number)) else None
        if number is None or number not in indices:
            shown = f"{number:g}" if number is not None else f"a {type(label).__name__}"
            raise DataError(
                f"{where}, row {row}: label {shown} is none of {dataset}'s {len(indices)} classes (0 is the first). "
                f"Check the file, or set dataset= to the set that it is of."
            )
        ours.append(indices[int(number)])
    return ours


def our_name(raw: object, label: int, dataset: str, where: str) -> str:
    """A file's clip name in the form that sentences are joined by.

    ``.skeleton`` and folders are left off; the video and row that some PKU-MMD files name become
    ``A013N008V002C048L005``, for which the label is needed.

    Raises:
        DataError: no text, or one that can be no clip name, or an action that is not the label's.
    """
    if not isinstance(raw, str) or not 0 < len(raw) <= 200 or not raw.isprintable():
        raise DataError(f"{where}: wanted a clip name of at most 200 characters, found a {type(raw).__name__}.")
    name = raw.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".skeleton") or raw
    number = class_list(dataset)[1][label]
    if found := PKU_PART_1.fullmatch(name):
        name = f"A{found[1]}N000V{found[2]}C{found[3]}L{found[4]}"
    elif found := PKU_ROW.fullmatch(name):
        script, person, video, view, row = found.groups()
        name = f"A{int(script or video):03d}N{int(person or 0):03d}V{VIEWS[view]:03d}C{number:03d}L{int(row) + 1:03d}"
    action = named_action(name)
    if action not in (0, number):
        raise DataError(f"{where}: the name {name} says action {action}, the label {number}. One of them is wrong.")
    return name


def named_action(name: str) -> int:
    """The published class id in a clip name; 0 where there is none."""
    if found := NTU_NAME.fullmatch(name):
        return int(found[5])
    return int(found[4]) if (found := PKU_NAME.fullmatch(name)) else 0


def named_numbers(name: str) -> dict[str, int]:
    """Setup, camera, subject and trial in a clip name; 0 where there is none."""
    if found := NTU_NAME.fullmatch(name):
        setup, camera, subject, trial, _ = map(int, found.groups())
    elif found := PKU_NAME.fullmatch(name):
        setup, subject, camera, _, trial = map(int, found.groups())
    else:
        setup = camera = subject = trial = 0
    return {"setup": setup, "camera": camera, "subject": subject, "trial": trial}


def plan_of(parts: Sequence[Part], dataset: str, notes: dict[str, Any], context: Any = None) -> Plan:
    """The plan of an import: its clips belong to ``dataset``, with that set's classes."""
    classes, ids = class_list(dataset)
    return Plan(list(parts), NTU25, list(classes), list(ids), notes=notes, context=context, dataset=dataset)


def row_names(split: str, count: int) -> list[str]:
    """Names for the rows of a file that has none."""
    return [f"{split}_{row:06d}" for row in range(count)]


@np.errstate(all="ignore")  # what is not in float32 becomes infinite, and that is filled
def clip_of(
    xyz: np.ndarray, name: str, label: int, source: str, splits: dict[str, str], reading: PartReading
) -> Clip | None:
    """A clip from a padded array; None, and a word in ``reading``, where nobody is in any frame.

    Zeros at the end are padding and are cut; frames of zeros before are frames without tracking. A body that is zero
    throughout, or repeats the first number for number, is none. Single joints that are not a number, or farther away
    than any camera sees, are filled (:mod:`~c2vl_lab.data.joint_gaps`); a clip in which no body has half of its joints
    is a fault.

    Args:
        xyz: (T, M, V, 3) of any float type, zero where a body is absent.
        name: clip name.
        label: our label.
        source: file and row, for messages.
        splits: protocol -> part.
        reading: told what was left out.
    """
    present = np.any(xyz != 0, axis=(2, 3))  # (T, M)
    seen = np.flatnonzero(present.any(axis=1))
    if not len(seen):
        reading.dropped[name] = f"{source}: no body in any frame"
        reading.counts["clips left out: no body in any frame"] += 1
        return None
    xyz, present = np.asarray(xyz[: seen[-1] + 1], np.float32), present[: seen[-1] + 1]
    if not (np.abs(xyz) <= FARTHEST).all():
        found = _filled(xyz, present, source, reading)
        if found is None:
            return None
        xyz, present = found
    bodies = np.flatnonzero(present.any(axis=0))
    if len(bodies) > 1 and np.array_equal(xyz[:, 0], xyz[:, 1]):
        bodies = np.delete(bodies, 1)
        reading.counts["second bodies left out: the file repeats the first one there"] += 1
    numbers = named_numbers(name)
    return Clip(
        name=name,
        xyz=np.ascontiguousarray(xyz[:, bodies], np.float32),
        present=np.ascontiguousarray(present[:, bodies]),
        frames=np.arange(len(xyz), dtype=np.int32),
        label=label,
        source=source,
        splits=splits,
        subject=numbers["subject"],
        camera=numbers["camera"],
        setup=numbers["setup"],
        trial=numbers["trial"],
    )


def _filled(
    xyz: np.ndarray, tracked: np.ndarray, source: str, reading: PartReading
) -> tuple[np.ndarray, np.ndarray] | None:
    """Coordinates and presence of a clip with single joints filled; None, and a fault, where too few are known."""
    known = (np.abs(xyz) <= FARTHEST).all(axis=-1, keepdims=True)
    xyz = np.where(known, xyz, np.float32(np.nan))
    xyz, present, filled = fill_joints(xyz, np.any(np.nan_to_num(xyz) != 0, axis=(2, 3)), NTU25)
    seen = np.flatnonzero(present.any(axis=1))
    if not len(seen):
        reading.faults[source] = (
            f"{source}: no body has half of its joints in any frame; {int((~known).sum())} joints are not finite or "
            f"over {FARTHEST:g} m away. Repair or leave out the file."
        )
        return None
    if lost := int((tracked & ~present).sum()):
        reading.counts["body frames left out: fewer than half of the joints are known"] += lost
    reading.counts[f"joints filled: not a number or over {FARTHEST:g} m away"] += int(filled.sum())
    return xyz[: seen[-1] + 1], present[: seen[-1] + 1]


def repeated(names: Iterable[str]) -> str:
    """The first name that occurs twice, or ""."""
    return next((name for name, count in Counter(names).items() if count > 1), "")
