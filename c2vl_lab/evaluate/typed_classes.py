"""Zero-shot classification into classes that somebody types: which of them each test clip comes nearest to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from c2vl_lab.errors import ConfigError, MissingError
from c2vl_lab.evaluate.language import zero_shot
from c2vl_lab.evaluate.spaces import class_points, joint_space
from c2vl_lab.experiment import Experiment, load_learner
from c2vl_lab.learners.concept import ConceptLearner
from c2vl_lab.run_config import TRAINED


def typed_classes(experiment: Experiment, run_dir: str | Path, typed: str) -> pd.DataFrame:
    """Where the test clips go among classes that were typed, in the joint space of skeletons and language.

    The list may hold other words for the set's classes, or classes that it does not have. No label is used but to sort
    the rows.

    Args:
        experiment: the run's experiment.
        run_dir: the evaluated run, with its ``features.npy``.
        typed: two names or more, separated by semicolons.

    Returns:
        One row a true class (index ``class``): share of its test clips in per cent that come nearest to each name, and
        ``clips``.

    Raises:
        ConfigError: fewer than two names, or the run has learned no joint space with language.
        MissingError: the run was not evaluated.
    """
    names = list(dict.fromkeys(name.strip() for name in typed.split(";") if name.strip()))
    if len(names) < 2:
        raise ConfigError(f"Wanted two class names or more, separated by semicolons, found '{typed}'.")
    path = Path(run_dir) / "features.npy"
    if not path.is_file():
        raise MissingError(f"No features.npy in {run_dir}. Evaluate the run first.")
    learner = load_learner(experiment, run_dir) if experiment.config.arm in TRAINED else None
    if not isinstance(learner, ConceptLearner) or "language" not in learner.concepts:
        raise ConfigError("Typed classes want a run that has learned a joint space with language (arm hard or full).")
    points = joint_space(experiment, learner, np.load(path, allow_pickle=False))["skeleton"]
    test = experiment.split.test
    test = test[np.isfinite(points[test]).all(axis=1)]
    nearest = zero_shot(points[test], class_points(experiment, learner, names))
    truth = experiment.store.labels[test]
    rows = [np.bincount(nearest[truth == label], minlength=len(names)) for label in np.unique(truth)]
    index = pd.Index([experiment.store.classes[label] for label in np.unique(truth)], name="class")
    counts = pd.DataFrame(rows, index=index, columns=names)
    shares = (100 * counts.div(counts.sum(axis=1), axis=0)).round(1)
    return shares.assign(clips=counts.sum(axis=1))
