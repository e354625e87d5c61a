"""One caller a run, also where several machines share the folder.

Two things keep callers apart. A **lock** (``flock``) on ``.lock``: the system gives it back whatever kills its holder,
and a run's own process inherits it. A **lease**, the file ``.lease``: made by an exclusive create, touched every
:data:`BEAT` seconds, and worth nothing once it has not been touched for :data:`LEASE` seconds.

What is assumed. Inside one machine the lock decides at once. Between machines it decides where the file system carries
it (Linux' NFS since 2.6.12 with its lock service, NFSv4, Lustre mounted with ``flock``). Where it does not (NFS with
``nolock`` or ``local_lock``, Lustre with ``localflock``, a file system without locks) the lease alone decides: an
exclusive create must be atomic there, as in NFSv3 and later. Times are those that the file server gives, so that clocks
need not agree. A holder that is silent for longer than :data:`LEASE`, as behind a network that hangs, may lose its run
to another caller there; the training folder's own lock and atomic files are what is left then.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import time
from pathlib import Path
from typing import IO, Any

from c2vl_lab.logs import is_alive

LOCK, LEASE_FILE = ".lock", ".lease"
BEAT = 20.0  # seconds between two touches of the lease
LEASE = 180.0  # seconds after which an untouched lease is a dead one's


class FolderLock:
    """The right to work in a folder, until it is closed."""

    def __init__(self, folder: Path, handle: IO[str], token: str):
        self.folder, self._handle, self._token = folder, handle, token
        self._beaten = time.monotonic()

    def fileno(self) -> int:
        """The open lock file, for a process that is to inherit it."""
        return self._handle.fileno()

    def beat(self) -> None:
        """Touch the lease if it is time; call it often."""
        if time.monotonic() - self._beaten >= BEAT:
            self._beaten = time.monotonic()
            if _read(self.folder / LEASE_FILE).get("token") == self._token:
                os.utime(self.folder / LEASE_FILE)

    def close(self) -> None:
        """Give the folder back."""
        if _read(self.folder / LEASE_FILE).get("token") == self._token:
            (self.folder / LEASE_FILE).unlink(missing_ok=True)
        self._handle.close()


def take_folder(folder: Path) -> FolderLock | None:
    """The lock of a folder, or None while another caller, here or on another machine, has it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = open(folder / LOCK, "a")  # noqa: SIM115 - open as long as it is held; NFS locks what is open for writing
    locked = _flock(handle)
    token = _lease(folder, bool(locked)) if locked is not False else None
    if token is None:
        handle.close()
        return None
    return FolderLock(folder, handle, token)


def is_taken(folder: Path) -> bool:
    """Whether some caller works in a folder right now; nothing in it is changed."""
    if not (folder / LOCK).is_file():
        return False
    with open(folder / LOCK) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back when the file is closed
            free: bool | None = True
        except BlockingIOError:
            return True
        except OSError:
            free = None
    lease = _read(folder / LEASE_FILE)
    return bool(lease) and not _is_dead(folder, lease, free)


def _flock(handle: IO[str]) -> bool | None:
    """True: ours; False: another's; None: this file system has no such locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _lease(folder: Path, locked: bool) -> str | None:
    """Make the lease ours; its token, or None while it is another's."""
    path, token = folder / LEASE_FILE, secrets.token_hex(8)
    text = json.dumps({"token": token, "host": socket.gethostname(), "pid": os.getpid()})
    for _ in range(3):
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            found = _read(path)
            if not _is_dead(folder, found, locked) or not _remove(path, found):
                return None
            continue
        with open(descriptor, "w") as stream:
            stream.write(text)
        return token
    return None


def _is_dead(folder: Path, lease: dict[str, Any], locked: bool | None) -> bool:
    """Whether a lease's holder is gone."""
    if lease.get("host") == socket.gethostname():
        return True if locked else not is_alive(lease.get("pid"))
    try:
        with open(folder / LEASE_FILE) as stream:  # opened, not looked at: NFS asks its server again then
            touched = os.fstat(stream.fileno()).st_mtime
    except FileNotFoundError:
        return True
    probe = folder / f".now-{secrets.token_hex(4)}"
    with open(probe, "w") as stream:
        os.utime(stream.fileno())
        now = os.fstat(stream.fileno()).st_mtime
    probe.unlink(missing_ok=True)
    return now - touched > LEASE


def _remove(path: Path, found: dict[str, Any]) -> bool:
    """Take a dead lease away; False where another caller has been faster, whose lease is put back."""
    aside = path.with_name(f"{LEASE_FILE}-{secrets.token_hex(4)}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return True
    if _read(aside).get("token") == found.get("token"):
        aside.unlink(missing_ok=True)
        return True
    with contextlib.suppress(OSError):  # a third one may have come in between
        os.link(aside, path)
    aside.unlink(missing_ok=True)
    return False


def _read(path: Path) -> dict[str, Any]:
    """What a lease says; nothing where there is none or it is just being written."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
