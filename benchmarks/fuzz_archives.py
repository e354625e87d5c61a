"""Damage to zip archives, written byte by byte: bombs, sizes that lie, and names that lead out of the folder."""

from __future__ import annotations

import bz2
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from benchmarks.fuzz_text import Mutant, Mutation, Rng, flip_bits

DEFLATED = 8
EVIL_NAMES = (
    "../{}",
    "../../../../../../../../tmp/{}",
    "/tmp/{}",
    "C:\\{}",
    "..\\..\\{}",
    "a/../../{}",
    "./{}",
    "~/{}",
    "a//b/{}",
    "{}/",
    "{}\x00.txt",
    "\x1b[31m{}",
    "line\nbreak/{}",
    "é/{}",
    "x" * 300 + "{}",
    "d/" * 500 + "{}",
    "CON/{}",
    "__MACOSX/._{}",
    ".{}",
    " {} ",
)


@dataclass(frozen=True)
class Member:
    """One member of an archive, with what its headers claim (None: the truth)."""

    name: bytes
    data: bytes
    method: int = DEFLATED
    size: int | None = None
    compressed: int | None = None
    crc: int | None = None
    flags: int = 0
    mode: int = 0o100644
    local_name: bytes | None = None
    packed: bytes | None = None
    offset: int | None = None


def zip_bytes(members: list[Member], comment: bytes = b"", count: int | None = None) -> bytes:
    """The archive of these members, lies included; ``count`` is what its end claims to hold."""
    body, directory = b"", b""
    for member in members:
        packed = _packed(member)
        crc = zlib.crc32(member.data) if member.crc is None else member.crc
        size = len(member.data) if member.size is None else member.size
        length = len(packed) if member.compressed is None else member.compressed
        common = struct.pack(
            "<HHHHHIII", 20, member.flags, member.method, 0, 33, crc, length & 0xFFFFFFFF, size & 0xFFFFFFFF
        )
        local = member.name if member.local_name is None else member.local_name
        offset = len(body) if member.offset is None else member.offset
        body += b"PK\x03\x04" + common + struct.pack("<HH", len(local), 0) + local + packed
        tail = struct.pack("<HHHHHII", len(member.name), 0, 0, 0, 0, member.mode << 16, offset & 0xFFFFFFFF)
        directory += b"PK\x01\x02" + struct.pack("<H", 0x0314) + common + tail + member.name
    number = (len(members) if count is None else count) & 0xFFFF
    end = struct.pack("<HHHHIIH", 0, 0, number, number, len(directory), len(body), len(comment))
    return body + directory + b"PK\x05\x06" + end + comment


def _packed(member: Member) -> bytes:
    """The member's bytes as they lie in the archive."""
    if member.packed is not None:
        return member.packed
    if member.method != DEFLATED:
        return member.data
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return packer.compress(member.data) + packer.flush()


def sound_zip(files: dict[str, bytes]) -> bytes:
    """An undamaged archive."""
    return zip_bytes([Member(name.encode(), data) for name, data in files.items()])


