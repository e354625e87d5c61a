"""Adjacency of a joint layout, split into the three partitions of ST-GCN."""

from __future__ import annotations

import numpy as np

from c2vl_lab.data.layouts import JointLayout


def spatial_partitions(layout: JointLayout) -> np.ndarray:
    """(3, V, V) float32: a joint itself, its neighbours nearer to the root, its neighbours farther away.

    Columns are normalised by the joint's degree, as in ST-GCN (arXiv 1801.07455, "spatial configuration").
    ``A[k, v, w]`` is the weight with which joint w collects joint v.
    """
    hops = layout.hops()
    near = (hops <= 1).astype(np.float32)
    normal = near / near.sum(axis=0, keepdims=True)
    depth = hops[layout.root]
    same = depth[:, None] == depth[None, :]
    inward = depth[:, None] < depth[None, :]  # v is nearer to the root than w
    return np.stack([normal * same, normal * inward, normal * (~same & ~inward)]).astype(np.float32)
