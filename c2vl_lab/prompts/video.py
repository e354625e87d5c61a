"""Pictures from RGB video: found by the clips' names, cut by their true frame indices, the person cropped and drawn."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from c2vl_lab.artifacts import fingerprint
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.readers.pku import VIEWS
from c2vl_lab.data.readers.pku_labels import VIDEO
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import ConfigError, DataError, MissingError, choose
from c2vl_lab.prompts.decoding import TOLERANCE, VideoFrames
from c2vl_lab.prompts.frames import spread
from c2vl_lab.prompts.kinect import COLOR_SIZE, color_pixels
from c2vl_lab.prompts.person import CROP_SIDE, FULL_SIDE, STYLES, VERSION, boxes_box, draw_person, person_box

ENDINGS = (".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".mpg")
TAILS = ("_rgb", "_color")  # after the clip's name, as NTU RGB+D and UTD-MHAD publish them
LARGEST_NAMED = 3  # examples in a message
RATE = 30  # frames a second of PKU-MMD's labels and published videos


class Detector(Protocol):
    """A plug for videos whose joints have no known place in the picture; none is shipped.

    It is called in several threads. With torchvision, for example::

        class People:
            identity = "fasterrcnn_resnet50_fpn_v2 COCO_V1 > 0.8"

            def __init__(self):
                self.model = fasterrcnn_resnet50_fpn_v2(weights="COCO_V1").eval()

            def __call__(self, frame):
                with torch.inference_mode():
                    found = self.model([to_tensor(frame)])[0]
                return found["boxes"][(found["labels"] == 1) & (found["scores"] > 0.8)].numpy()

        pictures = open_pictures("video:/data/videos", store, style="crop", detector=People())

    Attributes:
        identity: model and weights; part of every cache key.
    """

    identity: str

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """(n, 4) left, top, right, bottom in pixels of the people in an RGB frame uint8 (H, W, 3); n may be 0."""
        ...


class VideoPictures:
    """Frames of RGB video, whatever the folders are called.

    A clip's video is called like the clip, ``_rgb`` or ``_color`` may follow (``S001C001P001R001A001_rgb.avi``).
    Clips of PKU-MMD are cut from the long videos (``0002-L.avi``, ``A01N01-L.avi``) by their frame indices; where there
    is a video of the clip's own name, it is taken for one that was cut before.

    The joints' places come from the store's colour coordinates (NTU RGB+D; scaled where the video is not 1920 x 1080),
    for PKU-MMD through a typical Kinect v2 (:mod:`~c2vl_lab.prompts.kinect`); other sets need a detector or "full".

    Args:
        store: the clips.
        folder: searched with all folders below.
        style: one of :data:`~c2vl_lab.prompts.person.STYLES`.
        detector: finds the people instead of the joints; then nothing can be drawn.

    Attributes:
        kind, identity: see :class:`~c2vl_lab.teachers.protocol.PictureSource`.

    Raises:
        ConfigError: an unknown style, or one that needs places which nobody knows.
        MissingError: no folder, or no video of any clip.
        DataError: two videos of one clip.
    """

    kind = "video"

    def __init__(
        self,
        store: SkeletonStore,
        folder: str | Path,
        style: str = "crop+overlay",
        detector: Detector | None = None,
    ):
        choose(style, STYLES, "style of pictures")
        self._store, self._style, self._detector = store, style, detector
        self._places = None if detector is not None or style == "full" else joint_places(store)
        self._check_style()
        self._rows = {name: index for index, name in enumerate(store.names)}
        self._files = _match(store, find_videos(folder))
        if not self._files:
            raise MissingError(_nothing_found(store, folder))
        self._lengths: dict[str, str] = {}
        self._restored: dict[str, str] = {}
        self._unplaced: dict[str, str] = {}
        self._rates: dict[str, str] = {}
        paths = sorted({path for path, _ in self._files.values()})
        states = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in paths]
        clips = sorted((name, path.name, cut) for name, (path, cut) in self._files.items())
        found = getattr(detector, "identity", "")
        content = fingerprint(states, clips, store.fingerprint, found, CROP_SIDE, FULL_SIDE)
        self.identity = f"video-{VERSION} {style} {content}"

    def names(self) -> set[str]:
        """Clips that have a video."""
        return set(self._files)

    def pictures(self, name: str, count: int) -> list[np.ndarray]:
        """``count`` pictures spread over the clip, uint8; see :func:`~c2vl_lab.prompts.person.draw_person`.

        Raises:
            MissingError: the clip has no video, or PyAV is not installed.
            DataError: the video is damaged or too short.
        """
        if name not in self._files:
            raise MissingError(f"There is no video of clip '{name}'; names() lists the clips that have one.")
        path, cut = self._files[name]
        clip = self._store[self._rows[name]]
        chosen = spread(len(clip.frames), count)
        first = int(clip.frames[0]) if cut else 0
        wanted, rows, places = np.unique(clip.frames[chosen] - first, return_index=True, return_inverse=True)
        video = VideoFrames(path, wanted.tolist())
        made = self._detected(video) if self._detector else self._drawn(video, clip, chosen[rows].tolist())
        self._note_oddities(name, clip, video, first)
        return [made[place] for place in places]

    def remarks(self) -> list[str]:
        """What was seen in the videos read so far and should be known: odd lengths, odd rates, damage."""
        told = []
        for what, found in (
            (f"clips have a video that is over {TOLERANCE} frames longer or shorter than the skeleton", self._lengths),
            (
                f"clips are cut from a video that names another rate than the labels' {RATE} frames a second; see "
                f"whether its pictures show the actions",
                self._rates,
            ),
            ("clips have frames that the decoder restored only in part", self._restored),
            ("clips are shown whole, for none of their joints has a known place in the video", self._unplaced),
        ):
            some = [f"{name} ({found[name]})" for name in sorted(found)[:LARGEST_NAMED]]
            if found:
                told.append(f"{len(found)} {what}, for example {', '.join(some)}")
        return told

    def _check_style(self) -> None:
        if self._style != "full" and self._detector is None and self._places is None:
            raise ConfigError(
                f"{self._store.dataset} says nothing about where its joints lie in the video, so pictures of style "
                f"'{self._style}' cannot be made. Use the style 'full' (picture_style), or give VideoPictures a "
                f"detector and the style 'crop'."
            )
        if self._detector is not None and self._style != "crop":
            raise ConfigError(f"A detector gives boxes, no joints: its style is 'crop', found '{self._style}'.")

    def _drawn(self, video: VideoFrames, clip: Clip, shown: list[int]) -> list[np.ndarray]:
        """Pictures of the frames ``shown`` of the clip."""
        made: list[np.ndarray] = []
        pixels, box = None, (0.0, 0.0, 1.0)
        for frame in video:
            if not made and self._places is not None:
                height, width = frame.shape[:2]
                pixels = self._places(clip, width, height)
                box = person_box(pixels, width, height)
                if not np.isfinite(pixels).any():
                    self._unplaced[clip.name] = clip.source or "source unknown"
            here = None if pixels is None else pixels[shown[len(made)]]
            made.append(draw_person(frame, here, box, self._store.layout, self._style))
        return made

    def _detected(self, video: VideoFrames) -> list[np.ndarray]:
        """Crops around everybody whom the detector finds in any of the frames."""
        frames = list(video)
        height, width = frames[0].shape[:2]
        box = boxes_box([self._detector(frame) for frame in frames] if self._detector else [], width, height)
        return [draw_person(frame, None, box, self._store.layout, self._style) for frame in frames]

    def _note_oddities(self, name: str, clip: Clip, video: VideoFrames, first: int) -> None:
        """Odd lengths and rates and partly restored frames, for :meth:`remarks`."""
        frames = int(clip.frames[-1]) + 1 - first
        whole = self._store.dataset not in VIDEO or self._files[name][1]  # not a piece of a longer video
        if whole and video.length and abs(video.length - frames) > TOLERANCE:
            self._lengths[name] = f"{video.length} and {frames}"
        if not whole and video.rate and abs(video.rate / RATE - 1) > 0.01:
            self._rates[name] = f"{video.rate:g}"
        if video.restored:
            self._restored[name] = str(video.restored)


def joint_places(store: SkeletonStore) -> Callable[[Clip, int, int], np.ndarray] | None:
    """How to find a clip's joints in its video: ``places(clip, width, height)`` -> (T, M, V, 2) pixels, NaN unknown.

    None where the store knows neither pixels nor the camera.
    """
    kinect = store.dataset in VIDEO
    if not (kinect or store.has("color")):
        return None
    own_size = not kinect and not store.dataset.startswith("ntu")

    def places(clip: Clip, width: int, height: int) -> np.ndarray:
        pixels = color_pixels(clip.xyz) if clip.color is None else np.array(clip.color, np.float32)
        if not own_size:
            pixels = pixels * np.array([width / COLOR_SIZE[0], height / COLOR_SIZE[1]], np.float32)
        with np.errstate(invalid="ignore"):
            far = np.abs(pixels - np.array([width / 2, height / 2], np.float32)) > 1.5 * max(width, height)
        pixels[~(clip.present[..., None] & np.isfinite(pixels).all(axis=-1) & ~far.any(axis=-1))] = np.nan
        return pixels

    return places


def find_videos(folder: str | Path) -> dict[str, list[Path]]:
    """Video files below a folder by name without ending.

    Links to folders are followed, but not in circles; a link to a file that is not there (git-annex) is no video.

    Raises:
        MissingError: there is no such folder.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise MissingError(
            f"Video was asked for from {root}, which is no folder. Give the folder that holds the videos."
        )
    found: dict[str, list[Path]] = {}
    seen = set()
    for here, below, names in os.walk(root, followlinks=True):
        below.sort()
        real = os.path.realpath(here)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        for name in sorted(names):
            if name.lower().endswith(ENDINGS) and os.path.exists(os.path.join(here, name)):
                found.setdefault(Path(name).stem, []).append(Path(here) / name)
    return found


