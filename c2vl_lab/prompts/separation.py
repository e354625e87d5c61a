"""The only door through which texts reach pre-training: training clips' own sentences, nothing that names a class."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from c2vl_lab.data.readers.ntu_classes import NTU_CLASSES
from c2vl_lab.data.readers.pku_classes import PKU_CLASSES
from c2vl_lab.errors import DataError
from c2vl_lab.prompts.class_prompts import class_sentences, plain
from c2vl_lab.prompts.store import prompts_for

REMEDY = "Class-level texts are for zero-shot classification alone: give their file as class_texts, not as captions."


def training_prompts(
    prompts: dict[str, list[str]],
    train: list[str],
    test: Iterable[str],
    classes: list[str],
    where: str,
    class_texts: str | Path = "",
) -> list[list[str]]:
    """The sentences of the training clips, in their order.

    Args:
        prompts: clip name to sentences; may hold clips beyond the training part, whose sentences are not looked at.
        train: names of the training clips.
        test: names of the test clips; none of them may be asked for.
        classes: the data set's class names.
        where: how the error sentence names the origin of the prompts.
        class_texts: file of the class-level texts that the run is evaluated with, if any.

    Raises:
        DataError: a test clip is asked for, the prompts are those of classes, or a training clip's sentence is one that
            zero-shot classification asks with: a class name, our wording of it, or a sentence of ``class_texts``.
        MissingError: a training clip has no sentences, or there is no file ``class_texts``.
    """
    both = sorted(set(train) & set(test))
    if both:
        raise DataError(
            f"{where}: {len(both)} test clips were asked for as training texts (first: {both[0]}). "
            "Pre-training may only see the texts of its own training part."
        )
    refuse_class_level(prompts, train, classes, where)
    chosen = prompts_for(prompts, train, where)
    asked = [*classes, *(sentence for own in class_sentences(classes, class_texts) for sentence in own)]
    forbidden = {plain(sentence) for sentence in asked}
    for name, sentences in zip(train, chosen, strict=True):
        for place, sentence in enumerate(sentences, 1):
            if plain(sentence) in forbidden:
                raise DataError(
                    f"{where}, clip '{name}', sentence {place}: '{sentence[:80]}' is a class-level text, so it tells "
                    f"the label. Exclude or re-ask it. {REMEDY}"
                )
    return chosen


def refuse_class_level(prompts: dict[str, list[str]], train: list[str], classes: list[str], where: str) -> None:
    """Refuse prompts whose names are those of classes, of this set or of NTU RGB+D 120 and PKU-MMD.

    Raises:
        DataError: half of the names or more are class names, and none is a training clip's.
    """
    known = {plain(name) for name in (*classes, *NTU_CLASSES, *PKU_CLASSES)}
    hits = [name for name in prompts if plain(name) in known]
    if hits and 2 * len(hits) >= len(prompts) and not any(name in prompts for name in train):
        raise DataError(f"{where}: these are texts of classes ('{hits[0]}', ...), not of clips. {REMEDY}")
