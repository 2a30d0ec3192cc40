"""Reads `Faults` from a YAML mapping, with errors that name the key and say what it may be.

The fields' own annotations are the grammar: a fault added to the vocabulary can be written in a
script without a line here.
"""

from __future__ import annotations

import difflib
import enum
import typing
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import yaml

from rtcvoice.emulator.faults import Faults, Network
from rtcvoice.errors import ConfigError

__all__ = ["parse_faults", "parse_options"]


def parse_faults(value: Any, *, source: str = "faults") -> Faults:
    """Return the faults that a YAML mapping names. Raises ConfigError that names the key at fault.

    Keys are the fields of `Faults`; `uplink` and `downlink` are mappings of `Network`'s.
    """
    return typing.cast("Faults", _parsed(Faults, value, source))


def parse_options(options: Sequence[str]) -> Faults:
    """Return the faults of options such as `frozen_after=2`, the values being YAML.

    Raises ConfigError.
    """
    given = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise ConfigError(f"--fault {option} has no value", hint="--fault frozen_after=2")
        try:
            given[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as exc:
            hint = "such as 'downlink={loss: 0.05}'"
            raise ConfigError(f"--fault {option}: the value is not YAML", hint=hint) from exc
    return parse_faults(given, source="--fault")


def _parsed(kind: type[Any], value: Any, place: str) -> Any:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{place}: this is a mapping of names to values", hint="frozen_after: 2")
    types = typing.get_type_hints(kind)
    given = {}
    for name, each in value.items():
        if name not in types:
            close = difflib.get_close_matches(str(name), types, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(types)}"
            raise ConfigError(f"{place}: there is no {name!r}", hint=hint)
        given[name] = _converted(types[name], each, f"{place}, {name}")
    try:
        return kind(**given)
    except ConfigError as exc:
        raise ConfigError(f"{place}: {exc.message}", hint=exc.hint) from exc


def _converted(wanted: Any, value: Any, place: str) -> Any:
    """Return a YAML value as the type that a field is declared with."""
    kinds = (
        typing.get_args(wanted) if typing.get_origin(wanted) not in (None, typing.Literal) else ()
    )
    for kind in kinds or (wanted,):
        if kind is NoneType and value is None:
            return None
        if kind is Network and value is not None:
            return _parsed(Network, value, place)
        if typing.get_origin(kind) is typing.Literal and value in typing.get_args(kind):
            return value
        if isinstance(kind, enum.EnumType) and value in list(kind):
            return kind(value)
        if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if kind in (int, bool, str) and type(value) is kind:
            return value
    raise ConfigError(f"{place}: {value!r} cannot be", hint=f"it is {_told(kinds or (wanted,))}")


def _told(kinds: tuple[Any, ...]) -> str:
    """Say what a field may be, in words for who wrote the file."""
    words: list[str] = []
    for kind in kinds:
        if isinstance(kind, enum.EnumType):
            words += map(str, kind.__members__.values())
        elif typing.get_origin(kind) is typing.Literal:
            words += [str(each) for each in typing.get_args(kind)]
        elif kind is not NoneType:
            names = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
            words.append(names.get(kind, "a mapping"))
    return ", ".join(words)
