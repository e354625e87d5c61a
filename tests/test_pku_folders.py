"""PKU-MMD's folders, archives and split files as people have them, and the names of the released sentences."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from pku_files import (
    label_rows,
    names_of,
    only_clip,
    read_all,
    skeleton_rows,
    split_text,
    two_bodies,
    walking_body,
    write_video,
)

from c2vl_lab.data.readers.pku_classes import CLASS_IDS
from c2vl_lab.data.readers.pku_labels import parse_list
from c2vl_lab.errors import DataError, MissingError

SHARED = Path(os.environ.get("C2VL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
PART_1 = ("PKU_Skeleton_Renew", "Train_Label_PKU_final")
ONE = two_bodies(walking_body(0, frames=60))


# ----------------------------------------------------------------------------------------------- folders and archives


@pytest.mark.parametrize(
    "folders", [PART_1, ("skeleton", "label"), ("v2/Data/Skeleton_v2", "v2/x y"), ("train/s", "s")]
)
def test_folders_are_told_apart_by_what_is_in_them(tmp_path, folders):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)], folders)
    assert names_of(tmp_path) == ["A001N001V001C001L001"]


def test_both_parts_may_lie_in_one_folder(tmp_path):
    write_video(tmp_path / "v1", "0002-L", ONE, [(12, 1, 30)], PART_1)
    write_video(tmp_path / "v2", "A01N01-L", ONE, [(1, 1, 30)])
    assert names_of(tmp_path, "pku1") == ["A002N000V001C012L001"]
    assert names_of(tmp_path, "pku2") == ["A001N001V001C001L001"]


def test_one_folder_for_both_kinds_needs_two_suffixes(tmp_path):
    (tmp_path / "A01N01-L.skeleton").write_text(skeleton_rows(ONE))
    (tmp_path / "A01N01-L.label").write_text(label_rows([(1, 1, 30)]))
    assert names_of(tmp_path) == ["A001N001V001C001L001"]


@pytest.mark.parametrize("archives", [("Skeleton.zip", "Label.zip"), ("all.zip", "all.zip")])
def test_zips_are_read_in_place_and_give_the_same_clips(tmp_path, archives):
    write_video(tmp_path / "raw", "A01N01-L", ONE, [(1, 1, 30)])
    (tmp_path / "raw" / "cross_subject_v2.txt").write_text(split_text(["A01N01-L"], []))
    plain = only_clip(tmp_path / "raw")
    zipped = tmp_path / "zipped"
    zipped.mkdir()
    for archive, folder in zip(archives, ("Skeleton", "Label"), strict=True):
        with zipfile.ZipFile(zipped / archive, "a", zipfile.ZIP_DEFLATED) as stream:
            stream.write(tmp_path / "raw" / folder / "A01N01-L.txt", f"{folder}/A01N01-L.txt")
            if folder == "Label":
                stream.write(tmp_path / "raw" / "cross_subject_v2.txt", "Split/cross_subject_v2.txt")
    clip = only_clip(zipped)
    np.testing.assert_array_equal(clip.xyz, plain.xyz)
    assert (clip.name, clip.splits) == (plain.name, plain.splits) and clip.splits == {"xsub": "train"}
    assert clip.source == f"{archives[0]}/Skeleton/A01N01-L.txt, lines 1 to 30"
    assert sorted(path.name for path in zipped.iterdir()) == sorted(set(archives))  # nothing is unpacked


def test_an_unpacked_folder_goes_before_the_zip_that_it_came_from(tmp_path):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)])
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as stream:
        for folder in ("Skeleton", "Label"):
            stream.write(tmp_path / folder / "A01N01-L.txt", f"{folder}/A01N01-L.txt")
        stream.writestr("Split/cross_view_v2.txt", split_text(["A01N01-R"], ["A01N01-L"]))
    clip = only_clip(tmp_path)
    assert clip.source.startswith("Skeleton/") and clip.splits == {"xview": "test"}  # the list is only in the zip


def test_a_damaged_member_is_a_fault_and_a_cut_zip_is_refused(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as stream:
        for video in ("A01N01-L", "A02N01-L"):
            stream.writestr(f"Skeleton/{video}.txt", skeleton_rows(ONE))
            stream.writestr(f"Label/{video}.txt", label_rows([(1, 1, 30)]))
    content = bytearray(path.read_bytes())
    content[content.index(b"Skeleton/A02N01-L.txt") + 50_000] ^= 1
    path.write_bytes(content)
    _, reading = read_all(tmp_path)
    assert [clip.setup for clip in reading.clips] == [1]
    assert "A02N01-L.txt is damaged" in next(iter(reading.faults.values()))
    path.write_bytes(content[:-40])
    with pytest.raises(DataError, match=r"all\.zip: wanted a complete zip"):
        read_all(tmp_path)


def test_the_same_video_in_two_folders_is_refused_with_both_named(tmp_path):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)])
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)], ("normalised", "Label"))
    with pytest.raises(
        DataError, match=r"skeletons of video A01N01-L are both .*Skeleton.*A01N01-L.txt and .*normalised.*A01N01-L.txt"
    ):
        read_all(tmp_path)


def test_one_damaged_file_does_not_change_what_a_folder_is(tmp_path):
    for script in (1, 2, 3):
        write_video(tmp_path, f"A{script:02d}N01-L", ONE, [(1, 1, 30)])
    (tmp_path / "Label" / "A01N01-L.txt").write_text("0.5 " * 150)
    (tmp_path / "Skeleton" / "A02N01-L.txt").write_text("1,1,30,2")
    _, reading = read_all(tmp_path)
    assert [clip.setup for clip in reading.clips] == [3] and len(reading.faults) == 2


@pytest.mark.parametrize("name", ["Label/A01N01-L.txt", "cross_view_v2.txt"])
def test_pipes_and_broken_links_are_refused_and_do_not_hang(tmp_path, name):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)])
    (tmp_path / name).unlink(missing_ok=True)
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes here")
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=f"{name}: wanted a file, found a broken link, a pipe or a device"):
        read_all(tmp_path)


def test_skeletons_may_be_split_over_folders(tmp_path):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)], ("s/train", "l"))
    write_video(tmp_path, "A02N01-L", ONE, [(1, 1, 30)], ("s/test", "l"))
    assert names_of(tmp_path) == ["A001N001V001C001L001", "A002N001V001C001L001"]


def test_what_is_missing_is_said_with_what_was_found(tmp_path):
    with pytest.raises(MissingError, match=r"pku2: wanted skeletons .*150 numbers a row.* found none"):
        read_all(tmp_path)
    (tmp_path / "Skeleton_v2.7z").write_bytes(b"7z")
    with pytest.raises(MissingError, match=r"7z archives cannot be read: unpack Skeleton_v2\.7z there"):
        read_all(tmp_path)
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)])
    (tmp_path / "Label" / "A01N01-L.txt").write_text("0.1 0.2 0.3 0.4 0.5\n")
    with pytest.raises(
        MissingError, match=r"wanted labels .* found .*Label \(5 numbers in the first line of .*A01N01-L.txt\)"
    ):
        read_all(tmp_path)
    with pytest.raises(MissingError, match="wanted skeletons"):
        read_all(tmp_path, "pku1")


def test_circles_of_links_do_not_hang(tmp_path):
    write_video(tmp_path / "raw", "A01N01-L", ONE, [(1, 1, 30)])
    try:
        (tmp_path / "raw" / "again").symlink_to(tmp_path / "raw", target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    assert len(names_of(tmp_path)) == 1


# ----------------------------------------------------------------------------------------------- split files


def test_split_files_decide_the_part_of_each_clip(tmp_path):
    for video in ("0002-L", "0002-M", "0003-L", "0004-L"):
        write_video(tmp_path, video, ONE, [(12, 1, 30)], PART_1)
    (tmp_path / "cross-subject.txt").write_text(split_text(["0002-L", "0002-M", "0999-R"], ["0003-L"]))
    (tmp_path / "cross-view.txt").write_text(split_text(["0002-M"], ["0002-L", "0003-L", "0004-L"]))
    (tmp_path / "cross_subject_v2.txt").write_text(split_text(["A01N01-L"], []))  # the other part's list
    plan, reading = read_all(tmp_path, "pku1")
    assert {clip.name[1:12]: clip.splits for clip in reading.clips} == {
        "002N000V001": {"xsub": "train", "xview": "test"},
        "002N000V002": {"xsub": "train", "xview": "train"},
        "003N000V001": {"xsub": "test", "xview": "test"},
        "004N000V001": {"xview": "test"},
    }
    assert "3 training videos, 1 others; it names 3 of the 4" in plan.notes["split file for xsub"]


def test_a_list_of_training_videos_only_leaves_the_others_to_the_test_part(tmp_path):
    for video in ("A01N01-L", "A02N01-L"):
        write_video(tmp_path, video, ONE, [(1, 1, 30)])
    (tmp_path / "cross_subject_v2.txt").write_text("Training videos:\nA01N01-L\n")
    _, reading = read_all(tmp_path)
    assert [clip.splits for clip in reading.clips] == [{"xsub": "train"}, {"xsub": "test"}]


def test_a_split_file_may_break_its_lines_and_end_with_a_comma():
    text = "Training\nA01N01-L, A01N01-M,\nA01N02-L.txt\n\nTest videos:\nA02N01-L,\n"
    parts = parse_list("x", text, "pku2")
    assert parts == {"A01N01-L": "train", "A01N01-M": "train", "A01N02-L": "train", "A02N01-L": "test"}
    assert parse_list("x", text, "pku1") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("T\nA01N01-L\nV\nA01N01-L\n", "line 4: video A01N01-L is in both parts"),
        ("T\nA01N01-L, A01N0\n", "line 2: wanted names of videos, found 'A01N0' among them"),
        ("T\nA01N01-L\nV\nA02N01-L\nX\nA03N01-L\n", "line 6: wanted two lists"),
        ("Test\nA01N01-L\nTraining\nA02N01-L\n", "line 2: wanted the training videos first, found 'test' above"),
    ],
)
def test_wrong_split_files_are_refused_with_file_and_line(tmp_path, text, message):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)])
    (tmp_path / "cross_view_v2.txt").write_text(text)
    with pytest.raises(DataError, match=f"cross_view_v2.txt, {message}"):
        read_all(tmp_path)


def test_two_different_lists_for_one_protocol_are_refused(tmp_path):
    write_video(tmp_path, "A01N01-L", ONE, [(1, 1, 30)])
    (tmp_path / "cross_view_v2.txt").write_text(split_text(["A01N01-L"], ["A01N01-R"]))
    (tmp_path / "Split").mkdir()
    (tmp_path / "Split" / "cross-view.txt").write_text(split_text(["A01N01-R"], ["A01N01-L"]))
    with pytest.raises(DataError, match=r"different lists for xview"):
        read_all(tmp_path)


# ----------------------------------------------------------------------------------------------- released sentences


@pytest.mark.real
def test_clip_names_are_those_of_the_released_sentences(tmp_path):
    """Raw files made from the released names (class C and row L of each video) give exactly these names."""
    archive = SHARED / "c2vl-pku-captions" / "pkuv2_language.zip"
    if not archive.is_file():
        pytest.skip(f"{archive} is not here")
    with zipfile.ZipFile(archive) as stream:
        released = set(json.loads(stream.read(stream.namelist()[0])))
    videos: dict[str, dict[int, int]] = defaultdict(dict)
    for name in released:
        script, performer, view, action, row = map(int, re.fullmatch(r"A(\d+)N(\d+)V(\d+)C(\d+)L(\d+)", name).groups())
        videos[f"A{script:02d}N{performer:02d}-{'LMR'[view - 1]}"][row] = action
    assert len(videos) == 1009 and {i for rows in videos.values() for i in rows.values()} == set(CLASS_IDS["pku2"])
    chosen = sorted(videos)[::100]
    for video in chosen:
        rows = [(videos[video][row], 5 * row, 5 * row + 5) for row in sorted(videos[video])]
        write_video(tmp_path, video, ONE, rows)
    names = names_of(tmp_path)
    wanted = {name for name in released if any(_video_of(name) == video for video in chosen)}
    assert set(names) == wanted and len(names) == len(wanted) > 50


def _video_of(name: str) -> str:
    return f"A{name[2:4]}N{name[6:8]}-{'LMR'[int(name[9:12]) - 1]}"


def test_the_other_part_of_the_set_is_told(tmp_path):
    write_video(tmp_path, "A01N01-L", two_bodies(walking_body(1)), [(11, 5, 60)])
    with pytest.raises(MissingError, match=r"These look like part II of PKU-MMD .*: read them as pku2"):
        names_of(tmp_path, "pku1")
