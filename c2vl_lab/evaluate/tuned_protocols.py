"""The protocols that train the encoder: fine-tuned and from scratch, with all labels and with few."""

from __future__ import annotations

from typing import Any

import numpy as np

from c2vl_lab.data.copies import copies_of_training
from c2vl_lab.evaluate.few_labels import SHARES, draw_labelled
from c2vl_lab.evaluate.outcome import Measure, Outcome, accuracy_measure
from c2vl_lab.evaluate.scores import save_scores, scores_file
from c2vl_lab.evaluate.subject import Subject
from c2vl_lab.evaluate.tune import Task, Tuned, tune

BEST = "best epoch on the test part, chosen by its labels: no result"
COPIES_OUT = "copies of training clips left out"


def finetune(subject: Subject) -> Outcome:
    """The run's encoder, trained on with all labels."""
    return _all_labels(subject, "finetune")


def scratch(subject: Subject) -> Outcome:
    """The same training from random weights: what pre-training has to beat."""
    return _all_labels(subject, "scratch")


def semi_finetune(subject: Subject) -> Outcome:
    """The run's encoder, trained on with 1, 5, 10 and 20 % of the labels."""
    return _few_labels(subject, "finetune")


def semi_scratch(subject: Subject) -> Outcome:
    """The same training with the same labelled clips from random weights."""
    return _few_labels(subject, "scratch")


def task_of(subject: Subject, kind: str, train: np.ndarray) -> Task:
    """The subject's own clips, with some of its training clips labelled; kind: "finetune" or "scratch"."""
    return Task(subject.experiment, train, subject.test, subject.weights if kind == "finetune" else {})


def measured(name: str, found: list[Tuned], truth: np.ndarray) -> list[Measure]:
    """The accuracy of the last epochs, and where somebody looked that of the best ones beside it."""
    measures = [accuracy_measure(name, [own.predicted for own in found], truth)]
    best = tuple(own.best for own in found if own.best is not None)
    if best:
        measures.append(Measure(f"{name}; {BEST}", best, len(truth)))
    return measures


def _all_labels(subject: Subject, kind: str) -> Outcome:
    """All labels, some seeds; and without test clips that are copies of training clips, where there are any."""
    settings = subject.tuning.settings
    seeds = subject.first_seeds(settings.seeds)
    task, truth = task_of(subject, kind, subject.train), subject.parts[3]
    found = [tune(task, settings, seed, subject.say, f"{kind}, seed {seed}") for seed in seeds]
    measures = measured("all labels", found, truth)
    experiment = subject.experiment
    copies = np.isin(subject.test, experiment.split.test[copies_of_training(experiment.store, experiment.split)])
    if copies.any() and not copies.all():
        kept = [own.predicted[~copies] for own in found]
        measures.append(accuracy_measure(f"all labels, {COPIES_OUT}", kept, truth[~copies]))
    named = {f"{kind}_{seed}": own for seed, own in zip(seeds, found, strict=True)}
    predicted = _kept(subject, kind, named)
    return Outcome({**_told(subject, kind), "seeds": list(seeds)}, measures, predicted)


def _few_labels(subject: Subject, kind: str) -> Outcome:
    """A part of the labels, each share with some draws, which are those of the protocol "semi" and of both kinds."""
    settings = subject.tuning.settings
    seeds = subject.first_seeds(settings.draws)
    labels, truth = subject.parts[1], subject.parts[3]
    measures: list[Measure] = []
    named: dict[str, Tuned] = {}
    drawn: dict[str, dict[str, list[str]]] = {}
    for share in SHARES:
        draws = {seed: subject.train[draw_labelled(labels, share, seed)] for seed in seeds}
        found, name = [], f"{100 * share:g} %"
        for seed, rows in draws.items():
            what = f"{kind}, {name} of the labels, draw {seed}"
            found.append(tune(task_of(subject, kind, rows), settings, seed, subject.say, what))
        measures += measured(f"{name} of the labels ({len(draws[seeds[0]])} clips)", found, truth)
        named |= {f"semi_{kind}_{100 * share:g}_{s}": own for s, own in zip(seeds, found, strict=True)}
        drawn[name] = {str(seed): [subject.experiment.store.names[i] for i in rows] for seed, rows in draws.items()}
    draw, predicted = "per class, at least one clip a class", _kept(subject, f"semi-{kind}", named)
    return Outcome({**_told(subject, kind), "draw": draw, "seeds": list(seeds)}, measures, predicted, {"drawn": drawn})


def _kept(subject: Subject, protocol: str, named: dict[str, Tuned]) -> dict[str, np.ndarray]:
    """The predictions by column; the scores behind them go to a file of the run's folder, for fusing streams."""
    save_scores(scores_file(subject.run_dir, protocol), {column: own.scores for column, own in named.items()})
    return {column: own.predicted for column, own in named.items()}


def _told(subject: Subject, kind: str) -> dict[str, Any]:
    """What the numbers depend on."""
    start = "the run's encoder" if kind == "finetune" else "random weights, drawn by the seed"
    return {"starts from": start, **subject.tuning.told()}
