"""CTR-GCN, BiGRU and transformer: what every encoder that reads one body at a time has to keep to."""

import numpy as np
import pytest
import torch

from c2vl_lab.data.layouts import COCO17, H36M17, KINECT20, NTU25, SMPL22, layout_from_bones
from c2vl_lab.errors import ConfigError
from c2vl_lab.models.encoders import as_input, build_encoder, parameter_count
from c2vl_lab.training.fit import fit
from c2vl_lab.training.settings import FitConfig, TrainingSet

WIDTHS = {"ctrgcn": 8, "bigru": 12, "transformer": 16}
NAMES = sorted(WIDTHS)
THIRTEEN = layout_from_bones(
    "thirteen",
    {"head": None, "left_shoulder": "head", "right_shoulder": "head", "left_elbow": "left_shoulder"}
    | {"right_elbow": "right_shoulder", "left_wrist": "left_elbow", "right_wrist": "right_elbow"}
    | {"left_hip": "left_shoulder", "right_hip": "right_shoulder", "left_knee": "left_hip", "right_knee": "right_hip"}
    | {"left_ankle": "left_knee", "right_ankle": "right_knee"},
)
LAYOUTS = [THIRTEEN, COCO17, H36M17, KINECT20, SMPL22, NTU25]


def built(name, layout=NTU25, seed=0, exact=True):
    """A small encoder as if trained a little: CTR-GCN starts with corrections of strength 0 on a symmetric graph."""
    torch.manual_seed(seed)
    encoder = build_encoder(name, layout, WIDTHS[name])
    with torch.no_grad():
        for key, value in encoder.named_parameters():
            if key.endswith("strength"):
                value.fill_(0.5)
            if key.endswith("topology"):
                value.add_(0.1 * torch.randn_like(value))
    return encoder.double() if exact else encoder


