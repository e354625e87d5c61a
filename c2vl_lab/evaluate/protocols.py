"""The field's protocols on one run's frozen features, by name; every one prints its settings and chooses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from c2vl_lab.errors import choose
from c2vl_lab.evaluate.feature_protocols import clusters, knn, linear, semi
from c2vl_lab.evaluate.language_protocols import both_ways, unseen
from c2vl_lab.evaluate.outcome import Outcome, accuracy_measure
from c2vl_lab.evaluate.robustness import DAMAGES, can_hide_limbs, damaged_features
from c2vl_lab.evaluate.spaces import features_of
from c2vl_lab.evaluate.subject import Subject
from c2vl_lab.learners.concept import ConceptLearner


def robust(subject: Subject) -> Outcome:
    """The probe of the undamaged training part on damaged test clips."""
    experiment, truth = subject.experiment, subject.parts[3]
    extract, layout = features_of(experiment, subject.encoder), experiment.layout
    predicted = {"robust_undamaged": subject.classifier.predict(subject.features[subject.test])}
    measures = [accuracy_measure("undamaged", list(predicted.values()), truth)]
    seed, left_out = experiment.config.seed, []
    for kind, (_, levels) in DAMAGES.items():
        if kind == "limb hidden" and not can_hide_limbs(layout):
            left_out.append(f"{kind}: layout {layout.name} has no arms and legs")
            continue
        for level in levels:
            rows = damaged_features(extract, experiment.clips, subject.test, kind, level, layout, seed)
            own = subject.classifier.predict(rows)
            measures.append(accuracy_measure(f"{kind}, {level:g}", [own], truth))
            predicted[f"robust_{kind.replace(' ', '_')}_{level:g}"] = own
    settings = {"seed": seed, "left out": left_out, "damage": {kind: says for kind, (says, _) in DAMAGES.items()}}
    return Outcome(settings | {"probe": "trained on undamaged clips"}, measures, predicted)


@dataclass(frozen=True)
class Protocol:
    """A protocol: its heading, what measures it, and which runs it cannot be asked of."""

    title: str
    measure: Callable[[Subject], Outcome]
    lacks: Callable[[Subject], str] = lambda subject: ""


def _saw_labels(subject: Subject) -> str:
    arm = subject.experiment.config.arm
    return "the encoder was trained with all labels" if arm == "supervised" else ""


def _no_language(subject: Subject) -> str:
    joint = isinstance(subject.learner, ConceptLearner) and "language" in subject.learner.concepts
    return "" if joint else "the run has learned no joint space with language"


def _no_unseen(subject: Subject) -> str:
    few = len(np.unique(subject.labels[subject.train])) < 4
    return _saw_labels(subject) or ("the training part has fewer than four classes" if few else "")


def _few_clips(subject: Subject) -> str:
    classes = len(np.unique(subject.labels[subject.train]))
    few = len(subject.train) <= classes
    return f"the training part has {len(subject.train)} clips for {classes} clusters" if few else ""


def _no_encoder(subject: Subject) -> str:
    return "the run has features of prompts, none of skeletons" if subject.experiment.config.arm == "prompts" else ""


PROTOCOLS = {
    "linear": Protocol("Linear probe, published settings", linear),
    "knn": Protocol("Nearest neighbours", knn),
    "semi": Protocol("Few labels", semi, _saw_labels),
    "cluster": Protocol("Clustering", clusters, _few_clips),
    "retrieval": Protocol("Retrieval", both_ways, _no_language),
    "zero-shot": Protocol("Unseen classes", unseen, _no_unseen),
    "robust": Protocol("Damaged clips", robust, _no_encoder),
}


def check_protocols(names: str) -> tuple[str, ...]:
    """The protocols of a list as a user types it: names with commas between, ``all``, or nothing.

    Raises:
        ConfigError: an unknown name; the near miss is named.
    """
    if names.strip() == "all":
        return tuple(PROTOCOLS)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        choose(name, PROTOCOLS, "protocol")
    return tuple(dict.fromkeys(wanted))


def run_protocols(
    subject: Subject, names: tuple[str, ...], say: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Measure a run by several protocols.

    Returns:
        Protocol to plain values for ``results.json`` (for one that does not apply: why); and the predictions, column
        name to (m,) class indices.
    """
    records: dict[str, Any] = {}
    columns: dict[str, np.ndarray] = {}
    for name in names:
        protocol = PROTOCOLS[name]
        reason = protocol.lacks(subject)
        if reason:
            records[name] = {"title": protocol.title, "not_run": reason}
            continue
        say(f"protocol {name} ...")
        start = time.perf_counter()
        outcome = protocol.measure(subject)
        record = outcome.record(subject.labels[subject.test], subject.experiment.store.classes)
        records[name] = {"title": protocol.title, **record, "seconds": time.perf_counter() - start}
        columns |= outcome.predicted
    return records, columns
