"""Figures on disk: PDF, SVG and PNG, the same bytes every time, and a small file of the data behind them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib as mpl

from c2vl_lab import __version__
from c2vl_lab.artifacts import atomic_path, read_json
from c2vl_lab.config import from_dict
from c2vl_lab.errors import DataError, near_miss
from c2vl_lab.figures.canvas import PAINTERS, Look, PaperFigure

DATA = ".data.json"
# no dates and no program's version: the same figure is the same file
FORMATS: dict[str, dict[str, Any]] = {
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None, "ModDate": None},
    "svg": {"Creator": None, "Date": None, "Format": None, "Type": None},
    "png": {"Software": None},
}


def save(figure: PaperFigure, path: str | Path) -> list[Path]:
    """Write ``path`` as ``.pdf``, ``.svg``, ``.png`` and ``.data.json``; the same figure gives the same bytes.

    Args:
        figure: of a function of this package.
        path: target; a suffix that is one of these is replaced.

    Returns:
        The four paths in this order. The last holds all values that are drawn, the look, the size in inches and the
        versions; :func:`redraw` makes the figure again from it.
    """
    base = Path(path)
    base = base.with_suffix("") if base.suffix.removeprefix(".") in FORMATS else base
    written = []
    for kind, about in FORMATS.items():
        written.append(base.with_name(f"{base.name}.{kind}"))
        with atomic_path(written[-1]) as temporary:
            figure.savefig(temporary, format=kind, metadata=about)
    written.append(base.with_name(base.name + DATA))
    with atomic_path(written[-1]) as temporary:
        temporary.write_text(_as_text(record(figure)), encoding="utf-8", errors="backslashreplace")
    return written


def record(figure: PaperFigure) -> dict[str, Any]:
    """What a figure is made of, as plain values."""
    return {
        "figure": figure.kind,
        "look": asdict(figure.look),
        "inches": [round(float(side), 4) for side in figure.get_size_inches()],
        "versions": {"c2vl_lab": __version__, "matplotlib": mpl.__version__},
        "data": figure.data,
    }


def redraw(path: str | Path, look: Look | None = None) -> PaperFigure:
    """The figure of a ``.data.json``, for another venue if a look is given.

    Raises:
        DataError: the file is not one that :func:`save` wrote.
    """
    found = read_json(Path(path))
    if not isinstance(found, dict) or not {"figure", "look", "data"} <= set(found):
        raise DataError(f"{path}: wanted the data of a figure (figure, look, data), as save() writes it beside a PDF.")
    if found["figure"] not in PAINTERS:
        raise DataError(f"{path}: there is no figure named '{found['figure']}'. {near_miss(found['figure'], PAINTERS)}")
    return PAINTERS[found["figure"]](found["data"], look or from_dict(Look, found["look"], where=str(path)))


def _as_text(values: dict[str, Any]) -> str:
    """JSON with one line an entry of the top, and one an entry of the data."""
    data = ",\n".join(f"    {_line(key)}: {_line(own)}" for key, own in values["data"].items())
    head = "".join(f"  {_line(key)}: {_line(own)},\n" for key, own in values.items() if key != "data")
    return "{\n" + head + '  "data": {\n' + data + "\n  }\n}\n"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
