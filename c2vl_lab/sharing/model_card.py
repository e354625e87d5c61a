"""The README of a packed encoder, in the form of a Hugging Face model card: YAML in front, then plain words.

Every sentence says what the files say. What is not known is said not to be known.
"""

from __future__ import annotations

from typing import Any

import yaml
from torch import nn

from c2vl_lab import __version__
from c2vl_lab.models.encoders import parameter_count
from c2vl_lab.sharing.description import Description

METRICS = {
    "linear": "linear probe, accuracy",
    "knn1": "1-NN, accuracy",
    "knn5": "5-NN, accuracy",
    "linear_distinct": "linear probe without copied test clips, accuracy",
    "knn1_distinct": "1-NN without copied test clips, accuracy",
    "zero_shot": "zero-shot by class names, accuracy",
}
RECONSTRUCTED = (
    "The method is a reconstruction of C²VL (arXiv 2405.20606) from its abstract and figure; no code of the paper was "
    "released."
)


def model_card(
    name: str,
    description: Description,
    encoder: nn.Module,
    config: dict[str, Any],
    results: dict[str, Any],
    card: dict[str, Any],
) -> str:
    """The text of ``README.md``.

    Args:
        name: of the model.
        description, encoder: what is packed.
        config, results, card: the run's files, without folders; empty where there is none.
    """
    numbers = {key: value for key, value in results.get("metrics", {}).items() if key in METRICS}
    data, protocol = _data(config, results), str(results.get("split", {}).get("protocol") or config.get("protocol", ""))
    front = {
        "library_name": "c2vl_lab",
        "tags": ["skeleton", "action-recognition", "representation-learning", *_warnings(results)],
        **({"model-index": [_index(name, data, protocol, numbers, results)]} if numbers else {}),
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---",
        f"# {name}\n\n{_first(description, encoder, results)}",
        f"## Use\n\n{_use()}",
        f"## How it was trained\n\n{_table(_training(description, config, results, card, data, protocol))}",
        f"## Numbers\n\n{_numbers(numbers, results, data, protocol)}",
        f"## Intended use and limits\n\n{_limits(description, config, results)}",
    ]
    return "\n\n".join(parts) + "\n"


def _first(description: Description, encoder: nn.Module, results: dict[str, Any]) -> str:
    own = description.skeleton
    text = (
        f"A frozen encoder of skeleton clips: `{description.encoder}`, {parameter_count(encoder):,} parameters. It "
        f"reads {own.people} bod{'y' if own.people == 1 else 'ies'} of {len(own.joints)} joints ({own.name}), the "
        f"{description.stream} stream, {description.frames} frames a clip."
    )
    notes = "\n>\n".join(f"> {note}" for note in results.get("notes", []))
    return f"{text}\n\n{notes}" if notes else text


def _use() -> str:
    return (
        "```python\n"
        "from c2vl_lab import load_encoder\n\n"
        'encode = load_encoder("this-archive.zip")  # or the folder that it was unpacked into\n'
        "features = encode(clips)  # a list of (frames, joints, 3) or (frames, people, joints, 3), metres, y up\n"
        "```\n\n"
        "Clips of any length; normalisation and resampling are done as in training. Arrays of another skeleton: "
        '`load_encoder(path, layout="kinect20")`, or `{joint: parent joint}`. It is a scikit-learn transformer. '
        "`encoder.safetensors` holds tensors and plain text, nothing that runs."
    )


def _training(
    description: Description,
    config: dict[str, Any],
    results: dict[str, Any],
    card: dict[str, Any],
    data: str,
    protocol: str,
) -> dict[str, Any]:
    """What the files say of the encoder's making, one fact a row."""
    fit = card.get("fit", {})
    teacher = "none"
    if results.get("teacher") or (config.get("arm") in ("hard", "full") and config.get("teacher")):
        stand_in = ", **a stand-in, no vision-language model**" if results.get("stand_in_teacher") else ""
        stand_in = stand_in if results else " (whether it is a stand-in is not known: not evaluated)"
        teacher = f"{results.get('teacher') or config.get('teacher')}{stand_in}"
    trained = bool(card)
    way = description.prepare
    rows = {
        "weights": description.origin,
        "method": f"arm `{config.get('arm', 'not known')}`" + (f", method `{fit['method']}`" if fit else ""),
        "data set": str(config.get("pretrain_on") or data) if trained else f"not known (measured on {data})",
        "protocol": f"training part of {protocol}" if trained else "not known",
        "modalities": str(config.get("modalities", "")) if trained and teacher != "none" else "skeletons alone",
        "teacher": teacher if trained else "not known",
        "labels": "used in training" if config.get("arm") == "supervised" else "not used in training",
        "seed": fit.get("seed", "not known"),
        "epochs": card.get("epoch", "not known"),
        "precision": card.get("precision", "not known"),
        "normalisation": f"align={way.align}, origin={way.origin}, scale={way.scale}, {way.frames} frames",
    }
    if not trained:
        rows = {name: own for name, own in rows.items() if name not in ("modalities", "labels")}
    return rows


