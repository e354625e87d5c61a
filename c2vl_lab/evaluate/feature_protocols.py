"""The protocols that need nothing but frozen features and labels: probes, neighbours, few labels, clustering."""

from __future__ import annotations

import numpy as np

from c2vl_lab.config import to_dict
from c2vl_lab.evaluate.clustering import STARTS, cluster
from c2vl_lab.evaluate.few_labels import DRAWS, SHARES, few_label_probes
from c2vl_lab.evaluate.neighbours import nearest_neighbours
from c2vl_lab.evaluate.outcome import Measure, Outcome, accuracy_measure
from c2vl_lab.evaluate.sgd_probe import SGD_PROBES, sgd_probe
from c2vl_lab.evaluate.subject import Subject


def linear(subject: Subject) -> Outcome:
    """The published SGD settings and our own, each with three seeds."""
    train, labels, test, truth = subject.parts
    measures, settings = [], {}
    predicted: dict[str, np.ndarray] = {}
    for name, given in SGD_PROBES.items():
        found = [
            sgd_probe(train, labels, subject.groups, test, name, seed, subject.experiment.device)
            for seed in subject.seeds
        ]
        what = f"{name} settings" if len(given.rates) == 1 else "learning rate chosen inside the training part"
        measures.append(accuracy_measure(what, [own.predicted for own in found], truth))
        predicted |= {f"linear_{name}_{s}": own.predicted for s, own in zip(subject.seeds, found, strict=True)}
        used = {name: value for name, value in to_dict(given).items() if name != "rates"}
        settings[name] = used | {"rates": [own.setting for own in found], "tried": list(given.rates)}
    return Outcome({"seeds": list(subject.seeds), "epoch": "the last", **settings}, measures, predicted)


def knn(subject: Subject) -> Outcome:
    """Plain cosine as the field has it, and centred as the default has it; all k."""
    train, labels, test, truth = subject.parts
    measures = []
    predicted: dict[str, np.ndarray] = {}
    for what, centred in (("plain cosine", False), ("centred", True)):
        found = nearest_neighbours(train, labels, test, centred=centred, device=subject.experiment.device)
        measures += [accuracy_measure(f"k = {k}, {what}", [own], truth) for k, own in found.items()]
        predicted |= {f"knn{k}_{'centred' if centred else 'plain'}": own for k, own in found.items()}
    rule = "cosine, majority vote, ties to the lowest class; every k is reported"
    return Outcome({"rule": rule, "bank": len(train), "centred": "by the training mean"}, measures, predicted)


def semi(subject: Subject) -> Outcome:
    """Linear probes with 1, 5, 10 and 20 % of the labels, five draws each."""
    train, labels, test, truth = subject.parts
    seed = subject.experiment.config.seed
    found = few_label_probes(train, labels, subject.groups, test, seed=seed)
    names = [subject.experiment.store.names[i] for i in subject.train]
    measures, drawn = [], {}
    predicted: dict[str, np.ndarray] = {}
    for share in SHARES:
        own = [draw for draw in found if draw.share == share]
        what = f"{100 * share:g} % of the labels ({len(own[0].labelled)} clips)"
        measures.append(accuracy_measure(what, [draw.predicted for draw in own], truth))
        predicted |= {f"semi_{100 * share:g}_{draw.seed}": draw.predicted for draw in own}
        drawn[f"{100 * share:g} %"] = {str(draw.seed): [names[i] for i in draw.labelled] for draw in own}
    settings = {
        "draw": "per class, at least one clip a class",
        "draws": DRAWS,
        "seeds": [seed + number for number in range(DRAWS)],
        "probe": "logistic regression on frozen features, its strength chosen inside the labelled clips",
    }
    return Outcome(settings, measures, predicted, {"drawn": drawn})


def clusters(subject: Subject) -> Outcome:
    """k-means with three seeds: matched accuracy, normalised mutual information, adjusted Rand index."""
    train, labels, test, truth = subject.parts
    count = len(subject.experiment.store.classes)
    found = [cluster(train, labels, test, truth, count, seed) for seed in subject.seeds]
    titles = {"nmi": "normalised mutual information", "ari": "adjusted Rand index"}
    measures = [
        accuracy_measure("accuracy, matched on the test labels", [own.matched for own in found], truth),
        accuracy_measure("accuracy, matched on the training labels", [own.predicted for own in found], truth),
        *(Measure(t, tuple(getattr(own, name) for own in found), len(test), "index") for name, t in titles.items()),
    ]
    predicted = {f"cluster_{seed}": own.predicted for seed, own in zip(subject.seeds, found, strict=True)}
    rule = "k-means of the centred unit-length training features, one cluster a class of the training part"
    return Outcome({"rule": rule, "seeds": list(subject.seeds), "starts": STARTS}, measures, predicted)
