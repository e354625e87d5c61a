"""Objects that a sentence names, by a heuristic of our own: no language model is needed, and what it does can be read.

A noun phrase opens at an article, a number or a possessive ("a", "two", "his") or after a word that may go without
("holding scissors"), and ends at punctuation, a verb or a preposition. Its last noun is the object, with the noun
before it where the two make one ("cell phone", "tennis racket"); colours, sizes and materials are left out and
plurals folded. Nouns of the body, of persons, of places and directions and abstract nouns are no objects
(:mod:`c2vl_lab.prompts.noun_words`). What a clause denies ("is not holding a cup") is kept apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from c2vl_lab.prompts import noun_words as lists

TOKEN = re.compile(r"[a-z]+(?:['’-][a-z]+)*|\d+|[.,;:!?()\"]")
LONGEST = 5  # words of a noun phrase behind its opening word
IRREGULAR_PLURALS = {"feet": "foot", "teeth": "tooth", "men": "man", "women": "woman", "people": "person",
                     "children": "child", "knives": "knife", "shelves": "shelf", "leaves": "leaf",
                     "scarves": "scarf", "loaves": "loaf", "shoes": "shoe", "canoes": "canoe", "movies": "movie",
                     "cookies": "cookie", "selfies": "selfie", "hoodies": "hoodie", "axes": "axe",
                     "lenses": "lens", "tvs": "tv"}  # fmt: skip


@dataclass(frozen=True)
class Named:
    """An object in a sentence.

    Attributes:
        object: its name, one or two words, singular.
        denied: the clause says that it is not there.
        role: "held" for what somebody holds or carries, "worn", "under" for what somebody stands, sits or lies
            on, or empty, as far as the words before it tell.
    """

    object: str
    denied: bool
    role: str


@lru_cache(maxsize=2**17)
def objects_in(text: str) -> tuple[Named, ...]:
    """The objects that a text names, in their order; repeated ones once for each mention."""
    tokens = TOKEN.findall(text.lower())
    found: list[Named] = []
    place = 0
    while place < len(tokens):
        if not _opens(tokens[place]):
            place += 1
            continue
        name, end = _phrase(tokens, place + 1)
        if name:
            found.append(_described(name, tokens, place))
        if name and found[-1].role == "worn":  # clothes come in lists: "a white shirt, blue pants and sandals"
            end = _rest_of_list(tokens, end, found)
        place = max(end, place + 1)
    return tuple(found)


def singular(word: str) -> str:
    """A noun without its plural ending."""
    if word in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[word]
    if word in lists.NO_PLURAL or len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if re.search("(ch|sh|ss|x|zz)es$", word) or word.endswith(("atoes", "heroes")):
        return word[:-2]
    return word[:-1]


def _opens(word: str) -> bool:
    """Whether a noun phrase may start behind this word."""
    return word in lists.DETERMINERS or word in lists.BEFORE_BARE or word.isdigit() or word.endswith(("'s", "’s"))


def _rest_of_list(tokens: list[str], place: int, found: list[Named]) -> int:
    """Add the further members of a list of clothes, which have no article; returns where the list ends."""
    while place < len(tokens) and tokens[place] in (",", *lists.JOINERS):
        start = place + 1
        if tokens[place] == "," and start < len(tokens) and tokens[start] in lists.JOINERS:
            start += 1
        name, end = _phrase(tokens, start)
        if not name:
            return place
        found.append(Named(name, found[-1].denied, found[-1].role))
        place = end
    return place


def _phrase(tokens: list[str], start: int) -> tuple[str, int]:
    """The object of the phrase that starts here, or nothing, and where the phrase ends."""
    words: list[str] = []
    place = start
    while place < len(tokens) and len(words) < LONGEST:
        word = tokens[place]
        if (word in lists.DETERMINERS and not words) or word.endswith(("'s", "’s")):
            return "", place  # "both the hands", "the room's door": the next opening word decides
        if word in lists.JOINERS and words and not _nouns(words) and _is_adjective(" ".join(tokens[place + 1 :][:1])):
            words.clear()  # "a blue and white shirt"
            place += 1
            continue
        if not word[0].isalpha() or word in lists.ENDS or _ends(word, bool(_nouns(words))):
            break
        if words and _complete(words[-1], word):
            break
        words.append(word)
        place += 1
    return _object(words), place


def _complete(noun: str, word: str) -> bool:
    """Whether a part of the body or a person ends the phrase, so that the next word is a verb: "the feet pass"."""
    noun = singular(noun)
    return noun in lists.BEINGS and f"{noun} {singular(word)}" not in lists.KEPT_PAIRS


def _ends(word: str, after_noun: bool) -> bool:
    """Whether a verb form ends the phrase: "a chair placed", "a cup looking"."""
    if word.endswith("ing") and word not in lists.ING_NOUNS:
        return True
    return after_noun and word.endswith(("ed", "ly")) and word not in ("bed", "shed", "sled", "seaweed")


def _is_adjective(word: str) -> bool:
    if word in lists.ADJECTIVES:
        return True
    return word.endswith(("ly", "ful", "ous", "able", "ible")) or (
        word.endswith("ed") and word not in ("bed", "shed", "sled", "seaweed")
    )


def _nouns(words: list[str]) -> list[str]:
    return [word for word in words if not _is_adjective(word)]


def _object(words: list[str]) -> str:
    """The object's name from the words of its phrase; empty for what is no object."""
    if not words:
        return ""
    head = singular(words[-1])
    before = words[-2] if len(words) > 1 else ""
    pair = f"{before} {head}"
    if pair in lists.KEPT_PAIRS:
        return pair
    if _is_adjective(words[-1]) and head not in ("glass", "light", "paper"):
        return ""
    if head in lists.NEVER and pair not in ("video game", "board game"):
        return ""
    if len(head) < 2 or (head.endswith(lists.SUFFIXES) and head not in lists.SUFFIX_OBJECTS):
        return ""
    return pair if before and not _is_adjective(before) and singular(before) not in lists.NEVER_BEFORE else head


def _described(name: str, tokens: list[str], place: int) -> Named:
    """The object with what the words before it say of it."""
    clause = tokens[:place]
    for back in range(len(clause) - 1, -1, -1):
        if clause[back] in (".", ",", ";", ":", "!", "?", "but"):
            clause = clause[back + 1 :]
            break
    clause = [*clause, tokens[place]]
    denied = any(word in lists.DENIALS for word in clause)
    return Named(name, denied, _role(clause[-4:]))


def _role(before: list[str]) -> str:
    """What the last words before an object, its opening word included, make of it."""
    if not lists.WEARING.isdisjoint(before):
        return "worn"
    if not lists.HOLDING.isdisjoint(before):
        return "held"
    under = len(before) > 2 and before[-2] in ("on", "onto", "in") and not lists.POSTURES.isdisjoint(before)
    return "under" if under else ""
