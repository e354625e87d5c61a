"""Does a text name a class? Then it hands the label to pre-training, which is to learn without labels."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd

from c2vl_lab.errors import DataError
from c2vl_lab.prompts.noun_words import words
from c2vl_lab.prompts.stems import stem
from c2vl_lab.prompts.store import prompts_for

COLUMNS = ["clip", "place", "sentence", "class named", "own class"]
# Words without which a name is still that name: "giving something to other person" is "gives the person an apple".
LIGHT = words(
    "a an the of to from with in on at for and or by as into onto something someone some thing things self make "
    "one's oneself his her their its"
)
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")  # "hip-hop" is no hop
SLACK = 2  # words that may stand between those of a name, beyond the name's own light words
MOST_VARIANTS = 32


def label_leaks(
    prompts: dict[str, list[str]], names: list[str], labels: Sequence[int] | np.ndarray, classes: list[str]
) -> pd.DataFrame:
    """Sentences that name a class of the data set, word by word up to inflection and order.

    A class is named where the stems of all its words occur close together in one sentence: "hand waving" is named by
    "He waves his right hand" too. Words in brackets, articles and small prepositions of a name need not occur; of
    words joined by a slash one is enough. Synonyms are not looked for, so an empty table is no proof.

    Args:
        prompts: clip name to its sentences.
        names: the clips that count.
        labels: (N,) class index of each of the ``names``.
        classes: class names; underscores count as blanks.

    Returns:
        One row a clip, place (from 1) and class: ``clip``, ``place``, ``sentence``, ``class named`` and ``own class``
        (whether it is the clip's own); own classes first. ``attrs["share"]`` is the share of all sentences that name
        a class, ``attrs["own_share"]`` the share that names the clip's own.

    Raises:
        MissingError: a clip has no sentences.
        DataError: clips have different numbers of sentences, or labels do not fit names and classes.
    """
    lists = prompts_for(prompts, names, "the prompts")
    own = _checked(labels, names, classes)
    finder = _Finder(classes)
    found = {sentence: finder.named(sentence) for sentence in {s for sentences in lists for s in sentences}}
    rows = [
        (name, place, sentence, classes[index], index == label)
        for name, label, sentences in zip(names, own, lists, strict=True)
        for place, sentence in enumerate(sentences, 1)
        for index in found[sentence]
    ]
    rows.sort(key=lambda row: not row[4])
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"own class": bool})
    sentences = sum(map(len, lists))
    table.attrs["share"] = len({row[:2] for row in rows}) / sentences if sentences else 0.0
    table.attrs["own_share"] = sum(row[4] for row in rows) / sentences if sentences else 0.0
    return table


def leaks_by_class(
    leaks: pd.DataFrame, labels: Sequence[int] | np.ndarray, names: list[str], classes: list[str]
) -> pd.DataFrame:
    """How often each class is named, and whether in its own clips more than elsewhere.

    Args:
        leaks: the table of :func:`label_leaks`.
        labels: (N,) class index of each of the ``names``.
        names: the clips that counted.
        classes: class names.

    Returns:
        One row a class that is named, the most named first: ``class``, ``sentences``, ``own class`` (share of them in
        clips of that class) and ``chance`` (share of the class in all clips). Where the last two are alike, the words
        are in use for other things, as "standing up" is for standing, and say nothing of the label.

    Raises:
        DataError: labels do not fit names and classes.
    """
    chance = np.bincount(_checked(labels, names, classes), minlength=len(classes)) / max(len(names), 1)
    groups = leaks.groupby("class named", sort=False)["own class"].agg(["size", "mean"])
    rows = [
        (name, int(size), float(mean), float(chance[classes.index(name)])) for name, size, mean in groups.itertuples()
    ]
    found = pd.DataFrame(rows, columns=["class", "sentences", "own class", "chance"])
    return found.sort_values("sentences", ascending=False, kind="stable", ignore_index=True)


def _checked(labels: Sequence[int] | np.ndarray, names: list[str], classes: list[str]) -> list[int]:
    """Labels as plain numbers, one a clip, each that of a class."""
    own = [int(label) for label in labels]
    if len(own) != len(names):
        raise DataError(f"Wanted one label a clip, found {len(own)} labels for {len(names)} clips.")
    if own and not 0 <= min(own) <= max(own) < len(classes):
        raise DataError(f"Labels go from {min(own)} to {max(own)}, but there are {len(classes)} classes (0 is first).")
    return own


class _Finder:
    """Looks classes up by the rarest stem of their names, so that a sentence is compared with few of them."""

    def __init__(self, classes: list[str]):
        self.variants = [(index, *variant) for index, name in enumerate(classes) for variant in name_variants(name)]
        common = Counter(word for _, stems, _ in self.variants for word in stems)
        self.by_stem: dict[str, list[int]] = defaultdict(list)
        for number, (_, stems, _) in enumerate(self.variants):
            self.by_stem[min(sorted(stems), key=lambda word: common[word])].append(number)

    def named(self, text: str) -> list[int]:
        """Indices of the classes that a text names."""
        found: set[int] = set()
        for sentence in re.split("[.!?;]", text.lower()):
            stems = [stem(word) for word in WORD.findall(sentence)]
            for word in set(stems) & self.by_stem.keys():
                for number in self.by_stem[word]:
                    index, wanted, span = self.variants[number]
                    if index not in found and _close(stems, wanted, span):
                        found.add(index)
        return sorted(found)


def name_variants(name: str) -> list[tuple[frozenset[str], int]]:
    """The ways to say a class name: its stems without the light ones, and how many words they may spread over."""
    found: dict[frozenset[str], int] = {}
    phrases = re.split(r"\)\s*/|\s/\s", name.lower().replace("_", " "))  # "use a fan (with hand)/feeling warm"
    for phrase in phrases:
        core = re.sub(r"\(.*?(\)|$)", " ", phrase).strip() or phrase
        choices = [word.split("/") for word in core.split()]
        for chosen in itertools.islice(itertools.product(*choices), MOST_VARIANTS):
            joined = " ".join(chosen)
            for parts in (WORD.findall(joined), re.findall(r"[^\W_]+", joined)):  # with and without hyphens
                heavy = frozenset(stem(word) for word in parts if word not in LIGHT)
                if heavy:
                    found[heavy] = max(found.get(heavy, 0), len(parts) + SLACK)
    return list(found.items())


def _close(stems: list[str], wanted: frozenset[str], span: int) -> bool:
    """Whether all wanted stems occur within ``span`` neighbouring words."""
    last: dict[str, int] = {}
    for place, word in enumerate(stems):
        if word in wanted:
            last[word] = place
            if len(last) == len(wanted) and place - min(last.values()) < span:
                return True
    return False
