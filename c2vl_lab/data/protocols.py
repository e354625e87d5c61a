"""Protocol splits by rule or by published list: which clips train, which test, with the published counts checked.

A store column ``split:<protocol>`` (``train``, ``test``, or empty for neither) is what the reader found in the lists
that came with the files; it goes before any rule.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from c2vl_lab.data.store import SPLIT, SkeletonStore
from c2vl_lab.errors import ConfigError, DataError, MissingError, choose


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
    """A protocol: one column of the store decides, by listed values or by odd and even; or a published list does.

    Attributes:
        column: ``subject``, ``camera`` or ``setup``; what validation parts hold out.
        train: values of the training part, or "odd" or "even"; empty: all but ``test``.
        test: values of the test part, where that is the shorter way to say it.
        total: clips in the complete set; 0: no published counts.
        counts: published (train, test) counts of the complete set; zeros: not published.
        listed: the file that lists the parts, where no column says it.
    """

    column: str
    train: tuple[int, ...] | str = ()
    test: tuple[int, ...] = ()
    total: int = 0
    counts: tuple[int, int] = (0, 0)
    listed: str = ""

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
PKU1_TOTAL = 21_545  # actions, by the README of the data set's authors
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
    "pku1": {
        "xsub": Rule("subject", total=PKU1_TOTAL, listed="cross-subject.txt"),
        "xview": Rule("camera", total=PKU1_TOTAL, listed="cross-view.txt"),
    },
    "pku2": {
        "xsub": Rule("subject", listed="cross_subject_v2.txt"),
        "xview": Rule("camera", listed="cross_view_v2.txt"),
    },
}
# for generated clips and one's own recordings
OWN_RULES = {"xsub": Rule("subject", "odd"), "xview": Rule("camera", (), (1,))}
COLUMN_OF = {"xsub": "subject", "xview": "camera", "xset": "setup"}  # of lists for a set without rules
VALIDATION = re.compile(r"(.+)-val(\d{1,6})$")
GROUPS = 5


def protocols_of(store: SkeletonStore) -> list[str]:
    """Names of the protocols of a store's set (each also with ``-val<k>``): by rule first, then by list."""
    listed = [column.removeprefix(SPLIT) for column in store.clips.columns if column.startswith(SPLIT)]
    return list(dict.fromkeys([*RULES.get(store.dataset, OWN_RULES), *listed]))


def make_split(store: SkeletonStore, protocol: str) -> Split:
    """The two parts of a protocol.

    Args:
        store: the data.
        protocol: a name of :func:`protocols_of`, or ``<name>-val<k>``: both parts inside the training part, the k-th
            (from 1) value of the protocol's column held out. That is the one for choosing settings. Where the parts
            are a published list and the column has one value only (PKU-MMD I publishes no performers), the training
            part's recordings are cut into five groups of equal size, neighbours together, and the k-th is held out.

    Raises:
        ConfigError: no such protocol, or no such ``k``.
        DataError: an empty part, or counts that are not the published ones though the set is complete.
        MissingError: the parts are published as a list that was not beside the files.
    """
    match = VALIDATION.match(protocol)
    name = match.group(1) if match else protocol
    rule = choose(name, dict.fromkeys(protocols_of(store)) | RULES.get(store.dataset, OWN_RULES), "protocol")
    train, test, sentence = _parts(store, name, rule)
    total = rule.total if rule else 0
    if rule and rule.counts != (0, 0):
        _check_counts(store, protocol, rule, train, test)
    if match:
        column = rule.column if rule else COLUMN_OF.get(name, "")
        return _validation(store, protocol, column, train, sentence, int(match.group(2)))
    return _split(store, protocol, train, test, sentence, total)


