"""Which objects the prompts name, and which sentences of a clip are likely made up.

A multimodal model that looks at single frames names things that are not there. The other sentences of the same clip
are the only witnesses at hand: what one sentence says against the rest is suspect. Suspicion is no proof, since the
rest may be wrong together.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from c2vl_lab.errors import DataError
from c2vl_lab.prompts.noun_words import DENIALS
from c2vl_lab.prompts.nouns import objects_in
from c2vl_lab.prompts.store import prompts_for

FEW = 0.25  # a side of a contradiction is suspect if no more than this share of the clip's sentences takes it
MOST = 0.5  # share of the other sentences that must agree against an object that one sentence names
SUSPECTS = ["clip", "place", "sentence", "why"]
NO_ANSWER = (  # weight, reason, phrases that are no answer
    (3.0, "speaks of itself", r"\bas an? ai\b|ai (language )?model|language model|\bi'?m sorry|\bi apologi"),
    (
        3.0,
        "says that it cannot see",
        r"\bi (cannot|can'?t|can not|am unable|am not able|don'?t see)|unable to (see|view)",
    ),
    (
        3.0,
        "complains about the picture",
        r"\b(image|picture|photo|frame|video)s? (is|are|was|appears?|seems?) (to be )?(too |very |quite |un)*"
        r"(blur|dark|black|blank|empty|low[- ]quality|grainy|pixelated|clear\b)",
    ),
    (
        0.75,
        "gives no answer to a part",
        r"(not possible|impossible|difficult|hard) to (tell|determine|say|see|know|identify|discern)"
        r"|cannot be (determined|seen)|can'?t (tell|determine)|unable to determine|unclear"
        r"|not (entirely |completely )?clear (what|if|whether|from)"
        r"|no (person|one|people) (is |are )?(visible|present|in the)",
    ),
)
NO_ANSWER_RES = tuple((weight, why, re.compile(pattern)) for weight, why, pattern in NO_ANSWER)
POSTURE_OF = {
    **dict.fromkeys(("standing", "stands", "stood"), "standing"),
    **dict.fromkeys(("sitting", "seated", "sits", "sat"), "sitting"),
    **dict.fromkeys(("kneeling", "kneels"), "kneeling"),
    **dict.fromkeys(("lying", "lies"), "lying"),
}
IN_TURN = re.compile(r"\b(then|before|after|start|end|first|last|transition|about to|trying to|going to|from)\b")
EMPTY_HANDS = re.compile(
    r"(not|n't|without) (currently |actively |actually )?(holding|carrying) (on to |onto )?"
    r"(anything|something|any objects?|any items?|an object|an item)\b(?! else| other)"
    r"|(holding|holds) nothing|nothing in (his|her|their|the|either|both) hands?|empty[- ]handed|hands? (is|are) empty"
)
SEVERAL = re.compile(  # "the two people" does not say that there are two: it takes it as known
    r"(?<!the )\b(two|three|four|both|several|multiple|many) (other )?"
    r"(people|persons|men|women|individuals|boys|girls|children)\b"
    r"|\b(another|other) (person|man|woman|individual|boy|girl|people)\b|\b(group|pair) of (people|men|women)\b"
)
SUPPOSED = re.compile(r"\b(trying|possibly|likely|might|may|could|perhaps|if|such as|as if)\b")
ALSO_OTHERS = re.compile(r"\bwhile (the|a|another|one)\b|\bwoman\b.*\bman\b|\bman\b.*\bwoman\b")
SEVERAL_SAID, ONE_SAID = "there are several people", "there is one person"
LONG_FORMS = ("board", "brush", "watch", "ball", "book")  # a skateboard may be called a board


def named_objects(
    prompts: dict[str, list[str]],
    names: list[str],
    labels: Sequence[int] | np.ndarray | None = None,
    classes: list[str] | None = None,
) -> pd.DataFrame:
    """The objects that the sentences name, the most named first; what a sentence denies does not count.

    An object that is named in many clips, and in its commonest class hardly more than elsewhere, is a habit of the
    model that wrote the sentences rather than a thing seen.

    Args:
        prompts: clip name to its sentences.
        names: the clips that count.
        labels: (N,) class index of each of the ``names``; with ``classes``, tells where an object belongs.
        classes: class names.

    Returns:
        Columns ``object``, ``sentences``, ``clips``, ``share of clips``, and with labels ``commonest class`` and its
        ``share in class`` of the clips that name the object. Objects are found by :mod:`c2vl_lab.prompts.nouns`.

    Raises:
        MissingError: a clip has no sentences.
        DataError: clips have different numbers of sentences, or there is not one label a clip.
    """
    lists = prompts_for(prompts, names, "the prompts")
    if labels is not None and len(labels) != len(names):
        raise DataError(f"Wanted one label a clip, found {len(labels)} labels for {len(names)} clips.")
    sentences = Counter[str]()
    clips: dict[str, list[int]] = defaultdict(list)
    for clip, own in enumerate(lists):
        found = [{named.object for named in objects_in(sentence) if not named.denied} for sentence in own]
        for objects in found:
            sentences.update(objects)
        for name in set[str]().union(*found):
            clips[name].append(clip)
    order = sorted(sentences, key=lambda name: (-sentences[name], name))
    rows = [(name, sentences[name], len(clips[name]), len(clips[name]) / len(names)) for name in order]
    table = pd.DataFrame(rows, columns=["object", "sentences", "clips", "share of clips"])
    if labels is not None and classes is not None:
        common = [Counter(int(labels[clip]) for clip in clips[name]).most_common(1)[0] for name in order]
        table["commonest class"] = [classes[label] for label, _ in common]
        table["share in class"] = [n / len(clips[name]) for name, (_, n) in zip(order, common, strict=True)]
    return table


def suspects(prompts: dict[str, list[str]], names: list[str]) -> pd.DataFrame:
    """Sentences that the rest of their clip speaks against, or that answer nothing; the most suspicious first.

    The majority is heard, not the truth: where a model has the habit of seeing a phone in every hand, the one sentence
    that sees none is listed. Look at the clip before excluding it, and at :func:`named_objects` for such habits.

    Suspect is a sentence that gives no answer, contradicts itself, takes a side of a contradiction (standing or
    sitting, holding something or nothing, one person or several) that at most a quarter of its clip's sentences take,
    or alone names an object in somebody's hand or under somebody while at least half of the others agree on another
    one or on none.

    Args:
        prompts: clip name to its sentences.
        names: the clips that count.

    Returns:
        One row a suspect sentence: ``clip``, ``place`` (from 1), ``sentence`` and ``why``, the reasons in words.

    Raises:
        MissingError: a clip has no sentences.
        DataError: clips have different numbers of sentences.
    """
    rows = []
    for name, sentences in zip(names, prompts_for(prompts, names, "the prompts"), strict=True):
        said = [_said(sentence) for sentence in sentences]
        for place, reasons in _reasons(said).items():
            rows.append((-sum(weight for weight, _ in reasons), name, place + 1, sentences[place], reasons))
    rows.sort(key=lambda row: row[0])  # stable: equals stay in the order of clips and places
    shown = [(clip, place, text, "; ".join(why for _, why in reasons)) for _, clip, place, text, reasons in rows]
    return pd.DataFrame(shown, columns=SUSPECTS)


@dataclass(frozen=True)
class _Said:
    """What one sentence says that others may contradict."""

    postures: frozenset[str]
    objects: frozenset[str]
    held: tuple[str, ...]
    under: tuple[str, ...]
    empty: bool
    several: bool
    in_turn: bool  # it speaks of several moments or people, so that two postures are no contradiction
    problem: tuple[float, str] | None


@lru_cache(maxsize=2**17)
def _said(sentence: str) -> _Said:
    text = sentence.lower().replace("’", "'")
    named = objects_in(sentence)
    objects = frozenset(one.object for one in named if not one.denied)
    return _Said(
        postures=_postures(text),
        objects=objects,
        held=tuple(one.object for one in named if one.role == "held" and not one.denied),
        under=tuple(one.object for one in named if one.role == "under" and not one.denied),
        empty=bool(EMPTY_HANDS.search(text)),
        several=any(SEVERAL.search(part) and not SUPPOSED.search(part) for part in text.split(".")),
        in_turn=bool(IN_TURN.search(text) or SEVERAL.search(text) or ALSO_OTHERS.search(text)),
        problem=_problem(text),
    )


def _postures(text: str) -> frozenset[str]:
    """Postures that a text asserts; a choice ("sitting or standing") asserts none."""
    found = set()
    for clause in re.split(r"[.,;:!?]|\bbut\b", text):
        words = clause.replace("sitting height", "").split()
        own = {(place, POSTURE_OF[word]) for place, word in enumerate(words) if word in POSTURE_OF}
        if "or" in words and len({posture for _, posture in own}) > 1:
            continue
        found |= {posture for place, posture in own if not DENIALS & set(words[:place])}
    return frozenset(found)


def _problem(text: str) -> tuple[float, str] | None:
    """The first phrase that is no answer."""
    for weight, why, pattern in NO_ANSWER_RES:
        if hit := pattern.search(text):
            return weight, f'{why} ("{hit.group().strip()}")'
    if len(text.split()) < 3:
        return 2.0, "says next to nothing"
    return None


def _reasons(said: list[_Said]) -> dict[int, list[tuple[float, str]]]:
    """Place to (weight, reason) of the suspect sentences of a clip."""
    found: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for place, one in enumerate(said):
        if one.problem:
            found[place].append(one.problem)
        if len(one.postures) > 1 and not one.in_turn:
            found[place].append((1.5, f"says both {' and '.join(sorted(one.postures))}"))
        if one.empty and one.held:
            found[place].append((1.2, f"says both holding '{one.held[0]}' and holding nothing"))
    for source in (_sides, _lone):
        for place, weight, why in source(said):
            found[place].append((weight, why))
    return found


def _sides(said: list[_Said]) -> Iterator[tuple[int, float, str]]:
    """Sentences on the smaller side of a contradiction between the clip's sentences."""
    posture = [next(iter(one.postures)) if len(one.postures) == 1 else "" for one in said]
    holding = [
        "" if one.empty and one.held else "holding nothing" if one.empty else "holding something" if one.held else ""
        for one in said
    ]
    people = [SEVERAL_SAID if one.several else ONE_SAID for one in said]
    for sides in (posture, holding, people):
        counts = Counter(side for side in sides if side)
        if len(counts) < 2:
            continue
        (main, most), total = counts.most_common(1)[0], counts.total()
        for place, side in enumerate(sides):
            # that one of two people is described alone is no contradiction
            if side and side != main and counts[side] <= FEW * total and side != ONE_SAID:
                yield place, most / total, f"says {side}, {most} of {len(said)} sentences say {main}"


