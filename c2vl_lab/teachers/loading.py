"""A teacher by its written name, so that settings and notebooks stay plain text."""

from __future__ import annotations

from c2vl_lab.errors import ConfigError, near_miss
from c2vl_lab.teachers.protocol import Teacher

KINDS = ("offline", "open_clip", "features")


def load_teacher(spec: str, device: str = "cpu", allow_random: bool = False) -> Teacher:
    """The teacher that ``spec`` names; weights are read when they are first needed where possible.

    Args:
        spec: ``"offline"`` (MiniLM and EfficientNet-Lite0 from installed packages, a stand-in),
            ``"open_clip:MODEL:TAG"`` (published weights by tag),
            ``"open_clip:MODEL:/path/to/checkpoint"`` (a local file), or
            ``"features:/path/to/file"`` (features made elsewhere, ``.npz`` or ``.safetensors``).
        device: torch device of the model.
        allow_random: let ``"open_clip:MODEL"`` stand for random weights. Only for tests.

    Raises:
        ConfigError: an unknown kind, model or tag, or no weights named.
        MissingError: the checkpoint, file or package is not there.
        DataError: weights that are not the ones expected.
    """
    kind, _, rest = spec.partition(":")
    if kind == "offline" and not rest:
        from c2vl_lab.teachers.offline import OfflineTeacher

        return OfflineTeacher(device)
    if kind == "open_clip":
        from c2vl_lab.teachers.clip import load_clip

        model, _, weights = rest.partition(":")
        return load_clip(model, weights, device, allow_random)
    if kind == "features" and rest:
        from c2vl_lab.teachers.files import FileTeacher

        return FileTeacher(rest)
    forms = "Forms: offline, open_clip:MODEL:TAG, open_clip:MODEL:/path/to/checkpoint, features:/path/to/file."
    raise ConfigError(f"There is no teacher named '{spec}'. {near_miss(kind, KINDS)} {forms}")
