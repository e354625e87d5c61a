"""Checkpoints of AimCLR, CrosSCLR, SkeletonCLR and ActCLR: same features as a plain network with their names.

No released file is at hand; these tests stand on names, shapes and steps read from the public repositories.
"""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from layout_files import Recording, padded, recordings, write_npy
from shared_runs import raw

from benchmarks.reference_published import PublishedModel, published_clip, published_graph
from c2vl_lab.artifacts import read_json
from c2vl_lab.cli import main
from c2vl_lab.data.align import PrepareConfig
from c2vl_lab.data.clips import Clip
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.data.layouts import NTU25
from c2vl_lab.data.transforms import prepare, prepare_clip
from c2vl_lab.data.writing import write_store
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.models.encoders import as_input
from c2vl_lab.models.graph import spatial_partitions
from c2vl_lab.models.published_stgcn import PublishedSTGCN, cut_partitions
from c2vl_lab.sharing import published
from c2vl_lab.sharing.estimator import load_encoder
from c2vl_lab.sharing.published import import_published

CLOSE = 1e-5
WIDTH = 4  # channels of the first block; 16 in the published files


def model(seed=0, **more):
    """A whole model in evaluation mode; its statistics are those of some clips, its edges weigh differently."""
    torch.manual_seed(seed)
    made = PublishedModel(**({"width": WIDTH} | more))
    with torch.no_grad():
        for name, value in made.named_parameters():
            if "edge_importance" in name:
                value.add_(torch.rand_like(value) - 0.5)
        for name, inner in made.named_children():
            if name.startswith("encoder_q"):
                for norm in inner.modules():
                    norm.momentum = 1.0  # one pass is enough
                inner.features(torch.randn(6, 3, 20, 25, 2))
    return made.eval()


def saved(path, state, **more):
    torch.save(state, path, **more)
    return path


@pytest.fixture(scope="module")
def aimclr(tmp_path_factory):
    """A model and its file."""
    made = model()
    return made, saved(tmp_path_factory.mktemp("pt") / "aimclr.pt", made.state_dict())


