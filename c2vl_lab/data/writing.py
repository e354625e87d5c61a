"""Writing a store: clip after clip to disk, with a journal, so that a killed conversion goes on where it was.

The arrays grow in a hidden folder beside the store. After every part the journal, one line a part, says how long each
file is then; whatever a killed process wrote after that is cut off on the next start. When all parts are there the
folder is completed and renamed, so the store appears whole or not at all and an older one stays usable until then.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from c2vl_lab.artifacts import fingerprint, only_writer
from c2vl_lab.data.clips import Clip, check_clip, printable
from c2vl_lab.data.disk import HEADER, storage_errors, to_disk, write_header, write_text
from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.data.readers.sources import PartReading
from c2vl_lab.data.store import ARRAYS, COLUMNS, FORMAT, REQUIRED, SPLIT, SkeletonStore, clip_digest
from c2vl_lab.errors import DataError

BLOCK = 256  # clips that write_store holds at a time


class StoreWriter:
    """A store in the making at ``path``; use it under :func:`c2vl_lab.artifacts.only_writer`.

    Args:
        path: where the store will be.
        layout: joint layout of every clip.
        classes: number of classes, the bound of the labels.
        extras: of ``state`` and ``color``, what every clip brings.
        key: what identifies the conversion; a journal of another key is thrown away.
        resume: go on with what an earlier, killed writer of the same key left.

    Attributes:
        parts: parts that are complete.
        files, bytes: raw files and bytes that were read for them.
        faults: file -> why it could not be used.
    """

    def __init__(
        self,
        path: Path,
        layout: JointLayout,
        classes: int,
        extras: tuple[str, ...] = (),
        key: str = "",
        resume: bool = True,
    ):
        self.path, self.layout, self._classes = Path(path), layout, classes
        self._names = (*REQUIRED, *extras)
        self._folder = self.path.with_name(f".{self.path.name}.building")
        self._log = self.path.with_name(f".{self.path.name}.journal")
        self._first = {"format": FORMAT, "key": key, "layout": layout.name, "arrays": list(self._names)}
        self.parts = self.files = self.bytes = 0
        self.counts: Counter[str] = Counter()
        self.dropped: dict[str, str] = {}
        self.faults: dict[str, str] = {}
        self._rows: list[dict[str, Any]] = []
        self._seen: set[str] = set()
        with storage_errors(self.path):
            entries = self._journal() if resume else []
            if not entries:
                self._begin()
            self._go_on(entries)

    @property
    def clips(self) -> int:
        """Clips written so far."""
        return len(self._rows)

    def append(self, reading: PartReading) -> None:
        """Write one part's clips; one that a store cannot hold becomes a fault of its file.

        Raises:
            StorageError: the disk is full or read-only; what was complete before stays.
        """
        faults, rows = dict(reading.faults), []
        blocks: dict[str, list[bytes]] = {name: [] for name in self._names}
        for clip in reading.clips:
            try:
                self._check(clip)
            except DataError as error:
                faults[printable(clip.source or clip.name)] = str(error)
                continue
            self._seen.add(clip.name)
            rows.append(_row(clip))
            for name, (dtype, _) in ARRAYS.items():
                if name in blocks:
                    blocks[name].append(np.ascontiguousarray(getattr(clip, name), dtype).tobytes())
        entry = {
            "rows": rows,
            "counts": dict(reading.counts),
            "dropped": reading.dropped,
            "faults": faults,
            "files": reading.files,
            "bytes": reading.bytes,
        }
        with storage_errors(self.path):
            for name, stream in self._streams.items():
                stream.write(b"".join(blocks[name]))
                to_disk(stream)
            entry["sizes"] = {name: stream.tell() for name, stream in self._streams.items()}
            self._journal_stream.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            to_disk(self._journal_stream)
        self._take(entry)

    def finish(
        self,
        dataset: str,
        classes: list[str],
        class_ids: list[int],
        generated: bool = False,
        notes: dict[str, Any] | None = None,
    ) -> SkeletonStore:
        """Complete the folder and put it in its place.

        Raises:
            DataError: no clip was written.
            StorageError: the disk is full or read-only.
        """
        if not self._rows:
            raise DataError(f"{dataset}: no clip was read, so there is nothing to store.{self._why_nothing()}")
        meta = {
            "format": FORMAT,
            "dataset": dataset,
            "generated": generated,
            "layout": _plain(self.layout),
            "classes": list(classes),
            "class_ids": list(class_ids) or list(range(1, len(classes) + 1)),
            "fingerprint": fingerprint([row["digest"] for row in self._rows]),
            "notes": {
                **(notes or {}),
                "read": {"files": self.files, "bytes": self.bytes, "clips": len(self._rows)},
                "counts": dict(sorted(self.counts.items())),
                "dropped": dict(sorted(self.dropped.items())),
                "faults": dict(sorted(self.faults.items())),
            },
        }
        with storage_errors(self.path):
            for name, stream in self._streams.items():
                write_header(stream, name, len(self.layout))
                to_disk(stream)
            self.close()
            write_text(self._folder / "clips.csv", _table(self._rows).to_csv(index=False, lineterminator="\n"))
            write_text(self._folder / "meta.json", json.dumps(meta, indent=2, ensure_ascii=False) + "\n")
            self._put_in_place()
        return SkeletonStore.open(self.path)

    def close(self) -> None:
        """Let go of the files; what is complete stays for the next start."""
        for stream in (*self._streams.values(), self._journal_stream):
            stream.close()

    def discard(self) -> None:
        """Remove everything that was not put in place."""
        self.close()
        self._log.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _check(self, clip: Clip) -> None:
        where = clip.source or clip.name
        if clip.name in self._seen:
            raise DataError(f"{where}: the clip name {clip.name} occurs twice; names must be unique.")
        lacking = [name for name in self._names if getattr(clip, name) is None]
        if lacking:
            raise DataError(f"{where}: the other clips have {', '.join(lacking)}, this one has not.")
        more = [name for name in ARRAYS if name not in self._names and getattr(clip, name) is not None]
        if more:
            raise DataError(f"{where}: this clip has {', '.join(more)}, the clips before it have not.")
        check_clip(clip, self.layout, self._classes)

    def _journal(self) -> list[dict[str, Any]]:
        """The complete lines of an earlier journal of the same key, the first line left out."""
        try:
            lines = self._log.read_bytes().split(b"\n")[:-1]  # the last piece has no line end: it is torn or empty
            entries = [json.loads(line) for line in lines]
        except (FileNotFoundError, ValueError):
            return []
        usable = len(entries) > 0 and entries[0] == self._first and self._holds(entries[-1].get("sizes", {}))
        return entries if usable else []

    def _holds(self, sizes: dict[str, int]) -> bool:
        """Whether every array is as long as the journal says, or longer."""
        files = {name: self._folder / f"{name}.npy" for name in self._names}
        return all(file.is_file() and file.stat().st_size >= sizes.get(name, HEADER) for name, file in files.items())

    def _begin(self) -> None:
        self._log.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        for name in self._names:
            (self._folder / f"{name}.npy").write_bytes(bytes(HEADER))
        self._log.write_bytes(json.dumps(self._first).encode() + b"\n")

    def _go_on(self, entries: list[dict[str, Any]]) -> None:
        """Open the files at the end of the last complete part."""
        for entry in entries[1:]:
            self._take(entry)
        sizes = entries[-1].get("sizes", {}) if entries else {}
        self._streams = {name: open(self._folder / f"{name}.npy", "r+b") for name in self._names}  # noqa: SIM115
        for name, stream in self._streams.items():
            stream.truncate(sizes.get(name, HEADER))
            stream.seek(0, os.SEEK_END)
        if self._log.exists():
            whole = self._log.read_bytes().rfind(b"\n") + 1
            os.truncate(self._log, whole)
        self._journal_stream = open(self._log, "ab")  # noqa: SIM115

    def _take(self, entry: dict[str, Any]) -> None:
        self._rows += entry["rows"]
        self._seen.update(row["name"] for row in entry["rows"])
        self.counts.update(entry["counts"])
        self.dropped |= entry["dropped"]
        self.faults |= entry["faults"]
        self.files += entry["files"]
        self.bytes += entry["bytes"]
        self.parts += 1

    def _put_in_place(self) -> None:
        os.chmod(self._folder, 0o755)
        old = None
        if self.path.exists():
            old = self.path.with_name(f".{self.path.name}.old-{os.getpid()}")
            os.rename(self.path, old)
        os.rename(self._folder, self.path)
        self._log.unlink(missing_ok=True)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)

    def _why_nothing(self) -> str:
        """What the reader said about the first file, if anything."""
        for reasons in (self.faults, {name: f"{name}: {why}" for name, why in self.dropped.items()}):
            if reasons:
                return f" {next(iter(reasons.values()))}"
        return ""


def write_store(
    path: str | Path,
    clips: Iterable[Clip],
    *,
    dataset: str,
    layout: JointLayout,
    classes: list[str],
    class_ids: list[int] | None = None,
    generated: bool = False,
    notes: dict[str, Any] | None = None,
    keep: bool = False,
) -> SkeletonStore:
    """Check clips and write them as a store; an older store at ``path`` stays until the new one is complete.

    Args:
        path: folder of the store.
        clips: the clips, one after another; any iterator, a few hundred are held in memory at a time.
        dataset: short name of the set.
        layout: joint layout of every clip.
        classes: class names in label order.
        class_ids: the published id of each class; 1, 2, ... by default.
        generated: True for clips that are no recordings.
        notes: what the reader wants to be known.
        keep: leave a store alone that is already at ``path``, written by another process in the meantime.

    Raises:
        DataError: no clip, a repeated name, a label outside ``classes``, a wrong shape, or NaN joints.
        StorageError: the disk is full or the folder read-only.
    """
    path = Path(path)
    stream = iter(clips)
    with storage_errors(path), only_writer(path):
        if keep and (path / "meta.json").exists():
            return SkeletonStore.open(path)
        first = list(islice(stream, BLOCK))
        extras = tuple(name for name in ("state", "color") if first and getattr(first[0], name) is not None)
        writer = StoreWriter(path, layout, len(classes), extras, resume=False)
        try:
            while first:
                writer.append(PartReading(clips=first, files=0))
                if writer.faults:
                    raise DataError(next(iter(writer.faults.values())))
                first = list(islice(stream, BLOCK))
            return writer.finish(dataset, classes, class_ids or [], generated, notes)
        finally:
            writer.discard()


def _row(clip: Clip) -> dict[str, Any]:
    """A clip's row in the table."""
    plain = {name: getattr(clip, name) for name in COLUMNS if name not in ("length", "bodies", "ids", "digest")}
    numbers = {name: value if isinstance(value, str) else int(value) for name, value in plain.items()}
    numbers["source"] = "".join(c if c.isprintable() else "?" for c in clip.source)  # a row of the table is one line
    measured = {"length": len(clip.xyz), "bodies": clip.xyz.shape[1], "ids": ";".join(clip.ids)}
    splits = {f"{SPLIT}{protocol}": part for protocol, part in clip.splits.items()}
    return {**numbers, **measured, "digest": clip_digest(clip), **splits}


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    splits = sorted({column for row in rows for column in row if column.startswith(SPLIT)})
    return pd.DataFrame(rows, columns=[*COLUMNS, *splits]).fillna(dict.fromkeys(splits, ""))


def _plain(layout: JointLayout) -> dict[str, Any]:
    """A layout as JSON values."""
    return {
        "name": layout.name,
        "joints": list(layout.joints),
        "parents": list(layout.parents),
        "mirror": list(layout.mirror),
    }