def clips(count, frames=12, joints=25, bodies=1, seed=0, dtype=torch.float64):
    return torch.randn(count, 3, frames, joints, bodies, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def with_absent(x, slot):
    """The single body in one of two slots; the other is empty."""
    empty = torch.zeros_like(x)
    return torch.cat([empty, x] if slot else [x, empty], dim=-1)


@pytest.mark.parametrize(
    ("name", "dim", "parameters"),
    [("ctrgcn", 256, 1_428_178), ("bigru", 2048, 44_538_006), ("transformer", 256, 6_336_150)],
)
def test_size_of_the_literature(name, dim, parameters):
    encoder = build_encoder(name, NTU25)
    assert (encoder.dim, parameter_count(encoder)) == (dim, parameters)
    assert f"{parameters:,}" in type(encoder).__doc__


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_any_layout_bodies_and_frames_and_every_parameter_learns(name, layout):
    encoder = built(name, layout)
    for frames, bodies in ((2, 1), (3, 2), (9, 1), (17, 2)):
        x = clips(3, frames, len(layout), bodies)
        features = encoder(x)
        assert features.shape == (3, encoder.dim) and features.isfinite().all()
    target = torch.randn(encoder.dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (torch.tanh(features) * target).sum().backward()
    silent = [key for key, value in encoder.named_parameters() if value.grad is None or not value.grad.any()]
    assert not silent


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [False, True])
def test_an_absent_body_changes_nothing(name, training):
    """Neither features nor gradients nor running statistics, in whichever slot it is absent."""
    single = clips(5)
    kept = {}
    for key, x in {"one": single, "first": with_absent(single, 0), "second": with_absent(single, 1)}.items():
        encoder = built(name).train(training)
        features = encoder(x)
        features.square().sum().backward()
        kept[key] = [features, *(p.grad for p in encoder.parameters()), *encoder.buffers()]
    for key in ("first", "second"):
        assert all(torch.equal(a, b) for a, b in zip(kept["one"], kept[key], strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_two_people_are_the_mean_of_each_in_any_order(name):
    encoder = built(name).eval()
    x = clips(4, bodies=2)
    x[0, ..., 1] = 0
    x[1, ..., 0] = 0
    each = torch.stack([encoder(x[..., body : body + 1]) for body in (0, 1)])
    wanted = torch.cat([each[0, :1], each[1, 1:2], each[:, 2:].mean(dim=0)])
    assert torch.allclose(encoder(x), wanted, rtol=0, atol=1e-12)
    assert torch.allclose(encoder(x.flip(-1)), wanted, rtol=0, atol=1e-12)
    nobody = encoder(torch.zeros_like(x))
    assert nobody.isfinite().all() and torch.equal(nobody[0], nobody[1])


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_repeats_and_no_clip_sees_another(name):
    encoder = built(name).eval()
    x = clips(4, frames=11, bodies=2)
    x[1, ..., 1] = 0
    features = encoder(x)
    assert torch.equal(features, encoder(x))
    assert torch.allclose(encoder(x[1:2]), features[1:2], rtol=0, atol=1e-12)
    twice = encoder(torch.cat([x[:1], x[:1]]))
    assert torch.allclose(twice[0], twice[1], rtol=0, atol=1e-12)
    broken = x.clone()
    broken[2, 0, 0, 0, 0] = torch.nan
    seen = encoder(broken)
    assert seen[2].isnan().any() and torch.allclose(seen[[0, 1, 3]], features[[0, 1, 3]], rtol=0, atol=1e-12)
    assert (features[0] - features[3]).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_order_of_frames_and_of_joints_matters(name):
    encoder = built(name).eval()
    x = clips(2, frames=16)
    for changed in (x.flip(2), x[:, :, :, list(NTU25.mirror)]):
        assert (encoder(x) - encoder(changed)).abs().max() > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_runs_and_stays_near(name):
    encoder = built(name, exact=False)
    x = clips(4, frames=16, bodies=2, dtype=torch.float32)
    x[1, ..., 1] = 0
    encoder.eval()
    with torch.no_grad():
        wanted = encoder(x)
        with torch.autocast("cpu", torch.bfloat16):
            found = encoder(x).float()
    assert (found - wanted).norm() < 0.05 * wanted.norm()
    with torch.autocast("cpu", torch.bfloat16):
        encoder.train()(x).float().square().sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize(("name", "width"), [("ctrgcn", 6), ("transformer", 12), ("bigru", -1)])
def test_a_width_that_does_not_divide_is_refused(name, width):
    with pytest.raises(ConfigError, match=f"'{name}' wants a width that is a positive multiple of"):
        build_encoder(name, NTU25, width)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["c2vl", "supervised"])
def test_one_epoch_of_training_repeats_bit_for_bit(name, method, tmp_path):
    """Two gradients of the same batch must be the same, attention included, or no run could be resumed exactly."""
    rng = np.random.default_rng(0)
    recorded = rng.normal(size=(12, 24, 2, 25, 3)).astype(np.float32)
    recorded[::2, :, 1] = 0
    unit = rng.normal(size=(12, 6)).astype(np.float32)
    data = TrainingSet(
        clips=recorded,
        names=[f"clip{i}" for i in range(12)],
        layout=NTU25,
        concepts={"language": unit / np.linalg.norm(unit, axis=1, keepdims=True)},
        taus={"language": 0.1},
        labels=rng.integers(0, 3, 12),
        classes=3,
    )
    config = FitConfig(method=method, encoder=name, width=WIDTHS[name], epochs=1, batch_size=6, frames=10)
    one, two = (fit(config, data, tmp_path / run, "cpu") for run in ("a", "b"))
    before = built(name, exact=False).state_dict()
    after, again = one.encoder.state_dict(), two.encoder.state_dict()
    assert all(torch.equal(after[key], again[key]) and after[key].isfinite().all() for key in after)
    assert any(not torch.equal(before[key], after[key]) for key in after)


def test_streams_of_a_still_absent_body_stay_absent():
    """Bones and motion of an empty slot are zero too, so that every stream knows who is there."""
    recorded = clips(2, bodies=1).permute(0, 2, 4, 3, 1)
    two = torch.cat([recorded, torch.zeros_like(recorded)], dim=2)
    encoder = built("ctrgcn").eval()
    for stream in ("joint", "bone", "motion"):
        one = encoder(as_input(recorded, NTU25, stream))
        assert torch.equal(one, encoder(as_input(two, NTU25, stream)))
