"""A clip with all that is said of it on one page: it moves, its pictures stand beside their sentences.

The page carries its own small player, so it moves in an exported report, in a window of buttons and without a network.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.prompts.asking.desk import Desk
from c2vl_lab.prompts.asking.looking import AGAIN
from c2vl_lab.viz import theme
from c2vl_lab.viz.motion import clip_motion

SHOWN = 160  # pixels of a picture
PAIRINGS = {"order": "which pictures an imported sentence was said of is not known: they are paired by their order"}
Marks = Mapping[int, Sequence[str]]  # place, from 1, to what is to be said of the sentence


class Page:
    """A whole page that a notebook shows in a frame of its own.

    Attributes:
        document: the HTML document.
        height: pixels, before the page has measured itself.
    """

    def __init__(self, document: str, height: int = 700):
        self.document = document
        self.height = height

    def _repr_html_(self) -> str:
        """The frame, as notebooks and exported reports show it."""
        look = f"width:100%;height:{self.height}px;border:0;background:#fff"
        return f'<iframe srcdoc="{escape(self.document)}" style="{look}" title="clip"></iframe>'


def clip_page(desk: Desk, clip: str | Clip, marks: Marks | None = None, fps: float = 30.0) -> Page:
    """One clip: its movement, its pictures and its sentences with how they stand.

    Where sentence k belongs to picture k (:attr:`Desk.pairing`), each sentence has its picture beside it, and that of
    the moment is lit while the clip plays; otherwise the pictures stand below the clip in the order of time.

    Args:
        desk: the answers, and the pictures if there are any.
        clip: the clip or its name.
        marks: remarks on sentences, by place from 1.
        fps: frames a second of the recordings.

    Raises:
        ConfigError: no clip of that name.
        DataError: a picture of the clip is damaged.
    """
    from c2vl_lab.viz.data_pages import find_clip

    shown = find_clip(desk.store, clip) if isinstance(clip, str) else clip
    pictures = _pictures(desk, shown.name)
    paired = bool(desk.pairing) and len(pictures) == desk.series.count
    rows = desk.table([shown.name]).to_dict("records")
    sentences = [
        _sentence(row, (marks or {}).get(row["place"], ()), pictures[row["place"] - 1] if paired else "")
        for row in rows
    ]
    strip = "" if paired or not pictures else _strip(desk, pictures)
    slots = {
        "TITLE": escape(desk.store.classes[shown.label]),
        "CLASS": "paired" if paired else "",
        "ABOUT": _about(desk, shown),
        "LEFT": theme.LEFT,
        "RIGHT": theme.RIGHT,
        "SENTENCES": "".join(sentences),
        "STRIP": strip,
        "CLIP": json.dumps(clip_motion(shown, desk.store.layout, fps) | {"places": len(pictures)}),
    }
    return Page(_fill(slots), height=max(420 + 30 * len(pictures), (100 if paired else 42) * len(rows) + 60))


def _fill(slots: Mapping[str, str]) -> str:
    """The page with its slots filled, in one pass: what is filled in is not searched for slots."""
    parts = (files("c2vl_lab.viz") / "desk_page.html").read_text(encoding="utf-8").split("__")
    return "".join(slots.get(part, part) for part in parts)


def _pictures(desk: Desk, name: str) -> list[str]:
    """The pictures of a clip as addresses that hold the picture itself; none where there are none."""
    if desk.pictures is None or name not in desk.pictures.names():
        return []
    count = desk.series.count if desk.pairing else desk.count
    return [_address(picture) for picture in desk.pictures.pictures(name, count)]


def _address(picture: np.ndarray) -> str:
    from PIL import Image

    image = Image.fromarray(np.asarray(picture, np.uint8)).convert("RGB")
    image.thumbnail((SHOWN, SHOWN))
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _sentence(row: Mapping[Any, Any], remarks: Sequence[str], picture: str) -> str:
    """One line of the list: number, picture, text as it is used, what it was, how it stands."""
    place, status = row["place"], str(row["status"])
    answer = "" if row["answer"] is None else str(row["answer"])
    text = f"<span>{escape(str(row['text']))}</span>"
    if row["text"] is None or status == AGAIN:
        text = f'<span class="gone">{escape(answer) or "no answer"}</span>'
    pills = "" if status == "answered" else f'<span class="pill">{escape(status)}</span>'
    pills += "".join(f'<span class="pill warn">{escape(remark)}</span>' for remark in remarks)
    was = f"the answer was: {answer}" if status == "replaced" else ""
    said = " · ".join(filter(None, (was, str(row["note"] or ""))))
    below = f'<span class="was">{escape(said)}</span>' if said else ""
    image = f'<img src="{picture}" alt="picture {place}">' if picture else ""
    mark = f' data-at="{place}"' if picture else ""
    return f'<li{mark}><span class="n">{place}</span>{image}<div>{text}{pills}{below}</div></li>'


def _strip(desk: Desk, pictures: Sequence[str]) -> str:
    """The pictures in the order of time, with their numbers."""
    kind = desk.pictures.kind if desk.pictures else ""
    told = "in the order of time; the sentences were not said of these pictures one by one"
    boxes = "".join(
        f'<figure data-at="{k}"><img src="{picture}" alt="picture {k}"><figcaption>{k}</figcaption></figure>'
        for k, picture in enumerate(pictures, 1)
    )
    return f'<h2>Pictures: {escape(kind)} <small>{told}</small></h2><div class="strip">{boxes}</div>'


def _about(desk: Desk, clip: Clip) -> str:
    facts = [clip.name, f"{len(clip.xyz)} frames"]
    facts += [f"performer {clip.subject}"] if clip.subject else []
    facts += [f"camera {clip.camera}"] if clip.camera else []
    facts += [f"sentences by {_speaker(desk)}", PAIRINGS.get(desk.pairing, ""), theme.origin_note(desk.store.generated)]
    return escape(" · ".join(filter(None, facts)))


def _speaker(desk: Desk) -> str:
    """Who said the sentences, of what, in a few words."""
    series = desk.series
    seen = f", asked about {series.pictures} pictures ({series.question})" if series.pictures else ""
    return f"{series.model}{seen}"


def find_name(store: SkeletonStore, names: Sequence[str], which: str | int) -> str:
    """A clip by its name or its place in the store, see :func:`~c2vl_lab.viz.data_pages.find_clip`; "": the first.

    Raises:
        ConfigError: neither a name nor a place.
    """
    from c2vl_lab.viz.data_pages import find_clip

    return find_clip(store, str(which)).name if which != "" else names[0]
