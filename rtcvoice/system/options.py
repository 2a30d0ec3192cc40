"""Options that are checked when they are given, in Python and in YAML with the same words.

    @dataclass(frozen=True, kw_only=True)
    class Pace(Options):
        response_latency: float = 0.3

    Pace(response_latancy=1)       # ConfigError: Pace: there is no 'response_latancy'
                                   #   (did you mean 'response_latency'?)
    parse(Pace, mapping, place)    # the same for what a file says

The fields' own annotations are the grammar: a field that is added needs no line here.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import math
import typing
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Self, TypeVar

from rtcvoice.errors import ConfigError

__all__ = ["Options", "checked", "guess", "parse"]

_T = TypeVar("_T")


class Options:
    """The base of frozen dataclasses whose fields are options.

    A field of text, a number, a truth value, an enum's member (its value will do), other options
    (a mapping will do), a tuple of text (a list or one text will do), or None. Numbers are not
    negative. Raises ConfigError.
    """

    def __new__(cls, *args: Any, **given: Any) -> Self:
        """Refuse unknown names, which would be a bare TypeError a moment later."""
        _check_names(cls, given, cls.__name__.removesuffix("Options"))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Check each value, and put in its place what its field is declared as."""
        for name, wanted in _types(type(self)).items():
            place = f"{type(self).__name__.removesuffix('Options')}, {name}"
            value = checked(wanted, getattr(self, name), place)
            if isinstance(value, float | int) and not value >= 0:
                raise ConfigError(f"{name}={value!r:.40} is negative or no number")
            object.__setattr__(self, name, value)

    @classmethod
    def read(cls, value: Any, place: str) -> Self | None:
        """Return the options that a value means, None for one that can mean none.

        Raises ConfigError that names `place`.
        """
        if isinstance(value, Mapping):
            return parse(cls, value, place)
        return value if isinstance(value, cls) else None


def parse(kind: type[_T], value: Any, place: str) -> _T:
    """Return `kind`, a class of options, from a mapping. Raises ConfigError that names `place`."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{place}: this is a mapping of names to values", hint="frozen_after: 2")
    types = _types(kind)
    _check_names(kind, value, place)
    given = {name: checked(types[name], each, f"{place}, {name}") for name, each in value.items()}
    try:
        return kind(**given)
    except ConfigError as exc:
        raise ConfigError(f"{place}: {exc.message}", hint=exc.hint) from exc
    except TypeError as exc:  # a field without a default
        raise ConfigError(f"{place}: {exc}", hint=f"it has {', '.join(types)}") from exc


def checked(wanted: Any, value: Any, place: str) -> Any:
    """Return a value as the annotation `wanted` has it. Raises ConfigError that names `place`."""
    is_union = typing.get_origin(wanted) in (typing.Union, UnionType)
    kinds = typing.get_args(wanted) if is_union else (wanted,)
    for kind in kinds:
        fits, taken = _as(kind, value, place)
        if fits:
            return taken
    raise ConfigError(f"{place}: {_short(value)} cannot be", hint=f"it is {_told(kinds)}")


def guess(name: object, known: Iterable[str]) -> str:
    """Return a hint for who wrote `name`: the name that is like it, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, 1)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known)}"


def _types(kind: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _check_names(kind: type[Any], given: Mapping[Any, Any], place: str) -> None:
    if not dataclasses.is_dataclass(kind):
        return
    for name in given:
        if name not in _types(kind):
            raise ConfigError(f"{place}: there is no {name!r:.80}", hint=guess(name, _types(kind)))


def _as(kind: Any, value: Any, place: str) -> tuple[bool, Any]:
    """Return whether `value` can be a `kind`, and that."""
    origin = typing.get_origin(kind)
    if origin is Literal:
        return any(value is each or value == each for each in typing.get_args(kind)), value
    if origin is tuple:
        texts = [value] if isinstance(value, str) else value
        is_list = isinstance(texts, Sequence | frozenset | set) and not isinstance(texts, bytes)
        fits = is_list and all(isinstance(text, str) for text in texts)
        return fits, tuple(texts) if fits else None
    if isinstance(kind, enum.EnumType):
        fits = isinstance(value, str) and value in list(kind)
        return fits, kind(value) if fits else None
    if kind is NoneType:
        return value is None, None
    if kind is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        return fits, _as_float(value) if fits else value
    if kind in (int, bool, str):
        return type(value) is kind, value
    if isinstance(kind, type) and issubclass(kind, Options):
        taken = kind.read(value, place)
        return taken is not None, taken
    return isinstance(value, kind), value


def _as_float(number: float) -> float:
    """Return a number as a float; infinity for a whole number that is too large for one."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _room(kind: type[Any]) -> str:
    """Return where users import it from."""
    return ".".join(kind.__module__.split(".")[:2])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _told(kinds: tuple[Any, ...]) -> str:
    """Say what a field may be, in words for who wrote it."""
    words: list[str] = []
    for kind in kinds:
        if isinstance(kind, enum.EnumType):
            words += map(str, kind.__members__.values())
        elif typing.get_origin(kind) is Literal:
            words += [str(each) for each in typing.get_args(kind)]
        elif typing.get_origin(kind) is tuple:
            words.append("a list of texts")
        elif kind is not NoneType:
            names = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
            words.append(names.get(kind, f"a mapping, or {_room(kind)}.{kind.__name__}"))
    return ", ".join(words)
