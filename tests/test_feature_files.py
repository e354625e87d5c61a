"""Feature files: streamed in batches that span clips, resumed where they were cut, with names and provenance."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from c2vl_lab.errors import DataError, MissingError, StorageError
from c2vl_lab.teachers import feature_files, load_teacher
from c2vl_lab.teachers.feature_files import FeatureRows, stored_features
from c2vl_lab.teachers.features import encoded_pictures, image_features, text_features

CLIPS = [f"clip{i:02d}" for i in range(11)]


class Means:
    """Mean colours; what a picture gives depends on its batch a little, as on real devices."""

    name, identity, stand_in, shared_space, device = "means", "means-1", True, False, "cpu"
    batch_images, batch_texts = 4, 3

    def __init__(self, fail_after=None):
        self.sizes, self.threads, self.texts, self.fail_after = [], set(), [], fail_after

    def encode_texts(self, texts):
        self.texts.append(texts)
        self._maybe_fail(len(self.texts))
        return np.array([[len(t), ord(t[-1])] for t in texts], float)

    def prepare_image(self, image):
        self.threads.add(threading.current_thread().name)
        return image.reshape(-1, 3).mean(axis=0)

    def join_images(self, prepared):
        return np.stack(prepared)

    def encode_joined(self, batch):
        self.sizes.append(len(batch))
        self._maybe_fail(len(self.sizes))
        return (batch + batch.sum() * 1e-3).astype(np.float32)

    def encode_images(self, images):
        raise AssertionError("pictures must go through the threads")

    def _maybe_fail(self, calls):
        if self.fail_after is not None and calls > self.fail_after:
            raise KeyboardInterrupt


class Numbers:
    """Three pictures a clip, their colours tell clip and place."""

    kind, identity = "numbers", "numbers-1"

    def __init__(self):
        self.decoded = []

    def names(self):
        return set(CLIPS) - {"clip03"}

    def pictures(self, name, count):
        self.decoded.append(name)
        return [np.full((2, 2, 3), (int(name[4:]), place, 7), np.uint8) for place in range(count)]


def test_batches_span_clips_and_every_picture_keeps_its_place(tmp_path):
    teacher = Means()
    features = image_features(Numbers(), CLIPS[::-1], 3, teacher, tmp_path)
    assert teacher.sizes == [4] * 7 + [2]  # 10 clips of 3 pictures
    assert "MainThread" not in teacher.threads
    assert features.shape == (11, 3, 3) and np.isnan(features[7]).all()
    for row, name in enumerate(CLIPS[::-1]):
        if name != "clip03":
            shift = features[row][:, 2] - 7
            np.testing.assert_allclose(features[row][:, 0] - shift, int(name[4:]), atol=1e-5)
            np.testing.assert_allclose(features[row][:, 1] - shift, [0, 1, 2], atol=1e-5)


@pytest.mark.parametrize("calls", [1, 2, 5, 7])
def test_a_killed_extraction_goes_on_to_the_same_bytes_and_does_nothing_twice(tmp_path, monkeypatch, calls):
    monkeypatch.setattr(feature_files, "SECONDS_BETWEEN_SYNCS", -1.0)
    whole = np.asarray(image_features(Numbers(), CLIPS, 3, Means(), tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        image_features(Numbers(), CLIPS, 3, Means(fail_after=calls), tmp_path / "cut")
    assert not list((tmp_path / "cut").rglob("*.npy"))
    for part in (tmp_path / "cut").rglob("*.part"):
        part.open("ab").write(b"torn")  # written, but not yet in the journal
    for journal in (tmp_path / "cut").rglob("*.journal"):
        journal.open("a").write("99")
    source, teacher = Numbers(), Means()
    np.testing.assert_array_equal(image_features(source, CLIPS, 3, teacher, tmp_path / "cut"), whole)
    assert len(teacher.sizes) == 8 - calls
    assert len(source.decoded) == 10 - 4 * calls // 3
    assert not list((tmp_path / "cut").rglob("*.part*"))
    again = Means()
    np.testing.assert_array_equal(image_features(source, CLIPS, 3, again, tmp_path / "cut"), whole)
    assert again.sizes == []


def test_killed_sentences_too(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_files, "SECONDS_BETWEEN_SYNCS", -1.0)
    prompts = [[f"{'x' * i} {i}", "the same"] for i in range(8)]
    with pytest.raises(KeyboardInterrupt):
        text_features(prompts, Means(fail_after=2), tmp_path)
    teacher = Means()
    features = text_features(prompts, teacher, tmp_path)
    assert [len(t) for t in teacher.texts] == [3]
    assert features[:, 0, 0].tolist() == [len(p[0]) for p in prompts]


def test_nothing_is_kept_in_memory(tmp_path):
    """What comes back reads the disk; only the rows asked for become an array."""
    features = image_features(Numbers(), CLIPS, 3, Means(), tmp_path)
    assert isinstance(features, FeatureRows) and isinstance(features.tables[0].base, np.memmap | np.ndarray)
    root = features.tables[0]
    while not isinstance(root, np.memmap) and root.base is not None:
        root = root.base
    assert isinstance(root, np.memmap)
    np.testing.assert_array_equal(features[[2, 0], 1:], np.asarray(features)[[2, 0], 1:])
    np.testing.assert_array_equal(features[4, 2], np.asarray(features)[4, 2])


def test_rows_of_several_tables_are_numbered_through():
    tables = (np.arange(6, dtype=np.float32).reshape(3, 2), 10 + np.arange(4, dtype=np.float32).reshape(2, 2))
    rows = FeatureRows(tables, np.array([[4, 0], [2, -1]]))
    np.testing.assert_array_equal(rows[0], [[12, 13], [0, 1]])
    np.testing.assert_array_equal(rows[1, 0], [4, 5])
    assert np.isnan(rows[1, 1]).all() and rows.shape == (2, 2, 2)


def test_a_feature_file_has_its_provenance_and_serves_as_a_teacher(tmp_path):
    made = image_features(Numbers(), CLIPS, 3, Means(), tmp_path)
    path = next(tmp_path.rglob("*.npy"))
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["teacher"] == "means" and card["identity"] == "means-1" and card["source"] == "numbers numbers-1"
    assert card["shape"] == [10, 3, 3] and card["count"] == 10 and card["each"] == 3 and "torch" in card["versions"]
    teacher = load_teacher(f"features:{path}")
    assert teacher.stand_in and "means" in teacher.name
    np.testing.assert_array_equal(teacher.clip_features(CLIPS), made)
    with pytest.raises(DataError, match="one feature a sentence"):
        teacher.encode_texts(["clip01"])
    path.with_suffix(".json").unlink()
    with pytest.raises(DataError, match="copy all three files together"):
        load_teacher(f"features:{path}")


def test_a_sentence_file_serves_as_a_teacher_of_these_sentences(tmp_path):
    prompts = [["a b", 'with "quotes"\nand a line'], ["c", "a b"]]
    made = text_features(prompts, Means(), tmp_path)
    teacher = load_teacher(f"features:{next(tmp_path.rglob('*.npy'))}")
    np.testing.assert_array_equal(teacher.encode_texts(prompts[0]), made[0])
    with pytest.raises(MissingError, match="lacks 1 of 1 sentences"):
        teacher.encode_texts(["unknown"])


def test_features_that_are_no_numbers_are_refused_and_leave_nothing(tmp_path):
    def blocks(start):
        yield np.array([[1.0, np.nan]])

    with pytest.raises(DataError, match="NaN or infinite, near 'a'"):
        stored_features(tmp_path, "abcd", ["a"], 1, blocks, {})
    with pytest.raises(DataError, match="wanted 2 features, found 1"):
        stored_features(tmp_path, "abce", ["a", "b"], 1, lambda start: iter([np.ones((1, 2))]), {})
    assert not list(tmp_path.rglob("*.npy"))


def test_a_full_disk_is_one_sentence(tmp_path):
    (tmp_path / "ab").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="free some space, or set another work_dir"):
        stored_features(tmp_path, "abcd", ["a"], 1, lambda start: iter([np.ones((1, 2))]), {})


def test_a_fault_of_a_source_is_its_own_not_the_disks(tmp_path):
    class Damaged(Numbers):
        def pictures(self, name, count):
            if name == "clip05":
                raise DataError("clip05.png: not readable as an image")
            return super().pictures(name, count)

    before = threading.active_count()
    with pytest.raises(DataError, match=r"clip05\.png"):
        image_features(Damaged(), CLIPS, 3, Means(), tmp_path)
    assert threading.active_count() == before


def test_decoding_stays_a_bounded_number_of_clips_ahead():
    """A large set must not be decoded into memory while the model works."""

    class Many(Numbers):
        def pictures(self, name, count):
            self.decoded.append(name)
            return [np.zeros((2, 2, 3), np.uint8)] * count

    source, names = Many(), [f"clip{i:03d}" for i in range(500)]
    batches = encoded_pictures(source, names, 3, Means())
    next(batches)
    assert len(source.decoded) <= 120
    batches.close()


def test_only_what_is_new_is_encoded(tmp_path):
    """The training part first, then everything: no picture and no sentence twice, whatever the split."""
    teacher, source = Means(), Numbers()
    first = image_features(source, CLIPS[:5], 3, teacher, tmp_path)
    both = image_features(source, CLIPS, 3, teacher, tmp_path)
    assert sorted(source.decoded) == sorted(set(CLIPS) - {"clip03"})
    np.testing.assert_array_equal(both[:5], first)
    other = image_features(source, CLIPS[3:8], 3, teacher, tmp_path)
    np.testing.assert_array_equal(other, both[3:8])
    assert len(source.decoded) == 10
    texts = text_features([["one", "two"]], teacher, tmp_path)
    more = text_features([["three", "two"], ["one", "two"]], teacher, tmp_path)
    assert teacher.texts == [["one", "two"], ["three"]]
    np.testing.assert_array_equal(more[1], texts[0])
    for path in tmp_path.rglob("*.names.jsonl"):
        path.unlink()
    np.testing.assert_array_equal(text_features([["two", "one"]], Means(), tmp_path), texts[:, ::-1])


def test_the_key_follows_content_not_the_order_of_work(tmp_path):
    prompts = [["one", "two"], ["three", "two"]]
    whole = text_features(prompts, Means(), tmp_path / "a")
    text_features(prompts[1:], Means(), tmp_path / "b")
    assert text_features(prompts, Means(), tmp_path / "b").key == whole.key
    assert text_features(prompts[::-1], Means(), tmp_path / "b").key != whole.key


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from test_feature_files import CLIPS, Means, Numbers
from c2vl_lab.teachers import feature_files
from c2vl_lab.teachers.features import image_features
feature_files.SECONDS_BETWEEN_SYNCS = -1.0
class Slow(Means):
    def encode_joined(self, batch):
        found = super().encode_joined(batch)
        print("batch", flush=True)
        time.sleep(600 if len(self.sizes) == {batches} else 0)
        return found
image_features(Numbers(), CLIPS, 3, Slow(), {folder!r})
"""


def test_sigkill_costs_at_most_the_batches_in_hand(tmp_path):
    whole = np.asarray(image_features(Numbers(), CLIPS, 3, Means(), tmp_path / "whole"))
    for batches in (2, 3):
        code = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "cut"), batches=batches)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(batches):
            process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
    assert not list((tmp_path / "cut").rglob("*.npy"))
    teacher = Means()
    np.testing.assert_array_equal(image_features(Numbers(), CLIPS, 3, teacher, tmp_path / "cut"), whole)
    assert len(teacher.sizes) <= 8 - (2 - 1) - (3 - 1)
