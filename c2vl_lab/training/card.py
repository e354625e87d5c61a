"""What a checkpoint says of its making, and when one is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.config import to_dict
from c2vl_lab.errors import ConfigError
from c2vl_lab.training.checkpoints import FILE
from c2vl_lab.training.settings import FitConfig, TrainingSet

# settings that a run may be gone on with at other values: how often it is saved and watched, and how it is computed; of
# these the precision that came of them counts, below. "on_nan" is there to be changed after a stop.
FREE = (
    "checkpoint_every",
    "keep_every",
    "checkpoint_minutes",
    "knn_every",
    "on_nan",
    "precision",
    "compile",
    "resident",
)


def run_card(config: FitConfig, data: TrainingSet, precision: str = "") -> dict[str, Any]:
    """What a checkpoint says of its making: settings, joint layout, and a fingerprint of all that was trained on.

    Args:
        config: settings.
        data: the training part.
        precision: in which the run is computed, for the card of a run that is to go on in it; empty for the card of a
            reader, to whom all are alike.
    """
    sources = {"sets": data.sources} if data.sources else {}  # before "data", so that the set that differs is named
    card = {"fit": to_dict(config), "layout": data.layout.name, **sources, "data": data.key or _content(data)}
    if precision:
        card["precision"] = precision + (", clips in float16" if config.resident == "half" else "")
    return card


def _content(data: TrainingSet) -> str:
    """Fingerprint of a training set's arrays."""
    extra = [data.taus, data.labels if data.labels is not None else [], data.names]
    pooled = [f"{modality} {given.features.key} {given.subset}" for modality, given in sorted(data.pooled.items())]
    clips = data.clips[:] if data.rows is None else data.clips[data.rows]
    targets = [given[m] for given in (data.concepts, data.places) for m in sorted(given)]
    return fingerprint(clips, *targets, *extra, *pooled)


def check_card(run_dir: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse a checkpoint of other settings or other data; what changes no weights may differ (:data:`FREE`).

    Raises:
        ConfigError: naming what differs.
    """
    for part, new in wanted.items():
        old = found.get(part)
        if isinstance(new, dict) and isinstance(old, dict):
            old, new = ({k: v for k, v in each.items() if k not in FREE} for each in (old, new))
        if old == new:
            continue
        if isinstance(new, dict) and isinstance(old, dict):
            names = [k for k in {**old, **new} if old.get(k) != new.get(k)]
            changed = "; ".join(f"{k}: {old.get(k)} -> {new.get(k)}" for k in names)
        elif part == "data":  # two fingerprints say nothing
            changed = "other clips, sentences, pictures or teacher"
        elif part == "precision":
            raise ConfigError(
                f"{Path(run_dir) / FILE} was trained in {old}, and is to go on in {new}, which gives other numbers. "
                f"Set precision='{str(old).split(',')[0]}' (and resident as it was) to go on, or use another folder."
            )
        else:
            changed = f"{old} -> {new}"
        if isinstance(new, dict) and isinstance(old, dict) and old.get("epochs") != new.get("epochs"):
            changed += "; learning rate and soft targets follow the number of epochs, so more of them are another run"
        raise ConfigError(
            f"{Path(run_dir) / FILE} was trained with other settings ({part}: {changed}). "
            "Use another run folder (run_dir), or delete this one to train anew."
        )
