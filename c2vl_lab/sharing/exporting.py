"""Encoders in forms that need no Python of ours: ONNX, TorchScript, ``torch.export``; each checked before it is kept.

An exported file maps normalised clips ``clips`` (N, T, M, V, 3) float32 to ``features`` (N, D): the stream is made
inside, normalisation and resampling (:meth:`~c2vl_lab.sharing.estimator.SkeletonEncoder.prepare`) are not. N is free.
T is free where the form allows it; which lengths were tried is written into the file's metadata.
"""

from __future__ import annotations

import importlib
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from c2vl_lab import __version__
from c2vl_lab.artifacts import atomic_path
from c2vl_lab.config import to_dict
from c2vl_lab.data.augment import whole_clip
from c2vl_lab.errors import DataError, MissingError, choose
from c2vl_lab.models.encoders import as_input
from c2vl_lab.sharing.description import Description
from c2vl_lab.sharing.opening import OpenedEncoder
from c2vl_lab.sharing.plain_forms import PlainForm

TOLERANCE = 1e-5  # largest difference of a feature, relative to the largest feature of the clips that are compared
KEY = "c2vl"
TRACED = 3  # clips that the graph is followed with; any number may go through it later
OPSET = 18
INSTALL = "pip install 'c2vl-lab[export]' (or: pip install onnx onnxruntime)"
Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Exported:
    """What the file's metadata says under ``c2vl``.

    Attributes:
        form: onnx, torchscript or torch-export.
        clips, features: shapes of the input and the output; letters are free.
        tolerance: largest difference allowed, relative to the largest feature.
        difference: the largest found.
        compared: what was compared, in words.
        other_frames: some lengths T beside the encoder's own, by what the file does with them.
        description: how the encoder was built and how clips are normalised.
        versions: of torch and of this package.
    """

    form: str
    clips: str
    features: str
    tolerance: float
    difference: float
    compared: str
    other_frames: dict[str, list[int]]
    description: dict[str, Any]
    versions: dict[str, str]


def export_encoder(opened: OpenedEncoder, form: str, output: str | Path, clips: np.ndarray | None = None) -> Exported:
    """Export, compare with the encoder itself, and keep the file only if they agree.

    Args:
        opened: the encoder, on the processor.
        form: "onnx", "torchscript" or "torch-export".
        output: the new file.
        clips: (n, T, M, V, 3) normalised recordings to compare on, beside random clips; None: none at hand.

    Raises:
        ConfigError: an unknown form.
        MissingError: onnx or onnxruntime is not installed.
        DataError: the encoder cannot be exported in this form, or the exported one gives other features.
    """
    way = choose(form, FORMS, "form of export")
    own, output = opened.description, Path(output)

    seen = [("5 random clips", _random(own, 5, own.frames)), ("1 random clip", _random(own, 1, own.frames))]
    if clips is not None and len(clips):
        real = whole_clip(torch.from_numpy(np.array(clips, np.float32)), own.frames)
        seen.append((f"{len(clips)} recorded clips", real))
    plain = PlainForm(opened.encoder, opened.layout, own.stream).eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that exporters are old, and constants that are meant to be constants
            model = way.make(plain, _random(own, TRACED, own.frames))
            run = way.load(way.save(model, "{}"))
            difference = max(_difference(run, opened, found) for _, found in seen)
    except (RuntimeError, ValueError, TypeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        said = lines[-1 if "Traceback" in str(error) else 0][:300]
        raise DataError(f"Encoder '{own.encoder}' cannot be exported as {form}: {said}") from error
    if not difference <= TOLERANCE:
        raise DataError(
            f"The {form} form of encoder '{own.encoder}' differs from the encoder by {difference:.1e} of the largest "
            f"feature; wanted at most {TOLERANCE:.0e}. Nothing was written."
        )
    about = Exported(
        form,
        f"(N, {own.frames}, {own.skeleton.people}, {len(own.skeleton.joints)}, 3) float32",
        f"(N, {opened.encoder.dim}) float32",
        TOLERANCE,
        difference,
        ", ".join(name for name, _ in seen),
        _other_frames(run, opened),
        to_dict(own),
        {"torch": torch.__version__, "c2vl_lab": __version__},
    )
    with warnings.catch_warnings(), atomic_path(output) as temporary:
        warnings.simplefilter("ignore")
        temporary.write_bytes(way.save(model, json.dumps(asdict(about), sort_keys=True)))
    return about


def _difference(run: Run, opened: OpenedEncoder, clips: Tensor) -> float:
    """Largest difference from the encoder's own features, relative to the largest of these; NaN and shapes count."""
    own = opened.description
    with torch.no_grad():
        wanted = opened.encoder(as_input(clips, opened.layout, own.stream))
        found = run(clips)
    if found.shape != wanted.shape or not bool(torch.isfinite(found).all()):
        return float("inf")
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-12))


