"""Archives from strangers: whatever is wrong with one, one sentence says it, and nothing lands on the disk."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from c2vl_lab.cli import main
from c2vl_lab.config import replace
from c2vl_lab.data.align import PrepareConfig
from c2vl_lab.data.layouts import KINECT20
from c2vl_lab.errors import C2VLError, ConfigError, DataError, MissingError
from c2vl_lab.models.encoders import build_encoder
from c2vl_lab.sharing import archive
from c2vl_lab.sharing.archive import CONTENTS, archive_bytes, read_archive, unpack
from c2vl_lab.sharing.description import Description, Skeleton
from c2vl_lab.sharing.encoder_file import FILE, encoder_bytes, keep_encoder, read_encoder
from c2vl_lab.sharing.estimator import load_encoder
from c2vl_lab.sharing.opening import open_encoder

DESCRIPTION = Description("temporal", 4, "joint", 8, Skeleton.of(KINECT20, 1), PrepareConfig(), "a test")


def encoder():
    torch.manual_seed(0)
    return build_encoder("temporal", KINECT20, 4)


@pytest.fixture(scope="module")
def content():
    """The bytes of an encoder file."""
    return encoder_bytes(encoder(), DESCRIPTION)


def zipped(path, files, **more):
    """A zip of anything."""
    with zipfile.ZipFile(path, "w") as out:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            for key, value in more.items():
                setattr(info, key, value)
            out.writestr(info, data)
    return path


def refused(path, words, kind=DataError):
    with pytest.raises(kind, match=words) as caught:
        load_encoder(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_an_archive_is_a_plain_zip_whose_bytes_follow_from_its_files(content, tmp_path):
    one = archive_bytes({FILE: content, "README.md": b"x"})
    assert one == archive_bytes({"README.md": b"x", FILE: content})
    with zipfile.ZipFile(io.BytesIO(one)) as inside:
        assert inside.testzip() is None and inside.namelist() == ["README.md", CONTENTS, FILE]
        assert {info.date_time for info in inside.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert content == encoder_bytes(encoder(), DESCRIPTION)


def test_every_changed_byte_is_found(content, tmp_path):
    whole = archive_bytes({FILE: content, "README.md": b"words"})
    path = tmp_path / "a.zip"
    rng = np.random.default_rng(0)
    for place in sorted(rng.integers(0, len(whole), 60).tolist()):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            files = read_archive(path)
        except DataError:
            continue
        assert files[FILE] == content and files["README.md"] == b"words", "dates and attributes alone may differ"
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refused(path, "is no packed encoder")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/b", "..", "a\\b", "C:evil", ".hidden", "a\n", "x" * 101])
def test_names_that_could_land_elsewhere_are_refused(content, tmp_path, name):
    path = zipped(tmp_path / "a.zip", {FILE: content, CONTENTS: "{}", name: b"x"})
    with pytest.raises(DataError, match="wanted plain file names"):
        unpack(path, tmp_path / "out")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.zip"]


def test_foreign_archives_are_refused(content, tmp_path):
    path = tmp_path / "a.zip"
    refused(path, "holds no encoder", MissingError)
    path.write_bytes(b"PK no zip")
    refused(path, "no packed encoder, or is cut or damaged")
    refused(zipped(path, {"data.pkl": b"x"}), f"holds no {CONTENTS} or no {FILE}")
    refused(zipped(path, {FILE: content, CONTENTS: "[1"}), "wanted the contents of a packed encoder.*found None")
    other = json.dumps({"format": "c2vl_lab-packed-9", "files": {}})
    refused(zipped(path, {FILE: content, CONTENTS: other}), "found 'c2vl_lab-packed-9'")
    listed = json.dumps({"format": archive.FORMAT, "files": {FILE: {"sha256": "0", "bytes": 1}}})
    refused(zipped(path, {FILE: content, CONTENTS: listed}), "is not what was packed")
    refused(zipped(path, {FILE: content, CONTENTS: listed, "more.txt": b""}), r"do not fit together \(more.txt\)")
    refused(zipped(path, {FILE: content, CONTENTS: listed, FILE.upper(): b""}), "files of different names")
    many = {f"f{number}": b"" for number in range(70)}
    refused(zipped(path, {FILE: content, CONTENTS: listed} | many), "at most 64 files")
    listed = json.dumps({"format": archive.FORMAT, "files": {FILE: "x"}})
    refused(zipped(path, {FILE: content, CONTENTS: listed}), "is not what was packed")


def test_a_zip_bomb_is_not_unpacked(content, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST", 10**6)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(CONTENTS, "{}")
        out.writestr(FILE, bytes(2 * 10**6))
    refused(path, "wanted at most 1000000 bytes in all")
    lying = bytearray(path.read_bytes())
    where = lying.rindex(b"PK\x01\x02")  # the directory's entry of the encoder: its size, told smaller than it is
    lying[where + 24 : where + 28] = struct.pack("<I", 1000)
    path.write_bytes(lying)
    refused(path, "no packed encoder|another size")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as out:
        out.writestr(CONTENTS, "{}")
        out.writestr(FILE, content)
    refused(path, "compressed in a way")


def test_an_encoder_file_is_refused_unless_it_is_what_was_written(content, tmp_path):
    for bad in (b"", b"12345678", b"\xff" * 64, content[:100], save({"w": torch.ones(2)}), b"\x80\x04pickle" * 9):
        with pytest.raises(DataError, match="wanted an encoder of format"):
            read_encoder(bad, "x")
    place = len(content) - 3
    with pytest.raises(DataError, match="its digest does not fit"):
        read_encoder(content[:place] + b"\x01" + content[place + 1 :], "x")
    changed = content.replace(
        b'\\\\\\"stream\\\\\\": \\\\\\"joint\\\\\\"', b'\\\\\\"stream\\\\\\": \\\\\\"bonet\\\\\\"'
    )
    assert changed != content
    with pytest.raises(DataError, match="its digest does not fit"):
        read_encoder(changed, "x")
    with pytest.raises(DataError, match="is damaged"):
        read_encoder(content[:-1], "x")


def test_a_description_that_asks_for_the_impossible_is_refused():
    net = encoder()
    for change, words in (
        ({"width": 5}, "holds weights that do not fit"),
        ({"encoder": "stgcn"}, "holds weights that do not fit"),
    ):
        with pytest.raises(DataError, match=words):
            read_encoder(encoder_bytes(net, replace(DESCRIPTION, **change)), "x")
    with pytest.raises(ConfigError, match="register_encoder"):
        read_encoder(encoder_bytes(net, replace(DESCRIPTION, encoder="mine")), "x")
    for change in ({"width": 10**9}, {"frames": 10**9}, {"frames": 0}):
        with pytest.raises(ConfigError, match="wanted"):
            replace(DESCRIPTION, **change)
    skeleton = DESCRIPTION.skeleton
    for change in (
        {"people": 0},
        {"people": 10**6},
        {"parents": tuple(range(20))},
        {"parents": (1, 0, 2, *(2,) * 17)},
        {"parents": (5, *skeleton.parents[1:-1], 99)},
        {"joints": ("a",) * 20},
        {"mirror": skeleton.mirror[1:]},
    ):
        with pytest.raises(ConfigError, match="want"):
            replace(skeleton, **change)


def test_an_unpacked_folder_is_checked_too(content, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(archive_bytes({FILE: content, "README.md": b"words"}))
    assert main(["unpack", str(path)]) == 0
    folder = tmp_path / "a"
    assert open_encoder(folder).files["README.md"] == b"words"
    (folder / "notes.txt").write_text("mine")
    assert open_encoder(folder).description == DESCRIPTION
    with pytest.raises(ConfigError, match="is there already and stays"):
        unpack(path, folder)
    (folder / "README.md").write_text("other words")
    refused(folder, r"README.md is not what was packed")
    (folder / "README.md").unlink()
    refused(folder, r"wanted the file README.md")
    assert main(["unpack", str(folder / "notes.txt")]) == 2


def test_another_encoder_in_a_folder_stays(content, tmp_path):
    net = encoder()
    keep_encoder(net, DESCRIPTION, tmp_path)
    keep_encoder(net, DESCRIPTION, tmp_path)
    with pytest.raises(ConfigError, match="is another encoder and stays"):
        keep_encoder(net, replace(DESCRIPTION, origin="other"), tmp_path)
    assert (tmp_path / FILE).read_bytes() == content
    assert set(load(content)) == set(net.state_dict())
    with pytest.raises(C2VLError):
        open_encoder(tmp_path / "none.safetensors")
