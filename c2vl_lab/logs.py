"""What a run says of itself on disk: metrics, one JSON a line, TensorBoard beside it, and how far it is right now."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import atomic_path

METRICS = "metrics.jsonl"
STATUS = "status.json"
STOP = "STOP"  # a file of this name in the run's folder asks for an end


class MetricLog:
    """Appends rows to ``metrics.jsonl`` and scalars to a TensorBoard folder.

    Args:
        run_dir: the run's folder.
        keep_epochs: rows of a resumed run past this epoch are dropped, so that none stands twice.

    Raises:
        OSError: the files cannot be written. A row that was torn by that is dropped when the run goes on.
    """

    def __init__(self, run_dir: Path, keep_epochs: int = 0) -> None:
        self.path = Path(run_dir) / METRICS
        kept = [row for row in read_metrics(self.path) if row["epoch"] <= keep_epochs]
        text = "".join(map(_line, kept))
        if not self.path.exists() or self.path.read_text(encoding="utf-8", errors="replace") != text:
            with atomic_path(self.path) as temporary:  # a kill in between must not take the rows that are kept
                temporary.write_text(text, encoding="utf-8")
        from torch.utils.tensorboard import SummaryWriter  # slow to import, wanted only while training

        self._board = SummaryWriter(str(Path(run_dir) / "tensorboard"), purge_step=keep_epochs + 1)

    def write(self, row: dict[str, Any]) -> None:
        """Append one row; it must hold ``epoch``. What is no finite number is written as null."""
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(_line(row))
        for name, value in row.items():
            if name != "epoch" and isinstance(value, (int, float)) and math.isfinite(value):
                self._board.add_scalar(name, value, row["epoch"])

    def close(self) -> None:
        """Flush the TensorBoard writer."""
        self._board.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a ``metrics.jsonl``; a line torn by a kill or a full disk is left out."""
    rows = []
    if Path(path).exists():
        for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict) and isinstance(row.get("epoch"), int):
                rows.append(row)
    return rows


def write_status(run_dir: Path, state: str, **values: Any) -> None:
    """Write ``status.json``: how a run is right now, for those who watch. A rename, and no waiting for the disk.

    Args:
        run_dir: the run's folder.
        state: "running", "stopped", "done" or "failed".
        values: epoch, step and whatever else is to be told; the process, its machine and the time are added.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(run_dir) / STATUS
    about = {"state": state, **values, "pid": os.getpid(), "host": socket.gethostname(), "time": time.time()}
    temporary = path.with_name(f".{STATUS}.new")
    try:
        temporary.write_text(_line(about), encoding="utf-8")
        os.replace(temporary, path)
    except OSError:  # a full disk still has the room that the old status takes
        temporary.unlink(missing_ok=True)
        with open(path, "r+b") as stream:
            stream.write(_line(about).encode())
            stream.truncate()


def read_status(run_dir: Path) -> dict[str, Any]:
    """What ``status.json`` says; empty where there is none. "running" of a process that is gone becomes "killed"."""
    try:
        found = json.loads((Path(run_dir) / STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    here = found.get("host") == socket.gethostname()
    if found.get("state") == "running" and here and not is_alive(found.get("pid")):
        found["state"] = "killed"
    return found


def is_alive(pid: Any) -> bool:
    """Whether a process of this number is there on this machine; one that has ended and waits for its parent is not."""
    if not isinstance(pid, int) or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def _line(row: dict[str, Any]) -> str:
    """One line of JSON; NaN and infinity, which JSON does not have, become null."""
    plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
    return json.dumps(plain) + "\n"
