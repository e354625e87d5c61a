"""Data sets by name: read the published files once, keep a store, open the store ever after."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.artifacts import file_sha256, fingerprint
from c2vl_lab.config import from_dict, to_dict
from c2vl_lab.data.generated import VERSION as GENERATED_VERSION
from c2vl_lab.data.generated import GeneratedConfig, generate
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.data.readers import msr_action3d, ntu, nw_ucla, utd_mhad
from c2vl_lab.data.readers.sources import Progress, Reading, zip_index
from c2vl_lab.data.store import Clip, SkeletonStore, write_store
from c2vl_lab.errors import ConfigError, DataError, near_miss


@dataclass(frozen=True)
class DataSet:
    """How one published set is found and read.

    Attributes:
        find: data_dir -> source files, or a MissingError.
        read: source files -> clips.
        version: raised whenever the reader's result changes, so that old stores are not used.
    """

    find: Callable[[str | Path], list[Path]]
    read: Callable[[list[Path], Progress], Reading]
    version: int


DATASETS: dict[str, DataSet] = {
    "nw-ucla": DataSet(nw_ucla.find, nw_ucla.read, nw_ucla.VERSION),
    "utd-mhad": DataSet(utd_mhad.find, utd_mhad.read, utd_mhad.VERSION),
    "msr-action3d": DataSet(msr_action3d.find, msr_action3d.read, msr_action3d.VERSION),
    "ntu60": DataSet(partial(ntu.find, dataset="ntu60"), partial(ntu.read, classes=60), ntu.VERSION),
    "ntu120": DataSet(partial(ntu.find, dataset="ntu120"), partial(ntu.read, classes=120), ntu.VERSION),
}


def open_dataset(
    name: str,
    data_dir: str | Path = "",
    work_dir: str | Path = "work",
    progress: Progress = None,
    **generated_options: Any,
) -> SkeletonStore:
    """The store of a data set, made from its published files on the first call.

    Args:
        name: ``generated``, a name of :data:`DATASETS`, or the path of a store folder (one's own recordings).
        data_dir: folder of the published files, or a folder that holds a sub-folder named like the set.
        work_dir: stores are kept under ``work_dir/stores/<name>-<key>``; the key is made from the sources' content
            and the reader's version.
        progress: called with one line of text where reading takes long.
        generated_options: fields of ``GeneratedConfig``, for ``generated`` only.

    Raises:
        ConfigError: an unknown name or option.
        MissingError: the published files or the store folder are not there.
        DataError: a file cannot be used; the sentence names it.
    """
    if name == "generated":
        return _open_generated(work_dir, progress, generated_options)
    if generated_options:
        raise ConfigError(f"{name}: the options {sorted(generated_options)} are for the data set 'generated' only.")
    if name not in DATASETS and ("/" in name or "\\" in name or (Path(name) / "meta.json").exists()):
        return SkeletonStore.open(Path(name).expanduser())
    if name not in DATASETS:
        raise ConfigError(f"There is no data set or store folder '{name}'. {near_miss(name, ['generated', *DATASETS])}")
    dataset = DATASETS[name]
    sources = dataset.find(data_dir)
    path = _store_path(work_dir, name, fingerprint(dataset.version, sources_key(sources)))
    if not (path / "meta.json").exists():
        _write(path, name, dataset.read(sources, progress))
    return SkeletonStore.open(path)


def _open_generated(work_dir: str | Path, progress: Progress, options: dict[str, Any]) -> SkeletonStore:
    """The generated set of the given options."""
    settings = from_dict(GeneratedConfig, options, where="generated")
    path = _store_path(work_dir, "generated", fingerprint(GENERATED_VERSION, to_dict(settings)))
    if not (path / "meta.json").exists():
        _write(path, "generated", generate(settings, progress))
    return SkeletonStore.open(path)


def _write(path: Path, name: str, reading: Reading) -> None:
    """Write a store; of several processes that read the same sources the first writes and the others use its store."""
    write_store(
        path,
        reading.clips,
        dataset=name,
        layout=reading.layout,
        classes=reading.classes,
        generated=name == "generated",
        notes=reading.notes,
        keep=True,
    )


def _store_path(work_dir: str | Path, name: str, key: str) -> Path:
    return Path(work_dir) / "stores" / f"{name}-{key}"


def sources_key(sources: list[Path]) -> str:
    """A digest of the sources' content, cheap enough to be computed at every opening.

    A zip is known by its directory (every member's name, size and checksum), a ``.skeleton`` file by name, size and
    time of change (there may be 100,000 of them), any other file by its SHA-256.

    Raises:
        DataError: a zip is cut or damaged.
    """
    digest = hashlib.sha256()
    for path in sources:
        if path.suffix == ".zip":
            for info in zip_index(path):
                digest.update(f"{info.filename}\t{info.file_size}\t{info.CRC}\n".encode())
        elif path.suffix == ".skeleton":
            state = path.stat()
            digest.update(f"{path.name}\t{state.st_size}\t{state.st_mtime_ns}\n".encode())
        else:
            digest.update(f"{path.name}\t{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def store_from_arrays(
    path: str | Path,
    arrays: list[np.ndarray],
    table: pd.DataFrame,
    layout: JointLayout,
    classes: list[str],
    dataset: str,
) -> SkeletonStore:
    """A store of one's own recordings.

    Args:
        path: folder of the new store.
        arrays: for each clip coordinates (T, V, 3) or (T, M, V, 3) in metres, y up; frames of a body that are all
            zero count as not tracked.
        table: one row a clip, in the order of ``arrays``: ``name`` and ``label`` (0-based index or class name), and
            where known ``subject``, ``camera``, ``setup``, ``trial`` (whole numbers).
        layout: joint layout of all arrays (``layouts.layout_from_bones`` makes one's own).
        classes: class names in label order.
        dataset: short name of the set, shown in reports.

    Raises:
        DataError: table and arrays do not fit together, an unknown label, a wrong shape, or NaN joints.
    """
    wanted = [column for column in ("name", "label") if column not in table.columns]
    if wanted:
        raise DataError(f"{dataset}: the table lacks the columns {wanted}; it has {list(table.columns)}.")
    if len(arrays) != len(table):
        raise DataError(f"{dataset}: wanted one table row an array, found {len(table)} rows and {len(arrays)} arrays.")
    clips = [
        _own_clip(array, row, classes, dataset)
        for array, row in zip(arrays, table.to_dict(orient="records"), strict=True)
    ]
    return write_store(Path(path), clips, dataset=dataset, layout=layout, classes=list(classes))


def _own_clip(array: np.ndarray, row: Mapping[Hashable, Any], classes: list[str], dataset: str) -> Clip:
    """One array and its table row as a clip."""
    name, label = str(row["name"]), row["label"]
    if isinstance(label, str):
        if label not in classes:
            raise DataError(f"{dataset}, clip {name}: label '{label}' is none of the classes {list(classes)}.")
        label = list(classes).index(label)
    xyz = np.asarray(array, dtype=np.float32)
    if xyz.ndim == 3:
        xyz = xyz[:, None]
    if xyz.ndim != 4:
        raise DataError(f"{dataset}, clip {name}: wanted (T, V, 3) or (T, M, V, 3), found {np.shape(array)}.")
    try:
        numbers = {key: int(row.get(key, 0)) for key in ("subject", "camera", "setup", "trial")}
        label = int(label)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{dataset}, clip {name}: label, subject, camera, setup and trial must be whole numbers ({error})."
        ) from error
    return Clip(
        name=name,
        xyz=xyz,
        present=np.any(xyz != 0, axis=(2, 3)),
        frames=np.arange(len(xyz), dtype=np.int32),
        label=label,
        source=f"{dataset}/{name}",
        **numbers,
    )