def _parts(store: SkeletonStore, name: str, rule: Rule | None) -> tuple[np.ndarray, np.ndarray, str]:
    """Training part (N,) bool, test part (N,) bool, and the rule in words."""
    if SPLIT + name in store.clips.columns:
        values = store.clips[SPLIT + name].to_numpy()
        train, test = values == "train", values == "test"
        neither = int((~train & ~test).sum())
        read = f"split file for {name}" in store.meta.get("notes", {})  # and not a list inside an imported file
        file = f" {rule.listed}" if rule and read else ""
        remark = f" ({neither} of {len(store)} clips in neither part)" if neither else ""
        return train, test, f"the published list{file} names the training and the test part{remark}"
    if rule is None or rule.listed:
        lists = [column.removeprefix(SPLIT) for column in store.clips.columns if column.startswith(SPLIT)]
        if lists and not any(key.startswith("split file for ") for key in store.meta.get("notes", {})):
            raise MissingError(
                f"{store.dataset}, {name}: the file that this store was made from names the parts of "
                f"{', '.join(lists)} only. Take that protocol, or a file of {name}."
            )
        file = rule.listed if rule else "list"
        raise MissingError(
            f"{store.dataset}, {name}: wanted the published {file}, which was not beside the files when the store was "
            f"made. Put it into the folder of the data set and open the set again."
        )
    values = store.clips[rule.column].to_numpy()
    if not values.any():
        raise DataError(
            f"{store.dataset}, {name}: {rule.sentence()}, but {rule.column}s are unknown in this store (all are 0). "
            f"Take another protocol, or clips whose {rule.column}s are known."
        )
    inside = rule.in_train(values)
    return inside, ~inside, rule.sentence()


def _validation(store: SkeletonStore, protocol: str, column: str, inside: np.ndarray, rule: str, k: int) -> Split:
    """Hold out the k-th value of a column inside the training part, or the k-th group of its recordings."""
    listed = SPLIT + protocol.rpartition("-")[0] in store.clips.columns
    values = store.clips[column].to_numpy() if column else np.zeros(len(store), int)
    if listed and len(np.unique(values[inside])) < 2:
        column, values = "group", _groups(store, inside)
    known = np.unique(values[inside])
    if not 1 <= k <= len(known):
        raise ConfigError(
            f"{store.dataset}: '{protocol}' wants value {k} of the training part's {column}s, there are "
            f"{len(known)} ({_listed(known)}). Take -val1 to -val{len(known)}."
        )
    held = values == known[k - 1]
    what = f"group {k} of {GROUPS} of the recordings" if column == "group" else f"{column} {known[k - 1]}"
    sentence = f"inside the training part ({rule}): {what} held out"
    return _split(store, protocol, inside & ~held, inside & held, sentence, 0)


def _groups(store: SkeletonStore, inside: np.ndarray) -> np.ndarray:
    """(N,) the group, 1 to 5, of each clip's recording; what was recorded together stays together.

    Recordings are told apart by ``setup``, or by source file where that says nothing, or are the clips. Neighbouring
    recordings come into one group, since they may be of one performer.
    """
    files = store.clips["source"].str.partition(", ")[0].to_numpy()
    for recordings in (store.clips["setup"].to_numpy(), files, np.arange(len(store))):
        known = np.unique(recordings[inside])
        if len(known) >= GROUPS:
            break
    place = np.searchsorted(known, recordings).clip(max=max(len(known) - 1, 0))
    return place * GROUPS // max(len(known), 1) + 1


def _split(
    store: SkeletonStore, protocol: str, train: np.ndarray, test: np.ndarray, sentence: str, total: int
) -> Split:
    """Refuse empty parts; say so in the rule when the set has not the published number of clips."""
    if not train.any() or not test.any():
        raise DataError(
            f"{store.dataset}, {protocol}: {sentence} gives {train.sum()} training and {test.sum()} test clips; "
            f"both must be more than 0. Check the store's columns, or take another protocol."
        )
    if total and len(store) < total:
        sentence += f" (incomplete set: {len(store)} of {total} clips)"
    if total and len(store) > total:
        sentence += f" ({len(store)} clips, more than the published {total}{_remedy(store)})"
    return Split(protocol, np.flatnonzero(train), np.flatnonzero(test), sentence)


def _check_counts(store: SkeletonStore, protocol: str, rule: Rule, train: np.ndarray, test: np.ndarray) -> None:
    """The published counts must come out where the set is the complete one."""
    found = (int(train.sum()), int(test.sum()))
    if rule.total and len(store) == rule.total and found != rule.counts:
        raise DataError(
            f"{store.dataset}, {protocol}: wanted the published {rule.counts[0]} training and {rule.counts[1]} test "
            f"clips, found {found[0]} and {found[1]}. The files are not those of the published set."
        )


def _remedy(store: SkeletonStore) -> str:
    """How to leave out the surplus; the NTU sets are published with a list of samples without usable skeletons."""
    if store.meta.get("notes", {}).get("samples without usable skeletons") == "not left out":
        return "; drop missing=false, which keeps the samples without usable skeletons"
    listed = "; name the samples without usable skeletons in missing.txt beside the files"
    return listed if store.dataset in ("ntu60", "ntu120") else ""


def _listed(values) -> str:
    return ", ".join(str(v) for v in values)
