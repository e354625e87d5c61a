"""Checkpoints: what was written comes back, and anything else is refused in one sentence that names the file."""

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from training_sets import SMALL, TINY, same, training_set

from c2vl_lab.config import replace
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.training.build import build_learner
from c2vl_lab.training.checkpoints import FILE, FORMAT, digest_of, read_card, read_checkpoint, restore, save_checkpoint
from c2vl_lab.training.fit import fit


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The bytes of a small run's checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    fit(replace(TINY, method="supervised", width=8, epochs=1), training_set(clips=4), folder, "cpu")
    return (folder / FILE).read_bytes()


def header_length(whole):
    return 8 + int.from_bytes(whole[:8], "little")


def refused(folder, change=""):
    """The sentence with which a folder's checkpoint is refused."""
    with pytest.raises(DataError) as error:
        read_checkpoint(folder)
    text = str(error.value)
    assert str(folder / FILE) in text and "\n" not in text and text.endswith("."), change
    return text


def rewrite(folder, whole, tensors=None, **metadata):
    """Write a checkpoint with changed tensors or metadata, as somebody who knows the format would."""
    (folder / FILE).write_bytes(whole)
    with safe_open(folder / FILE, "pt") as file:
        old = file.metadata()
    save_file(load_file(folder / FILE) if tensors is None else tensors, folder / FILE, metadata={**old, **metadata})


def test_what_was_saved_comes_back(tmp_path):
    learner = build_learner(SMALL, training_set(), "cpu")
    with pytest.raises(MissingError, match="No checkpoint"):
        read_checkpoint(tmp_path)
    save_checkpoint(tmp_path, learner, None, {"epoch": 1, "text": "Größe 'ü' \\ \" \u2028"})
    card = {"epoch": 1, "text": "Größe 'ü' \\ \" \u2028"}
    assert json.loads((tmp_path / "checkpoint.json").read_text()) == card == read_card(tmp_path)
    tensors, found = read_checkpoint(tmp_path)
    assert found == card and same({f"model.{n}": v for n, v in learner.state_dict().items()}, tensors)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.int64, torch.bool])
def test_the_digest_knows_every_kind_of_number(dtype):
    one = {"a": torch.tensor([0, 1, 1]).to(dtype), "b": torch.zeros(0, 3), "c": torch.tensor(1).to(dtype)}
    other = {**one, "a": torch.tensor([1, 0, 1]).to(dtype)}
    assert digest_of(one, "x") == digest_of(dict(reversed(one.items())), "x") != digest_of(other, "x")
    assert digest_of(one, "x") != digest_of(one, "y") != digest_of({**one, "b": torch.zeros(3, 0)}, "y")


def test_every_flipped_bit_is_found(trained, tmp_path):
    """All bits of the header's ends and a seeded sample of the rest."""
    end = header_length(trained)
    rng = np.random.default_rng(0)
    places = [*range(12), *range(end - 12, end), *rng.integers(12, end, 150), *rng.integers(end, len(trained), 100)]
    for place in places:
        for bit in range(8) if place < 12 or end - 12 <= place < end else rng.integers(0, 8, 1):
            broken = bytearray(trained)
            broken[place] ^= 1 << int(bit)
            (tmp_path / FILE).write_bytes(broken)
            refused(tmp_path, f"byte {place}, bit {bit}")
    (tmp_path / FILE).write_bytes(trained)
    read_checkpoint(tmp_path)


def test_torn_files(trained, tmp_path):
    rng = np.random.default_rng(1)
    for length in [0, 1, 7, 8, 9, header_length(trained), len(trained) - 1, *rng.integers(1, len(trained), 30)]:
        (tmp_path / FILE).write_bytes(trained[:length])
        assert "not a readable safetensors" in refused(tmp_path, f"{length} bytes")
    (tmp_path / FILE).write_bytes(trained + b"\0")
    refused(tmp_path)


