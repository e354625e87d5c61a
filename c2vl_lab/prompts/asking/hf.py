"""A vision-language model in this process: any ``image-text-to-text`` model of transformers, in batches."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.config import to_dict
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.prompts.asking.protocol import Answer, Request, Sampling
from c2vl_lab.teachers.torchvision_guard import guard_torchvision

INSTALL = "pip install -c constraints.txt -e '.[lmm]'"


class TransformersBackend:
    """Answers batch by batch, questions padded on the left as generation wants it.

    Within a batch the sampled answers of later attempts depend on the batch's other requests; first attempts at
    temperature 0 do not, beyond rounding.
    """

    name = "transformers"
    looks = True
    sentences: int | None = None

    def __init__(
        self,
        model: str,
        revision: str = "",
        sampling: Sampling | None = None,
        batch: int = 8,
        device: str = "auto",
        dtype: str = "auto",
    ):
        """Load the model.

        Args:
            model: its name on the hub, or a folder with ``config.json`` and weights.
            revision: branch, tag or commit of the hub.
            sampling: how it writes its answers.
            batch: requests at once; halved where the device's memory does not suffice.
            device: torch device, or ``"auto"``: a GPU where there is one.
            dtype: ``"auto"``: bfloat16 on a GPU and float32 elsewhere; or a name of torch's.

        Raises:
            MissingError: transformers is not installed, or the model neither there nor to be downloaded.
            DataError: the files do not make an image-text-to-text model.
            ConfigError: an unknown dtype, a batch below 1.
        """
        if batch < 1:
            raise ConfigError(f"Wanted a batch of 1 or more, found {batch}.")
        self.sampling = sampling or Sampling()
        self.batch, self.device = batch, find_device(device)
        number = dtype if dtype != "auto" else "bfloat16" if self.device.startswith("cuda") else "float32"
        self._processor, self._model = _load(model, revision, _dtype(number))
        self._model.to(self.device).eval()
        self.model = Path(model).name if Path(model).is_dir() else model
        self.revision = getattr(self._model.config, "_commit_hash", None) or _digest(Path(model)) or revision
        self.settings: dict[str, Any] = {**to_dict(self.sampling), "dtype": number}

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Answers batch by batch; a batch holds requests of one attempt, as they are sampled alike."""
        waiting: list[Request] = []
        for request in requests:
            if waiting and (len(waiting) == self.batch or waiting[0].attempt != request.attempt):
                yield from self._answers(waiting)
                waiting = []
            waiting.append(request)
        if waiting:
            yield from self._answers(waiting)

    def _answers(self, requests: list[Request]) -> list[Answer]:
        """One batch; where memory does not suffice, by halves."""
        import torch

        start = time.monotonic()
        try:
            texts = self._generate(requests)
        except torch.OutOfMemoryError:
            if self.device.startswith("cuda"):
                torch.cuda.empty_cache()
            if len(requests) == 1:
                return [Answer(requests[0], error=f"{self.device} has too little memory for one request")]
            half = self.batch = (len(requests) + 1) // 2
            return self._answers(requests[:half]) + self._answers(requests[half:])
        seconds = (time.monotonic() - start) / len(requests)
        return [Answer(r, text, finish, seconds) for r, (text, finish) in zip(requests, texts, strict=True)]

    def _generate(self, requests: list[Request]) -> list[tuple[str, str]]:
        """(text, why it stopped) of each request of a batch."""
        import torch

        inputs = self._inputs(requests)
        sampling = self.sampling.at(requests[0].attempt)
        how: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            how = {"do_sample": True, "temperature": sampling.temperature}
            torch.manual_seed(sampling.seed)
        with torch.inference_mode():
            output = self._model.generate(**inputs, max_new_tokens=sampling.max_tokens, **how)
        new = output[:, inputs["input_ids"].shape[1] :].cpu()
        texts = self._processor.batch_decode(new, skip_special_tokens=True)
        ends = _ends(self._model)
        whole = [bool(ends & set(row.tolist())) or len(row) < sampling.max_tokens for row in new]
        return [(text, "stop" if done else "length") for text, done in zip(texts, whole, strict=True)]

    def _inputs(self, requests: list[Request]) -> Any:
        """The batch as the model takes it, by its own chat template."""
        import torch
        from PIL import Image

        chats = []
        for request in requests:
            content: list[dict[str, Any]] = [{"type": "text", "text": request.text}]
            if request.image is not None:
                content.insert(0, {"type": "image", "image": Image.fromarray(request.image)})
            chats.append([{"role": "user", "content": content}])
        inputs = self._processor.apply_chat_template(
            chats,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            processor_kwargs={"padding": True, "return_tensors": "pt"},
        )
        kind = next(self._model.parameters()).dtype
        return {
            name: value.to(self.device, kind if torch.is_floating_point(value) else None)
            for name, value in inputs.items()
        }


def _load(model: str, revision: str, dtype: Any) -> tuple[Any, Any]:
    """Processor and model.

    Raises:
        MissingError, DataError: see :class:`TransformersBackend`.
    """
    try:
        guard_torchvision()
        from transformers import AutoModelForImageTextToText, AutoProcessor
    except ImportError as error:
        raise MissingError(f"The backend transformers wants its package ({error}). Install it: {INSTALL}") from error
    if model.startswith(("/", ".", "~")) and not Path(model).expanduser().is_dir():
        raise MissingError(f"The backend transformers wants a model's folder at {model}, and there is none.")
    where = str(Path(model).expanduser()) if Path(model).expanduser().is_dir() else model
    more = {"revision": revision} if revision else {}
    try:
        processor = AutoProcessor.from_pretrained(where, padding_side="left", **more)
        built = AutoModelForImageTextToText.from_pretrained(where, dtype=dtype, use_safetensors=True, **more)
    except Exception as error:  # transformers and the hub raise many kinds
        reason = " ".join(str(error).split())[:300]
        if Path(where).is_dir():
            raise DataError(f"{model}: does not load as an image-text-to-text model ({reason}).") from error
        raise MissingError(
            f"The model '{model}' is not cached here and could not be downloaded ({reason}). Fetch it where there is a "
            "network (`hf download`) and give its folder: transformers:/path/to/model."
        ) from error
    if getattr(processor, "chat_template", None) is None:
        raise DataError(f"{model}: has no chat template, so it is not known how a question is put to it.")
    return processor, built


def find_device(device: str) -> str:
    """The torch device that ``"auto"`` stands for: a GPU where there is one."""
    import torch

    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def _dtype(name: str) -> Any:
    import torch

    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"torch has no dtype '{name}'; wanted bfloat16, float16 or float32.")
    return found


def _ends(model: Any) -> set[int]:
    """The tokens that end an answer."""
    ends = model.generation_config.eos_token_id
    return set(ends) if isinstance(ends, list | tuple) else {ends} if ends is not None else set()


def _digest(folder: Path) -> str:
    """16 digits over a local model's weights and settings; empty for models of the hub."""
    from c2vl_lab.artifacts import file_sha256

    folder = folder.expanduser()
    kinds = (".safetensors", ".json", ".jinja")
    files = sorted(path for path in folder.glob("*") if path.suffix in kinds) if folder.is_dir() else []
    return fingerprint([[path.name, file_sha256(path)] for path in files]) if files else ""
