"""Training parts of several sets as one: which sets, under which names, in one joint layout, and never a test clip.

An encoder may be trained on other sets than the one that it is measured on (transfer), on several (pre-training
together), or on several of which that one is one; all three are a list of sets with their protocols.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from c2vl_lab.data.copies import clip_digests
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.data.mapping import joint_weights
from c2vl_lab.data.protocols import Split
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import ConfigError, DataError

# a set's name or the path of a store (which may hold "+" and ":"), a colon, a protocol
_SOURCE = re.compile(r"(.+?):([A-Za-z0-9_-]+)(?:\+|$)")


@dataclass(frozen=True)
class Source:
    """One set that an encoder is trained on.

    Attributes:
        dataset: a data set's name or the path of a store folder.
        protocol: whose training part is taken; the test part stays out.
    """

    dataset: str
    protocol: str


def parse_sources(text: str) -> tuple[Source, ...]:
    """The sets of ``pretrain_on``: ``"nw-ucla:xview+utd-mhad:xsub"``; none for an empty text.

    Raises:
        ConfigError: a set without its protocol, or one that is named twice.
    """
    found, at = [], 0
    for match in _SOURCE.finditer(text):
        if match.start() != at:
            break
        found.append(Source(match.group(1), match.group(2)))
        at = match.end()
    if at != len(text) or text.endswith("+"):
        raise ConfigError(
            f"pretrain_on='{text}': wanted sets with their protocols, joined by +, as in nw-ucla:xview+utd-mhad:xsub; "
            f"cannot read '{text[at:] or '+'}'."
        )
    for dataset, count in Counter(source.dataset for source in found).items():
        if count > 1:
            raise ConfigError(f"pretrain_on='{text}' names {dataset} {count} times; name each set once.")
    return tuple(found)


class TrainingPart(Protocol):
    """A set with its split and normalised clips (N, T, M, V, 3), as an opened run has them."""

    store: SkeletonStore
    split: Split
    clips: Any


class JoinedClips:
    """Normalised clips of several sets in one layout, (N, T, M, V, 3); what is asked for is read and mapped then.

    Args:
        parts: clips (n, T, M', V', 3) of a set, and which of them count.
        layouts: joint layout of each part.
        layout: the layout that all are mapped to.
        bodies: M; sets with fewer body slots get empty ones, which are zero.
    """

    def __init__(
        self,
        parts: Sequence[tuple[ClipRows, np.ndarray]],
        layouts: Sequence[JointLayout],
        layout: JointLayout,
        bodies: int,
    ) -> None:
        self.parts = list(parts)
        self.maps = [None if own.joints == layout.joints else joint_weights(own, layout) for own in layouts]
        self.starts = np.cumsum([0, *(len(rows) for _, rows in parts)])
        self.shape: tuple[int, ...] = (int(self.starts[-1]), parts[0][0].shape[1], bodies, len(layout), 3)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | np.ndarray) -> np.ndarray:
        """(n, T, M, V, 3) float32 of the clips at a slice or at (n,) numbers."""
        wanted = np.arange(len(self))[key]
        out = np.zeros((len(wanted), *self.shape[1:]), np.float32)
        for (clips, rows), weights, start in zip(self.parts, self.maps, self.starts, strict=False):
            here = np.flatnonzero((wanted >= start) & (wanted < start + len(rows)))
            if len(here):
                own = np.asarray(clips[rows[wanted[here] - start]], np.float32)
                out[here, :, : own.shape[2]] = own if weights is None else weights @ own
        return out

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[np.array([index])][0] for index in range(len(self)))


ClipRows = np.ndarray | JoinedClips


@dataclass(frozen=True)
class Together:
    """What is trained on, of one set or several, one set after another.

    Attributes:
        clips: normalised coordinates, at least those of the training clips.
        rows: which of ``clips`` are the training clips; None: all.
        names: their names; of several sets each behind its set's, as in ``nw-ucla/a01_s01_e00_v01``: no two are alike.
        labels: (N,); of several sets numbered through, so that two sets' classes of one name stay two.
        classes: their number.
        people: (N,) performers; of several sets numbered through.
        sets: (N,) from which set each clip is, from 0; None without sources.
    """

    clips: ClipRows
    rows: np.ndarray | None
    names: list[str]
    labels: np.ndarray
    classes: int
    people: np.ndarray
    sets: np.ndarray | None


def training_clips(own: TrainingPart, sources: Sequence[TrainingPart], layout: JointLayout) -> Together:
    """The training clips of the sources, in one layout and with the same body slots; without sources the set's own."""
    if not sources:
        store, rows = own.store, own.split.train
        names, labels, people = [store.names[i] for i in rows], store.labels[rows], _people(own)
        return Together(own.clips, rows, names, labels, len(store.classes), people, None)
    names = [f"{part.store.dataset}/{part.store.names[i]}" for part in sources for i in part.split.train]
    starts = np.cumsum([0, *(len(part.store.classes) for part in sources)])
    labels = [part.store.labels[part.split.train] + n for part, n in zip(sources, starts, strict=False)]
    clips = JoinedClips(
        [(part.clips, part.split.train) for part in sources],
        [part.store.layout for part in sources],
        layout,
        max(part.store.bodies for part in sources),
    )
    sets = np.repeat(np.arange(len(sources)), [len(part.split.train) for part in sources])
    firsts = np.cumsum([0, *(_people(part).max(initial=0) + 1 for part in sources)])
    people = np.concatenate([_people(part) + n for part, n in zip(sources, firsts, strict=False)])
    return Together(clips, None, names, np.concatenate(labels), int(starts[-1]), people, sets)


