"""The explorer as one file: offline, without Python, with the searches and the players that were chosen for it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.explorer.widget import script, style

SAVED = ("left", "right", "shown", "selected", "color_by", "filters", "links", "tool")
FRESH = {
    "focus": -1,
    "card": {"said": "Click a point to see its clip."},
    "query": {},
    "hits": {"title": "", "rows": [], "places": []},
    "message": {"text": "", "error": False},
    "action": {},
}


def write_page(
    path: str | Path,
    title: str,
    about: str,
    scene: Mapping[str, Any],
    maps: Mapping[str, Mapping[str, Any]],
    state: Mapping[str, Any],
    cards: Mapping[int, Mapping[str, Any]],
    searches: Mapping[str, Mapping[Any, Any]],
) -> Path:
    """Write the page, atomically.

    It may load nothing from anywhere (a content security policy says so), and data are only ever text in it.

    Args:
        path: the file.
        title, about: heading, and a line below it.
        scene, maps: what the widget is told, see :mod:`c2vl_lab.explorer.scene`; a map for each view.
        state: the widget's state, of which :data:`SAVED` is kept.
        cards: clip to what is shown of it.
        searches: ``words``, ``class``, ``clip`` and ``mirror``: what was asked to what was found.
    """
    saved = {
        "scene": dict(scene) | {"offline": True, "prepared": list(searches.get("words", {}))},
        "maps": maps,
        "state": {name: state[name] for name in SAVED} | FRESH,
        "cards": cards,
        "searches": searches,
    }
    slots = {
        "TITLE": escape(title),
        "ABOUT": escape(about),
        "STYLE": style(),
        "SAVED": _as_text(saved),
        "SCRIPT": _plain_script(),
    }
    parts = (files("c2vl_lab.explorer") / "page.html").read_text(encoding="utf-8").split("__")
    path = Path(path)
    with atomic_path(path) as temporary:
        temporary.write_text("".join(slots.get(part, part) for part in parts), encoding="utf-8")
    return path


def _plain_script() -> str:
    """The widget's script without its export, and the saved model."""
    saved = (files("c2vl_lab.explorer") / "web" / "saved.js").read_text(encoding="utf-8")
    return script().replace("export default ", "const face = ", 1) + saved


def _as_text(value: Any) -> str:
    """JSON that no HTML parser can leave: markup in it is written by numbers."""
    text = json.dumps(value, default=_packed, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _packed(value: Any) -> Any:
    if isinstance(value, (bytes, memoryview)):
        return {"base64": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} cannot be saved in a page")
