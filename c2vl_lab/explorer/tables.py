"""What the explorer knows, as tables for a page that nobody can click."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.explorer.space import SKELETON, JointSpace, purity


def views_table(space: JointSpace) -> pd.DataFrame:
    """What each view holds: points of each modality, and their dimensions."""
    rows = []
    for view, points in space.views.items():
        counts = {m: int(np.isfinite(points[m]).all(axis=1).sum()) if m in points else 0 for m in space.modalities}
        rows.append({"view": view, **counts, "dimensions": points[SKELETON].shape[1]})
    return pd.DataFrame(rows)


def nearest_table(card: Mapping[str, Any]) -> pd.DataFrame:
    """The neighbours on a clip's card, one a row, ranked within each kind."""
    rows = [
        {
            "of": card["name"],
            "kind": group["title"],
            "rank": rank,
            "score": round(near["score"], 3),
            "clip": near["name"],
            "class": near["class"],
            "said": near["sentence"],
        }
        for group in card["near"]
        for rank, near in enumerate(group["rows"], 1)
    ]
    return pd.DataFrame(rows, columns=["of", "kind", "rank", "score", "clip", "class", "said"])


def purity_by_view(space: JointSpace) -> pd.DataFrame:
    """For each view the mean share of a clip's ten nearest skeletons that are of its class."""
    labels = pd.Categorical(space.table["class"], categories=list(space.classes)).codes
    chance = float((np.bincount(labels) / len(labels)) @ np.bincount(labels) / len(labels))
    parts = {"all clips": np.ones(len(space), bool)}
    if "split" in space.table:
        parts["test clips"] = (space.table["split"] == "test").to_numpy()
    rows: list[dict[str, Any]] = []
    for view, points in space.views.items():
        shares = purity(points[SKELETON], labels)
        rows.append({"view": view} | {name: round(float(np.nanmean(shares[own])), 3) for name, own in parts.items()})
    rows.append({"view": "by chance"} | {name: round(chance, 3) for name in parts})
    return pd.DataFrame(rows)
