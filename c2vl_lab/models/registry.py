"""The table of encoders, and how a user adds one in a notebook cell."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from c2vl_lab.data.layouts import JointLayout
from c2vl_lab.errors import ConfigError, choose
from c2vl_lab.models.base import Encoder
from c2vl_lab.models.bigru import BiGRU
from c2vl_lab.models.ctrgcn import CTRGCN
from c2vl_lab.models.published_stgcn import PublishedSTGCN
from c2vl_lab.models.stgcn import STGCN
from c2vl_lab.models.temporal import TemporalEncoder
from c2vl_lab.models.transformer import Transformer

OWN: tuple[type[Encoder], ...] = (TemporalEncoder, STGCN, CTRGCN, BiGRU, Transformer, PublishedSTGCN)
ENCODERS: dict[str, Any] = {cls.name: cls for cls in OWN}
Kind = TypeVar("Kind", bound=type[Encoder])


def register_encoder(name: str, replace: bool = False) -> Callable[[Kind], Kind]:
    """Make an encoder of one's own known to every setting ``encoder=...`` of this process.

    A class decorator for a notebook cell::

        @register_encoder("mine")
        class MyEncoder(BodyEncoder):            # or Encoder, to see all bodies at once
            default_width = 64

            def __init__(self, layout, width=64):
                super().__init__()
                self.dim = width
                self.net = torch.nn.Linear(3 * len(layout), width)

            def encode(self, x):                 # (B, 3, T, V) -> (B, dim)
                return self.net(x.mean(dim=2).flatten(1))

    or, for a class that is already there, ``register_encoder("mine")(MyEncoder)``. From then on ``encoder="mine"``
    trains it by every method. The table lives in this process alone: whatever opens the run again (another notebook,
    the notebooks that a suite runs, the command line) has to register the same class first, in a cell of its own or by
    importing a module that does; else its checkpoint cannot be loaded, and the message says so.

    Args:
        name: what settings call it: letters, digits, "-" and "_", a letter first.
        replace: take the place of an earlier encoder of one's own of that name, for cells that are run again.

    Raises:
        ConfigError: the name is taken or malformed, or the class does not keep to the protocol of
            :class:`~c2vl_lab.models.base.Encoder`; the sentence says what is missing.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise ConfigError(f"An encoder's name has letters, digits, - and _, a letter first; found {name!r}.")
    taken = ENCODERS.get(name)
    if taken in OWN:
        raise ConfigError(f"'{name}' is an encoder of this package; choose another name for yours.")
    if taken is not None and not replace:
        raise ConfigError(
            f"There is already an encoder named '{name}' ({taken.__qualname__}); choose another name, or write "
            f"register_encoder('{name}', replace=True) while you work on it."
        )

    def add(cls: Kind) -> Kind:
        fault = _fault(name, cls)
        if fault:
            raise ConfigError(f"Encoder '{name}' cannot be registered: {fault}.")
        cls.name = name
        ENCODERS[name] = cls
        return cls

    return add


def _fault(name: str, cls: object) -> str:
    """What keeps a class from being an encoder, seen without building one; empty if nothing does."""
    if not isinstance(cls, type) or not issubclass(cls, Encoder):
        return f"it must be a class derived from c2vl_lab.models.base.Encoder, found {cls!r}"
    if any(known is cls and other != name for other, known in ENCODERS.items()):
        return f"{cls.__qualname__} is registered already, as '{cls.name}'"
    width = getattr(cls, "default_width", None)
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        return f"{cls.__qualname__} must have a class attribute default_width, a positive whole number; found {width!r}"
    try:
        inspect.signature(cls).bind(None, width=width)
    except TypeError as error:
        return f"{cls.__qualname__} must be built by {cls.__qualname__}(layout, width=...), but: {error}"
    return ""


def build_encoder(name: str, layout: JointLayout, width: int = 0) -> Encoder:
    """A freshly initialised encoder; ``width`` 0 takes the encoder's own default.

    A registered encoder is tried on two small clips, so that a slip in it shows here, in one sentence, and not in the
    middle of a training run; neither its weights nor the random numbers that follow know of the trial.

    Raises:
        ConfigError: unknown encoder (all known ones and the near miss are named), a width it cannot have, or a
            registered class whose encoder does not map (N, 3, T, V, M) to (N, dim).
    """
    try:
        cls = choose(name, ENCODERS, "encoder")
    except ConfigError as error:
        raise ConfigError(
            f"{error} One of your own must be registered in this process first: run the cell that says "
            f"register_encoder('{name}')."
        ) from None
    encoder = cls(layout, width=width or cls.default_width)
    if cls not in OWN:
        _try(name, encoder, layout)
    return encoder


def _try(name: str, encoder: Encoder, layout: JointLayout) -> None:
    """Refuse a registered encoder that does not keep to the protocol."""
    dim = getattr(encoder, "dim", None)
    if not isinstance(dim, int) or dim < 1:
        raise ConfigError(f"Encoder '{name}' must set self.dim, the width of its features; found {dim!r}.")
    shape = (2, 3, 8, len(layout), 2)
    clips = torch.linspace(-1, 1, 48 * 2 * len(layout)).view(shape)
    was_training = encoder.training
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            found = encoder.eval()(clips)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise ConfigError(f"Encoder '{name}' fails on a trial input of shape {shape}, {what}.") from error
    finally:
        encoder.train(was_training)
    if not isinstance(found, torch.Tensor) or found.shape != (2, dim):
        shown = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise ConfigError(f"Encoder '{name}' must map {shape} to (2, {dim}), found {shown}.")
