"""Data sets by name: read the published files once, keep a store, open the store ever after."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import file_sha256, fingerprint
from c2vl_lab.config import from_dict, to_dict
from c2vl_lab.data.convert import convert
from c2vl_lab.data.generated import VERSION as GENERATED_VERSION
from c2vl_lab.data.generated import GeneratedConfig, generate
from c2vl_lab.data.generated_actions import ACTIONS
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.own import store_from_arrays as store_from_arrays  # its first home
from c2vl_lab.data.readers import agcn, ctrgcn, frame50, msr_action3d, ntu, nw_ucla, pku, pyskl, utd_mhad
from c2vl_lab.data.readers.sources import NoOptions, Part, PartReading, Plan, Progress, zip_index
from c2vl_lab.data.store import FORMAT, SkeletonStore
from c2vl_lab.data.summary import many, unit_of
from c2vl_lab.data.writing import write_store
from c2vl_lab.errors import ConfigError, DataError, near_miss

MANY, LARGE = 100, 64 * 2**20  # files, bytes: from here on a file is known by its size and time of change


@dataclass(frozen=True)
class DataSet:
    """How one published set is found and read.

    Attributes:
        find: (data_dir, options) -> source files, or a MissingError.
        plan: (source files, options) -> the parts to read.
        read: (part, the plan's context) -> its clips; runs in worker processes.
        version: raised whenever the reader's result changes, so that old stores are not used.
        options: the settings of the reader, a frozen dataclass.
        guesses: the reader takes the set or the protocol from the names of files and folders.
    """

    find: Callable[[str | Path, Any], list[Path]]
    plan: Callable[[list[Path], Any], Plan]
    read: Callable[[Part, Any], PartReading]
    version: int
    options: type = NoOptions
    guesses: bool = False


def _of_family(module: Any, dataset: str) -> DataSet:
    """A set whose reader serves several sets."""
    find, plan = partial(module.find, dataset=dataset), partial(module.plan, dataset=dataset)
    return DataSet(find, plan, module.read, module.VERSION, module.Options)


def _of(module: Any, guesses: bool = False) -> DataSet:
    options = getattr(module, "Options", NoOptions)
    return DataSet(module.find, module.plan, module.read, module.VERSION, options, guesses)


DATASETS: dict[str, DataSet] = {
    "nw-ucla": _of(nw_ucla),
    "utd-mhad": _of(utd_mhad),
    "msr-action3d": _of(msr_action3d),
    "ntu60": _of_family(ntu, "ntu60"),
    "ntu120": _of_family(ntu, "ntu120"),
    "pku1": _of_family(pku, "pku1"),
    "pku2": _of_family(pku, "pku2"),
    # the layouts that other repositories ship; the clips become those of the set they were made from
    "frame50": _of(frame50, guesses=True),
    "agcn": _of(agcn, guesses=True),
    "ctrgcn": _of(ctrgcn, guesses=True),
    "pyskl": _of(pyskl, guesses=True),
}


def open_dataset(
    name: str,
    data_dir: str | Path = "",
    work_dir: str | Path = "work",
    progress: Progress = None,
    *,
    workers: int = 0,
    skip_bad: bool = False,
    **options: Any,
) -> SkeletonStore:
    """The store of a data set, made from its published files on the first call.

    A conversion that is stopped goes on where it was at the next call.

    Args:
        name: ``generated``, a name of :data:`DATASETS`, or the path of a store folder (one's own recordings).
        data_dir: folder of the published files, or a folder that holds a sub-folder named like the set.
        work_dir: stores are kept under ``work_dir/stores/<name>-<key>``; the key is made from the sources' content,
            the options and the reader's version.
        progress: called with one line of text where reading takes long.
        workers: reading processes; 0: one a core.
        skip_bad: leave out files that cannot be used; the store's notes name them.
        options: the reader's settings (``cut`` of PKU-MMD), or fields of ``GeneratedConfig``.

    Raises:
        ConfigError: an unknown name or option.
        MissingError: the published files or the store folder are not there.
        DataError: files cannot be used; the sentences name them.
        StorageError: the store cannot be written.
    """
    if name == "generated":
        return _open_generated(work_dir, progress, options)
    if name not in DATASETS and ("/" in name or "\\" in name or (Path(name) / "meta.json").exists()):
        if options:
            raise ConfigError(f"{name}: a finished store takes no options, found {sorted(options)}.")
        return SkeletonStore.open(Path(name).expanduser())
    dataset = find_dataset(name)
    settings: Any = from_dict(dataset.options, options, where=name)
    try:
        sources = dataset.find(data_dir, settings)
        said = [Path(data_dir).name, *(path.absolute().parts[-3:] for path in sources)] if dataset.guesses else []
        key = fingerprint(FORMAT, dataset.version, sources_key(sources), to_dict(settings), said)
        path = _store_path(work_dir, name, key)
        if (path / "meta.json").exists():
            return _opened(path, name, progress, skip_bad)
        plan = dataset.plan(sources, settings)
    except OSError as error:
        raise DataError(
            f"{name}: {error.filename or data_dir} cannot be read ({error.strerror or error}). Check the disk and the "
            f"permissions."
        ) from error
    return convert(name, plan, dataset.read, path, key, progress, workers, skip_bad)


def _opened(path: Path, name: str, progress: Progress, skip_bad: bool) -> SkeletonStore:
    """A finished store; says so if files were left out of it that nobody has agreed to leave out this time."""
    store = SkeletonStore.open(path)
    faults = store.meta["notes"].get("faults", {})
    if faults and progress and not skip_bad:
        progress(
            f"{name}: this store was made without {many(len(faults), unit_of(faults))} that cannot be used (--skip-bad)"
        )
    return store


def find_dataset(name: str) -> DataSet:
    """The reader of a published set.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in DATASETS:
        raise ConfigError(f"There is no data set or store folder '{name}'. {near_miss(name, ['generated', *DATASETS])}")
    return DATASETS[name]


def options_of(name: str) -> type:
    """The settings of a data set's reader, a dataclass; none for a finished store."""
    if name == "generated":
        return GeneratedConfig
    return find_dataset(name).options if name in DATASETS else NoOptions


def dataset_key(name: str, data_dir: str | Path) -> str:
    """A digest of a published set's files as they are found with the reader's default options."""
    dataset = find_dataset(name)
    return sources_key(dataset.find(data_dir, dataset.options()))


def _open_generated(work_dir: str | Path, progress: Progress, options: dict[str, Any]) -> SkeletonStore:
    """The generated set of the given options; of several processes the first writes, the others use its store."""
    settings = from_dict(GeneratedConfig, options, where="generated")
    path = _store_path(work_dir, "generated", fingerprint(FORMAT, GENERATED_VERSION, to_dict(settings)))
    if (path / "meta.json").exists():
        return SkeletonStore.open(path)
    return write_store(
        path,
        generate(settings, progress),
        dataset="generated",
        layout=NTU25,
        classes=list(ACTIONS),
        generated=True,
        notes={"generated": "made by c2vl_lab's kinematic generator; these clips are no recordings"},
        keep=True,
    )


def _store_path(work_dir: str | Path, name: str, key: str) -> Path:
    return Path(work_dir) / "stores" / f"{name}-{key}"


def sources_key(sources: list[Path]) -> str:
    """A digest of the sources' content, cheap enough to be computed at every opening.

    A zip (an ``.npz`` is one) is known by its directory: every member's name, size and checksum. A large file, and
    every file of a set of many, is known by name, size and time of change; any other file by its SHA-256.

    Raises:
        DataError: a zip is cut or damaged, or a source is no file (a pipe or a device would be read for ever).
    """
    digest = hashlib.sha256()
    for path in sources:
        if not path.is_file():
            raise DataError(
                f"{path}: wanted a file, found a folder, a pipe, or a link that leads nowhere. Remove it, or put the "
                f"published file in its place."
            )
        state = path.stat()
        if path.suffix.lower() in (".zip", ".npz"):
            for info in zip_index(path):
                digest.update(f"{info.filename}\t{info.file_size}\t{info.CRC}\n".encode(errors="replace"))
        elif len(sources) > MANY or state.st_size > LARGE:
            digest.update(f"{path.name}\t{state.st_size}\t{state.st_mtime_ns}\n".encode(errors="replace"))
        else:
            digest.update(f"{path.name}\t{file_sha256(path)}\n".encode(errors="replace"))
    return digest.hexdigest()
