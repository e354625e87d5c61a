"""Normalisation keeps what the peers lose, and in blocks it gives what it gives clip by clip."""

import errno
import resource

import numpy as np
import pytest

from c2vl_lab.data import align, transforms
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import COCO17, KINECT20, NTU25, JointLayout, layout_from_bones
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.transforms import PrepareConfig, fill_gaps, prepare, prepare_clip, resample
from c2vl_lab.data.writing import write_store
from c2vl_lab.errors import ConfigError, StorageError

HAND = layout_from_bones("hand", {"wrist": None, "thumb": "wrist", "index": "wrist", "index tip": "index"})


def rotate(xyz, degrees):
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    return (xyz @ matrix.T).astype(np.float32)


def standing(layout, frames=20, bodies=1, seed=0):
    """Random but plausible bodies: shoulders and hips apart, the spine upright."""
    rng = np.random.default_rng(seed)
    xyz = rng.normal(0, 0.05, (frames, bodies, len(layout), 3))
    heights = {"spine_base": 0.9, "spine_mid": 1.1, "spine_shoulder": 1.4, "head": 1.6}
    for joint, height in heights.items():
        xyz[:, :, layout.index(joint), 1] += height
    for part, height in (("shoulder", 1.4), ("hip", 0.9)):
        for side, x in (("left", -0.2), ("right", 0.2)):
            xyz[:, :, layout.index(f"{side}_{part}")] += [x, height, 0]
    return xyz.astype(np.float32)


def clip_of(xyz, present=None):
    present = np.ones(xyz.shape[:2], bool) if present is None else present
    return Clip("clip", xyz, present, np.arange(len(xyz)), 0)


def test_view_is_normalised_whatever_the_camera():
    xyz = standing(KINECT20)
    straight = prepare_clip(clip_of(xyz), KINECT20, PrepareConfig())
    turned = prepare_clip(clip_of(rotate(xyz, 73) + np.float32([1, 0.2, 3])), KINECT20, PrepareConfig())
    assert np.allclose(straight, turned, atol=1e-4)
    right, left = KINECT20.index("right_shoulder"), KINECT20.index("left_shoulder")
    assert (straight[:5, 0, right] - straight[:5, 0, left]).mean(axis=0)[0] > 0.5


def test_walking_turning_and_distance_survive():
    xyz = standing(NTU25, frames=40, bodies=2)
    xyz[:, 1] += np.float32([1.5, 0, 0])
    xyz[:, :, :, 0] += np.linspace(0, 2, 40, dtype=np.float32)[:, None, None]
    out = prepare_clip(clip_of(xyz), NTU25, PrepareConfig(scale=False, align="none"))
    hip = NTU25.index("spine_base")
    walked = out[-1, 0, hip, 0] - out[0, 0, hip, 0]
    assert walked == pytest.approx(2.0, abs=0.3)
    assert np.median(np.abs(out[:, 1, hip, 0] - out[:, 0, hip, 0])) == pytest.approx(1.5, abs=0.2)


def test_a_gap_keeps_its_place_in_time():
    xyz = np.zeros((10, 1, 20, 3), np.float32)
    xyz[:, 0, :, 0] = np.arange(10)[:, None]
    present = np.ones((10, 1), bool)
    present[3:7] = False
    broken = xyz.copy()
    broken[3:7] = 0
    assert np.allclose(fill_gaps(broken, present), xyz)


def test_a_body_never_tracked_stays_zero():
    xyz = standing(NTU25, bodies=2)
    present = np.ones((20, 2), bool)
    present[:, 1] = False
    xyz[:, 1] = 0
    assert not prepare_clip(clip_of(xyz, present), NTU25, PrepareConfig())[:, 1].any()
    nothing = clip_of(np.zeros_like(xyz), np.zeros_like(present))
    assert not prepare_clip(nothing, NTU25, PrepareConfig()).any()


def test_resample_keeps_the_ends_and_takes_one_frame():
    xyz = np.arange(5, dtype=np.float32)[:, None]
    assert resample(xyz, 9)[[0, -1], 0].tolist() == [0.0, 4.0]
    assert resample(xyz[:1], 4)[:, 0].tolist() == [0.0] * 4


CONFIGS = {
    "default": PrepareConfig(),
    "peers": PrepareConfig(50, "frame", "frame", scale=False),
    "turned frames": PrepareConfig(20, align="frame"),
    "own origins": PrepareConfig(33, origin="frame"),
    "plain": PrepareConfig(7, align="none", scale=False),
}


