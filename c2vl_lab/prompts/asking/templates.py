"""The questions that are asked about a picture: editable, named and versioned."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.config import from_dict
from c2vl_lab.errors import ConfigError, MissingError, choose

FILE_ENDINGS = (".yml", ".yaml", ".txt")


@dataclass(frozen=True)
class Question:
    """One question, asked about each picture of a clip.

    Attributes:
        name: short name for tables and commands.
        version: raised by whoever edits the text. (Answers are kept by the text itself, so a forgotten version
            mixes nothing up.)
        text: what the model reads; ``{part}`` stands for one of ``parts``.
        parts: for a question about body parts: the parts take turns over the pictures of a clip, so that a clip has
            as many sentences as pictures (our choice: the same cost and shape as with one question).
    """

    name: str
    version: str
    text: str
    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.version.strip() or not self.text.strip():
            raise ConfigError(f"A question wants a name, a version and a text, found {self}.")
        if bool(self.parts) != ("{part}" in self.text):
            raise ConfigError(
                f"The question '{self.name}': a text with {{part}} wants parts, and parts want {{part}} in the text."
            )

        if unknown := [field for field in re.findall(r"\{\w+\}", self.text) if field != "{part}"]:
            raise ConfigError(
                f"The question '{self.name}': {unknown[0]} would be sent to the model as it stands; only {{part}} is "
                "filled in."
            )

    def at(self, place: int) -> str:
        """What is asked about the picture at ``place`` (0 is the first) of a clip."""
        return self.text.replace("{part}", self.parts[place % len(self.parts)]) if self.parts else self.text


# The first is the paper's, in its own words. The second is not in the paper: the released answers follow its three
# parts, so we take it for what was asked, or close to it. The third is ours.
QUESTIONS = {
    question.name: question
    for question in (
        Question("paper", "1", "What is the person trying to do?"),
        Question(
            "three-part",
            "1",
            "Is he/she holding something in the hand? Is he/she standing or sitting? What is he/she trying to do?",
        ),
        Question(
            "body-parts",
            "1",
            "What is the person doing with the {part}? Answer in one sentence.",
            ("head", "hands and arms", "trunk and hips", "legs and feet"),
        ),
    )
}


def load_question(name: str) -> Question:
    """A built-in question by its name, or one's own from a file.

    Args:
        name: ``"paper"``, ``"three-part"``, ``"body-parts"``; or the path of a ``.yml`` file with ``name``,
            ``version``, ``text`` and perhaps ``parts``; or of a ``.txt`` file that holds the text alone (its version is
            then the fingerprint of the text).

    Raises:
        ConfigError: an unknown name, or a file of another form.
        MissingError: there is no such file.
    """
    path = Path(name)
    if path.suffix not in FILE_ENDINGS:
        return choose(name, QUESTIONS, "question")
    if not path.is_file():
        raise MissingError(f"There is no question file {path}. Built in: {', '.join(QUESTIONS)}.")
    try:
        text = path.read_text(encoding="utf-8").strip()
        values: Any = yaml.safe_load(text) if path.suffix != ".txt" else None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not readable as a question ({' '.join(str(error).split())}).") from error
    if path.suffix == ".txt":
        return Question(path.stem, fingerprint(text)[:8], text)
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: wanted name, version and text, found {type(values).__name__}.")
    if isinstance(values.get("version"), int | float):
        values["version"] = str(values["version"])
    return from_dict(Question, values, where=str(path))
