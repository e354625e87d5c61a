"""The ``.npz`` of CTR-GCN, that MAMP, GAP, STAR and others read too: padded rows, and no clip names.

``NTU60_CS.npz``, ``NTU120_CSub.npz``, ``NTU60_XSub.npz``, ``PKUv2_XSub.npz`` hold ``x_train`` (N, 300, 150), the 150
numbers being two bodies of 25 joints, ``y_train`` one-hot, ``x_test`` and ``y_test``. Their rows were grouped by the
ids of performers (or cameras, or setups): in ascending order of the id and, for each, in the order of the list
``skes_available_name.txt`` that CTR-GCN ships. With that list the names are rebuilt, and refused where a count or a
single label disagrees. Facts about the layout: field.md, section 1b.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_lab.data.protocols import RULES
from c2vl_lab.data.readers.imports_common import (
    BODIES,
    JOINTS,
    NO_FRAMES,
    NO_NAMES,
    NTU_NAME,
    RowsPart,
    class_list,
    clip_of,
    conflict,
    guess_protocol,
    guess_set,
    known_set,
    named_action,
    named_numbers,
    our_labels,
    plan_of,
    repeated,
    row_names,
    settled,
)
from c2vl_lab.data.readers.npz_rows import Member, npz_members, read_rows
from c2vl_lab.data.readers.sources import PartReading, Plan
from c2vl_lab.errors import ConfigError, DataError, MissingError

VERSION = 2
PARTS = ("train", "test")
LIST = "skes_available_name.txt"
BLOCK = 32 * 2**20  # bytes of rows that a part unpacks at once
LABELS_LIMIT = 512 * 2**20  # bytes of one-hot labels; NTU-120 has 60 MB
LIST_LIMIT = 64 * 2**20
COORDINATES = {
    "ntu": "as CTR-GCN leaves them: frames in which nobody is seen were dropped, and joint 2 of the first body in its "
    "first frame is the origin of the clip (subtracted once, so walking paths and the distance of two people are kept)",
    "pku": "as published, without the frames after the 300th",
}


@dataclass(frozen=True)
class Options:
    """How a file is read.

    Attributes:
        dataset: ``ntu60``, ``ntu120``, ``pku1`` or ``pku2``; "": told by the file's path or number of classes.
        protocol: ``xsub``, ``xview`` or ``xset``; "": told by the file's path.
        names: CTR-GCN's list of clip names; "": the list beside the file, if there is one; "none": no names.
    """

    dataset: str = ""
    protocol: str = ""
    names: str = ""


@dataclass(frozen=True)
class Context:
    """What reading a part needs: the arrays by name, and the protocol that their parts are of."""

    members: dict[str, Member]
    protocol: str


def find(data_dir: str | Path, options: Options) -> list[Path]:
    """The ``.npz`` (``data_dir`` itself, or the only one in it that fits the options) and the list of names.

    Raises:
        MissingError: there is no such file.
        ConfigError: several files fit.
    """
    root = Path(data_dir).expanduser()
    files = [root] if root.is_file() else npz_files(root) if str(data_dir) else []
    wanted = [path for path in files if _fits(path, options)]
    if files and not wanted:
        raise ConfigError(f"ctrgcn: {conflict(files[0], options.dataset, options.protocol)}")
    if not wanted:
        raise MissingError(
            f"ctrgcn: wanted an .npz such as NTU60_CS.npz in {root} or up to two folders below, found none. Set "
            f"data_dir to the file or its folder."
        )
    if len(wanted) > 1:
        listed = ", ".join(str(path.relative_to(root)) for path in wanted[:8])
        raise ConfigError(f"ctrgcn: several files fit ({listed}). Set data_dir to the file, or dataset= and protocol=.")
    names = _list_of(wanted[0], options)
    return wanted + ([names] if names else [])


def npz_files(root: Path) -> list[Path]:
    """The ``.npz`` files in a folder and two levels below."""
    return sorted(path for pattern in ("*.npz", "*/*.npz", "*/*/*.npz") for path in root.glob(pattern))


def _fits(path: Path, options: Options) -> bool:
    """Whether what a file's path tells is not another set or protocol than the one asked for."""
    return not conflict(path, options.dataset, options.protocol)


def _list_of(path: Path, options: Options) -> Path | None:
    """The list of names that was asked for or lies beside the file."""
    if options.names == "none":
        return None
    if options.names:
        names = Path(options.names).expanduser()
        if not names.is_file():
            raise MissingError(f"names: there is no file {names}. Give the path of CTR-GCN's {LIST}, or 'none'.")
        return names
    return next((n for n in (path.with_name(f"{path.stem}_{LIST}"), path.with_name(LIST)) if n.is_file()), None)


