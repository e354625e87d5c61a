"""How an encoder is trained on labels when it is measured: one set of settings for fine-tuning and from scratch."""

from __future__ import annotations

from dataclasses import dataclass

from c2vl_lab.config import from_text, replace, to_dict
from c2vl_lab.data.augment import AugmentConfig
from c2vl_lab.errors import ConfigError, choose
from c2vl_lab.run_config import RunConfig
from c2vl_lab.training.settings import FitConfig

AUGMENTATIONS = {
    "pre-training": "the run's own, as its encoder was trained",
    "crop": "a temporal crop of half to all of the clip, nothing else",
    "none": "the whole clip as it is",
}
STILL = AugmentConfig(crop=1.0, turn=0.0, tilt=0.0, size=0.0, noise=0.0)
COMPILE_FROM = 200_000  # clips through the encoder; under it compiling on a GPU takes longer than it saves


@dataclass(frozen=True)
class TuningConfig:
    """Training on labels, for the protocols that train the encoder. The defaults are our choice.

    Attributes:
        epochs: passes over the labelled clips.
        least_steps: more epochs where few labels would make fewer steps than this; 0: never.
        batch_size: clips a step; where there are fewer labelled clips, all of them.
        optimizer: one of :data:`~c2vl_lab.training.settings.OPTIMIZERS`.
        encoder_lr, head_lr: peak learning rates of the encoder and of the linear classifier.
        lr_schedule, lr_steps, warmup_epochs, weight_decay, label_smoothing: as in
            :class:`~c2vl_lab.training.settings.FitConfig`.
        augmentation: one of :data:`AUGMENTATIONS`.
        batch_norm: "training": by the batch, dropout on; "frozen": by the running statistics of the pre-training, which
            stay as they are, dropout off, as AimCLR's public code has it.
        seeds: repetitions with all labels, from the run's seed on: first classifier, order, augmentation; from scratch
            the encoder too.
        draws: repetitions with few labels, each with other labelled clips.
        watch_test: measure the test part after each epoch too, and report the best epoch beside the last. It chooses
            nothing: a best epoch is chosen by test labels.
    """

    epochs: int = 40
    least_steps: int = 200
    batch_size: int = 64
    optimizer: str = "adamw"
    encoder_lr: float = 1e-3
    head_lr: float = 1e-3
    lr_schedule: str = "cosine"
    lr_steps: str = ""
    warmup_epochs: int = 1
    weight_decay: float = 1e-3
    label_smoothing: float = 0.1
    augmentation: str = "pre-training"
    batch_norm: str = "training"
    seeds: int = 3
    draws: int = 5
    watch_test: bool = False

    def __post_init__(self) -> None:
        choose(self.augmentation, AUGMENTATIONS, "augmentation of fine-tuning")
        choose(self.batch_norm, {"training": "", "frozen": ""}, "kind of batch_norm")
        if self.encoder_lr < 0 or self.head_lr <= 0:
            found = f"{self.encoder_lr} and {self.head_lr}"
            raise ConfigError(f"encoder_lr must be at least 0 and head_lr above 0, found {found}.")
        if self.least_steps < 0 or min(self.seeds, self.draws) < 1:
            found = f"{self.least_steps}, {self.seeds} and {self.draws}"
            raise ConfigError(f"least_steps must be at least 0, seeds and draws at least 1, found {found}.")
        self.fit_config(RunConfig(), 1, 0)  # which refuses the rest

    def fit_config(self, run: RunConfig, clips: int, seed: int) -> FitConfig:
        """The training settings for so many labelled clips.

        Raises:
            ConfigError: a value out of range.
        """
        batch = min(self.batch_size, clips)
        steps = max(1, clips // batch) if batch > 0 else 1
        epochs = max(self.epochs, -(-self.least_steps // steps))
        return FitConfig(
            method="supervised",
            encoder=run.encoder,
            width=run.width,
            stream=run.stream,
            frames=run.frames,
            epochs=epochs,
            batch_size=batch,
            optimizer=self.optimizer,
            lr=self.head_lr,
            lr_schedule=self.lr_schedule,
            lr_steps=self.lr_steps,
            warmup_epochs=self.warmup_epochs,
            weight_decay=self.weight_decay,
            label_smoothing=self.label_smoothing,
            seed=seed,
            checkpoint_every=epochs,
            checkpoint_minutes=run.checkpoint_minutes,
            precision=run.precision,
            compile="auto" if epochs * clips >= COMPILE_FROM else "off",
            resident=run.resident,
            augment=self._augment(run),
        )

    def _augment(self, run: RunConfig) -> AugmentConfig:
        if self.augmentation == "pre-training":
            return run.augment_config()
        return STILL if self.augmentation == "none" else replace(STILL, crop=0.5)

    def told(self) -> dict[str, object]:
        """The settings for ``results.json``; the accuracy's epoch is one of them."""
        apart = ("seeds", "draws", "watch_test")
        own = {name: value for name, value in to_dict(self).items() if name not in apart and value != ""}
        return {"training": own, "classifier": "linear, on the encoder's features", "epoch": "the last"}


@dataclass(frozen=True)
class Published:
    """Settings of a publication: where they are from, and their values."""

    source: str
    settings: TuningConfig


# What they do beside: CMD's classifier starts at a spread of 0.01 and AimCLR's of 0.02, ours as torch has it; they
# decay biases too; they show the last, smaller batch of an epoch, which ours leaves for the next.
PUBLISHED = {
    "default": Published("our choice", TuningConfig()),
    "aimclr": Published(
        "AimCLR's public finetune_evaluation (encoder in evaluation mode) with the configuration that ActCLR's public "
        "repository has for it",
        TuningConfig(
            epochs=80,
            least_steps=0,
            batch_size=128,
            optimizer="sgd-nesterov",
            encoder_lr=0.1,
            head_lr=0.1,
            lr_schedule="step",
            lr_steps="10,30,50",
            warmup_epochs=0,
            weight_decay=1e-4,
            label_smoothing=0.0,
            augmentation="none",
            batch_norm="frozen",
        ),
    ),
    "cmd": Published(
        "CMD's public action_classification_cmd_semi script, for few labels and for transfer; one stream",
        TuningConfig(
            epochs=80,
            least_steps=0,
            batch_size=64,
            optimizer="sgd",
            encoder_lr=0.01,
            head_lr=0.01,
            lr_schedule="step",
            lr_steps="50,70",
            warmup_epochs=0,
            weight_decay=0.0,
            label_smoothing=0.0,
            augmentation="crop",
        ),
    ),
}


@dataclass(frozen=True)
class Tuning:
    """Named settings and what was changed about them.

    Attributes:
        name: as it was asked for, such as "cmd" or "default epochs=20".
        source: where the settings are from.
        settings: all of them.
    """

    name: str = "default"
    source: str = PUBLISHED["default"].source
    settings: TuningConfig = PUBLISHED["default"].settings

    def told(self) -> dict[str, object]:
        """For ``results.json``."""
        return {"settings": self.name, "source": self.source, **self.settings.told()}


def tuning_by_name(text: str) -> Tuning:
    """Settings as a user types them: a name of :data:`PUBLISHED`, then changes, with spaces between.

    ``""`` is "default", and so is the name where there is none: ``"epochs=20 batch_norm=frozen"``.

    Raises:
        ConfigError: an unknown name or setting, or a value out of range.
    """
    words = text.split()
    name = words.pop(0) if words and "=" not in words[0] else "default"
    chosen = choose(name, PUBLISHED, "settings of fine-tuning")
    changes = from_text(TuningConfig, words, "tuning")
    source = chosen.source + (f"; changed: {', '.join(words)}" if words else "")
    return Tuning(" ".join([name, *words]), source, replace(chosen.settings, "tuning", **changes))
