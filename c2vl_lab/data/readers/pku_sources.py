"""Which files of a folder are PKU-MMD's skeletons, labels and split files, whatever the folders are called."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType

from c2vl_lab.data.readers.pku_labels import VIDEO, parse_list
from c2vl_lab.data.readers.sources import (
    DAMAGED,
    DAMAGED_ERRNO,
    check_method,
    existing_folder,
    files_below,
    read_member,
    zip_index,
)
from c2vl_lab.errors import DataError, MissingError

SUFFIXES = (".txt", ".skeleton", ".label")
LIST = re.compile(r"cross[-_ ]?(subject|view)", re.IGNORECASE)
PROTOCOLS = {"subject": "xsub", "view": "xview"}
LIST_LIMIT = 2**20  # bytes; a published list has about 10 kB
TRIED = 5  # files of a folder that are looked into for what it holds
HEAD = 2**14  # bytes looked at; a skeleton row has about 1,400


@dataclass(frozen=True, order=True)
class Entry:
    """A file, or a member of a zip (``archive`` is empty for a file on disk)."""

    archive: str
    name: str

    @property
    def place(self) -> str:
        """The folder that it lies in, for messages."""
        folder = str(PurePosixPath(self.name).parent) if self.archive else str(Path(self.name).parent)
        return f"{self.archive}/{folder}" if self.archive and folder != "." else self.archive or folder

    @property
    def where(self) -> str:
        """The whole name, for messages."""
        return f"{self.archive}/{self.name}" if self.archive else self.name

    @property
    def short(self) -> str:
        """Folder or archive and file, which is the same on every machine."""
        return f"{Path(self.archive).name}/{self.name}" if self.archive else "/".join(Path(self.name).parts[-2:])

    @property
    def stem(self) -> str:
        """File name without suffix."""
        return PurePosixPath(self.name).stem if self.archive else Path(self.name).stem


class Opener:
    """Reads entries; every zip is opened once and closed at the end of the ``with`` block."""

    def __init__(self) -> None:
        self._open: dict[str, zipfile.ZipFile] = {}

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for archive in self._open.values():
            archive.close()

    def read(self, entry: Entry, limit: int) -> bytes:
        """The whole content.

        Raises:
            DataError: it is larger than ``limit`` bytes, or the zip is damaged.
        """
        if entry.archive:
            archive, info = self._member(entry)
            return read_member(archive, info, Path(entry.archive), limit)
        size = Path(entry.name).stat().st_size
        if size > limit:
            raise DataError(f"{entry.name}: wanted at most {limit} bytes, found {size}. This is no published file.")
        return Path(entry.name).read_bytes()

    def head(self, entry: Entry) -> bytes:
        """The first complete lines, at most 16 kB; empty where a zip's member is damaged.

        Raises:
            DataError: a zip's member is packed by a method that cannot be read within bounds.
        """
        if not entry.archive:
            with open(entry.name, "rb") as stream:
                return stream.read(HEAD)
        archive, info = self._member(entry)
        check_method(info, Path(entry.archive))
        try:
            with archive.open(info) as member:
                return member.read(HEAD)
        except (*DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno not in DAMAGED_ERRNO:
                raise
            return b""

    def _member(self, entry: Entry) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
        if entry.archive not in self._open:
            zip_index(Path(entry.archive))  # says what is wrong with the archive
            self._open[entry.archive] = zipfile.ZipFile(entry.archive)
        archive = self._open[entry.archive]
        try:
            return archive, archive.getinfo(entry.name)
        except KeyError as error:
            raise DataError(f"{entry.where}: is no longer in the archive. Read the set again.") from error


@dataclass
class Found:
    """The files of one part of PKU-MMD.

    Attributes:
        skeletons: video name -> entry.
        labels: video name -> entry.
        lists: ``xsub`` and ``xview``, where there are such lists -> (entry, video name -> part).
        other: folders with files named like videos that are neither, and what was found in them.
    """

    skeletons: dict[str, Entry] = field(default_factory=dict)
    labels: dict[str, Entry] = field(default_factory=dict)
    lists: dict[str, tuple[Entry, dict[str, str]]] = field(default_factory=dict)
    other: dict[str, str] = field(default_factory=dict)

    def paths(self) -> list[Path]:
        """The files and zips on disk, each once, in a fixed order."""
        entries = [
            *(self.skeletons[name] for name in sorted(self.skeletons)),
            *(self.labels[name] for name in sorted(self.labels)),
            *(self.lists[name][0] for name in sorted(self.lists)),
        ]
        return [Path(path) for path in dict.fromkeys(entry.archive or entry.name for entry in entries)]


def find_files(data_dir: str | Path, dataset: str) -> Found:
    """Search ``data_dir/<dataset>`` or ``data_dir`` with all folders below; what is in no folder is sought in zips.

    Raises:
        MissingError: there are no skeletons, or no labels.
        DataError: a video has two skeleton files or two label files, or a split file cannot be used.
    """
    root = existing_folder(data_dir, dataset)
    if (root / dataset).is_dir():
        root = root / dataset
    files = files_below(root, (*SUFFIXES, ".zip", ".7z"))
    found = sort_files(files, dataset)
    packed = [path.name for path in files if path.suffix.lower() == ".7z"]
    _check_both(found, dataset, root, packed, "" if found.skeletons else _other_part(files, dataset))
    return found


def sort_files(paths: list[Path], dataset: str) -> Found:
    """Skeletons, labels and split files among files and zips, told apart by what is in them; files go before zips.

    Raises:
        DataError: as :func:`find_files`.
    """
    found = _sort(_entries(paths, zipped=False), dataset)
    if not (found.skeletons and found.labels and len(found.lists) == len(PROTOCOLS)):
        zipped = _sort(_entries(paths, zipped=True), dataset)
        found.skeletons = found.skeletons or zipped.skeletons
        found.labels = found.labels or zipped.labels
        found.lists = zipped.lists | found.lists
        found.other |= zipped.other
    return found


def _sort(entries: Iterable[Entry], dataset: str) -> Found:
    """As :func:`sort_files`, for either files or zips' members."""
    found = Found()
    groups: dict[tuple[str, str], list[Entry]] = {}
    with Opener() as opener:
        for entry in entries:
            if VIDEO[dataset].fullmatch(entry.stem):
                _check_regular(entry)
                groups.setdefault((entry.place, Path(entry.name).suffix), []).append(entry)
            elif match := LIST.search(entry.stem):
                _check_regular(entry)
                _add_list(found, PROTOCOLS[match.group(1).lower()], entry, opener, dataset)
        for (place, _), group in groups.items():
            kind = _kind(group, opener)
            if kind in ("skeletons", "labels"):
                _add(getattr(found, kind), group, kind, dataset)
            else:
                found.other[place] = kind
    return found