def plan(sources: list[Path], options: Options) -> Plan:
    """Blocks of rows, the training part first; names rebuilt where there is a list.

    Raises:
        ConfigError: the set or the protocol is not told.
        DataError: an array is lacking or of another shape, or the names do not fit.
    """
    path, listed = sources[0], sources[1] if len(sources) > 1 else None
    members = npz_members(path)
    _check_arrays(path, members)
    dataset = known_set(settled(options.dataset or guess_set(path) or _by_classes(members), "dataset", path))
    protocol = settled(options.protocol or guess_protocol(path), "protocol", path)
    _check_classes(path, members, dataset)
    labels = {part: our_labels(_file_labels(members[f"y_{part}"]), dataset, f"{path}/y_{part}") for part in PARTS}
    if listed:
        names = rebuilt_names(listed, labels, dataset, protocol)
    else:
        names = {part: row_names(part, len(labels[part])) for part in PARTS}
    parts = [part for name in PARTS for part in _parts(members[f"x_{name}"], name, names[name], labels[name])]
    remark = f"rebuilt from {listed.name}, each label compared" if listed else NO_NAMES
    notes = {"coordinates": COORDINATES[dataset[:3]], "frames": NO_FRAMES, "names": remark, "file": path.name}
    context = Context({name: members[name] for name in ("x_train", "x_test")}, protocol)
    return plan_of(parts, dataset, notes, context)


def _check_arrays(path: Path, members: dict[str, Member]) -> None:
    """The four arrays must be there and fit together."""
    lacking = [f"{kind}_{part}" for kind in "xy" for part in PARTS if f"{kind}_{part}" not in members]
    if lacking:
        found = ", ".join(sorted(members)[:8]) or "none"
        raise DataError(f"{path}: wanted the arrays x_train, y_train, x_test and y_test; {lacking} lacking ({found}).")
    width = BODIES * JOINTS * 3
    for part in PARTS:
        x, y = members[f"x_{part}"], members[f"y_{part}"]
        if len(x.shape) != 3 or x.shape[2] != width or np.dtype(x.dtype).kind != "f":
            raise DataError(f"{path}/{x.name}: wanted (clips, frames, {width}) numbers, found {x.dtype} {x.shape}.")
        if len(y.shape) > 2 or y.shape[0] != x.shape[0] or y.shape[0] * y.row_bytes > LABELS_LIMIT:
            raise DataError(f"{path}/{y.name}: wanted a label for each of {x.shape[0]} clips, found {y.shape}.")


def _check_classes(path: Path, members: dict[str, Member], dataset: str) -> None:
    """One-hot labels must have a column for each published class id of the set."""
    columns = max(class_list(dataset)[1])
    for part in PARTS:
        shape = members[f"y_{part}"].shape
        if len(shape) == 2 and shape[1] != columns:
            raise DataError(
                f"{path}/y_{part}: wanted {columns} columns, one for each class of {dataset}, found {shape[1]}. The "
                f"file is of another set: set dataset=, or drop it."
            )


def _by_classes(members: dict[str, Member]) -> str:
    """The set that the number of one-hot columns tells; PKU-MMD I and II both have 51."""
    shape = members["y_train"].shape
    return {60: "ntu60", 120: "ntu120"}.get(shape[1], "") if len(shape) == 2 else ""


