"""What follows where a loss or a gradient is no finite number."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from c2vl_lab.artifacts import write_json
from c2vl_lab.errors import C2VLError

FILE = "nan-batch.json"
MOST_IN_A_ROW = 20  # skipped batches; weights that are broken for good do not come back


class Guard:
    """Looks at each step before the optimiser moves; names the clips of a batch that must not be learned from.

    Args:
        skip: undo the step and go on, instead of an error.
        run_dir: gets ``nan-batch.json``, a list of such batches.
        model: what is trained.
    """

    def __init__(self, skip: bool, run_dir: Path, model: nn.Module) -> None:
        self.skip, self.path, self.model = skip, Path(run_dir) / FILE, model
        self._kept: dict[str, Tensor] = {}

    def keep(self) -> None:
        """Remember, before the forward pass, what it writes to: running statistics and other buffers."""
        if self.skip:
            self._kept = {name: value.clone() for name, value in self.model.named_buffers()}

    def fine(self, loss: Tensor) -> bool:
        """Whether loss and gradients are finite.

        Gradients too: a finite loss may have others, and the weights would be broken before any loss shows it.
        """
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        sizes = torch.stack(torch._foreach_norm(gradients)) if gradients else loss.new_zeros(1)
        return bool(torch.isfinite(loss.detach() + sizes.sum()))  # on a GPU this waits for the step

    @torch.no_grad()
    def undo(self) -> None:
        """Take back what the forward and backward pass left: buffers as they were, no gradients."""
        for name, value in self.model.named_buffers():
            value.copy_(self._kept[name])
        self.model.zero_grad(set_to_none=True)

    def report(self, batch: dict[str, Any], clips: Tensor, in_a_row: int) -> None:
        """Write the batch down; an error, unless it is to be skipped.

        Args:
            batch: epoch, batch (from 1), loss, terms, lr and the names of all clips.
            clips: the batch's clips (N, ...), to tell those whose coordinates are not finite.
            in_a_row: batches that were skipped just before this one.

        Raises:
            C2VLError: training stops here; the sentence names epoch, batch and clips.
        """
        names = batch["clips"]
        finite = torch.isfinite(clips.reshape(len(clips), -1)).all(dim=1).tolist()
        batch["not_finite"] = [name for name, good in zip(names, finite, strict=True) if not good]
        kept = self._write(_plain(batch))
        if self.skip and in_a_row + 1 < MOST_IN_A_ROW:
            return
        what = "loss" if not math.isfinite(batch["loss"]) else "gradient of the loss"
        value = f"{batch['loss']}" if what == "loss" else "infinite or NaN"
        some = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        bad = f" Of these, {', '.join(batch['not_finite'][:8])} hold NaN or infinity themselves."
        row = f" This is skipped batch {in_a_row + 1} in a row, so training stops all the same." if self.skip else ""
        remedy = "or look at these clips" if self.skip else "look at these clips, or set on_nan='skip'"
        raise C2VLError(
            f"The {what} became {value} in epoch {batch['epoch']}, batch {batch['batch']} (clips {some}).{row} {kept}"
            f"{bad if batch['not_finite'] else ''} The last checkpoint is kept; lower the learning rate, {remedy}."
        )

    def _write(self, batch: dict[str, Any]) -> str:
        """Add the batch to the file; says where, or why not."""
        place = (batch["epoch"], batch["batch"])
        try:
            others = [b for b in read_nan_batches(self.path.parent) if (b.get("epoch"), b.get("batch")) != place]
            write_json(self.path, [*others, batch])
        except OSError as error:
            return f"{self.path}, for the names of all, cannot be written ({error.strerror or error})."
        return f"All clips of the batch are named in {self.path}."


def read_nan_batches(run_dir: Path) -> list[dict[str, Any]]:
    """The batches that ``nan-batch.json`` names; none where there is no such file, or no readable one."""
    try:
        found = json.loads((Path(run_dir) / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _plain(value: Any) -> Any:
    """NaN and infinity, which JSON does not have, as words."""
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
