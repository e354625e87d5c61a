"""NTU RGB+D: which files are read, which are left out and why, from folders and from zips."""

from __future__ import annotations

import pickle
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ntu_files import NAME, A, alone, read_all, skeleton_text, write_skeleton_file, write_zip

from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.readers import ntu, ntu_sources
from c2vl_lab.data.readers.ntu_missing import missing_names
from c2vl_lab.errors import DataError, MissingError


def test_a_recording_without_any_body_is_dropped_with_its_reason(tmp_path):
    write_skeleton_file(tmp_path / "S001C001P001R001A002.skeleton", [[], []])
    write_skeleton_file(tmp_path / "S001C001P001R001A003.skeleton", [[(A, np.full((25, 3), 1e6))]])
    write_skeleton_file(tmp_path / f"{NAME}.skeleton", alone())
    reading = read_all(tmp_path)
    assert [clip.name for clip in reading.clips] == [NAME] and reading.files == 3
    assert reading.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert reading.dropped == {
        "S001C001P001R001A002": "no body in any frame",
        "S001C001P001R001A003": "no body frame that can be used",
    }


def test_the_authors_missing_list_is_applied_by_name(tmp_path):
    listed = "S001C002P005R002A008"
    assert listed in missing_names(60)
    for name in (NAME, listed, "S001C001P001R001A001"):
        write_skeleton_file(tmp_path / "deep" / f"{name}.skeleton", alone())
    (tmp_path / "missing.txt").write_text("Samples to leave out, of RGB+D 60:\nS001C001P001R001A001.skeleton\n")
    reading = read_all(tmp_path)
    assert [clip.name for clip in reading.clips] == [NAME] and reading.files == 1
    assert reading.dropped == {
        listed: "without a usable skeleton, by the authors' list",
        "S001C001P001R001A001": "named in missing.txt",
    }
    assert {clip.name for clip in read_all(tmp_path, missing=False).clips} == {NAME, listed}


def test_a_misspelled_name_in_missing_txt_is_named(tmp_path):
    write_skeleton_file(tmp_path / f"{NAME}.skeleton", alone())
    (tmp_path / "missing.txt").write_text("S001C001P001R001A001\nS001C001P001R01A002\n")
    with pytest.raises(DataError, match=r"missing.txt, line 2: .* found 'S001C001P001R01A002'"):
        read_all(tmp_path)
    (tmp_path / "missing.txt").write_text("nothing\n")
    with pytest.raises(DataError, match=r"missing.txt: .* found none"):
        read_all(tmp_path)


def test_files_of_the_later_setups_are_read_for_120_classes_only(tmp_path):
    later = "S020C001P050R001A061"
    for name in (NAME, later):
        write_skeleton_file(tmp_path / f"{name}.skeleton", alone())
    reading = read_all(tmp_path)
    assert [clip.name for clip in reading.clips] == [NAME] and not reading.faults
    assert reading.counts == {"files not read: of NTU RGB+D 120 only": 1}
    clips = read_all(tmp_path, "ntu120").clips
    assert [(clip.name, clip.label) for clip in clips] == [(NAME, 12), (later, 60)]


def test_a_fault_names_its_file_and_the_others_are_read(tmp_path):
    for name in (NAME, "S001C001P001R001A001", "S001C001P001R001A061", "walk"):
        write_skeleton_file(tmp_path / f"{name}.skeleton", alone())
    cut = tmp_path / "S001C001P001R001A001.skeleton"
    cut.write_bytes(cut.read_bytes()[:2000])
    reading = read_all(tmp_path)
    assert [clip.name for clip in reading.clips] == [NAME]
    sentences = {Path(where).stem: sentence for where, sentence in reading.faults.items()}
    assert set(sentences) == {"S001C001P001R001A001", "S001C001P001R001A061", "walk"}
    assert all(sentence.startswith(where) for where, sentence in reading.faults.items())
    assert "It was cut" in sentences["S001C001P001R001A001"] and "line 2" in sentences["S001C001P001R001A001"]
    assert "action 61 is outside the protocol's classes 1 to 60" in sentences["S001C001P001R001A061"]
    assert "wanted a name like S001C002P003R002A013.skeleton" in sentences["walk"]


