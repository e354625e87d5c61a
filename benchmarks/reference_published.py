"""The contrastive repositories' model and data steps, written anew and plainly; what imports are checked against.

From facts alone (names and shapes of a state dict, the list of bones, the order of operations), nobody's code. The
modules bear the published names, so that ``state_dict()`` has the keys of a released file.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# child and parent of each bone of NTU RGB+D, numbered from 1 (field.md, 3.2)
BONES = (
    "1-2 2-21 3-21 4-3 5-21 6-5 7-6 8-7 9-21 10-9 11-10 12-11 13-1 14-13 15-14 16-15 17-1 18-17 19-18 20-19 22-23 23-8 "
    "24-25 25-12"
)
PAIRS = [tuple(int(joint) - 1 for joint in bone.split("-")) for bone in BONES.split()]
CENTRE, LEFT, RIGHT = 20, 4, 8  # numbered from 0
HALVED = (4, 7)  # blocks that halve the number of frames


def published_graph() -> Tensor:
    """(3, 25, 25): by partition, source and target; a distance to the centre beyond one bone is not known."""
    near = np.eye(25)
    for child, parent in PAIRS:
        near[child, parent] = near[parent, child] = 1
    far = [0 if joint == CENTRE else 1 if near[joint, CENTRE] else 9 for joint in range(25)]
    parts = np.zeros((3, 25, 25))
    for source in range(25):
        for target in range(25):
            if near[source, target]:
                part = 0 if source == target else 2 if far[source] < far[target] else 1
                parts[part, source, target] = 1 / near[:, target].sum()
    return torch.tensor(parts, dtype=torch.float32)


class PublishedEncoder(nn.Module):
    """The encoder with its projection; :meth:`features` is what comes before it."""

    def __init__(self, width: int = 16, dim: int = 256, out: int = 128, mlp: bool = True) -> None:
        super().__init__()
        self.register_buffer("A", published_graph())
        self.data_bn = nn.BatchNorm1d(75)
        outputs = [width] * 4 + [2 * width] * 3 + [4 * width] * 2 + [dim]
        self.st_gcn_networks = nn.ModuleList()
        for index, (before, after) in enumerate(zip([3, *outputs[:-1]], outputs, strict=True)):
            stride = 2 if index in HALVED else 1
            block = nn.ModuleDict({"gcn": nn.ModuleDict({"conv": nn.Conv2d(before, 3 * after, 1)})})
            time = nn.Conv2d(after, after, (9, 1), (stride, 1), (4, 0))
            block["tcn"] = nn.Sequential(nn.BatchNorm2d(after), nn.ReLU(), time, nn.BatchNorm2d(after), nn.Dropout(0.5))
            if index and (before != after or stride != 1):
                block["residual"] = nn.Sequential(nn.Conv2d(before, after, 1, (stride, 1)), nn.BatchNorm2d(after))
            self.st_gcn_networks.append(block)
        last = nn.Linear(dim, out)
        self.fc = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), last) if mlp else last
        self.edge_importance = nn.ParameterList(nn.Parameter(torch.ones(3, 25, 25)) for _ in outputs)

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, T, 25, 2) -> (N, dim), the mean over both slots."""
        people = []
        for person in range(2):
            one = x[..., person]  # (N, 3, T, V)
            flat = self.data_bn(one.permute(0, 3, 1, 2).flatten(1, 2))  # rows: joint by joint, x y z
            one = flat.view(len(x), 25, 3, -1).permute(0, 2, 3, 1)
            for index, block in enumerate(self.st_gcn_networks):
                mixed = block["gcn"]["conv"](one).unflatten(1, (3, -1))
                out = torch.einsum("nkctv,kvw->nctw", mixed, self.A * self.edge_importance[index])
                out = block["tcn"](out)
                if index:
                    out = out + (block["residual"](one) if "residual" in block else one)
                one = F.relu(out)
            people.append(one.mean(dim=(2, 3)))
        return (people[0] + people[1]) / 2


class PublishedModel(nn.Module):
    """A whole pre-training model: queries, keys and queues; three streams as in CrosSCLR where they are wanted."""

    def __init__(self, width: int = 16, streams: tuple[str, ...] = ("",), queue: int = 64, **more: int | bool) -> None:
        super().__init__()
        for stream in streams:
            setattr(self, f"encoder_q{stream}", PublishedEncoder(width, **more))
            setattr(self, f"encoder_k{stream}", PublishedEncoder(width, **more))
            self.register_buffer(f"queue{stream}", torch.randn(128, queue))
            self.register_buffer(f"queue_ptr{stream}", torch.zeros(1, dtype=torch.long))


def published_clip(xyz: np.ndarray, frames: int = 50) -> np.ndarray:
    """(3, frames, 25, 2) from metres (T, M, 25, 3): centred, resized, turned, one number after another."""
    out = np.zeros((3, frames, 25, 2))
    for person in range(min(xyz.shape[1], 2)):
        body = xyz[:, person].astype(np.float64) - xyz[:, person, CENTRE : CENTRE + 1]
        small = np.empty((frames, 25, 3))
        for frame in range(frames):  # pixel centres, as image libraries resize; the border is repeated
            place = min(max((frame + 0.5) * len(body) / frames - 0.5, 0), len(body) - 1)
            first = int(place)
            second = min(first + 1, len(body) - 1)
            small[frame] = body[first] + (place - first) * (body[second] - body[first])
        line = small[:, RIGHT] - small[:, LEFT]
        sense = -1 if line[:, 2].sum() >= 0 else 1
        for frame in range(frames):
            length = np.sqrt(line[frame, 0] ** 2 + line[frame, 2] ** 2)
            angle = sense * np.arccos(line[frame, 0] / (length + 0.0001))
            turn = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
            for joint in range(25):
                out[:, frame, joint, person] = turn @ small[frame, joint]
    return out.astype(np.float32)
