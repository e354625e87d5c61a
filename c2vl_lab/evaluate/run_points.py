"""One finished run opened for pictures: its joint space before and after training, and what it retrieves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2vl_lab.config import from_dict
from c2vl_lab.errors import ConfigError
from c2vl_lab.evaluate.spaces import class_points, features_of, joint_space
from c2vl_lab.experiment import Experiment, load_config, load_learner, open_experiment
from c2vl_lab.figures import Hit
from c2vl_lab.learners.base import Learner
from c2vl_lab.learners.concept import ConceptLearner
from c2vl_lab.run_config import RunConfig
from c2vl_lab.training.build import build_learner
from c2vl_lab.viz import theme

Progress = Callable[[str], None] | None


@dataclass(frozen=True)
class RunPoints:
    """A run that learned a joint space, and where its clips are in it.

    Attributes:
        experiment: the run's data and prompts.
        learner: as training left it.
        features: (N, H) of the trained encoder, all clips.
        points: modality to (N, D) unit-length points of all clips, with ``class prompt`` (C, D) where language was
            learned.
        features_before, points_before: the same of the weights that training began with.
        path: the run's folder.
    """

    experiment: Experiment
    learner: ConceptLearner
    features: np.ndarray
    points: dict[str, np.ndarray]
    features_before: np.ndarray
    points_before: dict[str, np.ndarray]
    path: Path

    @property
    def note(self) -> str:
        """What its data and teacher are not, in words."""
        return theme.origin_note(self.experiment.store.generated, self.experiment.teacher.stand_in)

    @property
    def test_labels(self) -> np.ndarray:
        """(n,) class indices of the test clips."""
        return self.experiment.store.labels[self.experiment.split.test]

    def test(self, rows: np.ndarray) -> np.ndarray:
        """Those rows of all clips that belong to the test part."""
        return rows[self.experiment.split.test]


def open_run(
    run_dir: str | Path, work_dir: str = "work", data_dir: str = "", device: str = "auto", progress: Progress = None
) -> RunPoints:
    """Open a finished run of arm ``hard`` or ``full`` and place all clips in its joint space.

    Args:
        run_dir: the run's folder.
        work_dir: where stores and caches are.
        data_dir: folder of the published files; "" takes the run's own setting.
        device: where to compute.
        progress: receives a line for each step.

    Raises:
        MissingError: no run, or one whose training was cut short.
        ConfigError: the arm learned no joint space.
    """
    settings = load_config(run_dir) | {"work_dir": work_dir, "device": device}
    settings |= {"data_dir": data_dir} if data_dir else {}
    config = from_dict(RunConfig, settings, where=str(run_dir))
    if not (config.uses_concepts and config.arm in ("hard", "full")):
        raise ConfigError(f"{run_dir}: arm '{config.arm}' has no joint space; wanted a run of arm hard or full.")
    experiment = open_experiment(config, progress)
    fresh = build_learner(config.fit_config(), experiment.training_set(), experiment.device)
    features_before, points_before, _ = _place(experiment, fresh)
    features, points, learner = _place(experiment, load_learner(experiment, run_dir))
    return RunPoints(experiment, learner, features, points, features_before, points_before, Path(run_dir))


def _place(experiment: Experiment, learner: Learner) -> tuple[np.ndarray, dict[str, np.ndarray], ConceptLearner]:
    """Features of all clips and their points, class prompts with them where language was learned."""
    if not isinstance(learner, ConceptLearner):
        raise ConfigError(f"A method of kind {type(learner).__name__} has no joint space; wanted arm hard or full.")
    features = features_of(experiment, learner.encoder)(experiment.clips)
    points = joint_space(experiment, learner, features)
    if "language" in points:
        points["class prompt"] = class_points(experiment, learner)
    return features, points, learner


def sentence_hits(run: RunPoints, count: int = 5, queries: int = 3) -> tuple[list[str], list[list[Hit]]]:
    """What the sentences of test clips retrieve among the skeletons of the test part, their own clip included.

    A query is all of a clip's sentences at once; the last one stands for them. An answer counts as right when it has
    the clip's class. The clips are spread over the classes by their number, not chosen by how well it goes.

    Args:
        run: an opened run that learned language.
        count: answers a query.
        queries: how many clips ask.

    Returns:
        The sentences, and the answers of each, best first.

    Raises:
        ConfigError: the run did not learn language.
    """
    if "language" not in run.points:
        raise ConfigError("Sentences retrieve nothing here: the run did not learn language.")
    store, test = run.experiment.store, run.experiment.split.test
    asked = test[np.argsort(store.labels[test], kind="stable")]
    asked = asked[np.linspace(0, len(asked) - 1, queries + 2).round().astype(int)[1:-1]]
    prompts = run.experiment.prompts([store.names[i] for i in asked])
    texts, answers = [], []
    for query in asked:
        score = run.points["skeleton"][test] @ run.points["language"][query]
        best = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")[:count]
        texts.append(prompts[store.names[query]][-1])
        answers.append([_hit(run, int(test[k]), float(score[k]), int(store.labels[query])) for k in best])
    return texts, answers


def _hit(run: RunPoints, row: int, score: float, wanted: int) -> Hit:
    """One answer."""
    store = run.experiment.store
    label = int(store.labels[row])
    return Hit(store[row], store.classes[label], score, label == wanted)
