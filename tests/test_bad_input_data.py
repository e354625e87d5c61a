"""Bad raw data: one clear sentence that names the file, and nothing on disk changed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from ntu_files import skeleton_text, standing_body

from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.readers import sources
from c2vl_lab.errors import C2VLError, DataError, MissingError

NAME = "S001C001P001R001A001"


def good_text() -> str:
    body = standing_body(np.random.default_rng(0), frames=20)
    return skeleton_text([[(72057594037931101, joints)] for joints in body])


def files_under(*folders: Path) -> list[tuple[Path, int]]:
    return sorted((p, p.stat().st_mtime_ns) for f in folders if str(f) for p in Path(f).rglob("*") if p.is_file())


def refused(kind: type[C2VLError], sentence: str, name: str, data_dir: Path, work: Path) -> None:
    """Open the set, which must fail in one line; an older store beside must stay as it was."""
    older = open_dataset("generated", work_dir=work, performers=1)
    before = files_under(work, data_dir)
    with pytest.raises(kind, match=sentence) as caught:
        open_dataset(name, data_dir, work)
    assert "\n" not in str(caught.value)
    assert before == files_under(work, data_dir)
    assert len(older) == len(open_dataset("generated", work_dir=work, performers=1))


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


@pytest.fixture
def work(tmp_path):
    return tmp_path / "work"


@pytest.mark.parametrize("name", ["nw-ucla", "utd-mhad", "msr-action3d", "ntu60", "ntu120"])
def test_missing_folder(name, tmp_path, work):
    work.mkdir()
    with pytest.raises(MissingError, match=f"{name}: data_dir .*nowhere is no folder"):
        open_dataset(name, tmp_path / "nowhere", work)
    with pytest.raises(MissingError, match="data_dir is not set"):
        open_dataset(name, "", work)
    assert not list(work.iterdir())


def test_folder_without_the_published_files(raw, work):
    refused(MissingError, r"nw-ucla: wanted all_sqe.zip in .*raw", "nw-ucla", raw, work)
    refused(MissingError, r"ntu60: wanted .skeleton files.*found none", "ntu60", raw, work)


def write_zip(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize(("name", "file"), [("nw-ucla", "all_sqe.zip"), ("utd-mhad", "Skeleton.zip")])
def test_truncated_zip(name, file, raw, work):
    path = write_zip(raw / file, {f"a01_s01_e{i:02d}_v01.json": good_text() for i in range(5)})
    path.write_bytes(path.read_bytes()[:-200])
    refused(DataError, rf"{file}: wanted a complete zip, found \d+ bytes", name, raw, work)


def test_damaged_zip_member(raw, work):
    path = write_zip(raw / "all_sqe.zip", {"a01_s01_e00_v01.json": good_text()})
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)
    refused(DataError, r"all_sqe.zip: member a01_s01_e00_v01.json is damaged", "nw-ucla", raw, work)


def test_zip_bomb_is_refused(raw, work, monkeypatch):
    path = write_zip(raw / "all_sqe.zip", {"a01_s01_e00_v01.json": " " * 100_000})
    with pytest.raises(DataError, match="claims 100000 bytes, more than the 1000 allowed"):
        list(sources.zip_members(path, ".json", limit=1000))


METHODS = {"bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "file", "member"),
    [
        ("nw-ucla", "all_sqe.zip", "a01_s01_e00_v01.json"),
        ("utd-mhad", "Skeleton.zip", "a1_s1_t1_skeleton.mat"),
        ("ntu60", "raw.zip", "S001C001P001R001A001.skeleton"),
        ("pku2", "raw.zip", "A01N01-L.txt"),
    ],
)
def test_members_whose_unpacking_nothing_bounds_are_refused(name, file, member, method, raw, work, monkeypatch):
    """A few bytes of bzip2 or LZMA become gigabytes in one piece, whatever size the directory claims."""
    with zipfile.ZipFile(raw / file, "w", METHODS[method]) as archive:
        archive.writestr(member, bytes(100_000))
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda *_: pytest.fail("it was unpacked"))
    kind = MissingError if name == "pku2" else DataError
    sentence = rf"{file}: member {member} is packed by method {method}, which cannot be read within bounds"
    refused(kind, sentence, name, raw, work)


def test_json_that_is_cut(raw, work):
    write_zip(raw / "all_sqe.zip", {"a01_s01_e00_v01.json": '{"skeletons": [[[0.1'})
    refused(DataError, r"all_sqe.zip/a01_s01_e00_v01.json: wanted JSON", "nw-ucla", raw, work)


def test_matlab_file_that_is_none(raw, work):
    write_zip(raw / "Skeleton.zip", {"a1_s1_t1_skeleton.mat": "not Matlab at all" * 20})
    refused(DataError, r"a1_s1_t1_skeleton.mat: wanted a Matlab file with the variable d_skel", "utd-mhad", raw, work)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0.1 0.2 2.5 1\n" * 30, r"line 30: wanted 20 lines a frame, found the end after 30 lines"),
        ("0.1 0.2 two 1\n" * 20, r"line 1: wanted x y z and a confidence, found '0.1 0.2 two 1'"),
        ("nan 0.2 2.5 1\n" * 20, r"line 1: .*a number that is not finite"),
    ],
)
def test_bad_msr_text(text, sentence, raw, work):
    write_zip(raw / "MSRAction3DSkeletonReal3D.zip", {"a01_s01_e01_skeleton3D.txt": text})
    (raw / "files_used_in_cvpr12_paper.txt").write_text("a01_s01_e01\n")
    refused(DataError, rf"a01_s01_e01_skeleton3D.txt, {sentence}", "msr-action3d", raw, work)


def test_msr_archive_without_a_listed_file(raw, work):
    write_zip(raw / "MSRAction3DSkeletonReal3D.zip", {"a01_s01_e01_skeleton3D.txt": "0.1 0.2 2.5 1\n" * 20})
    (raw / "files_used_in_cvpr12_paper.txt").write_text("a01_s01_e01\na01_s01_e02\n")
    refused(DataError, r"lacks 1 files .* first is a01_s01_e02", "msr-action3d", raw, work)


def ntu_cases():
    text = good_text()
    lines = text.splitlines()
    half = len(lines) // 2

    def with_line(number, new):
        return "\n".join([*lines[: number - 1], new, *lines[number:]])

    return {
        "cut between frames": ("\n".join(lines[: 1 + 28 * 10]), r"found the end of the file. It was cut"),
        "cut inside a body": ("\n".join(lines[: half + 9]), r"after line \d+, found the end of the file. It was cut"),
        "cut inside the last line": (text[: text.rstrip().rfind(" ") - 30], r"line 561: wanted 12 numbers"),
        "word": (with_line(11, "0.1 zero 3.0 1 1 1 1 0 0 0 0 2"), r"line 11: wanted 12 numbers of a joint.*zero"),
        "short line": (with_line(12, "0.1 0.2 3.0"), r"line 12: wanted 12 numbers of a joint, found 3"),
        "joint count": (with_line(4, "20"), r"line 4: wanted 25 joints, found 20"),
        "body count": (with_line(2, "many"), r"line 2: wanted the number of bodies in frame 0 of 20, found 'many'"),
        "many bodies": (with_line(2, "99"), r"line 2: wanted 0 to 6 bodies, found 99"),
        "too long": (text + "1\n2\n", r"line 562: wanted the end after 20 frames, found more"),
        "empty": ("", r"line 1: wanted the number of frames, found ''"),
    }


@pytest.mark.parametrize("case", ntu_cases())
def test_bad_skeleton_file(case, raw, work):
    text, sentence = ntu_cases()[case]
    (raw / f"{NAME}.skeleton").write_text(text)
    refused(DataError, rf"{NAME}.skeleton.*{sentence}", "ntu60", raw, work)


def test_shifted_joint_lines_do_not_pass(raw, work):
    """A line of 11 and one of 13 numbers have the right sum; the tracking state gives them away."""
    lines = good_text().splitlines()
    lines[4], lines[5] = lines[4].split(maxsplit=1)[1], lines[5] + " 2"
    (raw / f"{NAME}.skeleton").write_text("\n".join(lines))
    with pytest.raises(DataError, match="line 5: wanted 12 numbers of a joint, found 11") as caught:
        open_dataset("ntu60", raw, work)
    assert NAME in str(caught.value)


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("S001C001P001R001A061.skeleton", "action 61 is outside the protocol's classes 1 to 60"),
        ("S001C001P001R001A000.skeleton", "action 0 is outside the protocol's classes 1 to 60"),
        ("walk.skeleton", "wanted a name like S001C002P003R002A013.skeleton"),
    ],
)
def test_label_outside_the_protocol(file, sentence, raw, work):
    (raw / file).write_text(good_text())
    refused(DataError, sentence, "ntu60", raw, work)


def test_label_outside_the_protocol_in_other_sets(raw, work):
    write_zip(raw / "Skeleton.zip", {"a28_s1_t1_skeleton.mat": "x"})
    refused(DataError, "a28_s1_t1_skeleton.mat: action 28 is outside .* 1 to 27", "utd-mhad", raw, work)
