"""Measure one run: features once, then every probe; results, predictions and features go to the run's folder."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from c2vl_lab import __version__
from c2vl_lab.artifacts import atomic_path, write_json
from c2vl_lab.concepts import effective_targets, text_features
from c2vl_lab.config import to_dict
from c2vl_lab.data.copies import copies_of_training
from c2vl_lab.data.transforms import coordinates
from c2vl_lab.embed import embed
from c2vl_lab.evaluate.language import retrieval, zero_shot
from c2vl_lab.evaluate.neighbours import nearest_neighbours
from c2vl_lab.evaluate.probes import confusion_matrix, linear_probe
from c2vl_lab.experiment import Experiment, load_learner
from c2vl_lab.learners import ConceptLearner, Learner, SupervisedLearner
from c2vl_lab.logs import read_metrics
from c2vl_lab.models.encoders import build_encoder, parameter_count
from c2vl_lab.prompts.class_prompts import class_prompts, class_sentences
from c2vl_lab.run_config import TRAINED

Progress = Callable[[str], None] | None
PACKAGES = ("torch", "numpy", "scikit-learn", "sentence-transformers", "timm", "open_clip_torch", "umap-learn")


def evaluate(experiment: Experiment, run_dir: str | Path, progress: Progress = None) -> dict[str, Any]:
    """Linear probe and k-NN of the run's features; zero-shot and retrieval where a language space was learned.

    Nothing is chosen on the test part: the probe's setting comes from folds inside the training part, and the
    encoder is the one of the last epoch.

    Args:
        experiment: an opened experiment.
        run_dir: folder of the run (holds the checkpoint of a trained arm); gets ``results.json``,
            ``predictions.parquet`` and ``features.npy``.
        progress: receives a line for each step.

    Returns:
        The content of ``results.json``.
    """
    say = progress or (lambda line: None)
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    learner = load_learner(experiment, run_dir) if experiment.config.arm in TRAINED else None
    features, encoder = run_features(experiment, learner)
    say(f"features: {features.shape[1]} dimensions for {len(features)} clips")
    labels, groups = experiment.store.labels, experiment.store.clips["subject"].to_numpy()
    train, test = (
        part[np.isfinite(features[part]).all(axis=1)] for part in (experiment.split.train, experiment.split.test)
    )
    probe = linear_probe(features[train], labels[train], groups[train], features[test], seed=experiment.config.seed)
    near = nearest_neighbours(features[train], labels[train], features[test])
    metrics: dict[str, Any] = {"linear": _share(probe.predicted, labels[test])}
    metrics |= {f"knn{k}": _share(predicted, labels[test]) for k, predicted in near.items()}
    copied = np.isin(test, experiment.split.test[copies_of_training(experiment.store, experiment.split)])
    if copied.any():
        metrics |= _without_copies({"linear": probe.predicted, "knn1": near[1]}, labels[test], ~copied)
    if isinstance(learner, SupervisedLearner):
        metrics["own_head"] = _own_head(learner, features[test], labels[test])
    if isinstance(learner, ConceptLearner) and "language" in learner.concepts:
        metrics |= _language(experiment, learner, features, test)
    say("  ".join(f"{name} {100 * metrics[name]:.1f}" for name in ("linear", "knn1")))
    rows = read_metrics(run_dir / "metrics.jsonl")
    result = {
        **_about(experiment, train, test, int(copied.sum())),
        **({} if encoder is None else {"encoder": _encoder(experiment.config.encoder, encoder)}),
        **({"targets": _targets(experiment, learner, features[train])} if isinstance(learner, ConceptLearner) else {}),
        "feature_dimensions": features.shape[1],
        "seconds": {"pretrain": sum(row["seconds"] for row in rows), "evaluate": time.perf_counter() - start},
        "metrics": metrics,
        "probe": {"C": probe.setting, "validation": probe.validation},
        **_per_class(experiment.store.classes, labels[test], probe.predicted),
    }
    _save(run_dir, experiment, features, test, probe.predicted, near[1], result)
    return result


def _without_copies(predicted: dict[str, np.ndarray], labels: np.ndarray, kept: np.ndarray) -> dict[str, float]:
    """Accuracies on the test clips that are no copies of training clips."""
    return {f"{name}_distinct": _share(found[kept], labels[kept]) for name, found in predicted.items() if kept.any()}


def _about(experiment: Experiment, train: np.ndarray, test: np.ndarray, copied: int) -> dict[str, Any]:
    """What was measured on what, by which settings and where."""
    store, split, config = experiment.store, experiment.split, experiment.config
    parts = {
        "train": len(split.train),
        "test": len(split.test),
        "probed": len(train),
        "tested": len(test),
        "copies": copied,
    }
    teacher: dict[str, Any] = {"stand_in_teacher": False}
    if config.uses_concepts:
        teacher = {"stand_in_teacher": experiment.teacher.stand_in, "teacher": experiment.teacher.name}
    return {
        "format": 1,
        "config": to_dict(config),
        "dataset": store.dataset,
        "generated": store.generated,
        "fingerprint": store.fingerprint,
        "split": {"protocol": split.protocol, "rule": split.rule, **parts},
        **teacher,
        "device": device_name(experiment.device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "notes": _notes(experiment, len(test), copied),
    }


def _encoder(name: str, encoder: torch.nn.Module) -> dict[str, Any]:
    return {"name": name, "parameters": parameter_count(encoder)}


def _targets(experiment: Experiment, learner: ConceptLearner, train: np.ndarray) -> dict[str, dict[str, float]]:
    """Temperature and effective number of targets of every side's self-similarity, on training clips."""
    batch = min(experiment.config.batch_size, len(train))
    centred = _unit(train - train.mean(axis=0))
    sides = {m: (learner.contrast.taus[m], rows.cpu().numpy()) for m, rows in learner.concepts.items()}
    sides["skeleton"] = (experiment.config.skeleton_tau, centred)
    return {side: {"tau": tau, "effective": effective_targets(rows, tau, batch)} for side, (tau, rows) in sides.items()}


