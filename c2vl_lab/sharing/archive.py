"""A packed encoder: a flat zip whose bytes depend on its content alone, and the careful way back.

``contents.json`` lists every other file with its size and SHA-256. An archive is refused as a whole: names outside the
list or with a folder in them, a file that is larger than allowed or than it says, one byte that differs. The digests
tell a damaged archive from a whole one. They do not tell who made it: whoever can write an archive can write digests.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import atomic_folder, atomic_path
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.sharing.encoder_file import FILE as ENCODER

CONTENTS = "contents.json"
FORMAT = "c2vl_lab-packed-1"
LARGEST = 2**31  # bytes of an archive's files together
MOST = 64  # files
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
# what reading a damaged zip raises
NO_ZIP = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, struct.error, OverflowError)
Files = dict[str, bytes]


def archive_bytes(files: Mapping[str, bytes]) -> bytes:
    """The archive of some files, by name; the same files give the same bytes, on every machine."""
    listed = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    text = json.dumps({"format": FORMAT, "files": listed}, indent=2, sort_keys=True) + "\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted({**files, CONTENTS: text.encode()}.items()):
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, data)
    return out.getvalue()


def write_archive(path: Path, files: Mapping[str, bytes]) -> str:
    """Write an archive, atomically.

    Returns:
        its SHA-256, as 64 hexadecimal digits.
    """
    data = archive_bytes(files)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_archive(path: Path) -> Files:
    """The files of an archive, every one checked.

    Raises:
        MissingError: there is no such file.
        DataError: it is no packed encoder, is damaged, or was changed.
    """
    if not path.is_file():
        raise MissingError(f"There is no packed encoder {path}. `c2vl pack RUN` makes one.")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_names(path, [info.filename for info in entries])
            if sum(info.file_size for info in entries) > LARGEST:
                raise DataError(f"{path}: wanted at most {LARGEST} bytes in all files together, found more.")
            return _checked(path, {info.filename: _read(path, archive, info) for info in entries})
    except NO_ZIP as error:
        raise DataError(
            f"{path} is no packed encoder, or is cut or damaged ({str(error)[:200] or 'unreadable'})."
        ) from error


def read_folder(folder: Path) -> Files:
    """The files of an unpacked archive, every one checked; files that the archive did not hold are left alone.

    Raises:
        DataError: a file is missing or was changed.
    """
    listed = _listed(folder / CONTENTS, (folder / CONTENTS).read_bytes()[: 2**20 + 1])
    _check_names(folder, [CONTENTS, *listed])
    files = {CONTENTS: (folder / CONTENTS).read_bytes()}
    for name in listed:
        path = folder / name
        if not path.is_file() or path.is_symlink():
            raise DataError(f"{folder}: wanted the file {name}, which {CONTENTS} lists; unpack the archive again.")
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: wanted at most {LARGEST} bytes, found {path.stat().st_size}.")
        files[name] = path.read_bytes()
    return _checked(folder, files)


def unpack(path: str | Path, folder: str | Path) -> Path:
    """Write an archive's files into a new folder.

    Returns:
        the folder.

    Raises:
        ConfigError: the folder is there already.
        MissingError, DataError: as :func:`read_archive`.
    """
    files, folder = read_archive(Path(path)), Path(folder)
    if folder.exists():
        raise ConfigError(f"{folder} is there already and stays as it is; name another folder with --output.")
    with atomic_folder(folder) as temporary:
        for name, data in files.items():
            (temporary / name).write_bytes(data)
    return folder


def _check_names(where: Path, names: list[str]) -> None:
    """Refuse what could land elsewhere, what is there twice, and what no archive of ours has so many of."""
    wrong = [name for name in names if not NAME.fullmatch(name)]
    if wrong:
        raise DataError(f"{where}: wanted plain file names, found {wrong[0][:200]!r}; such an archive is not opened.")
    if len(set(map(str.lower, names))) != len(names) or len(names) > MOST:
        raise DataError(f"{where}: wanted at most {MOST} files of different names, found {len(names)}.")
    if CONTENTS not in names or ENCODER not in names:
        raise DataError(f"{where} is no packed encoder: it holds no {CONTENTS} or no {ENCODER}.")


def _read(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """An entry's bytes, no more than it says."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{path}: {info.filename} is compressed in a way that no packed encoder has.")
    with archive.open(info) as stream:
        data = stream.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise DataError(f"{path}: {info.filename} has another size than the archive says.")
    return data


def _listed(where: Path, data: bytes) -> dict[str, Any]:
    """The files that a ``contents.json`` lists.

    Raises:
        DataError: it is none of ours.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT or not isinstance(found.get("files"), dict):
        form = found.get("format") if isinstance(found, dict) else None
        raise DataError(f"{where}: wanted the contents of a packed encoder of format {FORMAT}, found {form!r}.")
    return found["files"]


def _checked(where: Path, files: Files) -> Files:
    """The files, if they are those that the contents list, to the last byte."""
    listed = _listed(where, files[CONTENTS])
    if set(listed) != set(files) - {CONTENTS}:
        odd = sorted(set(listed) ^ (set(files) - {CONTENTS}))
        raise DataError(f"{where}: {CONTENTS} and the files do not fit together ({', '.join(odd[:3])}).")
    for name, said in listed.items():
        wanted = said.get("sha256") if isinstance(said, dict) else None
        if hashlib.sha256(files[name]).hexdigest() != wanted:
            raise DataError(f"{where}: {name} is not what was packed (its SHA-256 differs). Take a copy that is whole.")
    return files
