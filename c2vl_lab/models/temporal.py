"""A light temporal-convolution encoder: for laptops and small sets, where ST-GCN costs tens of times more."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.models.base import Encoder

JOINT_CHANNELS = 16


class TemporalEncoder(Encoder):
    """Joint kinematics to channels, four temporal convolutions, mean over time and tracked bodies (our design).

    Each joint gives its position, its position relative to the hip centre (the root of a layout without hips), its
    velocity and its bone vector. One small layer, shared by all joints but for its bias, turns these 12 numbers into
    16; a body's frame is then one vector of 16 V channels. Sharing it was worth about 3 points across camera views
    over feeding the 12 V numbers directly.

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
        self.origin = list(layout.origin)
        self.parents: Tensor
        self.register_buffer("parents", torch.tensor(layout.parents), persistent=False)
        self.normal = nn.BatchNorm2d(12)
        self.joint = nn.Conv2d(12, JOINT_CHANNELS, 1, bias=False)
        self.joint_bias = nn.Parameter(0.5 * torch.randn(JOINT_CHANNELS, len(layout), 1))
        self.joint_normal = nn.BatchNorm1d(JOINT_CHANNELS * len(layout))
        kernels, strides = (5, 5, 5, 3), (1, 2, 1, 2)
        outputs = (width, width, width, dim)
        layers: list[nn.Module] = []
        previous = JOINT_CHANNELS * len(layout)
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
        hip = flat[:, :, self.origin].mean(dim=2, keepdim=True)
        parts = [flat, flat - hip, velocity * 5, flat - flat[:, :, self.parents]]
        each = torch.relu(self.joint(self.normal(torch.cat(parts, dim=1))) + self.joint_bias)
        channels = self.joint_normal(each.view(count * bodies, JOINT_CHANNELS * joints, frames))
        features = self.net(channels).mean(dim=2).view(count, bodies, -1)
        tracked = (x != 0).any(dim=1).any(dim=1).any(dim=1).to(features.dtype)  # (N, M)
        tracked[:, 0] = 1  # a clip without any body still needs a feature
        return (features * tracked[:, :, None]).sum(dim=1) / tracked.sum(dim=1, keepdim=True)
