"""Word stems of plain English: enough to see that "waves", "waving" and "waved" are one word.

Our own small rules, no published stemmer: the endings of verbs and plurals are taken off and the letter that spelling
doubled or dropped is put right. Verbs of irregular form that occur in names of actions are listed.
"""

from __future__ import annotations

import re
from functools import lru_cache

IRREGULAR = {
    form: verb
    for verb, forms in {
        "be": "is are was were been being am",
        "bring": "brought",
        "catch": "caught",
        "child": "children",
        "do": "does did done",
        "draw": "drew drawn",
        "drink": "drank drunk",
        "eat": "ate eaten",
        "fall": "fell fallen",
        "fly": "flew flown",
        "foot": "feet",
        "give": "gave given",
        "go": "went gone",
        "hang": "hung",
        "have": "has had",
        "hold": "held",
        "knife": "knives",
        "leave": "left",
        "lie": "lying lay lain",
        "make": "made",
        "man": "men",
        "other": "another others",
        "person": "people persons",
        "run": "ran",
        "shake": "shook shaken",
        "shoe": "shoes",
        "shoot": "shot",
        "sit": "sat",
        "stand": "stood",
        "swing": "swung",
        "take": "took taken",
        "tear": "tore torn",
        "tie": "tying",
        "throw": "threw thrown",
        "tooth": "teeth",
        "wear": "wore worn",
        "woman": "women",
        "write": "wrote written",
    }.items()
    for form in forms.split()
    if form != "left"  # the side, far more often than the verb
}
VOWELS = "aeiouy"


@lru_cache(maxsize=2**17)
def stem(word: str) -> str:
    """The stem of a word in small letters; it need not be a word itself ("danc")."""
    if word.endswith(("'s", "’s")):
        word = word[:-2]
    found = IRREGULAR.get(word) or _bare(word)
    return found[:-1] if len(found) >= 5 and found.endswith("e") else found


def _bare(word: str) -> str:
    """Without the endings -s, -ed, -ing."""
    if len(word) > 4 and word.endswith(("ies", "ied")):
        return word[:-3] + "y"
    if re.search("(ch|sh|ss|x|zz|o)es$", word):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= 2 and any(letter in VOWELS for letter in rest):
            return _spelled(rest) if not rest.endswith("e") else word
    return word


def _spelled(rest: str) -> str:
    """What is left of a verb when -ing or -ed is off, spelled as the verb: hopp is hop, hop is hope."""
    if len(rest) > 3 and rest[-1] == rest[-2] and rest[-1] not in "aeioulsz":
        return rest[:-1]
    short = len(re.findall("[aeiouy]+", rest)) == 1
    open_end = len(rest) >= 2 and rest[-1] not in "aeiouywx" and rest[-2] in VOWELS
    if short and open_end and not (len(rest) > 2 and rest[-3] in "aeiou"):
        return rest + "e"
    return rest
