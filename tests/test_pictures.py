"""Pictures: depth straight from zips, image folders, rendered skeletons; damaged ones named, absent ones reported."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import KINECT20
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.writing import write_store
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.prompts import depth
from c2vl_lab.prompts.frames import SIDE, spread, square_box
from c2vl_lab.prompts.pictures import open_pictures
from c2vl_lab.prompts.rendering import COLOURS, render
from c2vl_lab.viz import theme

SHARED = Path(os.environ.get("C2VL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
POSE = {
    "spine_base": (0, 0, 0),
    "spine_mid": (0, 0.25, 0),
    "spine_shoulder": (0, 0.5, 0),
    "head": (0, 0.75, 0),
    "shoulder": (0.2, 0.45, 0),
    "elbow": (0.25, 0.2, 0),
    "wrist": (0.25, 0, 0),
    "hand": (0.25, -0.05, 0),
    "hip": (0.1, 0, 0),
    "knee": (0.1, -0.4, 0),
    "ankle": (0.1, -0.8, 0),
    "foot": (0.1, -0.85, -0.1),
}


def standing(frames: int = 20) -> np.ndarray:
    """(frames, 1, 20, 3): somebody who faces the camera, the right side towards +x, and raises the right arm."""
    body = np.zeros((frames, len(KINECT20), 3), np.float32)
    for index, joint in enumerate(KINECT20.joints):
        side, _, part = joint.partition("_")
        place = np.array(POSE[joint] if joint in POSE else POSE[part], np.float32)
        body[:, index] = place * ([-1, 1, 1] if side == "left" else [1, 1, 1])
    lift = np.linspace(0, 1, frames)[:, None] * np.array([0, 1.0, 0])
    for part in ("right_elbow", "right_wrist", "right_hand"):
        body[:, KINECT20.index(part)] += lift
    return body[:, None]


def make_store(path: Path, names: list[str], dataset: str = "utd-mhad") -> SkeletonStore:
    clips = [Clip(n, standing(), np.ones((20, 1), bool), np.arange(20, dtype=np.int32), 0) for n in names]
    return write_store(path, clips, dataset=dataset, layout=KINECT20, classes=["raise"])


def depth_zip(path: Path, clips: dict[str, np.ndarray]) -> None:
    from scipy.io import savemat

    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, depth in clips.items():
            buffer = io.BytesIO()
            savemat(buffer, {"d_depth": depth}, do_compression=True)
            archive.writestr(f"{name}_depth.mat", buffer.getvalue())


def box_video(frames: int = 12) -> np.ndarray:
    """(240, 320, frames) millimetres: a body at 3 m, with a part that comes nearer frame by frame."""
    depth = np.zeros((240, 320, frames), np.uint16)
    depth[60:200, 140:180] = 3000
    for frame in range(frames):
        depth[100:120, 140:160, frame] = 3000 - 80 * frame
    return depth


def test_frames_are_spread_over_the_whole_clip():
    assert spread(8, 4).tolist() == [1, 3, 5, 7]
    assert spread(100, 1).tolist() == [50]
    assert spread(2, 4).tolist() == [0, 0, 1, 1]


def test_the_square_holds_the_mask_and_no_noise():
    mask = np.zeros((240, 320), bool)
    mask[60:200, 140:180] = True
    mask[5, 300] = True
    top, left, side = square_box(mask)
    assert side == 154 and top <= 60 and top + side >= 200 and abs((left + side / 2) - 160) <= 1
    assert square_box(np.zeros((4, 6), bool)) == (0, 0, 6)


def test_depth_is_read_from_the_zips_cut_and_coloured(tmp_path):
    store = make_store(tmp_path / "store", ["a1_s1_t1", "a1_s2_t2", "a2_s1_t3"])
    depth_zip(tmp_path / "utd-mhad" / "Depth_t1.zip", {"a1_s1_t1": box_video(), "a9_s9_t1": box_video()})
    depth_zip(tmp_path / "utd-mhad" / "Depth_train_t234.zip", {"a2_s1_t3": box_video(9)})
    source = open_pictures("depth", store, tmp_path)
    assert source.names() == {"a1_s1_t1", "a2_s1_t3"}
    pictures = source.pictures("a1_s1_t1", 4)
    assert [p.shape for p in pictures] == [(SIDE, SIDE, 3)] * 4 and pictures[0].dtype == np.uint8
    assert (pictures[0][112, 5] == 0).all() and pictures[0][112, 112].any()
    # the near part gets warmer than the body in time: more red, less blue
    first, last = pictures[0][75, 100].astype(int), pictures[3][75, 100].astype(int)
    assert last[0] > 100 and last[2] < 60 and first[0] < last[0]
    with pytest.raises(MissingError, match="no depth video of clip 'a1_s2_t2'"):
        source.pictures("a1_s2_t2", 4)


def plain_depth_pictures(depth: np.ndarray, count: int) -> list[np.ndarray]:
    """The pictures of a depth video by the plain formula: all pixels coloured one by one, then the square cut out."""
    from matplotlib import colormaps

    frames = depth[:, :, spread(depth.shape[2], count)]
    person = frames > 0
    low, high = np.percentile(frames[person], [1, 99]) if person.any() else (0.0, 1.0)
    near = 1 - np.clip((frames.astype(float) - low) / max(high - low, 1.0), 0, 1)
    turbo = (colormaps["turbo"](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    colours = np.where(person[..., None], turbo[(near * 255).astype(int)], 0).astype(np.uint8)
    top, left, side = square_box((depth > 0).any(axis=2))
    cuts = [Image.fromarray(colours[:, :, k]).crop((left, top, left + side, top + side)) for k in range(count)]
    return [np.asarray(cut.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for cut in cuts]


@pytest.mark.parametrize("kind", [np.uint16, np.uint8, np.int16, np.float64])
@pytest.mark.parametrize("place", ["inside", "corner", "nobody", "everywhere"])
def test_depth_pictures_are_those_of_the_plain_formula_bit_by_bit(tmp_path, kind, place):
    rng = np.random.default_rng(5)
    depth = rng.integers(0, 200 if kind is np.uint8 else 20_000, (48, 64, 7)).astype(kind)
    if kind in (np.int16, np.float64):
        depth[rng.random(depth.shape) < 0.2] *= -1  # no depth: background
    if kind is np.float64:
        depth *= 0.37
    shown = {"inside": np.s_[9:40, 20:41], "corner": np.s_[:30, 55:], "nobody": np.s_[:0], "everywhere": np.s_[:]}
    kept = np.zeros(depth.shape[:2], bool)
    kept[shown[place]] = True
    depth[~kept] = 0
    store = make_store(tmp_path / "store", ["a1_s1_t1"])
    depth_zip(tmp_path / "Depth_t1.zip", {"a1_s1_t1": depth})
    source = open_pictures("depth", store, tmp_path)
    for count in (1, 4, 11):
        found, wanted = source.pictures("a1_s1_t1", count), plain_depth_pictures(depth, count)
        assert len(found) == count and all(p.dtype == np.uint8 and p.shape == (SIDE, SIDE, 3) for p in found)
        np.testing.assert_array_equal(found, wanted)


def test_depth_identity_follows_the_content(tmp_path):
    store = make_store(tmp_path / "store", ["a1_s1_t1"])
    identities = []
    for shift in (0, 7):
        depth_zip(tmp_path / str(shift) / "Depth_t1.zip", {"a1_s1_t1": box_video() + np.uint16(shift)})
        identities.append(open_pictures("depth", store, tmp_path / str(shift)).identity)
    assert identities[0] != identities[1]


def test_bad_depth_gets_one_sentence(tmp_path):
    store = make_store(tmp_path / "store", ["a1_s1_t1"])
    with pytest.raises(MissingError, match=r"wanted Depth_t1\.zip in .*Set data_dir"):
        open_pictures("depth", store, tmp_path)
    with pytest.raises(MissingError, match="data_dir is not set"):
        open_pictures("depth", store)
    with zipfile.ZipFile(tmp_path / "Depth_t1.zip", "w") as archive:
        archive.writestr("a1_s1_t1_depth.mat", b"MATLAB 5.0 and then nothing")
    with pytest.raises(DataError, match=r"Depth_t1\.zip/a1_s1_t1_depth\.mat: wanted a Matlab file"):
        open_pictures("depth", store, tmp_path).pictures("a1_s1_t1", 2)
    (tmp_path / "Depth_t1.zip").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(DataError, match=r"Depth_t1\.zip: wanted a complete zip"):
        open_pictures("depth", store, tmp_path)
    other = make_store(tmp_path / "other", ["x"], dataset="nw-ucla")
    with pytest.raises(ConfigError, match=r"only utd-mhad has depth video.*nw-ucla"):
        open_pictures("depth", other, tmp_path)


def test_depth_that_would_fill_the_memory_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    import scipy.io

    monkeypatch.setattr(depth, "NUMBERS", 100_000)
    store = make_store(tmp_path / "store", ["a1_s1_t1"])
    depth_zip(tmp_path / "Depth_t1.zip", {"a1_s1_t1": np.zeros((240, 320, 2), np.uint8)})
    monkeypatch.setattr(scipy.io, "loadmat", lambda *_, **__: pytest.fail("it was unpacked"))
    source = open_pictures("depth", store, tmp_path)
    with pytest.raises(DataError, match=r"a1_s1_t1_depth\.mat: .* at most 100000 numbers, found uint8 \(240, 320, 2\)"):
        source.pictures("a1_s1_t1", 2)
    monkeypatch.setattr(depth, "NUMBERS", 1000)
    with pytest.raises(DataError, match=r"a1_s1_t1_depth\.mat: .* unpack to over 8000 bytes"):
        source.pictures("a1_s1_t1", 2)
    with zipfile.ZipFile(tmp_path / "Depth_t1.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a1_s1_t1_depth.mat", bytes(1000))
    with pytest.raises(DataError, match=r"member a1_s1_t1_depth\.mat is packed by method bzip2"):
        open_pictures("depth", store, tmp_path).pictures("a1_s1_t1", 2)


def test_unknown_pictures_name_the_near_miss(tmp_path):
    with pytest.raises(ConfigError, match=r"no pictures named 'rendred'\. Did you mean 'rendered'"):
        open_pictures("rendred", make_store(tmp_path / "store", ["x"]))


def test_folders_are_read_in_natural_order(tmp_path):
    store = make_store(tmp_path / "store", ["x", "y"])
    folder = tmp_path / "frames" / "x"
    folder.mkdir(parents=True)
    for number in (1, 2, 10, 11):
        Image.new("RGB", (6, 4), (number, 0, 0)).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("no picture")
    source = open_pictures(f"folder:{tmp_path / 'frames'}", store)
    assert source.names() == {"x"}
    assert [int(p[0, 0, 0]) for p in source.pictures("x", 4)] == [1, 2, 10, 11]
    assert source.pictures("x", 2)[0].shape == (4, 6, 3)
    with pytest.raises(MissingError, match="no images of clip 'y'"):
        source.pictures("y", 1)
    (folder / "2.png").write_bytes(b"cut")
    with pytest.raises(DataError, match=r"2\.png: not readable as an image"):
        source.pictures("x", 4)
    with pytest.raises(MissingError, match="which is no folder"):
        open_pictures(f"folder:{tmp_path / 'absent'}", store)


@pytest.mark.parametrize(
    "names",
    [
        ["1.png", "2.jpg", "10.png", "11.PNG"],
        ["frame_0008.jpeg", "frame_0009.jpeg", "frame_10000.jpeg", "frame_10001.jpeg"],
        ["t9.25s.png", "t9.50s.png", "t10.50s.png", "t11.25s.png"],
        ["a10 [x].png", "a11 [x].png", "b2.png", "b10 \u0663.png"],
    ],
)
def test_images_are_ordered_by_the_numbers_in_their_names(tmp_path, names):
    store = make_store(tmp_path / "store", ["clip [1] 100%"])
    folder = tmp_path / "frames" / "clip [1] 100%"
    folder.mkdir(parents=True)
    for place, name in enumerate(names):
        Image.new("L", (16, 16), 60 * place).save(folder / name)
    (folder / "._1.png").write_bytes(b"what some systems put beside a file")
    (folder / "3.png").mkdir()
    (folder / "4.png").symlink_to(folder / "gone.png")
    source = open_pictures(f"folder:{tmp_path / 'frames'}", store)
    assert [int(p[8, 8, 0]) for p in source.pictures("clip [1] 100%", 4)] == [0, 60, 120, 180]


def test_images_are_upright_and_deep_ones_are_refused(tmp_path):
    store = make_store(tmp_path / "store", ["x", "y"])
    for name in ("x", "y"):
        (tmp_path / "frames" / name).mkdir(parents=True)
    turned = Image.new("RGB", (16, 8))
    turned.getexif()[0x0112] = 6  # to be turned by a quarter
    turned.save(tmp_path / "frames" / "x" / "1.jpg", exif=turned.getexif())
    Image.fromarray(np.full((8, 8), 3000, np.uint16)).save(tmp_path / "frames" / "y" / "1.png")
    source = open_pictures(f"folder:{tmp_path / 'frames'}", store)
    assert source.pictures("x", 1)[0].shape == (16, 8, 3)
    with pytest.raises(DataError, match=r"y.1\.png: wanted an image of 8 bits a colour, found I;16"):
        source.pictures("y", 1)


def _where(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(n, 2) row and column of the pixels of one colour."""
    return np.argwhere(np.abs(picture.astype(int) - colour).max(axis=2) < 25)


