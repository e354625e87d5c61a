"""A run packed for others: the same features from every form, without training code, shaped like scikit-learn."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from shared_runs import raw, run_of, store_of
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

import c2vl_lab
from c2vl_lab.artifacts import read_json, write_json
from c2vl_lab.cli import main
from c2vl_lab.data.layouts import KINECT20, NTU25
from c2vl_lab.data.mapping import joint_weights
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.run_config import RunConfig
from c2vl_lab.sharing.archive import unpack
from c2vl_lab.sharing.estimator import load_encoder
from c2vl_lab.sharing.opening import open_encoder
from c2vl_lab.sharing.packing import pack, without_folders

WITHOUT_TRAINING = """
import sys
for name in ("training", "learners", "teachers", "experiment", "run_config", "evaluate", "prompts"):
    sys.modules[f"c2vl_lab.{name}"] = None
import numpy as np
from c2vl_lab import load_encoder
for path in sys.argv[2:]:
    clips = list(np.load(sys.argv[1], allow_pickle=False))
    print(load_encoder(path)(clips).tobytes().hex())
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A run of the light encoder, its archive, and what the archive was unpacked into."""
    folder = tmp_path_factory.mktemp("packed")
    run, experiment = run_of(folder)
    archive, _ = pack(run, folder / "mine.zip")
    return run, archive, unpack(archive, folder / "unpacked"), experiment


def test_every_form_gives_the_features_that_were_measured_to_the_bit(packed):
    run, archive, folder, experiment = packed
    measured = np.load(run / "features.npy")
    clips = raw(experiment.store)
    for path in (run, archive, folder, folder / "encoder.safetensors"):
        found = load_encoder(path, device="cpu")(clips)
        assert found.dtype == np.float32 and np.array_equal(found, measured), path


def test_also_for_an_encoder_that_counts_empty_bodies_and_another_stream_and_normalisation(tmp_path):
    run, experiment = run_of(tmp_path, "stgcn", stream="bone", align="none", origin="frame", scale=False, epochs=1)
    found = load_encoder(pack(run)[0])(raw(experiment.store))
    assert np.array_equal(found, np.load(run / "features.npy"))
    alone = [clip for clip in raw(experiment.store) if clip.shape[1] == 1]
    np.testing.assert_allclose(
        load_encoder(run)(alone)[:, :5], found[[c.shape[1] == 1 for c in raw(experiment.store)]][:, :5], atol=1e-5
    )


def test_small_batches_and_a_padded_array_give_the_same_up_to_rounding(packed):
    run, _, _, experiment = packed
    clips, measured = raw(experiment.store), np.load(run / "features.npy")
    np.testing.assert_allclose(load_encoder(run, batch_size=7)(clips), measured, atol=1e-5)
    lengths = [len(clip) for clip in clips]
    padded = np.zeros((len(clips), max(lengths), 2, 25, 3), np.float32)
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip), : clip.shape[1]] = clip
    assert np.array_equal(load_encoder(run)(padded, lengths=lengths), measured)
    one = load_encoder(run)(padded[:, :, 0], lengths)  # (N, T, V, 3): everybody alone
    single = np.array([clip.shape[1] == 1 for clip in clips])
    np.testing.assert_allclose(one[single], measured[single], atol=1e-5)
    assert not np.allclose(one[~single], measured[~single], atol=1e-3)
    assert load_encoder(run)([]).shape == (0, measured.shape[1])


def test_no_training_code_is_needed(packed, tmp_path):
    run, archive, folder, _ = packed
    clips = np.random.default_rng(3).normal(size=(4, 20, 25, 3)).astype(np.float32)
    np.save(tmp_path / "clips.npy", clips)
    command = [sys.executable, "-c", WITHOUT_TRAINING, str(tmp_path / "clips.npy"), str(run), str(archive), str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == 3 * [load_encoder(archive, device="cpu")(list(clips)).tobytes().hex()]


def test_the_package_offers_it_without_importing_it():
    code = "import sys, c2vl_lab; print('torch' in sys.modules, hasattr(c2vl_lab, 'load_decoder'))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]
    assert c2vl_lab.load_encoder is load_encoder


def test_it_is_a_scikit_learn_transformer(packed):
    _, archive, _, experiment = packed
    encoder, clips, labels = load_encoder(archive, device="cpu"), raw(experiment.store), experiment.store.labels
    other = clone(encoder)
    assert other is not encoder and other.get_params() == encoder.get_params() and not hasattr(other, "opened_")
    assert np.array_equal(other.fit_transform(clips, labels), encoder.transform(clips))
    names = encoder.get_feature_names_out()
    assert len(names) == encoder(clips[:1]).shape[1] == len(set(names))
    frame = clone(encoder).set_output(transform="pandas").fit_transform(clips)
    assert list(frame.columns) == list(names)
    pipeline = make_pipeline(clone(encoder), LogisticRegression(max_iter=200))
    assert pipeline.fit(clips, labels).predict(clips).shape == labels.shape
    assert cross_val_score(pipeline, clips, labels, cv=2).shape == (2,)
    assert np.array_equal(pickle.loads(pickle.dumps(encoder))(clips), encoder(clips))


def test_another_skeleton_is_mapped_by_joint_names(packed):
    _, archive, _, experiment = packed
    clips = [clip[:, :1] for clip in raw(experiment.store)]
    fewer = [clip[:, :, :20] @ np.eye(3, dtype=np.float32) for clip in clips]
    found = load_encoder(archive, layout="kinect20")(fewer)
    bones = {
        joint: None if p == j else KINECT20.joints[p]
        for j, (joint, p) in enumerate(zip(KINECT20.joints, KINECT20.parents, strict=True))
    }
    assert np.array_equal(load_encoder(archive, layout=bones)(fewer), found)
    mapped = [joint_weights(KINECT20, NTU25) @ clip for clip in fewer]  # before normalising, where ours is after
    np.testing.assert_allclose(load_encoder(archive)(mapped), found, atol=2e-3)
    with pytest.raises(
        DataError, match=r"Clip 0: wanted numbers of shape \(frames, 25, 3\).*found float32 of shape \(9, 1, 20, 3\)"
    ):
        load_encoder(archive)(fewer)
    with pytest.raises(ConfigError, match="no joint for"):
        load_encoder(archive, layout={"root": None, "tip": "root"})
    with pytest.raises(ConfigError, match="Did you mean 'kinect20'"):
        load_encoder(archive, layout="kinect2")
    with pytest.raises(MissingError, match="There is no file"):
        load_encoder(archive, layout="no/such.json")


def test_what_is_wrong_with_clips_is_said_in_one_sentence(packed):
    encoder, good = load_encoder(packed[1]), np.ones((5, 25, 3))
    cases = [
        (good, "A single clip goes into a list"),
        ("clips", "found str"),
        ([good, good[None, None]], r"Clip 1: .*found float64 of shape \(1, 1, 5, 25, 3\)"),
        ([good, 0 * good], "Clip 1: no frame holds a body"),
        ([good, np.nan * good], "Clip 1: no frame holds a body"),
        ([np.ones((5, 3, 25, 3))], r"at most 2 people, found 3.*people=3"),
        ([np.ones((5, 25, 3), complex)], "found complex128"),
    ]
    for clips, words in cases:
        with pytest.raises(DataError, match=words) as caught:
            encoder(clips)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="Clip 8: no frame"):
        load_encoder(packed[1], batch_size=3)([good] * 8 + [0 * good])
    for lengths in ([5], [0, 5], [9, 5], [2.0, 3.0]):
        with pytest.raises(DataError, match="wanted 2 whole numbers from 1 to 5"):
            encoder(np.ones((2, 5, 25, 3)), lengths)
    with pytest.raises(DataError, match="lengths belong to one padded array"):
        encoder([good], [5])
    three = load_encoder(packed[1], people=3)([np.random.default_rng(0).normal(size=(5, 3, 25, 3))])
    assert np.isfinite(three).all()


def test_a_joint_that_is_not_finite_is_filled_and_a_lost_frame_too(packed):
    rng = np.random.default_rng(0)
    clip = np.cumsum(rng.normal(size=(11, 25, 3)), axis=0)
    clip[5] = (clip[4] + clip[6]) / 2
    holes = clip.copy()
    holes[5, :3], holes[5, 3:] = np.nan, 0.0
    lost = clip.copy()
    lost[5] = 0
    found = load_encoder(packed[1])([clip, lost])
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)
    one = clip.copy()
    one[5, 7] = np.nan
    np.testing.assert_allclose(load_encoder(packed[1])([one])[0], found[0], atol=1e-4)


def test_the_same_run_gives_the_same_bytes_and_nothing_of_the_machine(packed, tmp_path):
    run, archive, folder, _ = packed
    again, digest = pack(run, tmp_path / "mine.zip")
    assert again.read_bytes() == archive.read_bytes() and len(digest) == 64
    text = b"".join(path.read_bytes() for path in folder.iterdir() if path.suffix != ".safetensors")
    assert str(run.parent).encode() not in text and b"clip00" not in text
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "card.json", "config.json", "contents.json", "encoder.safetensors", "metrics.jsonl", "results.json"
    }  # fmt: skip
    heads = [name for name in open_encoder(folder).encoder.state_dict() if "project" in name or "slow" in name]
    assert not heads


def test_folders_are_cut_out_of_settings_and_texts():
    given = {
        "data_dir": "/home/me/data", "work_dir": "w", "captions": "/home/me/a b/prompts.json",
        "pictures": "folder:/mnt/x/pictures", "teacher": "offline", "encoder_from": "/e",
        "notes": ["c2vl evaluate /scratch/me/run --data /data/sets", "see https://arxiv.org/abs/2405.20606, 1/2"],
    }  # fmt: skip
    assert without_folders(given) == {
        "data_dir": "", "work_dir": "", "captions": "prompts.json", "pictures": "folder:pictures",
        "teacher": "offline", "encoder_from": "",
        "notes": ["c2vl evaluate run --data sets", "see https://arxiv.org/abs/2405.20606, 1/2"],
    }  # fmt: skip


def test_the_readme_is_a_hugging_face_model_card_that_tells_the_numbers(packed):
    run, _, folder, _ = packed
    text = (folder / "README.md").read_text()
    results = read_json(run / "results.json")
    card = ModelCard(text)
    assert card.data.library_name == "c2vl_lab" and "skeleton" in card.data.tags
    by_name = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert by_name["linear probe, accuracy"] == pytest.approx(100 * results["metrics"]["linear"], abs=0.01)
    assert card.data.eval_results[0].dataset_name == "own, xsub"
    front = yaml.safe_load(text.split("---")[1])
    assert "generated-data" not in front["tags"]
    words = [
        "| seed | 0 |",
        "| epochs | 2 |",
        "| precision | float32",
        "| teacher | none |",
        "| data set | own |",
        "| labels | not used",
    ]
    words += ["training part of xsub", "`skeletonclr`", "c2vl evaluate RUN", "Intended use and limits"]
    assert [word for word in words if word not in text] == []


def test_a_card_says_what_is_generated_and_what_stands_in(packed, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for file in packed[0].iterdir():
        if file.suffix in (".json", ".safetensors"):
            (run / file.name).write_bytes(file.read_bytes())
    results = read_json(run / "results.json") | {"generated": True, "stand_in_teacher": True, "teacher": "offline: X"}
    write_json(run / "results.json", results)
    write_json(run / "config.json", read_json(run / "config.json") | {"arm": "full", "modalities": "language"})
    text = (unpack(pack(run)[0], tmp_path / "out") / "README.md").read_text()
    assert {"generated-data", "stand-in-teacher"} <= set(yaml.safe_load(text.split("---")[1])["tags"])
    assert "own (generated clips, no recordings)" in text and "offline: X, **a stand-in" in text
    assert "stands in for a vision-language model" in text and "reconstruction" in text
    (run / "results.json").unlink()
    text = (unpack(pack(run)[0], tmp_path / "unmeasured") / "README.md").read_text()
    assert "Not measured" in text and "model-index" not in text


def test_an_imported_encoder_is_measured_on_other_ground_and_packed_again(packed, tmp_path, capsys):
    """Another data set, another skeleton, fewer people: what evaluate measures is what load_encoder gives."""
    store = store_of(tmp_path / "kinect", KINECT20, people=1)
    run = tmp_path / "imported"
    given = [f"--set=dataset={store.path}", f"--set=work_dir={tmp_path / 'work'}", "--set=device=cpu"]
    assert main(["import-encoder", str(packed[1]), "--run-dir", str(run), *given]) == 0
    moved = run.rename(tmp_path / "moved")
    assert main(["evaluate", str(moved), "--protocols", "knn,finetune"]) == 0
    shown = capsys.readouterr().out
    assert "was imported as it is (c2vl_lab, arm skeletonclr, trained on store:xsub)" in shown
    results = read_json(moved / "results.json")
    assert results["protocols"]["finetune"]["not_run"] == "the encoder was imported, and is measured as it is"
    assert results["config"]["frames"] == 12 and results["encoder"]["name"] == "temporal"
    assert results["encoder"]["parameters"] > 1000
    found = load_encoder(moved, layout="kinect20")(raw(store))
    assert np.array_equal(found, np.load(moved / "features.npy"))
    assert main(["pack", str(moved), "--output", str(tmp_path / "again.zip")]) == 0
    assert np.array_equal(load_encoder(tmp_path / "again.zip", layout="kinect20")(raw(store)), found)
    text = (unpack(tmp_path / "again.zip", tmp_path / "again") / "README.md").read_text()
    assert "not known (measured on own)" in text and "trained on store:xsub" in text
    with pytest.raises(ConfigError, match="go together"):
        RunConfig(arm="imported")
    with pytest.raises(ConfigError, match="go together"):
        RunConfig(arm="full", encoder_from="x")
    assert main(["import-encoder", str(packed[1]), "--run-dir", str(moved), *given]) == 2
    assert "is a run folder already" in capsys.readouterr().err


def test_a_run_without_its_skeleton_or_its_end_is_refused(packed, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.json", "checkpoint.safetensors", "skeleton.json"):
        (run / name).write_bytes((packed[0] / name).read_bytes())
    (run / "skeleton.json").unlink()
    with pytest.raises(MissingError, match=r"skeleton.json is missing.*`c2vl evaluate .*run` writes it"):
        load_encoder(run)
    write_json(run / "skeleton.json", {"name": "x"})
    with pytest.raises(DataError, match="does not describe an encoder"):
        load_encoder(run)
    (run / "skeleton.json").write_bytes((packed[0] / "skeleton.json").read_bytes())
    write_json(run / "config.json", read_json(run / "config.json") | {"epochs": 5})
    with pytest.raises(MissingError, match="trained to epoch 2 of 5"):
        load_encoder(run)
    (run / "config.json").unlink()
    with pytest.raises(MissingError, match=r"No config.json"):
        load_encoder(run)
    with pytest.raises(MissingError, match="holds no encoder"):
        load_encoder(tmp_path)
    with pytest.raises(MissingError, match="holds no encoder"):
        load_encoder(tmp_path / "nothing")


def test_the_skeleton_of_an_older_run_is_written_by_evaluate(packed, tmp_path):
    run = packed[0]
    before = (run / "skeleton.json").read_bytes()
    (run / "skeleton.json").unlink()
    assert main(["evaluate", str(run), "--protocols", ""]) == 0
    assert (run / "skeleton.json").read_bytes() == before
    assert read_json(run / "skeleton.json")["people"] == 2


def test_opening_leaves_the_random_numbers_alone_enough_for_the_same_weights(packed):
    """Building the network draws; the weights that are loaded do not depend on it."""
    torch.manual_seed(1)
    one = open_encoder(packed[1]).encoder.state_dict()
    torch.manual_seed(2)
    two = open_encoder(packed[1]).encoder.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one) and not open_encoder(packed[1]).encoder.training
