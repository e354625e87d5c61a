"""One cell of a benchmark: a data set, an arm and a seed, from recordings to results on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.concepts import (
    ConceptSpace,
    PooledEachStep,
    choose_tau,
    effective_targets,
    image_features,
    target_warning,
    text_features,
)
from c2vl_lab.config import replace, to_dict
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.joined import ClipRows, check_sources, in_layout, parse_sources, training_clips
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.data.mapping import common_layout
from c2vl_lab.data.protocols import Split, make_split
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.transforms import VERSION as PREPARED
from c2vl_lab.data.transforms import prepare
from c2vl_lab.errors import MissingError
from c2vl_lab.imported import with_imported
from c2vl_lab.learners.base import Learner
from c2vl_lab.prompts.asking.opening import ANSWERS, open_answers
from c2vl_lab.prompts.kinematic import CAPTIONER_VERSION, caption_store
from c2vl_lab.prompts.pictures import open_pictures
from c2vl_lab.prompts.separation import training_prompts
from c2vl_lab.prompts.store import at_places, load_prompts, prompts_for, save_prompts
from c2vl_lab.prompts.video import VideoPictures
from c2vl_lab.regression import place_targets
from c2vl_lab.run_checks import check_captions, check_classes
from c2vl_lab.run_config import ARMS, TRAINED, RunConfig
from c2vl_lab.run_files import keep_skeleton, write_config
from c2vl_lab.run_files import load_config as load_config  # its first home
from c2vl_lab.sharing.opening import OpenedEncoder
from c2vl_lab.teachers import Teacher, load_teacher
from c2vl_lab.teachers.feature_files import FeatureRows
from c2vl_lab.teachers.files import FileTeacher
from c2vl_lab.teachers.joined_features import join_features, levelled_to
from c2vl_lab.teachers.protocol import PictureSource
from c2vl_lab.training.build import build_learner
from c2vl_lab.training.card import check_card, run_card
from c2vl_lab.training.checkpoints import FILE as CHECKPOINT
from c2vl_lab.training.checkpoints import read_checkpoint, restore
from c2vl_lab.training.fit import fit
from c2vl_lab.training.keeping import make_folder
from c2vl_lab.training.settings import TrainingSet, pick_device
from c2vl_lab.training.stopping import signals_as_stop

Progress = Callable[[str], None] | None


@dataclass
class Experiment:
    """What a run works on. Heavy parts are made on first use and cached on disk under ``work_dir``.

    Attributes:
        config: the settings.
        store: the recordings.
        split: indices of the training and the test part.
        clips: (N, 64, M, V, 3) normalised coordinates of all clips, in store order; memory-mapped.
        device: where to compute.
        layout: the joints of ``clips``; those that all sets share where others are trained on.
        sources: the sets that are trained on where it is not this one alone, each opened for itself.
        imported: the encoder of arm "imported".
    """

    config: RunConfig
    store: SkeletonStore
    split: Split
    clips: ClipRows
    device: str
    layout: JointLayout
    progress: Progress = None
    sources: list[Experiment] = field(default_factory=list)
    imported: OpenedEncoder | None = None
    _training: dict[str, FeatureRows] = field(default_factory=dict)
    _joined: dict[str, FeatureRows] = field(default_factory=dict)
    _raw: dict[str, FeatureRows] = field(default_factory=dict)
    _pictures: PictureSource | None = None
    _spaces: dict[str, ConceptSpace] = field(default_factory=dict)
    _teacher: Teacher | None = None

    @property
    def teacher(self) -> Teacher:
        """The frozen teacher."""
        if self._teacher is None:
            self._teacher = load_teacher(self.config.teacher, self.device)
        return self._teacher

    @property
    def cache(self) -> Path:
        """Folder of the feature cache."""
        return Path(self.config.work_dir) / "cache"

    def prompts(self, names: list[str] | None = None) -> dict[str, list[str]]:
        """Sentences of the clips: those of a file or of a model's answers, or the kinematic captioner's, written once.

        Args:
            names: the clips that must have answers, where they come from a folder of answers; None: all of the set.

        Raises:
            MissingError: no such file or folder, or answers are missing; it names the first.
        """
        captions = self.config.captions
        if captions.startswith(ANSWERS):
            answers, series = open_answers(captions)
            return answers.to_prompts(self.store.names if names is None else names, series)
        if captions != "kinematic":
            return load_prompts(captions)
        folder = Path(self.config.work_dir) / "prompts"
        path = folder / f"{self.store.dataset}-{self.store.fingerprint}-kinematic{CAPTIONER_VERSION}.json"
        if not path.exists():
            save_prompts(path, caption_store(self.store, self.progress))
        return load_prompts(path)

    def training_features(self, modality: str) -> FeatureRows:
        """(n, K, D) teacher features of the clips that are trained on, in their order; those of all sources."""
        if not self.sources:
            return self.own_features(modality)
        if modality not in self._joined:
            if modality == "language":
                self._check_class_level()
            parts = [source.own_features(modality) for source in self.sources]
            self._joined[modality] = join_features(parts, self.config.levels_sets)
        return self._joined[modality]

    def own_features(self, modality: str) -> FeatureRows:
        """(n, K, D) teacher features of this set's training clips, in their order; no other clip's are read or made."""
        if modality not in self._training:
            names = [self.store.names[i] for i in self.split.train]
            texts = self._training_texts(names) if modality == "language" else None
            self._training[modality] = self._make_features(modality, names, texts)
        return self._training[modality]

    def _check_class_level(self) -> None:
        """Refuse texts of this set's classes in the sources' training texts too: zero-shot asks with them."""
        where = f"captions={self.config.captions}"
        for source in self.sources:
            names = [source.store.names[i] for i in source.split.train]
            training_prompts(source.prompts(names), names, [], self.store.classes, where, self.config.class_texts)

    def _training_texts(self, names: list[str]) -> list[list[str]]:
        """Sentences of the training clips; texts of test clips and of classes are refused."""
        test = [self.store.names[i] for i in self.split.test]
        config = self.config
        where = f"captions={config.captions}"
        texts = training_prompts(self.prompts(names), names, test, self.store.classes, where, config.class_texts)
        return at_places(texts, config.sentences, where)

    def features(self, modality: str) -> FeatureRows:
        """(N, K, D) teacher features of all clips; NaN rows for clips without pictures."""
        if modality not in self._raw:
            self.own_features(modality)  # first and alone, so that they do not depend on other clips
            names = self.store.names
            texts = None
            if modality == "language":
                texts = prompts_for(self.prompts(), names, self.config.captions)
                texts = at_places(texts, self.config.sentences, self.config.captions)
            found = self._make_features(modality, names, texts)
            if self.sources and self.config.levels_sets:
                found = levelled_to(found, self.own_features(modality), self.training_features(modality))
            self._raw[modality] = found
        return self._raw[modality]

    def _make_features(self, modality: str, names: list[str], texts: list[list[str]] | None) -> FeatureRows:
        """Teacher features of the named clips, of their texts or else their pictures; what the cache holds is read."""
        if texts is not None:
            return text_features(texts, self.teacher, self.cache, self.progress)
        if isinstance(self.teacher, FileTeacher):
            return self.teacher.clip_features(names)
        if self._pictures is None:
            self._pictures = open_pictures(
                self.config.pictures, self.store, self.config.data_dir, self.config.picture_style
            )
        count = self.config.pictures_per_clip
        features = image_features(self._pictures, names, count, self.teacher, self.cache, self.progress)
        if isinstance(self._pictures, VideoPictures) and self.progress is not None:
            for sentence in self._pictures.remarks():
                self.progress(sentence)
        return features

    def space(self, modality: str) -> ConceptSpace:
        """Pooling and centring of a modality, fitted on the training part."""
        if modality not in self._spaces:
            config = self.config.concept_config()
            features = self.training_features(modality)
            self._spaces[modality] = ConceptSpace.fit(features, np.arange(len(features)), config)
        return self._spaces[modality]

    def concepts(self, modality: str) -> np.ndarray:
        """(N, D) concepts of all clips, unit length; NaN where a clip has no pictures."""
        return self.space(modality).transform(self.features(modality))

    def training_set(self) -> TrainingSet:
        """What the arm may learn from: training clips with their own concepts, labels for "supervised" alone.

        With sources they are those clips, one set after another, each name behind its set's.

        Raises:
            MissingError: a training clip has no pictures though vision takes part.
        """
        own = training_clips(self, self.sources, self.layout)
        names = own.names
        concepts: dict[str, np.ndarray] = {}
        taus: dict[str, float] = {}
        pooled: dict[str, PooledEachStep] = {}
        places: dict[str, np.ndarray] = {}
        if self.config.uses_concepts:
            for modality in self.config.modality_names:
                rows = self.space(modality).transform(self.training_features(modality))
                absent = [names[i] for i in np.flatnonzero(~np.isfinite(rows).all(axis=1))]
                if absent:
                    raise MissingError(
                        f"{len(absent)} of {len(names)} training clips have no pictures ({self.config.pictures}), "
                        f"for example {', '.join(absent[:3])}. Pre-training with vision needs pictures of all of them."
                    )
                concepts[modality] = rows
                if given := self.space(modality).each_step(self.training_features(modality)):
                    pooled[modality] = given
                if self.config.regression_weight > 0:
                    places[modality] = place_targets(self.training_features(modality))
                batch = min(self.config.batch_size, len(names))
                taus[modality] = choose_tau(rows, self.config.effective_targets, batch)
                self._tell_targets(modality, rows, taus[modality], batch)
        supervised = self.config.arm == "supervised"
        return TrainingSet(
            clips=own.clips,
            rows=own.rows,
            names=names,
            layout=self.layout,
            concepts=concepts,
            taus=taus,
            pooled=pooled,
            places=places,
            labels=own.labels if supervised else None,
            classes=own.classes if supervised else 0,
            key=self._training_key(concepts),
            sets=own.sets,
            sources=self.described_sources(),
            # for watching alone: no loss sees these
            watch_labels=own.labels if self.config.knn_every else None,
            watch_groups=own.people if self.config.knn_every else None,
        )

    def described_sources(self) -> dict[str, str]:
        """Names and protocols of the sources, with their fingerprints; empty where this set itself is trained on."""
        return {f"{own.store.dataset}:{own.split.protocol}": own.store.fingerprint for own in self.sources}

    def _training_key(self, modalities: Iterable[str]) -> str:
        """Fingerprint of recordings, normalisation, training names, texts, pictures, teacher and their pooling."""
        if self.sources:
            parts: list[Any] = [
                *[source._training_key([]) for source in self.sources],
                self.layout.joints,
                self.layout.parents,
            ]
        else:
            normal = to_dict(self.config.prepare_config())
            parts = [self.store.fingerprint, PREPARED, normal, [self.store.names[i] for i in self.split.train]]
        pooling = to_dict(self.config.concept_config())
        return fingerprint(*parts, pooling, *[self.training_features(m).key for m in sorted(modalities)])

    def _tell_targets(self, modality: str, rows: np.ndarray, tau: float, batch: int) -> None:
        """Log the effective number of targets, with a warning where they carry nothing."""
        if self.progress is None:
            return
        if self.teacher.shared_space and self.config.pooling == "ordered" and len(self.config.modality_names) == 2:
            self.progress("pooling='ordered' gives each modality its own axes; 'mean' keeps the teacher's shared space")
        effective = effective_targets(rows, tau, batch)
        self.progress(f"{modality}: tau {tau:.3f} gives {effective:.1f} effective targets in a batch of {batch}")
        warning = target_warning(effective, batch)
        if warning:
            self.progress(f"warning: {modality}: {warning}")

    def describe(self) -> pd.DataFrame:
        """A small table of what the run is about."""
        store, config = self.store, self.config
        rows = {
            "data set": store.dataset + (" (generated clips, no recordings)" if store.generated else ""),
            "fingerprint": store.fingerprint,
            "protocol": f"{config.protocol}: {self.split.rule}",
            "clips": f"{len(self.split.train)} train, {len(self.split.test)} test, {len(store.classes)} classes",
            "skeleton": f"{self.layout.name}, {len(self.layout)} joints, {store.bodies} body slots",
            "arm": f"{config.arm}: {ARMS[config.arm]}",
            "device": self.device,
        }
        if self.sources:
            clips = [f"{len(own.split.train)} of {own.store.dataset}, {own.split.protocol}" for own in self.sources]
            rows["trained on"] = " + ".join(clips)
        if config.uses_concepts:
            rows["modalities"] = config.modalities
            rows["teacher"] = self.teacher.name + (" (stand-in)" if self.teacher.stand_in else "")
        return pd.DataFrame({"value": rows})


def open_experiment(config: RunConfig, progress: Progress = None) -> Experiment:
    """Open data, split and normalised clips of a run.

    Raises:
        C2VLError: a missing or damaged file, an unknown name; one sentence says what to do.
    """
    check_captions(config)
    store = open_dataset(config.dataset, config.data_dir, config.work_dir, progress)
    split = make_split(store, config.protocol)
    check_classes(store, split)
    device = pick_device(config.device)
    if progress:
        progress(f"{store.dataset}: {len(store)} clips, device {device}")
    if config.arm == "imported":
        config, taken, clips = with_imported(config, store, device, progress)
        return Experiment(config, store, split, clips, device, taken.layout, progress, imported=taken)
    clips = prepare(store, config.prepare_config(), Path(config.work_dir) / "cache", progress)
    opened = Experiment(config, store, split, clips, device, store.layout, progress)
    return _with_sources(opened, progress) if config.pretrain_on else opened


def _with_sources(target: Experiment, progress: Progress) -> Experiment:
    """The run with the sets that it is trained on; its own clips in the joints that all of them share."""
    config, store = target.config, target.store
    for source in parse_sources(config.pretrain_on):
        # its own class texts are another file; those of the target are looked for by the target
        own: dict[str, Any] = {"dataset": source.dataset, "protocol": source.protocol, "class_texts": ""}
        own |= {"pretrain_on": "", "balance_sets": False}
        target.sources.append(open_experiment(replace(config, **own), progress))
    check_sources(target.sources, target, config.looked_up_by_name)
    target.layout = common_layout([store.layout, *[source.store.layout for source in target.sources]])
    target.clips = in_layout(store, target.clips, target.layout)
    return target


def pretrain(experiment: Experiment, run_dir: str | Path, progress: Progress = None) -> Learner | None:
    """Train the run's arm in ``run_dir`` (resuming it there), or None for an arm without training.

    Writes ``config.json`` before training where the folder holds no checkpoint that could speak against it, and once
    training is done. Ctrl-C (Jupyter's interrupt) and SIGTERM are followed after the batch, with a checkpoint.

    Raises:
        ConfigError: the folder holds a checkpoint of other settings or data; it stays as it was.
        StoppedError: a signal, or a file STOP in the folder, asked for an end; the same call goes on from there.
        StorageError: the folder cannot be made or written to.
    """
    run_dir = Path(run_dir)
    make_folder(run_dir)
    learner = None
    if experiment.config.arm in TRAINED:
        data = experiment.training_set()
        if not (run_dir / CHECKPOINT).exists():  # a run that is stopped or killed is to say what it was
            write_config(experiment.config, run_dir)
        with signals_as_stop() as stop:
            learner = fit(experiment.config.fit_config(), data, run_dir, experiment.device, progress, stop)
    write_config(experiment.config, run_dir)
    keep_skeleton(experiment.config, experiment.layout, experiment.clips.shape[2], run_dir)
    return learner


def load_learner(experiment: Experiment, run_dir: str | Path) -> Learner:
    """The finished learner of a trained arm.

    Raises:
        MissingError: the run has no checkpoint, or its training was cut short.
        ConfigError: the checkpoint is of other settings or other data.
        DataError: the checkpoint is torn or foreign.
    """
    tensors, card = read_checkpoint(Path(run_dir))
    config, data = experiment.config.fit_config(), experiment.training_set()
    check_card(Path(run_dir), card, run_card(config, data))
    if card.get("epoch", 0) < config.epochs:
        raise MissingError(
            f"{run_dir} is trained to epoch {card.get('epoch', 0)} of {config.epochs}. Run the same command again: "
            "it goes on where it was cut."
        )
    learner = build_learner(config, data, experiment.device)
    restore(tensors, learner, None)
    return learner
