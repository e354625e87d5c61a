"""What a checkpoint says of its making, and when one is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.config import to_dict
from c2vl_lab.errors import ConfigError
from c2vl_lab.training.checkpoints import FILE
from c2vl_lab.training.settings import FitConfig, TrainingSet

# settings that a run may be gone on with at other values: weights do not depend on them (but for "on_nan", which is
# there to be changed after a stop)
FREE = ("checkpoint_every", "checkpoint_minutes", "knn_every", "on_nan")


def run_card(config: FitConfig, data: TrainingSet) -> dict[str, Any]:
    """What a checkpoint says of its making: settings, joint layout, and a fingerprint of all that was trained on."""
    return {"fit": to_dict(config), "layout": data.layout.name, "data": data.key or _content(data)}


def _content(data: TrainingSet) -> str:
    """Fingerprint of a training set's arrays."""
    extra = [data.taus, data.labels if data.labels is not None else [], data.names]
    pooled = [f"{modality} {given.features.key} {given.subset}" for modality, given in sorted(data.pooled.items())]
    clips = data.clips if data.rows is None else data.clips[data.rows]
    return fingerprint(clips, *[data.concepts[m] for m in sorted(data.concepts)], *extra, *pooled)


def check_card(run_dir: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse a checkpoint of other settings or other data; how often it is saved and watched may differ (:data:`FREE`).

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
        else:
            changed = f"{old} -> {new}"
        raise ConfigError(
            f"{Path(run_dir) / FILE} was trained with other settings ({part}: {changed}). "
            "Use another run folder (run_dir), or delete this one to train anew."
        )
