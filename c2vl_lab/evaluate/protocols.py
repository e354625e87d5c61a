"""The field's protocols on one run, by name; every one prints its settings and chooses nothing.

Most measure frozen features and take seconds; those that train the encoder take minutes, and "all" does not mean them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from c2vl_lab.errors import ConfigError, choose
from c2vl_lab.evaluate.feature_protocols import clusters, knn, linear, semi
from c2vl_lab.evaluate.language_protocols import both_ways, unseen
from c2vl_lab.evaluate.outcome import Outcome, accuracy_measure
from c2vl_lab.evaluate.robustness import DAMAGES, can_hide_limbs, damaged_features
from c2vl_lab.evaluate.spaces import features_of
from c2vl_lab.evaluate.subject import Subject
from c2vl_lab.evaluate.transfer import parse_transfer, transfer
from c2vl_lab.evaluate.tuned_protocols import finetune, scratch, semi_finetune, semi_scratch
from c2vl_lab.evaluate.tuning import Tuning, tuning_by_name
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
    """A protocol: its heading, what measures it, whom it cannot be asked of, and whether it trains the encoder."""

    title: str
    measure: Callable[[Subject], Outcome]
    lacks: Callable[[Subject], str] = lambda subject: ""
    trains: bool = False


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


def _no_trained(subject: Subject) -> str:
    if subject.encoder is None:
        return "the run has no encoder that could be trained"
    imported = subject.experiment.imported is not None  # its clips are made in a way of its own, its layers maybe too
    return "the encoder was imported, and is measured as it is" if imported else ""


def _no_few_trained(subject: Subject) -> str:
    return _no_trained(subject) or _saw_labels(subject)


PROTOCOLS = {
    "linear": Protocol("Linear probe, published settings", linear),
    "knn": Protocol("Nearest neighbours", knn),
    "semi": Protocol("Few labels", semi, _saw_labels),
    "cluster": Protocol("Clustering", clusters, _few_clips),
    "retrieval": Protocol("Retrieval", both_ways, _no_language),
    "zero-shot": Protocol("Unseen classes", unseen, _no_unseen),
    "robust": Protocol("Damaged clips", robust, _no_encoder),
    "finetune": Protocol("Fine-tuned", finetune, _no_trained, trains=True),
    "scratch": Protocol("Supervised from scratch", scratch, _no_trained, trains=True),
    "semi-finetune": Protocol("Few labels, fine-tuned", semi_finetune, _no_few_trained, trains=True),
    "semi-scratch": Protocol("Few labels, from scratch", semi_scratch, _no_trained, trains=True),
    "transfer": Protocol("Transfer to another set", transfer, _no_trained, trains=True),
}


def check_protocols(names: str) -> tuple[str, ...]:
    """The protocols of a list as a user types it: names with commas between, or nothing.

    ``all`` stands for those on frozen features, so that "all,finetune" is these and one that trains the encoder.

    Raises:
        ConfigError: an unknown name; the near miss is named.
    """
    wanted: list[str] = []
    for name in (word.strip() for word in names.split(",") if word.strip()):
        if name == "all":
            wanted += [own for own, protocol in PROTOCOLS.items() if not protocol.trains]
        else:
            choose(name, PROTOCOLS, "protocol")
            wanted.append(name)
    return tuple(dict.fromkeys(wanted))


def check_wanted(protocols: str, tuning: str, transfer_to: str) -> tuple[tuple[str, ...], Tuning]:
    """The protocols and how they train, checked before anything is opened.

    Raises:
        ConfigError: an unknown protocol or setting; "transfer" without ``transfer_to``, or the other way round.
    """
    wanted, tuned = check_protocols(protocols), tuning_by_name(tuning)
    if "transfer" in wanted:
        parse_transfer(transfer_to)
    elif transfer_to:
        raise ConfigError(f"transfer_to='{transfer_to}' wants 'transfer' among the protocols, found '{protocols}'.")
    return wanted, tuned


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
