"""The parts of CTR-GCN and the transformer against slow formulas."""

import math

import pytest
import torch

from c2vl_lab.data.layouts import COCO17, H36M17, NTU25
from c2vl_lab.models.ctrgcn import RefinedGraphConv, TemporalModule
from c2vl_lab.models.encoders import build_encoder
from c2vl_lab.models.graph import spatial_partitions
from c2vl_lab.models.transformer import HEADS, PLACES, Attention, patches_of, spread_places


def test_refined_graph_convolution_by_loops():
    torch.manual_seed(0)
    batch, inputs, outputs, frames, joints = 2, 5, 4, 3, 6
    conv = RefinedGraphConv(inputs, outputs, torch.rand(joints, joints)).double()
    conv.strength.data.fill_(0.7)
    x = torch.randn(batch, inputs, frames, joints, dtype=torch.float64)
    psi, phi = conv.ends.weight[:, :, 0].chunk(2)
    psi_bias, phi_bias = conv.ends.bias.chunk(2)
    xi, value = conv.refine.weight[:, :, 0, 0], conv.value.weight[:, :, 0, 0]
    wanted = torch.zeros(batch, outputs, frames, joints, dtype=torch.float64)
    for n in range(batch):
        pooled = x[n].mean(dim=1)
        for v in range(joints):
            for w in range(joints):
                apart = torch.tanh(phi @ pooled[:, w] + phi_bias - psi @ pooled[:, v] - psi_bias)
                weight = conv.topology[v, w] + 0.7 * (xi @ apart + conv.refine.bias)  # one for each channel
                for t in range(frames):
                    wanted[n, :, t, w] += weight * (value @ x[n, :, t, v] + conv.value.bias)
    assert torch.allclose(conv(x), wanted, rtol=0, atol=1e-12)


def test_ctrgcn_starts_on_the_graph_of_its_layout():
    for layout in (COCO17, H36M17):
        block = build_encoder("ctrgcn", layout, 8).blocks[5]
        found = torch.stack([conv.topology.detach() for conv in block.space.convs])
        assert torch.equal(found, torch.from_numpy(spatial_partitions(layout)))
        assert all(conv.strength == 0 for conv in block.space.convs)
    assert (spatial_partitions(COCO17) != spatial_partitions(H36M17)).any()


def test_ctrgcn_narrows_time_and_widens_channels_as_in_the_paper():
    x, shapes = torch.randn(2, 3, 16, 25), []
    for block in build_encoder("ctrgcn", NTU25, 8).blocks:
        x = block(x)
        shapes.append((x.shape[1], x.shape[2]))
    assert shapes == [(8, 16)] * 4 + [(16, 8)] * 3 + [(32, 4)] * 3


@pytest.mark.parametrize(("frames", "stride", "wanted"), [(2, 1, 2), (7, 2, 4), (8, 2, 4), (1, 2, 1)])
def test_temporal_module_keeps_its_branches_in_step(frames, stride, wanted):
    module = TemporalModule(8, stride).eval()
    assert module(torch.randn(2, 8, frames, 3)).shape == (2, 8, wanted, 3)


def test_a_frame_reaches_the_output_frames_that_the_branches_span():
    """Dilated kernels of 5 reach 2 and 4 frames, the maximum 1, the last branch only its own frame."""
    torch.manual_seed(0)
    module = TemporalModule(8, 1).double().eval()
    x = torch.randn(1, 8, 21, 1, dtype=torch.float64)
    changed = x.clone()
    changed[:, :, 10] += 50
    moved = (module(changed) - module(x)).abs()[0, :, :, 0] > 0
    span = [sorted(set((frames.nonzero()[:, 0] - 10).tolist())) for frames in moved.view(4, 2, 21).any(dim=1)]
    assert set(span[0]) <= {-2, -1, 0, 1, 2} and set(span[1]) <= {-4, -2, 0, 2, 4} and -4 in span[1]
    assert set(span[2]) <= {-1, 0, 1} and span[3] == [0]


def test_attention_is_softmax_of_products():
    torch.manual_seed(0)
    tokens, width = 5, 16
    attention = Attention(width).double()
    x = torch.randn(2, tokens, width, dtype=torch.float64)
    query, key, value = attention.project(x).chunk(3, dim=2)
    part = width // HEADS
    heads = []
    for head in range(HEADS):
        at = slice(head * part, (head + 1) * part)
        scores = query[..., at] @ key[..., at].transpose(1, 2) / math.sqrt(part)
        heads.append(torch.softmax(scores, dim=2) @ value[..., at])
    assert torch.allclose(attention(x), attention.merge(torch.cat(heads, dim=2)), rtol=0, atol=1e-12)


def test_patches_by_hand():
    x = torch.arange(2 * 3 * 6 * 5.0).view(2, 3, 6, 5)  # six frames: the second patch repeats the sixth
    patches = patches_of(x)
    assert patches.shape == (2, 2, 5, 12)
    for patch, frames in enumerate(([0, 1, 2, 3], [4, 5, 5, 5])):
        for joint in range(5):
            wanted = [x[1, axis, frame, joint].item() for frame in frames for axis in range(3)]
            assert patches[1, patch, joint].tolist() == wanted


@pytest.mark.parametrize("patches", [1, 2, 3, 8, 16, 29, 30, 31, 75])
def test_embeddings_of_time_are_all_read_in_order(patches):
    weights = spread_places(patches, torch.zeros((), dtype=torch.float64))
    assert torch.allclose(weights.sum(dim=1), torch.ones(patches, dtype=torch.float64))
    assert (weights.sum(dim=0) > 0).all()
    centres = weights @ torch.arange(PLACES, dtype=torch.float64)
    assert patches == 1 or (centres.diff() > 0).all()
    assert torch.allclose(centres + centres.flip(0), torch.full_like(centres, PLACES - 1))
    if patches == PLACES:
        assert torch.allclose(weights, torch.eye(PLACES, dtype=torch.float64))


def test_joint_and_time_have_embeddings_of_their_own():
    encoder = build_encoder("transformer", NTU25, 16)
    assert encoder.joints.shape == (25, 16) and encoder.times.shape == (PLACES, 16)
