"""Opening a case with the package and judging the answer: a sound store, or one clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.fuzz_cases import Case
from benchmarks.fuzz_inputs import Format
from benchmarks.fuzz_layouts import own_arrays
from benchmarks.fuzz_text import Rng
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.own import store_from_arrays
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import C2VLError, MissingError

LONGEST_MESSAGE = 6000  # characters; an error repeats no million characters of a damaged file
SKIPPING = 0.15  # share of cases that are opened with ``skip_bad=True``
OUT_OF_MEMORY = ("MemoryError", "Unable to allocate", "annot allocate memory")


def run_case(form: Format, case: Case, folder: Path, rng: Rng | None) -> tuple[str, str]:
    """Open the case's input, which lies in ``folder/in``.

    Returns:
        ``stored`` and the number of clips; ``refused`` and the error's text; or ``violation`` and what is wrong.
    """
    data, work = folder / "in", folder / "work"
    try:
        store = _open(form, case, folder, rng)
    except MissingError as error:  # nothing of the set was found: the folder is what is at fault
        case.names.add(str(data))
        return judge_error(case, str(error), work)
    except C2VLError as error:
        return judge_error(case, str(error), work)
    problem = judge_store(store, finite=form.dataset != "store")
    return ("violation", problem) if problem else ("stored", f"{len(store)} clips")


def _open(form: Format, case: Case, folder: Path, rng: Rng | None) -> SkeletonStore:
    """The store of an input, by the way that its users take."""
    data, work = folder / "in", folder / "work"
    if form.dataset == "store":
        return SkeletonStore.open(data)
    if form.dataset == "arrays":
        arguments, what = own_arrays(rng)
        case.what.append(what)
        return store_from_arrays(work / "own", **arguments)
    skip_bad = bool(rng is not None and rng.random() < SKIPPING)
    case.what += ["bad files are skipped"] * skip_bad
    return open_dataset(form.dataset, data, work, workers=1, skip_bad=skip_bad, **form.options)


def judge_error(case: Case, text: str, work: Path) -> tuple[str, str]:
    """An error must name the file, and the line where one is at fault, and leave no store behind."""
    if len(text) > LONGEST_MESSAGE or not text.strip():
        return "violation", f"a message of {len(text)} characters: {text[:300]}"
    if not all(letter.isprintable() or letter in "\n" for letter in text):
        return "violation", f"a message that no terminal shows: {ascii(text)[:300]}"
    if any(word in text for word in OUT_OF_MEMORY):
        return "violation", f"took what memory there was: {text[:300]}"
    if any(work.glob("**/meta.json")):
        return "violation", f"refused, but a finished store was left: {text[:300]}"
    if case.number and not any(name in text for name in case.names):
        return "violation", f"does not name the file ({sorted(case.names)[:3]}): {text[:500]}"
    if case.line and f"line {case.line}" not in text:
        return "violation", f"does not name line {case.line}: {text[:500]}"
    return ("refused" if case.number else "violation"), text


def judge_store(store: SkeletonStore, finite: bool = True) -> str:
    """What is wrong with a store that opened; empty: every clip is in shape and finite."""
    if len(set(store.names)) != len(store) or not len(store):
        return f"{len(store)} clips with {len(set(store.names))} names"
    for index in range(len(store)):
        clip = store[index]
        joints, shape = len(store.layout), clip.xyz.shape
        if len(shape) != 4 or shape[2:] != (joints, 3) or not clip.xyz.size:
            return f"clip {clip.name} has coordinates of shape {shape}"
        if clip.present.shape != shape[:2] or clip.frames.shape != shape[:1]:
            return f"clip {clip.name}: present {clip.present.shape}, frames {clip.frames.shape}, xyz {shape}"
        if finite and not np.isfinite(clip.xyz).all():
            return f"clip {clip.name} is not finite"
        if not 0 <= clip.label < len(store.classes):
            return f"clip {clip.name} has label {clip.label} of {len(store.classes)} classes"
        if finite and clip.xyz[~clip.present].any():
            return f"clip {clip.name} has coordinates where nobody was tracked"
    return ""
