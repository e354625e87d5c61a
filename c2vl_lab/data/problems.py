"""What looks wrong in a store, one row a problem, with the clip's name: to be looked at before anything is learned.

The thresholds are ours. They were set on NW-UCLA, UTD-MHAD and MSR-Action3D so that a flagged clip, looked at in the
player, does show what is said of it; none of them removes a clip.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.data.checks import JUMP, Measures, measure
from c2vl_lab.data.export_common import export_errors
from c2vl_lab.data.protocols import Split, make_split, protocols_of
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import C2VLError

SHORT = 8  # frames; 0.27 s at 30 frames a second
GAP_FRAMES, GAP_SHARE = 15, 0.1  # a gap of half a second, or gaps in a tenth of the clip
SEEN_SHARE = 0.5  # a body should be tracked in at least so much of the clip
COPY_SHARE = 0.3  # of the steps between frames
SIZES = (0.6, 2.6)  # metres from the root joint along the bones to the farthest joint; adults have 1.3 to 2.1
APART = 3.0  # metres between two people, on average
UPRIGHT = 0.1  # share of the frames with the head above the hips
AT_ORIGIN, LOST, INFERRED = 0.01, 0.05, 0.5  # share of the joints

ADVICE = {
    "file cannot be used": "fetch or repair the file and read the set again; it is not in the store",
    "same recording trains and tests": "leave one of the two out, or say so beside every result",
    "same recording twice": "leave one of the two out",
    "class without training clips": "leave the class out, or complete the set",
    "class without test clips": "leave the class out, or complete the set",
    "no body in any frame": "leave the clip out",
    "very short": f"under {SHORT} frames; leave the clip out, or know that it is stretched",
    "frozen": "frames repeat the one before; the recorder stalled, or frames were filled in",
    "tracked in few frames": "the rest is filled with the nearest tracked pose",
    "long tracking gap": "look at it: the body is interpolated over the gap",
    "frames are lacking": "the clip's frame numbers jump; its tempo is not that of the recording",
    "bone length jumps": "a joint flew off for a frame or more; smooth, or leave the clip out",
    "implausible size": "are the coordinates metres? A child is small too",
    "joints at the origin": "the recorder wrote zeros for joints that it did not find",
    "upside down": "is y the axis that points up? People who lie down look like this too",
    "people far apart": "a ghost body, perhaps",
    "joints lost": "their coordinates are guesses or zeros",
    "joints mostly inferred": "their coordinates are the recorder's guesses",
    "protocol cannot be used": "take another one; that of a single camera, say, is none",
    "left out": "nothing, where the reason is as it should be",
}


@dataclass(frozen=True)
class Check:
    """One thing that may be wrong with a body.

    Attributes:
        kind: a key of :data:`ADVICE`.
        wrong: table of measures -> (rows,) bool.
        by: the measure by which the worst comes first.
        text: how bad it is, with the measures' names in braces.
    """

    kind: str
    wrong: Callable[[pd.DataFrame], pd.Series]
    by: str
    text: str


CHECKS = (
    Check(
        "frozen",
        lambda b: (b["copies"] >= COPY_SHARE) & (b["tracked"] > 2),
        "copies",
        "{copies:.0%} of the frames repeat the one before",
    ),
    Check("tracked in few frames", lambda b: b["absent"] > 1 - SEEN_SHARE, "absent", "in {tracked} of {frames} frames"),
    Check(
        "long tracking gap",
        lambda b: (b["longest_gap"] >= GAP_FRAMES) | (b["inside"] > GAP_SHARE),
        "longest_gap",
        "gaps: {gaps}, the longest {longest_gap} frames; {inside:.0%} of the clip's {frames} frames",
    ),
    Check(
        "bone length jumps",
        lambda b: b["jumps"] > 0,
        "jump",
        f"{{bone}} changes by {{jump:.2f}} m at frame {{frame}}; frames with over {JUMP:.0%} of the body: {{jumps}}",
    ),
    Check(
        "implausible size",
        lambda b: ~b["size"].between(*SIZES),
        "off",
        "{size:.3g} m from the root to the farthest joint",
    ),
    Check("joints at the origin", lambda b: b["at_origin"] > AT_ORIGIN, "at_origin", "{at_origin:.1%} of its joints"),
    Check(
        "upside down", lambda b: b["upright"] < UPRIGHT, "tracked", "head above the hips in {upright:.0%} of the frames"
    ),
    Check("people far apart", lambda b: b["apart"] > APART, "apart", "{apart:.1f} m on average"),
    Check("joints lost", lambda b: b["lost"] > LOST, "lost", "{lost:.0%} of its joints"),
    Check("joints mostly inferred", lambda b: b["inferred"] > INFERRED, "inferred", "{inferred:.0%} of its joints"),
)
COLUMNS = ["name", "problem", "how bad", "source"]
Row = tuple[str, str, str, str, float]  # name, problem, how bad, source, value to sort by


def problems(store: SkeletonStore, measures: Measures | None = None) -> pd.DataFrame:
    """Everything that looks wrong, the gravest kind first and the worst of a kind first.

    Args:
        store: any store.
        measures: from :func:`c2vl_lab.data.checks.measure`; made here where not given.

    Returns:
        Columns ``name`` (clip, file or class), ``problem`` (a key of :data:`ADVICE`), ``how bad``, ``source``.
    """
    measures = measures or measure(store)
    splits, unusable = _splits(store)
    rows = [*_from_reading(store), *unusable]
    rows += [*_copies(store, measures.content, splits), *_empty_classes(store, splits)]
    rows += [*_clips(store, measures), *_bodies(store, measures.bodies)]
    order = {kind: rank for rank, kind in enumerate(ADVICE)}
    rows.sort(key=lambda row: (order[row[1]], -row[4], row[0]))
    return pd.DataFrame([row[:4] for row in rows], columns=COLUMNS)


def save_problems(found: pd.DataFrame, store: SkeletonStore, work_dir: str | Path) -> Path:
    """Write the table as ``work_dir/problems-<set>-<fingerprint>.csv``; returns the path.

    Raises:
        StorageError: the folder cannot be written to.
    """
    path = Path(work_dir) / f"problems-{store.dataset}-{store.fingerprint}.csv"
    with export_errors(path), atomic_path(path) as temporary:
        found.to_csv(temporary, index=False, lineterminator="\n")
    return path


def _splits(store: SkeletonStore) -> tuple[list[Split], list[Row]]:
    """The store's protocols, and why some of them cannot be used."""
    splits, rows = [], []
    for name in protocols_of(store):
        try:
            splits.append(make_split(store, name))
        except C2VLError as error:
            rows.append((name, "protocol cannot be used", str(error), "", 0.0))
    return splits, rows


