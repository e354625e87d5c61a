"""Train an encoder on labelled clips and predict the test clips; what was done once is read from the cache."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from c2vl_lab.artifacts import fingerprint, only_writer, read_json, write_json
from c2vl_lab.config import to_dict
from c2vl_lab.data.joined import JoinedClips
from c2vl_lab.data.transforms import VERSION as PREPARED
from c2vl_lab.evaluate.rows import share
from c2vl_lab.evaluate.scores import compact, load_scores, save_scores
from c2vl_lab.evaluate.spaces import features_of
from c2vl_lab.evaluate.tuning import TuningConfig
from c2vl_lab.experiment import Experiment
from c2vl_lab.learners.base import Learner
from c2vl_lab.learners.supervised import SupervisedLearner
from c2vl_lab.logs import METRICS, read_metrics
from c2vl_lab.training.fit import fit
from c2vl_lab.training.settings import FitConfig, TrainingSet, pick_precision
from c2vl_lab.training.start import Start
from c2vl_lab.training.stopping import signals_as_stop

FORMAT = 1  # raised when the same settings give other numbers
EVERY = 5.0  # seconds between two lines of progress


@dataclass(frozen=True)
class Task:
    """Clips on which an encoder is trained and measured.

    Attributes:
        experiment: recordings, and the clips in the encoder's joints.
        train, test: store indices of the labelled clips and of those that are predicted.
        weights: of the encoder to start from; empty: those that the seed draws.
    """

    experiment: Experiment
    train: np.ndarray
    test: np.ndarray
    weights: Mapping[str, Tensor]


@dataclass(frozen=True)
class Tuned:
    """What a trained encoder predicts.

    Attributes:
        predicted: (m,) classes of the test clips by the weights of the last epoch.
        scores: (m, C) their scores, of :func:`~c2vl_lab.evaluate.scores.compact`.
        best: the best accuracy that any epoch had on the test clips, chosen by their labels; None: nobody looked.
    """

    predicted: np.ndarray
    scores: np.ndarray
    best: float | None


def tune(task: Task, settings: TuningConfig, seed: int, say: Callable[[str], None], what: str) -> Tuned:
    """Train on the labelled clips, predict the others.

    The result is kept under the run's ``work_dir``, by everything that it depends on, and read from there when it is
    asked for again; so a protocol that was killed does not train its finished draws again, and what starts from random
    weights is trained once for all runs. One that was stopped inside its training goes on from there.

    Args:
        task: the clips and where to start.
        settings: of the training.
        seed: of classifier, order and augmentation, and of the encoder where it starts from random weights.
        say: receives a line now and then.
        what: the name of this training in those lines.

    Raises:
        StoppedError: Ctrl-C or SIGTERM came; the same call goes on from there.
        C2VLError: the loss became NaN, or the disk is full.
    """
    experiment, labels = task.experiment, task.experiment.store.labels
    config = settings.fit_config(experiment.config, len(task.train), seed)
    start = Start(task.weights, settings.encoder_lr / settings.head_lr, settings.batch_norm == "frozen")
    if settings.watch_test:
        watched = task.test
        start = replace(
            start, watch=lambda learner: {"test": share(_logits(task, learner).argmax(axis=1), labels[watched])}
        )
    path = _kept_at(task, config, start)
    beside = path.with_suffix(".safetensors")
    with only_writer(path):
        if not (path.exists() and beside.exists()):
            begun, folder = time.perf_counter(), path.with_suffix("")
            with signals_as_stop() as stop:
                learner = fit(config, _data(task), folder, experiment.device, _sparse(say, what), stop, start)
            best = _best(folder, config.epochs) if settings.watch_test else None
            logits = _logits(task, learner)
            save_scores(beside, {"scores": compact(logits)})
            found = {"predicted": logits.argmax(axis=1).tolist(), "best": best}
            write_json(path, {**found, "seconds": time.perf_counter() - begun})
            shutil.rmtree(folder, ignore_errors=True)
    found = read_json(path)
    return Tuned(np.array(found["predicted"], np.int64), load_scores(beside)["scores"], found["best"])


def _data(task: Task) -> TrainingSet:
    """The labelled clips."""
    experiment, rows = task.experiment, task.train
    names = [experiment.store.names[i] for i in rows]
    normal = to_dict(experiment.config.prepare_config())
    return TrainingSet(
        clips=experiment.clips,
        rows=rows,
        names=names,
        layout=experiment.layout,
        labels=experiment.store.labels[rows],
        classes=len(experiment.store.classes),
        key=fingerprint(experiment.store.fingerprint, PREPARED, normal, names),
    )


def _kept_at(task: Task, config: FitConfig, start: Start) -> Path:
    """The file of a result, named by everything that it depends on."""
    experiment = task.experiment
    layout, precision = experiment.layout, pick_precision(config.precision, experiment.device)
    about = [to_dict(config), start.card(), precision, start.watch is not None, _data(task).key]
    about += [layout.joints, layout.parents, [experiment.store.names[i] for i in task.test]]
    return experiment.cache / "tuning" / f"{fingerprint(FORMAT, *about)}.json"


@torch.no_grad()
def _logits(task: Task, learner: Learner) -> np.ndarray:
    """(m, C) of the test clips, whole and without augmentation."""
    assert isinstance(learner, SupervisedLearner)
    experiment = task.experiment
    part = JoinedClips(
        [(experiment.clips, task.test)], [experiment.layout], experiment.layout, experiment.clips.shape[2]
    )
    features = torch.from_numpy(features_of(experiment, learner.encoder)(part)).to(experiment.device)
    return learner.classify(features).float().cpu().numpy()


def _best(folder: Path, epochs: int) -> float:
    return max(row["test"] for row in read_metrics(folder / METRICS) if row["epoch"] <= epochs)


def _sparse(say: Callable[[str], None], what: str) -> Callable[[str], None]:
    """Lines of training, one in a few seconds."""
    told = [time.monotonic()]

    def progress(line: str) -> None:
        if time.monotonic() - told[0] >= EVERY:
            told[0] = time.monotonic()
            say(f"{what}: {line}")

    return progress