def test_rendered_figures_stand_upright_show_sides_and_movement(tmp_path):
    store = make_store(tmp_path / "store", ["x"])
    source = open_pictures("rendered", store)
    assert source.names() == {"x"}
    first, last = source.pictures("x", 2)
    assert first.shape == (SIDE, SIDE, 3) and first.dtype == np.uint8
    left, right = _where(first, COLOURS["left"]), _where(first, COLOURS["right"])
    # as a camera sees somebody who faces it: the right side is on the left of the picture
    assert len(left) > 100 and len(right) > 100 and right[:, 1].mean() < left[:, 1].mean()
    head, foot = _where(first, COLOURS[""])[:, 0].min(), left[:, 0].max()
    assert head < foot
    # the raised right arm reaches higher at the end, the left one does not
    assert _where(last, COLOURS["right"])[:, 0].min() < right[:, 0].min() - 20
    assert abs(_where(last, COLOURS["left"])[:, 0].min() - left[:, 0].min()) <= 3
    np.testing.assert_array_equal(source.pictures("x", 2)[1], last)


def test_two_people_are_drawn_and_the_trail_fades(tmp_path):
    pair = np.concatenate([standing(), standing() + np.array([1.5, 0, 0], np.float32)], axis=1)
    one, two = render(standing(), KINECT20, np.array([19]))[0], render(pair, KINECT20, np.array([19]))[0]
    assert np.ptp(_where(two, COLOURS["right"])[:, 1]) > 0
    ink = lambda picture: (picture.min(axis=2) < 240).any(axis=0)  # noqa: E731
    assert np.flatnonzero(ink(two))[-1] - np.flatnonzero(ink(two))[0] > np.ptp(np.flatnonzero(ink(one)))
    still = render(np.repeat(standing()[-1:], 20, axis=0), KINECT20, np.array([19]))[0]
    assert (one.min(axis=2) < 240).sum() > (still.min(axis=2) < 240).sum()


