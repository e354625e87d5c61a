"""Teachers: real weights checked by digest, checkpoints that load back, and everything refused in one sentence."""

import json
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.teachers import Teacher, load_teacher
from c2vl_lab.teachers.files import FileTeacher
from c2vl_lab.teachers.offline import check_digest, load_efficientnet, load_minilm

FIRST_OF_THE_BAG = [-0.05017223209142685, -0.02587267756462097, -0.04966674745082855]
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def run(code: str) -> str:
    """What a fresh interpreter prints; torchvision can be imported only once in a process."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def offline():
    """The offline teacher, both models loaded while every connection is refused."""
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*_args, **_kwargs):
            raise AssertionError("the offline teacher asked for the network")

        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        teacher = load_teacher("offline")
        teacher.encode_texts(["a person"])
        teacher.encode_images([np.zeros((10, 10, 3), np.uint8)])
    return teacher


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """(model name, random teacher, path of its saved weights)."""
    folder = tmp_path_factory.mktemp("clip")
    (folder / "c2vl-tiny.json").write_text(json.dumps(TINY))
    from c2vl_lab.teachers.torchvision_guard import guard_torchvision

    guard_torchvision()
    import open_clip
    import torch
    from safetensors.torch import save_file

    open_clip.add_model_config(folder)
    torch.manual_seed(3)
    teacher = load_teacher("open_clip:c2vl-tiny", allow_random=True)
    save_file(teacher._model.state_dict(), folder / "weights.safetensors")
    return "c2vl-tiny", teacher, folder / "weights.safetensors"


def test_importing_the_package_and_its_teachers_loads_nothing_heavy():
    heavy = ["torch", "open_clip", "timm", "torchvision", "transformers", "sentence_transformers", "sklearn"]
    for module in ("c2vl_lab", "c2vl_lab.teachers"):
        assert run(f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_guard_lets_torchvision_import_and_is_idempotent():
    code = """
from c2vl_lab.teachers.torchvision_guard import guard_torchvision
first, second = guard_torchvision(), guard_torchvision()
import torchvision
print(set(first) <= {"nms", "qnms"}, second, guard_torchvision())
"""
    assert run(code) == "True [] []"


def test_guard_declares_nothing_where_torchvision_is_whole():
    code = """
