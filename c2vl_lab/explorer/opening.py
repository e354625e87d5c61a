"""From a run's folder to a space that can be explored: its states, its clips and its searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from c2vl_lab.concepts import text_features
from c2vl_lab.config import from_dict
from c2vl_lab.errors import ConfigError, DataError
from c2vl_lab.evaluate.neighbours import nearest_neighbours
from c2vl_lab.evaluate.rows import unit
from c2vl_lab.evaluate.spaces import class_points, features_of, joint_space
from c2vl_lab.experiment import Experiment, RunConfig, load_config, load_learner, open_experiment
from c2vl_lab.explorer.columns import UNKNOWN
from c2vl_lab.explorer.space import SKELETON, JointSpace, purity
from c2vl_lab.learners.base import Learner
from c2vl_lab.learners.concept import ConceptLearner
from c2vl_lab.prompts.asking.desk import Desk, open_desk
from c2vl_lab.prompts.asking.opening import ANSWERS, open_answers
from c2vl_lab.prompts.pictures import open_pictures
from c2vl_lab.training.build import build_learner
from c2vl_lab.training.states import kept_states, load_state
from c2vl_lab.viz import theme

BEFORE, AFTER = "before training", "after training"
AGREED = 0.5  # share of a clip's neighbours from which on they agree with its class
VOTERS = 5  # nearest training clips that predict a class where no probe has
Progress = Callable[[str], None] | None


class RunFinder:
    """Searches in a run's joint space by its own teacher, concept space, encoder and heads."""

    def __init__(self, experiment: Experiment, learner: ConceptLearner):
        self.experiment, self.learner = experiment, learner

    @torch.no_grad()
    def words(self, text: str) -> np.ndarray:
        """(D,) where a text is: through the teacher's text encoder, the concept space and the language head.

        Raises:
            ConfigError: the run learned no language.
        """
        if "language" not in self.learner.concepts:
            raise ConfigError("This run learned from pictures alone, so nothing can be searched by words.")
        raw = text_features([[text]], self.experiment.teacher, self.experiment.cache)
        concept = self.experiment.space("language").transform(raw[:], ordered=False)
        return unit(self.learner.heads.eval().cpu().concept["language"](torch.from_numpy(concept)).numpy())[0]

    def mirror(self, clip: int) -> np.ndarray:
        """(D,) where the mirror image of a clip is."""
        own = np.array(self.experiment.clips[clip : clip + 1])  # (1, T, M, V, 3)
        image = own[:, :, :, list(self.experiment.layout.mirror)] * np.array([-1, 1, 1], own.dtype)
        return skeleton_points(self.learner, _features(self.experiment, self.learner, image))[0]


def open_space(
    run_dir: str | Path,
    work_dir: str = "work",
    data_dir: str = "",
    against: str = "",
    device: str = "auto",
    progress: Progress = None,
) -> JointSpace:
    """The space of a finished run.

    Args:
        run_dir: the run's folder.
        work_dir, data_dir: as in :class:`~c2vl_lab.run_config.RunConfig`; "" for data_dir keeps the run's own.
        against: folder of another run on the same clips, whose space becomes one more view.
        device: where features are computed.
        progress: receives a line for each step.

    Returns:
        Views "before training", "epoch N" for each state that was kept, and "after training".

    Raises:
        MissingError: no such run, or it is not finished.
        DataError: the other run is of other clips.
    """
    experiment = _open(run_dir, work_dir, data_dir, device, progress)
    learner = load_learner(experiment, run_dir)
    views = _stages(experiment, learner, Path(run_dir), progress)
    stages = list(views)
    if against:
        other = _open(against, work_dir, data_dir, device, progress)
        if other.store.names != experiment.store.names:
            raise DataError(f"{against} is of other clips than {run_dir}; two methods are compared on the same ones.")
        views[_title(other, against)] = view_of(other, load_learner(other, against))
    finder = RunFinder(experiment, learner) if isinstance(learner, ConceptLearner) else None
    table, by = clip_columns(experiment, views, stages, run_dir)
    notes = [theme.origin_note(experiment.store.generated, finder is not None and experiment.teacher.stand_in), by]
    return JointSpace(
        table=table,
        classes=experiment.store.classes,
        views=views,
        main=AFTER,
        stages=stages,
        sentences=experiment.prompts() if experiment.config.uses_concepts else {},
        pictures=_pictures(experiment),
        store=experiment.store,
        finder=finder,
        desk=_desk(experiment),
        work_dir=work_dir,
        note=". ".join(filter(None, notes)) + ".",
    )


def _open(run_dir: str | Path, work_dir: str, data_dir: str, device: str, progress: Progress) -> Experiment:
    settings = load_config(run_dir) | {"work_dir": work_dir, "device": device}
    settings |= {"data_dir": data_dir} if data_dir else {}
    return open_experiment(from_dict(RunConfig, settings, where=str(run_dir)), progress)


def _title(experiment: Experiment, run_dir: str | Path) -> str:
    """A view's name for another run."""
    return f"{experiment.config.arm} ({Path(run_dir).name})"


def _stages(experiment: Experiment, learner: Learner, run_dir: Path, progress: Progress) -> dict[str, Any]:
    """The run's states in their order; the last epoch is that of the run itself."""
    config, epochs = experiment.config, experiment.config.epochs
    fresh = build_learner(config.fit_config(), experiment.training_set(), experiment.device)
    views = {BEFORE: view_of(experiment, fresh)}
    for epoch, folder in kept_states(run_dir).items():
        if epoch < epochs:
            if progress:
                progress(f"state of epoch {epoch}/{epochs}")
            load_state(folder, fresh)
            views[f"epoch {epoch}"] = view_of(experiment, fresh)
    views[AFTER] = view_of(experiment, learner)
    return views


