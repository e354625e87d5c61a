"""Defects that were seen in other repositories' data code: each test holds for ours, and their way would fail it.

Numbers are those of the list in our notes on the field. What a repository does is written again here in a line or
two; the readers' defects (body order, ghosts, cut labels) are tested beside the readers.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from test_transforms import clip_of, rotate, standing, store_of

from c2vl_lab.config import replace
from c2vl_lab.data.augment import AugmentConfig, augment, whole_clip
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.draws import Draws
from c2vl_lab.data.layouts import KINECT20, NTU25
from c2vl_lab.data.transforms import PrepareConfig, prepare, prepare_clip
from c2vl_lab.embed import embed
from c2vl_lab.models.encoders import as_input, build_encoder
from c2vl_lab.training.fit import _Run, fit
from c2vl_lab.training.settings import FitConfig, TrainingSet

STILL = AugmentConfig(crop=1.0, turn=0.0, tilt=0.0, size=0.0, noise=0.0)
PLAIN = PrepareConfig(100, align="none", scale=False)


def draws(count, seed=0):
    return Draws(seed, 1, torch.arange(count))


def walking(frames=100, gap=slice(20, 60)):
    """A person who goes 1 cm a frame along x and is lost for a while: zeros, as the peers' arrays have them."""
    xyz = np.repeat(standing(NTU25, 1), frames, axis=0)
    xyz[..., 0] += 0.01 * np.arange(frames, dtype=np.float32)[:, None, None]
    present = np.ones((frames, 1), bool)
    present[gap] = False
    xyz[~present] = 0
    return clip_of(xyz, present)


def course(prepared):
    """Where the hip is, frame by frame, along x."""
    return prepared[:, 0, NTU25.index("spine_base"), 0]


def test_1_a_body_with_a_gap_is_where_it_was_at_every_time():
    """CTR-GCN, PYSKL: a body tracked in frames 0-19 and 60-99 is written to frames 0-59."""
    clip = walking()

    def keeps_time(path):
        return np.allclose(np.diff(path), 0.01, atol=1e-3)

    assert keeps_time(course(prepare_clip(clip, NTU25, PLAIN)))
    theirs = np.zeros_like(clip.xyz)
    theirs[: clip.present.sum()] = clip.xyz[clip.present[:, 0]]
    assert not keeps_time(course(theirs))


def test_3_the_end_of_a_clip_with_a_gap_is_not_cut():
    """AimCLR: the length is the number of frames that are not zero, and the first that many frames are taken."""
    clip = walking()

    def reaches_the_end(path):
        return path[-1] - path[0] == pytest.approx(0.99, abs=0.01)

    assert reaches_the_end(course(prepare_clip(clip, NTU25, PLAIN)))
    theirs = clip.xyz[: (clip.xyz[:, 0, 0] != 0).any(axis=-1).sum()]
    assert not reaches_the_end(course(theirs))


class TheirFeeder(torch.utils.data.Dataset):
    """A feeder that draws a crop with Python's generator, as theirs do."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return random.random()


def their_seeding(worker):
    random.seed(worker)


@pytest.mark.parametrize("threads", [1, 2])
def test_4_every_epoch_draws_its_own_augmentation(tmp_path, monkeypatch, threads):
    """CrosSCLR, AimCLR, ActCLR: workers are seeded with their number at the start of every epoch."""
    loader = torch.utils.data.DataLoader(TheirFeeder(), num_workers=2, worker_init_fn=their_seeding)
    theirs = [[float(draw) for draw in loader] for _ in range(2)]

    seen: list[torch.Tensor] = []

    def watched(clips, *args):
        view = augment(clips, *args)
        seen.append(view)
        return view

    monkeypatch.setattr("c2vl_lab.learners.base.augment", watched)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    rows = np.repeat(standing(KINECT20, 64)[None], 8, axis=0)  # all clips alike: only the draws can differ
    data = TrainingSet(rows, [str(i) for i in range(8)], KINECT20)
    fit(FitConfig("skeletonclr", width=8, epochs=3, batch_size=8, frames=16), data, tmp_path, "cpu")
    torch.set_num_threads(before)
    ours = [seen[2 * epoch].flatten(1).sum(dim=1).tolist() for epoch in range(3)]

    def fresh(epochs):
        draws = [round(draw, 3) for epoch in epochs for draw in epoch]
        return len(set(draws)) == len(draws)

    assert fresh(ours) and not fresh(theirs)
    assert not torch.allclose(seen[0], seen[1]), "two views of one batch differ too"


def test_5_a_mirror_image_is_mirrored():
    """AimCLR: left and right joints change places, coordinates stay as they are: the arms are crossed."""
    clips = torch.from_numpy(standing(NTU25, 20)[None].copy())

    def right_hand_side_is_right(view):
        right, left = (view[..., NTU25.index(f"{side}_shoulder"), 0] for side in ("right", "left"))
        return bool((right > left).all())

    assert right_hand_side_is_right(clips)
    assert right_hand_side_is_right(augment(clips, AugmentConfig(1.0, 0, 0, 0, 0, flip=1.0), 20, draws(1), NTU25))
    assert not right_hand_side_is_right(clips[:, :, :, list(NTU25.mirror)])


def test_6_nothing_grows_to_float64(tmp_path):
    """AimCLR: a rotation of numpy's turns views into float64, twice the memory and bandwidth."""
    store = store_of(tmp_path / "s", [Clip("a", standing(NTU25), np.ones((20, 1), bool), np.arange(20), 0)], NTU25)
    clips = prepare(store, PrepareConfig())
    view = augment(torch.from_numpy(clips), AugmentConfig(flip=0.5), 50, draws(len(clips)), NTU25)
    features = embed(build_encoder("temporal", NTU25, 8), clips, NTU25, "joint", 16, "cpu")
    kinds = {store.xyz.dtype, clips.dtype, view.numpy().dtype, as_input(view, NTU25, "bone").numpy().dtype}
    assert kinds | {features.dtype} == {np.dtype(np.float32)}
    assert (clips @ np.eye(3)).dtype != np.float32


