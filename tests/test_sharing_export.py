"""Exported encoders: the file on the disk gives the encoder's own features, for any number of clips."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest
import torch
from shared_runs import raw, run_of

from c2vl_lab.cli import main
from c2vl_lab.data.align import PrepareConfig
from c2vl_lab.data.layouts import KINECT20, NTU25
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.models.encoders import as_input, build_encoder
from c2vl_lab.models.registry import OWN
from c2vl_lab.sharing import exporting
from c2vl_lab.sharing.description import Description, Skeleton
from c2vl_lab.sharing.estimator import load_encoder
from c2vl_lab.sharing.exporting import export_encoder
from c2vl_lab.sharing.opening import OpenedEncoder
from c2vl_lab.sharing.packing import pack
from c2vl_lab.sharing.plain_forms import PlainForm

NAMES = [kind.name for kind in OWN]
FRAMES = 12


def opened(name, layout=NTU25, people=2, stream="motion"):
    """An encoder whose norms have statistics of their own."""
    torch.manual_seed(0)
    encoder = build_encoder(name, layout, 8).train()
    with torch.no_grad():
        encoder(torch.randn(6, 3, FRAMES, len(layout), people))
    description = Description(name, 8, stream, FRAMES, Skeleton.of(layout, people), PrepareConfig())
    return OpenedEncoder(None, encoder.eval(), description, {})


def clips_of(own, count, frames=FRAMES, seed=5):
    """Normalised clips; some of one person, one of nobody."""
    torch.manual_seed(seed)
    skeleton = own.description.skeleton
    clips = torch.randn(count, frames, skeleton.people, len(skeleton.joints), 3)
    clips[::3, :, 1:] = 0
    clips[-1] = 0
    return clips


def wanted(own, clips):
    with torch.no_grad():
        return own.encoder(as_input(clips, own.layout, own.description.stream))


def reader(form, path):
    """The file, opened as a stranger would open it: its function, and its metadata."""
    if form == "onnx":
        runtime = pytest.importorskip("onnxruntime")
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        said = session.get_modelmeta().custom_metadata_map["c2vl"]
        return lambda clips: torch.from_numpy(session.run(None, {"clips": clips.numpy()})[0]), said
    extra = {"c2vl": ""}
    if form == "torchscript":
        model = torch.jit.load(str(path), _extra_files=extra)
        return model, extra["c2vl"]
    program = torch.export.load(str(path), extra_files=extra)
    return program.module(), extra["c2vl"]


# every network is traced alike for both, so the cheapest stands for TorchScript; torch.export takes seconds
CASES = [(name, "onnx") for name in NAMES]
CASES += [("temporal", "torchscript"), ("temporal", "torch-export")]


@pytest.mark.parametrize(("name", "form"), CASES)
def test_an_exported_encoder_gives_the_same_features_for_any_number_of_clips(tmp_path, name, form):
    if form == "onnx":
        pytest.importorskip("onnx")
    own, path = opened(name), tmp_path / "encoder"
    about = export_encoder(own, form, path, np.random.default_rng(0).normal(size=(4, 30, 2, 25, 3)))
    run, said = reader(form, path)
    for count in (1, 2, 7):
        clips = clips_of(own, count)
        torch.testing.assert_close(run(clips), wanted(own, clips), atol=1e-5, rtol=1e-4)
    said = json.loads(said)
    assert said["tolerance"] == 1e-5 >= said["difference"] == about.difference
    assert said["compared"] == "5 random clips, 1 random clip, 4 recorded clips"
    assert said["description"]["encoder"] == name and said["description"]["prepare"]["align"] == "clip"
    other = {"agrees": [24], "refuses": [13]} if name == "transformer" else {"agrees": [13, 24], "refuses": []}
    assert said["other_frames"] == other | {"differs": []}
    longer = clips_of(own, 3, 24)
    torch.testing.assert_close(run(longer), wanted(own, longer), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("stream", "people"), [("joint", 1), ("bone", 3)])
def test_the_plain_forms_are_the_encoders(name, stream, people):
    own = opened(name, KINECT20, people, stream)
    clips = clips_of(own, 5)
    clips[1, :, 0] = 0  # nobody in the first slot, somebody in the next
    with torch.no_grad():
        found = PlainForm(own.encoder, own.layout, stream)(clips)
    torch.testing.assert_close(found, wanted(own, clips), atol=1e-5, rtol=1e-4)


def test_a_form_that_differs_is_not_written(tmp_path, monkeypatch):
    class Wrong(PlainForm):
        def forward(self, clips):
            return super().forward(clips) * 1.001

    monkeypatch.setattr(exporting, "PlainForm", Wrong)
    with pytest.raises(DataError, match=r"differs from the encoder by 1.0e-03 .* Nothing was written"):
        export_encoder(opened("temporal"), "torchscript", tmp_path / "x")
    monkeypatch.undo()

    class Frozen(PlainForm):
        def forward(self, clips):  # a shape that is a constant of the trace
            return super().forward(clips) + 0 * clips.reshape(3, -1)[:, :1]

    monkeypatch.setattr(exporting, "PlainForm", Frozen)
    with pytest.raises(DataError, match="cannot be exported as torchscript: RuntimeError: The size of tensor"):
        export_encoder(opened("temporal"), "torchscript", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_had_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingError, match=r"wants the package onnx, .*pip install 'c2vl-lab\[export\]'"):
        export_encoder(opened("temporal"), "onnx", tmp_path / "x")
    with pytest.raises(ConfigError, match="There is no form of export named 'tflite'"):
        export_encoder(opened("temporal"), "tflite", tmp_path / "x")


def test_from_a_run_and_from_an_archive_by_command(tmp_path, capsys):
    run, experiment = run_of(tmp_path)
    assert main(["export-encoder", str(run), "--to", "torchscript"]) == 0
    shown = capsys.readouterr().out
    assert "Compared on 5 random clips, 1 random clip, 30 recorded clips: largest difference" in shown
    script = torch.jit.load(str(tmp_path / "run.ts.pt"))
    prepared = load_encoder(run).prepare(raw(experiment.store))
    assert prepared.shape == (30, 64, 2, 25, 3) and np.array_equal(prepared, np.asarray(experiment.clips))
    archive, _ = pack(run)
    output = tmp_path / "other.pt"
    assert main(["export-encoder", str(archive), "--to", "torchscript", "--output", str(output)]) == 0
    assert "Compared on random clips alone" in capsys.readouterr().out
    content = io.BytesIO(output.read_bytes())
    found = [model(torch.from_numpy(prepared)) for model in (script, torch.jit.load(content))]
    assert torch.equal(*found), "64 frames: what the encoder sees at another length"
