"""Backends and answers by their written names, so that commands and notebooks stay plain text."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.errors import ConfigError, MissingError, near_miss
from c2vl_lab.prompts.asking.answers import AnswerStore
from c2vl_lab.prompts.asking.protocol import Backend, Sampling
from c2vl_lab.prompts.asking.series import CARD, Series, read_card

ANSWERS = "answers:"
FORMS = {
    "server": "server:http://HOST:PORT/v1",
    "transformers": "transformers:MODEL-OR-FOLDER",
    "coca": "coca:MODEL:TAG-OR-CHECKPOINT",
    "kinematic": "kinematic",
    "replay": "replay:FILE",
}


def open_answers(spec: str) -> tuple[AnswerStore, Series]:
    """The answers that ``answers:FOLDER`` or ``answers:FOLDER#ID`` names: a series' id, or the beginning of it.

    A folder's own name may hold the sign # as well; FOLDER may also be that of one series.

    Raises:
        ConfigError: the folder holds several series that it could mean (they are listed).
        MissingError: there is no such folder, or no such series in it.
    """
    folder, wanted = spec.removeprefix(ANSWERS), ""
    if "#" in folder and not Path(folder).expanduser().is_dir():
        folder, _, wanted = folder.rpartition("#")
    if not folder or not Path(folder).expanduser().is_dir():
        raise MissingError(f"captions='{spec}': there is no folder '{folder}'. {_beside(folder)}`c2vl ask` makes one.")
    if not wanted and (Path(folder).expanduser() / CARD).is_file():  # the folder of one series, as `c2vl ask` names it
        folder, wanted = str(Path(folder).parent), read_card(Path(folder).expanduser()).id
    answers = AnswerStore(folder)
    known = answers.all_series()
    found = [series for series in known if series.id.startswith(wanted)]
    if len(found) != 1 and known:
        lines = ";".join(f"\n  {ANSWERS}{folder}#{series.id} ({series.describe()})" for series in found or known)
        if found:
            raise ConfigError(f"captions='{spec}': {len(found)} series of answers agree. Name one of them:{lines}")
        raise MissingError(f"captions='{spec}': no series of answers begins with '{wanted}'. There is:{lines}")
    return answers, found[0] if found else answers.find()


def _beside(folder: str) -> str:
    """The tail of "there is no folder": what lies where it should lie, if anything does."""
    path = Path(folder).expanduser()
    if not folder or not path.parent.is_dir():
        return ""
    near = get_close_matches(path.name, [each.name for each in path.parent.iterdir() if each.is_dir()], n=1)
    return f"Did you mean '{ANSWERS}{path.parent / near[0]}'? " if near else ""


def open_backend(
    spec: str,
    store: SkeletonStore,
    sampling: Sampling | None = None,
    model: str = "",
    revision: str = "",
    at_once: int = 0,
    timeout: float = 120.0,
    device: str = "auto",
) -> Backend:
    """The backend that ``spec`` names.

    Args:
        spec: one of ``FORMS``.
        store: the clips; the kinematic captioner speaks of them.
        sampling: how a model writes; None: as the backend likes.
        model: for a server that serves several.
        revision: of the server's or the hub's model.
        at_once: requests in flight or in a batch; 0: as the backend likes.
        timeout: of a server, seconds for one answer.
        device: of models in this process.

    Raises:
        ConfigError: no such backend.
        C2VLError: what the backend itself raises.
    """
    kind, _, rest = spec.partition(":")
    if kind in FORMS and bool(rest) == (":" in FORMS[kind]):
        if kind == "server":
            from c2vl_lab.prompts.asking.server import ServerBackend

            return ServerBackend(rest, model, revision, sampling, at_once or 8, timeout)
        if kind == "transformers":
            from c2vl_lab.prompts.asking.hf import TransformersBackend

            return TransformersBackend(rest, revision, sampling, at_once or 8, device)
        if kind == "coca":
            from c2vl_lab.prompts.asking.coca import CocaBackend

            name, _, weights = rest.partition(":")
            return CocaBackend(name, weights, sampling, at_once or 32, device)
        if kind == "kinematic":
            from c2vl_lab.prompts.asking.captioner import KinematicBackend

            return KinematicBackend(store)
        from c2vl_lab.prompts.asking.replay import ReplayBackend

        return ReplayBackend(rest)
    forms = ", ".join(FORMS.values())
    if kind in FORMS:
        raise ConfigError(f"The backend '{kind}' is written {FORMS[kind]}, found '{spec}'.")
    raise ConfigError(f"There is no backend named '{spec}'. {near_miss(kind, FORMS)} They are written: {forms}.")
