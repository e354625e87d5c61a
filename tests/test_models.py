"""Encoders: shapes for any layout and body count, and facts that a wrong graph would break."""

import numpy as np
import pytest
import torch

from c2vl_lab.data.layouts import KINECT20, NTU25, layout_from_bones
from c2vl_lab.errors import ConfigError
from c2vl_lab.models.encoders import ENCODERS, as_input, build_encoder, parameter_count
from c2vl_lab.models.graph import spatial_partitions


@pytest.mark.parametrize("name", sorted(ENCODERS))
@pytest.mark.parametrize("layout", [NTU25, KINECT20], ids=lambda x: x.name)
@pytest.mark.parametrize("bodies", [1, 2])
def test_encoder_shapes_and_gradients(name, layout, bodies):
    encoder = build_encoder(name, layout, 32 if name == "bigru" else 0)  # its own width would take seconds
    features = encoder(torch.randn(3, 3, 32, len(layout), bodies))
    assert features.shape == (3, encoder.dim)
    features.sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_parameter_counts_of_the_field():
    quarter = parameter_count(build_encoder("stgcn", NTU25, 16))
    full = parameter_count(build_encoder("stgcn", NTU25, 64))
    assert 0.78e6 < quarter < 0.86e6  # the field's 0.95 M less its 256 -> 512 output layer
    assert 3.0e6 < full < 3.15e6


def test_partitions_cover_the_graph_once():
    parts = spatial_partitions(NTU25)
    assert [(p != 0).sum() for p in parts] == [25, 24, 24]
    near = NTU25.hops() <= 1
    assert np.allclose(parts.sum(axis=0), near / near.sum(axis=0))


def test_temporal_encoder_ignores_absent_bodies():
    encoder = build_encoder("temporal", NTU25).eval()
    one = torch.randn(4, 3, 32, 25, 1)
    two = torch.cat([one, torch.zeros_like(one)], dim=-1)
    assert torch.allclose(encoder(one), encoder(two), atol=1e-5)


def test_streams_by_hand():
    layout = layout_from_bones("three", {"root": None, "mid": "root", "tip": "mid"})
    clips = torch.tensor([[[[[0.0, 0, 0], [1, 0, 0], [3, 0, 0]]], [[[0.0, 0, 0], [2, 0, 0], [5, 0, 0]]]]])
    bone = as_input(clips, layout, "bone")
    assert bone[0, 0, :, :, 0].tolist() == [[0, 1, 2], [0, 2, 3]]
    motion = as_input(clips, layout, "motion")
    assert motion[0, 0, :, :, 0].tolist() == [[0, 1, 2], [0, 0, 0]]
    with pytest.raises(ConfigError, match="Did you mean 'joint'"):
        as_input(clips, layout, "joints")


def test_unknown_encoder_names_the_near_miss():
    with pytest.raises(ConfigError, match="Did you mean 'stgcn'"):
        build_encoder("st-gcn", NTU25)
