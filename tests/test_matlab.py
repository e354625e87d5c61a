"""The quick way through a Matlab file gives what scipy gives, unpacks nothing twice, and leaves odd files to scipy."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from c2vl_lab.data.readers import matlab
from c2vl_lab.data.readers.matlab import read_array
from c2vl_lab.errors import DataError

MOST = 100_000


def packed(variables: dict, **options) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, variables, **{"do_compression": True} | options)
    return buffer.getvalue()


def read(data: bytes, name: str = "d_depth") -> np.ndarray:
    return read_array("zip/a.mat", data, name, "any shape", lambda shape: len(shape) == 3, MOST)


def content(data: bytes) -> bytearray:
    """The only variable of a file, unpacked."""
    return bytearray(zlib.decompress(data[136:]))


def repacked(head: bytes, variable: bytes) -> bytes:
    deflated = zlib.compress(bytes(variable))
    return head[:128] + struct.pack("<II", 15, len(deflated)) + deflated


def sample(kind: type = np.uint16, shape: tuple[int, ...] = (5, 7, 3)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 100, shape).astype(kind)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
@pytest.mark.parametrize("name", ["d", "abcd", "d_depth", "n" * 31])
def test_one_deflated_array_is_unpacked_once_and_without_scipy(monkeypatch, kind, name):
    data, counted = packed({name: sample(kind)}), []
    monkeypatch.setattr("scipy.io.loadmat", lambda *_, **__: pytest.fail("scipy was asked"))
    monkeypatch.setattr("scipy.io.whosmat", lambda *_, **__: pytest.fail("scipy was asked"))
    inflate = matlab._inflated
    monkeypatch.setattr(matlab, "_inflated", lambda *given: counted.append(1) or inflate(*given))
    found = read(data, name)
    assert counted == [1] and found.dtype == kind
    np.testing.assert_array_equal(found, sample(kind))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_numbers_with_fractions_and_numbers_that_are_none_come_as_they_are(kind):
    values = sample(kind) / 7
    values[0, 0] = np.nan, np.inf, -0.0
    np.testing.assert_array_equal(read(packed({"d_depth": values.astype(kind)})), values.astype(kind))


def test_numbers_that_matlab_stored_in_fewer_bytes_are_read():
    """Matlab writes whole doubles as bytes; the head says double, the numbers' own head says byte."""
    data = packed({"d_depth": sample(np.uint8)})
    variable = content(data)
    assert variable[16] == 9
    variable[16] = 6
    data = repacked(data, variable)
    assert matlab._only_array(data, "d_depth", lambda _: True, MOST) is not None
    np.testing.assert_array_equal(read(data), loadmat(io.BytesIO(data))["d_depth"])


@pytest.mark.parametrize(
    "data",
    [
        packed({"d_depth": sample(), "other": sample()}),
        packed({"other": sample(), "d_depth": sample()}),
        packed({"d_depth": sample()}, do_compression=False),
    ],
)
def test_other_files_go_the_long_way(data):
    assert matlab._only_array(data, "d_depth", lambda _: True, MOST) is None
    np.testing.assert_array_equal(read(data), sample())


@pytest.mark.parametrize("values", [sample() > 5, sample() * 1j, np.array(["abc"] * 3), np.zeros((0, 3, 4))])
def test_what_is_no_array_of_numbers_is_refused(values):
    with pytest.raises(DataError, match=r"zip/a\.mat: wanted"):
        read_array("zip/a.mat", packed({"d_depth": values}), "d_depth", "any", lambda shape: 0 not in shape, MOST)


def test_every_cut_and_a_wrong_checksum_are_refused():
    data = packed({"d_depth": sample()})
    for length in range(0, len(data), 7):
        with pytest.raises(DataError, match=r"zip/a\.mat"):
            read(data[:length])
    with pytest.raises(DataError, match="wanted a Matlab file"):
        read(data[:-1] + bytes([data[-1] ^ 1]))


def test_a_head_that_promises_little_does_not_unpack_to_much(monkeypatch):
    """20 MB behind a head of 105 numbers: the quick way gives up, the long one names its bound."""
    data = packed({"d_depth": sample(np.uint8)})
    variable = content(data) + bytes(20_000_000)
    monkeypatch.setattr(matlab, "CHUNK", 1000)
    with pytest.raises(DataError, match="unpack to over"):
        read(repacked(data, variable))


def test_changed_heads_never_give_what_scipy_does_not_give():
    rng, data = np.random.default_rng(1), packed({"d_depth": sample(np.uint8)})
    taken = 0
    for _ in range(600):
        variable = content(data)
        for place in rng.integers(0, 80, rng.integers(1, 3)):
            variable[place] = rng.choice([variable[place] ^ (1 << rng.integers(8)), rng.integers(16)])
        changed = repacked(data, variable)
        found = matlab._only_array(changed, "d_depth", lambda shape: len(shape) == 3, MOST)
        if found is not None:
            taken += 1
            np.testing.assert_array_equal(found, loadmat(io.BytesIO(changed))["d_depth"])
    assert taken > 20  # some changes change nothing that counts