def ntu_like(count=10):
    """Clips of one or two people who walk and turn, with lengths below and above 50, as a store of NTU's joints has."""
    rng = np.random.default_rng(4)
    pose = rng.normal(0, 0.4, (25, 3))
    pose[4], pose[8] = (-0.2, 0.4, 0), (0.2, 0.4, 0)
    clips = []
    for number in range(count):
        length, people = 20 + 9 * number, 1 + number % 2
        angle = np.linspace(0, rng.uniform(-5, 5), length) + rng.uniform(
            0, 6
        )  # some turn their back, and lose the sense
        turn = np.zeros((length, 1, 3, 3))
        turn[:, 0, 0, 0] = turn[:, 0, 2, 2] = np.cos(angle)
        turn[:, 0, 0, 2], turn[:, 0, 2, 0], turn[:, 0, 1, 1] = np.sin(angle), -np.sin(angle), 1
        walk = np.cumsum(rng.normal(0, 0.02, (length, people, 1, 3)), axis=0) + (0, 0, 3)
        body = pose + 0.05 * rng.normal(size=(length, people, 25, 3))
        xyz = (np.einsum("tmvc,tmdc->tmvd", body, np.broadcast_to(turn, (length, people, 3, 3))) + walk).astype(
            np.float32
        )
        present, frames = np.ones((length, people), bool), np.arange(length, dtype=np.int32)
        clips.append(Clip(f"c{number}", xyz, present, frames, label=number % 2, subject=number // 2 + 1))
    return clips


def test_the_reference_has_the_published_names_and_shapes():
    state = model(width=16).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items() if name.startswith("encoder_q.")}
    wanted = {
        "A": (3, 25, 25), "data_bn.running_var": (75,), "edge_importance.9": (3, 25, 25),
        "st_gcn_networks.0.gcn.conv.weight": (48, 3, 1, 1), "st_gcn_networks.3.tcn.2.weight": (16, 16, 9, 1),
        "st_gcn_networks.4.residual.0.weight": (32, 16, 1, 1), "st_gcn_networks.7.residual.1.bias": (64,),
        "st_gcn_networks.9.gcn.conv.bias": (768,), "st_gcn_networks.9.tcn.3.num_batches_tracked": (),
        "fc.2.weight": (128, 256),
    }  # fmt: skip
    assert {name: shapes[f"encoder_q.{name}"] for name in wanted} == wanted
    assert not any("networks.0.residual" in name or "networks.5.residual" in name for name in shapes)


def test_the_graph_is_theirs_and_not_the_papers():
    ours = torch.from_numpy(cut_partitions(NTU25))
    assert torch.allclose(ours, published_graph(), atol=1e-7)
    assert torch.allclose(ours.sum(dim=0), torch.from_numpy(spatial_partitions(NTU25)).sum(dim=0), atol=1e-7)
    assert not torch.allclose(ours[2], torch.from_numpy(spatial_partitions(NTU25))[2]), "a limb's bones lie elsewhere"


@pytest.mark.parametrize(
    ("code", "stream", "inner"),
    [
        ("aimclr", "joint", ""),
        ("actclr", "motion", ""),
        ("crossclr", "bone", "_bone"),
        ("crossclr", "motion", "_motion"),
    ],
)
def test_features_are_those_of_the_plain_network(tmp_path, code, stream, inner):
    streams = ("", "_motion", "_bone") if code == "crossclr" else ("",)
    made = model(streams=streams, mlp=code != "actclr")
    encoder, description = import_published(saved(tmp_path / "x.pt", made.state_dict()), code, stream)
    x = torch.randn(4, 3, 50, 25, 2)
    x[1, ..., 1] = 0
    x[2] = 0
    with torch.no_grad():
        wanted, found = getattr(made, f"encoder_q{inner}").features(x), encoder(x)
    torch.testing.assert_close(found, wanted, atol=CLOSE, rtol=CLOSE)
    assert wanted.std(dim=0).max() > 0.01 and description.stream == stream and description.frames == 50


def test_old_files_wrapped_ones_and_those_of_several_gpus_are_read(aimclr, tmp_path):
    made, path = aimclr
    state, wanted = made.state_dict(), import_published(path, "aimclr")[0].state_dict()
    forms = {
        "old.pt": (state, {"_use_new_zipfile_serialization": False}),
        "module.pt": ({f"module.{name}": value for name, value in state.items()}, {}),
        "state.pt": ({"state_dict": state}, {}),
        "linear.pt": ({n: v for n, v in state.items() if n.startswith("encoder_q.") and ".fc." not in n}, {}),
        "uncounted.pt": ({n: v for n, v in state.items() if "num_batches" not in n and not n.endswith(".A")}, {}),
    }
    for name, (value, more) in forms.items():
        found = import_published(saved(tmp_path / name, value, **more), "skeletonclr")[0].state_dict()
        assert all(torch.equal(found[key], wanted[key]) for key in wanted if "num_batches" not in key), name
    plain = {name: value for name, value in state.items() if "edge_importance" not in name}
    encoder = import_published(saved(tmp_path / "plain.pt", plain), "aimclr")[0]
    assert all(bool((weights == 1).all()) for weights in encoder.importance)


def test_bodies_beyond_two_are_not_read_and_one_alone_gets_an_empty_slot():
    encoder = PublishedSTGCN(NTU25, WIDTH).eval()
    x = torch.randn(2, 3, 20, 25, 3)
    with torch.no_grad():
        assert torch.equal(encoder(x), encoder(x[..., :2]))
        empty = torch.cat([x[..., :1], torch.zeros_like(x[..., :1])], dim=4)
        assert torch.equal(encoder(x[..., :1]), encoder(empty))


def test_clips_are_prepared_as_the_converters_do(tmp_path):
    clips, config = ntu_like(), PrepareConfig(50, "frame50", "frame", False)
    store = write_store(tmp_path / "store", clips, dataset="ntu60", layout=NTU25, classes=["a", "b"])
    found = prepare(store, config)
    wanted = np.zeros_like(found)
    for row, clip in zip(wanted, clips, strict=True):
        row[:, : clip.xyz.shape[1]] = published_clip(clip.xyz)[..., : clip.xyz.shape[1]].transpose(1, 3, 2, 0)
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    for row, clip in zip(found, clips, strict=True):
        np.testing.assert_allclose(row[:, : clip.xyz.shape[1]], prepare_clip(clip, NTU25, config), atol=2e-5)
    per_frame = prepare(store, PrepareConfig(50, "frame", "frame", False))
    assert np.abs(per_frame - found).max() > 0.1, "the sense of a turn is the clip's, and no frame's own"


def test_a_checkpoint_becomes_a_run_that_every_protocol_measures(aimclr, tmp_path, capsys):
    made, path = aimclr
    store = write_store(tmp_path / "store", ntu_like(16), dataset="ntu60", layout=NTU25, classes=["a", "b"])
    run, given = (
        tmp_path / "run",
        [f"--set=dataset={store.path}", f"--set=work_dir={tmp_path / 'w'}", "--set=device=cpu"],
    )
    command = ["import-encoder", str(path), "--as", "aimclr", "--run-dir", str(run), *given]
    assert main(command) == 0 and "AimCLR, encoder_q of aimclr.pt, stream joint, SHA-256" in capsys.readouterr().out
    assert main(["evaluate", str(run), "--protocols", "knn,semi,robust"]) == 0
    results = read_json(run / "results.json")
    assert set(results["protocols"]) == {"knn", "semi", "robust"}
    assert results["encoder"] == {"name": "stgcn-published", "parameters": sum(
        value.numel() for name, value in made.encoder_q.named_parameters() if not name.startswith("fc."))}  # fmt: skip
    assert any("imported as it is (AimCLR" in note for note in results["notes"])
    x = torch.from_numpy(np.stack([published_clip(clip) for clip in raw(store)]))
    with torch.no_grad():
        wanted = made.encoder_q.features(x).numpy()
    measured = np.load(run / "features.npy")
    np.testing.assert_allclose(measured, wanted, atol=2e-4)  # the clips themselves agree to 2e-5
    assert np.array_equal(load_encoder(run, device="cpu")(raw(store)), measured)


def test_arrays_that_the_converters_made_are_not_turned_twice(aimclr, tmp_path):
    made, path = aimclr
    given = recordings(8)
    fifty = [
        Recording(r.name, r.action, published_clip(r.xyz).transpose(1, 3, 2, 0)[:, : r.xyz.shape[1]]) for r in given
    ]
    write_npy(tmp_path / "ntu60_frame50" / "xsub", fifty, "xsub", "_position.npy", [padded(r, 50) for r in fifty])
    run = tmp_path / "run"
    given = ["dataset=frame50", f"data_dir={tmp_path}", f"work_dir={tmp_path / 'w'}", "device=cpu"]
    settings = [word for pair in given for word in ("--set", pair)]
    assert main(["import-encoder", str(path), "--as", "aimclr", "--run-dir", str(run), *settings]) == 0
    assert main(["evaluate", str(run), "--protocols", "knn"]) == 0
    store = open_dataset("frame50", tmp_path, tmp_path / "w")
    x = np.zeros((len(store), 3, 50, 25, 2), np.float32)
    for row, clip in zip(x, raw(store), strict=True):
        row[..., : clip.shape[1]] = clip.transpose(3, 0, 2, 1)
    with torch.no_grad():
        wanted = made.encoder_q.features(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(np.load(run / "features.npy"), wanted, atol=CLOSE, rtol=CLOSE)


class Harmful:
    """What a pickle of a stranger may hold."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('code of the file ran')",))


def refused(path, words, code="aimclr", kind=DataError):
    with pytest.raises(kind, match=words) as caught:
        import_published(path, code)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_checkpoint_of_theirs_is_refused(aimclr, tmp_path, monkeypatch):
    made, good = aimclr
    state, path = made.state_dict(), tmp_path / "bad.pt"
    refused(tmp_path / "none.pt", "There is no checkpoint", kind=MissingError)
    refused(good, "Did you mean 'aimclr'", code="aimcl", kind=ConfigError)
    for harmful in (Harmful(), {"encoder_q.A": Harmful()}, state | {"queue": Harmful()}):
        refused(saved(path, harmful), "no file of weights alone")
        path.write_bytes(pickle.dumps(harmful))
        refused(path, "no file of weights alone")
    refused(saved(path, {"epoch": 3}), "wanted a state dict")
    refused(saved(path, [torch.ones(1)]), "wanted a state dict, names with tensors; found list")
    path.write_bytes(b"")
    refused(path, "no file of weights alone")
    monkeypatch.setattr(published, "LARGEST", 1000)
    refused(good, "at most 1000 bytes")


def test_names_that_are_unknown_or_missing_are_listed(aimclr, tmp_path):
    state, path = dict(aimclr[0].state_dict()), tmp_path / "bad.pt"
    less = {name: value for name, value in state.items() if not name.startswith("encoder_q.st_gcn_networks.9.tcn")}
    said = refused(
        saved(path, less | {"encoder_q.extra.weight": torch.ones(1)}), "does not hold the ST-GCN of encoder_q"
    )
    assert "unknown: encoder_q.extra.weight; missing: encoder_q.st_gcn_networks.9.tcn.0.bias" in said
    assert said.count("st_gcn_networks.9.tcn") == 10, (
        "four of either norm, without its count, and the convolution's two"
    )
    refused(saved(path, state | {"backbone.weight": torch.ones(1)}), "unknown: backbone.weight")
    refused(saved(path, {"encoder_k.x": torch.ones(1)}), "found only encoder_k")
    refused(path, "wanted a model with encoder_q", code="crossclr")
    refused(saved(path, {"encoder_q.fc.weight": torch.ones(1)}), "wanted ST-GCN weights")
    wrong = state | {"encoder_q.st_gcn_networks.9.tcn.3.bias": torch.ones(512)}
    refused(saved(path, wrong), r"st_gcn_networks.9.tcn.3.bias wanted shape \(256,\), found \(512,\)")
    refused(saved(path, state | {"encoder_q.A": torch.ones(3, 25, 25)}), "wanted the graph of 25 NTU joints")
    few = saved(path, state)
    with pytest.raises(ConfigError, match="There is no stream named 'depth'"):
        import_published(few, "aimclr", "depth")


def test_bones_and_motion_are_theirs():
    """The streams that an encoder of them is fed with, against the list of bones and plain differences."""
    from benchmarks.reference_published import PAIRS

    clips = torch.randn(2, 6, 2, 25, 3)
    bone, motion = (as_input(clips, NTU25, stream).permute(0, 2, 4, 3, 1) for stream in ("bone", "motion"))
    for child, parent in PAIRS:
        torch.testing.assert_close(bone[:, :, :, child], clips[:, :, :, child] - clips[:, :, :, parent])
    assert not bone[:, :, :, 20].any() and not motion[:, -1].any()
    torch.testing.assert_close(motion[:, :-1], clips[:, 1:] - clips[:, :-1])
