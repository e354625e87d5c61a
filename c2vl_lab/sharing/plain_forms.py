"""Encoders as exporters want them: the same mathematics in evaluation, without anything that depends on the data.

Our encoders leave out bodies that are not there, which no traced graph can. Here every slot is computed, and what was
left out gets the weight 0; ST-GCN mixes channels first and then adds up neighbours, as the paper writes it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.models.base import Encoder
from c2vl_lab.models.encoders import as_input
from c2vl_lab.models.per_body import BodyEncoder
from c2vl_lab.models.published_stgcn import PEOPLE, PublishedSTGCN
from c2vl_lab.models.stgcn import STGCN
from c2vl_lab.models.temporal import JOINT_CHANNELS, TemporalEncoder


class PlainForm(nn.Module):
    """Normalised clips (N, T, M, V, 3) -> features (N, D), the stream made inside.

    Args:
        encoder: in evaluation mode.
        layout: its joints.
        stream: joint, bone or motion.
    """

    def __init__(self, encoder: Encoder, layout: JointLayout, stream: str) -> None:
        super().__init__()
        self.encoder, self.layout, self.stream = encoder, layout, stream

    def forward(self, clips: Tensor) -> Tensor:
        """See the class."""
        x = as_input(clips, self.layout, self.stream)
        if isinstance(self.encoder, STGCN):
            return plain_stgcn(self.encoder, x)
        if isinstance(self.encoder, TemporalEncoder):
            return plain_temporal(self.encoder, x)
        return every_body(self.encoder, x) if isinstance(self.encoder, BodyEncoder) else self.encoder(x)


def every_body(encoder: BodyEncoder, x: Tensor) -> Tensor:
    """What an encoder of one body at a time makes of (N, 3, T, V, M); absent bodies are computed for nothing."""
    count, channels, frames, joints, bodies = x.shape
    there = (x != 0).any(dim=1).any(dim=1).any(dim=1)
    there = torch.cat([there[:, :1] | ~there.any(dim=1, keepdim=True), there[:, 1:]], dim=1)
    features = encoder.encode(x.permute(0, 4, 1, 2, 3).reshape(count * bodies, channels, frames, joints))
    weight = there.to(features.dtype)
    return (features.view(count, bodies, -1) * weight[:, :, None]).sum(dim=1) / weight.sum(dim=1, keepdim=True)


def plain_temporal(model: TemporalEncoder, x: Tensor) -> Tensor:
    """:class:`~c2vl_lab.models.temporal.TemporalEncoder` in evaluation, in operations that every exporter knows."""
    count, _, frames, joints, bodies = x.shape
    flat = x.permute(0, 4, 1, 3, 2).reshape(count * bodies, 3, joints, frames)
    velocity = flat - torch.cat([flat[..., :1], flat[..., :-1]], dim=3)
    hip = flat[:, :, model.origin].mean(dim=2, keepdim=True)
    parts = [flat, flat - hip, velocity * 5, flat - flat[:, :, model.parents]]
    each = torch.relu(model.joint(model.normal(torch.cat(parts, dim=1))) + model.joint_bias)
    channels = model.joint_normal(each.view(count * bodies, JOINT_CHANNELS * joints, frames))
    features = model.net(channels).mean(dim=2).view(count, bodies, -1)
    tracked = (x != 0).any(dim=1).any(dim=1).any(dim=1).to(features.dtype)
    tracked = torch.cat([torch.ones_like(tracked[:, :1]), tracked[:, 1:]], dim=1)
    return (features * tracked[:, :, None]).sum(dim=1) / tracked.sum(dim=1, keepdim=True)


def plain_stgcn(model: STGCN, x: Tensor) -> Tensor:
    """ST-GCN in evaluation, one operation after another."""
    if isinstance(model, PublishedSTGCN) and x.shape[4] != PEOPLE:
        x = nn.functional.pad(x[..., :PEOPLE], (0, PEOPLE - min(x.shape[4], PEOPLE)))
    count, channels, frames, joints, bodies = x.shape
    flat = x.permute(0, 4, 3, 1, 2).reshape(count * bodies, joints * channels, frames)
    flat = model.normal(flat).view(count * bodies, joints, channels, frames).permute(0, 2, 3, 1)
    for block, importance in zip(model.blocks, model.importance, strict=True):
        graph = (model.adjacency * importance).unbind(0)
        mixed = block.mix(flat).chunk(len(graph), dim=1)  # type: ignore[operator, union-attr]
        out = torch.stack([torch.matmul(part, among) for part, among in zip(mixed, graph, strict=True)]).sum(dim=0)
        out = block.time_norm(block.time(torch.relu(block.mix_norm(out))))  # type: ignore[operator, union-attr]
        if block.skip is not None:
            out = out + block.skip_norm(block.skip(flat))  # type: ignore[operator, union-attr]
        elif block.residual:
            out = out + flat
        flat = torch.relu(out)
    return flat.mean(dim=(2, 3)).view(count, bodies, -1).mean(dim=1)
