"""How a run does on a named subset of the test clips, beside the rest of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from c2vl_lab.data.subsets import load_subset
from c2vl_lab.errors import DataError, MissingError
from c2vl_lab.evaluate.rows import share
from c2vl_lab.experiment import Experiment

MEASURES = {"linear": "linear probe", "knn1": "1-NN"}


def subset_table(experiment: Experiment, run_dir: str | Path, subset: str | Path) -> pd.DataFrame:
    """Accuracy in % on the subset's test clips and on the other test clips.

    A subset that was picked by looking at predictions says how these clips do, and nothing of the method.

    Args:
        experiment: an opened experiment.
        run_dir: its folder, evaluated.
        subset: a subset's file.

    Raises:
        MissingError: no such subset, or the run has no ``predictions.parquet``.
        DataError: no clip of the subset is in the test part.
    """
    path = Path(run_dir) / "predictions.parquet"
    if not path.is_file():
        raise MissingError(f"{run_dir} has no predictions. Run notebook 04_evaluate or `c2vl evaluate`.")
    found = load_subset(subset, experiment.store)
    table = pd.read_parquet(path)
    inside = table["name"].isin({experiment.store.names[row] for row in found.rows}).to_numpy()
    if not inside.any():
        raise DataError(
            f"{subset}: none of its {len(found.rows)} clips is in the test part of {experiment.config.protocol}."
        )
    labels = table["label"].to_numpy()
    parts = {found.name: inside, "the others": ~inside, "all": np.ones(len(table), bool)}
    rows = {
        name: {"test clips": int(part.sum())}
        | {said: round(100 * share(table[m].to_numpy()[part], labels[part]), 1) for m, said in MEASURES.items()}
        for name, part in parts.items()
        if part.any()
    }
    return pd.DataFrame(rows).T.astype({"test clips": int})
