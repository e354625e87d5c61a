"""Language prompts on disk, in the form that the paper's authors published: ``{clip name: [sentence, ...]}``."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.data.readers.sources import read_member
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.prompts.class_prompts import is_class_list

ALL = "all"


def load_prompts(path: str | Path) -> dict[str, list[str]]:
    """Read prompts from a ``.json`` file, or from a ``.zip`` that holds exactly one.

    Args:
        path: file in the published form, ``{clip name: [sentence, ...]}``, equally many sentences for every clip.

    Raises:
        MissingError: there is no such file.
        DataError: the file is no JSON or zip, has another form, or clips differ in their number of sentences; the
            sentence names file and clip.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(
            f"No prompts at {path}: wanted a .json or .zip file of the form {{clip name: [sentence, ...]}}."
        )
    where, text = _text_of(path)
    try:
        prompts = json.loads(text, object_pairs_hook=_unique(where))
    except (ValueError, RecursionError) as error:  # the latter: brackets in thousands of brackets
        if is_class_list(text):
            raise DataError(
                f"{where}: these are texts of classes (a name and its text a line), not of clips. They tell the label "
                "and are for zero-shot classification alone: give the file as class_texts, not as captions."
            ) from error
        line = getattr(error, "lineno", "?")
        raise DataError(f"{where}, line {line}: not valid JSON ({error}). Export the prompts again.") from error
    check_prompts(prompts, where)
    return prompts


def save_prompts(path: str | Path, prompts: dict[str, list[str]]) -> None:
    """Write prompts as one JSON object in the published form, sorted by clip name, atomically.

    Raises:
        DataError: the prompts have another form, see :func:`check_prompts`.
    """
    check_prompts(prompts, str(path))
    ordered = {name: list(prompts[name]) for name in sorted(prompts)}
    with atomic_path(Path(path)) as temporary:
        temporary.write_text(json.dumps(ordered, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def prompts_for(prompts: dict[str, list[str]], names: list[str], where: str) -> list[list[str]]:
    """The sentences of the named clips, in their order, and of no other clip.

    Pre-training asks for the training split's names only, so the texts of test clips cannot come along.

    Args:
        prompts: clip name to sentences; may hold more clips than asked for.
        names: the clips wanted.
        where: how the error sentence names the origin of the prompts.

    Raises:
        MissingError: some clips have no sentences; it says how many and names the first.
        DataError: the clips asked for differ in their number of sentences.
    """
    absent = [name for name in names if name not in prompts]
    if absent:
        shown = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
        raise MissingError(
            f"{where}: no sentences for {len(absent)} of {len(names)} clips ({shown}). "
            "Caption them, or choose prompts made for this data set."
        )
    chosen = [list(prompts[name]) for name in names]
    _equal_counts(dict(zip(names, chosen, strict=True)), where)
    return chosen


def sentence_places(chosen: str) -> list[int] | None:
    """Places, from 0, that a text such as ``"16"`` or ``"1,6,9,16"`` names from 1; None for ``"all"``.

    Raises:
        ConfigError: neither "all" nor different whole numbers from 1 with commas between them.
    """
    if chosen == ALL:
        return None
    parts = [part.strip() for part in str(chosen).split(",")]
    numbers = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 10]
    if len(numbers) != len(parts) or min(numbers) < 1 or len(set(numbers)) != len(numbers):
        raise ConfigError(
            f"sentences: wanted '{ALL}' or the places that are used, from 1, each once, such as '16' or '1,6,9,16'; "
            f"found '{chosen}'."
        )
    return [number - 1 for number in numbers]


def at_places(texts: list[list[str]], chosen: str, where: str) -> list[list[str]]:
    """Of each clip's sentences those that :func:`sentence_places` names, in the order in which it names them.

    Raises:
        ConfigError: a clip has fewer sentences.
    """
    places = sentence_places(chosen)
    if places is None or not texts:
        return texts
    if max(places) >= len(texts[0]):
        raise ConfigError(f"sentences='{chosen}': {where} has {len(texts[0])} sentences a clip.")
    return [[own[place] for place in places] for own in texts]


def check_prompts(prompts: Any, where: str) -> None:
    """Refuse anything but ``{clip name: [sentence, ...]}`` with equally many sentences for every clip.

    Raises:
        DataError: names ``where`` and the first clip that is wrong.
    """
    if not isinstance(prompts, dict) or not prompts:
        found = "an empty object" if prompts == {} else type(prompts).__name__
        raise DataError(f"{where}: wanted one JSON object {{clip name: [sentence, ...]}}, found {found}.")
    for name, sentences in prompts.items():
        if _unwritable(name):
            raise DataError(f"{where}: the name {_short(name)} of a clip holds half a character. Mend the encoding.")
        if not isinstance(sentences, list) or not sentences:
            raise DataError(
                f"{where}, clip '{name}': wanted a list of sentences, found {_short(sentences)}. "
                "Repair or leave out the clip."
            )
        for place, sentence in enumerate(sentences, 1):
            if not isinstance(sentence, str) or not sentence.strip():
                raise DataError(
                    f"{where}, clip '{name}': sentence {place} must be text that is not empty, "
                    f"found {_short(sentence)}."
                )
            if _unwritable(sentence):
                raise DataError(
                    f"{where}, clip '{name}': sentence {place} holds half a character, found {_short(sentence)}. "
                    "Mend its encoding."
                )
    _equal_counts(prompts, where)


def _equal_counts(prompts: dict[str, list[str]], where: str) -> None:
    """Refuse clips with unequal numbers of sentences."""
    if not prompts:
        return
    first, wanted = next((name, len(sentences)) for name, sentences in prompts.items())
    for name, sentences in prompts.items():
        if len(sentences) != wanted:
            raise DataError(
                f"{where}, clip '{name}': found {len(sentences)} sentences where '{first}' has {wanted}; "
                "every clip needs the same number."
            )


def _unwritable(text: Any) -> bool:
    """Whether a text holds a lone surrogate, which JSON can carry, and UTF-8 and tokenizers cannot."""
    return isinstance(text, str) and not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text)


def _short(value: Any) -> str:
    """A value for an error sentence, cut after 60 characters."""
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _unique(where: str):
    """A JSON hook that refuses a clip that is written twice (plain JSON keeps the last silently)."""

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice = next(name for name, count in counts.items() if count > 1)
            raise DataError(f"{where}, clip '{twice}': it occurs twice. Keep one of its lists.")
        return table

    return build


def _text_of(path: Path) -> tuple[str, str]:
    """How errors name the JSON text of ``path``, and the text."""
    try:
        if path.suffix.lower() != ".zip":
            return str(path), path.read_text(encoding="utf-8-sig")
        with zipfile.ZipFile(path) as archive:
            files = {info.filename: info for info in archive.infolist()}
            members = [n for n in files if n.endswith(".json") and not n.startswith("__MACOSX/")]
            if len(members) != 1:
                raise DataError(
                    f"{path}: wanted a zip with one .json file, found {len(members)}. Unpack it and name one."
                )
            return f"{path}/{members[0]}", read_member(archive, files[members[0]], path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8.") from error
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise DataError(f"{path}: the zip cannot be read ({error}). Copy or download it again.") from error
