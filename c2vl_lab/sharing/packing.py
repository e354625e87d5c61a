"""From a run folder to one archive that others can use: encoder, settings, card, course of training, results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from c2vl_lab.artifacts import read_json
from c2vl_lab.errors import DataError, MissingError
from c2vl_lab.sharing.archive import write_archive
from c2vl_lab.sharing.encoder_file import FILE, encoder_bytes
from c2vl_lab.sharing.model_card import model_card
from c2vl_lab.sharing.opening import open_encoder
from c2vl_lab.weights import FILE as CHECKPOINT
from c2vl_lab.weights import read_card

README = "README.md"
PLACES = ("data_dir", "work_dir", "encoder_from")  # settings that say where things lie on a machine
FOLDERS = re.compile(r"(?<![\w.:/])/(?!/)(?:[^/\s'\"]+/)*([^/\s'\"]+)")  # an absolute path in a text


def pack(run_dir: str | Path, output: str | Path = "") -> tuple[Path, str]:
    """Pack a finished run.

    What goes in: the encoder alone (no heads, no optimiser), ``config.json``, the checkpoint's card, ``metrics.jsonl``,
    ``results.json`` and a README in the form of a Hugging Face model card. No recording, no feature, no clip's name
    and no prediction; of folders only the last name stays. The same run gives the same bytes.

    Args:
        run_dir: the run folder; evaluate it first, so that the card has numbers.
        output: the new file; "": ``<run folder>.zip``.

    Returns:
        the archive and its SHA-256.

    Raises:
        MissingError, DataError: as :func:`~c2vl_lab.sharing.opening.open_encoder`.
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise MissingError(f"There is no run folder {run_dir}.")
    opened = open_encoder(run_dir)
    output = Path(output) if output else run_dir.resolve().with_name(f"{run_dir.resolve().name}.zip")
    config = _plain(run_dir / "config.json")
    results = _plain(run_dir / "results.json")
    card = without_folders(read_card(run_dir)) if (run_dir / CHECKPOINT).is_file() else {}
    files = {FILE: encoder_bytes(opened.encoder, opened.description)}
    files |= {
        f"{name}.json": _json(own) for name, own in (("config", config), ("results", results), ("card", card)) if own
    }
    if (run_dir / "metrics.jsonl").is_file():
        files["metrics.jsonl"] = (run_dir / "metrics.jsonl").read_bytes()
    text = model_card(output.stem, opened.description, opened.encoder, config, results, card)
    return output, write_archive(output, {**files, README: text.encode()})


def without_folders(value: Any) -> Any:
    """Plain JSON values with every absolute path cut to its last name, and the settings of places emptied."""
    if isinstance(value, dict):
        return {key: "" if key in PLACES else without_folders(own) for key, own in value.items()}
    if isinstance(value, list):
        return [without_folders(own) for own in value]
    return _without_folders(value) if isinstance(value, str) else value


def _without_folders(text: str) -> str:
    head, colon, tail = text.partition(":")
    if text.startswith(("/", "~/")) or re.match(r"[A-Za-z]:[\\/]", text):
        return re.split(r"[\\/]", text.rstrip("\\/"))[-1]
    if colon and tail.startswith(("/", "~/")) and not tail.startswith("//") and re.fullmatch(r"[a-z_]+", head):
        return f"{head}:{_without_folders(tail)}"  # folder:/somewhere/pictures
    return FOLDERS.sub(r"\1", text)


def _plain(path: Path) -> dict[str, Any]:
    """A JSON object of the run, fit for strangers; empty where there is no such file."""
    if not path.is_file():
        return {}
    found = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path}: wanted an object, found a {type(found).__name__}.")
    return without_folders(found)


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