def _random(own: Description, count: int, frames: int) -> Tensor:
    """(count, frames, M, V, 3) random clips, the first of one person; the same at every call."""
    generator = torch.Generator().manual_seed(count * frames)
    clips = torch.randn(count, frames, own.skeleton.people, len(own.skeleton.joints), 3, generator=generator)
    clips[0, :, 1:] = 0
    return clips


def _other_frames(run: Run, opened: OpenedEncoder) -> dict[str, list[int]]:
    """Some other lengths T, by what the exported form does with them: agrees, refuses, or differs (do not use it)."""
    own, found = opened.description, {"agrees": [], "refuses": [], "differs": []}  # type: ignore[var-annotated]
    for length in (own.frames + 1, 2 * own.frames):
        try:
            same = _difference(run, opened, _random(own, 2, length)) <= TOLERANCE
            found["agrees" if same else "differs"].append(length)
        except Exception:  # every runtime has its own
            found["refuses"].append(length)
    return found


class Form(NamedTuple):
    """One form of export.

    Attributes:
        make: (the encoder's plain form, example clips) -> a model of this form.
        save: (model, text for its metadata) -> the file's bytes.
        load: a file's bytes -> a function from clips to features, for the comparison.
    """

    make: Callable[[PlainForm, Tensor], Any]
    save: Callable[[Any, str], bytes]
    load: Callable[[bytes], Run]


def _make_onnx(plain: PlainForm, example: Tensor) -> Any:
    # torch's newer exporter unrolls recurrent layers over time and fixes the frames; the older one does neither
    onnx, out = _package("onnx"), io.BytesIO()
    free = {"clips": {0: "clips", 1: "frames"}, "features": {0: "clips"}}
    names: dict[str, Any] = {"input_names": ["clips"], "output_names": ["features"], "dynamic_axes": free}
    torch.onnx.export(plain, (example,), out, dynamo=False, opset_version=OPSET, **names)  # type: ignore[arg-type]
    return onnx.load_model_from_string(out.getvalue())


def _save_onnx(model: Any, text: str) -> bytes:
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, text
    content = model.SerializeToString(deterministic=True)
    model.metadata_props.remove(entry)
    return content


def _load_onnx(content: bytes) -> Run:
    runtime = _package("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, torch.get_num_threads()
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda clips: torch.from_numpy(session.run(["features"], {"clips": clips.numpy()})[0])


def _package(name: str) -> Any:
    """An optional package.

    Raises:
        MissingError: it is not installed; the sentence has the command.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingError(f"ONNX wants the package {name}, which is not installed: {INSTALL}.") from error


def _save_script(model: Any, text: str) -> bytes:
    out = io.BytesIO()
    torch.jit.save(model, out, _extra_files={KEY: text})
    return out.getvalue()


def _make_program(plain: PlainForm, example: Tensor) -> Any:
    free = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
    return torch.export.export(plain, (example,), dynamic_shapes={"clips": free})


def _save_program(model: Any, text: str) -> bytes:
    out = io.BytesIO()
    torch.export.save(model, out, extra_files={KEY: text})
    return out.getvalue()


FORMS = {
    "onnx": Form(_make_onnx, _save_onnx, _load_onnx),
    "torchscript": Form(
        lambda plain, example: torch.jit.trace(plain, (example,), check_trace=False),
        _save_script,
        lambda content: torch.jit.load(io.BytesIO(content)),
    ),
    "torch-export": Form(_make_program, _save_program, lambda content: torch.export.load(io.BytesIO(content)).module()),
}
ENDINGS = {"onnx": ".onnx", "torchscript": ".ts.pt", "torch-export": ".pt2"}
