"""Measure one run: features once, then every probe; results, predictions and features go to the run's folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pandas as pd
import torch

from c2vl_lab.artifacts import atomic_path, read_json, write_json
from c2vl_lab.bench.measured import as_asked
from c2vl_lab.data.copies import copies_of_training
from c2vl_lab.evaluate.about import about_encoder, about_run, about_targets
from c2vl_lab.evaluate.language import retrieval, zero_shot
from c2vl_lab.evaluate.neighbours import nearest_neighbours
from c2vl_lab.evaluate.outcome import class_record
from c2vl_lab.evaluate.probes import ProbeResult, linear_probe
from c2vl_lab.evaluate.protocols import PROTOCOLS, check_wanted, run_protocols
from c2vl_lab.evaluate.rows import share
from c2vl_lab.evaluate.scores import FILES as SCORES
from c2vl_lab.evaluate.scores import scores_file
from c2vl_lab.evaluate.spaces import class_points, joint_space, run_features
from c2vl_lab.evaluate.subject import Subject
from c2vl_lab.experiment import Experiment, load_learner
from c2vl_lab.learners.base import Learner
from c2vl_lab.learners.concept import ConceptLearner
from c2vl_lab.learners.supervised import SupervisedLearner
from c2vl_lab.logs import read_metrics
from c2vl_lab.run_config import TRAINED
from c2vl_lab.run_files import keep_skeleton

__all__ = ["class_points", "evaluate", "joint_space", "run_features"]
Progress = Callable[[str], None] | None


def evaluate(
    experiment: Experiment,
    run_dir: str | Path,
    progress: Progress = None,
    protocols: str = "",
    class_splits: str = "",
    tuning: str = "",
    transfer_to: str = "",
    again: bool = True,
) -> dict[str, Any]:
    """Linear probe and k-NN of the run's features; zero-shot and retrieval where a language space was learned.

    Nothing is chosen on the test part: the probe's setting comes from folds inside the training part, and the
    encoder is the one of the last epoch.

    Args:
        experiment: an opened experiment.
        run_dir: folder of the run (holds the checkpoint of a trained arm); gets ``results.json``,
            ``predictions.parquet`` and ``features.npy``, and ``scores-*.safetensors`` of protocols that train.
        progress: receives a line for each step.
        protocols: more protocols of :data:`~c2vl_lab.evaluate.protocols.PROTOCOLS`, with commas between, or "all";
            their numbers stand under ``protocols`` in the results, their predictions in columns of their own. What an
            earlier call has measured of the same features and labels stays.
        class_splits: one's own file of seen and unseen classes for the protocol "zero-shot", see
            :func:`~c2vl_lab.evaluate.class_splits.class_splits`.
        tuning: how the protocols that train the encoder do it, see
            :func:`~c2vl_lab.evaluate.tuning.tuning_by_name`. The run's checkpoint stays as it is.
        transfer_to: the sets of the protocol "transfer", with their protocols, such as "utd-mhad:xsub".
        again: measure a protocol also where an earlier call has measured it of the same features and labels (by the
            same ``tuning`` and ``transfer_to`` where it trains).

    Returns:
        The content of ``results.json``.

    Raises:
        ConfigError: an unknown protocol or setting; "transfer" without ``transfer_to``, or the other way round.
        StoppedError: Ctrl-C or SIGTERM came while a protocol trained; the same call goes on from there.
    """
    wanted, tuned = check_wanted(protocols, tuning, transfer_to)
    say = progress or (lambda line: None)
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    learner = load_learner(experiment, run_dir) if experiment.config.arm in TRAINED else None
    keep_skeleton(experiment.config, experiment.layout, experiment.clips.shape[2], run_dir)
    features, encoder = run_features(experiment, learner)
    say(f"features: {features.shape[1]} dimensions for {len(features)} clips")
    first = _first_numbers(experiment, learner, features)
    say("  ".join(f"{name} {100 * first.metrics[name]:.1f}" for name in ("linear", "knn1")))
    of_run = experiment, learner, encoder, features, first.train, first.test, first.probe.classifier
    subject = Subject(*of_run, class_splits, run_dir, tuned, transfer_to, say)
    labels = experiment.store.labels[first.test]
    about = {"name": [experiment.store.names[i] for i in first.test], "label": labels}

    def stays(name: str, own: dict[str, Any]) -> bool:
        return name not in wanted or (not again and as_asked(own, tuning, transfer_to))

    records, columns = _protocols(subject, wanted, about, stays)
    rows = read_metrics(run_dir / "metrics.jsonl")
    result = {
        **about_run(experiment, first.train, first.test, int(first.copied.sum())),
        **({} if encoder is None else {"encoder": about_encoder(experiment.config.encoder, encoder)}),
        **({"targets": about_targets(experiment, learner, features[first.train])} if _has_targets(learner) else {}),
        "feature_dimensions": features.shape[1],
        "seconds": {"pretrain": sum(row["seconds"] for row in rows), "evaluate": time.perf_counter() - start},
        "metrics": first.metrics,
        "probe": {"C": first.probe.setting, "validation": first.probe.validation},
        "classes": experiment.store.classes,
        **class_record(experiment.store.classes, labels, first.probe.predicted),
        **({"protocols": records} if records else {}),
    }
    _save(run_dir, features, {**about, "linear": first.probe.predicted, "knn1": first.nearest, **columns}, result)
    return result


@dataclass(frozen=True)
class _FirstNumbers:
    """What every run is measured by.

    Attributes:
        train, test: indices of the clips that have features.
        probe: the linear probe.
        nearest: class of each test clip's nearest training clip.
        copied: which test clips are copies of training clips.
        metrics: accuracies, and what the learner's own heads tell.
    """

    train: np.ndarray
    test: np.ndarray
    probe: ProbeResult
    nearest: np.ndarray
    copied: np.ndarray
    metrics: dict[str, Any]


def _first_numbers(experiment: Experiment, learner: Learner | None, features: np.ndarray) -> _FirstNumbers:
    """Linear probe, neighbours and the learner's own heads."""
    store, split = experiment.store, experiment.split
    labels, groups = store.labels, store.clips["subject"].to_numpy()
    train, test = (part[np.isfinite(features[part]).all(axis=1)] for part in (split.train, split.test))
    probe = linear_probe(features[train], labels[train], groups[train], features[test], seed=experiment.config.seed)
    near = nearest_neighbours(features[train], labels[train], features[test], device=experiment.device)
    copied = np.isin(test, split.test[copies_of_training(store, split)])
    metrics = _accuracies(probe.predicted, near, labels[test], copied) | _heads(experiment, learner, features, test)
    return _FirstNumbers(train, test, probe, near[1], copied, metrics)


