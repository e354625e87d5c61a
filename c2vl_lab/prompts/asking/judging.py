"""Which answers are no answers: empty, cut, nonsense, refused."""

from __future__ import annotations

import re

# A refusal speaks of the speaker; "The person cannot ..." is an answer.
REFUSAL = re.compile(
    r"\W*(?:(?:i(?:'m| am) )?(?:very |so )?sorry\b"
    r"|(?:unfortunately,? )?i (?:can ?not|can't|am (?:not able|unable)|do not have|don't have|won't)\b"
    r"|i'm (?:not able|unable)\b|as an ai\b)",
    re.IGNORECASE,
)
THINKING = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)
BROKEN = re.compile("[\ufffd\ud800-\udfff]")  # what was no text, and lone surrogates, which JSON can carry
SAME_WORD, SAME_SIGN = 6, 12  # so many in a row are no language; the released answers have at most 2 and 3


def tidy(text: str) -> str:
    """A sentence as it is used: without a leading ``<think>`` block, on one line."""
    return " ".join(THINKING.sub("", text).split())


def fault_of(text: str, finish: str = "stop") -> str:
    """Why an answer is no good, or an empty text where it is good.

    Args:
        text: the answer as it came.
        finish: why the model stopped; ``"length"`` means that it was cut.
    """
    sentence = tidy(text)
    if finish == "length":
        return "cut: the model reached its limit of tokens"
    if finish == "content_filter":
        return "refused"
    if not sentence:
        return "empty"
    if not any(sign.isalpha() for sign in sentence):
        return "nonsense: no letters"
    if BROKEN.search(sentence):
        return "nonsense: broken characters"
    if REFUSAL.match(sentence.replace("\u2019", "'")):
        return "refused"
    if _repeats(sentence):
        return "nonsense: repeats itself"
    return ""


def _repeats(sentence: str) -> bool:
    """A word or sign many times in a row, or a phrase that goes round and round."""
    if re.search(rf"(\S)\1{{{SAME_SIGN - 1},}}", sentence):
        return True
    words = re.findall(r"\w+", sentence.lower())
    if any(len(set(words[start : start + SAME_WORD])) == 1 for start in range(len(words) - SAME_WORD + 1)):
        return True
    return len(words) >= 20 and len(set(words)) < 0.25 * len(words)  # released: half of them at least