def recordings(layout, count=60, frames=(1, 70), seed=0):
    """Clips of one to three people, some of one frame, with bodies that come, go, flicker or never appear."""
    rng = np.random.default_rng(seed)
    sides = [
        [name.startswith("right_") - name.startswith("left_"), 2 * ("shoulder" in name), 0] for name in layout.joints
    ]
    clips = []
    for number in range(count):
        length, bodies = int(rng.integers(*frames, endpoint=True)), int(rng.integers(1, 4))
        if number % 10 == 0:
            length = 1
        xyz = rng.normal(0, 0.1, (1, bodies, len(layout), 3)) + rng.normal(0, 0.1, (length, bodies, len(layout), 3))
        xyz = rotate(xyz + np.multiply(sides, 0.3), 360 * rng.random()) + np.float32([0.4, -0.2, 3.1])
        present = rng.random((length, bodies)) < rng.choice([0.02, 0.5, 1.0], p=[0.1, 0.4, 0.5])
        if number % 3 == 0:
            present[: rng.integers(0, length + 1), 0] = False
        if number % 4 == 0:
            present[rng.integers(0, length) :, -1] = False
        xyz[~present] = 0
        clips.append(Clip(f"clip{number}", xyz, present, np.arange(length, dtype=np.int32), 0))
    return clips


def store_of(folder, clips, layout):
    return write_store(folder, clips, dataset="test", layout=layout, classes=["one"])


@pytest.mark.parametrize("layout", [NTU25, COCO17, HAND], ids=lambda layout: layout.name)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_store_is_prepared_as_its_clips_are_one_by_one(tmp_path, layout: JointLayout, name):
    clips, config = recordings(layout), CONFIGS[name]
    assert any(not clip.present.any() for clip in clips) and any(0 < clip.present.mean() < 1 for clip in clips)
    found = prepare(store_of(tmp_path / "s", clips, layout), config)
    assert found.dtype == np.float32 and found.shape == (len(clips), config.frames, 3, len(layout), 3)
    for one, clip in zip(found, clips, strict=True):
        people = clip.xyz.shape[1]
        np.testing.assert_allclose(one[:, :people], prepare_clip(clip, layout, config), atol=1e-5)
        assert not one[:, people:].any()


def test_a_body_seen_from_its_side_is_turned_by_the_same_angle(tmp_path):
    """Shoulders and hips a centimetre apart, three metres away: the line between them has few digits."""
    clips = []
    for clip in recordings(NTU25, 20):
        xyz = clip.xyz.copy()
        for part in ("shoulder", "hip"):
            left, right = NTU25.index(f"left_{part}"), NTU25.index(f"right_{part}")
            xyz[:, :, right] = np.where(clip.present[:, :, None], xyz[:, :, left] + np.float32([0.004, 0.1, 0.003]), 0)
        clips.append(Clip(clip.name, xyz, clip.present, clip.frames, 0))
    found = prepare(store_of(tmp_path / "s", clips, NTU25), PrepareConfig())
    for one, clip in zip(found, clips, strict=True):
        np.testing.assert_allclose(one[:, : clip.xyz.shape[1]], prepare_clip(clip, NTU25, PrepareConfig()), atol=1e-5)


def test_very_long_clips_make_smaller_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(align, "PADDED", 300)
    clips = recordings(KINECT20, 30)
    store = store_of(tmp_path / "s", clips, KINECT20)
    parts = list(align.blocks(store.lengths, store.body_counts))
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(30))
    sizes = [(store.lengths[p].max() * store.body_counts[p].sum(), p.stop - p.start) for p in parts]
    assert len(parts) > 5 and all(size <= 300 or count == 1 for size, count in sizes)
    for one, clip in zip(prepare(store, PrepareConfig()), clips, strict=True):
        np.testing.assert_allclose(
            one[:, : clip.xyz.shape[1]], prepare_clip(clip, KINECT20, PrepareConfig()), atol=1e-5
        )


