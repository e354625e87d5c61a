"""Pictures of a clip: depth video, image folders, or rendered skeletons, behind one small protocol."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class PictureSource(Protocol):
    """Where pictures of clips come from.

    Attributes:
        kind: short name for tables and reports.
        identity: what the pictures depend on (files, settings); part of every cache key.
    """

    kind: str
    identity: str

    def names(self) -> set[str]:
        """Clips that have pictures."""
        ...

    def pictures(self, name: str, count: int) -> list[np.ndarray]:
        """``count`` RGB pictures of a clip in order of time, uint8 (H, W, 3) each."""
        ...
