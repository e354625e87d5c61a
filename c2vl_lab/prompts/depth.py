"""UTD-MHAD's depth video as pictures: the person cut out, coloured by how near each part is."""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path

import numpy as np

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.data.readers.matlab import read_array
from c2vl_lab.data.readers.sources import existing_folder, read_member, zip_index
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.prompts.frames import SIDE, spread, square_box

VERSION = 1
BYTES = 32 * 2**20  # of one file; the largest published one has 0.3 MB, compressed inside
NUMBERS = 32 * 2**20  # of one clip: 436 frames of 320 x 240; the longest published one has about 125


class DepthPictures:
    """UTD-MHAD's depth video, read from the zips as published; the person cut out, near is warm, far is cold.

    Archives are ``Depth*.zip`` with members like ``a1_s1_t1_depth.mat``: variable ``d_depth``, height x width x
    frames, millimetres, background 0. One square per clip, around everything that moves through it, so that steps
    towards the camera stay visible (our choice: on training clips it beat a square per frame). Left and right are
    those of a mirror, as published.
    """

    kind = "depth"

    def __init__(self, store: SkeletonStore, data_dir: str | Path):
        self._members: dict[str, tuple[Path, str]] = {}
        wanted, checksums = set(store.names), []
        for path in depth_archives(store.dataset, data_dir):
            for info in zip_index(path):
                name = Path(info.filename).name.removesuffix("_depth.mat")
                if name in wanted and info.filename.endswith("_depth.mat"):
                    self._members[name] = (path, info.filename)
                    checksums.append([name, info.CRC, info.file_size])
        self.identity = f"depth-{VERSION}-{SIDE} {fingerprint(sorted(checksums))}"

    def names(self) -> set[str]:
        """Clips that have depth video."""
        return set(self._members)

    def pictures(self, name: str, count: int) -> list[np.ndarray]:
        """``count`` person crops spread over the clip, uint8 (224, 224, 3); short clips repeat pictures.

        Raises:
            MissingError: the clip has no depth video.
            DataError: its file is damaged.
        """
        if name not in self._members:
            raise MissingError(f"There is no depth video of clip '{name}'; names() lists the clips that have one.")
        video = _read_depth(*self._members[name]).transpose(2, 0, 1)
        box = square_box(video.max(axis=0) > 0 if video.dtype.kind in "iu" else np.any(video > 0, axis=0))
        chosen = spread(len(video), count)
        values, palette = _coloured(video[chosen])
        _, rows, places = np.unique(chosen, return_index=True, return_inverse=True)
        made = [_cut(values[row], palette, box) for row in rows]
        return [made[place] for place in places]


def depth_archives(dataset: str, data_dir: str | Path) -> list[Path]:
    """The zips with a data set's depth video under ``data_dir``.

    Raises:
        ConfigError: the data set has no depth video that can be read.
        MissingError: there is no such zip.
    """
    if dataset != "utd-mhad":
        raise ConfigError(
            f"pictures=depth: only utd-mhad has depth video that can be read, the data set is {dataset}. "
            "Use pictures=rendered or pictures=folder:PATH."
        )
    root = existing_folder(data_dir, "utd-mhad")
    paths = sorted((root / "utd-mhad").glob("Depth*.zip")) or sorted(root.glob("Depth*.zip"))
    if not paths:
        raise MissingError(
            f"pictures=depth: wanted Depth_t1.zip in {root / 'utd-mhad'} or {root}, found no Depth*.zip. "
            "Set data_dir to the folder that holds the published files, or use pictures=rendered."
        )
    return paths


def _read_depth(path: Path, member: str) -> np.ndarray:
    """(H, W, T) millimetres of one Matlab file inside a zip."""
    try:
        archive = zipfile.ZipFile(path)
    except Exception:
        zip_index(path)  # says what is wrong with the archive
        raise
    with archive:
        try:
            info = archive.getinfo(member)
        except KeyError as error:
            raise DataError(f"{path}/{member}: is no longer in the archive. Start again.") from error
        data = read_member(archive, info, path, BYTES)
    wanted = f"shape (height, width, frames) with at most {NUMBERS} numbers"
    return read_array(f"{path}/{member}", data, "d_depth", wanted, _is_video, NUMBERS)


def _is_video(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and 0 not in shape


def _coloured(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each pixel's colour is: turbo over the person's own range of depth, background black.

    Args:
        frames: (K, H, W) depth of the frames that are shown; the range is theirs together.

    Returns:
        (K, H, W) places in the palette, and the palette: (n,) of four bytes red, green, blue, nothing. A pixel's
        millimetres are its place where they are whole and few, so that colours are worked out once, not per pixel.
    """
    person = frames[frames > 0]
    low, high = np.percentile(person, [1, 99]) if len(person) else (0.0, 1.0)
    if frames.dtype in (np.uint8, np.uint16):
        values, places = np.arange(int(frames.max()) + 1), frames
    else:
        values, places = np.unique(frames, return_inverse=True)
    nearness = 1.0 - np.clip((values - low) / max(high - low, 1.0), 0.0, 1.0)
    palette = np.zeros((len(values), 4), np.uint8)
    shown = values > 0
    palette[shown, :3] = _turbo()[(nearness[shown] * 255).astype(np.uint8)]
    return places.reshape(frames.shape), palette.view(np.uint32)[:, 0]


@cache
def _turbo() -> np.ndarray:
    """(256, 3) uint8: matplotlib's turbo colours, loaded when the first clip is coloured."""
    from matplotlib import colormaps

    return (colormaps["turbo"](np.arange(256))[:, :3] * 255).round().astype(np.uint8)


def _cut(values: np.ndarray, palette: np.ndarray, box: tuple[int, int, int]) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8 cut of a frame (H, W) of places in the palette; black beyond its edges."""
    from PIL import Image

    top, left, side = box
    cut = np.zeros((side, side), np.uint32)
    above, before = max(-top, 0), max(-left, 0)
    inside = palette[values[max(top, 0) : top + side, max(left, 0) : left + side]]
    cut[above : above + inside.shape[0], before : before + inside.shape[1]] = inside
    image = Image.frombytes("RGB", (side, side), cut.tobytes(), "raw", "RGBX")
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
