"""Zero-shot classification asks with class names: a few sentences a class, from fixed templates.

These sentences name the class, so they are for evaluation only and never reach pre-training.
"""

from __future__ import annotations

from c2vl_lab.errors import ConfigError

# Our choice, after CLIP's prompt ensembles; several wordings average out what any one of them adds.
TEMPLATES = (
    "{name}.",
    "A person is doing this: {name}.",
    "A recording of a person, action: {name}.",
    "The person's movement is: {name}.",
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


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
