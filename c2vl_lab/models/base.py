"""The one protocol behind all skeleton encoders."""

from __future__ import annotations

from torch import Tensor, nn


class Encoder(nn.Module):
    """Maps skeletons (N, 3, T, V, M) to features (N, dim); any joint layout, one or two bodies.

    A subclass takes ``(layout, width, ...)``, sets ``dim`` and names itself and its usual width.
    """

    name: str
    default_width: int
    dim: int

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, T, V, M) -> (N, dim)."""
        raise NotImplementedError
