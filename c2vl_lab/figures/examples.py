"""A few clips as a report shows them: the poses, the sentences that describe them, and their pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from c2vl_lab.artifacts import atomic_path, write_json
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import DataError
from c2vl_lab.figures.canvas import Look
from c2vl_lab.figures.saving import save
from c2vl_lab.figures.strips import film_strip
from c2vl_lab.viz import theme

THUMBNAIL = 160  # pixels of a picture's height


def save_examples(
    folder: str | Path,
    store: SkeletonStore,
    prompts: Mapping[str, Sequence[str]],
    pictures: Callable[[str], Sequence[np.ndarray]] | None = None,
    count: int = 4,
) -> Path:
    """Write ``examples.json`` and its pictures: the first clip of ``count`` classes spread over the set.

    Args:
        folder: target; files in it of the same names are replaced.
        store: the recordings.
        prompts: clip name to sentences; clips without any are shown with none.
        pictures: clip name to uint8 images (H, W, 3) of that clip; none for sets without pictures.
        count: how many clips.

    Returns:
        Path of ``examples.json``: a list of ``{"name", "class", "sentences", "strip", "pictures"}``, where the
        last two are file names in ``folder`` (``pictures`` is empty without pictures).

    Raises:
        DataError: the store holds no clip.
    """
    folder = Path(folder)
    found = []
    for index in _one_a_class(store, count):
        clip = store[index]
        slug = re.sub(r"[^A-Za-z0-9_-]+", "_", clip.name)
        look = Look(note=theme.origin_note(store.generated))
        save(film_strip(clip, store.layout, look=look), folder / f"example_{slug}")
        shown = list(pictures(clip.name)) if pictures else []
        if shown:
            _save_row(shown, folder / f"example_{slug}_pictures.png")
        found.append(
            {
                "name": clip.name,
                "class": store.classes[clip.label],
                "sentences": list(prompts.get(clip.name, [])),
                "strip": f"example_{slug}.png",
                "pictures": f"example_{slug}_pictures.png" if shown else "",
            }
        )
    write_json(folder / "examples.json", found)
    return folder / "examples.json"


def _one_a_class(store: SkeletonStore, count: int) -> list[int]:
    """The first clip of each of ``count`` classes, spread evenly over those that occur."""
    if not len(store):
        raise DataError(f"{store.path}: there is no clip to show.")
    _, first = np.unique(store.labels, return_index=True)
    return [
        int(first[i]) for i in np.unique(np.linspace(0, len(first) - 1, min(count, len(first))).round().astype(int))
    ]


def _save_row(images: Sequence[np.ndarray], path: Path) -> None:
    """Pictures of one clip side by side, at one height."""
    from PIL import Image

    scaled = []
    for image in images:
        picture = Image.fromarray(np.asarray(image, np.uint8)).convert("RGB")
        scaled.append(picture.resize((max(1, round(picture.width * THUMBNAIL / picture.height)), THUMBNAIL)))
    row = Image.new("RGB", (sum(p.width for p in scaled) + 4 * (len(scaled) - 1), THUMBNAIL), "white")
    left = 0
    for picture in scaled:
        row.paste(picture, (left, 0))
        left += picture.width + 4
    with atomic_path(path) as temporary:
        row.save(temporary, format="PNG")
