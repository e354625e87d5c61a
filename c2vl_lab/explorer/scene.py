"""What the page is told once: clips, modalities, columns, texts for the pointer; and what it is told of each map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.explorer.columns import Column
from c2vl_lab.explorer.space import CLASS_PROMPT, SKELETON, JointSpace
from c2vl_lab.project import Projection
from c2vl_lab.viz import theme

MARKS = {SKELETON: 0, "language": 1, "vision": 2, CLASS_PROMPT: 3}
TOLD = ("class", "predicted", "subject", "camera", "split")  # under the pointer, where there are such columns
MOST_TOLD = 20_000  # clips up to which the pointer also shows a sentence; more would make the page heavy
SENTENCE = 160  # characters of it


def scene_of(
    space: JointSpace, columns: Mapping[str, Column], maps: Mapping[str, Projection], elsewhere: bool = False
) -> dict[str, Any]:
    """All that does not change, arrays as bytes.

    Args:
        space: the clips.
        columns: what one colours and filters by.
        maps: a map for each view.
        elsewhere: another engine draws the maps, so that the page gets no points.
    """
    kind, owner = (part[:0] if elsewhere else part for part in points_of(space))
    several = space.finder is not None
    hint = "search by words, such as: someone waving with both hands"
    return {
        "clips": len(space),
        "elsewhere": elsewhere,
        "names": space.names,
        "classes": list(space.classes),
        "modalities": [{"name": m, "mark": MARKS.get(m, 0), "color": theme.mark_of(m).color} for m in space.modalities],
        "kind": kind.tobytes(),
        "owner": owner.tobytes(),
        "order": list(columns),
        "columns": {
            name: {"names": c.names, "colors": c.colors, "codes": c.codes.astype("<i2").tobytes()}
            for name, c in columns.items()
        },
        "told": [name for name in TOLD if name in columns],
        "sentences": _sentences(space) if len(space) <= MOST_TOLD else [],
        "views": list(maps),
        "stages": list(space.stages),
        "searches": several,
        "words": hint if several else "there is nothing to search by words with",
        "prepared": [],
        "offline": False,
        "note": space.note,
    }


def points_of(space: JointSpace) -> tuple[np.ndarray, np.ndarray]:
    """(P,) modality of each point of a map and (P,) its clip; -1 - label for a class prompt."""
    kinds, owners = [], []
    for number, modality in enumerate(space.modalities):
        count = len(space.classes) if modality == CLASS_PROMPT else len(space)
        rows = np.arange(count, dtype="<i4")
        kinds.append(np.full(count, number, np.uint8))
        owners.append(-1 - rows if modality == CLASS_PROMPT else rows)
    return np.concatenate(kinds), np.concatenate(owners).astype("<i4")


def places_of(space: JointSpace, projection: Projection) -> np.ndarray:
    """(P, 2) float32 places of the points of :func:`points_of`, NaN where the view has none."""
    parts = []
    for modality in space.modalities:
        count = len(space.classes) if modality == CLASS_PROMPT else len(space)
        parts.append(projection.coordinates.get(modality, np.full((count, 2), np.nan, np.float32)))
    return np.concatenate(parts).astype("<f4")


def map_of(space: JointSpace, view: str, projection: Projection, elsewhere: bool = False) -> dict[str, Any]:
    """One map for the page: (P, 2) coordinates as bytes; none where another engine draws it."""
    places = places_of(space, projection)
    return {
        "view": view,
        "places": b"" if elsewhere else places.tobytes(),
        "key": fingerprint(view, places),
        "caption": projection.caption,
    }


def hit_rows(space: JointSpace, rows: Sequence[int], scores: Sequence[float]) -> list[dict[str, Any]]:
    """What was found, nearest first, as plain values."""
    found = space.table[["name", "class"]].iloc[list(rows)]
    return [
        {"clip": int(row), "name": str(name), "class": str(kind), "score": round(float(score), 6)}
        for row, name, kind, score in zip(rows, found["name"], found["class"], scores, strict=True)
    ]


def _sentences(space: JointSpace) -> list[str]:
    """The rarest sentence of each clip, cut."""
    found = []
    for name in space.names:
        text = space.sentence_of(name)
        found.append(text if len(text) <= SENTENCE else text[: SENTENCE - 2] + " …")
    return found
