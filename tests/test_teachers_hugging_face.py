"""CLIP and SigLIP folders in Hugging Face's form: tiny models built and saved here, against the library's own call."""

from __future__ import annotations

import json

import numpy as np
import pytest

from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.teachers import Teacher, load_teacher
from c2vl_lab.teachers.batches import encode_in_batches
from c2vl_lab.teachers.torchvision_guard import guard_torchvision

WORDS = ["[PAD]", "[UNK]", "[EOS]", "a", "person", "walks", "sits", "down", "step"]
TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXT = TOWER | {"vocab_size": len(WORDS), "eos_token_id": 2, "pad_token_id": 0, "bos_token_id": 2}
WINDOW = 8


@pytest.fixture(scope="module", autouse=True)
def guarded():
    guard_torchvision()


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(single="$A [EOS]", special_tokens=[("[EOS]", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", pad_token="[PAD]", eos_token="[EOS]", model_max_length=WINDOW
    )


def save(folder, kind):
    import torch
    import transformers as hf

    torch.manual_seed(1)
    vision = TOWER | {"image_size": 32, "patch_size": 16}
    if kind == "clip":
        text = TEXT | {"max_position_embeddings": WINDOW}
        config = hf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
        model, processor = hf.CLIPModel(config), hf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    else:
        config = hf.SiglipConfig(text_config=TEXT | {"max_position_embeddings": WINDOW}, vision_config=vision)
        model, processor = hf.SiglipModel(config), hf.SiglipImageProcessor(size={"height": 32, "width": 32})
    for part in (model, processor, tokenizer()):
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["clip", "siglip"])
def saved(request, tmp_path_factory):
    return request.param, save(tmp_path_factory.mktemp(request.param) / "tiny", request.param)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pooled(output):
    return unit(getattr(output, "pooler_output", output).detach().numpy())


def test_features_are_those_of_the_librarys_own_call(saved):
    """Padding is what a mistake would show in: SigLIP wants the whole window, CLIP a mask."""
    import transformers as hf
    from PIL import Image

    kind, folder = saved
    teacher = load_teacher(f"hf:{folder}")
    assert isinstance(teacher, Teacher) and teacher.shared_space and not teacher.stand_in
    model, words = hf.AutoModel.from_pretrained(folder).eval(), hf.AutoTokenizer.from_pretrained(folder)
    texts = ["a person walks", "a person sits down", "a"]
    for alone in (texts, texts[:1]):
        if kind == "siglip":
            ids = words(alone, padding="max_length", max_length=WINDOW, return_tensors="pt").input_ids
            assert ids.shape[1] == WINDOW
            wanted = model.get_text_features(input_ids=ids)
        else:
            wanted = model.get_text_features(**words(alone, padding=True, return_tensors="pt"))
        np.testing.assert_allclose(teacher.encode_texts(alone), pooled(wanted), atol=1e-5)
    pictures = list(np.random.default_rng(0).integers(0, 255, (3, 50, 40, 3), np.uint8))
    processor = hf.AutoImageProcessor.from_pretrained(folder)
    inputs = processor(images=[Image.fromarray(p) for p in pictures], return_tensors="pt")
    features = teacher.encode_images(pictures)
    assert features.dtype == np.float32 and features.shape[1] == teacher.encode_texts(texts).shape[1]
    np.testing.assert_allclose(features, pooled(model.get_image_features(**inputs)), atol=1e-5)


def test_batches_do_not_change_features(saved):
    teacher = load_teacher(f"hf:{saved[1]}")
    pictures = list(np.random.default_rng(1).integers(0, 255, (5, 32, 32, 3), np.uint8))
    whole, texts = teacher.encode_images(pictures), ["a", "a person", "a person sits down"]
    words = teacher.encode_texts(texts)
    teacher.batch_images = teacher.batch_texts = 2
    np.testing.assert_allclose(encode_in_batches(teacher, pictures), whole, atol=1e-5)
    np.testing.assert_allclose(teacher.encode_texts(texts), words, atol=1e-5)


def test_a_sentence_beyond_the_window_is_counted(saved):
    teacher = load_teacher(f"hf:{saved[1]}")
    with pytest.warns(UserWarning, match=f"1 of 3 sentences pass the window of {WINDOW} tokens"):
        teacher.encode_texts(["step " * WINDOW, "step " * (WINDOW - 1), "a"])
    assert teacher.long_texts == 1


def test_the_identity_follows_weights_and_preprocessing(saved, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = saved[1]
    before = load_teacher(f"hf:{folder}").identity
    one = shutil.copytree(folder, tmp_path / "one" / folder.name)
    assert load_teacher(f"hf:{one}").identity == before
    state = load_file(one / "model.safetensors")
    first = sorted(state)[0]
    state[first] = state[first] + 1e-3
    save_file(state, one / "model.safetensors", metadata={"format": "pt"})
    assert load_teacher(f"hf:{one}").identity != before
    two = shutil.copytree(folder, tmp_path / "two" / folder.name)
    path = two / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    settings["image_mean"] = [0.1, 0.2, 0.3]
    path.write_text(json.dumps(settings))
    assert load_teacher(f"hf:{two}").identity != before


def test_what_is_no_safe_whole_folder_is_refused_in_one_sentence(saved, tmp_path):
    import shutil

    folder = saved[1]
    with pytest.raises(MissingError, match=r"wants a folder with config\.json there"):
        load_teacher(f"hf:{tmp_path / 'absent'}")
    pickled = shutil.copytree(folder, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(MissingError, match=r"no weights as \.safetensors; other weight files can execute code"):
        load_teacher(f"hf:{pickled}")
    cut = shutil.copytree(folder, tmp_path / "cut")
    (cut / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:500])
    with pytest.raises(DataError, match="does not load as a model"):
        load_teacher(f"hf:{cut}")
    with pytest.raises(ConfigError, match=r"hf:/path/to/folder"):
        load_teacher("hf:")


def test_weights_that_lack_tensors_are_refused_not_drawn_at_random(saved, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(saved[1], tmp_path / "lacking")
    state = load_file(folder / "model.safetensors")
    state.pop(next(name for name in sorted(state) if name.startswith("vision_model")))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match="the weights lack 1 of the model's tensors"):
        load_teacher(f"hf:{folder}")


def test_presets_name_the_papers_models(monkeypatch):
    from c2vl_lab.teachers import clip

    asked = []
    monkeypatch.setattr(clip, "load_clip", lambda *given: asked.append(given[:2]))
    for name in ("clip-paper", "clip-light", "clip-light:/some/file.safetensors"):
        load_teacher(name)
    large, small = "ViT-L-14-336-quickgelu", "ViT-B-32-quickgelu"
    assert asked == [(large, "openai"), (small, "openai"), (small, "/some/file.safetensors")]
