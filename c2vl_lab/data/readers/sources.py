"""Where raw files come from: found in a folder, read straight out of zips, never unpacked to disk."""

from __future__ import annotations

import errno
import lzma
import os
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import DataError, MissingError

MEMBER_LIMIT = 256 * 2**20  # bytes; the largest skeleton file known to us has 8 MB
# what zipfile and its decompressors raise on damaged archives
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, RuntimeError, NotImplementedError, ValueError, OverflowError),
)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others cannot be unpacked a bounded piece at a time
DAMAGED_ERRNO = (None, errno.EINVAL)  # OSErrors of decompressors and of absurd offsets; any other is the disk's
Progress = Callable[[str], None] | None


@dataclass(frozen=True)
class NoOptions:
    """For sets that are read in one way only."""


@dataclass(frozen=True)
class Part:
    """A piece of a conversion that one worker reads at once: a few hundred clips at most.

    Attributes:
        path: the file, or the archive or folder that holds the members.
        members: names inside ``path``; empty: the whole file.
    """

    path: str
    members: tuple[str, ...] = ()


@dataclass
class PartReading:
    """What came out of a part.

    Attributes:
        clips: in a fixed order.
        counts: what was dropped, repaired or converted, and how often ("bodies left out: ..."), for the summary.
        dropped: clip name -> why it was left out on purpose (named in the missing list, no body in any frame).
        faults: file -> the sentence that says, with the line, why it cannot be used. Other files are read all the same.
        files: raw files read.
        bytes: raw bytes read, unpacked.
    """

    clips: list[Clip] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Plan:
    """How a set is read: its parts in the order of the store, and what holds for all of them.

    Attributes:
        parts: independent of one another, always the same for the same sources.
        layout: the joints of every clip.
        classes: class names in label order.
        class_ids: the published id of each class, in label order (PKU-MMD II uses 41 of 51 ids).
        extras: of ``state`` and ``color``, what every clip brings.
        notes: remarks for the store's meta data: conversions, conventions.
        context: whatever ``read`` needs for every part; must be picklable.
        dataset: the set that the clips belong to, where that is not the reader's own name (imported layouts).
    """

    parts: list[Part]
    layout: JointLayout
    classes: list[str]
    class_ids: list[int] = field(default_factory=list)
    extras: tuple[str, ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)
    context: Any = None
    dataset: str = ""


def single_body(
    name: str, xyz: np.ndarray, source: str, *, label: int, subject: int, trial: int, camera: int = 1
) -> Clip:
    """A clip of one body from coordinates (T, V, 3); all-zero frames are those in which it was not tracked."""
    return Clip(
        name=name,
        xyz=xyz[:, None],
        present=np.any(xyz != 0, axis=(1, 2))[:, None],
        frames=np.arange(len(xyz), dtype=np.int32),
        label=label,
        subject=subject,
        camera=camera,
        trial=trial,
        source=source,
    )


def find_file(data_dir: str | Path, folder: str, name: str) -> Path:
    """The file ``name`` in ``data_dir/folder`` or in ``data_dir`` itself.

    Raises:
        MissingError: it is in neither place.
    """
    root = existing_folder(data_dir, folder)
    for path in (root / folder / name, root / name):
        if path.is_file():
            return path
    raise MissingError(
        f"{folder}: wanted {name} in {root / folder} or {root}, found neither. "
        f"Set data_dir (in a command: --data) to the folder that holds the published files."
    )


def existing_folder(data_dir: str | Path, dataset: str) -> Path:
    """``data_dir`` as a path.

    Raises:
        MissingError: it is empty or no folder.
    """
    if not str(data_dir):
        raise MissingError(
            f"{dataset}: data_dir is not set. Set it to the folder that holds the published files "
            "(in a command: --data)."
        )
    root = Path(data_dir).expanduser()
    if not root.is_dir():
        raise MissingError(
            f"{dataset}: data_dir {root} is no folder. Set it to the folder of the published files "
            "(in a command: --data)."
        )
    return root


def files_below(root: Path, endings: tuple[str, ...]) -> list[Path]:
    """All files with one of ``endings`` (small letters), in a fixed order.

    Links to folders are followed, but not in circles, nor upwards out of ``root``.
    """
    files, seen, home = [], set(), os.path.realpath(root)
    for folder, below, names in os.walk(root, followlinks=True):
        below.sort()
        real = os.path.realpath(folder)
        if real in seen or home.startswith(os.path.join(real, "")):
            below.clear()
            continue
        seen.add(real)
        files += [Path(folder) / name for name in sorted(names) if name.lower().endswith(endings)]
    return files


