"""Where NTU RGB+D's recordings lie and how they are named: loose files, zips, and lists of names to leave out."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from c2vl_lab.data.readers.sources import files_below, read_member, zip_index
from c2vl_lab.errors import DataError

SUFFIX = ".skeleton"
MISSING_LIST = "missing.txt"
NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII)
ALMOST_A_NAME = re.compile(r"S\d+C\d", re.ASCII)
EXAMPLE = "S001C002P003R002A013"
Numbers = tuple[int, int, int, int, int]  # setup, camera, performer, repeat, action
FILE_LIMIT = 32 * 2**20  # bytes; six bodies in 300 frames make 6 MB


def clip_numbers(file: str) -> Numbers | None:
    """Setup, camera, performer, repeat and action in the name of a clip or file; None where the name is no such."""
    match = NAME.fullmatch(stem(file))
    if not match:
        return None
    setup, camera, performer, repeat, action = map(int, match.groups())
    return setup, camera, performer, repeat, action


def stem(path: str) -> str:
    """The clip's name in the path of its file."""
    return os.path.basename(path).removesuffix(SUFFIX)


def is_recording(path: str) -> bool:
    """Whether a path is that of a recording; hidden files, which some systems put beside others, are none."""
    return path.endswith(SUFFIX) and not os.path.basename(path).startswith(".")


def shown(path: str, member: str) -> str:
    """A file's name for messages: the zip and its member, or the path; printable, in one line."""
    text = f"{os.path.basename(path)}/{member}" if path.lower().endswith(".zip") else os.path.join(path, member)
    return text if text.isprintable() else ascii(text)[1:-1]


def short(path: str, member: str, root: str) -> str:
    """A file's name for the store, the same on every machine: the zip and its member, or the path below ``root``."""
    if path.lower().endswith(".zip"):
        return shown(path, member)
    return shown("", Path(os.path.relpath(os.path.join(path, member), root)).as_posix())


def recordings_below(root: Path) -> tuple[list[str], list[Path]]:
    """Paths of all ``.skeleton`` files under a folder, and of all zips, sorted; links to folders are followed."""
    paths = files_below(root, (SUFFIX, ".zip"))
    return sorted(str(p) for p in paths if is_recording(p.name)), sorted(p for p in paths if p.suffix.lower() == ".zip")


def zip_recordings(path: Path) -> list[str]:
    """The recordings in a zip, sorted.

    Raises:
        DataError: the zip is cut or damaged, or holds a member twice.
    """
    names = [info.filename for info in zip_index(path) if is_recording(info.filename)]
    for name, following in pairwise(names):
        if name == following:
            raise DataError(f"{path}: holds {shown('', name)} twice. This is not the published archive.")
    return names


def listed_names(path: Path) -> list[str]:
    """The clip names in a list of samples to leave out; other words, such as a heading, are passed over.

    Raises:
        DataError: the file is no text, holds no name, or a name is misspelled (line named).
    """
    if path.stat().st_size > FILE_LIMIT:
        raise DataError(f"{path}: wanted names such as {EXAMPLE}, found {path.stat().st_size} bytes.")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: wanted a text with names such as {EXAMPLE} ({error}).") from error
    names = []
    for number, line in enumerate(lines, 1):
        for word in line.replace(",", " ").split():
            if clip_numbers(word):
                names.append(stem(word))
            elif ALMOST_A_NAME.match(word):
                raise DataError(f"{path}, line {number}: wanted a name such as {EXAMPLE}, found '{word[:60]}'.")
    if not names:
        raise DataError(f"{path}: wanted names such as {EXAMPLE}, found none. Mend or remove the file.")
    return names


def recording_bytes(path: str, member: str) -> bytes:
    """The content of a recording in a folder or zip.

    Raises:
        DataError: the member is damaged, or the file is none or absurdly large.
        OSError: the system refuses to read it.
    """
    if path.lower().endswith(".zip"):
        return _member_bytes(path, member)
    file = os.path.join(path, member)
    state = os.stat(file)
    if not stat.S_ISREG(state.st_mode) or state.st_size > FILE_LIMIT:
        raise DataError(
            f"{shown(path, member)}: wanted a file of at most {FILE_LIMIT} bytes, found {state.st_size}. "
            f"This is no recording: remove it."
        )
    return Path(file).read_bytes()


def _member_bytes(path: str, member: str) -> bytes:
    state = os.stat(path)
    archive = _open_zip(path, state.st_size, state.st_mtime_ns, os.getpid())
    try:
        info = archive.getinfo(member)
    except KeyError:
        raise DataError(f"{shown(path, member)}: is gone; the archive was changed while it was read.") from None
    return read_member(archive, info, Path(path), FILE_LIMIT)


@lru_cache(maxsize=4)
def _open_zip(path: str, size: int, changed: int, process: int) -> zipfile.ZipFile:
    """An open zip, so that its directory is read once a process; a new process must not share its file."""
    del size, changed, process
    zip_index(Path(path))
    return zipfile.ZipFile(path)
