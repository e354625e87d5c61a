"""What the columns of a log and the metrics of a result are called on a page."""

from __future__ import annotations

import pandas as pd

METRIC_TITLES = {
    "linear": "linear probe",
    "knn1": "1-NN",
    "knn5": "5-NN",
    "knn10": "10-NN",
    "knn20": "20-NN",
    "linear_distinct": "linear, copies left out",
    "knn1_distinct": "1-NN, copies left out",
    "zero_shot": "zero-shot",
    "text_to_skeleton": "text to skeleton, R@1",
    "skeleton_to_text": "skeleton to text, R@1",
}
NOT_A_LOSS = (
    *("epoch", "step", "loss", "alpha", "kappa", "lr", "clips_per_second", "seconds", "seconds_left", "time"),
    *("skipped", "knn1"),
)
BESIDE = {  # what is drawn beside the loss, where a log has it: label and factor
    "alpha": ("alpha (soft targets)", 1),
    "kappa": ("kappa (logit scale)", 1),
    "lr": ("learning rate", 1),
    "knn1": ("1-NN in training, %", 100),
    "clips_per_second": ("clips a second", 1),
}


def loss_terms(table: pd.DataFrame) -> list[str]:
    """The columns of a log that are terms of the loss; none where a single term is the loss itself."""
    terms = [str(c) for c in table if c not in NOT_A_LOSS and pd.api.types.is_numeric_dtype(table[c])]
    return terms if len(terms) > 1 else []