def zip_index(path: Path) -> list[zipfile.ZipInfo]:
    """The members of a zip (files only), in name order.

    Raises:
        DataError: the file is no zip or its end is missing.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted((i for i in archive.infolist() if not i.is_dir()), key=lambda i: i.filename)
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno not in DAMAGED_ERRNO:
            raise
        raise DataError(
            f"{path}: wanted a complete zip, found {path.stat().st_size} bytes that are none ({str(error)[:200]}). "
            f"The download was probably cut: fetch it again."
        ) from error


def zip_members(path: Path, suffix: str, limit: int = MEMBER_LIMIT) -> Iterator[tuple[str, bytes]]:
    """Yield (member name, bytes) of every member that ends with ``suffix``, in name order, in memory only.

    Raises:
        DataError: the archive is cut or damaged, a member's checksum is wrong, or a member is absurdly large.
    """
    index = [info for info in zip_index(path) if info.filename.endswith(suffix)]
    with zipfile.ZipFile(path) as archive:
        for info in index:
            yield info.filename, read_member(archive, info, path, limit)


def whole_archive(path: Path, suffix: str) -> list[Part]:
    """A zip as one part, for the small sets.

    Raises:
        DataError: it is cut or damaged, or holds no file that ends with ``suffix``.
    """
    if not any(info.filename.endswith(suffix) for info in zip_index(path)):
        raise DataError(f"{path}: wanted {suffix} files in it, found none. This is not the published archive.")
    return [Part(str(path))]


def usable_members(path: Path, suffix: str, reading: PartReading, limit: int) -> Iterator[tuple[str, bytes]]:
    """As :func:`zip_members`, but a damaged member becomes a fault of ``reading`` and the others come all the same.

    ``reading`` also counts the files and bytes.

    Raises:
        DataError: the archive as a whole cannot be read.
    """
    index = [info for info in zip_index(path) if info.filename.endswith(suffix)]
    with zipfile.ZipFile(path) as archive:
        for info in index:
            reading.files += 1
            try:
                data = read_member(archive, info, path, limit)
            except DataError as error:
                reading.faults[f"{path.name}/{info.filename}"] = str(error)
                continue
            reading.bytes += len(data)
            yield info.filename, data


def check_method(info: zipfile.ZipInfo, path: Path) -> None:
    """Refuse a member whose unpacking nothing bounds: a few bytes of bzip2 or LZMA give gigabytes in one piece.

    Raises:
        DataError: it is neither stored nor deflated.
    """
    if info.compress_type not in METHODS:
        name = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "lzma"}.get(info.compress_type, str(info.compress_type))
        raise DataError(
            f"{path}: member {info.filename} is packed by method {name}, which cannot be read within bounds. Pack the "
            f"archive again by the usual one (deflate)."
        )


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, limit: int = MEMBER_LIMIT) -> bytes:
    """One member's bytes; its stated size is checked before, and enforced while, it is read.

    Raises:
        DataError: the member is damaged, encrypted, absurdly large, or packed by an unusual method.
        OSError: the system refuses to read the archive.
    """
    check_method(info, path)
    if info.file_size > limit:
        raise DataError(
            f"{path}: member {info.filename} claims {info.file_size} bytes, more than the {limit} allowed. "
            f"This is not the published archive."
        )
    try:
        with archive.open(info) as stream:
            return stream.read(limit)
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno not in DAMAGED_ERRNO:
            raise
        raise DataError(
            f"{path}: member {info.filename} is damaged ({str(error)[:200]}). The download was probably cut: fetch it "
            f"again."
        ) from error


def read_archive(part: Part, suffix: str, limit: int, make: Callable[[str, bytes], Clip]) -> PartReading:
    """A clip of each member of an archive; one that ``make`` refuses, by a DataError, becomes a fault.

    Args:
        part: the whole archive.
        suffix: ending of the members that count.
        limit: most bytes of a member.
        make: (name for messages, content) -> clip.
    """
    reading = PartReading()
    path = Path(part.path)
    for member, data in usable_members(path, suffix, reading, limit):
        where = f"{path.name}/{member}"
        try:
            reading.clips.append(make(where, data))
        except DataError as error:
            reading.faults[where] = str(error)
    return reading
