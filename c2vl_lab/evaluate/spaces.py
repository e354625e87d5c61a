"""Where the points of a run are: features of clips, and the joint space of skeletons, prompts and class names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from c2vl_lab.concepts import text_features
from c2vl_lab.data.joined import ClipRows
from c2vl_lab.data.transforms import coordinates
from c2vl_lab.embed import embed
from c2vl_lab.evaluate.rows import unit
from c2vl_lab.experiment import Experiment
from c2vl_lab.learners.base import Learner
from c2vl_lab.learners.concept import ConceptLearner
from c2vl_lab.models.encoders import build_encoder
from c2vl_lab.prompts.class_prompts import class_prompts, class_sentences


def run_features(experiment: Experiment, learner: Learner | None) -> tuple[np.ndarray, torch.nn.Module | None]:
    """(N, D) features of all clips by the run's arm, and the encoder behind them, if any."""
    config = experiment.config
    if config.arm == "prompts":
        return np.concatenate([experiment.concepts(m) for m in config.modality_names], axis=1), None
    encoder = run_encoder(experiment, learner)
    return features_of(experiment, encoder)(experiment.clips), encoder


def run_encoder(experiment: Experiment, learner: Learner | None) -> torch.nn.Module | None:
    """The encoder of the run's arm: the trained or imported one, one with random weights; none for coordinates."""
    config = experiment.config
    if learner is not None:
        return learner.encoder
    if experiment.imported is not None:
        return experiment.imported.encoder
    if config.arm == "coordinates":
        return None
    torch.manual_seed(config.seed)
    return build_encoder(config.encoder, experiment.layout, config.width).to(experiment.device)


def features_of(experiment: Experiment, encoder: torch.nn.Module | None) -> Callable[[ClipRows], np.ndarray]:
    """The function from normalised clips (N, T, M, V, 3) to features (N, D); without an encoder their coordinates."""
    config, layout = experiment.config, experiment.layout
    if encoder is None:
        return coordinates
    return lambda clips: embed(encoder, clips, layout, config.stream, config.frames, experiment.device)


@torch.no_grad()
def joint_space(experiment: Experiment, learner: ConceptLearner, features: np.ndarray) -> dict[str, np.ndarray]:
    """Unit-length points of all clips in the learned joint space: skeleton, and one set per modality.

    The skeleton is placed by its language head where there is one. Clips without pictures are NaN in vision.
    """
    heads = learner.heads.eval().cpu()
    main = "language" if "language" in learner.concepts else "vision"
    points = {"skeleton": unit(heads.skeleton[main](torch.from_numpy(features)).numpy())}
    for modality in learner.concepts:
        concepts = torch.from_numpy(_pooled(experiment, learner, modality))
        points[modality] = unit(heads.concept[modality](concepts).numpy())
    return points


@torch.no_grad()
def _pooled(experiment: Experiment, learner: ConceptLearner, modality: str) -> np.ndarray:
    """(N, D) concepts as the learner pools them; NaN where a clip has no pictures."""
    if modality not in learner.pools:
        return experiment.concepts(modality)
    pool, features = learner.pools[modality].cpu(), experiment.features(modality)
    blocks = [pool(torch.from_numpy(features[start : start + 1024])) for start in range(0, len(features), 1024)]
    return torch.cat(blocks).numpy()


def class_features(experiment: Experiment, classes: list[str] | None = None) -> np.ndarray:
    """(C, D) mean teacher features of the classes' texts: their names in our wordings, and the run's class texts.

    Args:
        experiment: an opened experiment.
        classes: other names than the set's, asked for by their names alone.
    """
    if classes is None:
        texts = class_sentences(experiment.store.classes, experiment.config.class_texts)
    else:
        texts = class_prompts(classes)
    single = text_features([[text] for own in texts for text in own], experiment.teacher, experiment.cache)
    ends = np.cumsum([len(own) for own in texts])[:-1]
    return np.stack([unit(own[:, 0]).mean(axis=0) for own in np.split(single[:], ends)])


@torch.no_grad()
def class_points(experiment: Experiment, learner: ConceptLearner, classes: list[str] | None = None) -> np.ndarray:
    """(C, D) unit-length points of classes in the learned language space: their names, and the run's class texts."""
    raw = class_features(experiment, classes)[:, None]
    concepts = torch.from_numpy(experiment.space("language").transform(raw, ordered=False))
    return unit(learner.heads.eval().cpu().concept["language"](concepts).numpy())
