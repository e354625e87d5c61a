"""Every setting of a benchmark run in one flat place, and what each arm makes of them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from c2vl_lab.concepts import ConceptConfig
from c2vl_lab.data.align import PrepareConfig
from c2vl_lab.data.augment import AugmentConfig
from c2vl_lab.data.joined import parse_sources
from c2vl_lab.errors import ConfigError, choose
from c2vl_lab.objective import ObjectiveConfig
from c2vl_lab.prompts.person import STYLES
from c2vl_lab.prompts.store import ALL, sentence_places
from c2vl_lab.training.settings import FitConfig

ARMS = {
    "coordinates": "view-normalised coordinates, nothing learned",
    "prompts": "the prompts alone: pooled teacher features, no skeleton",
    "untrained": "the encoder with random weights",
    "skeletonclr": "SkeletonCLR-style: two augmented views, no text",
    "aimclr": "AimCLR-style: two augmented views and an extreme one, no text",
    "byol": "BYOL-style: one view predicts the other, no text and no negatives",
    "hard": "CLIP-style hard contrast with the prompts (alpha = 0)",
    "full": "C2VL: hard, intra-modal and inter-modal targets, progressive",
    "supervised": "supervised encoder of the same size, the upper bound",
    "imported": "an encoder from elsewhere, packed or of another code base, as it is",
}
TRAINED = {"skeletonclr": "skeletonclr", "aimclr": "aimclr", "byol": "byol"}
TRAINED |= {"hard": "c2vl", "full": "c2vl", "supervised": "supervised"}
MODALITIES = {"language": ("language",), "vision": ("vision",), "language+vision": ("vision", "language")}


@dataclass(frozen=True)
class RunConfig:
    """Every setting of a run, flat, each one a parameter of notebook 06_benchmark.

    Attributes:
        dataset: a data set's name or the path of a store folder; what the run is measured on.
        data_dir: folder of the published files.
        protocol: split; "<protocol>-val<k>" stays inside the training part.
        pretrain_on: "" trains the encoder on ``dataset`` itself; "nw-ucla:xview+utd-mhad:xsub" on the training parts
            of these sets instead, in the joints that they and ``dataset`` share. Of ``dataset`` only the probes learn
            then, unless it is one of them.
        center_each_set: of several sets, each one's sentences or pictures are centred on its own training clips; False
            centres on all together, so that a concept may name its set.
        balance_sets: see :class:`~c2vl_lab.training.settings.FitConfig`.
        work_dir: stores, caches and runs live here.
        arm: one of :data:`ARMS`.
        modalities: "language", "vision" or "language+vision".
        seed: weights, order, augmentation and probe folds.
        align, origin, scale: see :class:`~c2vl_lab.data.align.PrepareConfig`; the same for every arm of a comparison.
        encoder, width, stream: see :class:`~c2vl_lab.training.settings.FitConfig`.
        encoder_from: of arm "imported": the run folder, packed archive or folder of the encoder
            (:func:`~c2vl_lab.sharing.opening.open_encoder`), which brings encoder, width, stream, frames and the way
            clips are normalised with it.
        frames: frames that the encoder sees.
        epochs, batch_size, optimizer, lr, lr_schedule, lr_steps, warmup_epochs, weight_decay, momentum,
            momentum_schedule, view_tau, queue, neighbours, label_smoothing: training, see
            :class:`~c2vl_lab.training.settings.FitConfig`; what was published is in :mod:`c2vl_lab.recipes`.
        crop, turn, tilt, size, noise, flip, shear: augmentation, see :class:`~c2vl_lab.data.augment.AugmentConfig`.
        teacher: "offline", "bag", "clip-paper", "clip-light", "open_clip:MODEL:TAG", "hf:FOLDER" or "features:PATH".
        captions: "kinematic", the path of a prompts file {clip name: [sentence, ...]}, or "answers:FOLDER" for the
            answers that `c2vl ask` keeps there, edits applied; with several series in the folder "answers:FOLDER#ID".
        sentences: "all", or the places of the sentences that are used, from 1, for example "16" or "1,6,9,16".
        class_texts: "", or the path of class-level texts that zero-shot classification asks with beside the class
            names (:func:`~c2vl_lab.prompts.class_prompts.load_class_texts`); they never reach training.
        pictures: "", "depth", "rendered", "video:PATH" or "folder:PATH"; wanted where vision takes part.
        pictures_per_clip: pictures spread over a clip.
        picture_style: how video is shown, one of :data:`~c2vl_lab.prompts.person.STYLES`; others have one look.
        pooling, components, center, subset: see :class:`~c2vl_lab.concepts.ConceptConfig`.
        alpha_max, gamma, schedule, warmup, kappa, effective_targets, skeleton_tau, vision_language_pair,
            two_view_weight, contrast_weight, regression_weight: see :class:`~c2vl_lab.objective.ObjectiveConfig`;
            arm "hard" sets alpha_max to 0.
        checkpoint_every, checkpoint_minutes: epochs and minutes between checkpoints, whichever comes first.
        keep_every: epochs between states of the weights that the concept explorer can show; 0: none is kept.
        on_nan: "stop" or "skip", what follows where a loss becomes NaN.
        knn_every: epochs between looks at the training clips' neighbours, for the curves alone; 0: never.
        micro_batch, accumulate, sync_norm: how a step is cut into pieces, batches and processes, see
            :class:`~c2vl_lab.training.settings.FitConfig`; ``batch_size`` counts the clips of all devices together.
        device: "auto", "cpu" or "cuda".
        precision, compile, resident: how fast and how exactly a device computes, see
            :class:`~c2vl_lab.training.settings.FitConfig`.
    """

    dataset: str = "generated"
    data_dir: str = ""
    protocol: str = "xsub"
    pretrain_on: str = ""
    center_each_set: bool = True
    balance_sets: bool = False
    work_dir: str = "work"
    arm: str = "full"
    modalities: str = "language"
    seed: int = 0
    encoder: str = "temporal"
    width: int = 0
    stream: str = "joint"
    encoder_from: str = ""
    align: str = "clip"
    origin: str = "clip"
    scale: bool = True
    frames: int = 32
    epochs: int = 60
    batch_size: int = 128
    optimizer: str = "adamw"
    lr: float = 2e-3
    lr_schedule: str = "cosine"
    lr_steps: str = ""
    warmup_epochs: int = 1
    weight_decay: float = 1e-3
    momentum: float = 0.99
    momentum_schedule: str = "constant"
    view_tau: float = 0.1
    queue: int = 0
    neighbours: int = 0
    label_smoothing: float = 0.1
    crop: float = 0.5
    turn: float = 60.0
    tilt: float = 10.0
    size: float = 0.2
    noise: float = 0.05
    flip: float = 0.0
    shear: float = 0.0
    teacher: str = "offline"
    captions: str = "kinematic"
    sentences: str = ALL
    class_texts: str = ""
    pictures: str = ""
    pictures_per_clip: int = 16
    picture_style: str = "crop+overlay"
    pooling: str = "mean"
    components: int = 256
    center: str = "places"
    subset: int = 0
    alpha_max: float = 0.5
    gamma: float = 0.5
    schedule: str = "progressive"
    warmup: float = 0.1
    kappa: float = 14.2857
    effective_targets: float = 3.0
    skeleton_tau: float = 0.1
    vision_language_pair: bool = True
    two_view_weight: float = 0.0
    contrast_weight: float = 1.0
    regression_weight: float = 0.0
    checkpoint_every: int = 10
    keep_every: int = 0
    checkpoint_minutes: float = 10.0
    on_nan: str = "stop"
    knn_every: int = 0
    micro_batch: int = 0
    accumulate: int = 1
    sync_norm: bool = False
    device: str = "auto"
    precision: str = "auto"
    compile: str = "auto"
    resident: str = "auto"

    def __post_init__(self) -> None:
        choose(self.arm, ARMS, "arm")
        choose(self.modalities, MODALITIES, "choice of modalities")
        choose(self.picture_style, STYLES, "style of pictures")
        if self.uses_concepts and "vision" in MODALITIES[self.modalities] and not self._has_pictures:
            raise ConfigError(
                f"modalities='{self.modalities}' wants pictures: depth, rendered, video:PATH or folder:PATH."
            )
        if parse_sources(self.pretrain_on) and self.arm not in TRAINED:
            raise ConfigError(
                f"pretrain_on='{self.pretrain_on}': arm '{self.arm}' is not trained. Trained: {', '.join(TRAINED)}."
            )
        if self.balance_sets and not self.pretrain_on:
            raise ConfigError("balance_sets wants several sets in pretrain_on, as in nw-ucla:xview+utd-mhad:xsub.")
        if (self.arm == "imported") != bool(self.encoder_from):
            raise ConfigError("encoder_from (a run, an archive or a folder) and arm='imported' go together.")
        self.prepare_config()
        self.concept_config()
        if self.arm in TRAINED:
            self.fit_config()
        sentence_places(self.sentences)

    @property
    def _has_pictures(self) -> bool:
        """Pictures, or a file that holds their features."""
        return bool(self.pictures) or self.teacher.startswith("features:")

    @property
    def uses_concepts(self) -> bool:
        """Whether the arm looks at the concept space."""
        return self.arm in ("prompts", "hard", "full")

    @property
    def levels_sets(self) -> bool:
        """Whether several sets' texts or pictures are each centred on their own set."""
        return self.center_each_set and self.center != "none"

    @property
    def looked_up_by_name(self) -> str:
        """The settings that look a clip up by its name alone, in words; empty where there is none."""
        found = [] if self.captions == "kinematic" else [f"captions={self.captions}"]
        found += [f"teacher={self.teacher}"] if self.teacher.startswith("features:") else []
        found += [f"pictures={self.pictures}"] if self.pictures.startswith(("video:", "folder:")) else []
        return " and ".join(found) if self.uses_concepts else ""

    @property
    def modality_names(self) -> tuple[str, ...]:
        """The modalities that take part."""
        return MODALITIES[self.modalities]

    def prepare_config(self) -> PrepareConfig:
        """How clips are normalised.

        Raises:
            ConfigError: an unknown way to align or to place the origin.
        """
        return PrepareConfig(align=self.align, origin=self.origin, scale=self.scale)

    def augment_config(self) -> AugmentConfig:
        """How views of clips are made.

        Raises:
            ConfigError: a value out of range.
        """
        return AugmentConfig(self.crop, self.turn, self.tilt, self.size, self.noise, self.flip, self.shear)

    def concept_config(self) -> ConceptConfig:
        """How K features of a clip become one concept.

        Raises:
            ConfigError: an unknown pooling or centring, or a number out of range.
        """
        return ConceptConfig(self.pooling, self.components, self.center, self.subset)

    def fit_config(self) -> FitConfig:
        """The training settings of this arm.

        Raises:
            ConfigError: the arm is not trained.
        """
        if self.arm not in TRAINED:
            raise ConfigError(f"Arm '{self.arm}' is not trained. Trained arms: {', '.join(TRAINED)}.")
        shared = {name: getattr(self, name) for name in FIT_FIELDS}
        objective = ObjectiveConfig(
            alpha_max=0.0 if self.arm == "hard" else self.alpha_max,
            gamma=self.gamma,
            schedule=self.schedule,
            warmup=self.warmup,
            kappa=self.kappa,
            effective_targets=self.effective_targets,
            skeleton_tau=self.skeleton_tau,
            vision_language_pair=self.vision_language_pair,
            two_view_weight=self.two_view_weight,
            contrast_weight=self.contrast_weight,
            regression_weight=self.regression_weight,
        )
        return FitConfig(
            method=TRAINED[self.arm],
            objective=objective,
            augment=self.augment_config(),
            **shared,
        )


# what a run and its training share by name
FIT_FIELDS = [f.name for f in fields(FitConfig) if f.name in {own.name for own in fields(RunConfig)}]
