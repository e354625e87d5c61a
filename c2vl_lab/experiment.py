"""One cell of a benchmark: a data set, an arm and a seed, from recordings to results on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.concepts import PooledEachStep, choose_tau, effective_targets, target_warning
from c2vl_lab.config import replace, to_dict
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.joined import check_sources, in_layout, parse_sources, training_clips
from c2vl_lab.data.mapping import common_layout
from c2vl_lab.data.protocols import make_split
from c2vl_lab.data.transforms import VERSION as PREPARED
from c2vl_lab.data.transforms import prepare
from c2vl_lab.errors import MissingError
from c2vl_lab.imported import with_imported
from c2vl_lab.learners.base import Learner
from c2vl_lab.regression import place_targets
from c2vl_lab.run_checks import check_captions, check_classes
from c2vl_lab.run_config import ARMS, TRAINED, RunConfig
from c2vl_lab.run_files import keep_skeleton, write_config
from c2vl_lab.run_files import load_config as load_config  # its first home
from c2vl_lab.run_material import RunMaterial
from c2vl_lab.sharing.opening import OpenedEncoder
from c2vl_lab.training.build import build_learner
from c2vl_lab.training.card import check_card, run_card
from c2vl_lab.training.checkpoints import FILE as CHECKPOINT
from c2vl_lab.training.checkpoints import read_checkpoint, restore
from c2vl_lab.training.fit import fit
from c2vl_lab.training.keeping import make_folder
from c2vl_lab.training.settings import TrainingSet, pick_device
from c2vl_lab.training.stopping import signals_as_stop
from c2vl_lab.viz.theme import origin_note

Progress = Callable[[str], None] | None


@dataclass
class Experiment(RunMaterial):
    """What a run works on, and what it learns from.

    Attributes:
        imported: the encoder of arm "imported".
    """

    imported: OpenedEncoder | None = None

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

    @property
    def note(self) -> str:
        """What is said beside a picture of the run: generated clips, a stand-in teacher; empty without either."""
        return origin_note(self.store.generated, self.config.uses_concepts and self.teacher.stand_in)

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
