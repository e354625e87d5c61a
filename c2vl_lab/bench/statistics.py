"""How sure a number is: bootstrap over test clips, and paired comparisons of two arms on the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from c2vl_lab.errors import DataError

RESAMPLES = 5000


def bootstrap_interval(
    correct: np.ndarray, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean when the test clips are drawn again with replacement.

    It covers the chance of the test clips, not that of the seeds.

    Args:
        correct: (N,) or (N, seeds) right or wrong, or their difference between two arms; the mean over
            seeds is resampled.
        confidence: share of the resamples inside.
        resamples: how many.
        seed: of the draws.

    Raises:
        DataError: no clips.
    """
    per_clip = np.asarray(correct, float)
    per_clip = per_clip.mean(axis=1) if per_clip.ndim == 2 else per_clip
    count = len(per_clip)
    if count == 0:
        raise DataError("A bootstrap interval wants at least one clip.")
    # how often each distinct value is drawn has the same distribution as drawing clip by clip, at any number of clips
    values, clips = np.unique(per_clip, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(count, clips / count, size=resamples)
    means = draws @ values / count
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Paired:
    """How much more an arm gets right than another on the same clips, with the chance of clips and of seeds.

    Attributes:
        difference: mean over seeds and clips, -1 to 1.
        low, high: 95 % interval by bootstrap over clips and seeds together.
        p: two-sided, twice the share of resamples on the other side of 0; never below 1 / resamples.
        seeds: how many seeds both arms have; with one, its chance is not in the interval.
    """

    difference: float
    low: float
    high: float
    p: float
    seeds: int


def paired(gain: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> Paired:
    """Compare two arms clip by clip and seed by seed.

    Clips and seeds are drawn again with replacement, each independently of the other (a two-way bootstrap; Owen, "The
    pigeonhole bootstrap", 2007), so that a difference that one lucky seed makes does not count as one.

    Args:
        gain: (clips, seeds) right or wrong of one arm minus that of the other.
        resamples: how many.
        seed: of the draws.

    Raises:
        DataError: no clips.
    """
    if gain.size == 0:
        raise DataError("A paired comparison wants at least one clip that both arms were tested on.")
    rows, clips = np.unique(np.asarray(gain, float), axis=0, return_counts=True)  # equal clips are drawn as one
    rng, (count, seeds) = np.random.default_rng(seed), gain.shape
    drawn = rng.multinomial(count, clips / count, size=resamples) @ rows / count
    means = (drawn * rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)).sum(axis=1) / seeds
    low, high = np.quantile(means, [0.025, 0.975])
    beyond = min((means <= 0).mean(), (means >= 0).mean())
    return Paired(float(gain.mean()), float(low), float(high), float(np.clip(2 * beyond, 1 / resamples, 1)), seeds)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for the number of comparisons (Holm, "A simple sequentially rejective procedure", 1979)."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, float)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected.tolist()


def mcnemar(first: np.ndarray, second: np.ndarray) -> tuple[int, int, float]:
    """Exact McNemar test of two arms on the same clips.

    Args:
        first, second: (N,) booleans, whether each clip was right.

    Returns:
        Clips that only the first got right, clips that only the second got right, two-sided p.

    Raises:
        DataError: the arms were not tested on equally many clips.
    """
    from scipy.stats import binomtest

    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.shape != second.shape:
        raise DataError(f"McNemar's test compares the same clips, found {first.shape} and {second.shape}.")
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    total = only_first + only_second
    p = float(binomtest(min(only_first, only_second), total, 0.5).pvalue) if total else 1.0
    return only_first, only_second, p


@dataclass(frozen=True)
class Comparison:
    """Arm A against arm B on the same test clips.

    Attributes:
        difference: mean accuracy of A minus that of B over their seeds, 0 to 1.
        low, high: 95 % interval of the difference by paired bootstrap over clips.
        p_values: exact McNemar p for each seed that both arms have.
        only_first, only_second: clips that only A, only B got right, for each of these seeds.
    """

    difference: float
    low: float
    high: float
    p_values: tuple[float, ...]
    only_first: tuple[int, ...]
    only_second: tuple[int, ...]


def compare(first: pd.DataFrame, second: pd.DataFrame) -> Comparison:
    """Compare two arms.

    Args:
        first, second: of :func:`c2vl_lab.bench.results.predictions`, one column a seed.

    Raises:
        DataError: the arms were tested on different clips.
    """
    if not first.index.equals(second.index):
        raise DataError("The two arms were tested on different clips, so they cannot be compared clip by clip.")
    gain = first.mean(axis=1).to_numpy(float) - second.mean(axis=1).to_numpy(float)
    low, high = bootstrap_interval(gain)
    tests = [mcnemar(first[s].to_numpy(), second[s].to_numpy()) for s in first.columns if s in second.columns]
    only_first, only_second, p_values = zip(*tests, strict=True) if tests else ((), (), ())
    return Comparison(float(gain.mean()), low, high, p_values, only_first, only_second)


def compare_files(first: str | Path, second: str | Path) -> dict[str, Comparison]:
    """Compare two runs by every prediction that both have kept.

    Args:
        first, second: their ``predictions.parquet``: ``name``, ``label`` and a column of predicted classes each.

    Returns:
        Column name to comparison, in the order of the first file.

    Raises:
        DataError: no column in common, or the runs were tested on different clips or labels.
    """
    one, other = (pd.read_parquet(path).set_index("name").sort_index() for path in (first, second))
    shared = [str(column) for column in one if column in other and column != "label"]
    both = "label" in one and "label" in other
    if not shared or not both or not one["label"].equals(other["label"]):
        raise DataError(
            f"{first} and {second}: wanted predictions of the same clips with the same labels and a column that both "
            f"have; found {len(one)} and {len(other)} clips, and in common: {', '.join(shared) or 'none'}."
        )
    right = {c: [table[c].eq(table["label"]).to_frame(0) for table in (one, other)] for c in shared}
    return {column: compare(*pair) for column, pair in right.items()}
