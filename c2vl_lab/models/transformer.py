"""A spatio-temporal transformer of the size that masked motion prediction (MAMP, arXiv 2308.07092) trains."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.models.per_body import BodyEncoder, JointNormal, check_width

PATCH = 4  # frames of one joint that make a token
LAYERS, HEADS = 8, 8
PLACES = 30  # patches of the 120 frames that MAMP reads


class Attention(nn.Module):
    """Self-attention of all tokens with all tokens; the same numbers at every call on a CPU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, tokens, C) -> the same shape."""
        bodies, tokens, width = x.shape
        heads = self.project(x).view(bodies, tokens, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(heads[0], heads[1], heads[2])  # (B, heads, tokens, C / heads)
        return self.merge(seen.transpose(1, 2).reshape(bodies, tokens, width))


class Layer(nn.Module):
    """Attention and a two-layer network, each behind a layer normalisation and beside a residual path."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before_attention, self.before_net = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width)
        self.net = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, tokens, C) -> the same shape."""
        x = x + self.attention(self.before_attention(x))
        return x + self.net(self.before_net(x))


class Transformer(BodyEncoder):
    """Eight layers of eight heads over V x T / 4 tokens, mean over tokens.

    As MAMP describes its encoder: a token is one joint over four frames; a learned embedding of the joint and one of
    the time are added to it; plain pre-normalised layers, all tokens attend to all. At full width and 25 joints it has
    6,336,150 parameters and a feature of 256.

    Our choices: the input is normalised per joint; the last patch repeats the last frame where T is no multiple of 4;
    the 30 learned embeddings of the time are spread over the clip and read between them, so that any number of frames
    will do and all of them are trained at any; no dropout.

    Args:
        layout: joint layout; only its number of joints matters here.
        width: width of the tokens and of the feature, a multiple of 8; 256 in MAMP.
    """

    name = "transformer"
    default_width = 256

    def __init__(self, layout: JointLayout, width: int = 256) -> None:
        super().__init__()
        check_width(self.name, width, HEADS)
        self.dim = width
        self.normal = JointNormal(len(layout))
        self.embed = nn.Linear(3 * PATCH, width)
        self.joints = nn.Parameter(0.02 * torch.randn(len(layout), width))
        self.times = nn.Parameter(0.02 * torch.randn(PLACES, width))
        self.layers = nn.Sequential(*(Layer(width) for _ in range(LAYERS)))
        self.last = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def encode(self, x: Tensor) -> Tensor:
        """(B, 3, T, V) -> (B, width)."""
        patches = patches_of(self.normal(x))
        times = spread_places(patches.shape[1], self.times) @ self.times  # (T / 4, C)
        tokens = self.embed(patches) + self.joints + times[:, None]
        return self.last(self.layers(tokens.flatten(1, 2))).mean(dim=1)


def patches_of(x: Tensor) -> Tensor:
    """(B, 3, T, V) -> (B, ceil(T / 4), V, 12): four frames of a joint; the last frame is repeated to fill up."""
    bodies, channels, frames, joints = x.shape
    missing = -frames % PATCH
    if missing:
        x = torch.cat([x, x[:, :, -1:].expand(-1, -1, missing, -1)], dim=2)
    return x.view(bodies, channels, -1, PATCH, joints).permute(0, 2, 4, 3, 1).flatten(3)


def spread_places(patches: int, like: Tensor) -> Tensor:
    """(patches, 30) weights that read the embeddings of the time along a clip; rows sum to 1; type as ``like``'s.

    Linear between neighbours where there are more patches than embeddings; where there are fewer, each patch averages
    the embeddings around it, so that none goes untrained. With 30 patches it is the identity.
    """
    step = (PLACES - 1) / max(1, patches - 1)
    at = torch.arange(patches, device=like.device, dtype=like.dtype) * step + (PLACES - 1) / 2 * (patches == 1)
    places = torch.arange(PLACES, device=like.device, dtype=like.dtype)
    weights = (1 - (at[:, None] - places).abs() / max(1.0, step)).clamp_min(0)
    return weights / weights.sum(dim=1, keepdim=True)
