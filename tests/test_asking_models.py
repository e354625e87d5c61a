"""Models in this process: a small LLaVA and a small CoCa, built and saved by the test, their answers worth nothing."""

import builtins
import json

import numpy as np
import pytest
from chat_server import Dots, clips

from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.prompts.asking.answers import AnswerStore
from c2vl_lab.prompts.asking.coca import CocaBackend
from c2vl_lab.prompts.asking.hf import TransformersBackend
from c2vl_lab.prompts.asking.protocol import Request, Sampling
from c2vl_lab.prompts.asking.runner import ask
from c2vl_lab.prompts.asking.templates import QUESTIONS
from c2vl_lab.teachers.torchvision_guard import guard_torchvision

SHORT = Sampling(max_tokens=6)
CHAT = (
    "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image> {% else %}{{ c['text'] }}"
    "{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %} answer{% endif %}"
)
COCA = {
    "embed_dim": 32,
    "vision_cfg": {
        "image_size": 32,
        "layers": 1,
        "width": 32,
        "head_width": 16,
        "patch_size": 16,
        "attentional_pool": True,
        "attn_pooler_heads": 2,
        "output_tokens": True,
    },
    "text_cfg": {
        "context_length": 76,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 1,
        "embed_cls": True,
        "output_tokens": True,
    },
    "multimodal_cfg": {
        "context_length": 76,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 1,
        "attn_pooler_heads": 2,
    },
    "custom_text": True,
}


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    """Folder of a LLaVA with random weights, 64 words and pictures of 32 x 32."""
    guard_torchvision()
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    special = ["<unk>", "<pad>", "<s>", "</s>", "<image>"]
    asked = ["What", "is", "the", "person", "trying", "to", "do", "answer"]
    words = special + asked + [f"word{number}" for number in range(51)]
    vocabulary = models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>")
    plain = Tokenizer(vocabulary)
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, additional_special_tokens=["<image>"], **names)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    processor = LlavaProcessor(
        CLIPImageProcessor(**size),
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        chat_template=CHAT,
        num_additional_image_tokens=1,
    )
    width = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = CLIPVisionConfig(**width, image_size=32, patch_size=16)
    ends = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
    text = LlamaConfig(**width, vocab_size=len(words), num_key_value_heads=2, initializer_range=0.5, **ends)
    torch.manual_seed(0)
    looks = {"vision_config": vision, "image_token_index": 4, "vision_feature_layer": -1}
    model = LlavaForConditionalGeneration(LlavaConfig(text_config=text, **looks))
    torch.nn.init.normal_(model.model.multi_modal_projector.linear_2.weight)  # so that pictures count
    folder = tmp_path_factory.mktemp("models") / "llava-tiny"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def coca(tmp_path_factory):
    """(name, checkpoint) of a CoCa with random weights."""
    guard_torchvision()
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("coca")
    (folder / "coca_tiny.json").write_text(json.dumps(COCA))
    open_clip.add_model_config(folder)
    torch.manual_seed(1)
    save_file(open_clip.create_model("coca_tiny").state_dict(), folder / "weights.safetensors")
    return "coca_tiny", str(folder / "weights.safetensors")


def requests(count, attempt=0, text="What is the person trying to do"):
    return [
        Request("clip", place, text if place % 2 else f"{text} {text}", image, attempt)
        for place, image in enumerate(Dots(["clip"]).pictures("clip", count))
    ]


def test_a_batch_answers_as_single_requests_do_and_pictures_count(llava):
    backend = TransformersBackend(str(llava), sampling=SHORT, batch=4)
    together = list(backend.ask(requests(6)))
    alone = [answer for request in requests(6) for answer in backend.ask([request])]
    assert [(a.request.place, a.text, a.finish) for a in together] == [
        (a.request.place, a.text, a.finish) for a in alone
    ], "padding must not change an answer"
    assert len({answer.text for answer in together}) > 1
    assert all("What" not in answer.text.split()[:1] and "<image>" not in answer.text for answer in together)
    assert backend.model == "llava-tiny" and len(backend.revision) == 16 and backend.settings["dtype"] == "float32"