def members_of(data: bytes) -> list[Member] | None:
    """The members of an undamaged archive; None where it cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [Member(info.filename.encode(), archive.read(info)) for info in archive.infolist()]
    except Exception:  # already damaged
        return None


@cache
def _bomb(piece: bytes, size: int) -> tuple[bytes, int]:
    """``piece`` repeated to ``size`` bytes, packed, and its checksum; made once, without holding it in memory."""
    packer, crc, packed = zlib.compressobj(9, zlib.DEFLATED, -15), 0, []
    block = piece * (2**20 // len(piece) + 1)
    for _ in range(size // len(block)):
        packed.append(packer.compress(block))
        crc = zlib.crc32(block, crc)
    return b"".join([*packed, packer.flush()]), crc


def _exploding(member: Member, rng: Rng) -> Member:
    """The member unpacks to 100 MB (or claims so many, or so few, bytes)."""
    pieces = (b"\0", b"1\r\n", b"0 ", b"0.5 0.5 0.5\r\n", b"2147483647\r\n")
    size = (20 if rng.random() < 0.8 else 300) * 2**20
    piece = pieces[int(rng.integers(len(pieces)))]
    packed, crc = _bomb(piece, size)
    claims = (
        size // len(piece * (2**20 // len(piece) + 1)) * len(piece * (2**20 // len(piece) + 1)),
        len(member.data),
        0,
        2**31,
    )
    return replace(member, packed=packed, crc=crc, size=int(claims[int(rng.integers(4))]), data=b"")


def _exploding_at_once(member: Member, rng: Rng) -> Member:
    """The member claims few bytes; a reader of bzip2 unpacks what it was given in one piece, here to 3.3 GB."""
    return replace(member, method=zipfile.ZIP_BZIP2, packed=_bzip2_bomb(80), size=int(rng.choice([1, 100_000])))


@cache
def _bzip2_bomb(blocks: int) -> bytes:
    """So many times 40 MB of zeros in one stream of 40 bytes each, written bit by bit: packing them takes a minute."""
    one = bz2.compress(bytes(40 * 2**20))
    bits = f"{int.from_bytes(one):0{8 * len(one)}b}"
    block = bits[32 : bits.rindex(f"{0x177245385090:048b}")]  # between the head and the end mark
    checksum, total = int(block[48:80], 2), 0
    for _ in range(blocks):
        total = ((total << 1 | total >> 31) & 0xFFFFFFFF) ^ checksum
    bits = bits[:32] + block * blocks + f"{0x177245385090:048b}{total:032b}"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


def _renamed(member: Member, rng: Rng) -> Member:
    """The member has a name that leads elsewhere."""
    evil = EVIL_NAMES[int(rng.integers(len(EVIL_NAMES)))]
    return replace(member, name=evil.format(member.name.decode(errors="replace")).encode())


def _other_bytes_in_name(member: Member, rng: Rng) -> Member:
    """The name is no text."""
    return replace(member, name=rng.bytes(3) + b"\xff" + member.name, flags=int(rng.choice([0, 0x800])))


LIES: dict[str, Callable[[Member, Rng], Member]] = {
    "bomb": _exploding,
    "bomb of another method": _exploding_at_once,
    "path": _renamed,
    "name no text": _other_bytes_in_name,
    "claims 4 GB": lambda m, rng: replace(m, size=2**32 - 2),
    "claims 100 MB": lambda m, rng: replace(m, size=100 * 2**20),
    "claims one byte": lambda m, rng: replace(m, size=1),
    "packed size wrong": lambda m, rng: replace(m, compressed=int(rng.choice([0, 1, 2**31, 2**32 - 2]))),
    "checksum wrong": lambda m, rng: replace(m, crc=12345),
    "encrypted": lambda m, rng: replace(m, flags=1),
    "unknown method": lambda m, rng: replace(m, method=int(rng.choice([1, 6, 9, 12, 14, 93, 99])), packed=m.data),
    "method stored but packed": lambda m, rng: replace(m, method=0, packed=zlib.compress(m.data)),
    "local name differs": lambda m, rng: replace(m, local_name=b"other.txt"),
    "symbolic link out": lambda m, rng: replace(m, data=b"../../../../../etc/passwd", mode=0o120777),
    "symbolic link to itself": lambda m, rng: replace(m, data=m.name, mode=0o120777),
    "device": lambda m, rng: replace(m, mode=0o020666),
    "folder with a file's name": lambda m, rng: replace(m, name=m.name + b"/", data=b""),
    "place outside": lambda m, rng: replace(m, offset=int(rng.choice([2**31, 2**32 - 2, 7]))),
    "empty": lambda m, rng: replace(m, data=b""),
    "patched data flag": lambda m, rng: replace(m, flags=0x20),
}


def zip_member_lies(data: bytes, rng: Rng) -> Mutant:
    """A member is a bomb, lies about itself, or has a name that leads out of the folder."""
    members = members_of(data)
    if not members:
        return flip_bits(data, rng)
    at = int(rng.integers(len(members)))
    what = list(LIES)[int(rng.integers(len(LIES)))]
    members[at] = LIES[what](members[at], rng)
    if rng.random() < 0.1:
        members = [LIES[what](member, rng) for member in members]
    return Mutant(zip_bytes(members), f"zip member {members[at].name[:40]!r}: {what}")


def zip_list_changed(data: bytes, rng: Rng) -> Mutant:
    """Members twice, missing, far too many, or an archive inside the archive."""
    members = members_of(data)
    if not members:
        return flip_bits(data, rng)
    at = int(rng.integers(len(members)))
    one = members[at]
    changed = {
        "member twice": [*members, one],
        "member twice, other content": [*members, replace(one, data=one.data[::-1])],
        "member missing": members[:at] + members[at + 1 :],
        "no member": [],
        "order reversed": members[::-1],
        "an archive inside": [Member(b"inside.zip", zip_bytes(members))],
        "an archive under a member's name": [replace(m, data=data) if m is one else m for m in members],
        "5000 empty members": members + [Member(b"%d_" % i + one.name, b"", 0) for i in range(5000)],
        "folders": [Member(b"folder/", b"", 0), *members],
        "a lower folder": [replace(m, name=b"some/folder/" + m.name) for m in members],
        "names in capitals": [replace(m, name=m.name.upper()) for m in members],
    }
    what = list(changed)[int(rng.integers(len(changed)))]
    return Mutant(zip_bytes(changed[what]), f"zip: {what}")


def zip_end_changed(data: bytes, rng: Rng) -> Mutant:
    """The end of the archive claims another number of members, another place, or is followed by something."""
    members = members_of(data)
    if members is None:
        return flip_bits(data, rng)
    whole = zip_bytes(members)
    end = whole.rfind(b"PK\x05\x06")
    choices = {
        "count 65535": zip_bytes(members, count=65535),
        "count 0": zip_bytes(members, count=0),
        "long comment": zip_bytes(members, comment=b"PK\x05\x06" * 16000),
        "directory beyond the end": whole[: end + 16] + struct.pack("<I", 2**31) + whole[end + 20 :],
        "directory of 4 GB": whole[: end + 12] + struct.pack("<I", 2**32 - 1) + whole[end + 16 :],
        "zip64 that lies": whole[:end] + _zip64_end() + whole[end : end + 16] + b"\xff" * 4 + whole[end + 20 :],
        "something before": b"MZ" * 500 + whole,
        "two archives": whole + whole,
        "only the end": whole[end:],
    }
    what = list(choices)[int(rng.integers(len(choices)))]
    return Mutant(choices[what], f"zip end: {what}")


def _zip64_end() -> bytes:
    """The end record of archives beyond 4 GB, with absurd numbers, and its locator."""
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 2**62, 2**62, 2**62, 2**62)
    return record + b"PK\x06\x07" + struct.pack("<IQI", 0, 0, 1)


ZIP_MUTATIONS: list[Mutation] = [zip_member_lies] * 4 + [zip_list_changed] * 2 + [zip_end_changed] * 2
