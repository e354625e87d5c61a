"""Features from a file: made elsewhere, looked up by sentence or by clip name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from c2vl_lab.artifacts import file_sha256, fingerprint
from c2vl_lab.errors import DataError, MissingError
from c2vl_lab.teachers.feature_files import FeatureRows, feature_card, feature_names


class FileTeacher:
    """Looks features up instead of computing them; the file says what it knows.

    Three forms are read. ``.npz`` with ``names`` (n,) and ``features`` (n, D) or (n, K, D); ``.npz`` and
    ``.safetensors`` with one array a name; and feature files of this package's own cache, ``.npy`` with its card and
    names beside it, which stay on the disk. Names are sentences (for :meth:`encode_texts`) or clip names (for
    :meth:`clip_features`).
    """

    shared_space = False

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise MissingError(
                f"The teacher features:{path} wants a .npz, .safetensors or .npy file there, and nothing is there. "
                "Save names and features with numpy.savez, or use teacher=offline."
            )
        self.name = f"features of {self.path.name}"
        self.identity = f"features {file_sha256(self.path)[:16]}"
        self.stand_in = False
        if self.path.suffix == ".npy":
            card = feature_card(self.path)
            self.name, self.stand_in = f"{card.get('teacher')} (from a file)", bool(card.get("stand_in"))
        names, self._features = _read(self.path)
        self._row = {name: index for index, name in enumerate(names)}

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """(n, D) float32 features of sentences that the file holds.

        Raises:
            MissingError: a sentence is not in the file.
            DataError: the file has several features a name: those of clips.
        """
        missing = [text for text in texts if text not in self._row]
        if missing:
            raise MissingError(f"{self.path}: lacks {len(missing)} of {len(texts)} sentences (first: {missing[0]!r}).")
        found = self._stacked(texts)
        if found.ndim == 3 and found.shape[1] == 1:
            found = found[:, 0]
        if found.ndim != 2:
            raise DataError(f"{self.path}: wanted one feature a sentence, found shape {found.shape[1:]}.")
        return found

    def encode_images(self, images: list[np.ndarray]) -> np.ndarray:
        """Always refused: a file cannot look at pictures; use :meth:`clip_features`.

        Raises:
            MissingError: always.
        """
        raise MissingError(f"{self.path}: a feature file cannot encode pictures. Use a teacher that can, e.g. offline.")

    def clip_features(self, names: list[str]) -> FeatureRows:
        """(N, K, D) float32 features of clips; rows of NaN for clips that the file does not hold.

        Raises:
            MissingError: none of the clips is in the file.
        """
        have = [name for name in names if name in self._row]
        if not have:
            raise MissingError(f"{self.path}: holds none of the {len(names)} clips (first: {names[0]}).")
        if isinstance(self._features, np.ndarray):
            table, rows = self._features, [self._row.get(name, -1) for name in names]
        else:
            table, place = self._stacked(have), {name: index for index, name in enumerate(have)}
            rows = [place.get(name, -1) for name in names]
        each = table.shape[1] if table.ndim == 3 else 1
        first = np.array(rows)[:, None]
        index = np.where(first < 0, -1, first * each + np.arange(each))
        return FeatureRows((table.reshape(-1, table.shape[-1]),), index, fingerprint(self.identity, names))

    def _stacked(self, names: list[str]) -> np.ndarray:
        """(n, ...) float32 features of names that are there."""
        found = [np.asarray(self._features[self._row[name]]) for name in names]
        return np.stack(
            [_fitting(one, found[0].shape, name, self.path) for one, name in zip(found, names, strict=True)]
        )


def _read(path: Path) -> tuple[list[str], np.ndarray | list[np.ndarray]]:
    """Names and their features, from any form; nothing in the file is executed."""
    try:
        if path.suffix == ".npy":
            names, features = feature_names(path), np.load(path, mmap_mode="r", allow_pickle=False)
        elif path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            table = load_file(path)
            return list(table), list(table.values())
        else:
            with np.load(path, allow_pickle=False) as archive:
                if "names" not in archive or "features" not in archive:
                    table = dict(archive)
                    return list(table), list(table.values())
                names, features = [str(name) for name in archive["names"]], archive["features"]
    except DataError:
        raise
    except Exception as error:  # zip, numpy and safetensors raise many kinds
        raise DataError(f"{path}: not readable as .npz, .safetensors or .npy ({error}).") from error
    if features.ndim not in (2, 3) or len(names) != len(features):
        raise DataError(
            f"{path}: wanted as many names as features, (n, D) or (n, K, D); found {len(names)} names and "
            f"features of shape {features.shape}."
        )
    return names, features


def _fitting(array: np.ndarray, shape: tuple[int, ...], name: str, path: Path) -> np.ndarray:
    """``array`` as float32, or an error that names it."""
    if array.shape != shape or array.ndim not in (1, 2):
        raise DataError(f"{path}: wanted features of shape {shape} for '{name}', (D) or (K, D); found {array.shape}.")
    return array.astype(np.float32)
