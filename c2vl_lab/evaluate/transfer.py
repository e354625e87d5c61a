"""Transfer: an encoder that was trained on one set, measured on another, whose skeletons are given in its joints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.config import replace
from c2vl_lab.data.joined import Source, check_sources, in_layout, parse_sources
from c2vl_lab.errors import ConfigError, DataError
from c2vl_lab.evaluate.outcome import Measure, Outcome, accuracy_measure, class_record
from c2vl_lab.evaluate.probes import linear_probe
from c2vl_lab.evaluate.spaces import features_of
from c2vl_lab.evaluate.subject import Subject
from c2vl_lab.evaluate.tune import Task, tune
from c2vl_lab.evaluate.tuned_protocols import measured
from c2vl_lab.experiment import Experiment, open_experiment


def transfer(subject: Subject) -> Outcome:
    """Each set of ``transfer_to``: a linear probe on frozen features, fine-tuned, and from scratch.

    The predictions stand in ``predictions-SET-PROTOCOL.parquet`` in the run's folder, since they are of other clips
    than the run's own.
    """
    sources = parse_transfer(subject.transfer_to, subject.experiment)
    measures: list[Measure] = []
    targets: dict[str, Any] = {}
    for target in open_targets(subject.experiment, sources):
        name = f"{target.store.dataset}:{target.split.protocol}"
        train, test = target.split.train, target.split.test
        own, predicted = _on(subject, target)
        measures += [Measure(**{**vars(one), "name": f"{name}, {one.name}"}) for one in own]
        truth = target.store.labels[test]
        shown = next(column for column in predicted if column.startswith("transfer_finetune"))
        targets[name] = {
            "fingerprint": target.store.fingerprint,
            "file": predictions_file(target),
            "clips": {"train": len(train), "test": len(test)},
            "skeleton": _mapped(target),
            "measures": [one.record() for one in own],
            "classes": target.store.classes,
            "shown": shown,
            **class_record(target.store.classes, truth, predicted[shown]),
        }
        table = {"name": [target.store.names[i] for i in test], "label": truth, **predicted}
        with atomic_path(subject.run_dir / predictions_file(target)) as temporary:
            pd.DataFrame(table).to_parquet(temporary, index=False)
    first = next(iter(targets.values()))
    kept = {"targets": targets, "confusion": first["confusion"], "per_class": first["per_class"]}
    settings = {
        "on": list(targets),
        "transfer_to": subject.transfer_to,
        "skeletons": "; ".join(f"{name}: {own['skeleton']}" for name, own in targets.items()),
        "probe": "logistic regression on frozen features, its strength chosen inside the training part",
        "from scratch": "the same joints, settings and seeds, with random weights",
        **subject.tuning.told(),
        "seeds": list(subject.first_seeds(subject.tuning.settings.seeds)),
    }
    return Outcome(settings, measures, kept=kept)


def parse_transfer(text: str, experiment: Experiment | None = None) -> tuple[Source, ...]:
    """The sets of ``transfer_to``, such as ``"utd-mhad:xsub"`` or ``"utd-mhad:xsub+msr-action3d:xsub"``.

    Raises:
        ConfigError: none is named, a set is without its protocol, or it is the run's own set.
    """
    try:
        found = parse_sources(text)
    except ConfigError as error:
        raise ConfigError(str(error).replace("pretrain_on", "transfer to")) from error
    if not found:
        raise ConfigError(
            "The protocol 'transfer' wants the set that the encoder is carried to, with its protocol: "
            "c2vl evaluate RUN --protocols transfer --on utd-mhad:xsub (in notebook 04_evaluate: transfer_to)."
        )
    own = "" if experiment is None else experiment.config.dataset
    if any(source.dataset == own for source in found):
        raise ConfigError(f"Transfer wants another set than the run's own ({own}); for that one take 'finetune'.")
    return found


def open_targets(experiment: Experiment, sources: Sequence[Source]) -> list[Experiment]:
    """The sets, normalised as the run's clips are and in the joints of its encoder.

    Raises:
        ConfigError: a set's skeleton has no joint for one of the encoder's, and none between which it lies.
        DataError: the encoder was trained on test clips of such a set.
    """
    targets = []
    for source in sources:
        # the arm without training: what it asks of texts and pictures is of the run's own set
        changes: dict[str, Any] = {"dataset": source.dataset, "protocol": source.protocol, "arm": "untrained"}
        changes |= {"pretrain_on": "", "balance_sets": False, "class_texts": "", "captions": "kinematic"}
        target = open_experiment(replace(experiment.config, **changes), experiment.progress)
        try:
            check_sources(experiment.sources or [experiment], target, "")
        except DataError as error:
            raise DataError(str(error).replace("pretrain_on", f"transfer to {source.dataset}")) from error
        try:
            target.clips, target.layout = in_layout(target.store, target.clips, experiment.layout), experiment.layout
        except ConfigError as error:
            raise ConfigError(
                f"{error} An encoder in these is made by dataset={source.dataset}, protocol={source.protocol} and the "
                "run's own set in pretrain_on."
            ) from error
        targets.append(target)
    return targets


def predictions_file(target: Experiment) -> str:
    """The file of predictions on another set, in the run's folder."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", target.store.dataset)
    return f"predictions-{name}-{target.split.protocol}.parquet"


def _on(subject: Subject, target: Experiment) -> tuple[list[Measure], dict[str, np.ndarray]]:
    """Numbers and predictions on one set."""
    settings = subject.tuning.settings
    train, test = target.split.train, target.split.test
    labels, groups = target.store.labels, target.store.clips["subject"].to_numpy()
    subject.say(f"{target.store.dataset}: features ...")
    features = features_of(target, subject.encoder)(target.clips)
    probe = linear_probe(features[train], labels[train], groups[train], features[test], seed=target.config.seed)
    measures = [accuracy_measure("linear probe", [probe.predicted], labels[test])]
    predicted = {"transfer_linear": probe.predicted}
    starts = {"finetune": ("fine-tuned", subject.weights), "scratch": ("from scratch", {})}
    for kind, (name, weights) in starts.items():
        seeds = subject.first_seeds(settings.seeds)
        task = Task(target, train, test, weights)
        found = [tune(task, settings, s, subject.say, f"{target.store.dataset}, {kind}, seed {s}") for s in seeds]
        measures += measured(name, found, labels[test])
        predicted |= {f"transfer_{kind}_{s}": own.predicted for s, own in zip(seeds, found, strict=True)}
    return measures, predicted


def _mapped(target: Experiment) -> str:
    """How the set's skeletons came to the encoder's joints, in words."""
    own, layout = target.store.layout, target.layout
    if own.joints == layout.joints:
        return f"its own {len(own)} joints"
    made = [joint for joint in layout.joints if joint not in own.joints]
    told = f", of which {', '.join(made)} are made up from its own" if made else ""
    return f"mapped by name from {len(own)} to {len(layout)} joints{told}"
