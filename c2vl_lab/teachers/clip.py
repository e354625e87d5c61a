"""open_clip as a teacher: by published tag or by local checkpoint, always with the model's own preprocessing."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.errors import ConfigError, DataError, MissingError, near_miss
from c2vl_lab.teachers.batches import batch_sizes, encode_in_batches, encode_texts_in_batches, forward_pass
from c2vl_lab.teachers.torchvision_guard import guard_torchvision

# name: open_clip's model and tag. The paper's space is likely ViT-L/14@336 (768 numbers); B/32 is 15 times cheaper.
PRESETS = {"clip-paper": ("ViT-L-14-336-quickgelu", "openai"), "clip-light": ("ViT-B-32-quickgelu", "openai")}


class ClipTeacher:
    """A frozen open_clip model; text and picture features share one space.

    Attributes:
        long_texts: sentences that passed the text window (77 tokens for CLIP) since loading.
    """

    shared_space = True

    def __init__(self, label: str, model: Any, preprocess: Any, tokenizer: Any, device: str, stand_in: bool = False):
        self.name = f"open_clip {label}"
        self.stand_in = stand_in
        self.device = device
        self.long_texts = 0
        self.batch_texts, self.batch_images = batch_sizes(device)
        self.identity = f"{self.name} {weights_digest(model)} {fingerprint(str(preprocess))}"
        self._model, self._preprocess, self._tokenizer = model.eval().to(device), preprocess, tokenizer

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """(n, D) float32, L2-normalised; sentences that pass the window are counted and reported."""
        return encode_texts_in_batches(self, texts)

    def encode_tokens(self, tokens: Any) -> np.ndarray:
        """(n, D) float32, L2-normalised."""
        with forward_pass(self.device):
            return self._model.encode_text(tokens.to(self.device), normalize=True).float().cpu().numpy()

    def encode_images(self, images: list[np.ndarray]) -> np.ndarray:
        """(n, D) float32, L2-normalised, after the model's own resizing, cropping and normalisation."""
        return encode_in_batches(self, images)

    def prepare_image(self, image: np.ndarray) -> Any:
        """The model's own resizing, cropping and normalisation of one picture."""
        from PIL import Image

        return self._preprocess(Image.fromarray(image))

    def join_images(self, prepared: list[Any]) -> Any:
        """(n, 3, H, W) float32 on the processor."""
        import torch

        return torch.stack(prepared)

    def encode_joined(self, batch: Any) -> np.ndarray:
        """(n, D) float32, L2-normalised."""
        with forward_pass(self.device):
            return self._model.encode_image(batch.to(self.device), normalize=True).float().cpu().numpy()

    def tokenize_texts(self, texts: list[str]) -> Any:
        """Token ids; open_clip's tokenizer cuts long sentences without a word, so they are counted here."""
        tokens = self._tokenizer(texts)
        window = tokens.shape[1]
        padding = getattr(getattr(self._tokenizer, "tokenizer", None), "pad_token_id", None) or 0
        # only a row without room at its end can be cut; some models' end mark is their padding too
        full = (tokens[:, -2:] != padding).any(dim=1).nonzero()[:, 0].tolist()
        long = 0
        if full:
            beyond = self._tokenizer([texts[i] for i in full], context_length=4 * window)[:, window:]
            long = int((beyond != padding).any(dim=1).sum())
        if long:
            self.long_texts += long
            message = f"{long} of {len(texts)} sentences pass the window of {window} tokens of {self.name} and are cut."
            warnings.warn(message, stacklevel=2)
        return tokens


def load_clip(model: str, weights: str, device: str = "cpu", allow_random: bool = False) -> ClipTeacher:
    """An open_clip model with its own preprocessing and tokenizer.

    Args:
        model: open_clip's name of the architecture, e.g. ``"ViT-L-14-336"`` (for OpenAI's weights in a local
            file take the ``-quickgelu`` name, as open_clip asks).
        weights: a published tag, a local checkpoint file, or a local folder with ``open_clip_config.json``.
        device: torch device.
        allow_random: let empty ``weights`` stand for random weights. Only for tests.

    Raises:
        ConfigError: unknown model or tag, or no weights named.
        MissingError: the checkpoint is not there, or a tag's weights are neither cached nor to be downloaded.
        DataError: the checkpoint does not fit the model.
    """
    guard_torchvision()
    import open_clip

    if model not in open_clip.list_models():
        raise ConfigError(f"open_clip has no model named '{model}'. {_nearest(model, open_clip.list_models())}")
    if not weights and not allow_random:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        raise ConfigError(
            f"The teacher open_clip:{model} names no weights, and random weights teach nothing. "
            f"Write open_clip:{model}:TAG (tags: {tags}) or open_clip:{model}:/path/to/checkpoint."
        )
    source, pretrained = _source(open_clip, model, weights)
    try:
        built, _, preprocess = open_clip.create_model_and_transforms(
            source, pretrained=pretrained, device="cpu", require_pretrained=bool(weights), weights_only=True
        )
        tokenizer = open_clip.get_tokenizer(source)
    except Exception as error:  # open_clip, torch and the hub raise many kinds
        raise _explained(model, weights, error) from error
    label = f"{model} {Path(weights).name}" if weights else f"{model} (random weights)"
    return ClipTeacher(label, built, preprocess, tokenizer, device, stand_in=not weights)


def _source(open_clip: Any, model: str, weights: str) -> tuple[str, str | None]:
    """open_clip's own two arguments for ``weights``.

    Raises:
        ConfigError: an unknown tag.
        MissingError: a path where nothing is.
    """
    tags = open_clip.list_pretrained_tags_by_model(model)
    if not weights:
        return model, None
    if weights in tags:
        return model, weights
    path = Path(weights)
    if path.is_dir():
        return f"local-dir:{path}", None
    if path.is_file():
        return model, str(path)
    if path.suffix or len(path.parts) > 1:
        raise MissingError(
            f"The teacher open_clip:{model} wants a checkpoint at {path}, and nothing is there. "
            "Download it on a machine with a network and give its path, or use teacher=offline."
        )
    raise ConfigError(
        f"open_clip's {model} has no tag named '{weights}'. {near_miss(weights, tags) if tags else 'It has no tags.'}"
    )


def _explained(model: str, weights: str, error: Exception) -> MissingError | DataError:
    """One sentence for the many ways in which weights fail to load."""
    reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    if Path(weights).exists():
        return DataError(
            f"{weights}: does not load as open_clip's {model} ({reason}). "
            "Check the model name, or save the model's state_dict as .safetensors."
        )
    return MissingError(
        f"The weights '{weights}' of open_clip's {model} are not cached here and could not be downloaded ({reason}). "
        f"Fetch them where there is a network and give open_clip:{model}:/path/to/checkpoint, or use teacher=offline."
    )


def _nearest(name: str, known: list[str]) -> str:
    """The near miss without the whole list: open_clip knows over a hundred models."""
    import difflib

    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f"Near: {', '.join(close)}." if close else "List them with open_clip.list_models()."


def weights_digest(model: Any) -> str:
    """Fingerprint of all weights, whatever file or tag they came from."""
    state = model.state_dict()
    return fingerprint(*(part for name in sorted(state) for part in (name, state[name].cpu().float().numpy())))