def test_no_file_of_an_absurd_size_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(ntu_sources, "FILE_LIMIT", 1000)
    write_zip(tmp_path / "a.zip", {"S001C001P001R001A001": b"1\n0\n" + b" " * 2000})
    write_skeleton_file(tmp_path / f"{NAME}.skeleton", alone())
    reading = read_all(tmp_path)
    assert not reading.clips and reading.files == 0
    assert all("1000" in sentence for sentence in reading.faults.values()) and len(reading.faults) == 2


def test_the_published_zips_are_read_in_memory_and_opened_once(tmp_path, monkeypatch):
    text = skeleton_text(alone()).encode()
    first = [f"S001C001P001R001A{action:03d}" for action in range(1, 61)]
    later = [f"S018C001P008R001A{action:03d}" for action in range(61, 121)]
    write_zip(tmp_path / "nturgbd_skeletons_s001_to_s017.zip", dict.fromkeys(reversed(first), text))
    write_zip(tmp_path / "nturgbd_skeletons_s018_to_s032.zip", dict.fromkeys(later, text), "nturgb+d_skeletons120")
    opened: Counter[str] = Counter()

    class Counted(zipfile.ZipFile):
        def __init__(self, file, *args, **kwargs):
            opened[Path(file).name] += 1
            super().__init__(file, *args, **kwargs)

    monkeypatch.setattr(ntu, "FILES_A_PART", 4)
    monkeypatch.setattr(zipfile, "ZipFile", Counted)
    reading = read_all(tmp_path, "ntu120")
    assert [clip.name for clip in reading.clips] == first + later
    where = "nturgbd_skeletons_s001_to_s017.zip/nturgb+d_skeletons/S001C001P001R001A001.skeleton"
    assert reading.clips[0].source == where and reading.bytes == 120 * len(text)
    assert max(opened.values()) <= 5  # 15 parts each; to look, to plan, to check, and to read
    assert sorted(path.suffix for path in tmp_path.rglob("*")) == [".zip", ".zip"]  # nothing was unpacked


def test_a_damaged_member_is_a_fault_and_the_others_are_read(tmp_path):
    names = [f"S001C001P001R001A00{i}" for i in (1, 2, 3)]
    path = write_zip(tmp_path / "a.zip", {name: skeleton_text(alone(5, i)).encode() for i, name in enumerate(names)})
    with zipfile.ZipFile(path) as archive:
        start = archive.infolist()[1].header_offset
    data = bytearray(path.read_bytes())
    data[start + 300 : start + 400] = bytes(100)
    path.write_bytes(data)
    reading = read_all(tmp_path)
    assert [clip.name for clip in reading.clips] == [names[0], names[2]]
    assert "A002.skeleton is damaged" in reading.faults[f"a.zip/nturgb+d_skeletons/{names[1]}.skeleton"]


def test_a_cut_zip_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {NAME: skeleton_text(alone()).encode()})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"a.zip: wanted a complete zip"):
        read_all(tmp_path)


def test_a_zip_that_lies_unpacked_beside_is_not_read_again(tmp_path):
    frames = alone()
    write_skeleton_file(tmp_path / "unpacked.zip" / f"{NAME}.skeleton", frames)  # a folder, whatever it is called
    write_zip(tmp_path / "a.zip", {NAME: skeleton_text(frames).encode()})
    reading = read_all(tmp_path)
    assert [clip.source for clip in reading.clips] == [f"{NAME}.skeleton"]
    assert not reading.faults


def test_a_name_that_is_there_twice_is_a_fault_of_the_second(tmp_path):
    write_skeleton_file(tmp_path / "one" / f"{NAME}.skeleton", alone(20, 1))
    write_skeleton_file(tmp_path / "two" / f"{NAME}.skeleton", alone(20, 2))
    other = "S001C001P001R001A001"
    text = skeleton_text(alone()).encode()
    write_zip(tmp_path / "one" / "a.zip", {NAME: text, other: text})
    write_zip(tmp_path / "two" / "a.zip", {other: text})
    reading = read_all(tmp_path)
    assert [clip.name for clip in reading.clips] == [NAME, other]
    assert reading.clips[0].source == f"one/{NAME}.skeleton"
    assert len(reading.faults) == 3
    for sentence in reading.faults.values():
        assert "is there twice, first as " + str(tmp_path / "one") in sentence


