"""Metrics on disk while training: one JSON a line, and TensorBoard beside it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any


class MetricLog:
    """Appends rows to ``metrics.jsonl`` and scalars to a TensorBoard folder.

    Args:
        run_dir: the run's folder.
        keep_epochs: rows of a resumed run past this epoch are dropped, so that none stands twice.
    """

    def __init__(self, run_dir: Path, keep_epochs: int = 0) -> None:
        self.path = Path(run_dir) / "metrics.jsonl"
        kept = [row for row in read_metrics(self.path) if row["epoch"] <= keep_epochs]
        self.path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        from torch.utils.tensorboard import SummaryWriter  # slow to import, wanted only while training

        self._board = SummaryWriter(str(Path(run_dir) / "tensorboard"), purge_step=keep_epochs + 1)

    def write(self, row: dict[str, Any]) -> None:
        """Append one row; it must hold ``epoch``."""
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        for name, value in row.items():
            if name != "epoch" and isinstance(value, (int, float)) and math.isfinite(value):
                self._board.add_scalar(name, value, row["epoch"])

    def close(self) -> None:
        """Flush the TensorBoard writer."""
        self._board.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a ``metrics.jsonl``; a line torn by a kill is left out."""
    rows = []
    if Path(path).exists():
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
    return rows