def _protocols(
    subject: Subject, wanted: Sequence[str], about: dict[str, Any], stays: Callable[[str, dict[str, Any]], bool]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Records and predictions of the protocols that are wanted, and of those that an earlier call measured."""
    earlier, _ = _earlier(subject.run_dir, subject.features, about, stays)
    now = tuple(name for name in wanted if name not in earlier)
    records, columns = run_protocols(subject, now, subject.say)
    # read again: another process may have measured more of this run meanwhile
    earlier, kept = _earlier(subject.run_dir, subject.features, about, lambda name, own: name not in now)
    return {name: own for name in PROTOCOLS if (own := (earlier | records).get(name))}, kept | columns


def _has_targets(learner: Learner | None) -> TypeGuard[ConceptLearner]:
    return isinstance(learner, ConceptLearner)


def _accuracies(
    linear: np.ndarray, near: dict[int, np.ndarray], labels: np.ndarray, copied: np.ndarray
) -> dict[str, Any]:
    """Accuracies of the probe and the neighbours on the test part, and without the copies of training clips."""
    metrics: dict[str, Any] = {"linear": share(linear, labels)}
    metrics |= {f"knn{k}": share(predicted, labels) for k, predicted in near.items()}
    return metrics | (_without_copies({"linear": linear, "knn1": near[1]}, labels, ~copied) if copied.any() else {})


def _heads(experiment: Experiment, learner: Learner | None, features: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    """What the learner's own heads tell of the test part: classes that it was taught, or a language space."""
    if isinstance(learner, SupervisedLearner) and not experiment.sources:  # else its classes are other ones
        return {"own_head": _own_head(learner, features[test], experiment.store.labels[test])}
    if isinstance(learner, ConceptLearner) and "language" in learner.concepts:
        return _language(experiment, learner, features, test)
    return {}


def _without_copies(predicted: dict[str, np.ndarray], labels: np.ndarray, kept: np.ndarray) -> dict[str, float]:
    """Accuracies on the test clips that are no copies of training clips."""
    return {f"{name}_distinct": share(found[kept], labels[kept]) for name, found in predicted.items() if kept.any()}


def _language(
    experiment: Experiment, learner: ConceptLearner, features: np.ndarray, test: np.ndarray
) -> dict[str, Any]:
    """Zero-shot accuracy and retrieval on the test part."""
    points = joint_space(experiment, learner, features[:])
    skeleton, language = points["skeleton"][test], points["language"][test]
    guess = zero_shot(skeleton, class_points(experiment, learner))
    return {
        "zero_shot": share(guess, experiment.store.labels[test]),
        "retrieval": {
            "skeleton_to_text": retrieval(skeleton, language),
            "text_to_skeleton": retrieval(language, skeleton),
        },
    }


@torch.no_grad()
def _own_head(learner: SupervisedLearner, features: np.ndarray, labels: np.ndarray) -> float:
    logits = learner.classify.cpu()(torch.from_numpy(features))
    return share(logits.argmax(dim=1).numpy(), labels)


def _earlier(
    run_dir: Path, features: np.ndarray, about: dict[str, Any], stays: Callable[[str, dict[str, Any]], bool]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What an earlier call measured of exactly these features, clips and labels, as far as it stays."""
    files = [run_dir / name for name in ("results.json", "features.npy", "predictions.parquet")]
    if not all(path.is_file() for path in files):
        return {}, {}
    records = {name: own for name, own in read_json(files[0]).get("protocols", {}).items() if stays(name, own)}
    known = np.load(files[1], allow_pickle=False)
    if not records or not np.array_equal(known, features.astype(np.float32), equal_nan=True):
        return {}, {}
    table = pd.read_parquet(files[2])
    if list(table["name"]) != about["name"] or not np.array_equal(table["label"], about["label"]):
        return {}, {}
    columns = [column for own in records.values() for column in own.get("predictions", ())]
    return records, {column: table[column].to_numpy() for column in columns}


def _save(run_dir: Path, features: np.ndarray, table: dict[str, Any], result: dict[str, Any]) -> None:
    """Features, predictions, and last of all results.json, whose presence says that the run is complete."""
    with atomic_path(run_dir / "features.npy") as temporary, open(temporary, "wb") as stream:
        np.save(stream, features.astype(np.float32), allow_pickle=False)
    with atomic_path(run_dir / "predictions.parquet") as temporary:
        pd.DataFrame(table).to_parquet(temporary, index=False)
    kept = {own["file"] for own in result.get("protocols", {}).get("transfer", {}).get("targets", {}).values()}
    for path in run_dir.glob("predictions-*.parquet"):
        if path.name not in kept:  # of other weights, or of a set that is no longer asked for
            path.unlink()
    for path in run_dir.glob(SCORES):
        if path not in [scores_file(run_dir, name) for name in result.get("protocols", {})]:
            path.unlink()
    write_json(run_dir / "results.json", result)
