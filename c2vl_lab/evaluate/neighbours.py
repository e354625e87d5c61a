"""k-nearest neighbours by cosine, every k in one pass, on a processor or a GPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from c2vl_lab.errors import ConfigError
from c2vl_lab.evaluate.rows import unit

NEIGHBOURS = (1, 5, 10, 20)
QUERIES = 512  # at a time: their similarities to a bank of 40,091 clips take 82 MB
GROUP = 32  # clips of the bank whose best similarity is looked at first


def nearest_neighbours(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    neighbours: tuple[int, ...] = NEIGHBOURS,
    centred: bool = True,
    device: str = "cpu",
) -> dict[int, np.ndarray]:
    """Majority vote of the k nearest training clips by cosine, all k in one pass.

    A tie of votes goes to the lowest class index, as in scikit-learn. Every k is reported and none is chosen.

    Args:
        train: (n, D) features; labels: (n,); test: (m, D) features.
        neighbours: the k; those larger than n are left out.
        centred: subtract the training part's mean first (our choice: features of a ReLU share a large mean, which
            makes all cosines alike); False is the field's plain cosine.
        device: where to compute.

    Returns:
        k to (m,) predicted class indices.

    Raises:
        ConfigError: no k fits the training part.
    """
    wanted = tuple(k for k in neighbours if k <= len(train))
    if not wanted:
        raise ConfigError(f"k of {neighbours} asked for, but the training part has only {len(train)} clips.")
    mean = train.mean(axis=0) if centred else np.zeros(train.shape[1], train.dtype)
    bank, queries = (torch.from_numpy(unit(rows - mean)).to(device) for rows in (train, test))
    classes = int(labels.max()) + 1
    known = torch.from_numpy(np.asarray(labels, np.int64)).to(device)
    votes = {k: np.empty(len(test), np.int64) for k in wanted}
    for start in range(0, len(queries), QUERIES):
        part = slice(start, start + QUERIES)
        near = known[_nearest(queries[part], bank, max(wanted))]
        for k in wanted:
            counts = torch.zeros(len(near), classes, device=device)
            counts.scatter_add_(1, near[:, :k], torch.ones(len(near), k, device=device))
            # of equal counts the first class: argmax alone promises none of them
            first = counts.shape[1] - torch.arange(classes, device=device)
            votes[k][part] = (counts * (classes + 1) + first).argmax(dim=1).cpu().numpy()
    return votes


def _nearest(queries: Tensor, bank: Tensor, count: int) -> Tensor:
    """(q, count) places in the bank of the largest products, best first.

    The ``count`` best lie in the ``count`` groups with the best tops, so that only these groups are sorted.
    """
    similarity = queries @ bank.T
    groups = similarity.shape[1] // GROUP
    if groups <= 4 * count:
        return similarity.topk(count, dim=1).indices
    whole = similarity[:, : groups * GROUP].view(len(queries), groups, GROUP)
    best = whole.amax(dim=2).topk(count, dim=1).indices
    places = (best[:, :, None] * GROUP + torch.arange(GROUP, device=queries.device)).flatten(1)
    rest = torch.arange(groups * GROUP, similarity.shape[1], device=queries.device).expand(len(queries), -1)
    places = torch.cat([places, rest], dim=1)
    return places.gather(1, similarity.gather(1, places).topk(count, dim=1).indices)