@pytest.mark.real
def test_the_published_depth_covers_all_training_clips():
    if not (SHARED / "utd-mhad" / "Depth_t1.zip").exists():
        pytest.skip(f"no recordings in {SHARED}")
    names = [f"a{a}_s{s}_t{t}" for a in range(1, 28) for s in range(1, 9) for t in range(1, 5)]

    class Named:
        dataset = "utd-mhad"

        def __init__(self):
            self.names = names
            self.clips = pd.DataFrame({"name": names})

    source = open_pictures("depth", Named(), SHARED)
    assert len(source.names()) == 539
    assert sum("_s1_" in n or "_s3_" in n or "_s5_" in n or "_s7_" in n for n in source.names()) == 431
    pictures = source.pictures("a8_s1_t1", 4)
    shares = [(p.max(axis=2) > 0).mean() for p in pictures]
    assert min(shares) > 0.1 and max(shares) < 0.7


def test_sides_have_one_colour_in_pictures_and_in_the_player():
    """They stand side by side on the quality desk; blue on the left here and on the right there would mislead."""
    for side, drawn in (("left", theme.LEFT), ("right", theme.RIGHT)):
        shown = [int(drawn[k : k + 2], 16) for k in (1, 3, 5)]
        assert np.argmax(COLOURS[side]) == np.argmax(shown)
