"""Protocol splits by rule: which clips train, which test, with the published counts checked."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import ConfigError, DataError, choose


@dataclass(frozen=True)
class Split:
    """Clip indices of a protocol's two parts.

    Attributes:
        protocol: the protocol's name as it was asked for.
        train: (n,) indices into the store.
        test: (m,) indices into the store.
        rule: one sentence for reports.
    """

    protocol: str
    train: np.ndarray
    test: np.ndarray
    rule: str


@dataclass(frozen=True)
class Rule:
    """A protocol: one column of the store decides, by listed values or by odd and even.

    Attributes:
        column: ``subject``, ``camera`` or ``setup``.
        train: values of the training part, or "odd" or "even"; empty: all but ``test``.
        test: values of the test part, where that is the shorter way to say it.
        total: clips in the complete set; 0: no published counts.
        counts: published (train, test) counts of the complete set.
    """

    column: str
    train: tuple[int, ...] | str
    test: tuple[int, ...] = ()
    total: int = 0
    counts: tuple[int, int] = (0, 0)

    def in_train(self, values: np.ndarray) -> np.ndarray:
        """(N,) bool: the training part."""
        if isinstance(self.train, str):
            return values % 2 == (1 if self.train == "odd" else 0)
        if not self.train:
            return ~np.isin(values, self.test)
        return np.isin(values, self.train)

    def sentence(self) -> str:
        """The rule in words."""
        if isinstance(self.train, str):
            return f"{self.train} {self.column}s train, the others test"
        if not self.train:
            return f"{self.column} {_listed(self.test)} tests, the others train"
        return f"{self.column}s {_listed(self.train)} train, the others test"


# Cross-subject training subjects of NTU RGB+D; the list of 120 restricted to ids up to 40 is the list of 60
# (Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2020). All counts are those of the field's list files.
NTU_SUBJECTS = (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38) + (
    *(45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89),
    *(91, 92, 93, 94, 95, 97, 98, 100, 103),
)
RULES: dict[str, dict[str, Rule]] = {
    "nw-ucla": {"xview": Rule("camera", (1, 2), total=1484, counts=(1020, 464))},
    "utd-mhad": {"xsub": Rule("subject", (1, 3, 5, 7), total=861, counts=(431, 430))},
    "msr-action3d": {"xsub": Rule("subject", (1, 3, 5, 7, 9), total=557, counts=(284, 273))},
    "ntu60": {
        "xsub": Rule("subject", NTU_SUBJECTS[:20], total=56_578, counts=(40_091, 16_487)),
        "xview": Rule("camera", (2, 3), total=56_578, counts=(37_646, 18_932)),
    },
    "ntu120": {
        "xsub": Rule("subject", NTU_SUBJECTS, total=113_945, counts=(63_026, 50_919)),
        "xset": Rule("setup", "even", total=113_945, counts=(54_468, 59_477)),
    },
}
# for generated clips and one's own recordings
OWN_RULES = {"xsub": Rule("subject", "odd"), "xview": Rule("camera", (), (1,))}
VALIDATION = re.compile(r"(.+)-val(\d+)$")


def protocols_of(store: SkeletonStore) -> list[str]:
    """Names of the protocols that a store has (each also with ``-val<k>``)."""
    return list(RULES.get(store.dataset, OWN_RULES))


def make_split(store: SkeletonStore, protocol: str) -> Split:
    """The two parts of a protocol.

    Args:
        store: the data.
        protocol: a name of :func:`protocols_of`, or ``<name>-val<k>``: both parts inside the training part, the k-th
            (from 1) value of the protocol's column held out. That is the one for choosing settings.

    Raises:
        ConfigError: no such protocol, or no such ``k``.
        DataError: an empty part, or counts that are not the published ones though the set is complete.
    """
    match = VALIDATION.match(protocol)
    rule = choose(match.group(1) if match else protocol, RULES.get(store.dataset, OWN_RULES), "protocol")
    values = store.clips[rule.column].to_numpy()
    inside = rule.in_train(values)
    _check_counts(store, protocol, rule, inside)
    if match:
        return _validation(store, protocol, rule, values, inside, int(match.group(2)))
    return _split(store, protocol, inside, ~inside, rule.sentence(), rule.total)


def _validation(
    store: SkeletonStore, protocol: str, rule: Rule, values: np.ndarray, inside: np.ndarray, k: int
) -> Split:
    """Hold out the k-th value of the rule's column, inside the training part."""
    known = np.unique(values[inside])
    if not 1 <= k <= len(known):
        raise ConfigError(
            f"{store.dataset}: '{protocol}' wants value {k} of the training part's {rule.column}s, there are "
            f"{len(known)} ({_listed(known)}). Take -val1 to -val{len(known)}."
        )
    held = values == known[k - 1]
    sentence = f"inside the training part ({rule.sentence()}): {rule.column} {known[k - 1]} held out"
    return _split(store, protocol, inside & ~held, inside & held, sentence, 0)


def _split(
    store: SkeletonStore, protocol: str, train: np.ndarray, test: np.ndarray, sentence: str, total: int
) -> Split:
    """Refuse empty parts; say so in the rule when the set has not the published number of clips."""
    if not train.any() or not test.any():
        raise DataError(
            f"{store.dataset}, {protocol}: {sentence} gives {train.sum()} training and {test.sum()} test clips; "
            f"both must be more than 0. Check the store's subject and camera columns, or take another protocol."
        )
    if total and len(store) < total:
        sentence += f" (incomplete set: {len(store)} of {total} clips)"
    if total and len(store) > total:
        sentence += f" ({len(store)} clips, more than the published {total}{_remedy(store)})"
    return Split(protocol, np.flatnonzero(train), np.flatnonzero(test), sentence)


def _check_counts(store: SkeletonStore, protocol: str, rule: Rule, inside: np.ndarray) -> None:
    """The published counts must come out where the set is the complete one."""
    found = (int(inside.sum()), int((~inside).sum()))
    if rule.total and len(store) == rule.total and found != rule.counts:
        raise DataError(
            f"{store.dataset}, {protocol}: wanted the published {rule.counts[0]} training and {rule.counts[1]} test "
            f"clips, found {found[0]} and {found[1]}. The files are not those of the published set."
        )


def _remedy(store: SkeletonStore) -> str:
    """How to leave out the surplus; the NTU sets are published with a list of samples without usable skeletons."""
    listed = "; name the samples without usable skeletons in missing.txt beside the files"
    return listed if store.dataset in ("ntu60", "ntu120") else ""


def _listed(values) -> str:
    return ", ".join(str(v) for v in values)