def _file_labels(member: Member) -> list[Any]:
    """The labels of one-hot rows, or of plain numbers.

    Raises:
        DataError: a row that is not one-hot.
    """
    rows, step = member.shape[0], max(1, BLOCK // member.row_bytes)
    labels: list[Any] = []
    for start in range(0, rows, step):
        block = read_rows(member, start, min(start + step, rows))
        if block.ndim == 1:
            labels += block.tolist()
            continue
        wrong = np.flatnonzero(np.count_nonzero(block, axis=1) != 1)
        if len(wrong):
            row = start + int(wrong[0])
            raise DataError(f"{member.path}/{member.name}, row {row}: wanted exactly one class, found several or none.")
        labels += np.argmax(block != 0, axis=1).tolist()
    return labels


def _parts(member: Member, split: str, names: list[str], labels: list[int]) -> list[RowsPart]:
    """Blocks of rows of one array."""
    step = max(1, min(256, BLOCK // member.row_bytes))
    return [
        RowsPart(
            member.path, tuple(names[i : i + step]), i, tuple(names[i : i + step]), tuple(labels[i : i + step]), split
        )
        for i in range(0, len(names), step)
    ]


def rebuilt_names(listed: Path, labels: dict[str, list[int]], dataset: str, protocol: str) -> dict[str, list[str]]:
    """The clip names of both parts in the file's row order.

    Names of NTU RGB+D are grouped as CTR-GCN does it: each part by ascending id, in the list's order for each id. The
    list of another set names the rows as they come, the training part first (so does the list that
    :func:`c2vl_lab.data.exports.export_ctrgcn` writes).

    Args:
        listed: the list, a name a line.
        labels: our label of each row of ``train`` and ``test``.
        dataset: the set's name.
        protocol: the file's protocol.

    Raises:
        ConfigError: the set has no such protocol.
        DataError: the counts differ, or a name's action is not its row's label.
    """
    lines = _lines(listed)
    names = _grouped(lines, dataset, protocol) if all(map(NTU_NAME.fullmatch, lines)) else _as_listed(lines, labels)
    counts = {part: (len(names[part]), len(labels[part])) for part in PARTS}
    if any(wanted != found for wanted, found in counts.values()):
        raise DataError(
            f"{listed}: its names make {counts['train'][0]} training and {counts['test'][0]} test clips of {protocol}, "
            f"the file has {counts['train'][1]} and {counts['test'][1]}. It is not the list that the file was made "
            f"from. Give that list, or names=none."
        )
    ids = class_list(dataset)[1]
    for part in PARTS:
        pairs = [(named_action(name), ids[label]) for name, label in zip(names[part], labels[part], strict=True)]
        wrong = [row for row, (action, label) in enumerate(pairs) if action not in (0, label)]
        if wrong:
            row = wrong[0]
            raise DataError(
                f"{listed}: the name rebuilt for row {row} of {part}, {names[part][row]}, says action {pairs[row][0]}, "
                f"the file's label says {pairs[row][1]} ({len(wrong)} of {len(pairs)} rows disagree). The file was "
                f"made from another list or in another order. Give its list, or names=none."
            )
    return names


def _lines(listed: Path) -> list[str]:
    """The names in a list.

    Raises:
        DataError: no text, or a name twice.
    """
    if listed.stat().st_size > LIST_LIMIT:
        raise DataError(f"{listed}: wanted a list of clip names, found {listed.stat().st_size} bytes.")
    try:
        lines = [line.strip() for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"{listed}: wanted a list of clip names, found no text ({error}).") from error
    if twice := repeated(lines):
        raise DataError(f"{listed}: names {twice[:60]} twice.")
    if odd := [line for line in lines if len(line) > 200 or not line.isprintable()]:
        raise DataError(f"{listed}: wanted a clip name a line, found {odd[0][:60]!r}.")
    return lines


def _grouped(lines: list[str], dataset: str, protocol: str) -> dict[str, list[str]]:
    """Names of NTU RGB+D in CTR-GCN's order."""
    rule = RULES.get(dataset, {}).get(protocol)
    if rule is None:
        raise ConfigError(f"{dataset} has no protocol '{protocol}'. Known: {', '.join(RULES.get(dataset, {}))}.")
    values = np.array([named_numbers(name)[rule.column] for name in lines])
    order = np.argsort(values, kind="stable")
    inside = rule.in_train(values)[order]
    return {part: [lines[i] for i in order[inside == (part == "train")]] for part in PARTS}


def _as_listed(lines: list[str], labels: dict[str, list[int]]) -> dict[str, list[str]]:
    """Names in row order."""
    count = len(labels["train"])
    return {"train": lines[:count], "test": lines[count:]}


def read(part: RowsPart, context: Context) -> PartReading:
    """The clips of a block of rows; a damaged block is a fault."""
    member = context.members[f"x_{part.split}"]
    stop = part.start + len(part.names)
    reading = PartReading(files=int(part.start == 0 and part.split == "train"))
    try:
        block = read_rows(member, part.start, stop)
    except DataError as error:
        reading.faults[f"{member.where}, rows {part.start} to {stop - 1}"] = str(error)
        return reading
    reading.bytes = block.nbytes
    bodies = block.reshape(*block.shape[:2], BODIES, JOINTS, 3)
    splits = {context.protocol: part.split}
    for row, (xyz, name, label) in enumerate(zip(bodies, part.names, part.labels, strict=True), part.start):
        clip = clip_of(xyz, name, label, f"{member.where}, row {row}", splits, reading)
        if clip:
            reading.clips.append(clip)
    return reading
