"""An encoder of one's own: registered in one line, trained by name, refused in one sentence."""

import textwrap

import numpy as np
import pytest
import torch

from c2vl_lab.config import replace
from c2vl_lab.data.layouts import KINECT20, NTU25
from c2vl_lab.errors import ConfigError, DataError
from c2vl_lab.models.base import Encoder
from c2vl_lab.models.encoders import ENCODERS, build_encoder, register_encoder
from c2vl_lab.models.per_body import BodyEncoder
from c2vl_lab.run_config import RunConfig
from c2vl_lab.training.fit import fit
from c2vl_lab.training.settings import FitConfig, TrainingSet


@pytest.fixture(autouse=True)
def table():
    """The table of encoders as it was before."""
    before = dict(ENCODERS)
    yield
    ENCODERS.clear()
    ENCODERS.update(before)


def own_encoder():
    class MyEncoder(BodyEncoder):
        default_width = 6

        def __init__(self, layout, width=6):
            super().__init__()
            self.dim = width
            self.net = torch.nn.Linear(3 * len(layout), width)
            self.drop = torch.nn.Dropout(0.5)

        def encode(self, x):
            return self.net(self.drop(x.mean(dim=2).flatten(1)))

    return MyEncoder


CONFIG = FitConfig(method="supervised", encoder="mine", epochs=2, batch_size=4, frames=8, checkpoint_every=1)


def training_set():
    rng = np.random.default_rng(0)
    recorded = rng.normal(size=(8, 16, 1, 20, 3)).astype(np.float32)
    names = [f"clip{i}" for i in range(8)]
    return TrainingSet(clips=recorded, names=names, layout=KINECT20, labels=np.arange(8) % 2, classes=2)


def test_registered_by_call_or_decorator_and_trained_by_name(tmp_path):
    mine = own_encoder()
    assert register_encoder("mine")(mine) is mine and mine.name == "mine"
    learner = fit(RunConfig(arm="supervised", encoder="mine", epochs=1).fit_config(), training_set(), tmp_path, "cpu")
    assert type(learner.encoder) is mine and learner.encoder.dim == 6
    assert build_encoder("mine", NTU25, 3).dim == 3

    @register_encoder("other_2")
    class Other(mine):
        pass

    assert type(build_encoder("other_2", NTU25)) is Other


def test_a_checkpoint_wants_its_encoder_registered(tmp_path):
    register_encoder("mine")(own_encoder())
    trained = fit(CONFIG, training_set(), tmp_path, "cpu").state_dict()
    del ENCODERS["mine"]
    with pytest.raises(ConfigError, match=r"no encoder named 'mine'.*stgcn.*run the cell.*register_encoder\('mine'\)"):
        fit(CONFIG, training_set(), tmp_path, "cpu")
    register_encoder("mine")(own_encoder())
    again = fit(CONFIG, training_set(), tmp_path, "cpu").state_dict()
    assert all(torch.equal(trained[key], again[key]) for key in trained)

    @register_encoder("mine", replace=True)
    class Wider(own_encoder()):
        default_width = 7

    with pytest.raises(DataError, match="checkpoint does not fit the model"):
        fit(CONFIG, training_set(), tmp_path, "cpu")


def test_unknown_names_list_all_that_are_known():
    register_encoder("mine")(own_encoder())
    with pytest.raises(ConfigError) as caught:
        build_encoder("bi-gru", NTU25)
    assert "Did you mean 'bigru'?" in str(caught.value)
    assert "bigru, ctrgcn, mine, stgcn, stgcn-published, temporal, transformer" in str(caught.value)
    with pytest.raises(ConfigError, match="no encoder named 'gcn'"):
        fit(replace(CONFIG, encoder="gcn"), training_set(), "unused", "cpu")


@pytest.mark.parametrize("name", ["", "two words", "1st", "a/b", None, "ünter"])
def test_malformed_names_are_refused(name):
    with pytest.raises(ConfigError, match="An encoder's name has letters, digits"):
        register_encoder(name)


def test_a_taken_name_is_refused_unless_it_is_to_be_replaced():
    with pytest.raises(ConfigError, match="'stgcn' is an encoder of this package"):
        register_encoder("stgcn", replace=True)
    first, second = own_encoder(), own_encoder()
    register_encoder("mine")(first)
    with pytest.raises(ConfigError, match=r"already an encoder named 'mine' .*MyEncoder.*replace=True"):
        register_encoder("mine")(second)
    assert ENCODERS["mine"] is first
    for _ in range(2):  # a cell that is run again
        register_encoder("mine", replace=True)(second)
    assert ENCODERS["mine"] is second
    with pytest.raises(ConfigError, match="registered already, as 'mine'"):
        register_encoder("another")(second)


class NoWidth(BodyEncoder):
    pass


class NoArguments(BodyEncoder):
    default_width = 4

    def __init__(self):
        super().__init__()


class WordWidth(BodyEncoder):
    default_width = "wide"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (torch.nn.Linear, "must be a class derived from c2vl_lab.models.base.Encoder"),
        (lambda layout, width: None, "must be a class derived from"),
        (NoWidth, "must have a class attribute default_width"),
        (WordWidth, "must have a class attribute default_width, a positive whole number; found 'wide'"),
        (NoArguments, r"must be built by NoArguments\(layout, width=...\)"),
    ],
)
def test_malformed_classes_are_refused_at_once(given, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        register_encoder("mine")(given)
    assert "mine" not in ENCODERS and str(caught.value).count("\n") == 0


def broken(forward, dim=4):
    class Broken(Encoder):
        default_width = 4

        def __init__(self, layout, width=4):
            super().__init__()
            if dim is not None:
                self.dim = dim

    Broken.forward = forward
    return Broken


@pytest.mark.parametrize(
    ("cls", "sentence"),
    [
        (broken(lambda self, x: x.mean(dim=(1, 2, 3))), r"must map \(2, 3, 8, 25, 2\) to \(2, 4\), found \(2, 2\)"),
        (broken(lambda self, x: None), "found NoneType"),
        (broken(lambda self, x: x @ torch.zeros(9, 9)), "fails on a trial input of shape .* RuntimeError"),
        (broken(Encoder.forward), "fails on a trial input of shape .* NotImplementedError"),
        (broken(lambda self, x: x, dim=None), "must set self.dim"),
    ],
)
def test_an_encoder_that_breaks_the_protocol_is_refused_when_built(cls, sentence):
    register_encoder("mine")(cls)
    with pytest.raises(ConfigError, match=sentence):
        build_encoder("mine", NTU25)


def test_the_trial_leaves_no_trace():
    class Normal(own_encoder()):
        def __init__(self, layout, width=6):
            super().__init__(layout, width)
            self.normal = torch.nn.BatchNorm1d(width)

        def encode(self, x):
            torch.rand(1)
            return self.normal(super().encode(x))

    torch.manual_seed(0)
    plain = Normal(NTU25)
    wanted = torch.rand(1)
    register_encoder("mine")(Normal)
    torch.manual_seed(0)
    encoder = build_encoder("mine", NTU25)
    assert torch.equal(torch.rand(1), wanted) and encoder.training
    state = encoder.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in plain.state_dict().items())


def test_the_cell_of_the_documentation_runs():
    cell = register_encoder.__doc__.split("::\n", 1)[1].split("    or, for a class", 1)[0]
    exec(textwrap.dedent(cell), {"register_encoder": register_encoder, "BodyEncoder": BodyEncoder, "torch": torch})
    assert build_encoder("mine", KINECT20).dim == 64
