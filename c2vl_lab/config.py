"""Settings are frozen dataclasses that travel as plain JSON and refuse what they do not know."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar

from c2vl_lab.errors import ConfigError, near_miss

T = TypeVar("T")


def to_dict(settings: Any) -> dict[str, Any]:
    """A settings dataclass as plain JSON values (tuples become lists)."""
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            plain[field.name] = to_dict(value)
        else:
            plain[field.name] = list(value) if isinstance(value, tuple) else value
    return plain


def from_dict(cls: type[T], values: dict[str, Any], where: str = "settings") -> T:
    """Build settings of type ``cls`` from plain values.

    Args:
        cls: a frozen dataclass; its nested dataclass fields accept dictionaries.
        values: field name to value; missing fields keep their defaults.
        where: how the error sentence names the origin of the values.

    Raises:
        ConfigError: an unknown field (the near miss is named) or a value of the wrong type.
    """
    hints = typing.get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    built = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"{where}: unknown setting '{name}'. {near_miss(name, known)}")
        built[name] = _fit(hints[name], value, f"{where}.{name}")
    try:
        return cls(**built)
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error


def from_text(cls: type, pairs: list[str], where: str = "settings") -> dict[str, Any]:
    """Values for ``cls`` out of ``NAME=VALUE`` texts, each turned into its field's type.

    Raises:
        ConfigError: no ``=``, an unknown field, or a text that is no value of the field's type.
    """
    hints = typing.get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls)]
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ConfigError(f"{where}: wanted NAME=VALUE, found '{pair}'.")
        if name not in known:
            raise ConfigError(
                f"{where}: unknown setting '{name}'. {near_miss(name, known) if known else 'It has none.'}"
            )
        values[name] = _from_word(hints[name], text, f"{where} {name}")
    return values


def _from_word(hint: Any, text: str, where: str) -> Any:
    """One text as a value of a plain type."""
    truths = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    try:
        return truths[text.lower()] if hint is bool else hint(text) if hint in (int, float) else text
    except (KeyError, ValueError):
        raise ConfigError(f"{where}: wanted {getattr(hint, '__name__', hint)}, found '{text}'.") from None


def replace(settings: T, where: str = "settings", **changes: Any) -> T:
    """A copy of ``settings`` with checked changes."""
    merged = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}  # type: ignore[arg-type]
    merged.update(changes)
    return from_dict(type(settings), merged, where)


def _fit(hint: Any, value: Any, where: str) -> Any:
    """Check one value against its type hint and convert JSON's list and int where harmless."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in typing.get_args(hint):
            return None
        options = [a for a in typing.get_args(hint) if a is not type(None)]
        return _fit(options[0], value, where)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_dict(hint, value, where)  # type: ignore[arg-type]
    if origin is tuple and isinstance(value, (list, tuple)):
        item = typing.get_args(hint)[0]
        return tuple(_fit(item, v, where) for v in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    target = origin or hint
    wrong_bool = isinstance(value, bool) and hint in (int, float)
    if target is not Any and isinstance(target, type) and (wrong_bool or not isinstance(value, target)):
        raise ConfigError(f"{where}: wanted {getattr(hint, '__name__', hint)}, found {value!r}.")
    return value