def test_swapped_and_missing_tensors(trained, tmp_path):
    (tmp_path / FILE).write_bytes(trained)
    tensors = load_file(tmp_path / FILE)
    by_shape = {}
    for name, value in tensors.items():
        by_shape.setdefault(value.shape, []).append(name)
    one, two = next(
        names for names in by_shape.values() if len(names) > 1 and not torch.equal(*map(tensors.get, names[:2]))
    )[:2]
    rewrite(tmp_path, trained, {**tensors, one: tensors[two], two: tensors[one]})
    assert "not what was written" in refused(tmp_path)
    rewrite(tmp_path, trained, {name: value for name, value in tensors.items() if name != one})
    assert "not what was written" in refused(tmp_path)
    rewrite(tmp_path, trained, card="{}")
    assert "not what was written" in refused(tmp_path)


def test_files_of_other_programs(trained, tmp_path):
    (tmp_path / FILE).write_bytes(pickle.dumps({"model": [1, 2]}))
    assert "not a readable safetensors" in refused(tmp_path)
    torch.save({"model": torch.zeros(3)}, tmp_path / FILE)
    assert "not a readable safetensors" in refused(tmp_path)
    save_file({"x": torch.zeros(1)}, tmp_path / FILE)
    assert "another program" in refused(tmp_path)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    refused(tmp_path)


@pytest.mark.parametrize("old", ["c2vl_lab-checkpoint-1", "c2vl_lab-checkpoint-2"])
def test_old_formats_say_what_to_do(trained, tmp_path, old):
    rewrite(tmp_path, trained, format=old)
    text = refused(tmp_path)
    assert old in text and FORMAT in text and "another version of c2vl_lab; move it away and train again" in text


def test_a_forged_card_is_no_place(trained, tmp_path):
    """Somebody may compute the digest anew: then the values themselves are looked at."""
    (tmp_path / FILE).write_bytes(trained)
    tensors, card = read_checkpoint(tmp_path)
    config, data = replace(TINY, method="supervised", width=8, epochs=1), training_set(clips=4)
    changes = {"epoch": [-1, "1"], "step": [None], "sums": [[1], {"a": "b"}], "seconds": ["1"], "in_a_row": [0.5]}
    for name, value in ((name, value) for name, values in changes.items() for value in values):
        text = json.dumps({**card, name: value})
        rewrite(tmp_path, trained, card=text, digest=digest_of(tensors, text))
        with pytest.raises(DataError, match=f"its card says {name} = "):
            fit(config, data, tmp_path, "cpu")
    for text in ("", "[]", "{"):
        rewrite(tmp_path, trained, card=text, digest=digest_of(tensors, text))
        assert "no card" in refused(tmp_path)


def test_tensors_that_do_not_fit(tmp_path):
    learner = build_learner(SMALL, training_set(), "cpu")
    other = build_learner(replace(SMALL, width=24), training_set(), "cpu")
    save_checkpoint(tmp_path, other, None, {"epoch": 1})
    with pytest.raises(DataError, match="does not fit the model"):
        restore(read_checkpoint(tmp_path)[0], learner, None)
    tensors = {f"model.{name}": value for name, value in learner.state_dict().items()}
    optimizer = torch.optim.AdamW(learner.parameters())
    for name, value in (("0.exp_avg", torch.zeros(5, 7)), ("999.exp_avg", torch.zeros(())), ("x.y", torch.zeros(()))):
        with pytest.raises(DataError, match="does not fit the optimiser"):
            restore({**tensors, f"optimizer.{name}": value}, learner, optimizer)


def test_other_settings_are_refused_but_those_that_change_no_weights(tmp_path):
    data, config = training_set(clips=8), replace(TINY, epochs=2)
    fit(config, data, tmp_path, "cpu")
    before = (tmp_path / FILE).read_bytes()
    free = {"checkpoint_every": 7, "checkpoint_minutes": 1.0, "knn_every": 3, "on_nan": "skip"}
    fit(replace(config, **free), data, tmp_path, "cpu")
    with pytest.raises(ConfigError, match=r"\(fit: lr: 0.002 -> 0.1\)"):
        fit(replace(config, lr=0.1, **free), data, tmp_path, "cpu")
    assert (tmp_path / FILE).read_bytes() == before


def test_settings_of_survival_are_checked():
    for wrong in ({"checkpoint_minutes": 0.0}, {"checkpoint_minutes": float("nan")}, {"knn_every": -1}):
        with pytest.raises(ConfigError, match="minutes must be above 0, knn_every and keep_every at least 0"):
            replace(TINY, **wrong)
    with pytest.raises(ConfigError, match="Did you mean 'skip'"):
        replace(TINY, on_nan="skipp")
