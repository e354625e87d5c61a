"""Where the training clips lie: on the device as a whole, or on the disk with the next batches on their way.

Both give the same batches to the last bit. There is no loader of many processes: a batch of a resident set is one
gather on the device, and reading a memory-mapped set is copying, for which one thread is enough.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from c2vl_lab.data.joined import ClipRows
from c2vl_lab.errors import ConfigError
from c2vl_lab.training.settings import TrainingSet

AHEAD = 3  # batches that are on their way while the device works
SHARE = 0.25  # of the memory that "auto" gives to the clips; the rest is the network's
PART = 1024  # clips copied at a time


class ClipSource(Protocol):
    """The training clips, batch by batch.

    Attributes:
        device: where the batches are.
    """

    device: torch.device

    def __len__(self) -> int:
        """How many clips there are."""

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """(n, T, M, V, 3) float32 on the device, fetched now: for what is wanted seldom."""

    def batches(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch, or of what is left of one, in the given order.

        Args:
            rows: (n,) integer training rows of each batch, on the processor.

        Returns:
            for each batch its rows and its clips (n, T, M, V, 3) float32, both on the device.
        """


class ResidentClips:
    """All clips on the device.

    Args:
        data: the training part.
        device: where they go.
        kept: how they are kept there: float32, or float16, which takes half the memory and keeps three digits.
    """

    def __init__(self, data: TrainingSet, device: str, kept: torch.dtype = torch.float32) -> None:
        rows = training_rows(data)
        self.clips = torch.empty((len(rows), *data.clips.shape[1:]), dtype=kept, device=device)
        self.device = self.clips.device
        for start in range(0, len(rows), PART):  # a memory-mapped set is never copied whole on the way
            part = rows[start : start + PART]
            self.clips[start : start + len(part)] = torch.from_numpy(np.asarray(data.clips[part], np.float32))

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """See :class:`ClipSource`."""
        return self.clips[rows].float()

    def batches(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """See :class:`ClipSource`."""
        if rows:  # one copy of all row numbers; no step waits for its own
            order = torch.cat(list(rows)).to(self.clips.device)
            for some in order.split([len(batch) for batch in rows]):
                yield some, self[some]


class PrefetchedClips:
    """Clips stay where they are, most often on the disk; a thread reads the next batches while the device works.

    For a GPU a batch is read into pinned memory and copied from there beside the computation.

    Args:
        data: the training part; ``clips`` may be memory-mapped.
        device: where the batches go.
    """

    def __init__(self, data: TrainingSet, device: str) -> None:
        self.data_clips, self.rows, self.device = data.clips, training_rows(data), torch.device(device)
        self.stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """See :class:`ClipSource`."""
        some = self.rows[rows.cpu().numpy() if isinstance(rows, Tensor) else rows]
        return torch.from_numpy(np.array(self.data_clips[some], np.float32)).to(self.device)

    def batches(self, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """See :class:`ClipSource`."""
        with ThreadPoolExecutor(1, "next-clips") as reader:
            coming = deque(reader.submit(self._fetch, batch) for batch in rows[:AHEAD])
            for index in range(len(rows)):
                some, clips, copied = coming.popleft().result()
                if index + AHEAD < len(rows):
                    coming.append(reader.submit(self._fetch, rows[index + AHEAD]))
                if copied is not None:
                    ours = torch.cuda.current_stream(self.device)
                    ours.wait_event(copied)
                    for tensor in (some, clips):  # their memory is the copying stream's, and is in use on ours
                        tensor.record_stream(ours)
                yield some, clips

    def _fetch(self, rows: Tensor) -> tuple[Tensor, Tensor, torch.cuda.Event | None]:
        """Rows and clips of a batch, on the device or on their way there, and the event of their arrival."""
        pinned = self.stream is not None
        clips = torch.empty((len(rows), *self.data_clips.shape[1:]), pin_memory=pinned)
        gather(self.data_clips, self.rows[rows.numpy()], clips.numpy())
        if self.stream is None:
            return rows, clips, None
        with torch.cuda.stream(self.stream):  # torch keeps pinned memory until the copy from it is done
            moved = [tensor.to(self.device, non_blocking=True) for tensor in (rows.pin_memory(), clips)]
            return moved[0], moved[1], self.stream.record_event()


def place_clips(data: TrainingSet, device: str, resident: str) -> ClipSource:
    """The training clips as ``resident`` says.

    Args:
        data: the training part.
        device: "cpu" or "cuda[:i]".
        resident: "yes" (on the device), "half" (there, as float16), "no" (prefetched), or "auto": on the device
            where they take at most a quarter of its free memory.

    Raises:
        ConfigError: they are to lie on the device and do not fit there.
    """
    numbers = len(training_rows(data)) * int(np.prod(data.clips.shape[1:]))
    wanted, free = numbers * (2 if resident == "half" else 4), free_memory(device)
    if resident == "no" or (resident == "auto" and wanted > SHARE * free):
        return PrefetchedClips(data, device)
    if wanted > free:
        raise ConfigError(
            f"resident='{resident}' wants {wanted / 1e9:.1f} GB for the training clips on {device}, which has "
            f"{free / 1e9:.1f} GB free. Use resident='no', which reads them from the disk ahead of time, or 'auto'."
        )
    return ResidentClips(data, device, torch.float16 if resident == "half" else torch.float32)


def free_memory(device: str) -> int:
    """Bytes that the device has free; of a processor's memory all counts, since the system's caches give way."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # a system that does not say: as if there were enough
        return 2**63


def training_rows(data: TrainingSet) -> np.ndarray:
    """Which of ``data.clips`` are trained on, in the order of everything else."""
    return np.arange(len(data.clips)) if data.rows is None else np.asarray(data.rows)


def gather(clips: ClipRows, rows: np.ndarray, out: np.ndarray) -> None:
    """``out[i] = clips[rows[i]]`` as float32, without a copy between where the clips are float32 already."""
    if isinstance(clips, np.ndarray) and clips.dtype == np.float32:
        np.take(clips, rows, axis=0, out=out, mode="clip")  # other modes gather into a buffer first
    else:
        out[...] = clips[rows]
