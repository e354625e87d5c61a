"""Base of encoders that read one body at a time: bodies that are not there cost nothing and change nothing."""

from __future__ import annotations

from torch import Tensor, nn

from c2vl_lab.errors import ConfigError
from c2vl_lab.models.base import Encoder


class BodyEncoder(Encoder):
    """Encodes the bodies of a clip by themselves; the clip's feature is the mean over those that are there.

    A body whose input is zero in all frames is absent. It never enters :meth:`encode`, so neither the features nor the
    statistics of a normalisation know of it, and a clip of one person has the same feature in one slot, in two, or in
    the second of two: exactly, in training as in evaluation. A clip without any body is read as one body that stands
    at the origin. All this is our choice; the field's ST-GCN counts the empty body.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, T, V, M) -> (N, dim)."""
        count, channels, frames, joints, bodies = x.shape
        there = (x != 0).any(dim=1).any(dim=1).any(dim=1)  # (N, M); NaN is there, and will be seen in the loss
        there[:, 0] |= ~there.any(dim=1)
        slots = there.flatten().nonzero()[:, 0]
        flat = x.permute(0, 4, 1, 2, 3).reshape(count * bodies, channels, frames, joints)
        features = self.encode(flat[slots])
        spread = features.new_zeros(count * bodies, features.shape[1]).index_copy(0, slots, features)
        return spread.view(count, bodies, -1).sum(dim=1) / there.sum(dim=1, keepdim=True)

    def encode(self, x: Tensor) -> Tensor:
        """Bodies (B, 3, T, V) -> features (B, dim)."""
        raise NotImplementedError


class JointNormal(nn.Module):
    """Batch normalisation of the input: each coordinate of each joint has its own mean and spread, over time.

    It lets one encoder read joints, bones and motion, whose sizes are far apart.
    """

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.normal = nn.BatchNorm1d(3 * joints)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, T, V) -> the same shape."""
        bodies, channels, frames, joints = x.shape
        flat = x.permute(0, 1, 3, 2).reshape(bodies, channels * joints, frames)
        return self.normal(flat).view(bodies, channels, joints, frames).permute(0, 1, 3, 2)


def check_width(name: str, width: int, multiple: int) -> None:
    """Refuse a width that does not divide into the encoder's parts.

    Raises:
        ConfigError: ``width`` is no positive multiple of ``multiple``.
    """
    if width < multiple or width % multiple:
        raise ConfigError(f"Encoder '{name}' wants a width that is a positive multiple of {multiple}, found {width}.")
