"""Pictures: what the player shows, that text stays text, that figures are the same bytes twice."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.io
import pytest

from c2vl_lab import figures
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import KINECT20, NTU25
from c2vl_lab.data.writing import write_store
from c2vl_lab.errors import ConfigError, DataError
from c2vl_lab.figures import examples
from c2vl_lab.project import project_joint
from c2vl_lab.viz import maps, player, theme

EVIL = "<script>alert(1)</script> $x_1 <b>bold</b>"


def make_clip(frames: int = 30, bodies: int = 1, layout=NTU25, name: str = "clip") -> Clip:
    rng = np.random.default_rng(0)
    pose = rng.normal(0, 0.3, (1, bodies, len(layout), 3)) + np.arange(bodies)[None, :, None, None]
    xyz = (pose + rng.normal(0, 0.02, (frames, bodies, len(layout), 3))).astype(np.float32)
    return Clip(name, xyz, np.ones((frames, bodies), bool), np.arange(10, 10 + frames), 0)


@pytest.mark.parametrize(("bodies", "layout"), [(1, NTU25), (2, NTU25), (1, KINECT20)])
def test_player_moves_every_body_and_keeps_axes_equal(bodies, layout):
    clip = make_clip(30, bodies, layout)
    figure = player.clip_player(clip, layout)
    assert len(figure.frames) == 30 and len(figure.frames[0].data) == 3 * bodies + 1  # the heads are one trace
    assert [step.label for step in figure.layout.sliders[0].steps] == [str(i) for i in range(10, 40)]
    drawn = np.concatenate([np.stack([t.x, t.y, t.z], 1) for t in figure.frames[5].data])
    joints = clip.xyz[5].reshape(-1, 3)
    assert all(np.isclose(drawn, joint).all(axis=1).any() for joint in joints)
    scene = figure.layout.scene
    scales = [getattr(scene.aspectratio, a) / np.ptp(getattr(scene, f"{a}axis").range) for a in "xyz"]
    assert scales == pytest.approx([scales[0]] * 3)
    assert scene.camera.up.y == 1


def test_player_draws_every_bone_once():
    figure = player.clip_player(make_clip(2), NTU25)
    place = {tuple(np.round(p, 5)): j for j, p in enumerate(make_clip(2).xyz[0, 0])}
    drawn = []
    for trace in figure.data[:3]:
        points = [tuple(np.round(p, 5)) for p in np.stack([trace.x, trace.y, trace.z], 1)]
        joined = [(place[a], place[b]) for a, b in pairwise(points) if a in place and b in place]
        drawn += [tuple(sorted(pair)) for pair in joined]
    assert sorted(drawn) == sorted(tuple(sorted(bone)) for bone in NTU25.bones)


@pytest.mark.parametrize(("fps", "frames"), [(30.0, 40), (15.0, 40), (30.0, 300)])
def test_player_plays_at_the_speed_on_the_button(fps, frames):
    """Of a button's frames, milliseconds of the clip over milliseconds on the screen are its speed."""
    figure = player.clip_player(make_clip(frames), NTU25, fps=fps)
    buttons = {b.label: b for b in figure.layout.updatemenus[0].buttons}
    assert list(buttons) == ["Play 0.25\u00d7", "Play 0.5\u00d7", "Play 1\u00d7", "Play 2\u00d7", "Pause"]
    shown = [int(step.label) for step in figure.layout.sliders[0].steps]
    for speed in player.SPEEDS:
        names, how = buttons[f"Play {speed:g}\u00d7"].args
        numbers = [int(k) for k in names]
        one_pass = [shown[k] for k in numbers[: next(i for i, (a, b) in enumerate(pairwise(numbers), 1) if b < a)]]
        recorded = 1000 / fps * np.diff(one_pass).mean()
        assert recorded / (how["frame"]["duration"] + player.EARLY) == pytest.approx(speed, rel=0.05)
        assert how["frame"]["duration"] >= player.REDRAW - player.EARLY, "faster than a slow machine can draw"
        assert set(numbers) == set(range(len(shown))), "playing cannot begin at every frame"
        assert how["fromcurrent"] and how["mode"] == "immediate"
    assert buttons["Pause"].args[0] == (None,)


