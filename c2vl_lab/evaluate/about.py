"""What a result says about itself: settings, data, targets, versions, and what has to be known to read it."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

import numpy as np
import torch

from c2vl_lab import __version__
from c2vl_lab.concepts import effective_targets
from c2vl_lab.config import to_dict
from c2vl_lab.evaluate.rows import unit
from c2vl_lab.experiment import Experiment
from c2vl_lab.learners.concept import ConceptLearner
from c2vl_lab.models.encoders import parameter_count

PACKAGES = ("torch", "numpy", "scikit-learn", "sentence-transformers", "timm", "open_clip_torch", "umap-learn")


def about_run(experiment: Experiment, train: np.ndarray, test: np.ndarray, copied: int) -> dict[str, Any]:
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
        **({"pretrained_on": experiment.described_sources()} if experiment.sources else {}),
        "split": {"protocol": split.protocol, "rule": split.rule, **parts},
        **teacher,
        "device": device_name(experiment.device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "notes": _notes(experiment, len(test), copied),
    }


def about_encoder(name: str, encoder: torch.nn.Module) -> dict[str, Any]:
    """An encoder's name and size."""
    return {"name": name, "parameters": parameter_count(encoder)}


def about_targets(experiment: Experiment, learner: ConceptLearner, train: np.ndarray) -> dict[str, dict[str, float]]:
    """Temperature and effective number of targets of every side's self-similarity, on training clips."""
    batch = min(experiment.config.batch_size, len(train))
    centred = unit(train - train.mean(axis=0))
    sides = {m: (learner.contrast.taus[m], rows.cpu().numpy()) for m, rows in learner.concepts.items()}
    sides["skeleton"] = (experiment.config.skeleton_tau, centred)
    return {side: {"tau": tau, "effective": effective_targets(rows, tau, batch)} for side, (tau, rows) in sides.items()}


def _notes(experiment: Experiment, tested: int, copied: int) -> list[str]:
    notes = []
    if experiment.store.generated:
        notes.append("Generated clips, no recordings: figures show that the road works, not how well the method does.")
    if experiment.config.uses_concepts and experiment.teacher.stand_in:
        notes.append(f"The teacher {experiment.teacher.name} stands in for a vision-language model.")
    if tested < len(experiment.split.test):
        notes.append(f"Tested on the {tested} of {len(experiment.split.test)} test clips that have pictures.")
    if experiment.sources:
        own = experiment.store.dataset in {source.store.dataset for source in experiment.sources}
        notes.append(
            f"The encoder was trained on {' + '.join(experiment.described_sources())}"
            + (
                "."
                if own
                else f", never on {experiment.store.dataset}: frozen, only the probes saw its training part, "
                "and the protocols that train the encoder."
            )
        )
    if experiment.imported is not None:
        origin = experiment.imported.description.origin
        notes.append(f"The encoder was imported as it is ({origin}); clips are normalised as it was trained on them.")
    if copied:
        notes.append(
            f"{copied} of the {tested} test clips have exactly the coordinates of a training clip, as published; "
            f"'copies left out' is measured on the others."
        )
    return notes


def device_name(device: str) -> str:
    """What a report prints: the GPU's name, or the processor's."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.processor() or platform.machine()})"


def versions() -> dict[str, str]:
    """Versions of what takes part in a result."""
    found = {"python": platform.python_version(), "c2vl_lab": __version__}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}
