"""How much a teacher takes at once, and how its forward passes run: by device, the same for all teachers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from c2vl_lab.teachers.protocol import ImagePreparer, TextPreparer


def batch_sizes(device: str) -> tuple[int, int]:
    """(sentences, pictures) of one forward pass: a GPU wants many, a processor gains nothing beyond a few."""
    return (1024, 256) if device.startswith("cuda") else (128, 32)


@contextmanager
def forward_pass(device: str) -> Iterator[None]:
    """No gradients; on a GPU matrix products in bfloat16 (weights stay as published, results leave as float32).

    bfloat16 changes a feature's direction by a few thousandths; the feature file's card tells the device.
    """
    import torch

    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=device.startswith("cuda")):
        yield


def encode_in_batches(teacher: ImagePreparer, images: list[np.ndarray]) -> np.ndarray:
    """(n, D) float32 features of pictures, batch by batch, without threads."""
    parts: list[Any] = []
    for start in range(0, len(images), teacher.batch_images):
        batch = [teacher.prepare_image(image) for image in images[start : start + teacher.batch_images]]
        parts.append(teacher.encode_joined(teacher.join_images(batch)))
    return np.concatenate(parts)


def encode_texts_in_batches(teacher: TextPreparer, texts: list[str]) -> np.ndarray:
    """(n, D) float32 features of sentences, batch by batch, without threads."""
    size = teacher.batch_texts
    batches = (teacher.tokenize_texts(texts[start : start + size]) for start in range(0, len(texts), size))
    return np.concatenate([teacher.encode_tokens(tokens) for tokens in batches])
