"""The ST-GCN of AimCLR, CrosSCLR (SkeletonCLR) and ActCLR, as their released weights want it.

Two things differ from the paper's network and from :class:`~c2vl_lab.models.stgcn.STGCN`, and both change the features:

* **The graph.** Their partition compares distances to the centre that are known up to one bone only; every joint
  farther away counts as equally far. So both directions of a limb's bones share the second partition, and the third
  holds only what leaves the centre or its neighbours. The paper's spatial configuration keeps the directions apart.
* **Two bodies.** Their arrays have two slots and the feature is the mean over both, with the empty one counted in.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.models.neighbours import Edges
from c2vl_lab.models.stgcn import STGCN

PEOPLE = 2


class PublishedSTGCN(STGCN):
    """ST-GCN on the graph of the public contrastive repositories; reads two bodies, whatever it is given.

    A single body gets an empty second slot; of more than two the first two are read.

    Args:
        layout: joint layout; theirs is ``ntu25``.
        width: channels of the first block, 16 in all published settings.
    """

    name = "stgcn-published"

    def __init__(self, layout: JointLayout, width: int = 16) -> None:
        super().__init__(layout, width)
        self.adjacency = torch.from_numpy(cut_partitions(layout))
        self.edges = Edges.of(self.adjacency)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, 3, T, V, M) -> (N, dim)."""
        x = x[..., :PEOPLE]
        return super().forward(pad(x, (0, PEOPLE - x.shape[4])))


def cut_partitions(layout: JointLayout) -> np.ndarray:
    """(3, V, V) float32: a joint itself, bones that lead inward or whose sense is not known, bones that lead outward.

    Distances from the root are known where they are 0 or 1 bones. ``A[k, v, w]`` is the weight with which joint w
    collects joint v; columns are normalised by the joint's degree.
    """
    hops = layout.hops()
    near = (hops <= 1).astype(np.float32)
    normal = near / near.sum(axis=0, keepdims=True)
    depth = np.minimum(hops[layout.root], 2)  # 2: some distance, all alike
    outward = depth[:, None] < depth[None, :]  # w collects v, which is nearer to the root
    own = np.eye(len(layout), dtype=bool)
    return np.stack([normal * own, normal * (~own & ~outward), normal * (~own & outward)]).astype(np.float32)