def _lone(said: list[_Said]) -> Iterator[tuple[int, float, str]]:
    """Objects that only one sentence of the clip names while most of the others agree on another, or on none."""
    others = len(said) - 1
    for role in ("held", "under"):
        votes = [tuple(getattr(one, role)) for one in said]
        for place, own in enumerate(votes):
            for name in dict.fromkeys(own):
                if any(_kin(name, other) for at, one in enumerate(said) if at != place for other in one.objects):
                    continue
                common, count = _agreed(said, votes, place, role)
                if any(_kin(mine, common) for mine in own):
                    break  # "a glass of water" where the others say "a glass"
                if others and count >= MOST * others:
                    against = f"name '{common}'" if common else "say that nothing is held"
                    yield (
                        place,
                        0.3 + 0.7 * count / others,
                        f"alone names '{name}', {count} of {others} others {against}",
                    )
                    break


def _agreed(said: list[_Said], votes: list[tuple[str, ...]], place: int, role: str) -> tuple[str, int]:
    """What most of the other sentences name in the same role, empty for nothing, and how many do."""
    counts = Counter(name for at, own in enumerate(votes) if at != place for name in set(own))
    empty = sum(one.empty for at, one in enumerate(said) if at != place) if role == "held" else 0
    if not counts:
        return "", empty
    name = counts.most_common(1)[0][0]
    kin = sum(any(_kin(name, other) for other in own) for at, own in enumerate(votes) if at != place)
    return ("", empty) if empty > kin else (name, kin)


def _kin(one: str, other: str) -> bool:
    """Whether two names may be of one thing: "phone" and "cell phone", "remote control" and "controller"."""
    return any(_same_word(mine, its) for mine in one.split() for its in other.split())


def _same_word(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return (
        short == long or (len(short) > 4 and long.startswith(short)) or (short in LONG_FORMS and long.endswith(short))
    )
