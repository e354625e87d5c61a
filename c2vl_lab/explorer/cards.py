"""The clicked clip as plain values for the page: movement, sentences, pictures, and what lies nearest to it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from c2vl_lab.errors import C2VLError
from c2vl_lab.explorer.columns import UNKNOWN
from c2vl_lab.explorer.space import SKELETON, JointSpace, nearest
from c2vl_lab.viz.motion import clip_motion

FRAMES, FEW_FRAMES = 100, 24  # of the large player and of the small ones
NEIGHBOURS = 5
PICTURES = 4
LARGE, SMALL = 120, 92  # pixels of a picture
FACTS = ("subject", "camera", "split")  # columns that stand beside the name
TITLES = {
    SKELETON: "Nearest movements",
    "language": "Nearest texts, from this movement",
    "vision": "Nearest pictures, from this movement",
}


def clip_card(space: JointSpace, clip: int, fps: float = 30.0) -> dict[str, Any]:
    """All that the page shows of a clip; every text is raw, the page never reads one as markup.

    Args:
        space: the clips.
        clip: row of the clip.
        fps: frames a second of the recordings.
    """
    name = space.names[clip]
    found = _pictures(space, name)
    return {
        "clip": clip,
        "name": name,
        "facts": _facts(space, clip),
        "sentences": list(space.sentences.get(name, ())),
        "pictures": [address(picture, LARGE) for picture in found[:PICTURES]],
        "motion": _motion(space, clip, FRAMES, fps),
        "mirror": space.finder is not None,
        "near": [_group(space, clip, modality, fps) for modality in TITLES if modality in space.views[space.main]],
    }


def _facts(space: JointSpace, clip: int) -> list[list[str]]:
    """Pills beside the name: class, prediction, who and where; each with how it looks."""
    row = space.table.iloc[clip]
    facts = [[str(row["class"]), ""]]
    predicted = row.get("predicted")
    if isinstance(predicted, str) and predicted != UNKNOWN:
        right = predicted == row["class"]
        facts.append([f"predicted: {predicted}", "cx-right-answer" if right else "cx-wrong-answer"])
    return facts + [[f"{column} {row[column]}", ""] for column in FACTS if column in space.table]


def _group(space: JointSpace, clip: int, modality: str, fps: float) -> dict[str, Any]:
    """The nearest clips by one modality, as seen from the clip's movement."""
    points = space.views[space.main]
    query = points[SKELETON][clip]
    rows: list[dict[str, Any]] = []
    if np.isfinite(query).all():
        same = modality == SKELETON
        best, scores = nearest(query, points[modality], NEIGHBOURS + same)
        pairs = [(int(b), float(s)) for b, s in zip(best, scores, strict=True) if not (same and b == clip)]
        rows = [_neighbour(space, clip, other, score, modality, fps) for other, score in pairs[:NEIGHBOURS]]
    return {"title": TITLES[modality], "rows": rows}


def _neighbour(space: JointSpace, clip: int, other: int, score: float, modality: str, fps: float) -> dict[str, Any]:
    name, kinds = space.names[other], space.table["class"]
    found = _pictures(space, name)[:1] if modality == "vision" else []
    return {
        "clip": other,
        "name": name,
        "class": str(kinds.iloc[other]),
        "same": bool(kinds.iloc[other] == kinds.iloc[clip]),
        "score": score,
        "sentence": space.sentence_of(name) if modality == "language" else "",
        "picture": address(found[0], SMALL) if found else "",
        "motion": _motion(space, other, FEW_FRAMES, fps),
    }


def _motion(space: JointSpace, clip: int, frames: int, fps: float) -> dict[str, Any] | None:
    return None if space.store is None else clip_motion(space.store[clip], space.store.layout, fps, frames)


def _pictures(space: JointSpace, name: str) -> list[np.ndarray]:
    """A clip's pictures; a damaged one must not keep the clip from being shown."""
    try:
        return [] if space.pictures is None else list(space.pictures(name))
    except C2VLError:
        return []


def address(picture: np.ndarray, side: int) -> str:
    """A picture (H, W, 3) as an address that holds the picture itself, at most ``side`` pixels wide and high."""
    from PIL import Image

    image = Image.fromarray(np.asarray(picture, np.uint8)).convert("RGB")
    image.thumbnail((side, side))
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