def test_the_store_names_files_alike_wherever_the_data_lies(tmp_path):
    other = "S001C001P001R001A001"
    tables = []
    for home in ("here", "far/away"):
        write_skeleton_file(tmp_path / home / "raw" / "one" / f"{NAME}.skeleton", alone())
        write_skeleton_file(tmp_path / home / "raw" / "two" / f"{other}.skeleton", alone(20, 2))
        (tmp_path / home / "raw" / "two" / "walk.skeleton").write_text("")
        store = open_dataset("ntu60", tmp_path / home, tmp_path / home / "work", workers=1, skip_bad=True)
        tables.append((store.path / "clips.csv").read_bytes())
        (sentence,) = store.meta["notes"]["faults"].values()
        assert sentence.startswith(str(tmp_path / home / "raw" / "two" / "walk.skeleton"))  # errors say where it lies
    assert tables[0] == tables[1] and str(tmp_path).encode() not in tables[0]
    assert list(store.clips["source"]) == [f"one/{NAME}.skeleton", f"two/{other}.skeleton"]


def test_linked_folders_are_followed_but_not_in_circles(tmp_path):
    other = "S001C001P001R001A001"
    write_skeleton_file(tmp_path / "disk" / "nturgb+d_skeletons" / f"{NAME}.skeleton", alone())
    write_zip(tmp_path / "disk" / "zips" / "a.zip", {other: skeleton_text(alone()).encode()})
    root = tmp_path / "data" / "ntu60"
    root.mkdir(parents=True)
    write_skeleton_file(tmp_path / "data" / "else" / "S001C001P001R001A002.skeleton", alone())  # above the set's folder
    try:
        for name, target in (("nturgb+d_skeletons", "disk/nturgb+d_skeletons"), ("zips", "disk/zips"), ("up", "data")):
            (root / name).symlink_to(tmp_path / target, target_is_directory=True)
        (tmp_path / "disk" / "zips" / "again").symlink_to(tmp_path / "disk" / "zips", target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    reading = read_all(tmp_path / "data")
    assert [clip.name for clip in reading.clips] == [NAME, other] and not reading.faults


def test_hidden_files_beside_the_recordings_are_none(tmp_path):
    write_zip(tmp_path / "a.zip", {NAME: skeleton_text(alone()).encode(), f"._{NAME}": b"\x00\x05\x16\x07"})
    assert len(read_all(tmp_path).clips) == 1 and not read_all(tmp_path).faults


def test_names_are_printed_in_one_line(tmp_path):
    (tmp_path / "wa\nlk.skeleton").write_bytes(b"")
    ((where, sentence),) = read_all(tmp_path).faults.items()
    assert "\n" not in where + sentence


def test_a_plan_looks_at_names_only(tmp_path):
    names = [f"S001C001P{p:03d}R001A{a:03d}" for p in range(1, 9) for a in range(1, 61)]
    for name in names:
        (tmp_path / f"{name}.skeleton").write_bytes(b"no recording")
    options = ntu.Options()
    sources = ntu.find(tmp_path, options, dataset="ntu60")
    plan = ntu.plan(sources, options, dataset="ntu60")
    assert [len(part.members) for part in plan.parts] == [200, 200, 80]
    assert [member for part in plan.parts for member in part.members] == [f"{name}.skeleton" for name in names]
    assert plan == ntu.plan(list(sources), options, dataset="ntu60")
    assert plan.class_ids == list(range(1, 61)) and plan.classes[12] == "tear up paper" and len(plan.classes) == 60
    assert plan.extras == ("state", "color") and plan.layout.name == "ntu25"
    part, context, read = pickle.loads(pickle.dumps((plan.parts[0], plan.context, ntu.read)))
    assert len(read(part, context).faults) == 200


def test_an_empty_folder_says_what_was_wanted(tmp_path):
    with pytest.raises(MissingError, match=r"ntu120: wanted .skeleton files, or zips of them, under .*found none"):
        ntu.find(tmp_path, ntu.Options(), dataset="ntu120")


def test_a_zip_may_be_spelled_in_capitals(tmp_path):
    write_zip(tmp_path / "A.ZIP", {"S001C001P001R001A001": skeleton_text(alone()).encode()})
    assert [clip.name for clip in read_all(tmp_path).clips] == ["S001C001P001R001A001"]
    assert len(open_dataset("ntu60", tmp_path, tmp_path / "work", workers=1)) == 1