import c2vl_lab.teachers.torchvision_guard as guard
guard._own_operators_load = lambda: True
print(guard.guard_torchvision())
"""
    assert run(code) == "[]"


def test_offline_teacher_is_a_teacher_and_says_it_is_a_stand_in(offline):
    assert isinstance(offline, Teacher)
    assert offline.stand_in and not offline.shared_space
    assert "53aa51172d142c89" in offline.identity


def test_paraphrases_are_nearer_than_an_unrelated_sentence(offline):
    features = offline.encode_texts(
        ["the person raises the right arm high", "a man lifts his right hand above the head", "shares fell sharply"]
    )
    assert features.shape == (3, 384) and features.dtype == np.float32
    cosine = features @ features.T
    assert cosine[0, 1] > 0.5 > 0.3 > abs(cosine[0, 2])


def test_text_features_do_not_depend_on_company_or_threads(offline):
    import torch

    sentence = "the left leg steps forward"
    alone = offline.encode_texts([sentence])[0]
    mixed = offline.encode_texts(["a " + "very " * 60 + "long walk", sentence, "sits"])[1]
    before = torch.get_num_threads()
    torch.set_num_threads(2 if before == 1 else 1)
    other = offline.encode_texts([sentence])[0]
    torch.set_num_threads(before)
    np.testing.assert_allclose(mixed, alone, atol=1e-5)
    np.testing.assert_allclose(other, alone, atol=1e-5)


def test_pictures_of_one_thing_are_nearer_than_of_another(offline):
    from sklearn.datasets import load_sample_images

    temple, flower = (image[:400, :600] for image in load_sample_images().images)
    features = offline.encode_images([temple, temple[20:, 30:], flower])
    assert features.shape == (3, 1280) and features.dtype == np.float32
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > 0.75 > 0.4 > unit[0] @ unit[2]
    np.testing.assert_allclose(offline.encode_images([flower])[0], features[2], atol=1e-3)


def test_a_sentence_beyond_minilms_window_is_counted(offline):
    before = offline.long_texts
    with pytest.warns(UserWarning, match="1 of 2 sentences pass MiniLM's window of 256"):
        offline.encode_texts(["step " * 300, "step"])
    assert offline.long_texts == before + 1


def test_weights_with_another_digest_are_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not the published weights")
    with pytest.raises(DataError, match=r"model\.safetensors: wanted SHA-256 53aa51172d142c89.*found"):
        load_minilm(folder=tmp_path)
    with pytest.raises(DataError, match="wanted SHA-256 579344248a93e230"):
        load_efficientnet(path=tmp_path / "model.safetensors")
    with pytest.raises(MissingError, match="wants its weights at"):
        check_digest(tmp_path / "absent.pth", "0" * 64)


def test_an_unknown_teacher_names_the_near_miss():
    with pytest.raises(ConfigError, match="Did you mean 'offline'"):
        load_teacher("ofline")


def test_random_weights_are_refused_outside_tests():
    with pytest.raises(ConfigError, match=r"names no weights, and random weights teach nothing.*laion"):
        load_teacher("open_clip:ViT-B-32")


def test_unknown_model_tag_and_absent_checkpoint_each_get_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"no model named 'ViT-B-23'. Near: .*ViT-B-32"):
        load_teacher("open_clip:ViT-B-23:openai")
    with pytest.raises(ConfigError, match="Did you mean 'openai'"):
        load_teacher("open_clip:ViT-B-32:openia")
    with pytest.raises(MissingError, match=r"wants a checkpoint at .*clip\.safetensors, and nothing is there\. Down"):
        load_teacher(f"open_clip:ViT-B-32:{tmp_path}/clip.safetensors")


def test_a_local_checkpoint_loads_back_to_the_same_features(tiny):
    name, random, path = tiny
    loaded = load_teacher(f"open_clip:{name}:{path}")
    assert random.stand_in and not loaded.stand_in and loaded.shared_space
    texts = ["a person waves", "a person sits down"]
    np.testing.assert_array_equal(loaded.encode_texts(texts), random.encode_texts(texts))
    pictures = list(np.random.default_rng(0).integers(0, 255, (3, 40, 30, 3), np.uint8))
    features = loaded.encode_images(pictures)
    assert features.shape == (3, 16) and features.dtype == np.float32
    np.testing.assert_array_equal(features, random.encode_images(pictures))
    assert random._model is not loaded._model


def test_the_identity_follows_the_weights(tiny, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    name, _, path = tiny
    state = load_file(path)
    state["visual.proj"] = state["visual.proj"] + 1e-3 * torch.ones_like(state["visual.proj"])
    save_file(state, tmp_path / path.name)
    same, other = load_teacher(f"open_clip:{name}:{path}"), load_teacher(f"open_clip:{name}:{tmp_path / path.name}")
    assert same.name == other.name and same.identity != other.identity


def test_a_damaged_or_foreign_checkpoint_is_refused(tiny, tmp_path):
    name, _, path = tiny
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"cut\.safetensors: does not load as open_clip's c2vl-tiny"):
        load_teacher(f"open_clip:{name}:{cut}")
    with pytest.raises(DataError, match="does not load as open_clip's ViT-S-32"):
        load_teacher(f"open_clip:ViT-S-32-alt:{path}")


def test_a_sentence_beyond_clips_window_is_counted_and_reported(tiny):
    teacher = tiny[1]
    before = teacher.long_texts
    with pytest.warns(UserWarning, match="1 of 2 sentences pass the window of 77 tokens"):
        teacher.encode_texts(["a person walks", "step " * 76])
    assert teacher.long_texts == before + 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        teacher.encode_texts(["step " * 75])


def test_features_from_a_file_are_looked_up_by_name(tmp_path: Path):
    path = tmp_path / "made_elsewhere.npz"
    np.savez(path, names=["a walks", "b sits"], features=np.arange(8, dtype=np.float32).reshape(2, 4))
    teacher = load_teacher(f"features:{path}")
    np.testing.assert_array_equal(teacher.encode_texts(["b sits", "a walks"])[0], [4, 5, 6, 7])
    clips = teacher.clip_features(["a walks", "absent"])
    assert clips.shape == (2, 1, 4) and np.isnan(clips[1]).all()
    with pytest.raises(MissingError, match=r"made_elsewhere\.npz: lacks 1 of 1 sentences \(first: 'c runs'\)"):
        teacher.encode_texts(["c runs"])
    with pytest.raises(MissingError, match="nothing is there"):
        load_teacher(f"features:{tmp_path}/absent.npz")


def test_feature_files_are_never_unpickled(tmp_path: Path):
    path = tmp_path / "evil.npz"
    np.savez(path, names=np.array(["a"], dtype=object), features=np.zeros((1, 2)))
    with pytest.raises(DataError, match=r"evil\.npz: not readable"):
        FileTeacher(path)


def test_the_bag_knows_equal_sentences_and_nothing_else():
    bag = load_teacher("bag")
    first, again, other = bag.encode_texts(["A hand rises.", "A hand rises.", "A hand rises!"])
    assert isinstance(bag, Teacher) and bag.stand_in and not bag.shared_space
    assert np.array_equal(first, again) and abs(float(first @ other)) < 0.25
    np.testing.assert_allclose(np.linalg.norm([first, other], axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(first[:3], FIRST_OF_THE_BAG, rtol=1e-6)  # the same on every machine: the cache says so
    with pytest.raises(MissingError, match="sentences only"):
        bag.encode_images([np.zeros((4, 4, 3), np.uint8)])