def test_a_layout_without_shoulders_and_hips_is_centred_on_its_root_and_scaled_by_its_spread():
    xyz = np.random.default_rng(0).normal(0, 0.1, (12, 1, 4, 3)).astype(np.float32) + np.float32([1, 2, 3])
    out = prepare_clip(clip_of(xyz), HAND, PrepareConfig(12))
    middle = xyz - xyz.mean(axis=2, keepdims=True)
    size = np.median(np.sqrt((middle**2).sum(axis=-1).mean(axis=-1)))
    np.testing.assert_allclose(out, (xyz - xyz[:3, 0, 0].mean(axis=0)) / size, atol=1e-5)


def test_the_per_frame_variant_loses_place_distance_and_turning():
    """For comparison with the peers: their frames each begin at the shoulder centre, shoulders along x."""
    xyz = standing(NTU25, frames=40, bodies=2)
    xyz[:, 1] += np.float32([1.5, 0, 0])
    xyz = np.stack([rotate(pose, 4 * t) + np.float32([0, 0, 0.1 * t]) for t, pose in enumerate(xyz)])
    out = prepare_clip(clip_of(xyz), NTU25, PrepareConfig(40, "frame", "frame", scale=False))
    centre = out[:, :, NTU25.index("spine_shoulder")]
    assert np.abs(centre).max() < 1e-6
    line = out[:, :, NTU25.index("right_shoulder")] - out[:, :, NTU25.index("left_shoulder")]
    assert np.abs(line[..., 2]).max() < 1e-5 and line[..., 0].min() > 0
    ours = prepare_clip(clip_of(xyz), NTU25, PrepareConfig(40, scale=False))
    assert np.linalg.norm(ours[-1, 0, 0] - ours[0, 0, 0]) > 3


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="align wants one of 'clip', 'frame', 'frame50', 'none'; found True"):
        PrepareConfig(align=True)
    with pytest.raises(ConfigError, match="origin wants one of"):
        PrepareConfig(origin="none")


def test_the_cache_is_a_memory_map_made_once_for_content_and_settings(tmp_path, monkeypatch):
    store = store_of(tmp_path / "s", recordings(KINECT20), KINECT20)
    first = prepare(store, PrepareConfig(), tmp_path / "cache")
    assert isinstance(first, np.memmap) and np.array_equal(first, prepare(store, PrepareConfig()))
    monkeypatch.setattr(transforms, "prepare_block", None)  # whoever prepares again fails
    assert np.array_equal(prepare(SkeletonStore.open(store.path), PrepareConfig(), tmp_path / "cache"), first)
    for other in (PrepareConfig(32), PrepareConfig(align="none"), PrepareConfig(scale=False)):
        with pytest.raises(TypeError):
            prepare(store, other, tmp_path / "cache")
    changed = store_of(tmp_path / "other", recordings(KINECT20, seed=1), KINECT20)
    with pytest.raises(TypeError):
        prepare(changed, PrepareConfig(), tmp_path / "cache")
    monkeypatch.setattr(transforms, "VERSION", transforms.VERSION + 1)
    with pytest.raises(TypeError):
        prepare(store, PrepareConfig(), tmp_path / "cache")
    assert len(list((tmp_path / "cache").rglob("*.*"))) == 1, "a failed call leaves nothing"


def test_a_torn_cache_is_made_again(tmp_path):
    store = store_of(tmp_path / "s", recordings(KINECT20), KINECT20)
    whole = np.array(prepare(store, PrepareConfig(), tmp_path / "cache"))
    (file,) = (tmp_path / "cache").rglob("*.npy")
    file.write_bytes(file.read_bytes()[:5000])
    assert np.array_equal(prepare(store, PrepareConfig(), tmp_path / "cache"), whole)


def test_a_full_disk_is_a_sentence_and_leaves_no_file(tmp_path, monkeypatch):
    store = store_of(tmp_path / "s", recordings(KINECT20, 5), KINECT20)

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transforms.os, "fsync", full)
    with pytest.raises(StorageError, match="The disk is full"):
        prepare(store, PrepareConfig(), tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.*"))


def test_a_large_set_is_written_without_holding_it_in_memory(tmp_path):
    clips = [standing(KINECT20, frames=8, seed=s) for s in range(20)]
    many = (Clip(f"c{i}", clips[i % 20], np.ones((8, 1), bool), np.arange(8), 0) for i in range(4000))
    store = store_of(tmp_path / "s", many, KINECT20)
    prepare(store, PrepareConfig(), None)[:1]  # libraries and scratch arrays are there from now on
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out = prepare(store, PrepareConfig(200), tmp_path / "cache")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert out.nbytes > 180e6 and grown < 60e6
