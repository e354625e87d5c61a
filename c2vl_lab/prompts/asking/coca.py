"""CoCa of open_clip as a backend: a captioner; it says what a picture shows, whatever the question."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.config import to_dict
from c2vl_lab.errors import ConfigError
from c2vl_lab.prompts.asking.hf import find_device
from c2vl_lab.prompts.asking.protocol import Answer, Request, Sampling
from c2vl_lab.teachers.clip import load_clip

WINDOW = 76  # tokens; what CoCa's decoder was trained with


class CocaBackend:
    """Captions word by word: the likeliest each time, or sampled at a temperature.

    CoCa takes no questions. Its captions are weak, and good for trying things out and for comparison. The loop is ours:
    ``generate`` of open_clip 3.3 wants a class that transformers 5 no longer has, and so refuses to run beside it.
    """

    name = "coca"
    looks = True
    sentences: int | None = None

    def __init__(
        self, model: str, weights: str, sampling: Sampling | None = None, batch: int = 32, device: str = "auto"
    ):
        """Load the model.

        Args:
            model: a CoCa architecture of open_clip, e.g. ``"coca_ViT-B-32"``.
            weights: a published tag, or a local checkpoint.
            sampling: how it writes its captions.
            batch: pictures at once.
            device: torch device, or ``"auto"``: a GPU where there is one.

        Raises:
            ConfigError: no CoCa, or no weights named.
            MissingError: the weights are not there.
            DataError: the checkpoint does not fit the model.
        """
        device = find_device(device)
        teacher = load_clip(model, weights, device)
        self._model, self._preprocess, self._tokenizer = teacher._model, teacher._preprocess, teacher._tokenizer
        if not hasattr(self._model, "text_decoder"):
            raise ConfigError(f"open_clip's {model} writes no captions; the models that do are named coca_...")
        self.sampling, self.batch, self.device = sampling or Sampling(max_tokens=30), batch, device
        self.model, self.revision = model, fingerprint(teacher.identity)
        self.settings: dict[str, Any] = to_dict(self.sampling)

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Captions batch by batch; a batch holds requests of one attempt."""
        waiting: list[Request] = []
        for request in requests:
            if waiting and (len(waiting) == self.batch or waiting[0].attempt != request.attempt):
                yield from self._captions(waiting)
                waiting = []
            waiting.append(request)
        if waiting:
            yield from self._captions(waiting)

    def _captions(self, requests: list[Request]) -> Iterator[Answer]:
        """One batch."""
        import torch
        from PIL import Image

        start, sampling = time.monotonic(), self.sampling.at(requests[0].attempt)
        pictures = [self._preprocess(Image.fromarray(r.image)) for r in requests if r.image is not None]
        torch.manual_seed(sampling.seed)
        with torch.inference_mode():
            rows = self._generate(torch.stack(pictures).to(self.device), sampling)
        seconds = (time.monotonic() - start) / len(requests)
        for request, row in zip(requests, rows.tolist(), strict=True):
            yield Answer(request, *self._read(row), seconds)

    def _generate(self, pictures: Any, sampling: Sampling) -> Any:
        """(n, tokens) word by word, until all have ended or the window is full."""
        import torch

        start, end, filler = self._tokenizer.sot_token_id, self._tokenizer.eot_token_id, self._model.pad_id
        seen = self._model(pictures)
        tokens = torch.full((len(pictures), 1), start, device=pictures.device)
        ended = torch.zeros(len(pictures), dtype=torch.bool, device=pictures.device)
        while not ended.all() and tokens.shape[1] <= min(sampling.max_tokens, WINDOW - 1):
            logits = self._model(
                pictures,
                tokens,
                image_latent=seen["image_features"],
                image_embs=seen["image_embs"],
                output_labels=False,
            )["logits"][:, -1].float()
            logits[:, [start, filler]] = -torch.inf  # these are never words
            following = logits.argmax(dim=1)
            if sampling.temperature > 0:
                following = torch.multinomial((logits / sampling.temperature).softmax(dim=1), 1)[:, 0]
            following[ended] = filler
            ended |= following == end
            tokens = torch.cat([tokens, following[:, None]], dim=1)
        return tokens.cpu()

    def _read(self, row: list[int]) -> tuple[str, str]:
        """(caption, why it stopped)."""
        end = self._tokenizer.eot_token_id
        words = row[1 : row.index(end)] if end in row else row[1:]
        return self._tokenizer.decode(words).strip(), "stop" if end in row else "length"
