"""Zero-shot classification asks with class names and, if wished, with published descriptions of the classes.

These sentences name the class, so they are for evaluation only and never reach pre-training; see
:mod:`c2vl_lab.prompts.separation`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from c2vl_lab.errors import ConfigError, DataError, MissingError

# Our choice, after CLIP's prompt ensembles; several wordings average out what any one of them adds.
TEMPLATES = (
    "{name}.",
    "A person is doing this: {name}.",
    "A recording of a person, action: {name}.",
    "The person's movement is: {name}.",
)
SYNONYM = TEMPLATES[1]
LIMIT = 16 * 2**20  # bytes; the published lists have less than 100 kB
FORMS = (
    "a text file with a class a line ('class;text', 'class,text', 'class;head ...;hand ...', 'class,synonym,synonym' "
    "or the name alone), or JSON {class: [sentence, ...]}"
)


def class_prompts(classes: list[str]) -> list[list[str]]:
    """The sentences of every class, in the order of ``classes``.

    Args:
        classes: class names as the data set writes them; underscores count as blanks.

    Raises:
        ConfigError: there is no class, or a name is empty.
    """
    names = [" ".join(name.replace("_", " ").split()) for name in classes]
    if not names or not all(names):
        raise ConfigError(f"Class prompts want at least one class and no empty name, found {classes!r}.")
    return [[_capital(template.format(name=name)) for template in TEMPLATES] for name in names]


def class_sentences(classes: list[str], path: str | Path = "") -> list[list[str]]:
    """What zero-shot classification asks for each class: its name in our wordings, then the texts of ``path``.

    Args:
        classes: class names; matched with those of the file without regard to case and punctuation.
        path: a file of class-level texts, see :func:`load_class_texts`; empty: names alone.

    Raises:
        ConfigError: there is no class, or a name is empty.
        MissingError: there is no such file.
        DataError: the file has another form, or lacks a class.
    """
    prompts = class_prompts(classes)
    if not str(path):
        return prompts
    texts = {plain(name): sentences for name, sentences in load_class_texts(path).items()}
    absent = [name for name in classes if plain(name) not in texts]
    if absent:
        raise DataError(
            f"{path}: has no texts for {len(absent)} of {len(classes)} classes (first: '{absent[0]}'). "
            "Take a file made for this data set; its class names must be the set's."
        )
    return [[*own, *texts[plain(name)]] for own, name in zip(prompts, classes, strict=True)]


def load_class_texts(path: str | Path) -> dict[str, list[str]]:
    """Class-level texts {class name: [sentence, ...]}, in the order of the file.

    Read are the forms in which GAP published its descriptions (https://github.com/MartinXM/GAP, folder ``text``): one
    line a class, with whole sentences, six body parts, synonyms, or the name alone; and JSON. Descriptions are taken
    apart into sentences, because a text model reads no more than a window; synonyms become sentences.

    Raises:
        MissingError: there is no such file.
        DataError: another form, a class twice, or a class without text; the sentence names file and line.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise MissingError(f"No class-level texts at {path}: wanted {FORMS}.")
    if path.stat().st_size > LIMIT:
        raise DataError(f"{path}: wanted a list of classes of at most {LIMIT} bytes, found {path.stat().st_size}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8.") from error
    pairs = _json_pairs(text, path) if text.lstrip().startswith(("{", "[")) else _line_pairs(text)
    if not pairs:
        raise DataError(f"{path}: holds no class; wanted {FORMS}.")
    table: dict[str, list[str]] = {}
    for line, name, sentences in pairs:
        where = f"{path}, line {line}" if line else f"{path}"
        if not plain(name) or not sentences:
            raise DataError(f"{where}: wanted a class name and its text, found '{name[:60]}'. Wanted is {FORMS}.")
        if name in table:
            raise DataError(f"{where}: the class '{name[:60]}' occurs twice. Keep one of its lines.")
        table[name] = sentences
    return table


def plain(text: str) -> str:
    """Words alone, in small letters: how names and sentences are compared."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def is_class_list(text: str) -> bool:
    """Whether a text has the form of GAP's lists: every line a short name, then ``;`` or ``,`` and its text."""
    lines = [line for line in text.splitlines() if line.strip()]
    heads = [re.split("[;,]", line, maxsplit=1) for line in lines]
    return len(lines) > 1 and all(len(head) == 2 and 0 < len(head[0].split()) <= 8 for head in heads)


def _line_pairs(text: str) -> list[tuple[int, str, list[str]]]:
    """(line, class, sentences) of a text file; which of the forms it is shows in its separators."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    mark = next((mark for mark in ";," if all(mark in line for _, line in lines)), "")
    if not mark:
        return [(number, line, [_capital(SYNONYM.format(name=line))]) for number, line in lines]
    halves = [(number, line.partition(mark)) for number, line in lines]
    split = [(number, name.strip(), rest.strip()) for number, (name, _, rest) in halves]
    prose = sum(rest.rstrip().endswith(".") for _, _, rest in split) > len(split) / 2
    return [(number, name, _sentences(rest, mark, prose)) for number, name, rest in split]


def _sentences(text: str, mark: str, prose: bool) -> list[str]:
    """Sentences of a class: body parts, prose, or synonyms."""
    if mark == ";" and ";" in text:  # head: tilts back; hand: ...
        return [_capital(f"{part.replace(':', '', 1).strip(' .')}.") for part in text.split(";") if part.strip(" .")]
    if prose or mark == ";":
        return [part.strip() for part in re.split(r"(?<=[.!?])\s+", text) if part.strip()]
    return [SYNONYM.format(name=part.strip(" .")) for part in text.split(",") if part.strip(" .")]


def _json_pairs(text: str, path: Path) -> list[tuple[int, str, list[str]]]:
    """Classes of a JSON object; a single sentence may stand without a list."""
    try:
        table: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON ({str(error)[:200]}).") from error
    pairs = []
    for name, value in table.items() if isinstance(table, dict) else ():
        sentences = [value] if isinstance(value, str) else value
        if not isinstance(sentences, list) or not all(isinstance(s, str) and s.strip() for s in sentences):
            raise DataError(f"{path}, class '{name[:60]}': wanted a list of sentences that are not empty.")
        pairs.append((0, name, [sentence.strip() for sentence in sentences]))
    return pairs


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
