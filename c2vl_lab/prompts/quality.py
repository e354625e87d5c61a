"""How much each place of the prompts says: poor prompts are the commonest reason of a poor concept space."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from c2vl_lab.errors import ConfigError
from c2vl_lab.prompts.store import prompts_for
from c2vl_lab.teachers.torchvision_guard import guard_torchvision

WINDOW = 77  # tokens that CLIP's text model reads, start and end mark included (Radford et al., ICML 2021)


def prompt_quality(prompts: dict[str, list[str]], names: list[str]) -> pd.DataFrame:
    """One row a place of the sentences: how many different ones there are and how common the commonest is.

    Args:
        prompts: clip name to its sentences.
        names: the clips that count.

    Raises:
        MissingError: a clip has no sentences.
        DataError: clips have different numbers of sentences.
    """
    columns = list(zip(*prompts_for(prompts, names, "the prompts"), strict=True))
    rows = []
    for sentences in columns:
        commonest, count = Counter(sentences).most_common(1)[0]
        rows.append(
            {
                "different": len(set(sentences)),
                "share of commonest": round(count / len(sentences), 2),
                "median words": int(pd.Series([len(s.split()) for s in sentences]).median()),
                "commonest": commonest,
            }
        )
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(columns) + 1, name="place"))


def duplicates(prompts: dict[str, list[str]], names: list[str]) -> pd.DataFrame:
    """Sentences that occur more than once, letter for letter; the most repeated first.

    Args:
        prompts: clip name to its sentences.
        names: the clips that count.

    Returns:
        Columns ``sentence``, ``count``, ``clips`` (how many clips say it) and ``places`` (how many different places).
        ``attrs["same_list"]`` is the share of clips all of whose sentences, in their order, are another clip's too:
        their concepts are one point. ``attrs["repeated"]`` is the share of sentences that a sentence elsewhere
        repeats, ``attrs["distinct_per_clip"]`` the mean number of different sentences of a clip.

    Raises:
        MissingError: a clip has no sentences.
        DataError: clips have different numbers of sentences.
    """
    lists = prompts_for(prompts, names, "the prompts")
    counts, clips, places = Counter[str](), Counter[str](), Counter[str]()
    for sentences in lists:
        counts.update(sentences)
        clips.update(set(sentences))
    for column in zip(*lists, strict=True):
        places.update(set(column))
    # equals go by the alphabet, so that the table does not depend on the order of clips
    rows = sorted(((s, n) for s, n in counts.items() if n > 1), key=lambda row: (-row[1], row[0]))
    table = pd.DataFrame(
        [(s, n, clips[s], places[s]) for s, n in rows], columns=["sentence", "count", "clips", "places"]
    )
    same = Counter(map(tuple, lists))
    table.attrs["same_list"] = _share(sum(n for n in same.values() if n > 1), len(lists))
    table.attrs["repeated"] = _share(sum(n for _, n in rows), sum(counts.values()))
    table.attrs["distinct_per_clip"] = _share(sum(clips.values()), len(lists))
    return table


def lengths(prompts: dict[str, list[str]], names: list[str], window: int = WINDOW) -> pd.DataFrame:
    """How long the sentences of each place are for CLIP, whose tokenizer cuts what passes its window without a word.

    Tokens are those of open_clip's own tokenizer (its vocabulary comes with the package), start and end mark included,
    so ``cut`` counts exactly the sentences of which the text model does not read everything.

    Args:
        prompts: clip name to its sentences.
        names: the clips that count.
        window: tokens that the text model reads.

    Returns:
        One row a place: ``min``, ``median`` and ``max`` tokens, and ``cut``, the number of sentences that lose words.
        ``attrs["cut"]`` lists the (clip, place) of all of them, places counted from 1.

    Raises:
        ConfigError: the window has no room for a token between its two marks.
        MissingError: a clip has no sentences.
        DataError: clips have different numbers of sentences.
    """
    if window < 3:
        raise ConfigError(f"window={window}: a start mark, a token and an end mark want at least 3. CLIP reads 77.")
    lists = prompts_for(prompts, names, "the prompts")
    tokens = token_counts({sentence for sentences in lists for sentence in sentences})
    table = np.array([[tokens[sentence] for sentence in sentences] for sentences in lists], dtype=np.int64)
    table = table.reshape(len(lists), len(lists[0]) if lists else 0)
    rows = [(c.min(), int(np.median(c)), c.max(), (c > window).sum()) for c in table.T]
    index = pd.RangeIndex(1, len(rows) + 1, name="place")
    result = pd.DataFrame(rows, index=index, columns=["min", "median", "max", "cut"])
    result.attrs["cut"] = [(names[clip], int(place) + 1) for clip, place in np.argwhere(table > window)]
    result.attrs["window"] = window
    return result


def token_counts(sentences: set[str]) -> dict[str, int]:
    """Tokens of each sentence by CLIP's own tokenizer, start and end mark included, nothing cut.

    The tokenizer mends the encoding of every text before it splits it, which takes most of its time. Plain printable
    ASCII has nothing to mend, so such a sentence is split right away and every word is counted once for all.
    """
    guard_torchvision()
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    known: dict[str, int] = {}
    counts = {}
    for sentence in sentences:
        if not sentence.isascii() or not sentence.isprintable() or "&" in sentence:
            counts[sentence] = len(tokenizer.encode(sentence)) + 2
            continue
        pieces = tokenizer.pat.findall(sentence.lower())
        for piece in pieces:
            if piece not in known:
                known[piece] = len(tokenizer.bpe(piece).split(" "))
        counts[sentence] = sum(known[piece] for piece in pieces) + 2
    return counts


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
