"""A light temporal-convolution encoder: for laptops and small sets, where ST-GCN costs tens of times more."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.models.base import Encoder


class TemporalEncoder(Encoder):
    """Joint kinematics to channels, four temporal convolutions, mean over time and tracked bodies (our design).

    Each joint gives its position, its position relative to the hip, its velocity and its bone vector; a body's
    frame is one vector of 12 V channels.

    Args:
        layout: joint layout.
        width: channels of the convolutions.
        dim: feature width.
        dropout: between the convolutions.
    """

    name = "temporal"
    default_width = 256

    def __init__(self, layout: JointLayout, width: int = 256, dim: int = 256, dropout: float = 0.1) -> None:
        super().__init__()
        self.dim = dim
        self.hip = layout.index("spine_base")
        self.parents: Tensor
        self.register_buffer("parents", torch.tensor(layout.parents), persistent=False)
        self.normal = nn.BatchNorm1d(12 * len(layout))
        kernels, strides = (5, 5, 5, 3), (1, 2, 1, 2)
        outputs = (width, width, width, dim)
        layers: list[nn.Module] = []
        previous = 12 * len(layout)
        for channels, kernel, stride in zip(outputs, kernels, strides, strict=True):
            layers += [
                nn.Conv1d(previous, channels, kernel, stride, kernel // 2, bias=False),
                nn.BatchNorm1d(channels),
                nn.ReLU(),
                nn.Dropout(dropout),
            ]
            previous = channels
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, 3, T, V, M) -> (N, dim)."""
        count, _, frames, joints, bodies = x.shape
        flat = x.permute(0, 4, 1, 3, 2).reshape(count * bodies, 3, joints, frames)
        velocity = torch.diff(flat, dim=3, prepend=flat[..., :1])
        parts = [flat, flat - flat[:, :, self.hip, None], velocity * 5, flat - flat[:, :, self.parents]]
        channels = torch.cat(parts, dim=1).view(count * bodies, 12 * joints, frames)
        features = self.net(self.normal(channels)).mean(dim=2).view(count, bodies, -1)
        tracked = (x != 0).any(dim=1).any(dim=1).any(dim=1).to(features.dtype)  # (N, M)
        tracked[:, 0] = 1  # a clip without any body still needs a feature
        return (features * tracked[:, :, None]).sum(dim=1) / tracked.sum(dim=1, keepdim=True)
