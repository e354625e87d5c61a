"""A bidirectional GRU over the frames, the encoder of the recurrent line of the contrastive skeleton field."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.models.per_body import BodyEncoder, JointNormal, check_width

LAYERS = 3


class BiGRU(BodyEncoder):
    """Three bidirectional GRU layers, 1,024 wide each way: the size of CMD (arXiv 2208.12448).

    The line began with "Predict & Cluster" (arXiv 1911.12409) and went on with skeleton-contrastive learning (Thoker
    et al., arXiv 2108.03656). A frame enters as one vector of 3 V normalised coordinates. At full width and 25 joints
    it has 44,538,006 parameters and a feature of 2,048.

    Our choices: one body at a time, where CMD lays two side by side in a vector of 150, and the mean of the last
    layer's states over the frames as the feature. The recurrence keeps
    full precision where the rest runs in bfloat16.

    Args:
        layout: joint layout; only its number of joints matters here.
        width: states in each direction; the feature has twice as many.
    """

    name = "bigru"
    default_width = 1024

    def __init__(self, layout: JointLayout, width: int = 1024) -> None:
        super().__init__()
        check_width(self.name, width, 1)
        self.dim = 2 * width
        self.normal = JointNormal(len(layout))
        self.layers = nn.GRU(3 * len(layout), width, LAYERS, batch_first=True, bidirectional=True)

    def encode(self, x: Tensor) -> Tensor:
        """(B, 3, T, V) -> (B, 2 width)."""
        frames = self.normal(x).permute(0, 2, 1, 3).flatten(2)  # (B, T, 3 V)
        # in full precision: a state passes through all frames, and on a GPU autocast would pick float16, not bfloat16
        with torch.autocast(x.device.type, enabled=False):
            states, _ = self.layers(frames.to(self.layers.weight_ih_l0.dtype))
        return states.mean(dim=1)