def test_answers_that_reach_the_limit_are_cut_and_those_that_end_are_not(llava):
    backend = TransformersBackend(str(llava), sampling=SHORT)
    (cut,) = backend.ask(requests(1))
    assert cut.finish == "length"
    first = int(backend._processor.tokenizer(cut.text)["input_ids"][2])
    backend._model.generation_config.eos_token_id = [first, 3]  # its third word now ends an answer
    (ended,) = backend.ask(requests(1))
    assert ended.finish == "stop" and cut.text.startswith(" ".join(ended.text.split()[:2]))


def test_another_attempt_is_another_answer_and_the_same_attempt_the_same(llava):
    backend = TransformersBackend(str(llava), sampling=Sampling(max_tokens=6, retry_temperature=2.0))
    texts = {attempt: [a.text for a in backend.ask(requests(3, attempt))] for attempt in (0, 1, 2)}
    assert len({tuple(found) for found in texts.values()}) == 3
    assert [a.text for a in backend.ask(requests(3, 1))] == texts[1]
    mixed = [*requests(2, 0), *requests(2, 1)]
    assert [a.request.attempt for a in backend.ask(mixed)] == [0, 0, 1, 1]


def test_too_little_memory_halves_the_batch(llava, monkeypatch):
    import torch

    backend = TransformersBackend(str(llava), sampling=SHORT, batch=8)
    whole = [answer.text for answer in backend.ask(requests(8))]
    sizes, real = [], backend._generate

    def small(batch):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("no room")
        return real(batch)

    monkeypatch.setattr(backend, "_generate", small)
    assert [answer.text for answer in backend.ask(requests(8))] == whole
    assert sizes[:3] == [8, 4, 2] and backend.batch == 2


def test_a_run_with_a_model_in_this_process(llava, tmp_path):
    backend = TransformersBackend(str(llava), sampling=Sampling(max_tokens=6, retry_temperature=3.0), batch=3)
    answers = AnswerStore(tmp_path)
    outcome = ask(clips("a", "b"), Dots(["a", "b"]), QUESTIONS["paper"], backend, answers, count=2, attempts=2)
    made = [len(answers.records(outcome.series, clip, place)) for clip in "ab" for place in (0, 1)]
    assert outcome.asked == sum(made) and all(1 <= number <= 2 for number in made)
    assert len(outcome.missing) == sum(
        answers.accepted(outcome.series, clip, place) is None for clip in "ab" for place in (0, 1)
    ), "a random model never ends, so answers are cut and listed"


def test_what_is_no_model_is_refused_in_one_sentence(llava, tmp_path, monkeypatch):
    with pytest.raises(MissingError, match="wants a model's folder at /nowhere/model"):
        TransformersBackend("/nowhere/model")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="does not load as an image-text-to-text model"):
        TransformersBackend(str(tmp_path))
    with pytest.raises(ConfigError, match="no dtype 'float17'"):
        TransformersBackend(str(llava), dtype="float17")
    real = builtins.__import__

    def absent(name, *rest):
        if name == "transformers":
            raise ImportError("No module named 'transformers'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingError, match=r"Install it: pip install .*lmm"):
        TransformersBackend(str(llava))


def test_coca_captions_pictures(coca):
    backend = CocaBackend(*coca, sampling=Sampling(max_tokens=12), batch=2)
    captions = list(backend.ask(requests(3)))
    assert [answer.request.place for answer in captions] == [0, 1, 2]
    assert all(answer.text and "<start_of_text>" not in answer.text for answer in captions)
    assert [a.text for a in CocaBackend(*coca, sampling=Sampling(max_tokens=12)).ask(requests(3))] == [
        a.text for a in captions
    ], "the likeliest words do not depend on the batch"
    assert [a.text for a in backend.ask(requests(3, attempt=1))] != [a.text for a in captions]
    assert {answer.finish for answer in captions} == {"length"}, "random weights never end"
    assert len(backend._tokenizer.encode(captions[0].text)) <= 12
    end, start = backend._tokenizer.eot_token_id, backend._tokenizer.sot_token_id
    words = backend._tokenizer.encode("a person drinks")
    assert backend._read([start, *words, end, 0, 0]) == ("a person drinks", "stop")


def test_only_cocas_caption(tmp_path, coca):
    with pytest.raises(ConfigError, match="names no weights"):
        CocaBackend("coca_ViT-B-32", "")
    with pytest.raises(MissingError, match="wants a checkpoint at"):
        CocaBackend("coca_ViT-B-32", str(tmp_path / "absent.pt"))
    assert np.isfinite(CocaBackend(*coca).batch)
