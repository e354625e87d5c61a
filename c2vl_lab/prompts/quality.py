"""How much each place of the prompts says: poor prompts are the commonest reason of a poor concept space."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from c2vl_lab.prompts.store import prompts_for


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