def _numbers(numbers: dict[str, float], results: dict[str, Any], data: str, protocol: str) -> str:
    if not numbers:
        return "Not measured: the run was packed before `c2vl evaluate`."
    split = results.get("split", {})
    clips = f"{split.get('tested', split.get('test', '?'))} test clips of {data}, {protocol}"
    command = (
        "c2vl import-encoder this-archive.zip --run-dir RUN --set dataset=... --set data_dir=... "
        f"--set protocol={protocol}\nc2vl evaluate RUN"
    )
    rows = {METRICS[key]: f"{100 * value:.1f} %" for key, value in numbers.items()}
    return (
        f"On {clips}, one run, seed {results.get('config', {}).get('seed', 'not known')}; probes learned from the "
        f"training part, nothing chosen on the test part.\n\n{_table(rows)}\n\n"
        f"Measured by `c2vl evaluate` of c2vl_lab {results.get('versions', {}).get('c2vl_lab', __version__)} on "
        f"{results.get('device', 'an unknown device')}. To measure it again, or on other data:\n\n"
        f"```\n{command}\n```\n\n"
        "`results.json` has every number with its settings, versions and the fingerprint of the data."
    )


def _limits(description: Description, config: dict[str, Any], results: dict[str, Any]) -> str:
    lines = [
        "Meant for research: features of skeleton clips for probes, retrieval and comparison. Not meant for decisions "
        "about people, and not tested for any.",
        f"It knows the joints of {description.skeleton.name} and recordings like those it was trained on; other "
        "sensors, poses from video, other ages or ways of moving were not tested. Numbers of other data sets do not "
        "follow from those above.",
        "One run. Seeds differ by a point or two, on small sets by more.",
    ]
    if config.get("arm") in ("hard", "full"):
        lines.append(RECONSTRUCTED)
    if results.get("stand_in_teacher"):
        lines.append(
            f"The teacher {results.get('teacher', '')} stands in for a vision-language model. The numbers say nothing "
            "about what one would give."
        )
    if results.get("generated"):
        lines.append(
            "The clips are **generated**, no recordings. The numbers say that the road works and nothing else."
        )
    lines.append(
        "The data set stays under its authors' terms, which may reach to what is trained on it; nothing of it is in "
        "the archive. No licence is given here for the weights: whoever packs them says which."
    )
    return "\n".join(f"- {line}" for line in lines)


def _data(config: dict[str, Any], results: dict[str, Any]) -> str:
    """The data set's name, and that its clips are generated where they are."""
    name = str(results.get("dataset") or config.get("dataset", "not known"))
    if results.get("generated") or (not results and name == "generated"):
        return f"{name} (generated clips, no recordings)"
    return name


def _warnings(results: dict[str, Any]) -> list[str]:
    """Tags that a reader of a list of models sees."""
    return ["generated-data"] * bool(results.get("generated")) + ["stand-in-teacher"] * bool(
        results.get("stand_in_teacher")
    )


def _index(name: str, data: str, protocol: str, numbers: dict[str, float], results: dict[str, Any]) -> dict[str, Any]:
    """The numbers in the form that Hugging Face reads from a card."""
    metrics = [
        {"type": "accuracy", "name": METRICS[key], "value": round(100 * value, 2)} for key, value in numbers.items()
    ]
    own = {"type": results.get("dataset", data), "name": f"{data}, {protocol}", "split": "test"}
    task = {"type": "feature-extraction", "name": "frozen features, probed"}
    return {"name": name, "results": [{"task": task, "dataset": own, "metrics": metrics}]}


def _table(rows: dict[str, Any]) -> str:
    """Two columns of Markdown."""
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())])