def view_of(experiment: Experiment, learner: Learner) -> dict[str, np.ndarray]:
    """Modality to (N, D) unit-length points by a learner; without a joint space the encoder's features alone."""
    features = _features(experiment, learner, experiment.clips)
    if not isinstance(learner, ConceptLearner):
        return {SKELETON: unit(features)}
    points = joint_space(experiment, learner, features)
    return points | ({"class prompt": class_points(experiment, learner)} if "language" in points else {})


def _features(experiment: Experiment, learner: Learner, clips: Any) -> np.ndarray:
    return features_of(experiment, learner.encoder)(clips)


@torch.no_grad()
def skeleton_points(learner: ConceptLearner, features: np.ndarray) -> np.ndarray:
    """(N, D) unit-length points of skeleton features, by the head that places skeletons in the joint space."""
    main = "language" if "language" in learner.concepts else "vision"
    return unit(learner.heads.eval().cpu().skeleton[main](torch.from_numpy(features)).numpy())


def clip_columns(
    experiment: Experiment, views: Mapping[str, Mapping[str, np.ndarray]], stages: list[str], run_dir: str | Path
) -> tuple[pd.DataFrame, str]:
    """The table of clips with all that one may colour by, and who predicted the classes."""
    store, labels = experiment.store, experiment.store.labels
    table = pd.DataFrame({"name": store.names, "class": [store.classes[label] for label in labels]})
    predicted, by = _predictions(experiment, views[stages[-1]][SKELETON], Path(run_dir))
    known = predicted >= 0
    table["predicted"] = [store.classes[p] if p >= 0 else UNKNOWN for p in predicted]
    table["right"] = np.where(known, np.where(predicted == labels, "right", "wrong"), UNKNOWN)
    for column in ("subject", "camera"):
        table[column] = store.clips[column].astype(str).to_numpy()
    part = np.full(len(store), "neither", object)
    part[experiment.split.train], part[experiment.split.test] = "train", "test"
    table["split"] = part
    table["prompts by"] = _prompt_sources(experiment)
    table["purity"] = purity(views[stages[-1]][SKELETON], labels)
    table["neighbours agree from"] = pd.Categorical(agree_from(views, stages, labels), [*stages, "never"])
    return table, by


def agree_from(views: Mapping[str, Mapping[str, np.ndarray]], stages: list[str], labels: np.ndarray) -> np.ndarray:
    """(N,) the stage from which on at least half of a clip's neighbours are of its class, to the end; or "never"."""
    since = np.full(len(labels), len(stages))
    for number in reversed(range(len(stages))):
        agree = purity(views[stages[number]][SKELETON], labels) >= AGREED
        since = np.where(agree & (since == number + 1), number, since)
    return np.array([*stages, "never"], object)[since]


def _predictions(experiment: Experiment, points: np.ndarray, run_dir: Path) -> tuple[np.ndarray, str]:
    """(N,) labels predicted for test clips, -1 elsewhere, and by whom: the run's linear probe or its neighbours."""
    store, split = experiment.store, experiment.split
    predicted = np.full(len(store), -1)
    if (path := run_dir / "predictions.parquet").is_file():
        table = pd.read_parquet(path).set_index("name")["linear"]
        known = table.reindex(store.names)
        predicted[known.notna().to_numpy()] = known.dropna().astype(int)
        return predicted, "Test clips are predicted by the linear probe of 04_evaluate"
    train, test = (part[np.isfinite(points[part]).all(axis=1)] for part in (split.train, split.test))
    voters = min(VOTERS, len(train))
    predicted[test] = nearest_neighbours(points[train], store.labels[train], points[test], (voters,))[voters]
    return predicted, f"Test clips are predicted by their {voters} nearest training clips"


def _prompt_sources(experiment: Experiment) -> list[str]:
    """Who said each clip's sentences, and whether a person edited them."""
    captions, names = experiment.config.captions, experiment.store.names
    if not experiment.config.uses_concepts:
        return [UNKNOWN] * len(names)
    if not captions.startswith(ANSWERS):
        said = "kinematic captioner" if captions == "kinematic" else Path(captions).name
        return [said] * len(names)
    answers, series = open_answers(captions)
    edited = {edit["clip"] for edit in answers.edits.made(series.id)}
    return [f"{series.model}, edited" if name in edited else series.model for name in names]


def _pictures(experiment: Experiment) -> Callable[[str], list[np.ndarray]] | None:
    """A few pictures of a clip, where the run has pictures."""
    config = experiment.config
    if not config.pictures:
        return None
    source = open_pictures(config.pictures, experiment.store, config.data_dir, config.picture_style)
    known = source.names()
    return lambda name: source.pictures(name, 4) if name in known else []


def _desk(experiment: Experiment) -> Callable[[], Desk] | None:
    """Opens the quality desk with the run's own sentences."""
    config = experiment.config
    if not config.uses_concepts:
        return None

    def opened() -> Desk:
        source = None
        if config.pictures:
            source = open_pictures(config.pictures, experiment.store, config.data_dir, config.picture_style)
        return open_desk(experiment.store, config.captions, "", config.work_dir, source, config.pictures_per_clip)

    return opened
