"""One way to open an encoder, whatever form it has: a run folder, a packed archive, an unpacked folder, one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import MissingError
from c2vl_lab.models.base import Encoder
from c2vl_lab.models.encoders import build_encoder
from c2vl_lab.sharing.archive import CONTENTS, LARGEST, Files, read_archive, read_folder
from c2vl_lab.sharing.description import Description, describe_run
from c2vl_lab.sharing.encoder_file import FILE, fill, read_encoder
from c2vl_lab.weights import FILE as CHECKPOINT
from c2vl_lab.weights import read_checkpoint

PREFIX = "model.encoder."  # of the encoder's tensors in a run's checkpoint


@dataclass(frozen=True)
class OpenedEncoder:
    """An encoder that is ready to be used.

    Attributes:
        path: where it was found.
        encoder: the network in evaluation mode, on the processor.
        description: how it is built and what it is shown.
        files: of an archive or an unpacked one: what else was packed, by name; empty otherwise.
    """

    path: Path
    encoder: Encoder
    description: Description
    files: Files

    @property
    def layout(self) -> JointLayout:
        """The joints that it reads."""
        return self.description.skeleton.layout


def open_encoder(path: str | Path) -> OpenedEncoder:
    """Open an encoder from a run folder, an archive of ``c2vl pack``, a folder it was unpacked into, or its one file.

    Raises:
        MissingError: nothing is there, or nothing that holds an encoder.
        DataError: a file is foreign, damaged or changed.
    """
    path = Path(path)
    if path.is_file() and path.suffix == ".safetensors":
        return _from_file(path, path, {})
    if path.is_file():
        files = read_archive(path)
        return OpenedEncoder(path, *read_encoder(files[FILE], f"{FILE} in {path}"), files)
    if (path / FILE).is_file():
        return _from_file(path, path / FILE, read_folder(path) if (path / CONTENTS).is_file() else {})
    if (path / CHECKPOINT).is_file():
        return _from_run(path)
    raise MissingError(
        f"{path} holds no encoder: wanted a folder of a trained run, an archive of `c2vl pack`, or a folder it was "
        "unpacked into."
    )


def _from_file(path: Path, file: Path, files: Files) -> OpenedEncoder:
    with open(file, "rb") as stream:
        content = stream.read(LARGEST)
    return OpenedEncoder(path, *read_encoder(content, str(file)), files)


def _from_run(path: Path) -> OpenedEncoder:
    """The encoder out of a run's checkpoint, which holds heads and optimiser too."""
    tensors, card = read_checkpoint(path)
    description = describe_run(path, card)
    encoder = build_encoder(description.encoder, description.skeleton.layout, description.width)
    own = {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
    fill(encoder, own, str(path / CHECKPOINT))
    return OpenedEncoder(path, encoder, description, {})