def test_player_shows_where_bodies_were_not_tracked():
    clip = make_clip(21, 2)
    clip.present[5:9, 1] = False
    figure = player.clip_player(clip, NTU25)
    (bar,) = figure.layout.shapes
    assert (bar.x0, bar.x1) == pytest.approx((4.5 / 20, 8.5 / 20))
    text = next(i for i, trace in enumerate(figure.data) if trace.mode == "text")
    assert figure.data[text].text == ("body 2 not tracked",)
    last = clip.xyz[4, 1, NTU25.root]
    there = [np.allclose([f.data[text].x[0], f.data[text].y[0], f.data[text].z[0]], last) for f in figure.frames]
    assert [k for k, so in enumerate(there) if so] == [5, 6, 7, 8]
    drawn = np.concatenate([t.x for t in figure.frames[6].data[3:6]])
    assert np.isnan(drawn).all(), "a body is drawn where it was not tracked"
    assert not player.clip_player(make_clip(), NTU25).layout.shapes


def test_player_marks_guessed_and_lost_joints():
    clip = make_clip(12)
    state = np.full(clip.xyz.shape[:3], 2, np.uint8)
    assert not [t for t in player.clip_player(replace(clip, state=state), NTU25).data if t.name == "inferred joint"]
    state[4, 0, 7], state[9, 0, 3] = 1, 0
    figure = player.clip_player(replace(clip, state=state), NTU25)
    for name, frame, joint in (("inferred joint", 4, 7), ("lost joint", 9, 3)):
        trace = next(i for i, t in enumerate(figure.data) if t.name == name)
        marked = [int(np.isfinite(f.data[trace].x).sum()) for f in figure.frames]
        assert marked == [int(k == frame) for k in range(12)]
        assert np.nansum(figure.frames[frame].data[trace].x) == pytest.approx(clip.xyz[frame, 0, joint, 0])


def test_player_is_small_enough_for_a_page():
    clip = make_clip(500, 2)
    state = np.random.default_rng(0).integers(0, 3, clip.xyz.shape[:3]).astype(np.uint8)
    assert len(player.clip_player(replace(clip, state=state), NTU25).to_json()) < 1_000_000


def test_player_looks_from_the_front():
    """A person with shoulders along x who faces -z (right hand towards +x) is looked at from -z."""
    clip = make_clip()
    clip.xyz[:, 0, NTU25.index("left_shoulder")] = (-0.2, 0, 0)
    clip.xyz[:, 0, NTU25.index("right_shoulder")] = (0.2, 0, 0)
    assert player.clip_player(clip, NTU25).layout.scene.camera.eye.z < -1


def test_player_thins_long_clips_and_leaves_out_bodies_that_were_never_tracked():
    clip = make_clip(300, 2)
    clip.present[:, 1] = False
    figure = player.clip_player(clip, NTU25, most_frames=50)
    assert len(figure.frames) == 50 and len(figure.frames[0].data) == 4
    with pytest.raises(ConfigError, match="fps"):
        player.clip_player(clip, NTU25, fps=0)


def test_film_strip_says_where_nobody_was_tracked():
    clip = make_clip(9, 2)
    clip.present[3:6] = False
    strip = figures.film_strip(clip, NTU25, frames=3)
    strip.draw_without_rendering()
    assert [t.get_text() for t in strip.axes[0].texts] == ["10", "14", "not\ntracked", "18"]


@pytest.fixture
def mapped():
    """A joint map of 40 clips, 4 classes, with class prompts; clip 0 has no picture."""
    rng = np.random.default_rng(0)
    label = np.arange(40) % 4
    center = 3 * rng.normal(size=(4, 8))
    points = {m: center[label] + rng.normal(size=(40, 8)) for m in ("skeleton", "language", "vision")}
    points["vision"][0] = np.nan
    classes = [f"{EVIL} {k}" for k in range(4)]
    clips = pd.DataFrame({"name": [f"c{i}" for i in range(40)], "class": [classes[k] for k in label]})
    clips["sentence"] = EVIL
    clips["speed"] = rng.uniform(size=40)
    clips.attrs["classes"] = classes
    return project_joint(points | {"class prompt": center}, "pca"), clips