def _per_class(classes: list[str], labels: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Confusion matrix and accuracy of each class that the test part holds, of the linear probe."""
    matrix = confusion_matrix(labels, predicted, len(classes))
    shares = {name: float(matrix[i, i] / matrix[i].sum()) for i, name in enumerate(classes) if matrix[i].sum()}
    return {"classes": classes, "confusion": matrix.tolist(), "per_class": shares}


def run_features(experiment: Experiment, learner: Learner | None) -> tuple[np.ndarray, torch.nn.Module | None]:
    """(N, D) features of all clips by the run's arm, and the encoder behind them, if any."""
    config = experiment.config
    if config.arm == "coordinates":
        return coordinates(experiment.clips), None
    if config.arm == "prompts":
        return np.concatenate([experiment.concepts(m) for m in config.modality_names], axis=1), None
    if learner is None:
        torch.manual_seed(config.seed)
        encoder = build_encoder(config.encoder, experiment.store.layout, config.width).to(experiment.device)
    else:
        encoder = learner.encoder
    layout = experiment.store.layout
    return embed(encoder, experiment.clips, layout, config.stream, config.frames, experiment.device), encoder


@torch.no_grad()
def joint_space(experiment: Experiment, learner: ConceptLearner, features: np.ndarray) -> dict[str, np.ndarray]:
    """Unit-length points of all clips in the learned joint space: skeleton, and one set per modality.

    The skeleton is placed by its language head where there is one. Clips without pictures are NaN in vision.
    """
    heads = learner.heads.eval().cpu()
    main = "language" if "language" in learner.concepts else "vision"
    points = {"skeleton": _unit(heads.skeleton[main](torch.from_numpy(features)).numpy())}
    for modality in learner.concepts:
        concepts = torch.from_numpy(_pooled(experiment, learner, modality))
        points[modality] = _unit(heads.concept[modality](concepts).numpy())
    return points


@torch.no_grad()
def _pooled(experiment: Experiment, learner: ConceptLearner, modality: str) -> np.ndarray:
    """(N, D) concepts as the learner pools them; NaN where a clip has no pictures."""
    if modality not in learner.pools:
        return experiment.concepts(modality)
    pool, features = learner.pools[modality].cpu(), experiment.features(modality)
    blocks = [pool(torch.from_numpy(features[start : start + 1024])) for start in range(0, len(features), 1024)]
    return torch.cat(blocks).numpy()


@torch.no_grad()
def class_points(experiment: Experiment, learner: ConceptLearner, classes: list[str] | None = None) -> np.ndarray:
    """(C, D) unit-length points of classes in the learned language space: their names, and the run's class texts."""
    if classes is None:
        texts = class_sentences(experiment.store.classes, experiment.config.class_texts)
    else:
        texts = class_prompts(classes)
    single = text_features([[text] for own in texts for text in own], experiment.teacher, experiment.cache)
    ends = np.cumsum([len(own) for own in texts])[:-1]
    raw = np.stack([_unit(own[:, 0]).mean(axis=0, keepdims=True) for own in np.split(single[:], ends)])
    concepts = torch.from_numpy(experiment.space("language").transform(raw, ordered=False))
    return _unit(learner.heads.eval().cpu().concept["language"](concepts).numpy())


def _language(
    experiment: Experiment, learner: ConceptLearner, features: np.ndarray, test: np.ndarray
) -> dict[str, Any]:
    """Zero-shot accuracy and retrieval on the test part."""
    points = joint_space(experiment, learner, features[:])
    skeleton, language = points["skeleton"][test], points["language"][test]
    guess = zero_shot(skeleton, class_points(experiment, learner))
    return {
        "zero_shot": _share(guess, experiment.store.labels[test]),
        "retrieval": {
            "skeleton_to_text": retrieval(skeleton, language),
            "text_to_skeleton": retrieval(language, skeleton),
        },
    }


@torch.no_grad()
def _own_head(learner: SupervisedLearner, features: np.ndarray, labels: np.ndarray) -> float:
    logits = learner.classify.cpu()(torch.from_numpy(features))
    return _share(logits.argmax(dim=1).numpy(), labels)


def _notes(experiment: Experiment, tested: int, copied: int) -> list[str]:
    notes = []
    if experiment.store.generated:
        notes.append("Generated clips, no recordings: figures show that the road works, not how well the method does.")
    if experiment.config.uses_concepts and experiment.teacher.stand_in:
        notes.append(f"The teacher {experiment.teacher.name} stands in for a vision-language model.")
    if tested < len(experiment.split.test):
        notes.append(f"Tested on the {tested} of {len(experiment.split.test)} test clips that have pictures.")
    if copied:
        notes.append(
            f"{copied} of the {tested} test clips have exactly the coordinates of a training clip, as published; "
            f"'copies left out' is measured on the others."
        )
    return notes


def _save(
    run_dir: Path,
    experiment: Experiment,
    features: np.ndarray,
    test: np.ndarray,
    linear: np.ndarray,
    knn1: np.ndarray,
    result: dict[str, Any],
) -> None:
    """Features, predictions, and last of all results.json, whose presence says that the run is complete."""
    with atomic_path(run_dir / "features.npy") as temporary, open(temporary, "wb") as stream:
        np.save(stream, features.astype(np.float32), allow_pickle=False)
    table = pd.DataFrame(
        {
            "name": [experiment.store.names[i] for i in test],
            "label": experiment.store.labels[test],
            "linear": linear,
            "knn1": knn1,
        }
    )
    with atomic_path(run_dir / "predictions.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    write_json(run_dir / "results.json", result)


def device_name(device: str) -> str:
    """What a report prints: the GPU's name, or the processor's."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.processor() or platform.machine()})"


def versions() -> dict[str, str]:
    """Versions of what takes part in a result."""
    found = {"python": platform.python_version(), "c2vl_lab": __version__}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}


def _share(predicted: np.ndarray, labels: np.ndarray) -> float:
    return float((predicted == labels).mean())


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
