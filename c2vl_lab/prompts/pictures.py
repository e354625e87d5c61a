"""Pictures of a clip: RGB or depth video, image folders, or rendered skeletons, opened by name."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.data.readers.matlab import read_array
from c2vl_lab.data.readers.sources import existing_folder, read_member, zip_index
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import ConfigError, DataError, MissingError, near_miss
from c2vl_lab.prompts.frames import SIDE, cut_square, spread, square_box
from c2vl_lab.prompts.rendering import RenderedPictures
from c2vl_lab.prompts.video import VideoPictures
from c2vl_lab.teachers.protocol import PictureSource

KINDS = ("video", "depth", "folder", "rendered")
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg")
DEPTH_VERSION = 1
DEPTH_BYTES = 32 * 2**20  # of one file; the largest published one has 0.3 MB, compressed inside
DEPTH_NUMBERS = 32 * 2**20  # of one clip: 436 frames of 320 x 240; the longest published one has about 125


def open_pictures(
    kind: str, store: SkeletonStore, data_dir: str | Path = "", style: str = "crop+overlay"
) -> PictureSource:
    """The pictures that ``kind`` names.

    Args:
        kind: ``"video:PATH"`` (RGB video below ``PATH``), ``"depth"`` (the published depth video of UTD-MHAD),
            ``"folder:PATH"`` (images in ``PATH/{clip name}/``) or ``"rendered"`` (stick figures of the store's own
            joints).
        store: the clips; pictures of other clips are not looked at.
        data_dir: where the published archives lie; only for depth.
        style: how video is shown, one of :data:`~c2vl_lab.prompts.person.STYLES`; the other kinds have one look.

    Raises:
        ConfigError: an unknown kind or style, or a style that the data set's video cannot have.
        MissingError: the archives, the folder or the videos are not there.
        DataError: a damaged archive, or two videos of one clip.
    """
    word, _, rest = kind.partition(":")
    if word == "video" and rest:
        return VideoPictures(store, rest, style)
    if word == "depth" and not rest:
        return DepthPictures(store, data_dir)
    if word == "folder" and rest:
        return FolderPictures(store, rest)
    if word == "rendered" and not rest:
        return RenderedPictures(store)
    raise ConfigError(
        f"There are no pictures named '{kind}'. {near_miss(word, KINDS)} Folders are written folder:PATH or video:PATH."
    )


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
        self.identity = f"depth-{DEPTH_VERSION}-{SIDE} {fingerprint(sorted(checksums))}"

    def names(self) -> set[str]:
        """Clips that have depth video."""
        return set(self._members)

    def pictures(self, name: str, count: int) -> list[np.ndarray]:
        """``count`` person crops spread over the clip, uint8 (224, 224, 3).

        Raises:
            MissingError: the clip has no depth video.
            DataError: its file is damaged.
        """
        if name not in self._members:
            raise MissingError(f"There is no depth video of clip '{name}'; names() lists the clips that have one.")
        depth = _read_depth(*self._members[name])
        box = square_box(np.any(depth > 0, axis=2))
        return [cut_square(frame, box) for frame in _coloured(depth[:, :, spread(depth.shape[2], count)])]


class FolderPictures:
    """Images that lie in ``{folder}/{clip name}/``, PNG or JPEG, in order of their names."""

    kind = "folder"

    def __init__(self, store: SkeletonStore, folder: str | Path):
        folder = Path(folder).expanduser()
        if not folder.is_dir():
            raise MissingError(f"Pictures were asked for from {folder}, which is no folder. Wanted: one folder a clip.")
        self._files: dict[str, list[Path]] = {}
        stamps = []
        for name in store.names:
            files = [path for path in (folder / name).glob("*") if path.suffix.lower() in IMAGE_ENDINGS]
            if files:
                self._files[name] = sorted(files, key=lambda path: (len(path.stem), path.name))
                stats = [(path.name, path.stat()) for path in self._files[name]]
                stamps.append([name, [[file, stat.st_size, stat.st_mtime_ns] for file, stat in stats]])
        self.identity = f"folder {fingerprint(stamps)}"

    def names(self) -> set[str]:
        """Clips whose folder holds at least one image."""
        return set(self._files)

    def pictures(self, name: str, count: int) -> list[np.ndarray]:
        """``count`` images spread over the clip's images, uint8 (H, W, 3).

        Raises:
            MissingError: the clip has no images.
            DataError: an image is damaged.
        """
        if name not in self._files:
            raise MissingError(f"There are no images of clip '{name}'; names() lists the clips that have some.")
        files = self._files[name]
        return [_read_image(files[index]) for index in spread(len(files), count)]


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
    zip_index(path)  # says what is wrong with the archive
    with zipfile.ZipFile(path) as archive:
        try:
            info = archive.getinfo(member)
        except KeyError as error:
            raise DataError(f"{path}/{member}: is no longer in the archive. Start again.") from error
        data = read_member(archive, info, path, DEPTH_BYTES)
    wanted = f"shape (height, width, frames) with at most {DEPTH_NUMBERS} numbers"
    return read_array(f"{path}/{member}", data, "d_depth", wanted, _is_video, DEPTH_NUMBERS)


def _is_video(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and 0 not in shape


def _coloured(depth: np.ndarray) -> list[np.ndarray]:
    """RGB frames in matplotlib's turbo colours over the person's own range of depth; background black."""
    from matplotlib import colormaps

    person = depth > 0
    low, high = np.percentile(depth[person], [1, 99]) if person.any() else (0.0, 1.0)
    nearness = 1.0 - np.clip((depth - low) / max(high - low, 1.0), 0.0, 1.0)
    table = (colormaps["turbo"](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    colours = table[(nearness * 255).astype(np.uint8)]
    colours[~person] = 0
    return [colours[:, :, frame] for frame in range(depth.shape[2])]


def _read_image(path: Path) -> np.ndarray:
    """One image as RGB; a picture of absurd size is refused by Pillow's own limit."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow raises many kinds
        raise DataError(f"{path}: not readable as an image ({error}).") from error