def _people(part: TrainingPart) -> np.ndarray:
    """(n,) performers of the training clips."""
    return part.store.clips["subject"].to_numpy()[part.split.train]


def in_layout(store: SkeletonStore, clips: ClipRows, layout: JointLayout, bodies: int = 0) -> ClipRows:
    """All clips of a set in another layout and with at least so many body slots; as they are where they are so."""
    if store.layout.joints == layout.joints and store.bodies >= bodies:
        return clips
    every = (np.asarray(clips), np.arange(len(store)))
    return JoinedClips([every], [store.layout], layout, max(bodies, store.bodies))


def check_sources(parts: Sequence[TrainingPart], target: TrainingPart, by_file: str) -> None:
    """Refuse sets that cannot be told apart, and sets that hold test clips of the one that is measured.

    Args:
        parts: the sets that are trained on.
        target: the set that is measured.
        by_file: the settings that look texts or pictures up by a clip's name in one place for all sets; empty: none.

    Raises:
        ConfigError: two sets of one name; clips of two sets with one name though a file is asked by it.
        DataError: a training clip of a set is a test clip of the target, by its name or its coordinates.
    """
    names = Counter(part.store.dataset for part in parts)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ConfigError(f"Two sets of pretrain_on are both named '{twice[0]}'; give one of the stores another name.")
    for part in parts:
        _refuse_test_clips(part, target)
    if by_file:
        _refuse_one_name(parts, target, by_file)


def _refuse_test_clips(part: TrainingPart, target: TrainingPart) -> None:
    """Refuse a set whose training part holds test clips of the target.

    Copies inside one published set, under two names, are another matter: the results name and leave them out.
    """
    store, test = part.store, [target.store.names[i] for i in target.split.test]
    same: list[str] = []
    if store.dataset == target.store.dataset:
        known = set(test)
        same = [name for i in part.split.train if (name := store.names[i]) in known]
    if not same and store.fingerprint != target.store.fingerprint:
        digests = set(clip_digests(target.store, target.split.test))
        found = clip_digests(store, part.split.train)
        same = [store.names[i] for i, digest in zip(part.split.train, found, strict=True) if digest in digests]
    if same:
        raise DataError(
            f"pretrain_on: {len(same)} training clips of {store.dataset}, {part.split.protocol} are test clips of "
            f"{target.store.dataset}, {target.split.protocol} (first: {same[0]}). Train on a protocol that leaves them "
            "out, or measure another part."
        )


def _refuse_one_name(parts: Sequence[TrainingPart], target: TrainingPart, by_file: str) -> None:
    """Refuse two sets' clips of one name where a file or folder is asked for what belongs to a name."""
    owner = dict.fromkeys(target.store.names, target.store.dataset)
    for part in parts:
        dataset = part.store.dataset
        both = next((name for name in part.store.names if owner.setdefault(name, dataset) != dataset), "")
        if both:
            raise ConfigError(
                f"{owner[both]} and {dataset} both have a clip named '{both}', so {by_file} cannot tell them apart. "
                "Rename the clips of one set."
            )
