"""Pictures of a clip: RGB or depth video, image folders, or rendered skeletons, opened by name."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import ConfigError, DataError, MissingError, near_miss
from c2vl_lab.prompts.depth import DepthPictures
from c2vl_lab.prompts.frames import spread
from c2vl_lab.prompts.rendering import RenderedPictures
from c2vl_lab.prompts.video import Detector, VideoPictures
from c2vl_lab.teachers.protocol import PictureSource

KINDS = ("video", "depth", "folder", "rendered")
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg")


def open_pictures(
    kind: str,
    store: SkeletonStore,
    data_dir: str | Path = "",
    style: str = "crop+overlay",
    detector: Detector | None = None,
) -> PictureSource:
    """The pictures that ``kind`` names.

    Args:
        kind: ``"video:PATH"`` (RGB video below ``PATH``), ``"depth"`` (the published depth video of UTD-MHAD),
            ``"folder:PATH"`` (images in ``PATH/{clip name}/``) or ``"rendered"`` (stick figures of the store's own
            joints).
        store: the clips; pictures of other clips are not looked at.
        data_dir: where the published archives lie; only for depth.
        style: how video is shown, one of :data:`~c2vl_lab.prompts.person.STYLES`; the other kinds have one look.
        detector: finds the people in video whose joints have no known place, :class:`~c2vl_lab.prompts.video.Detector`.

    Raises:
        ConfigError: an unknown kind or style, a style that the data set's video cannot have, or a detector for
            something else than video.
        MissingError: the archives, the folder or the videos are not there.
        DataError: a damaged archive, or two videos of one clip.
    """
    word, _, rest = kind.partition(":")
    if word == "video" and rest:
        return VideoPictures(store, rest, style, detector)
    if detector is not None and word in KINDS:
        raise ConfigError(f"A detector finds people in video:PATH; the pictures are '{kind}'.")
    if word == "depth" and not rest:
        return DepthPictures(store, data_dir)
    if word == "folder" and rest:
        return FolderPictures(store, rest)
    if word == "rendered" and not rest:
        return RenderedPictures(store)
    raise ConfigError(
        f"There are no pictures named '{kind}'. {near_miss(word, KINDS)} Folders are written folder:PATH or video:PATH."
    )


class FolderPictures:
    """Images that lie in ``{folder}/{clip name}/``, PNG or JPEG, in order of their names, numbers by their value.

    Hidden files, which some systems put beside the images, are no images.
    """

    kind = "folder"

    def __init__(self, store: SkeletonStore, folder: str | Path):
        folder = Path(folder).expanduser()
        if not folder.is_dir():
            raise MissingError(f"Pictures were asked for from {folder}, which is no folder. Wanted: one folder a clip.")
        self._files: dict[str, list[Path]] = {}
        stamps = []
        for name in store.names:
            files = [path for path in (folder / name).glob("*") if _is_image(path)]
            if files:
                self._files[name] = sorted(files, key=_by_numbers)
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


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_ENDINGS and not path.name.startswith(".") and path.is_file()


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """For sorting names as people number frames: 2 before 10, 0002 before 10, t9.25 before t10.5."""
    words = re.split(r"([0-9]+)", path.stem)
    return [(int(word), "") if word.isdecimal() and word.isascii() else (-1, word) for word in words] + [(0, path.name)]


def _read_image(path: Path) -> np.ndarray:
    """One image as RGB, upright; a picture of absurd size is refused by Pillow's own limit."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            mode = image.mode
            if mode[0] not in "IF":
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception as error:  # Pillow raises many kinds
        raise DataError(f"{path}: not readable as an image ({error}).") from error
    raise DataError(
        f"{path}: wanted an image of 8 bits a colour, found {mode} (depth, as a rule), which would be shown as white. "
        f"Turn it into colours first."
    )
