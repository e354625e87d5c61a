"""Chosen frames of a video file, each decoded once, in one pass; PyAV does the work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_lab.errors import DataError, MissingError

TOLERANCE = 3  # frames; the recorder starts and stops picture and skeleton not quite together
REORDERED = 4  # frames that a key frame is shown after its place in the file, at most
WORTH_A_SEEK = 4  # frames that have to be spared; a seek costs about one


class VideoFrames:
    """The frames ``wanted`` of a video, as an iterator of RGB arrays uint8 (H, W, 3).

    Frames are counted from 0 in the order of showing. Only wanted frames are turned into RGB. Where the file has an
    index and an even clock, frames that nobody wants are jumped over from key frame to key frame.

    Args:
        path: the file.
        wanted: rising frame indices. Up to :data:`TOLERANCE` frames after the end, the last frame stands for them.

    Attributes:
        length: number of frames that the file's head names; 0 where it names none.
        rate: frames a second that the file names; 0.0 where it names none.
        decoded: frames decoded so far.
        restored: wanted frames that the decoder could only restore in part.
    """

    def __init__(self, path: Path, wanted: Sequence[int]):
        self._path, self._wanted = path, [int(index) for index in wanted]
        self.length = self.decoded = self.restored = 0
        self.rate = 0.0
        self._position = 0  # index of the frame that comes next

    def __iter__(self) -> Iterator[np.ndarray]:
        """The wanted frames.

        Raises:
            MissingError: PyAV is not installed.
            DataError: the file is damaged, no video, or ends before the last wanted frame.
        """
        av = load_av()
        try:
            with av.open(str(self._path), metadata_errors="ignore") as container:
                yield from self._frames(container)
        except (av.error.FFmpegError, ValueError, IndexError, EOFError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            part = f"after {self._position} frames" if self.decoded else "as a video"
            raise DataError(f"{self._path}: not readable {part} ({reason}). Fetch the file again.") from error

    def _frames(self, container: Any) -> Iterator[np.ndarray]:
        if not container.streams.video or container.streams.video[0].codec_context is None:
            found = "a codec that PyAV does not know" if container.streams.video else "no pictures in the file"
            raise DataError(f"{self._path}: wanted a video, found {found}.")
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1  # clips are decoded side by side
        self.length, self.rate = int(stream.frames or 0), float(stream.average_rate or 0)
        last, left = None, list(self._wanted)
        for index, frame in self._walk(container, stream, left):
            last = frame
            if left and index >= left[0]:
                self.restored += bool(frame.is_corrupt)
                left.pop(0)
                yield _rgb(frame)
            if not left:
                return
        end = self._position
        if last is None or left[-1] >= end + TOLERANCE:
            raise DataError(
                f"{self._path}: frame {left[-1]} was wanted, the video ends after {end} frames. It is cut short or "
                f"belongs to another recording: fetch it again, or leave it out."
            )
        yield from [_rgb(last)] * len(left)

    def _walk(self, container: Any, stream: Any, left: list[int]) -> Iterator[tuple[int, Any]]:
        """(index, frame) from the beginning, and from key frames on where frames before them can be spared."""
        keys, origin, key = _key_frames(stream), None, None
        while left:
            for frame in container.decode(stream):
                self.decoded += 1
                if self.decoded == 1:
                    origin = frame.pts
                elif key is not None:
                    landed, key = _index_of(stream, frame, origin), None
                    if landed is None or landed > left[0]:  # times are not what the index says: count from the start
                        keys, self._position = [], 0
                        container.seek(0, stream=stream, backward=True)
                        break
                    self._position = landed
                self._position += 1
                yield self._position - 1, frame
                key = self._worth_a_seek(keys, left)
                if key is not None:
                    container.seek(stream.start_time + _duration(stream, key), stream=stream, backward=True)
                    keys = [k for k in keys if k > key]  # never twice to the same place
                    break
            else:
                return

    def _worth_a_seek(self, keys: list[int], left: list[int]) -> int | None:
        """The last key frame before the next wanted frame, if it is far enough ahead."""
        key = max((k for k in keys if k <= left[0] - REORDERED), default=0) if left else 0
        return key if key - self._position >= WORTH_A_SEEK else None


def load_av() -> Any:
    """The module ``av``.

    Raises:
        MissingError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingError(
            "Video is read with PyAV, which is not installed. Install it: pip install -c constraints.txt av"
        ) from error
    return av


def _rgb(frame: Any) -> np.ndarray:
    """(H, W, 3) uint8, turned upright where the file says how, as telephones do."""
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    image = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _key_frames(stream: Any) -> list[int]:
    """Indices of key frames to jump to, up to :data:`REORDERED` too low; empty without an index or an even clock."""
    entries, rate = getattr(stream, "index_entries", None), stream.average_rate
    even = rate and stream.base_rate and abs(stream.base_rate / rate - 1) < 1e-3
    if not entries or not even or stream.start_time is None:
        return []
    start = entries[0].timestamp  # times of decoding; with B-frames they are before those of showing
    return [round((e.timestamp - start) * stream.time_base * rate) for e in entries if e.is_keyframe]


def _duration(stream: Any, frames: int) -> int:
    """Duration of a number of frames in the stream's units of time."""
    return round(frames / (stream.average_rate * stream.time_base))


def _index_of(stream: Any, frame: Any, origin: int | None) -> int | None:
    """Index of a key frame by its time after that of the first frame; None where the two do not tell it."""
    if frame.pts is None or origin is None or not frame.key_frame:
        return None
    exact = float((frame.pts - origin) * stream.time_base * stream.average_rate)
    return round(exact) if abs(exact - round(exact)) < 0.1 else None