def _from_reading(store: SkeletonStore) -> Iterable[Row]:
    """What the reader could not use or left out."""
    notes = store.meta.get("notes", {})
    for file, why in notes.get("faults", {}).items():
        sentence = str(why).removeprefix(file).lstrip(":, ") or str(why)
        yield file.replace("\\", "/").rpartition("/")[2], "file cannot be used", sentence, file, 0.0
    for name, why in notes.get("dropped", {}).items():
        yield name, "left out", str(why), "", 0.0


def _copies(store: SkeletonStore, content: np.ndarray, splits: Sequence[Split]) -> Iterable[Row]:
    """Clips with the very coordinates of an earlier one."""
    _, group, size = np.unique(content, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(size[group] > 1)
    parts = np.full((len(splits), len(store)), -1, np.int8)
    for row, split in zip(parts, splits, strict=True):
        row[split.train], row[split.test] = 0, 1
    for _, members in pd.Series(repeated).groupby(group[repeated]):
        first, *others = members.to_numpy()
        for clip in others:
            known = parts[:, members]
            crossing = [s.protocol for s, row in zip(splits, known, strict=True) if {0, 1} <= set(row.tolist())]
            kind = "same recording trains and tests" if crossing else "same recording twice"
            text = f"the coordinates of {store.names[first]}, all {store.lengths[clip]} frames"
            text += f"; parted by {', '.join(crossing)}" if crossing else ""
            if store.labels[clip] != store.labels[first]:
                text += f"; classes {store.classes[store.labels[first]]} and {store.classes[store.labels[clip]]}"
            yield store.names[clip], kind, text, store.clips["source"].iloc[clip], float(store.lengths[clip])


def _empty_classes(store: SkeletonStore, splits: Sequence[Split]) -> Iterable[Row]:
    """Classes that a protocol does not train or does not test; one row for all protocols that agree."""
    total = np.bincount(store.labels, minlength=len(store.classes))
    for part in ("train", "test"):
        without = defaultdict(list)
        for split in splits:
            count = np.bincount(store.labels[getattr(split, part)], minlength=len(store.classes))
            for label in np.flatnonzero(count == 0):
                without[label].append(split.protocol)
        kind = "class without training clips" if part == "train" else "class without test clips"
        for label, protocols in without.items():
            text = f"{', '.join(protocols)}; {total[label]} in all"
            yield store.classes[label], kind, text, "", float(total[label])


def _clips(store: SkeletonStore, measures: Measures) -> Iterable[Row]:
    """What concerns a clip as a whole."""
    tracked = np.bincount(measures.bodies["clip"], measures.bodies["tracked"], minlength=len(store))
    flagged: list[tuple[str, np.ndarray, np.ndarray, str]] = [
        ("no body in any frame", tracked == 0, store.lengths, "{} frames"),
        ("very short", store.lengths < SHORT, store.lengths, "{} frames"),
        ("frames are lacking", measures.skipped > 0, measures.skipped, "{} frame numbers do not occur"),
    ]
    source = store.clips["source"]
    for kind, mask, value, text in flagged:
        sign = -1 if kind == "very short" else 1
        for clip in np.flatnonzero(mask):
            number = int(value[clip])
            words = text.format(number).replace("1 frames", "1 frame") if number == 1 else text.format(number)
            yield store.names[clip], kind, words, source.iloc[clip], float(sign * number)


def _bodies(store: SkeletonStore, bodies: pd.DataFrame) -> Iterable[Row]:
    """What concerns one body of a clip; slots that were never tracked are no bodies."""
    real = bodies[bodies["tracked"] > 0].copy()
    real["absent"] = 1 - real["tracked"] / real["frames"]
    real["inside"] = real["absent"] - (real["late"] + real["early"]) / real["frames"]
    real["off"] = np.maximum(SIZES[0] - real["size"], real["size"] - SIZES[1])
    source = store.clips["source"]
    person = store.layout.has("head", "spine_base")  # a hand has no size that we know of
    for check in (c for c in CHECKS if person or c.kind != "implausible size"):
        for row in real[check.wrong(real)].to_dict("records"):
            clip = row["clip"]
            row["frame"] = store.frames[store.frame_starts[clip] + row["jump_frame"]]
            row["bone"] = " to ".join(store.layout.joints[joint] for joint in store.layout.bones[row["jump_bone"]])
            who = f"body {row['body'] + 1}: " if store.body_counts[clip] > 1 else ""
            text = who + check.text.format_map(row)
            yield store.names[clip], check.kind, text, source.iloc[clip], float(row[check.by])
