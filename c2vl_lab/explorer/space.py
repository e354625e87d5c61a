"""What is explored: clips, the points of their modalities in one or more states, and who can search them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd

from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import ConfigError, DataError, near_miss
from c2vl_lab.prompts.asking.desk import Desk

SKELETON, CLASS_PROMPT = "skeleton", "class prompt"
Points = Mapping[str, np.ndarray]
NEAR = 10  # neighbours by which the purity of a clip's neighbourhood is told


class Finder(Protocol):
    """Turns what one searches by into a point of the main view; what it cannot do it refuses in a sentence."""

    def words(self, text: str) -> np.ndarray:
        """(D,) unit-length point of a text."""
        ...

    def mirror(self, clip: int) -> np.ndarray:
        """(D,) unit-length point of the clip's mirror image."""
        ...


@dataclass(frozen=True)
class JointSpace:
    """Clips and where they are.

    Attributes:
        table: one row a clip, in one order everywhere: ``name``, ``class``, and further columns to colour by.
        classes: class names in label order.
        views: name to modality to (N, D) unit-length points; NaN rows where a clip has none. ``class prompt`` has one
            row for each of ``classes`` instead. Views may differ in D.
        main: the view that searches and neighbours are made in.
        stages: names of the views that are states of one training, in their order.
        sentences: clip name to sentences.
        pictures: clip name to uint8 images (H, W, 3), a few; None where there are none.
        store: the recordings in the order of ``table``, for the players; None: no players.
        finder: searches by words and by mirror image; None: neither.
        desk: opens the quality desk with the sentences of the space; None: there is none.
        work_dir: where selections and subsets are kept.
        note: what has to be said about data and teacher.
    """

    table: pd.DataFrame
    classes: Sequence[str]
    views: Mapping[str, Points]
    main: str
    stages: Sequence[str] = ()
    sentences: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pictures: Callable[[str], Sequence[np.ndarray]] | None = None
    store: SkeletonStore | None = None
    finder: Finder | None = None
    desk: Callable[[], Desk] | None = None
    work_dir: str = "work"
    note: str = ""

    def __post_init__(self) -> None:
        for column in ("name", "class"):
            if column not in self.table:
                raise ConfigError(
                    f"The table of clips has no column '{column}'. {near_miss(column, map(str, self.table))}"
                )
        for view in (self.main, *self.stages):
            if view not in self.views:
                raise ConfigError(f"There is no view named '{view}'. {near_miss(view, self.views)}")
        for name, points in self.views.items():
            if SKELETON not in points:
                raise DataError(f"The view '{name}' has no skeleton points; it has {', '.join(points) or 'nothing'}.")
            for modality, rows in points.items():
                wanted = len(self.classes) if modality == CLASS_PROMPT else len(self.table)
                if len(rows) != wanted:
                    raise DataError(f"View '{name}': wanted {wanted} {modality} points, found {len(rows)}.")

    def __len__(self) -> int:
        return len(self.table)

    @property
    def modalities(self) -> list[str]:
        """All modalities of any view, skeleton first and class prompts last."""
        names = dict.fromkeys(m for points in self.views.values() for m in points)
        return sorted(names, key=lambda m: (m == CLASS_PROMPT, m != SKELETON))

    @cached_property
    def names(self) -> list[str]:
        """Clip names, in order."""
        return self.table["name"].tolist()

    @cached_property
    def _rows(self) -> dict[str, int]:
        """Name to row, the first one of a name that comes twice."""
        return {name: row for row, name in reversed(list(enumerate(self.names)))}

    @property
    def searchable(self) -> bool:
        """Whether the main view can be searched by words."""
        return self.finder is not None and "language" in self.views[self.main]

    def for_maps(self) -> pd.DataFrame:
        """The table of clips as :mod:`c2vl_lab.viz.maps` wants it."""
        clips = self.table.copy()
        clips["sentence"] = [" ".join(self.sentences.get(name, ())) for name in self.names]
        clips.attrs["classes"] = list(self.classes)
        return clips

    @cached_property
    def _said(self) -> Counter[str]:
        """How many clips each sentence is said of."""
        return Counter(sentence for own in self.sentences.values() for sentence in set(own))

    def sentence_of(self, name: str) -> str:
        """The rarest of a clip's sentences, which tells it best from the others; "" where there are none."""
        own = self.sentences.get(name, ())
        return min(own, key=lambda sentence: self._said[sentence]) if own else ""

    def index_of(self, clip: str | int) -> int:
        """Row of a clip that is given by name or by row.

        Raises:
            ConfigError: no such clip.
        """
        if isinstance(clip, (int, np.integer)) and 0 <= clip < len(self):
            return int(clip)
        if not isinstance(clip, str) or clip not in self._rows:
            known = f"names look like {self.names[0]}, rows go from 0 to {len(self) - 1}"
            raise ConfigError(f"There is no clip {clip!r} in this space; {known}.")
        return self._rows[clip]


def nearest(query: np.ndarray, points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the ``count`` points with the largest cosine to a query, best first, and these cosines.

    Args:
        query: (D,) unit length.
        points: (N, D) unit length; rows with NaN are never found.
        count: how many; fewer come where there are fewer points.
    """
    scores = points @ query.astype(points.dtype)
    np.nan_to_num(scores, copy=False, nan=-np.inf)
    count = min(count, len(scores))
    best = np.argpartition(scores, len(scores) - count)[len(scores) - count :] if count > 0 else np.zeros(0, np.int64)
    best = best[np.isfinite(scores[best])]
    best = best[np.lexsort((best, -scores[best]))]
    return best, scores[best]


def purity(points: np.ndarray, labels: np.ndarray, neighbours: int = NEAR) -> np.ndarray:
    """(N,) share of each point's nearest neighbours that are of its class; NaN where it has no point.

    Args:
        points: (N, D) unit length.
        labels: (N,) class indices.
        neighbours: how many count.
    """
    shares, known = np.full(len(points), np.nan), np.isfinite(points).all(axis=1)
    rows = np.flatnonzero(known)
    k = min(neighbours, len(rows) - 1)
    if k < 1:
        return shares
    own = points[rows]
    step = max(1, 20_000_000 // len(rows))
    for start in range(0, len(rows), step):
        part = np.arange(start, min(start + step, len(rows)))
        cosines = own[part] @ own.T
        cosines[np.arange(len(part)), part] = -np.inf
        near = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        shares[rows[part]] = (labels[rows[near]] == labels[rows[part], None]).mean(axis=1)
    return shares
