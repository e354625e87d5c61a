"""What the texts alone tell: the class, and what they should not tell, who moved and which camera looked on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import DataError
from c2vl_lab.evaluate.probes import confusion_matrix, linear_probe

FOLDS = 5
MOST = 0.5  # of the clips held out must have a value that was there to learn, or a low accuracy means nothing
COLUMN_OF = {"class": "label", "performer": "subject", "camera": "camera"}  # of the store's table
Folds = list[tuple[np.ndarray, np.ndarray]]
COLUMNS = ["what", "accuracy", "spread", "chance", "folds"]


def what_texts_tell(
    features: np.ndarray, store: SkeletonStore, rows: Sequence[int] | np.ndarray, seed: int = 0
) -> pd.DataFrame:
    """Linear probes on text features, cross-validated inside the training part: class, performer and camera.

    The class and the camera are told of performers that the probe has not seen; the performer is told in classes that
    the probe has not seen, so that a text which only names the action scores chance. Where a set does not allow that,
    something else is held out, which ``folds`` says.

    Args:
        features: (N, D) one row a clip of the store, such as its language concepts.
        store: the recordings; its table says class, performer and camera.
        rows: clips that may be looked at: the training part.
        seed: shuffles the folds.

    Returns:
        One row for each of class, performer and camera that has two values or more: ``what``, ``accuracy`` (mean over
        the folds), ``spread`` (standard deviation over them), ``chance`` (share of the commonest value) and ``folds``
        (their rule in words). ``attrs["by_class"]``: ``class``, ``accuracy``, ``clips``, ``most confused with``, best
        class first.

    Raises:
        DataError: features do not fit the store, are not finite, or nothing has two values.
    """
    rows = np.asarray(rows, dtype=np.int64)
    if len(features) != len(store):
        raise DataError(f"Wanted one row of features a clip, found {len(features)} for {len(store)} clips.")
    chosen = np.asarray(features[rows], dtype=np.float64)
    if not np.isfinite(chosen).all():
        raise DataError("Features of the training part are not finite: some clips have no text or pictures.")
    table = store.clips.iloc[rows]
    values = {what: np.unique(table[column].to_numpy(), return_inverse=True) for what, column in COLUMN_OF.items()}
    codes = {what: own for what, (_, own) in values.items()}
    found, by_class = [], pd.DataFrame(columns=["class", "accuracy", "clips", "most confused with"])
    for what, own in codes.items():
        rule = _folds(what, codes, seed)
        if rule is None:
            continue
        by, groups, folds = rule
        predicted = _cross_validated(chosen, own, groups, folds, seed)
        scores = [float((predicted[held] == own[held]).mean()) for _, held in folds]
        chance = float(np.bincount(own).max() / len(own))
        found.append(
            (what, float(np.mean(scores)), float(np.std(scores)), chance, f"{len(folds)} folds, {by} held out")
        )
        if what == "class":
            by_class = _by_class([store.classes[label] for label in values[what][0]], own, predicted)
    if not found:
        raise DataError("Class, performer and camera of these clips have one value each: there is nothing to tell.")
    result = pd.DataFrame(found, columns=COLUMNS)
    result.attrs["by_class"] = by_class
    return result


def _folds(what: str, codes: dict[str, np.ndarray], seed: int) -> tuple[str, np.ndarray, Folds] | None:
    """What folds hold out whole, in words; the (n,) group of each clip; (clips to fit, clips held out) of each fold.

    The first rule under which every probe sees two values or more, and has seen those of most clips that it is asked
    about: where each camera has performers of its own, say, whoever is held out takes the camera along. None where no
    rule does.
    """
    from sklearn.model_selection import GroupKFold

    own = codes[what]
    order = {"class": ("performer", "camera"), "performer": ("class",), "camera": ("performer", "class")}[what]
    words = {"performer": "whole performers", "camera": "whole cameras", "class": "whole classes"}
    for by, groups in [*((words[by], codes[by]) for by in order), ("single clips", np.arange(len(own)))]:
        if groups.max() < 1:
            continue
        splitter = GroupKFold(min(FOLDS, int(groups.max()) + 1), shuffle=True, random_state=seed)
        folds = list(splitter.split(own, own, groups))
        known = sum(int(np.isin(own[held], own[fit]).sum()) for fit, held in folds)
        if all(len(np.unique(own[fit])) > 1 for fit, _ in folds) and known >= MOST * len(own):
            return by, groups, folds
    return None


def _cross_validated(
    features: np.ndarray, codes: np.ndarray, groups: np.ndarray, folds: Folds, seed: int
) -> np.ndarray:
    """(n,) predictions of probes that did not see the clip's group."""
    predicted = np.full(len(codes), -1, np.int64)
    for fit, held in folds:
        predicted[held] = linear_probe(features[fit], codes[fit], groups[fit], features[held], seed=seed).predicted
    return predicted


def _by_class(names: list[str], codes: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Accuracy of each class and the class it is most often taken for; best first."""
    matrix = confusion_matrix(codes, predicted, len(names))
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    rows = [
        (name, matrix[i, i] / matrix[i].sum(), int(matrix[i].sum()), names[wrong[i].argmax()] if wrong[i].any() else "")
        for i, name in enumerate(names)
    ]
    table = pd.DataFrame(rows, columns=["class", "accuracy", "clips", "most confused with"])
    return table.sort_values("accuracy", ascending=False, kind="stable", ignore_index=True)
