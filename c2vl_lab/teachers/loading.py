"""A teacher by its written name, so that settings and notebooks stay plain text."""

from __future__ import annotations

from c2vl_lab.errors import ConfigError, near_miss
from c2vl_lab.teachers.protocol import Teacher

KINDS = ("offline", "bag", "clip-paper", "clip-light", "open_clip", "hf", "features")
FORMS = (
    "Forms: offline, bag, clip-paper, clip-light, open_clip:MODEL:TAG, open_clip:MODEL:/path/to/checkpoint, "
    "hf:/path/to/folder, features:/path/to/file."
)


def load_teacher(spec: str, device: str = "cpu", allow_random: bool = False) -> Teacher:
    """The teacher that ``spec`` names; weights are read when they are first needed where possible.

    Args:
        spec: ``"offline"`` (MiniLM and EfficientNet-Lite0 from installed packages, a stand-in),
            ``"bag"`` (a control without a language model: a random direction a sentence),
            ``"clip-paper"`` (OpenAI's ViT-L/14@336, likely the paper's) or ``"clip-light"`` (OpenAI's ViT-B/32),
            each with ``:/path/to/checkpoint`` behind it where there is no network,
            ``"open_clip:MODEL:TAG"`` (published weights by tag),
            ``"open_clip:MODEL:/path/to/checkpoint"`` (a local file),
            ``"hf:/path/to/folder"`` (CLIP or SigLIP in Hugging Face's form, weights as safetensors), or
            ``"features:/path/to/file"`` (features made elsewhere, ``.npz`` or ``.safetensors``, or a feature file of
            this package's own cache, ``.npy``).
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
    if kind == "bag" and not rest:
        from c2vl_lab.teachers.bag import BagTeacher

        return BagTeacher()
    if kind == "open_clip":
        from c2vl_lab.teachers.clip import load_clip

        model, _, weights = rest.partition(":")
        return load_clip(model, weights, device, allow_random)
    if kind in ("clip-paper", "clip-light"):
        from c2vl_lab.teachers.clip import PRESETS, load_clip

        model, tag = PRESETS[kind]
        return load_clip(model, rest or tag, device)
    if kind == "hf" and rest:
        from c2vl_lab.teachers.hugging_face import load_hugging_face

        return load_hugging_face(rest, device)
    if kind == "features" and rest:
        from c2vl_lab.teachers.files import FileTeacher

        return FileTeacher(rest)
    raise ConfigError(f"There is no teacher named '{spec}'. {near_miss(kind, KINDS)} {FORMS}")
