"""What a run works on: its clips, their sentences and pictures, the teacher's features of these, and their concepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from c2vl_lab.concepts import ConceptSpace, image_features, text_features
from c2vl_lab.data.joined import ClipRows
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.data.protocols import Split
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.prompts.asking.opening import ANSWERS, open_answers
from c2vl_lab.prompts.kinematic import CAPTIONER_VERSION, caption_store
from c2vl_lab.prompts.pictures import open_pictures
from c2vl_lab.prompts.separation import training_prompts
from c2vl_lab.prompts.store import at_places, load_prompts, prompts_for, save_prompts
from c2vl_lab.prompts.video import VideoPictures
from c2vl_lab.run_config import RunConfig
from c2vl_lab.teachers import Teacher, load_teacher
from c2vl_lab.teachers.feature_files import FeatureRows
from c2vl_lab.teachers.files import FileTeacher
from c2vl_lab.teachers.joined_features import join_features, levelled_to
from c2vl_lab.teachers.protocol import PictureSource

Progress = Callable[[str], None] | None


@dataclass
class RunMaterial:
    """A run's clips, what is said and seen of them, and their concepts; made on first use, cached under ``work_dir``.

    Attributes:
        config: the settings.
        store: the recordings.
        split: indices of the training and the test part.
        clips: (N, 64, M, V, 3) normalised coordinates of all clips, in store order; memory-mapped.
        device: where to compute.
        layout: the joints of ``clips``; those that all sets share where others are trained on.
        sources: the sets that are trained on where it is not this one alone, each opened for itself.
    """

    config: RunConfig
    store: SkeletonStore
    split: Split
    clips: ClipRows
    device: str
    layout: JointLayout
    progress: Progress = None
    sources: list[Self] = field(default_factory=list)
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