def test_7_a_long_clip_is_taken_whole():
    """CMD's converter for PKU-MMD: frames after the 300th are cut off, the length that is written down is not."""
    clip = walking(420, slice(0, 0))

    def goes_all_the_way(path):
        return path[-1] - path[0] == pytest.approx(4.19, abs=0.02) and np.abs(np.diff(path)).max() < 0.1

    assert goes_all_the_way(course(prepare_clip(clip, NTU25, PLAIN)))
    theirs = np.zeros_like(clip.xyz)
    theirs[:300] = clip.xyz[:300]
    assert not goes_all_the_way(course(theirs[np.linspace(0, 419, 100).astype(int)]))


def test_9_what_is_tested_is_not_drawn():
    """STAR: random crops and rotations are on for the test feeder, so that an accuracy is a random variable."""
    clips = np.stack([standing(NTU25, 64, seed=s) for s in range(4)])
    encoder = build_encoder("temporal", NTU25, 8)

    def same_twice(make):
        return np.array_equal(make(1), make(2))

    def ours(seed):
        torch.manual_seed(seed)
        return embed(encoder, clips, NTU25, "joint", 32, "cpu")

    assert same_twice(ours)
    assert same_twice(lambda seed: whole_clip(torch.from_numpy(clips), 32).numpy())
    assert not same_twice(lambda seed: augment(torch.from_numpy(clips), AugmentConfig(), 32, draws(4, seed)).numpy())


def test_14_millimetres_survive(tmp_path):
    """PYSKL: coordinates are stored as float16, which moves a joint at 4 metres by up to 2 mm."""
    xyz = standing(NTU25) + np.float32([0, 0, 4])
    found = store_of(tmp_path / "s", [Clip("a", xyz, np.ones((20, 1), bool), np.arange(20), 0)], NTU25)[0].xyz

    def exact(values):
        return np.abs(values.astype(np.float64) - xyz).max() < 1e-6

    assert exact(found) and not exact(xyz.astype(np.float16))


def padded(frames, length=40):
    """A normalised clip (1, T, 1, 25, 3) with zeros behind it, as the peers' arrays have them."""
    clip = walking(length, slice(0, 0))
    xyz = prepare_clip(clip, NTU25, PrepareConfig(length))
    theirs = np.zeros((frames, *xyz.shape[1:]), np.float32)
    theirs[:length] = xyz
    return torch.from_numpy(xyz)[None], torch.from_numpy(theirs)[None]


def test_15_motion_has_no_jump_into_the_padding():
    """UmURL: the step from the last frame to the zeros behind it is kept as a motion."""
    ours, theirs = padded(64)

    def smooth(clips):
        steps = as_input(clips, NTU25, "motion")
        return bool(steps.abs().max() < 0.1) and not steps[:, :, -1].any()

    assert smooth(ours) and smooth(whole_clip(ours, 32)) and not smooth(theirs)
    assert torch.equal(
        as_input(ours, NTU25, "motion")[:, :, 3], as_input(ours[:, 4:5] - ours[:, 3:4], NTU25, "joint")[:, :, 0]
    )


def test_15_bones_and_motion_are_those_of_the_normalised_joints():
    """UmURL: bones and motion come from joints as recorded, so that a turned camera gives other bones."""
    person = walking(40, slice(0, 0)).xyz
    one, other = (clip_of(xyz) for xyz in (person, rotate(person, 50) * np.float32(1.3) + np.float32([0, 0.3, 2])))

    def independent_of_the_camera(stream, make):
        first, second = (as_input(torch.from_numpy(make(clip))[None], NTU25, stream) for clip in (one, other))
        return torch.allclose(first, second, atol=1e-4)

    for stream in ("bone", "motion"):
        assert independent_of_the_camera(stream, lambda clip: prepare_clip(clip, NTU25, PrepareConfig(40)))
        assert not independent_of_the_camera(stream, lambda clip: clip.xyz)
    bones = as_input(torch.from_numpy(prepare_clip(one, NTU25, PrepareConfig(40)))[None], NTU25, "bone")
    assert not bones[:, :, :, NTU25.root].any(), "the root has no bone"


def test_20_training_clips_are_not_copied_before_they_are_needed(tmp_path, monkeypatch):
    """MAMP, UmURL: whole sets are unpacked in memory by every process. Ours stay on disk until a device takes them."""
    clips = [Clip(str(i), standing(NTU25, seed=i), np.ones((20, 1), bool), np.arange(20), 0) for i in range(6)]
    kept = prepare(store_of(tmp_path / "s", clips, NTU25), PrepareConfig(), tmp_path / "cache")
    rows = np.array([4, 1, 3])
    data = TrainingSet(kept, ["4", "1", "3"], NTU25, rows=rows)
    assert isinstance(data.clips, np.memmap)
    taken: list[torch.Tensor] = []
    fixed = _Run.finish_epoch
    monkeypatch.setattr(_Run, "finish_epoch", lambda run, stop: taken.append(run.clips) or fixed(run, stop))
    settings = replace(FitConfig(), method="skeletonclr", width=8, epochs=1, batch_size=3, frames=16)
    fit(settings, data, tmp_path / "run", "cpu")
    np.testing.assert_array_equal(taken[0].numpy(), np.asarray(kept)[rows])
