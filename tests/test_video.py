"""RGB video: which frames are taken, where the crop lies, what is drawn, and what is said about odd files."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor

import ntu_files
import numpy as np
import pku_files
import pytest
from video_files import SIZE, body, clip, number_of, numbered, store_of, write_video

from c2vl_lab import experiment, run_material
from c2vl_lab.bench.fingerprints import data_fingerprint
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.prompts.decoding import VideoFrames
from c2vl_lab.prompts.frames import spread
from c2vl_lab.prompts.kinect import COLOR_SIZE, color_pixels
from c2vl_lab.prompts.person import CROP_SIDE, boxes_box, draw_person, person_box
from c2vl_lab.prompts.pictures import open_pictures
from c2vl_lab.prompts.rendering import COLOURS
from c2vl_lab.prompts.video import VideoPictures, joint_places
from c2vl_lab.run_config import RunConfig

pytest.importorskip("av", reason="PyAV is not installed")
ONE, TWO = "S001C001P001R001A001", "S001C001P001R001A050"


# ---------------------------------------------------------------- frames


@pytest.mark.parametrize(
    ("file", "codec", "b_frames"),
    [
        ("a.avi", "mpeg4", 0),
        ("b.avi", "mpeg4", 2),
        ("c.avi", "libx264", 2),
        ("d.avi", "libx264", 0),
        ("e.mp4", "libx264", 2),
        ("f.mkv", "mpeg4", 0),
    ],
)
def test_the_wanted_frames_come_whatever_the_file_and_each_is_decoded_once(tmp_path, file, codec, b_frames):
    path = write_video(tmp_path / file, 90, codec=codec, b_frames=b_frames)
    for wanted in ([0, 1, 2, 50, 77, 89], [61, 62, 70], list(range(90))):
        video = VideoFrames(path, wanted)
        assert [number_of(frame) for frame in video] == wanted
        assert video.decoded <= wanted[-1] + 1


@pytest.mark.parametrize(("codec", "b_frames"), [("mpeg4", 0), ("mpeg4", 2), ("libx264", 0), ("libx264", 2)])
@pytest.mark.parametrize("ending", ["avi", "mp4"])
def test_frames_before_a_key_frame_that_nobody_wants_are_not_decoded(tmp_path, codec, b_frames, ending):
    path = write_video(tmp_path / f"long.{ending}", 240, codec=codec, b_frames=b_frames)
    video = VideoFrames(path, [5, 200, 201])
    assert [number_of(frame) for frame in video] == [5, 200, 201]
    assert video.decoded <= 6 + 2 * 12 + 4  # from 0, and from one of the two key frames before 200
    single = VideoFrames(path, [239])
    assert [number_of(frame) for frame in single] == [239] and single.decoded <= 1 + 2 * 12 + 4


def test_a_few_frames_after_the_end_are_the_last_one_and_more_are_an_error(tmp_path):
    path = write_video(tmp_path / "short.avi", 30)
    assert [number_of(frame) for frame in VideoFrames(path, [10, 29, 32])] == [10, 29, 29]
    with pytest.raises(DataError, match=r"short\.avi: frame 33 was wanted, the video ends after 30 frames"):
        list(VideoFrames(path, [10, 33]))


def test_damaged_files_are_one_sentence_with_the_file(tmp_path):
    whole = write_video(tmp_path / "whole.avi", 60).read_bytes()
    strange = whole.replace(b"FMP4", b"ZZZZ")
    for name, data in (
        *(("text.avi", b"no video at all"), ("empty.avi", b"")),
        *(("head.avi", whole[:3000]), ("codec.avi", strange)),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=f"{name}: ") as caught:
            list(VideoFrames(tmp_path / name, [0, 50]))
        assert "\n" not in str(caught.value)
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.avi: .* after \d\d frames"):
        list(VideoFrames(tmp_path / "cut.avi", [0, 59]))


def test_without_pyav_there_is_one_sentence_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingError, match=r"PyAV, which is not installed\. Install it: pip install"):
        list(VideoFrames(tmp_path / "a.avi", [0]))


# ---------------------------------------------------------------- camera and person


def test_the_typical_kinect_gives_published_pixels_within_its_stated_error():
    """Joint lines of NTU RGB+D that are printed in public: x y z and the pixel in the colour image."""
    printed = np.array(
        [
            (0.2410551, -0.171228, 4.294691, 1027.245, 581.2726),
            (0.3180007, 0.4567953, 4.108379, 1049.855, 421.0554),
            (-0.07004753, -0.036596, 4.183693, 950.2018, 548.5809),
            (0.7201789, 0.1647426, 3.561895, 1184.537, 489.4118),
            (-0.387201, -0.05403496, 2.961099, 834.7666, 559.0992),
        ]
    )
    error = color_pixels(printed[:, :3]) - printed[:, 3:]
    assert np.abs(error[:, 0]).max() < 10 and np.abs(error[:, 1]).max() < 2.5
    assert np.isnan(color_pixels(np.zeros((2, 3)))).all()


def test_the_square_holds_everybody_is_centred_and_ignores_a_joint_that_flies_about():
    pixels = np.full((100, 2, 25, 2), np.nan, np.float32)
    pixels[:, 0] = np.random.default_rng(0).uniform([100, 40], [140, 160], (100, 25, 2))
    left, top, side = person_box(pixels, 320, 180)
    assert abs(left + side / 2 - 120) < 2 and abs(top + side / 2 - 100) < 2
    assert left < 100 < 140 < left + side and top < 40 < 160 < top + side and side < 170
    pixels[50, 0, 3] = 310, 5
    assert person_box(pixels, 320, 180) == pytest.approx((left, top, side), abs=3)
    pixels[:10, 1] = np.random.default_rng(1).uniform([250, 60], [290, 150], (10, 25, 2))
    left, top, side = person_box(pixels, 320, 180)
    assert left < 100 and left + side > 290  # a second person, though only for a while
    assert person_box(np.full((3, 1, 25, 2), np.nan), 320, 180) == (0, -70, 320)


def test_bones_and_joints_are_drawn_where_they_are_in_the_colours_of_their_sides():
    frame = np.zeros((180, 320, 3), np.uint8)
    pixels = np.stack([np.linspace(120, 200, 25), np.linspace(30, 150, 25)], axis=-1)[None].astype(np.float32)
    pixels[0, NTU25.index("left_hand")] = np.nan
    box = (100.0, 30.0, 120.0)
    drawn = draw_person(frame, pixels, box, NTU25, "crop+overlay")
    assert drawn.shape == (CROP_SIDE, CROP_SIDE, 3)
    for joint in ("left_foot", "right_foot", "head"):
        x, y = (pixels[0, NTU25.index(joint)] - box[:2]) * CROP_SIDE / box[2]
        colour = np.array(COLOURS[joint.split("_")[0] if "_" in joint else ""])
        assert np.abs(drawn[int(y), int(x)] - 0.85 * colour).max() < 25, joint
    assert not draw_person(frame, pixels, box, NTU25, "crop").any()
    assert not draw_person(frame, np.full_like(pixels, np.nan), box, NTU25, "crop+overlay").any()


# ---------------------------------------------------------------- videos of clips


def marked(bodies: list[np.ndarray], size: tuple[int, int] = SIZE):
    """Frames with their number, and a magenta square at the spine of every body."""
    places = [color_pixels(xyz)[:, NTU25.index("spine_mid")] * np.array(size) / COLOR_SIZE for xyz in bodies]

    def draw(index: int) -> np.ndarray:
        frame = numbered(index, size)
        for path in places:
            x, y = path[index].round().astype(int)
            frame[y - 5 : y + 6, x - 5 : x + 6] = 255, 0, 255
        return frame

    return draw


def magenta(picture: np.ndarray) -> np.ndarray:
    """(n, 2) pixels (x, y) of the markers."""
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    return np.argwhere((red > 150) & (blue > 150) & (green < 110))[:, ::-1]


@pytest.mark.parametrize("size", [SIZE, (340, 256)])
def test_the_person_is_cut_out_at_the_published_pixels_at_any_resolution(tmp_path, size):
    walk = body() + np.linspace([-0.3, 0, 0], [0.3, 0, 0], 20)[:, None]
    store = store_of(tmp_path / "store", [clip(ONE, [walk])])
    write_video(tmp_path / "nturgb+d_rgb" / f"{ONE}_rgb.avi", 20, marked([walk], size))
    source = open_pictures(f"video:{tmp_path}", store, style="crop")
    pictures = source.pictures(ONE, 4)
    assert [picture.shape for picture in pictures] == [(CROP_SIDE, CROP_SIDE, 3)] * 4
    middles = np.array([magenta(picture).mean(axis=0) for picture in pictures])
    box = person_box(source._places(store[0], *size), *size)
    wanted = color_pixels(walk)[[2, 7, 12, 17], NTU25.index("spine_mid")] * np.array(size) / COLOR_SIZE
    np.testing.assert_allclose(middles, (wanted - box[:2]) * CROP_SIDE / box[2], atol=6)
    assert np.abs(middles.mean(axis=0)[0] - CROP_SIDE / 2) < 12 and source.remarks() == []


def test_both_people_are_inside_and_both_are_drawn(tmp_path):
    bodies = [body(-0.8), body(0.8, seed=1)]
    store = store_of(tmp_path / "store", [clip(TWO, bodies)])
    write_video(tmp_path / f"{TWO}_rgb.avi", 20, marked(bodies))
    plain = VideoPictures(store, tmp_path, "crop").pictures(TWO, 2)
    drawn = VideoPictures(store, tmp_path).pictures(TWO, 2)
    for picture, over in zip(plain, drawn, strict=True):
        x = magenta(picture)[:, 0]
        assert (x < CROP_SIDE / 2).any() and (x > CROP_SIDE / 2).any()
        changed = np.abs(picture.astype(int) - over).max(axis=-1) > 40
        assert changed[:, : CROP_SIDE // 2].sum() > 300 and changed[:, CROP_SIDE // 2 :].sum() > 300


def test_whole_frames_keep_their_shape_and_show_the_frames_of_the_clip(tmp_path):
    store = store_of(tmp_path / "store", [clip(ONE, [body(frames=40)], first=10)])
    write_video(tmp_path / f"{ONE}.mp4", 50, codec="libx264")
    pictures = VideoPictures(store, tmp_path, "full").pictures(ONE, 4)
    assert [picture.shape for picture in pictures] == [(180, 320, 3)] * 4
    assert [number_of(picture) for picture in pictures] == [15, 25, 35, 45]
    repeated = VideoPictures(store, tmp_path, "full").pictures(ONE, 80)
    assert len(repeated) == 80 and number_of(repeated[0]) == number_of(repeated[1]) == 10


def test_unknown_places_are_not_drawn_and_clips_without_any_are_shown_whole_and_told(tmp_path):
    known, unknown = clip(ONE, [body()]), clip(TWO, [body()])
    known.color[:, :, :5] = np.nan
    known.color[3, :, 6] = np.inf, 1e6
    unknown.color[:] = np.nan
    store = store_of(tmp_path / "store", [known, unknown])
    for name in (ONE, TWO):
        write_video(tmp_path / f"{name}_rgb.avi", 20)
    source = VideoPictures(store, tmp_path)
    assert all(np.isfinite(picture).all() for picture in source.pictures(ONE, 20))
    assert source.remarks() == []
    assert number_of(source.pictures(TWO, 1)[0][73:]) == 10  # whole, black above and below
    assert source.remarks()[0].startswith("1 clips are shown whole")


def test_pku_clips_are_cut_from_the_long_video_by_their_frames(tmp_path):
    """Through the 3D joints and the typical Kinect: the store has no pixels."""
    walk = body(frames=200) + np.linspace([-0.5, 0, 0], [0.5, 0, 0], 200)[:, None]
    fields = {"color": False, "setup": 13, "subject": 8, "camera": 1}
    names = [f"A013N008V001C048L00{row}" for row in (1, 2)]
    clips = [clip(names[0], [walk[100:120]], first=100, **fields), clip(names[1], [walk[160:200]], first=160, **fields)]
    store = store_of(tmp_path / "store", clips, "pku2")
    write_video(tmp_path / "RGB" / "A13N08-L.avi", 200, marked([walk]))
    write_video(tmp_path / "RGB" / "A13N08-M.avi", 5)
    source = VideoPictures(store, tmp_path, "full")
    assert source.names() == set(names)
    assert [number_of(picture) for picture in source.pictures(names[0], 4)] == [102, 107, 112, 117]
    assert [number_of(picture) for picture in source.pictures(names[1], 2)] == [170, 190]
    crop = VideoPictures(store, tmp_path, "crop").pictures(names[0], 1)[0]
    assert np.abs(magenta(crop).mean(axis=0)[0] - CROP_SIDE / 2) < 12
    assert source.remarks() == []
    write_video(tmp_path / "cut" / f"{names[0]}.avi", 20)  # one that somebody cut before goes first
    assert [number_of(p) for p in VideoPictures(store, tmp_path, "full").pictures(names[0], 2)] == [5, 15]


def test_a_long_video_of_another_rate_than_the_labels_is_told(tmp_path):
    fields = {"color": False, "setup": 13, "subject": 8, "camera": 1}
    names = [f"A013N008V001C048L00{row}" for row in (1, 2)]
    clips = [clip(name, [body()], first=10, **fields) for name in names]
    for rate, dataset, told in ((30, "pku2", 0), (15, "own", 0), (15, "pku2", 1)):
        folder = tmp_path / f"{dataset}-{rate}"
        stem = "A13N08-L" if dataset == "pku2" else names[0]
        write_video(folder / f"{stem}.avi", 30, rate=rate)
        source = VideoPictures(store_of(folder / "store", clips, dataset), folder, "full")
        source.pictures(names[0], 2)
        assert len(source.remarks()) == told
    assert re.search(rf"^1 clips are cut from a video that .* 30 frames .*{names[0]} \(15\)", source.remarks()[0])


@pytest.mark.parametrize("turned", [0, 90, 180, -90])
def test_videos_that_are_to_be_turned_are_shown_upright(tmp_path, turned):
    """A telephone writes its frames as they lie and says how to turn them."""
    store = store_of(tmp_path / "store", [clip("mine", [body()], color=False)], "own")
    lying = lambda index: np.ascontiguousarray(np.rot90(numbered(index), -turned // 90))  # noqa: E731
    write_video(tmp_path / "mine.mp4", 20, lying, codec="libx264", turned=turned)
    pictures = VideoPictures(store, tmp_path, "full").pictures("mine", 2)
    assert [picture.shape for picture in pictures] == [(180, 320, 3)] * 2
    assert [number_of(picture) for picture in pictures] == [5, 15]


def test_a_first_part_video_is_found_by_its_number(tmp_path):
    store = store_of(tmp_path / "s", [clip("A002N000V003C001L001", [body()], color=False, setup=2, camera=3)], "pku1")
    write_video(tmp_path / "0002-R.avi", 20)
    assert VideoPictures(store, tmp_path).names() == set(store.names)


def test_odd_lengths_are_counted_and_said_and_short_videos_are_an_error(tmp_path):
    store = store_of(tmp_path / "store", [clip(ONE, [body()]), clip(TWO, [body()])])
    write_video(tmp_path / f"{ONE}_rgb.avi", 40)
    write_video(tmp_path / f"{TWO}_rgb.avi", 8)
    source = VideoPictures(store, tmp_path)
    source.pictures(ONE, 2)
    assert source.remarks() == [
        "1 clips have a video that is over 3 frames longer or shorter than the skeleton, for example "
        + ONE
        + " (40 and 20)"
    ]
    with pytest.raises(DataError, match=rf"{TWO}_rgb\.avi: frame 15 was wanted, the video ends after 8 frames"):
        source.pictures(TWO, 2)


def test_a_detector_takes_the_place_of_the_joints(tmp_path):
    class Finder:
        identity = "finder-1"

        def __call__(self, frame):
            found = magenta(frame)
            return [[*found.min(axis=0) - 10, *found.max(axis=0) + 10]] if len(found) else []

    people = [body(0.5)]
    store = store_of(tmp_path / "store", [clip("mine", people, color=False)], "own")
    write_video(tmp_path / "mine.mp4", 20, marked(people), codec="libx264")
    with pytest.raises(ConfigError, match=r"own says nothing about where its joints lie.*style 'full'.*detector"):
        VideoPictures(store, tmp_path)
    with pytest.raises(ConfigError, match="its style is 'crop', found 'crop\\+overlay'"):
        VideoPictures(store, tmp_path, detector=Finder())
    found = open_pictures(f"video:{tmp_path}", store, style="crop", detector=Finder())
    with pytest.raises(ConfigError, match="finds people in video:PATH; the pictures are 'rendered'"):
        open_pictures("rendered", store, detector=Finder())
    middle = magenta(found.pictures("mine", 3)[1]).mean(axis=0)
    assert np.abs(middle - CROP_SIDE / 2).max() < 12
    assert found.identity != VideoPictures(store, tmp_path, "full").identity
    assert boxes_box([np.empty((0, 4))], 320, 180) == (0, -70, 320)


def test_the_identity_changes_with_the_style_and_the_files(tmp_path):
    store = store_of(tmp_path / "store", [clip(ONE, [body()])])
    path = write_video(tmp_path / f"{ONE}_rgb.avi", 20)
    first = VideoPictures(store, tmp_path).identity
    assert first == VideoPictures(store, tmp_path).identity != VideoPictures(store, tmp_path, "crop").identity
    path.write_bytes(path.read_bytes() + b"\0")
    assert VideoPictures(store, tmp_path).identity != first


def test_wrong_folders_styles_and_doubles_are_told(tmp_path):
    store = store_of(tmp_path / "store", [clip(ONE, [body()])])
    with pytest.raises(MissingError, match="which is no folder"):
        open_pictures(f"video:{tmp_path / 'absent'}", store)
    write_video(tmp_path / "videos" / "other.avi", 3)
    (tmp_path / "videos" / f"{ONE}_rgb.avi").symlink_to(tmp_path / "not fetched.avi")
    with pytest.raises(MissingError, match=f"wanted videos like {ONE}_rgb.avi.*found 1 others, for example other"):
        open_pictures(f"video:{tmp_path}", store)
    with pytest.raises(ConfigError, match="style of pictures named 'crops'"):
        open_pictures(f"video:{tmp_path}", store, style="crops")
    with pytest.raises(ConfigError, match="video:PATH"):
        open_pictures("video", store)
    for folder in ("a", "b"):
        write_video(tmp_path / folder / f"{ONE}_rgb.avi", 3)
    with pytest.raises(DataError, match=f"Clip '{ONE}' has two videos"):
        open_pictures(f"video:{tmp_path}", store)
    with pytest.raises(MissingError, match="There is no video of clip 'x'"):
        open_pictures(f"video:{tmp_path / 'a'}", store).pictures("x", 1)


def test_threads_get_the_same_pictures_as_one(tmp_path):
    names = [f"S001C001P001R001A{number:03d}" for number in range(1, 9)]
    store = store_of(tmp_path / "store", [clip(name, [body(seed=i)]) for i, name in enumerate(names)])
    for name in names:
        write_video(tmp_path / f"{name}_rgb.avi", 20)
    source = VideoPictures(store, tmp_path)
    alone = [source.pictures(name, 4) for name in names]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda name: source.pictures(name, 4), names))
    np.testing.assert_array_equal(alone, together)


def test_a_run_passes_its_style_and_its_videos_are_part_of_what_it_reads(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(run_material, "open_pictures", lambda *words: asked.append(words) or _Stop.now())
    config = {"modalities": "vision", "pictures": f"video:{tmp_path}", "work_dir": str(tmp_path / "work")}
    opened = experiment.open_experiment(RunConfig(**config, picture_style="crop"))
    with pytest.raises(_Stop):
        opened.features("vision")
    assert asked[0][0] == config["pictures"] and asked[0][3] == "crop"
    with pytest.raises(ConfigError, match="style of pictures named 'crops'"):
        RunConfig(**config, picture_style="crops")

    parameters = {"dataset": "generated", "pictures": f"video:{tmp_path / 'videos'}"}
    with pytest.raises(MissingError, match="wanted a folder with videos, found none"):
        data_fingerprint(parameters)
    write_video(tmp_path / "videos" / "a.avi", 2)
    before = data_fingerprint(parameters)
    write_video(tmp_path / "videos" / "b.avi", 2)
    assert before and data_fingerprint(parameters) != before


class _Stop(Exception):
    @classmethod
    def now(cls):
        raise cls


def test_from_raw_ntu_files_to_pictures(tmp_path):
    """The reader's frame indices and pixels fit the video, also where nobody is seen in the first frames."""
    person = ntu_files.person(1, -0.4, frames=40)
    recording = [[]] * 8 + [[(ntu_files.A, joints)] for joints in person]
    name = ntu_files.NAME
    ntu_files.write_skeleton_file(tmp_path / "nturgb+d_skeletons" / f"{name}.skeleton", recording)
    store = open_dataset("ntu60", tmp_path, tmp_path / "work", workers=1)
    write_video(tmp_path / "nturgb+d_rgb" / f"{name}_rgb.avi", 48)
    source = open_pictures(f"video:{tmp_path / 'nturgb+d_rgb'}", store, style="full")
    frames = store[0].frames
    assert [number_of(picture) for picture in source.pictures(name, 4)] == [frames[i] for i in spread(len(frames), 4)]
    places = joint_places(store)(store[0], 1920, 1080)
    at = {int(frame): row for row, frame in enumerate(frames)}
    np.testing.assert_allclose(places[at[20], 0], ntu_files.color_places(person[12]), atol=0.01)


def test_from_raw_pku_files_to_pictures(tmp_path):
    walk = pku_files.walking_body(1, frames=150)
    pku_files.write_video(tmp_path, "A01N02-R", pku_files.two_bodies(walk), [(1, 31, 70), (9, 90, 129)])
    store = open_dataset("pku2", tmp_path, tmp_path / "work", workers=1)
    write_video(tmp_path / "rgb" / "A01N02-R.avi", 150)
    source = open_pictures(f"video:{tmp_path / 'rgb'}", store, style="full")
    assert source.names() == set(store.names)
    assert [number_of(picture) for picture in source.pictures(store.names[0], 2)] == [40, 60]
    assert [number_of(picture) for picture in source.pictures(store.names[1], 2)] == [99, 119]
    assert len(open_pictures(f"video:{tmp_path / 'rgb'}", store).pictures(store.names[0], 2)) == 2
