"""What notebook 01 says of a set: counted a second, slow way; every kind of problem is found by the clip's name."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from zlib import crc32

import numpy as np
import pandas as pd
import pytest

from c2vl_lab import figures
from c2vl_lab.data import checks
from c2vl_lab.data.checks import measure
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.layouts import NTU25, layout_from_bones
from c2vl_lab.data.problems import ADVICE, problems, save_problems
from c2vl_lab.data.protocols import make_split
from c2vl_lab.data.readers.sources import PartReading
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.summary import summary_lines
from c2vl_lab.data.writing import StoreWriter, write_store
from c2vl_lab.errors import ConfigError, StorageError
from c2vl_lab.viz import data_pages, player, tables

CLASSES = ["wave", "sit <b>down</b> $x_1", "hug"]


def pose() -> np.ndarray:
    """(25, 3) a standing person of plausible size."""
    xyz = np.zeros((25, 3))
    heights = {"spine_base": 0.9, "spine_mid": 1.15, "spine_shoulder": 1.4, "neck": 1.45, "head": 1.6}
    limbs = {"shoulder": (0.2, 1.4), "elbow": (0.25, 1.15), "wrist": (0.25, 0.9), "hand": (0.25, 0.82)}
    limbs |= {"hand_tip": (0.25, 0.75), "thumb": (0.28, 0.8), "hip": (0.1, 0.88), "knee": (0.1, 0.5)}
    limbs |= {"ankle": (0.1, 0.1), "foot": (0.1, 0.02)}
    for joint, height in heights.items():
        xyz[NTU25.index(joint), 1] = height
    for joint, (x, y) in limbs.items():
        xyz[NTU25.index(f"left_{joint}"), :2], xyz[NTU25.index(f"right_{joint}"), :2] = (-x, y), (x, y)
    return xyz


def make_clip(name: str, frames: int = 40, bodies: int = 1, **changes) -> Clip:
    """A person who sways, a second one a metre beside; never the same clip twice."""
    rng = np.random.default_rng(crc32(name.encode()))
    sway = 0.002 * rng.normal(size=(frames, bodies, 25, 3)) + np.sin(np.arange(frames) / 9)[:, None, None, None] * 0.1
    xyz = pose() + sway + np.array([1.0, 0, 0]) * np.arange(bodies)[:, None, None] + [0, 0, 2.5]
    present = np.ones((frames, bodies), bool)
    fields = {"label": 0, "subject": 1, "camera": 1, "source": f"{name}.skeleton"} | changes
    return Clip(name, xyz.astype(np.float32), present, np.arange(frames, dtype=np.int32), **fields)


def lose(clip: Clip, frames: slice, body: int = 0) -> Clip:
    clip.present[frames, body] = False
    clip.xyz[frames, body] = 0
    return clip


@pytest.fixture
def store(tmp_path) -> SkeletonStore:
    """Clips of one and two people, of several lengths, with gaps inside and at both ends."""
    clips = [make_clip(f"c{k}", 20 + 7 * k, 1 + (k % 3 == 2), label=k % 3, subject=1 + k % 4) for k in range(10)]
    clips[3] = lose(lose(clips[3], slice(0, 4)), slice(10, 16))
    clips[5] = lose(lose(clips[5], slice(8, 11), 1), slice(-5, None), 1)
    clips[8] = lose(clips[8], slice(None), 1)
    return write_store(tmp_path / "s", clips, dataset="own", layout=NTU25, classes=CLASSES)


def slow_measures(store: SkeletonStore) -> list[dict]:
    """The measures body by body, as one would write them down."""
    rows = []
    for number in range(len(store)):
        clip = store[number]
        for body in range(clip.xyz.shape[1]):
            xyz, seen = np.asarray(clip.xyz[:, body], float), np.asarray(clip.present[:, body])
            text = "".join("x" if s else "." for s in seen)
            holes = [len(hole) for hole in text.strip(".").replace("x", " ").split()]
            row = {"clip": number, "body": body, "frames": len(seen), "tracked": int(seen.sum())}
            row |= {"gaps": len(holes), "longest_gap": max(holes, default=0)}
            row |= {"late": len(text) - len(text.lstrip(".")), "early": len(text) - len(text.rstrip("."))}
            both = [t for t in range(1, len(seen)) if seen[t] and seen[t - 1]]
            if seen.any():
                bone = {c: np.linalg.norm(xyz[:, c] - xyz[:, p], axis=1) for c, p in store.layout.bones}
                chains = []
                for joint in range(25):
                    length, parent = 0.0, store.layout.parents[joint]
                    while joint != parent:
                        length += bone[joint][seen].mean()
                        joint, parent = parent, store.layout.parents[parent]
                    chains.append(length)
                row["size"] = max(chains)
                row["jump"] = max((abs(b[t] - b[t - 1]) for b in bone.values() for t in both), default=0.0)
                row["moved"] = np.mean([np.abs(xyz[t] - xyz[t - 1]).max() for t in both])
            if body and seen.any():
                root = np.asarray(clip.xyz[:, :, store.layout.root], float)
                both_seen = seen & np.asarray(clip.present[:, 0])
                row["apart"] = np.linalg.norm(root[both_seen, body] - root[both_seen, 0], axis=1).mean()
            rows.append(row)
    return rows


@pytest.mark.parametrize("rows", [1, 100, 100_000])
def test_measures_agree_with_a_slow_count_whatever_the_block(store, monkeypatch, rows):
    monkeypatch.setattr(checks, "ROWS", rows)
    found, slow = measure(store).bodies, pd.DataFrame(slow_measures(store))
    assert len(found) == len(slow) == 13
    for column in ("clip", "body", "frames", "tracked", "gaps", "longest_gap"):
        assert found[column].tolist() == slow[column].tolist(), column
    seen = slow["tracked"] > 0
    for column in ("late", "early"):
        assert found[column][seen].tolist() == slow[column][seen].tolist(), column
    for column in ("size", "jump", "moved", "apart"):
        np.testing.assert_allclose(found[column][seen], slow[column][seen], rtol=1e-4, atol=1e-6, err_msg=column)


def broken_clips() -> tuple[dict[str, str], list[Clip]]:
    """One clip for each kind of problem that a clip can have, and the kind; the rest is in order."""
    kinds: dict[str, str] = {}
    clips = []

    def add(kind: str, clip: Clip) -> None:
        kinds[clip.name] = kind
        clips.append(clip)

    add("very short", make_clip("short", 7, subject=2))
    add("long tracking gap", lose(make_clip("gap", 100), slice(40, 55)))
    add("long tracking gap", lose(make_clip("second_gap", 100, 2), slice(40, 55), 1))
    add("tracked in few frames", lose(make_clip("few", 60, 2), slice(20, None), 1))
    add("no body in any frame", lose(make_clip("nobody"), slice(None)))
    stalled = make_clip("stalled")
    stalled.xyz[10:30] = stalled.xyz[10]
    add("frozen", stalled)
    add("frames are lacking", replace(make_clip("jumpy"), frames=np.arange(40, dtype=np.int32) * 2))
    torn = make_clip("torn")
    torn.xyz[17, 0, NTU25.index("left_hand"), 2] += 0.9
    add("bone length jumps", torn)
    millimetres = make_clip("millimetres")
    add("implausible size", replace(millimetres, xyz=millimetres.xyz * 1000))
    zeros = make_clip("zeros")
    zeros.xyz[:, 0, [7, 21, 22]] = 0
    add("joints at the origin", zeros)
    turned = make_clip("turned")
    add("upside down", replace(turned, xyz=turned.xyz * np.float32([1, -1, 1])))
    far = make_clip("far", 40, 2)
    far.xyz[:, 1, :, 0] += 3
    add("people far apart", far)
    for name, value, kind in (("lost", 0, "joints lost"), ("inferred", 1, "joints mostly inferred")):
        state = np.full((40, 1, 25), 2, np.uint8)
        state[:, :, :14] = value
        add(kind, replace(make_clip(name), state=state))
    twin = make_clip("original", label=1)
    clips.append(twin)
    add("same recording trains and tests", replace(twin, name="copy", subject=2))
    add("same recording twice", replace(make_clip("good"), name="copy_of_good", label=1))
    clips.append(make_clip("good"))
    tracked = [np.full(clip.xyz.shape[:3], 2, np.uint8) for clip in clips]
    return kinds, [replace(c, state=s) if c.state is None else c for c, s in zip(clips, tracked, strict=True)]


def test_every_problem_is_found_by_name_and_nothing_else(tmp_path):
    kinds, clips = broken_clips()
    store = write_store(tmp_path / "s", clips, dataset="own", layout=NTU25, classes=CLASSES)
    found = problems(store)
    of_clips = found[found["name"].isin(store.names)]
    expected = {name: {kind} for name, kind in kinds.items()}
    expected["zeros"] |= {"implausible size"}  # the arm reaches to the sensor
    expected["good"], expected["copy_of_good"] = {"same recording twice"}, set()  # the later one is named
    got = {name: set(rows["problem"]) for name, rows in of_clips.groupby("name")}
    assert {name: kinds for name, kinds in expected.items() if kinds} == got
    assert set(of_clips["source"].iloc[:3]) <= {f"{name}.skeleton" for name in store.names}
    said = dict(zip(found["name"], found["how bad"], strict=True))
    assert "left_hand" in said["torn"] and "frame 17" in said["torn"]
    assert said["second_gap"].startswith("body 2: ") and "15 frames" in said["second_gap"]
    assert "original" in said["copy"] and "xsub" in said["copy"]
    assert "classes" in said["good"] and said["few"] == "body 2: in 20 of 60 frames"
    untested = found[found["problem"] == "class without test clips"]
    assert {"wave", "hug"} & set(untested["name"]) and set(found["problem"]) <= set(ADVICE)
    assert found["problem"].map(list(ADVICE).index).is_monotonic_increasing, "the gravest kind comes first"


def test_healthy_clips_have_no_problem(tmp_path):
    clips = [make_clip(f"c{k}", 40, 2, label=k % 2, subject=1 + k // 4, camera=1 + k % 2) for k in range(8)]
    clips += [make_clip(f"d{k}", 40, 2, label=1 - k % 2, subject=1 + k // 4, camera=1 + k % 2) for k in range(8)]
    store = write_store(tmp_path / "s", clips, dataset="own", layout=NTU25, classes=CLASSES[:2])
    found = problems(store)
    assert found.empty
    assert data_pages.problem_counts(found, store)["found"].tolist() == [0]
    assert data_pages.worst(found).empty and save_problems(found, store, tmp_path / "new").is_file()


@pytest.fixture
def noted(tmp_path) -> SkeletonStore:
    """A store whose reader had something to say."""
    writer = StoreWriter(tmp_path / "noted", NTU25, 3)
    reading = PartReading(
        [make_clip("a", ids=("1", "2+3")), make_clip("b", 30, 2, subject=2)], files=1505, bytes=2_300_000
    )
    reading.dropped = {f"S{k}": "named in the missing list" for k in range(5)} | {"Z": "no body in any frame"}
    reading.faults = {"x.skeleton": "x.skeleton, line 7: wanted 25 joints, found 24."}
    reading.counts = Counter({"bodies left out: tracked in fewer than 12 frames": 1234})
    writer.append(reading)
    return writer.finish("own", CLASSES, [], notes={"coordinates": "as published"})


def test_summary_says_what_was_read_dropped_and_why(noted):
    lines = summary_lines(noted)
    text = "\n".join(lines)
    assert lines[0] == "Read 1,505 files, 2.3 MB"
    assert "Kept 2 clips of 1 class and 2 performers, 70 frames; 1 clip with more than one body" in text
    assert "Left out 6 clips:" in lines and "    5 x named in the missing list: S0, S1, S2 and 2 more" in lines
    assert "    Z: no body in any frame" in lines
    assert "    x.skeleton: line 7: wanted 25 joints, found 24" in lines
    assert "Bodies left out: tracked in fewer than 12 frames: 1,234" in lines and "Coordinates: as published" in lines


def test_the_summary_of_a_set_without_loss_and_without_performers(tmp_path):
    writer = StoreWriter(tmp_path / "whole", NTU25, 3)
    writer.append(PartReading([make_clip("a", subject=0)], files=1, counts=Counter({"bodies left out: far": 1})))
    text = "\n".join(summary_lines(writer.finish("own", CLASSES, [])))
    assert "Read 1 file," in text and "performers not known" in text and "Every clip and every file" in text


def test_videos_are_no_clips(noted):
    noted.meta["notes"]["dropped"] = {"0005-L": "video with no skeleton file", "0005-R": "video with no skeleton file"}
    lines = summary_lines(noted)
    assert "Left out 2 videos:" in lines and not any("2 clips:" in line for line in lines)


def test_problems_in_a_folder_that_cannot_be_written_to(noted, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"problems-own-.*cannot be written"):
        save_problems(problems(noted), noted, tmp_path / "file")


def test_what_the_reader_left_out_is_among_the_problems(noted):
    found = problems(noted).set_index("name")
    assert (
        found.loc["x.skeleton", "problem"] == "file cannot be used" and "line 7" in found.loc["x.skeleton", "how bad"]
    )
    assert found.loc["S3", "problem"] == "left out"
    people = data_pages.people_table(noted, measure(noted))["number"]
    assert people["bodies left out: tracked in fewer than 12 frames"] == "1,234"
    assert people["clips in which a person's ID changed and was joined"] == "1"
    assert (people["clips with one person tracked"], people["clips with 2 people tracked"]) == ("1", "1")


def test_counts_add_up(store):
    split = make_split(store, "xsub")
    by_class = data_pages.part_counts(store, split, "class")
    assert by_class.index.tolist() == CLASSES and by_class["all"].tolist() == [4, 3, 3]
    assert by_class[["train", "test"]].sum().tolist() == [len(split.train), len(split.test)]
    assert data_pages.part_counts(store, split, "subject").loc[1, "test"] == 0
    crossing = data_pages.crossing(store, "subject", "class")
    assert crossing.to_numpy().sum() == 10 and crossing.loc[1, CLASSES[0]] == 1
    lengths = data_pages.length_table(store, "class", fps=10)
    assert lengths.loc["wave"].tolist() == [4, 20, 51, 83, pytest.approx(5.2, abs=0.11)]
    with pytest.raises(ConfigError, match="Did you mean 'camera'"):
        data_pages.part_counts(store, split, "camra")


def test_gaps_are_shares_of_all_frames(store):
    table = data_pages.gap_table(store, measure(store), "class")
    lost = {0: 10, 1: 0, 2: 3 + 5}
    frames = dict.fromkeys(lost, 0)
    for number in range(10):
        clip = store[number]
        frames[clip.label] += len(clip.xyz) * int(clip.present.any(axis=0).sum())
    assert table["not tracked, %"].tolist() == [round(100 * lost[k] / frames[k], 1) for k in lost]
    assert table["longest gap"].tolist() == [6, 0, 3]


def test_a_clip_is_found_by_name_or_place_or_people(store):
    assert data_pages.find_clip(store, "c4").name == "c4" and data_pages.find_clip(store, "7").name == "c7"
    assert data_pages.find_clip(store, "").name == "c2", "the first with most people"
    with pytest.raises(ConfigError, match="0 to 9"):
        data_pages.find_clip(store, "10")
    with pytest.raises(ConfigError, match="Near it: c1"):
        data_pages.find_clip(store, "c_1")


def test_published_numbers_stand_beside_what_is_there(store, tmp_path):
    assert data_pages.absent_table(store)["published"].tolist() == ["not known"]
    clips = [make_clip(f"a1_s{k}_t1", subject=k) for k in (1, 2)]
    utd = write_store(tmp_path / "u", clips, dataset="utd-mhad", layout=NTU25, classes=CLASSES)
    assert data_pages.absent_table(utd).loc["clips"].tolist() == ["861", 2, 859]
    assert data_pages.protocol_table(utd).loc["xsub", "published"] == "431 / 430"
    names = ["S001C001P001R001A001", "S001C002P001R001A001"]
    ntu = write_store(tmp_path / "n", [make_clip(n) for n in names], dataset="ntu60", layout=NTU25, classes=CLASSES)
    table = data_pages.absent_table(ntu)
    assert table["found"].tolist()[-1] == 2
    assert (table["expected"] == table[["found", "unusable", "absent"]].sum(axis=1)).all()


def test_tables_show_markup_as_text(store):
    table = pd.DataFrame({"how bad": ["<script>x</script>", "y"], "found": [1, 2]}, index=["a", "a"])
    html = tables.text_left(table.rename_axis("name")).to_html()
    assert "<script>x" not in html and "&lt;script&gt;" in html


def test_figures_show_every_class_and_part(store):
    split, measures = make_split(store, "xsub"), measure(store)
    balance = figures.class_balance(store, split, figures.Look(title="$"))
    assert [label.get_text() for label in balance.axes[0].get_yticklabels()] == CLASSES
    assert sum(bar.get_width() for bar in balance.axes[0].patches) == 10
    lengths = figures.lengths_histogram(store, split)
    shares = [sum(drawn.get_data().values) for drawn in lengths.axes[0].patches]
    assert len(shares) == 4 and all(share == pytest.approx(100, abs=0.01) for share in shares)
    gaps, table = figures.tracking_gaps(store, measures, "class"), data_pages.gap_table(store, measures)
    assert [bar.get_width() for bar in gaps.axes[0].patches] == pytest.approx(table["not tracked, %"].tolist())
    crossing = figures.crossing_map(store)
    assert np.ma.count(crossing.axes[0].images[0].get_array()) == 10, "pairs without clips are left white"
    for figure in (balance, lengths, gaps, crossing):
        figure.draw_without_rendering()


def test_a_set_without_gaps_says_so(tmp_path):
    clips = [make_clip("a"), make_clip("b", subject=2)]
    store = write_store(tmp_path / "s", clips, dataset="own", layout=NTU25, classes=CLASSES)
    figure = figures.tracking_gaps(store, measure(store))
    assert "every frame" in figure.texts[0].get_text()


def test_any_skeleton_can_be_looked_at(tmp_path):
    """A hand without head, shoulders or hips; a clip of one frame; one in which nobody was ever tracked."""
    hand = layout_from_bones("hand", {"wrist": None, "thumb": "wrist", "index": "wrist", "tip": "index"})
    rng = np.random.default_rng(0)
    shapes = {"still": (1, 1), "three": (30, 3), "nobody": (9, 2)}
    clips = []
    for subject, (name, (frames, bodies)) in enumerate(shapes.items(), 1):
        xyz = rng.normal(0, 0.1, (frames, bodies, 4, 3)).astype(np.float32) * (name != "nobody")
        present = np.full((frames, bodies), name != "nobody")
        clips.append(Clip(name, xyz, present, np.arange(frames, dtype=np.int32), 0, subject=subject))
    store = write_store(tmp_path / "s", clips, dataset="hands", layout=hand, classes=["grasp"])
    measures = measure(store)
    found = problems(store, measures)
    assert list(zip(found["name"], found["problem"], strict=True)) == [
        ("nobody", "no body in any frame"),
        ("still", "very short"),
        *[("three", "bone length jumps")] * 3,
        ("xview", "protocol cannot be used"),
    ]
    assert data_pages.people_table(store, measures)["number"].iloc[:3].tolist() == ["1", "1", "1"]
    split = make_split(store, "xsub")
    for clip in clips:
        assert len(player.clip_player(clip, hand).frames) == len(clip.xyz)
        figures.film_strip(clip, hand).draw_without_rendering()
    for figure in (figures.lengths_histogram(store, split), figures.tracking_gaps(store, measures)):
        figure.draw_without_rendering()
