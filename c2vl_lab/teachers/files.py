"""Features from a file: made elsewhere, looked up by sentence or by clip name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from c2vl_lab.artifacts import file_sha256
from c2vl_lab.errors import DataError, MissingError


class FileTeacher:
    """Looks features up instead of computing them; the file says what it knows.

    Two forms are read. ``.npz`` with ``names`` (n,) and ``features`` (n, D) or (n, K, D); or ``.npz`` and
    ``.safetensors`` with one array a name. Names are sentences (for :meth:`encode_texts`) or clip names (for
    :meth:`clip_features`).
    """

    stand_in = False
    shared_space = False

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise MissingError(
                f"The teacher features:{path} wants a .npz or .safetensors file there, and nothing is there. "
                "Save names and features with numpy.savez, or use teacher=offline."
            )
        self.name = f"features of {self.path.name}"
        self.identity = f"features {file_sha256(self.path)[:16]}"
        self._table = _read(self.path)

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """(n, D) float32 features of sentences that the file holds.

        Raises:
            MissingError: a sentence is not in the file.
        """
        return self._look_up(texts, "sentences")

    def encode_images(self, images: list[np.ndarray]) -> np.ndarray:
        """Always refused: a file cannot look at pictures; use :meth:`clip_features`.

        Raises:
            MissingError: always.
        """
        raise MissingError(f"{self.path}: a feature file cannot encode pictures. Use a teacher that can, e.g. offline.")

    def clip_features(self, names: list[str]) -> np.ndarray:
        """(N, K, D) float32 features of clips; rows of NaN for clips that the file does not hold.

        Raises:
            MissingError: none of the clips is in the file.
        """
        have = [name for name in names if name in self._table]
        if not have:
            raise MissingError(f"{self.path}: holds none of the {len(names)} clips (first: {names[0]}).")
        first = np.atleast_2d(self._table[have[0]])
        result = np.full((len(names), *first.shape), np.nan, np.float32)
        for index, name in enumerate(names):
            if name in self._table:
                result[index] = _fitting(np.atleast_2d(self._table[name]), first.shape, name, self.path)
        return result

    def _look_up(self, keys: list[str], what: str) -> np.ndarray:
        missing = [key for key in keys if key not in self._table]
        if missing:
            raise MissingError(f"{self.path}: lacks {len(missing)} of {len(keys)} {what} (first: {missing[0]!r}).")
        first = self._table[keys[0]]
        return np.stack([_fitting(self._table[key], first.shape, key, self.path) for key in keys]).astype(np.float32)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Name to array, from either form; nothing in the file is executed."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return load_file(path)
        with np.load(path, allow_pickle=False) as archive:
            if "names" not in archive or "features" not in archive:
                return dict(archive)
            names, features = archive["names"], archive["features"]
    except Exception as error:  # zip, numpy and safetensors raise many kinds
        raise DataError(f"{path}: not readable as .npz or .safetensors ({error}).") from error
    if len(names) != len(features):
        raise DataError(f"{path}: wanted as many names as features, found {len(names)} and {len(features)}.")
    return {str(name): feature for name, feature in zip(names, features, strict=True)}


def _fitting(array: np.ndarray, shape: tuple[int, ...], name: str, path: Path) -> np.ndarray:
    """``array``, or an error that names it."""
    if array.shape != shape:
        raise DataError(f"{path}: wanted features of shape {shape} for '{name}', found {array.shape}.")
    return array
