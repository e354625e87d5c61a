"""CLIP and SigLIP folders in Hugging Face's form as teachers: safetensors only, nothing fetched, nothing executed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_lab.artifacts import fingerprint, read_json
from c2vl_lab.errors import DataError, MissingError
from c2vl_lab.teachers.batches import batch_sizes, encode_in_batches, encode_texts_in_batches, forward_pass
from c2vl_lab.teachers.clip import weights_digest
from c2vl_lab.teachers.torchvision_guard import guard_torchvision

TO_THE_END = ("siglip", "siglip2")  # trained on texts padded to the whole window


class HuggingFaceTeacher:
    """A frozen two-tower model of the transformers library; text and picture features share one space.

    Attributes:
        long_texts: sentences that passed the text window since loading.
    """

    shared_space = True
    stand_in = False

    def __init__(self, label: str, model: Any, processor: Any, tokenizer: Any, device: str):
        kind = model.config.model_type
        self.name = f"{kind} {label}"
        self.device = device
        self.long_texts = 0
        self.batch_texts, self.batch_images = batch_sizes(device)
        own = [processor.to_dict(), len(tokenizer), tokenizer.__class__.__name__]
        self.identity = f"{self.name} {weights_digest(model)} {fingerprint(*own)}"
        self._model, self._processor, self._tokenizer = model.eval().to(device), processor, tokenizer
        self._window = min(model.config.text_config.max_position_embeddings, tokenizer.model_max_length)
        self._padding = "max_length" if kind in TO_THE_END else "longest"

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """(n, D) float32, L2-normalised; sentences that pass the window are counted and reported."""
        return encode_texts_in_batches(self, texts)

    def tokenize_texts(self, texts: list[str]) -> dict[str, Any]:
        """Token ids, and for CLIP the mask of the padding."""
        self._count_long(texts)
        tokens = self._tokenizer(
            texts, padding=self._padding, truncation=True, max_length=self._window, return_tensors="pt"
        )
        return {name: tokens[name] for name in self._text_inputs() if name in tokens}

    def encode_tokens(self, tokens: dict[str, Any]) -> np.ndarray:
        """(n, D) float32, L2-normalised."""
        return self._features(self._model.get_text_features, tokens)

    def encode_images(self, images: list[np.ndarray]) -> np.ndarray:
        """(n, D) float32, L2-normalised, after the model's own preprocessing."""
        return encode_in_batches(self, images)

    def prepare_image(self, image: np.ndarray) -> dict[str, Any]:
        """What the model's own image processor makes of one picture, by name."""
        return dict(self._processor(images=[image], return_tensors="pt", input_data_format="channels_last"))

    def join_images(self, prepared: list[dict[str, Any]]) -> dict[str, Any]:
        """The batch of every input, still on the processor."""
        import torch

        return {name: torch.cat([one[name] for one in prepared]) for name in prepared[0]}

    def encode_joined(self, batch: dict[str, Any]) -> np.ndarray:
        """(n, D) float32, L2-normalised."""
        return self._features(self._model.get_image_features, batch)

    def _features(self, encode: Any, inputs: dict[str, Any]) -> np.ndarray:
        """One forward pass; transformers 5 returns an output with the pooled features, older ones the features."""
        import torch

        with forward_pass(self.device):
            found = encode(**{name: value.to(self.device) for name, value in inputs.items()})
            found = getattr(found, "pooler_output", found)
            return torch.nn.functional.normalize(found.float(), dim=-1).cpu().numpy()

    def _text_inputs(self) -> tuple[str, ...]:
        """SigLIP looks at its padding as it was trained to; CLIP is told where the sentence ends."""
        return ("input_ids",) if self._padding == "max_length" else ("input_ids", "attention_mask")

    def _count_long(self, texts: list[str]) -> None:
        """The tokenizer cuts long sentences without a word, so they are counted here."""
        long = sum(len(ids) > self._window for ids in self._tokenizer(texts, truncation=False, verbose=False).input_ids)
        if long:
            self.long_texts += long
            message = f"{long} of {len(texts)} sentences pass the window of {self._window} tokens of {self.name} and "
            warnings.warn(message + "are cut.", stacklevel=2)


def load_hugging_face(folder: str | Path, device: str = "cpu") -> HuggingFaceTeacher:
    """The model, image processor and tokenizer in ``folder``.

    Args:
        folder: as ``save_pretrained`` writes it (or a copy of a hub repository): ``config.json``,
            ``model.safetensors``, the image processor's and the tokenizer's files.
        device: torch device.

    Raises:
        MissingError: no such folder, no weights as safetensors, or transformers is not installed.
        DataError: the folder's model has no text and picture tower, or a file in it does not load.
    """
    folder = Path(folder).expanduser()
    if not (folder / "config.json").is_file():
        raise MissingError(
            f"The teacher hf:{folder} wants a folder with config.json there, and there is none. "
            "Download the model's repository where there is a network and give the folder's path."
        )
    if not list(folder.glob("*.safetensors")):
        raise MissingError(
            f"{folder}: holds no weights as .safetensors; other weight files can execute code and are not read. "
            "Load it where it can be trusted and save it with save_pretrained(folder, safe_serialization=True)."
        )
    if "text_config" not in read_json(folder / "config.json"):
        raise DataError(f"{folder}: wanted a model of texts and pictures (CLIP, SigLIP); config.json has no text part.")
    guard_torchvision()
    try:
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
    except ImportError as error:
        raise MissingError("The teacher hf: wants the package transformers. Run: pip install transformers") from error
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model, notes = AutoModel.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **local)
        processor = AutoImageProcessor.from_pretrained(folder, **local)
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
    except Exception as error:  # transformers, tokenizers and safetensors raise many kinds
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise DataError(f"{folder}: does not load as a model with its processor and tokenizer ({reason}).") from error
    if not hasattr(model, "get_text_features") or not hasattr(model, "get_image_features"):
        raise DataError(f"{folder}: a {model.config.model_type} has no joint features of texts and pictures.")
    if notes["missing_keys"]:
        absent = sorted(notes["missing_keys"])
        raise DataError(f"{folder}: the weights lack {len(absent)} of the model's tensors (first: {absent[0]}).")
    return HuggingFaceTeacher(folder.resolve().name, model, processor, tokenizer, device)