def test_map_shows_every_point_once_and_text_stays_text(mapped):
    figure = maps.joint_map(*mapped, title=EVIL, note=theme.origin_note(True, True))
    shown = sum(len(t.x) for t in figure.data if t.mode == "markers" and t.hovertext is not None)
    assert shown == 40 + 40 + 39 + 4
    texts = json.dumps([t.to_plotly_json() for t in figure.data if t.hovertext], default=str)
    assert "<script>" not in texts and "&lt;script&gt;" in texts
    assert all("<script>" not in (t.name or "") for t in figure.data) and "<script>" not in figure.layout.title.text
    caption = figure.layout.annotations[0].text
    assert "Trustworthiness" in caption.replace("<br>", " ") and "generated" in caption and "stand-in" in caption


def test_map_links_are_those_of_one_clip(mapped):
    projection, clips = mapped
    lines = next(t for t in maps.joint_map(projection, clips).data if t.mode == "lines")
    pairs = np.stack([lines.x, lines.y], 1).reshape(-1, 3, 2)
    assert len(pairs) == 40 + 39 and np.isnan(pairs[:, 2]).all()
    assert pairs[3, 0] == pytest.approx(projection.coordinates["skeleton"][3])
    assert pairs[3, 1] == pytest.approx(projection.coordinates["language"][3])
    assert not [t for t in maps.joint_map(projection, clips, link=False).data if t.mode == "lines"]


def test_map_buttons_show_one_modality(mapped):
    figure = maps.joint_map(*mapped)
    button = next(b for b in figure.layout.updatemenus[0].buttons if b.label == "vision")
    visible = [t for t, seen in zip(figure.data, button.args[0]["visible"], strict=True) if seen and t.hovertext]
    assert sum(len(t.x) for t in visible) == 39


def test_map_by_a_measure_and_its_refusals(mapped, tmp_path):
    projection, clips = mapped
    assert maps.joint_map(projection, clips, color_by="speed").layout.coloraxis.colorscale
    figures.joint_map(projection, clips, color_by="speed").draw_without_rendering()
    with pytest.raises(ConfigError, match="Did you mean 'class'"):
        maps.joint_map(projection, clips, color_by="clas")
    with pytest.raises(DataError, match="40 skeleton points"):
        maps.joint_map(projection, clips[:-1])
    names = [path.name for path in figures.save_map(projection, clips, tmp_path)]
    assert names == ["joint_map.json", *(f"joint_map.{kind}" for kind in ("pdf", "svg", "png", "data.json"))]


def test_plotly_figures_survive_into_pages_unless_jupyter_shows_them(monkeypatch):
    monkeypatch.setattr(plotly.io.renderers, "default", "json")
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert theme.setup() == "plotly_mimetype+notebook"
    monkeypatch.setenv("JPY_SESSION_NAME", "here.ipynb")
    assert theme.setup() == "plotly_mimetype"


def test_colours_are_distinct_and_marks_too():
    assert len(set(theme.class_colors(27))) == 27
    assert len({m.symbol for m in theme.MARKS.values()}) == len({m.color for m in theme.MARKS.values()}) == 4


def test_examples_are_saved_with_sentences_and_pictures(tmp_path):
    clips = [make_clip(12, name=f"c/{k}") for k in range(3)]
    clips = [Clip(c.name, c.xyz, c.present, c.frames, label=k) for k, c in enumerate(clips)]
    store = write_store(tmp_path / "s", clips, dataset="toy", layout=NTU25, classes=["a", "b", "c"], generated=True)
    picture = np.zeros((40, 30, 3), np.uint8)
    path = examples.save_examples(tmp_path / "e", store, {"c/0": [EVIL]}, lambda name: [picture, picture], count=2)
    found = json.loads(path.read_text())
    assert [entry["class"] for entry in found] == ["a", "c"]
    assert found[0]["sentences"] == [EVIL] and (tmp_path / "e" / found[0]["pictures"]).is_file()
    assert (tmp_path / "e" / found[1]["strip"]).is_file()


def test_progress_lines_get_a_bar():
    from c2vl_lab.viz.status import with_bar

    assert with_bar("epoch 30/60  loss 1.0") == "[==========          ] epoch 30/60  loss 1.0"
    assert with_bar("0/7 clips").startswith("[                    ]")
    assert with_bar("features: 256 dimensions") == "features: 256 dimensions"
