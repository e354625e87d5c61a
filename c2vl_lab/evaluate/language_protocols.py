"""The protocols that ask with words: retrieval both ways, and classes known by their texts alone."""

from __future__ import annotations

import numpy as np

from c2vl_lab.bench.statistics import bootstrap_interval
from c2vl_lab.evaluate.class_splits import ClassSplit, class_splits
from c2vl_lab.evaluate.language import NEAR_DUPLICATE, RECALLS, near_duplicates, own_ranks
from c2vl_lab.evaluate.outcome import Measure, Outcome
from c2vl_lab.evaluate.rows import unit
from c2vl_lab.evaluate.spaces import class_features, class_points, joint_space
from c2vl_lab.evaluate.subject import Subject
from c2vl_lab.evaluate.unseen import HANDICAPS, STRENGTHS, Unseen, by_prompts, unseen_classes
from c2vl_lab.learners.concept import ConceptLearner


def both_ways(subject: Subject) -> Outcome:
    """Retrieval between skeletons and their own texts in the learned joint space, with and without near-duplicates."""
    assert isinstance(subject.learner, ConceptLearner)
    points = joint_space(subject.experiment, subject.learner, subject.features)
    skeleton, language = points["skeleton"][subject.test], points["language"][subject.test]
    texts = subject.experiment.concepts("language")[subject.test]
    measures = []
    for where, known in (("all clips", None), ("near-duplicates out", texts)):
        for way, sides in (("skeleton to text", (skeleton, language)), ("text to skeleton", (language, skeleton))):
            ranks = own_ranks(*sides, texts=known)
            for k in RECALLS:
                low, high = bootstrap_interval(ranks <= k)
                share = float((ranks <= k).mean())
                measures.append(Measure(f"{way}, R@{k}, {where}", (share,), len(ranks), low=low, high=high))
            measures.append(Measure(f"{way}, median rank, {where}", (float(np.median(ranks)),), len(ranks), "rank"))
    settings = {
        "gallery": f"the {len(texts)} test clips",
        "near-duplicates": f"frozen concepts of cosine {NEAR_DUPLICATE} or more; they leave a query's ranking",
        "near-duplicates of a clip": round(near_duplicates(texts), 2),
    }
    return Outcome(settings, measures)


def unseen(subject: Subject) -> Outcome:
    """Classes that the map to their texts has not seen, alone and among all classes."""
    experiment, seed = subject.experiment, subject.experiment.config.seed
    train, labels, test, truth = subject.parts
    texts = class_features(experiment)
    texts = unit(texts - texts.mean(axis=0))
    splits = class_splits(experiment.store, subject.class_splits, seed)
    usable = [s for s in splits if 0 < np.isin(truth, s.unseen).sum() < len(truth)]  # test clips of both kinds
    found = {s.name: unseen_classes(train, labels, test, truth, texts, s.unseen, seed) for s in usable}
    measures = _measures("map", found, splits, len(truth))
    if isinstance(subject.learner, ConceptLearner) and "language" in subject.learner.concepts:
        points = joint_space(experiment, subject.learner, subject.features)["skeleton"][subject.test]
        cosine = points @ class_points(experiment, subject.learner).T
        asked = {s.name: by_prompts(cosine, truth, s.unseen) for s in usable}
        measures += [m for m in _measures("joint space", asked, splits, len(truth)) if "handicap" not in m.name]
    names = experiment.store.classes
    settings = {
        "joint space": "nearest class text where the run has learned one: no label, nothing chosen",
        "map": "ridge regression from frozen features to class texts, on the training clips of seen classes",
        "strengths tried": list(STRENGTHS),
        "handicaps tried": f"{HANDICAPS[0]} to {HANDICAPS[-1]}",
        "teacher": experiment.teacher.name,
        "texts": experiment.config.class_texts or "class names",
        "caution": "the encoder was trained, without labels, on clips of all classes",
        "splits": {s.name: _split(s, names) for s in splits},
        "chosen": {name: _found(own) for name, own in found.items()},
    }
    return Outcome(settings, measures)


def _measures(how: str, found: dict[str, Unseen], splits: list[ClassSplit], tested: int) -> list[Measure]:
    """The numbers of each published split, or of all drawn ones together."""
    drawn = splits[0].source.startswith("drawn")
    groups = [("", list(found.values()))] if drawn else [(f"{name}, ", [own]) for name, own in found.items()]
    titles = {
        "zero_shot": "unseen classes alone",
        "seen": "seen among all",
        "unseen": "unseen among all",
        "harmonic": "harmonic mean",
        "plain_harmonic": "harmonic mean without handicap",
    }
    return [  # none where no split has test clips of both kinds
        Measure(f"{how}: {split}{title}", tuple(getattr(own, name) for own in group), _clips(name, group, tested))
        for split, group in groups
        if group
        for name, title in titles.items()
    ]


def _clips(name: str, group: list[Unseen], tested: int) -> int:
    """Test clips behind a number: those of unseen classes, the others, or all; of several splits the sum."""
    new = sum(own.clips for own in group)
    return {"zero_shot": new, "unseen": new, "seen": tested * len(group) - new}.get(name, tested * len(group))


def _split(split: ClassSplit, names: list[str]) -> dict[str, object]:
    chance = f"{100 / len(split.unseen):.1f} % of unseen classes alone"
    return {"unseen": [names[i] for i in split.unseen], "chance": chance, "source": split.source}


def _found(own: Unseen) -> dict[str, float]:
    return {"strength": own.strength, "handicap": own.handicap, "test clips of unseen classes": own.clips}