def _entries(paths: list[Path], zipped: bool) -> Iterator[Entry]:
    """The files that are no archives, or the members of the zips."""
    for path in paths:
        if not zipped and path.name.lower().endswith(SUFFIXES):
            yield Entry("", str(path))
        elif zipped and path.suffix.lower() == ".zip" and path.is_file():
            names = (info.filename for info in zip_index(path))
            yield from (Entry(str(path), name) for name in names if name.lower().endswith(SUFFIXES))


def _check_regular(entry: Entry) -> None:
    """Refuse what would give no end of bytes, or none."""
    if not entry.archive and not Path(entry.name).is_file():
        raise DataError(f"{entry.name}: wanted a file, found a broken link, a pipe or a device. Remove or replace it.")


def _kind(entries: list[Entry], opener: Opener) -> str:
    """``skeletons`` or ``labels``, as most of the files seem to be, or a sentence about their first lines."""
    votes: Counter[str] = Counter()
    seen = "nothing"
    for entry in entries[:TRIED]:
        try:
            line = next((line for line in opener.head(entry).split(b"\n") if line.strip()), b"")
        except DataError as error:
            seen = str(error)
            continue
        words = line.replace(b",", b" ").split()
        try:
            numbers = len([float(word) for word in words])
        except ValueError:
            seen = f"'{line[:40].decode(errors='replace').strip()}' in the first line of {entry.where}"
            continue
        if 100 < numbers < 200:
            votes["skeletons"] += 1
        elif numbers in (3, 4):
            votes["labels"] += 1
        elif numbers:
            seen = f"{numbers} numbers in the first line of {entry.where}"
    return max(votes, key=votes.__getitem__, default=seen)


def _add(held: dict[str, Entry], entries: list[Entry], kind: str, dataset: str) -> None:
    """Take a folder's files in; the same video twice is refused."""
    for entry in entries:
        other = held.setdefault(entry.stem, entry)
        if other != entry:
            raise DataError(
                f"{dataset}: {kind} of video {entry.stem} are both {other.where} and {entry.where}. Leave one of "
                f"the two, or set data_dir to a folder that holds only one."
            )


def _add_list(found: Found, protocol: str, entry: Entry, opener: Opener, dataset: str) -> None:
    """Take in a split file, if its names are those of this part of PKU-MMD; a second one must say the same."""
    text = opener.read(entry, LIST_LIMIT).decode("utf-8-sig", errors="replace")
    parts = parse_list(entry.where, text, dataset)
    if not parts:
        return
    other, held = found.lists.setdefault(protocol, (entry, parts))
    if held != parts:
        raise DataError(f"{dataset}: {other.where} and {entry.where} are different lists for {protocol}. Leave one.")


def _other_part(paths: list[Path], dataset: str) -> str:
    """A sentence where files or zips hold videos of the other part of PKU-MMD; else ""."""
    other = next(name for name in VIDEO if name != dataset)
    for zipped in (False, True):
        for entry in _entries(paths, zipped):
            if VIDEO[other].fullmatch(entry.stem):
                part = {"pku1": "part I", "pku2": "part II"}[other]
                return f"These look like {part} of PKU-MMD ({Path(entry.name).name}): read them as {other}."
    return ""


def _check_both(found: Found, dataset: str, root: Path, packed: list[str], other: str) -> None:
    """Refuse a set without skeletons or without labels, and say what is there instead."""
    for kind, wanted in (
        ("skeletons", "files like 0002-L.txt or A01N01-L.txt with 150 numbers a row"),
        ("labels", "files of the same names with rows action,start,end,confidence"),
    ):
        if getattr(found, kind):
            continue
        seen = [f"{place} ({what})" for place, what in found.other.items()]
        held = [("skeletons", found.skeletons), ("labels", found.labels)]
        seen += sorted({f"{name} in {entry.place}" for name, entries in held for entry in entries.values()})
        remedy = "Set data_dir to the folder that holds the published files."
        if packed:
            remedy = f"7z archives cannot be read: unpack {', '.join(sorted(packed)[:4])} there."
        if other:
            remedy = other
        raise MissingError(
            f"{dataset}: wanted {kind} ({wanted}) under {root}, found {'; '.join(seen[:4]) or 'none'}. {remedy}"
        )