def _match(store: SkeletonStore, videos: dict[str, list[Path]]) -> dict[str, tuple[Path, bool]]:
    """Clip -> its video, and whether the video was cut to the clip before (PKU-MMD alone has the other kind)."""
    pattern = VIDEO.get(store.dataset)
    long: dict[tuple[int, int, int], list[Path]] = {}
    for stem, paths in videos.items() if pattern else ():
        bare = next((stem.removesuffix(tail) for tail in TAILS if stem.endswith(tail)), stem)
        if match := pattern.fullmatch(bare) if pattern else None:
            groups = match.groupdict()
            key = (int(groups["setup"]), int(groups.get("subject", 0)), VIEWS[groups["view"]])
            long.setdefault(key, []).extend(paths)
    files: dict[str, tuple[Path, bool]] = {}
    table = store.clips
    keys = zip(table["setup"].tolist(), table["subject"].tolist(), table["camera"].tolist(), strict=True)
    for name, key in zip(store.names, keys, strict=True):
        own = [path for tail in ("", *TAILS) for path in videos.get(name + tail, [])]
        paths = own or long.get(key, [])
        if len(paths) > 1:
            raise DataError(f"Clip '{name}' has two videos, {paths[0]} and {paths[1]}. Leave one of them.")
        if paths:
            files[name] = (paths[0], bool(own and pattern))
    return files


def _nothing_found(store: SkeletonStore, folder: str | Path) -> str:
    """The sentence about a folder without a video of any clip."""
    wanted = {"pku1": "0002-L.avi", "pku2": "A01N01-L.avi"}.get(store.dataset, f"{store.names[0]}_rgb.avi")
    stems = sorted(find_videos(folder))
    seen = f"{len(stems)} others, for example {stems[0]}" if stems else "no video"
    return f"{store.dataset}: wanted videos like {wanted} under {folder}, found {seen}. Set video:DIR to their folder."
